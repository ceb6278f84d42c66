"""What a scenario file may say: the network, its load, what fails when, and the settings that are to be compared.

Every key is checked before anything runs; what is wrong is one line that names key and value, and so is what could have
no effect. Layer: network. Not here: what each section may say by itself (``sections``), what faults do (``faults``),
running (``run``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from chainsec.config import Settings, Several, first_problem
from chainsec.errors import BadInput, ConfigError
from chainsec.network.faults import links_over_time, slowness_of
from chainsec.network.links import Matrix, load_matrix
from chainsec.network.machine import Machine
from chainsec.network.sections import (
    LEAST_S,
    Byzantine,
    Fault,
    Load,
    MachineSection,
    NetworkSection,
    QbftSection,
    Variant,
    Warns,
)
from chainsec.network.surroundings import QbftSettings

__all__ = ["NetworkScenario", "load_scenario", "shipped_scenarios"]

_AS_IT_STANDS = "as it stands"
_MOST_FAULTS = 200
_MOST_SLOWNESS = 1e6
_SHOWN = 40


class NetworkScenario(Settings):
    """A whole scenario.

    Attributes:
        name: what it is called.
        about: what it shows, in a sentence or two.
        seed: every key and every random choice follows from it.
        duration_s: virtual time that is simulated.
        warns_of: ``nothing``; or ``stall`` or ``fork``, where it goes beyond what QBFT promises and shows what happens.
            It holds for the scenario as it stands; each variant says for itself what it warns of.
        network, qbft, machine, load: see the classes.
        fault: what goes wrong.
        byzantine: who does not keep to the rules.
        min_gas_price_wei: what each node asks for, by number; free where omitted.
        variant: the same once more with changed settings, side by side: ``change`` by dotted key.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    about: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 7
    duration_s: Annotated[float, Field(ge=LEAST_S, le=1e6, allow_inf_nan=False)] = 60.0
    warns_of: Warns = "nothing"
    network: NetworkSection = NetworkSection()
    qbft: QbftSection = QbftSection()
    machine: MachineSection = MachineSection()
    load: Load = Load(kind="none")
    fault: Annotated[Several[Fault], Field(max_length=_MOST_FAULTS)] = ()
    byzantine: Several[Byzantine] = ()
    min_gas_price_wei: Several[Annotated[int, Field(ge=0, lt=2**63)]] = ()
    variant: Several[Variant] = ()

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
        voted_in = {fault.subject for fault in self.fault if fault.kind == "vote" and fault.is_add}
        for place, role in enumerate(self.byzantine):
            if role.node >= self.validators and role.node not in voted_in:
                raise ValueError(f"byzantine.{place}.node: {role.node} is none of {self.validators} validators")
        return self

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.load.kind != "none" and self.load.from_s >= self.duration_s:
            raise ValueError(f"load.from_s: {self.load.from_s} is not before the end, duration_s {self.duration_s}")
        for place, fault in enumerate(self.fault):
            if fault.at_s >= self.duration_s:
                raise ValueError(
                    f"fault.{place}.at_s: {fault.at_s} is not before the end, duration_s {self.duration_s}"
                )
        return self

    @model_validator(mode="after")
    def _check_faults(self) -> Self:
        for place, fault in enumerate(self.fault):
            if fault.kind == "allow" and self.network.permissions == "open":
                raise ValueError(f"fault.{place}.kind: 'allow' has no effect where network.permissions is 'open'")
            if fault.kind == "partition" and len(fault.sides(self.network.nodes)) == 1:
                raise ValueError(f"fault.{place}.groups: {fault.groups}: everybody stays together")
            if fault.kind == "links" and self.network.nodes == 1:
                raise ValueError(f"fault.{place}.kind: 'links' has no effect on network.nodes, 1")
            for account in fault.accounts:
                if account >= self.load.senders:
                    raise ValueError(
                        f"fault.{place}.accounts: no account {account} among load.senders, {self.load.senders}"
                    )
            together = [other for other in self.fault if other.at_s <= fault.at_s < (other.until_s or self.duration_s)]
            for node in fault.nodes if fault.kind == "slow" else ():
                slowness = slowness_of(together, node)
                if not 1 / _MOST_SLOWNESS <= slowness <= _MOST_SLOWNESS:
                    raise ValueError(f"fault.{place}.factor: {fault.factor}: with others node {node} is {slowness:g}")
        return self

    @model_validator(mode="after")
    def _check_variants(self) -> Self:
        names = [_AS_IT_STANDS, *(variant.name for variant in self.variant)]
        for place, name in enumerate(names[1:]):
            if name in names[: place + 1]:
                raise ValueError(f"variant.{place}.name: there is another {name!r}")
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
                    if region not in self.places(matrix):
                        raise BadInput(f"fault.{place}.{key}: no node stands in {region!r}", region=region)
        self._check_links(matrix)
        return matrix

    def _check_links(self, matrix: Matrix) -> None:
        places = dict.fromkeys(self.places(matrix))
        for sender in places:
            for receiver in places:
                try:
                    links_over_time(self.fault, sender, receiver, matrix.link(sender, receiver))
                except ValueError as error:
                    raise BadInput(f"{error} from {sender!r} to {receiver!r}") from error

    def places(self, matrix: Matrix) -> tuple[str, ...]:
        """Return each node's region: the named ones in turn, or all that there are."""
        regions = self.network.regions or matrix.regions
        return tuple(regions[number % len(regions)] for number in range(self.network.nodes))

    def require_effect(self) -> None:
        """Check that roles can do what they are for.

        Raises:
            ConfigError: a forbidden transaction where nothing is forbidden.
        """
        for place, role in enumerate(self.byzantine):
            if role.role == "forbidden-transaction" and self.network.permissions == "open":
                raise ConfigError(
                    f"byzantine.{place}.role: {role.role!r} has no effect where network.permissions is 'open'"
                )

    def variants(self) -> list[tuple[str, NetworkScenario]]:
        """Return the scenario as it stands, and each of its variants, with their names."""
        bare = self.model_copy(update={"variant": ()})
        return [(_AS_IT_STANDS, bare), *((each.name, _changed(bare, each)) for each in self.variant)]


def _changed(scenario: NetworkScenario, variant: Variant) -> NetworkScenario:
    content: dict[str, Any] = scenario.model_dump(mode="python") | {"warns_of": variant.warns_of}
    for key, value in variant.change.items():
        *sections, last = key.split(".")
        target: Any = content
        for section in sections:
            target = target.get(section) if isinstance(target, Mapping) else None
        if not isinstance(target, dict) or last not in target:
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


def _parse(text: str) -> dict[str, Any]:
    """Return what a TOML file says. Raises: ValueError: it is none."""
    try:
        content = tomllib.loads(text)
        repr(content)  # what is wrong will be shown
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # a number has more digits than Python reads, or writes
        number, line = max(enumerate(text.splitlines(), 1), key=lambda item: len(item[1]))
        raise ValueError(f"line {number}: {line[:_SHOWN]}... has too many digits") from error
    return content


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
        content = _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(shipped_scenarios())
        raise BadInput(f"{name}: no such file, and no scenario of that name; there are {known}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}", path=str(path)) from error
    scenario = _validated(content if seed is None else content | {"seed": seed}, str(path))
    try:
        for _, variant in scenario.variants():
            variant.matrix(path.parent)
            variant.require_effect()
    except (ConfigError, BadInput) as error:
        raise ConfigError(f"{path}: {error}", path=str(path)) from error
    return scenario, path
