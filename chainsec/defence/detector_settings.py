"""How the watch over uses judges: windows, rates of false alarms, floors.

Layer: defence, below ``detectors``. Not here: what is done with any of it (``detectors``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DAY_S = 86_400
_LEAST_THRESHOLD = {
    "volume": 2.5,
    "mass_export": 2.5,
    "slow_volume": 4.0,
    "slow_export": 2.5,
    "beyond_scope": 2.6,
    "burst": 2.5,
    "odd_conduct": 2.3,
}


@dataclass(frozen=True)
class DetectorSettings:
    """How ``UseMonitor`` judges. Rates are expected false alarms of one requester in 30 days, for each kind.

    Args:
        alert_rate, revoke_rate, quarantine_rate: false alarms accepted for each response, falling, > 0.
        window_s: over which volumes, exports and oversteps are counted, seconds.
        burst_s: over which uses are counted, seconds.
        odd_s: over which odd uses are counted, seconds.
        odd_bits: surprise from which on a use is odd.
        half_life_days: of a requester's own baseline, in active days.
        strength_days: how many own days the peers' mean is worth.
        least_sd: floor of the standard deviation of ``log(1 + volume)``.
        drift_slack: standard deviations a day that slow drift forgives.
        export_ratio: multiple of the ordinary export rate that slow drift looks for.
        caution_sd: standard deviations by which the ordinary export rate is taken higher than estimated.
        silence_strength_days: added to the longest silence known.
        silence_ratio: multiple of that sum from which a sleeping account is alerted.
        settle_days: active days of a requester before their days set thresholds.
        calibration_days: fewest requester-days that set a threshold; fewer leave ``cold_threshold``.
        cold_threshold: thresholds for alert, revoke and quarantine before there is a history.
        least_threshold: floor of a set threshold, by kind: a history without events must not make one event a crime.
        least_steps: the same floor for alert, revoke and quarantine, as multiples.
        rearm_share: share of the threshold below which a statistic must fall before the same alarm is raised again.
    """

    alert_rate: float = 0.05
    revoke_rate: float = 0.02
    quarantine_rate: float = 0.004
    window_s: int = _DAY_S
    burst_s: int = 4 * 3_600
    odd_s: int = 3_600
    odd_bits: float = 8.0
    half_life_days: float = 14.0
    strength_days: float = 8.0
    least_sd: float = 0.45
    drift_slack: float = 0.4
    export_ratio: float = 3.0
    caution_sd: float = 1.0
    silence_strength_days: float = 5.0
    silence_ratio: float = 1.6
    settle_days: int = 2
    calibration_days: int = 40
    cold_threshold: tuple[float, float, float] = (5.0, 7.0, 10.0)
    least_threshold: Mapping[str, float] = field(default_factory=lambda: dict(_LEAST_THRESHOLD))
    least_steps: tuple[float, float, float] = (1.0, 1.25, 1.6)
    rearm_share: float = 0.6
