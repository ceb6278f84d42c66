"""Pasts that forecasts are learned from and tested on: simulated hospitals, and the user-days of CERT r4.2.

Layer: evaluation. Not here: scores of forecasts (``forecast_scores``), the study (``forecast``).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from chainsec.defence.training import train_risk_model
from chainsec.errors import BadInput
from chainsec.evaluation.folder import find_file, read_columns
from chainsec.evaluation.life import known_labels, observe_all
from chainsec.evaluation.user_days import FIGURES_FILE, read_user_days
from chainsec.models.forecast_learning import Past
from chainsec.models.forecaster import DAY_S, Asked
from chainsec.scenarios.clinic import START_S
from chainsec.scenarios.hospital import hospital

if TYPE_CHECKING:
    from pathlib import Path

    from chainsec.scenarios.workload import Workload

_DAYS, _HISTORY_DAYS = 30, 12
_NOON_S = DAY_S // 2


class HospitalPasts(NamedTuple):
    """One hospital's requests, by requester in groups of a role, and by asset in groups of a kind of record."""

    requesters: Past
    assets: Past


def play_hospital(seed: int) -> HospitalPasts:
    """Return what happens in the hospital of a seed; forecasts are wanted each midnight of its live part.

    The risk of a request is the score of the risk model that was trained on the history and learns labels as they
    come to light; of requests of the history no risk is known. Guardians are not asked.
    """
    workload = hospital(seed, days=_DAYS, history_days=_HISTORY_DAYS)
    risks = [0.0] * len(workload.history) + _score_live(workload)
    attempts = (*workload.history, *workload.live)
    roles = {member.name: "" for member in workload.members}
    roles |= {attempt.requester: attempt.attributes["role"] for attempt in attempts}
    kinds = {record.name: record.name.rpartition("/")[2] for record in workload.records}
    asked = [
        Asked(
            attempt.time_s, attempt.requester, roles[attempt.requester], risk, bool(attempt.denied), attempt.label_at_s
        )
        for attempt, risk in zip(attempts, risks, strict=True)
    ]
    of_assets = [
        each._replace(key=attempt.asset, group=kinds[attempt.asset])
        for each, attempt in zip(asked, attempts, strict=True)
    ]
    midnights_s = [START_S + day * DAY_S for day in range(_HISTORY_DAYS, _DAYS)]
    return HospitalPasts(
        *(
            Past(requests, groups, START_S, dict.fromkeys(midnights_s, tuple(groups)), START_S + _DAYS * DAY_S)
            for requests, groups in ((asked, roles), (of_assets, kinds))
        )
    )


def _score_live(workload: Workload) -> list[float]:
    """Return the risk of each live request when it was made."""
    model = train_risk_model(observe_all(workload.history, workload, "history-"), known_labels(workload.history))
    live, scores, agenda = observe_all(workload.live, workload, "live-"), [], list[tuple[int, int]]()
    for place, (observation, attempt) in enumerate(zip(live, workload.live, strict=True)):
        while agenda and agenda[0][0] <= observation.time_s:
            known = heapq.heappop(agenda)[1]
            model.learn(live[known], denied=bool(workload.live[known].denied))
        scores.append(model.score(model.features(observation)))
        model.observe(observation)
        if attempt.label_at_s is not None:
            heapq.heappush(agenda, (attempt.label_at_s, place))
    return scores


def read_cert_pasts(folder: Path, n_learned: int, delay_s: int) -> tuple[Past, Past]:
    """Return the first ``n_learned`` user-days, and all of them with forecasts wanted for the later ones alone.

    A user-day is one request at noon, bad on a day of abuse; that is known ``delay_s`` later. Forecasts are wanted for
    the days that are in the sample, at their beginning.

    Raises:
        BadInput: as for ``read_user_days``, or a date is none, or comes before that of the line above.
    """
    days, path = read_user_days(folder), find_file(folder, FIGURES_FILE)
    dates = read_columns(path, ("date",))["date"]
    times_s: list[int] = []
    for line, date in enumerate(dates, 2):
        try:
            times_s.append(int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()))
        except ValueError as error:
            raise BadInput(f"{path}: line {line}: date is {date!r}", line=line) from error
        if len(times_s) > 1 and times_s[-1] < times_s[-2]:
            raise BadInput(f"{path}: line {line}: its date comes before that of the line above", line=line)
    asked = [
        Asked(time_s + _NOON_S, person, "", 0.0, is_abuse, time_s + _NOON_S + delay_s)
        for time_s, person, is_abuse in zip(times_s, days.people.tolist(), days.is_abuse.tolist(), strict=True)
    ]

    def past(first: int, end: int) -> Past:
        wanted = defaultdict(list)
        for time_s, each in zip(times_s[first:end], asked[first:end], strict=True):
            wanted[time_s].append(each.key)
        return Past(asked[:end], {}, times_s[0], wanted, times_s[end - 1] + DAY_S)

    return past(0, n_learned), past(n_learned, len(asked))
