"""What a scenario file may say: the network, its load, what fails when, and the settings that are to be compared.

Every key is checked before anything runs; what is wrong is one line that names key and value.
Layer: network. Not here: what faults do (``faults``), running (``run``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from chainsec.config import Settings, first_problem
from chainsec.errors import BadInput, ConfigError
from chainsec.network.byzantine import ROLES
from chainsec.network.links import Matrix, load_matrix
from chainsec.network.machine import Machine
from chainsec.network.validator import QbftSettings

__all__ = ["Fault", "Load", "NetworkScenario", "load_scenario", "shipped_scenarios"]

MAX_NODES = 200
_Number = Annotated[int, Field(ge=0, lt=MAX_NODES)]
_Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
_Rate = Annotated[float, Field(gt=0, le=20_000, allow_inf_nan=False)]


class _NetworkSection(Settings):
    nodes: Annotated[int, Field(ge=1, le=MAX_NODES)] = 4
    validators: Annotated[int, Field(ge=1, le=MAX_NODES)] | None = None
    matrix: str = "wan"
    regions: tuple[str, ...] = ()
    has_gossip: bool = True
    is_execution_shared: bool = False
    permissions: Literal["open", "contract", "allowlist"] = "open"
    gas_limit: Annotated[int, Field(ge=8_000_000, le=1_000_000_000)] = 1_000_000_000  # contracts have to fit in


class _QbftSection(Settings):
    block_period_s: Annotated[int, Field(ge=1, le=3_600)] = 1
    request_timeout_s: Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)] = 4.0
    empty_block_period_s: Annotated[int, Field(ge=0, le=2**31)] = 0
    epoch_blocks: Annotated[int, Field(ge=1, lt=2**31)] = 30_000
    has_catch_up: bool = False
    round_change_repeat_s: Annotated[float, Field(ge=0, le=3_600)] = 0.0
    has_access_list: bool = True
    keeps_votes: bool = False
    starts_after_sync: bool = True
    restores_prepared_round: bool = True


class _MachineSection(Settings):
    transaction_us: Annotated[int, Field(ge=0, le=10**7)] = 205
    gas_per_us: _Positive = 400.0
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

    kind: Literal["none", "fixed", "linear", "maximum", "log"] = "none"
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
    speed_up: _Positive = 1.0

    @model_validator(mode="after")
    def _check_log(self) -> Self:
        if (self.kind == "log") != (self.log is not None):
            raise ValueError(f"log: kind is {self.kind!r} and log is {self.log!r}: one needs the other")
        return self


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
    """

    kind: Literal["crash", "wipe", "partition", "skew", "slow", "links", "vote", "allow"]
    at_s: _Seconds
    until_s: _Seconds | None = None
    nodes: tuple[_Number, ...] = ()
    groups: tuple[tuple[_Number, ...], ...] = ()
    skew_ms: Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)] = 0.0
    factor: _Positive = 1.0
    senders: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    jitter_ms: _Seconds | None = None
    bandwidth_mbps: _Positive | None = None
    loss_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    subject: _Number | None = None
    is_add: bool = True
    accounts: tuple[_Number, ...] = ()

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.until_s is not None and self.until_s <= self.at_s:
            raise ValueError(f"until_s: {self.until_s} is not after at_s, {self.at_s}")
        needed = {"crash": "nodes", "wipe": "nodes", "skew": "nodes", "slow": "nodes", "vote": "nodes"}
        needed |= {"partition": "groups", "allow": "accounts"}
        name = needed.get(self.kind)
        if name is not None and not getattr(self, name):
            raise ValueError(f"{name}: a fault of kind {self.kind!r} needs some (got ())")
        if self.kind == "vote" and self.subject is None:
            raise ValueError("subject: a vote is about somebody (got None)")
        if self.kind == "wipe" and self.until_s is None:
            raise ValueError("until_s: a wiped node comes back at some time (got None)")
        return self


class _Byzantine(Settings):
    node: _Number
    role: str

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if self.role not in ROLES:
            raise ValueError(f"role: {self.role!r} is none of {', '.join(ROLES)}")
        return self


class _Variant(Settings):
    name: Annotated[str, Field(min_length=1, max_length=80)]
    change: dict[str, Any]


