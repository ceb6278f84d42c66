"""Published figures of real networks, and the simulator's at the same setting: how far off it is.

The machine's speed (``machine.Machine``) was read from the first set; the second is held against it unseen.
Layer: network. Not here: judging the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from chainsec.network.run import play_scenario
from chainsec.network.scenario import NetworkScenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["FAN", "WIKI", "Comparison", "compare_with_published"]

FAN = (
    "Fan et al. 2022 (IEEE DAPPS), raw data: Besu 21.10, 4 validators, 2 vCPU, LAN, QBFT 1 s; 1,000 transactions a run"
)
WIKI = "Besu wiki, Performance & Stability (2024): Besu 24.4, 4 validators, 4 vCPU, one zone, QBFT 2 s; stable load"
_FAN_OPEN = {100: (0.75, 92.1), 300: (0.87, 248.9), 500: (1.09, 339.1), 1_000: (1.48, 407.3)}
"""By transactions sent a second: mean latency in seconds, throughput in transactions a second."""
_WIKI_MOST = {"open": 1_200.0, "token": 645.0}
"""By action: the highest of the three published load layouts, where the clients do not limit it."""
_FAN_RUN = 1_000
_WIKI_S = 20.0
_SEND_FROM_S = 5.0
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class Comparison:
    """One published figure beside the simulator's."""

    source: str
    setting: str
    unit: str
    published: float
    simulated: float

    @property
    def error(self) -> float:
        """How far off the simulator is, as a share of the published figure.

        >>> Comparison("", "", "s", 2.0, 1.5).error
        -0.25
        """
        return self.simulated / self.published - 1


def compare_with_published(on_step: Callable[[str, int, int], None] = lambda *_: None) -> list[Comparison]:
    """Play every published setting and return the figures side by side."""
    found: list[Comparison] = []
    total = len(_FAN_OPEN) + len(_WIKI_MOST)
    for play in (_fan, _wiki):
        for comparisons in play():
            found += comparisons
            on_step("settings", min(total, len({(each.source, each.setting) for each in found})), total)
    return found


def _fan() -> Iterator[list[Comparison]]:
    for rate, (latency_s, throughput) in _FAN_OPEN.items():
        end_s = _SEND_FROM_S + _FAN_RUN / rate
        played = play_scenario(
            _scenario(
                {"kind": "fixed", "rate_per_s": rate, "from_s": _SEND_FROM_S, "until_s": end_s, "senders": 5},
                {"block_period_s": 1, "request_timeout_s": 2},
                duration_s=end_s + 10,
            )
        )
        sent, final = played.traffic.sent_us, played.traffic.final_us
        latency = mean((final[key] - sent[key]) / _SECOND_US for key in final)
        span_s = (max(final.values()) - min(sent.values())) / _SECOND_US
        setting = f"open, {rate} a second"
        yield [
            Comparison(FAN, setting, "s, mean latency", latency_s, latency),
            Comparison(FAN, setting, "transactions/s", throughput, len(final) / span_s),
        ]


def _wiki() -> Iterator[list[Comparison]]:
    for action, published in _WIKI_MOST.items():
        load = {"kind": "maximum", "action": action, "waiting": 6_000, "from_s": _SEND_FROM_S, "senders": 40}
        qbft = {"block_period_s": 2, "request_timeout_s": 10}
        played = play_scenario(_scenario(load, qbft, duration_s=_SEND_FROM_S + _WIKI_S))
        times = sorted(final / _SECOND_US for final in played.traffic.final_us.values())
        steady = [time_s for time_s in times if time_s > _SEND_FROM_S + _WIKI_S / 4]
        rate = len(steady) / (steady[-1] - (_SEND_FROM_S + _WIKI_S / 4)) if steady else 0.0
        yield [Comparison(WIKI, f"{action}, as much as it takes", "transactions/s", published, rate)]


def _scenario(load: Mapping[str, object], qbft: Mapping[str, object], *, duration_s: float) -> NetworkScenario:
    return NetworkScenario.model_validate(
        {
            "name": "calibration",
            "duration_s": duration_s,
            "network": {"nodes": 4, "matrix": "lan", "is_execution_shared": True},
            "qbft": qbft,
            "load": load,
        }
    )
