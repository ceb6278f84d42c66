"""All settings, frozen, with their units and safe defaults; reads them from TOML and from the environment.

Layer: bottom, above ``purposes``. Not here: what the settings do; mappings of logs, which have a TOML of their own.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from chainsec.errors import ConfigError

_SHOWN_CHARS = 120
Positive = Annotated[int, Field(gt=0, lt=2**63)]
Seconds = Annotated[int, Field(gt=0, lt=2**32)]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Item = TypeVar("_Item")
Several = Annotated[tuple[_Item, ...], Field(strict=False)]
"""An array of TOML or JSON, which have no tuples; its items are as strict as everything else."""


class Settings(BaseModel):
    """Base of every settings section: frozen; unknown keys are refused, and so is ``true`` or ``"4"`` for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ChainSettings(Settings):
    """The chain that a run makes.

    Attributes:
        chain_id: EIP-155 chain id.
        genesis_time_s: Unix time of block 0.
        block_interval_s: least time between two blocks, at least 1.
        transaction_gas: gas limit of each transaction; 50 of the largest fill a block.
        batch_size: requests or decisions in one transaction, at most.
    """

    chain_id: Positive = 1337
    genesis_time_s: Annotated[int, Field(gt=0, lt=2**39)] = 1_767_225_600
    block_interval_s: Seconds = 2
    transaction_gas: Annotated[int, Field(gt=0, le=20_000_000)] = 15_000_000
    batch_size: Annotated[int, Field(gt=0, le=200)] = 50


class Limits(Settings):
    """What the Sentinel lets the agent do; see ``ISentinel.Limits``.

    Attributes:
        sensitivity_ceiling: the agent grants nothing more sensitive, 0 to 3.
        window_s: length of a budget window.
        grants_per_window: grants in one window.
        restrictions_per_window: revocations and quarantines in one window.
        max_quarantine_s: longest quarantine.
        max_grant_s: longest grant.
    """

    sensitivity_ceiling: Annotated[int, Field(ge=0, le=3)] = 2
    window_s: Annotated[int, Field(gt=0, lt=2**24)] = 86_400
    grants_per_window: Annotated[int, Field(ge=0, lt=2**24)] = 500
    restrictions_per_window: Annotated[int, Field(ge=0, lt=2**24)] = 40
    max_quarantine_s: Annotated[int, Field(gt=0, lt=2**32)] = 3 * 86_400
    max_grant_s: Annotated[int, Field(gt=0, lt=2**32)] = 7 * 86_400


class DecisionCosts(Settings):
    """What errors cost, in any one unit; the policy takes the cheapest verdict.

    Attributes:
        wrong_grant: letting the wrong one in, by sensitivity 0 to 3.
        wrong_denial: turning the right one away.
        escalation: asking a guardian.
        caution: what a wrong grant costs more, as a factor, while the worth of the agent's model is in doubt.
    """

    wrong_grant: Annotated[tuple[Cost, Cost, Cost, Cost], Field(strict=False)] = (9.0, 13.0, 18.0, 26.0)
    wrong_denial: Cost = 20.0
    escalation: Cost = 2.0
    caution: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0

    def wrong_grants(self, *, careful: bool) -> tuple[float, ...]:
        """Return what letting the wrong one in costs, by sensitivity 0 to 3, ordinarily or while careful."""
        return tuple(cost * self.caution for cost in self.wrong_grant) if careful else self.wrong_grant


class RenewalSettings(Settings):
    """When the agent looks for a better model.

    Attributes:
        enabled: whether it does at all.
        reference_events: how many scores or labels tell what is usual, before drift is looked for.
        events_per_false_alarm: of those between two false alarms, on average at least.
        fresh_labels: labels of requests made after an alarm before a challenger is trained.
        trial_labels: labels of requests that both models scored before one of them is chosen.
        patience_events: requests after an alarm by which a trial ends in any case.
    """

    enabled: bool = True
    reference_events: Annotated[int, Field(ge=20, lt=2**31)] = 400
    events_per_false_alarm: Annotated[int, Field(gt=1, lt=2**53)] = 20_000
    fresh_labels: Positive = 40
    trial_labels: Positive = 80
    patience_events: Positive = 4_000


class AgentSettings(Settings):
    """How the agent answers.

    Attributes:
        reasons: how many reasons a receipt names.
        quarantine_s: how long a quarantine lasts, at most ``limits.max_quarantine_s``.
        context_time_tolerance_s: how far the time in a request's context may lie from that of its block, at least
            ``run.tick_s``; where it lies further, the request is refused.
    """

    reasons: Annotated[int, Field(gt=0, le=20)] = 4
    quarantine_s: Seconds = 86_400
    context_time_tolerance_s: Seconds = 2 * 86_400