class NetworkScenario(Settings):
    """A whole scenario.

    Attributes:
        name: what it is called.
        about: what it shows, in a sentence or two.
        seed: every key and every random choice follows from it.
        duration_s: virtual time that is simulated.
        warns_of: ``nothing``; or ``stall`` or ``fork``, where it goes beyond what QBFT promises and shows what happens.
        network, qbft, machine, load: see the classes.
        fault: what goes wrong.
        byzantine: who does not keep to the rules.
        min_gas_price_wei: what each node asks for, by number; free where omitted.
        variant: the same once more with changed settings, side by side: ``change`` by dotted key.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    about: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 7
    duration_s: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 60.0
    warns_of: Literal["nothing", "stall", "fork"] = "nothing"
    network: _NetworkSection = _NetworkSection()
    qbft: _QbftSection = _QbftSection()
    machine: _MachineSection = _MachineSection()
    load: Load = Load()
    fault: tuple[Fault, ...] = ()
    byzantine: tuple[_Byzantine, ...] = ()
    min_gas_price_wei: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = ()
    variant: tuple[_Variant, ...] = ()

    @property
    def validators(self) -> int:
        """How many of the nodes are validators at the beginning."""
        return self.network.validators or self.network.nodes

    @property
    def qbft_settings(self) -> QbftSettings:
        """What the genesis fixes."""
        return QbftSettings(**self.qbft.model_dump())

    @property
    def machine_model(self) -> Machine:
        """How fast nodes work."""
        return Machine(**self.machine.model_dump())

    @model_validator(mode="after")
    def _check_nodes(self) -> Self:
        nodes = self.network.nodes
        if self.validators > nodes:
            raise ValueError(f"network.validators: {self.validators} of {nodes} nodes")
        for key, numbers in self._named_nodes():
            for number in numbers:
                if number >= nodes:
                    raise ValueError(f"{key}: no node {number} among {nodes}: they count from 0")
        if len(self.min_gas_price_wei) > nodes:
            raise ValueError(f"min_gas_price_wei: {len(self.min_gas_price_wei)} prices for {nodes} nodes")
        roles = [role.node for role in self.byzantine]
        if len(set(roles)) != len(roles):
            raise ValueError("byzantine: one node has two roles")
        if len(roles) >= self.validators:
            raise ValueError(f"byzantine: {len(roles)} of {self.validators} validators: nobody honest is left")
        return self

    def _named_nodes(self) -> list[tuple[str, tuple[int, ...]]]:
        named: list[tuple[str, tuple[int, ...]]] = []
        for place, fault in enumerate(self.fault):
            named.append((f"fault.{place}.nodes", fault.nodes))
            named += [(f"fault.{place}.groups", group) for group in fault.groups]
            named.append((f"fault.{place}.subject", () if fault.subject is None else (fault.subject,)))
        named.append(("byzantine.node", tuple(role.node for role in self.byzantine)))
        named.append(("load.entry", () if self.load.entry is None else (self.load.entry,)))
        return named

    def matrix(self, folder: Path | None = None) -> Matrix:
        """Return the links, which hold every region that is named.

        Raises:
            BadInput: no such matrix, or a region or a pair is missing in it.
        """
        matrix = load_matrix(self.network.matrix, folder)
        matrix.require([*self.network.regions, *self.places(matrix)], "network.regions")
        for place, fault in enumerate(self.fault):
            for key in ("senders", "receivers"):
                for region in getattr(fault, key):
                    matrix.require([region], f"fault.{place}.{key}")
        return matrix

    def places(self, matrix: Matrix) -> tuple[str, ...]:
        """Return each node's region: the named ones in turn, or all that there are."""
        regions = self.network.regions or matrix.regions
        return tuple(regions[number % len(regions)] for number in range(self.network.nodes))

    def variants(self) -> list[tuple[str, NetworkScenario]]:
        """Return the scenario as it stands, and each of its variants, with their names."""
        bare = self.model_copy(update={"variant": ()})
        return [("as it stands", bare), *((each.name, _changed(bare, each)) for each in self.variant)]


def _changed(scenario: NetworkScenario, variant: _Variant) -> NetworkScenario:
    content: dict[str, Any] = scenario.model_dump(mode="python")
    for key, value in variant.change.items():
        *sections, last = key.split(".")
        target = content
        for section in sections:
            target = target.get(section, {}) if isinstance(target, Mapping) else {}
        if last not in target:
            raise ConfigError(f"variant {variant.name!r}: unknown key {key!r}")
        target[last] = value
    return _validated(content, f"variant {variant.name!r}")


def _validated(content: Any, where: str) -> NetworkScenario:
    try:
        return NetworkScenario.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_problem(error)}") from error


def shipped_scenarios() -> dict[str, Path]:
    """Return the scenarios that come with the package, by name.

    >>> "healthy-wan" in shipped_scenarios()
    True
    """
    folder = Path(str(files("chainsec.network") / "scenarios"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_scenario(name: str, seed: int | None = None) -> tuple[NetworkScenario, Path]:
    """Return a scenario that ships with the package, or one from a TOML file, and the file.

    Its variants, its matrix and its regions are checked too.

    Args:
        name: of a shipped one, or a path.
        seed: takes the place of the file's.

    Raises:
        BadInput: no such scenario.
        ConfigError: names the key that is wrong, and its value.
    """
    path = shipped_scenarios().get(name, Path(name))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(shipped_scenarios())
        raise BadInput(f"{name}: no such file, and no scenario of that name; there are {known}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}", path=str(path)) from error
    scenario = _validated(content if seed is None else content | {"seed": seed}, str(path))
    try:
        for _, variant in scenario.variants():
            variant.matrix(path.parent)
    except (ConfigError, BadInput) as error:
        raise ConfigError(f"{path}: {error}", path=str(path)) from error
    return scenario, path
