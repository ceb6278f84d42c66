"""What each section of a scenario file may say by itself: keys, ranges, and which keys go together.

Layer: network. Not here: rules between sections, variants, files (``scenario``), what faults do (``faults``).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from chainsec.config import Settings, Several
from chainsec.network.byzantine import ROLES
from chainsec.network.links import LEAST_MBPS, MOST_MBPS, MOST_MS

__all__ = [
    "LEAST_S",
    "MAX_NODES",
    "Byzantine",
    "Fault",
    "Load",
    "MachineSection",
    "NetworkSection",
    "QbftSection",
    "Variant",
    "Warns",
]

MAX_NODES = 200
LEAST_S = 0.001
"""No span of time is shorter, or it would be none in whole microseconds."""
Warns = Literal["nothing", "stall", "fork"]
_Number = Annotated[int, Field(ge=0, lt=MAX_NODES)]
_Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
_Factor = Annotated[float, Field(ge=0.001, le=1e6, allow_inf_nan=False)]
_Rate = Annotated[float, Field(ge=0.001, le=20_000, allow_inf_nan=False)]


def _is_given(section: Settings, name: str) -> bool:
    """Tell whether a key says something: what it would mean if it were left out is not said."""
    return bool(getattr(section, name) != type(section).model_fields[name].default)


class NetworkSection(Settings):
    """Nodes and links.

    Attributes:
        nodes, validators: how many; all nodes validate where the second is omitted.
        matrix: ``wan``, ``lan``, or the path of a CSV file beside the scenario.
        regions: where nodes stand, in turn; all of the matrix's where omitted.
        has_gossip: nodes pass messages on.
        is_execution_shared: a block is executed once for all nodes.
        permissions: ``open``; ``contract``: ``NodePermissions``; ``allowlist``: a file on each node.
        gas_limit: of a block.
    """

    nodes: Annotated[int, Field(ge=1, le=MAX_NODES)] = 4
    validators: Annotated[int, Field(ge=1, le=MAX_NODES)] | None = None
    matrix: Annotated[str, Field(min_length=1, max_length=400)] = "wan"
    regions: Several[str] = ()
    has_gossip: bool = True
    is_execution_shared: bool = False
    permissions: Literal["open", "contract", "allowlist"] = "open"
    gas_limit: Annotated[int, Field(ge=8_000_000, le=1_000_000_000)] = 1_000_000_000  # contracts have to fit in


class QbftSection(Settings):
    """What the genesis fixes; ``QbftSettings`` says what each means."""

    block_period_s: Annotated[int, Field(ge=1, le=3_600)] = 1
    request_timeout_s: Annotated[float, Field(ge=LEAST_S, le=3_600, allow_inf_nan=False)] = 4.0
    empty_block_period_s: Annotated[int, Field(ge=0, le=2**31)] = 0
    epoch_blocks: Annotated[int, Field(ge=1, lt=2**31)] = 30_000
    has_catch_up: bool = False
    round_change_repeat_s: Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False)] = 0.0
    has_access_list: bool = True
    keeps_votes: bool = False
    keeps_prepared: bool = False
    starts_after_sync: bool = True
    restores_prepared_round: bool = True

    @model_validator(mode="after")
    def _check_repeat(self) -> Self:
        if 0 < self.round_change_repeat_s < LEAST_S:
            raise ValueError(f"round_change_repeat_s: {self.round_change_repeat_s} is neither 0 nor at least {LEAST_S}")
        return self


class MachineSection(Settings):
    """How fast nodes work; ``Machine`` says what each means."""

    transaction_us: Annotated[int, Field(ge=0, le=10**7)] = 205
    gas_per_us: _Factor = 400.0
    block_us: Annotated[int, Field(ge=0, le=10**7)] = 15_000
    message_us: Annotated[int, Field(ge=0, le=10**7)] = 300
    signature_us: Annotated[int, Field(ge=0, le=10**7)] = 150


class Load(Settings):
    """What clients send.

    Attributes:
        kind: ``none``; ``fixed``: ``rate_per_s``; ``linear``: from ``rate_per_s`` to ``end_rate_per_s``; ``maximum``:
            as many as keep ``waiting`` transactions in the pools; ``log``: the requests of an access log, at its times.
        action: what a transaction does: ``open`` an account (one new slot), ``transfer`` between two, or move one
            ``token`` (ERC-20).
        from_s, until_s: when, virtual time; to the end where omitted.
        senders: how many accounts send.
        entry: the node that takes them; each in turn where omitted.
        gas_price_wei: that they offer.
        log, mapping: of ``log``: the file, and what its fields mean (``docs/mappings.md``).
        speed_up: of ``log``: how many times faster than it was recorded.
    """

    kind: Literal["none", "fixed", "linear", "maximum", "log"]
    action: Literal["open", "transfer", "token"] = "open"
    rate_per_s: _Rate = 10.0
    end_rate_per_s: _Rate = 100.0
    waiting: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    from_s: _Seconds = 2.0
    until_s: _Seconds | None = None
    senders: Annotated[int, Field(ge=1, le=1_000)] = 20
    entry: _Number | None = None
    gas_price_wei: Annotated[int, Field(ge=0, lt=2**63)] = 0
    log: str | None = None
    mapping: str | None = None
    speed_up: _Factor = 1.0

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        for name in sorted(frozenset().union(*_LOAD_KEYS.values()) - _LOAD_KEYS[self.kind]):
            if _is_given(self, name):
                raise ValueError(f"{name}: a load of kind {self.kind!r} takes none (got {getattr(self, name)!r})")
        if self.kind == "log" and self.log is None:
            raise ValueError("log: a load of kind 'log' needs one (got None)")
        if self.until_s is not None and self.until_s < self.from_s + LEAST_S:
            raise ValueError(f"until_s: {self.until_s} is not after from_s, {self.from_s}")
        return self


_LOAD_KEYS: dict[str, frozenset[str]] = {
    "none": frozenset(),
    "fixed": frozenset({"rate_per_s"}),
    "linear": frozenset({"rate_per_s", "end_rate_per_s"}),
    "maximum": frozenset({"waiting"}),
    "log": frozenset({"log", "mapping", "speed_up"}),
}
"""Which keys a kind of load takes besides those that say who sends what, and when."""


class _Keys(NamedTuple):
    """Which keys a kind of fault takes besides its time; of those in ``one_of`` at least one."""

    needed: frozenset[str]
    one_of: frozenset[str] = frozenset()
    free: frozenset[str] = frozenset()


_KEYS = {
    "crash": _Keys(frozenset({"nodes"})),
    "wipe": _Keys(frozenset({"nodes", "until_s"})),
    "partition": _Keys(frozenset({"groups"})),
    "skew": _Keys(frozenset({"nodes", "skew_ms"})),
    "slow": _Keys(frozenset({"nodes", "factor"})),
    "links": _Keys(
        frozenset(),
        frozenset({"factor", "jitter_ms", "bandwidth_mbps", "loss_rate"}),
        frozenset({"senders", "receivers"}),
    ),
    "vote": _Keys(frozenset({"nodes", "subject"}), free=frozenset({"is_add"})),
    "allow": _Keys(frozenset({"accounts"}), free=frozenset({"is_add"})),
}
_EVERY = {"kind", "at_s", "until_s"}
_LEAST_SKEW_MS = 0.001


class Fault(Settings):
    """Something that goes wrong, or that an operator does.

    Attributes:
        kind: ``crash``: nodes stop, and come back with their chain at ``until_s``; ``wipe``: they come back with the
            first block alone; ``partition``: only nodes of one group reach each other; ``skew``: clocks are off by
            ``skew_ms``; ``slow``: all work takes ``factor`` times as long; ``links``: from one region to another
            latency takes ``factor`` times as long, and what else is given takes the place of the matrix's; ``vote``:
            ``nodes`` vote ``subject`` in or out; ``allow``: the operators' allowlist takes ``accounts`` in, or drops
            them.
        at_s, until_s: from when to when, virtual time; for good where the second is omitted.

    Faults may overlap: a node is down while any of them keeps it down; factors are multiplied, and clocks add up; where
    two say different things of the same link, vote or account, the one that began later holds while it lasts.
    """

    kind: Literal["crash", "wipe", "partition", "skew", "slow", "links", "vote", "allow"]
    at_s: _Seconds
    until_s: _Seconds | None = None
    nodes: Several[_Number] = ()
    groups: Several[Several[_Number]] = ()
    skew_ms: Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)] = 0.0
    factor: Annotated[float, Field(ge=0.001, le=1_000, allow_inf_nan=False)] = 1.0
    senders: Several[str] = ()
    receivers: Several[str] = ()
    jitter_ms: Annotated[float, Field(ge=0, le=MOST_MS, allow_inf_nan=False)] | None = None
    bandwidth_mbps: Annotated[float, Field(ge=LEAST_MBPS, le=MOST_MBPS, allow_inf_nan=False)] | None = None
    loss_rate: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    subject: _Number | None = None
    is_add: bool = True
    accounts: Several[_Number] = ()

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.until_s is not None and self.until_s < self.at_s + LEAST_S:
            raise ValueError(f"until_s: {self.until_s} is not after at_s, {self.at_s}")
        keys = _KEYS[self.kind]
        given = {name: getattr(self, name) for name in type(self).model_fields if _is_given(self, name)}
        for name in sorted(given.keys() - _EVERY - keys.needed - keys.one_of - keys.free):
            raise ValueError(f"{name}: a fault of kind {self.kind!r} takes none (got {given[name]!r})")
        for name in sorted(keys.needed - given.keys()):
            raise ValueError(f"{name}: a fault of kind {self.kind!r} needs one (got {getattr(self, name)!r})")
        if keys.one_of and not keys.one_of & given.keys():
            raise ValueError(f"{', '.join(sorted(keys.one_of))}: a fault of kind {self.kind!r} needs one of them")
        for name, numbers in (("nodes", self.nodes), ("accounts", self.accounts), ("groups", sum(self.groups, ()))):
            twice = [number for number in numbers if numbers.count(number) > 1]
            if twice:
                raise ValueError(f"{name}: {twice[0]} stands there twice")
        if 0 < abs(self.skew_ms) < _LEAST_SKEW_MS:
            raise ValueError(f"skew_ms: {self.skew_ms} is under a microsecond")
        return self

    def sides(self, nodes: int) -> set[int | None]:
        """Return the groups, by their place, that have any of so many nodes; None stands for those that are in none."""
        group_of = {number: place for place, group in enumerate(self.groups) for number in group}
        return {group_of.get(number) for number in range(nodes)}


class Byzantine(Settings):
    """A validator that does not keep to the rules: which, and how (a name in ``byzantine.ROLES``)."""

    node: _Number
    role: str

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if self.role not in ROLES:
            raise ValueError(f"role: {self.role!r} is none of {', '.join(ROLES)}")
        return self


class Variant(Settings):
    """The scenario once more, changed.

    Attributes:
        name: of its own.
        change: values by dotted key.
        warns_of: as of a scenario, which says it for itself as it stands alone.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    change: Annotated[dict[str, Any], Field(min_length=1)]
    warns_of: Warns = "nothing"

    @model_validator(mode="after")
    def _check_change(self) -> Self:
        for key, value in self.change.items():
            if key.split(".")[0] in _OWN:
                raise ValueError(f"change: {key!r} is not for a variant to change (got {value!r})")
        return self


_OWN = {"name", "about", "variant", "warns_of"}