class RunSettings(Settings):
    """How a scenario is played.

    Attributes:
        tick_s: gateways hand in what has come up every so many simulated seconds.
        guardian_delay_s: how often guardians sit down to what was escalated; an answer takes up to one of these.
        guardian_error_rate: share of escalations that guardians judge wrongly, 0 to 1.
        guardian_answers: how many they look at in one sitting; requesters take turns, and the rest waits for the next.
        anchor_interval_s: how often off-chain records are anchored.
        has_clock: whether requests carry times; a run sets it to what its log has, false where times only count rows.
        time_offset_s: how much later it is on the chain than in the workload; a run on a node whose chain began after
            the workload sets it, in process it is none.
    """

    tick_s: Positive = 3_600
    guardian_delay_s: Positive = 3_600
    guardian_error_rate: Annotated[float, Field(ge=0, le=1)] = 0.03
    guardian_answers: Positive = 10_000
    anchor_interval_s: Positive = 86_400
    has_clock: bool = True
    time_offset_s: Annotated[int, Field(ge=0, lt=2**39)] = 0


class Config(Settings):
    """Everything that shapes a run besides its workload.

    Attributes:
        seed: every random choice follows from it.
        chain: the chain that a run makes.
        limits: what the contract lets the agent do.
        costs: what errors cost.
        agent: how the agent answers.
        renewal: when the agent looks for a better model.
        run: how a scenario is played.

    Raises:
        pydantic.ValidationError: an unknown key, a value out of range, or two that rule each other out.

    >>> Config(seed=7).chain.chain_id
    1337
    """

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 7
    chain: ChainSettings = ChainSettings()
    limits: Limits = Limits()
    costs: DecisionCosts = DecisionCosts()
    agent: AgentSettings = AgentSettings()
    renewal: RenewalSettings = RenewalSettings()
    run: RunSettings = RunSettings()

    @model_validator(mode="after")
    def _fit_limits(self) -> Self:
        if self.agent.quarantine_s > self.limits.max_quarantine_s:
            raise ValueError(
                f"agent.quarantine_s is {self.agent.quarantine_s}, over limits.max_quarantine_s,"
                f" {self.limits.max_quarantine_s}: the contract would refuse every quarantine"
            )
        if self.agent.context_time_tolerance_s < self.run.tick_s:
            raise ValueError(
                f"agent.context_time_tolerance_s is {self.agent.context_time_tolerance_s}, under run.tick_s,"
                f" {self.run.tick_s}: what gateways hand in late would be refused"
            )
        return self


def load_config(path: Path | None = None, **overrides: Any) -> Config:
    """Read a TOML file of settings; keyword arguments take precedence, key by key within a section.

    Args:
        path: the file; without it everything has its default.
        overrides: values, or mappings for whole sections.

    Raises:
        ConfigError: the file is missing or not TOML, a key is unknown, or a value out of range.
    """
    content: dict[str, Any] = {}
    if path is not None:
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}", path=str(path)) from error
    try:
        return Config.model_validate(_merge(content, overrides))
    except ValidationError as error:
        raise ConfigError(f"{path or 'settings'}: {first_problem(error)}", path=path and str(path)) from error


def _merge(content: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(content)
    for key, value in overrides.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def first_problem(error: ValidationError) -> str:
    """Say in one line which key is wrong, and how."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}"
    if problem["type"] == "value_error":  # a rule between keys names them itself
        return f"{key}.".lstrip(".") + problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{key}: is missing"
    got = repr(problem["input"])
    return f"{key}: {problem['msg']} (got {got if len(got) <= _SHOWN_CHARS else f'{got[:_SHOWN_CHARS]}...'})"


def data_directory() -> Path | None:
    """Return the folder of real data sets named by ``CHAINSEC_DATA``, or None."""
    folder = os.environ.get("CHAINSEC_DATA")
    return Path(folder) if folder else None


def interpreter_choice() -> Literal["fast", "py-evm"]:
    """Return which loop runs contract code: ``CHAINSEC_VM``, "fast" where it is unset or empty.

    Raises:
        ConfigError: it names no loop.
    """
    choice = os.environ.get("CHAINSEC_VM") or "fast"
    if choice not in {"fast", "py-evm"}:
        raise ConfigError(f"CHAINSEC_VM={choice}: choose fast or py-evm", key="CHAINSEC_VM")
    return "py-evm" if choice == "py-evm" else "fast"
