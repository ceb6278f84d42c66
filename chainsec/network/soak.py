"""Draws random networks with random faults within what QBFT bears, and plays them: none may fork, or stall for long.

Layer: network. Not here: judging what came out (``measure``).
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from chainsec.network.byzantine import ROLES
from chainsec.network.committee import most_faulty
from chainsec.network.measure import measure_variant
from chainsec.network.run import play_scenario
from chainsec.network.scenario import NetworkScenario
from chainsec.network.verdict import longest_stall_us

if TYPE_CHECKING:
    from chainsec.network.report_schema import VariantReport

__all__ = ["draw_schedule", "play_schedule"]

_CALM_S = 20
"""What is drawn has ended by then, but for nodes that lie or stay down."""
_MARGIN_S = 2
_OWN_EXECUTION = 4
"""In one of so many schedules every node executes every block; in the others one execution serves all."""
_SECOND_US = 1_000_000


def draw_schedule(number: int) -> NetworkScenario:
    """Return the schedule with this number: always the same.

    As many validators as QBFT bears, and never more, lie, crash, lose their disks, are cut off, or have clocks that are
    seconds off. Everybody may be slow, a little off in time, and badly connected for a while. In every fourth schedule
    each node executes for itself. It lasts until a network that makes no more blocks once all is calm has done so for
    longer than its faults account for.

    >>> draw_schedule(3) == draw_schedule(3)
    True
    """
    dice = Random(f"schedule {number}")  # noqa: S311 - a simulation's dice, no secrets
    nodes = dice.choice((4, 4, 4, 5, 7))
    faulty = dice.sample(range(nodes), dice.randint(0, most_faulty(nodes)))
    byzantine: list[dict[str, Any]] = []
    faults: list[dict[str, Any]] = []
    for node in faulty:
        if dice.random() < 0.4:  # noqa: PLR2004 - two of five lie, the others fail
            byzantine.append({"node": node, "role": dice.choice(sorted(ROLES))})
        else:
            faults += _failures(dice, node, nodes)
    faults += _weather(dice, nodes)
    drawn = NetworkScenario.model_validate(
        {
            "name": f"schedule {number}",
            "about": "Drawn at random, within what QBFT bears.",
            "seed": number,
            "network": {
                "nodes": nodes,
                "regions": _regions(dice),
                "has_gossip": dice.random() < 0.5,  # noqa: PLR2004 - even
                "is_execution_shared": number % _OWN_EXECUTION != 0,
            },
            "qbft": {
                "block_period_s": dice.choice((1, 2)),
                "request_timeout_s": dice.choice((2, 3)),
                "has_catch_up": dice.random() < 0.5,  # noqa: PLR2004 - even
            },
            "load": {"kind": "fixed", "rate_per_s": 1, "senders": 3},
            "fault": faults,
            "byzantine": byzantine,
        }
    )
    stall_s = longest_stall_us(drawn.qbft_settings, len(faulty)) / _SECOND_US
    return drawn.model_copy(update={"duration_s": _CALM_S + stall_s + _MARGIN_S})


def _regions(dice: Random) -> list[str]:
    return dice.sample(["us-east", "us-west", "uk", "germany", "brazil", "japan", "singapore"], 4)


def _span(dice: Random) -> dict[str, float]:
    at_s = dice.uniform(1, _CALM_S - 4)
    return {"at_s": round(at_s, 3), "until_s": round(dice.uniform(at_s + 0.5, _CALM_S), 3)}


def _failures(dice: Random, node: int, nodes: int) -> list[dict[str, Any]]:
    """Return what befalls a validator that counts as faulty."""
    kind = dice.choice(("crash", "crash", "wipe", "partition", "skew", "slow"))
    more: dict[str, Any] = {"nodes": [node]}
    if kind == "partition":
        more = {"groups": [[node], [other for other in range(nodes) if other != node]]}
    elif kind == "skew":
        more["skew_ms"] = dice.choice((-1, 1)) * dice.uniform(1_000, 6_000)
    elif kind == "slow":
        more["factor"] = dice.uniform(5, 40)
    found = [{"kind": kind, **_span(dice), **more}]
    if kind == "crash" and dice.random() < 0.3:  # noqa: PLR2004 - three of ten never come back
        del found[0]["until_s"]
    return found


def _weather(dice: Random, nodes: int) -> list[dict[str, Any]]:
    """Return what honest validators have to live with."""
    found: list[dict[str, Any]] = []
    if dice.random() < 0.5:  # noqa: PLR2004 - even
        found.append(
            {"kind": "links", **_span(dice), "factor": dice.uniform(1, 2.5), "loss_rate": dice.uniform(0, 0.02)}
        )
    if dice.random() < 0.5:  # noqa: PLR2004 - even
        node = dice.randrange(nodes)
        found.append({"kind": "slow", **_span(dice), "nodes": [node], "factor": dice.uniform(1, 3)})
    if dice.random() < 0.5:  # noqa: PLR2004 - even
        node = dice.randrange(nodes)
        found.append({"kind": "skew", **_span(dice), "nodes": [node], "skew_ms": dice.uniform(-300, 300)})
    return found


def play_schedule(number: int) -> VariantReport:
    """Play the schedule with this number, and return what came of it: once all is calm, no wait may be a stall."""
    return measure_variant(f"schedule {number}", play_scenario(draw_schedule(number)), calm_from_s=_CALM_S)
