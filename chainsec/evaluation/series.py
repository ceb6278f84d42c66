"""Study: series of the Numenta Anomaly Benchmark, watched without labels and without looking ahead.

Layer: evaluation. Not here: the scorer (``nab``), the watch (``chainsec.models.series``).
"""

from __future__ import annotations

import csv
import json
import lzma
import math
import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chainsec.errors import BadInput
from chainsec.evaluation.folder import find_file, read_text
from chainsec.evaluation.nab import LOW_FALSE_NEGATIVES, LOW_FALSE_POSITIVES, STANDARD, Labelled, Sweep
from chainsec.evaluation.outcome import Figure, Line, Outcome, Plot
from chainsec.models.series import SeriesDetector, SeriesSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CORPUS, WINDOWS, RESULTS = "nab/nab_corpus.tar.xz", "nab/combined_windows.json", "nab/final_results.json"
_RESAMPLES = 200
_LOOKS = (
    "A first scan of 54 settings, which were told the range, was scored on the whole corpus. After that settings were "
    "chosen on the one half alone, and the other was looked at once."
)
_REST_RATE = 1 / 8
"""Length of the rest after an alarm, as a share of the probationary period."""

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One series of the corpus.

    Args:
        name: folder and file.
        values: shape (length,).
        labelled: its windows.
    """

    name: str
    values: Vector
    labelled: Labelled


def read_corpus(folder: Path) -> list[Series]:
    """Return the series in the order of their names.

    Raises:
        BadInput: a file is missing or unreadable, a value is no number, or a window lies outside its series.
    """
    path = find_file(folder, CORPUS)
    windows = json.loads(read_text(find_file(folder, WINDOWS)))
    found = []
    try:
        with tarfile.open(path) as packed:
            files = sorted((f.name, f) for f in packed.getmembers() if f.name.startswith("data/") and f.isfile())
            for name, member in files:
                opened = packed.extractfile(member)
                if opened is None or not name.endswith(".csv"):
                    continue
                text = opened.read().decode()
                found.append(_read_series(name.removeprefix("data/"), text, windows))
    except (OSError, tarfile.TarError, lzma.LZMAError, ValueError, KeyError) as error:
        raise BadInput(f"{path}: cannot be read: {error}", path=str(path)) from error
    return found


def _read_series(name: str, text: str, windows: dict[str, list[list[str]]]) -> Series:
    rows = list(csv.reader(text.splitlines()))[1:]
    place_of: dict[str, int] = {}
    for place, row in enumerate(rows):
        place_of.setdefault(row[0], place)
    bounds = tuple(
        (place_of[first.partition(".")[0]], place_of[last.partition(".")[0]]) for first, last in windows[name]
    )
    return Series(name, np.array([float(row[1]) for row in rows]), Labelled(len(rows), bounds))


def split_corpus(corpus: Sequence[Series]) -> tuple[list[int], list[int]]:
    """Return the places of the series that settings were chosen on, and of those held out: half of each folder each.

    Within a folder series are ordered by the CRC-32 of their names, and every other one is held out.
    """
    folders: dict[str, list[int]] = {}
    for place, series in enumerate(corpus):
        folders.setdefault(series.name.partition("/")[0], []).append(place)
    chosen: list[int] = []
    held_out: list[int] = []
    for places in folders.values():
        ordered = sorted(places, key=lambda place: zlib.crc32(corpus[place].name.encode()))
        chosen += ordered[::2]
        held_out += ordered[1::2]
    return sorted(chosen), sorted(held_out)


def watch(series: Series, *, knows_range: bool = False) -> Vector:
    """Return the watch's scores, one a row; shape (length,).

    Args:
        series: what is watched.
        knows_range: give it the lowest and highest value of the whole series, as the benchmark gives them to all.
    """
    values, probation = series.values, max(2, series.labelled.probation)
    low, high = float(values.min()), float(values.max())
    detector = SeriesDetector(
        SeriesSettings(
            learn_values=probation,
            rest_values=math.floor(_REST_RATE * probation),
            known_range=(low, high) if knows_range and low < high else None,
        )
    )
    return np.array([detector.observe(float(row), value) for row, value in enumerate(values.tolist())])


def windowed_gaussian(values: Vector, size: int = 6_400, step: int = 100) -> Vector:
    """Return the benchmark's windowed Gaussian: how far a value lies out in the normal distribution of those before it.

    Rounded to the 12 digits that the published scores were computed from.

    Source: the benchmark's published detector of that name.
    """
    found, waiting = np.zeros(len(values)), 0
    first, last = 0, 0
    mean, spread = 0.0, 1e-6
    for row, value in enumerate(values.tolist()):
        if row:
            found[row] = float(f"{1.0 - 0.5 * math.erfc(abs(value - mean) / spread / 1.4142):.12g}")
        if row < size:
            last = row + 1
        else:
            waiting += 1
            if waiting < step:
                continue
            waiting, first, last = 0, first + step, last + step
        mean, spread = float(values[first:last].mean()), float(values[first:last].std()) or 1e-6
    return found


@dataclass(frozen=True)
class SeriesStudy:
    """Implements ``Study``."""

    name: str = "series"
    title: str = "data quality: anomalies in series of values"

    def run(self, folder: Path, seed: int, on_step: Callable[[str, int, int], None]) -> Outcome:
        """Watch every series once with its range unknown, once known; see ``Study``."""
        corpus = read_corpus(folder)
        reference = json.loads(read_text(find_file(folder, RESULTS)))
        ours: list[Vector] = []
        told: list[Vector] = []
        gaussian: list[Vector] = []
        for done, series in enumerate(corpus):
            on_step("series", done, len(corpus))
            ours.append(watch(series))
            told.append(watch(series, knows_range=True))
            gaussian.append(windowed_gaussian(series.values))
        on_step("series", len(corpus), len(corpus))
        known = [series.labelled for series in corpus]
        sweep, beside = Sweep(known, ours), Sweep(known, gaussian)
        threshold = sweep.best_threshold(STANDARD)
        chosen, held_out = split_corpus(corpus)
        halves = [Sweep([known[i] for i in half], [ours[i] for i in half]) for half in (chosen, held_out)]
        decided = halves[0].best_threshold(STANDARD)
        low, high = _interval(known, ours, threshold, seed)
        with_range = Sweep(known, told)
        figures = (
            Figure(
                "NAB standard score, range not known",
                sweep.normalised(threshold, STANDARD),
                low,
                high,
                published=reference["ARTime"]["standard"],
                published_by="ARTime; HTM 70.1, CAD-OSE 69.9, KNN-CAD 58.0, RCF 51.7",
                asked=55.0,
            ),
            Figure(
                "the same, told the range as the benchmark tells all detectors",
                with_range.normalised(with_range.best_threshold(STANDARD), STANDARD),
            ),
            Figure("standard score, half that settings were chosen on", halves[0].normalised(decided, STANDARD)),
            Figure("standard score, held-out half at the other's threshold", halves[1].normalised(decided, STANDARD)),
            *(
                Figure(
                    f"{profile.name}, range not known",
                    sweep.normalised(sweep.best_threshold(profile), profile),
                    published=reference["ARTime"].get(profile.name),
                    published_by="ARTime",
                )
                for profile in (LOW_FALSE_POSITIVES, LOW_FALSE_NEGATIVES)
            ),
            Figure(
                "windowed Gaussian by our scorer: the published score, exactly",
                beside.normalised(beside.best_threshold(STANDARD), STANDARD),
                published=reference["windowedGaussian"]["standard"],
                published_by="the same detector",
            ),
        )
        rows = sum(series.labelled.length for series in corpus)
        return Outcome(
            study=self.name,
            data=f"NAB, {len(corpus)} series, {rows:,} rows, {sweep.windows} windows",
            protocol=(
                "One value at a time, without labels and without looking ahead; one threshold for all series, the best "
                "one, as the benchmark has it. Settings were chosen on half of the series of each folder."
            ),
            seed=seed,
            figures=figures,
            plots=(
                _found_early(
                    corpus,
                    (("ours", ours, threshold), ("windowed Gaussian", gaussian, beside.best_threshold(STANDARD))),
                ),
            ),
            notes=(_LOOKS,),
        )


def _interval(known: Sequence[Labelled], alarms: Sequence[Vector], threshold: float, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the standard score over resamples of whole series."""
    draw = np.random.default_rng([seed, 3])
    each = [Sweep([labelled], [alarm]) for labelled, alarm in zip(known, alarms, strict=True)]
    raw = np.array([sweep.raw(threshold, STANDARD) for sweep in each])
    windows = np.array([sweep.windows for sweep in each])
    scores = []
    for _ in range(_RESAMPLES):
        rows = draw.integers(len(each), size=len(each))
        total = windows[rows].sum()
        scores.append(100.0 * (raw[rows].sum() + total) / (2.0 * total))
    low, high = np.percentile(scores, (2.5, 97.5))
    return float(low), float(high)


def _found_early(corpus: Sequence[Series], detectors: Sequence[tuple[str, list[Vector], float]]) -> Plot:
    """Return the share of windows with an alarm by the part of the window that has gone by."""
    at = np.linspace(0.0, 1.0, 21)
    lines = []
    for name, alarms, threshold in detectors:
        first: list[float] = []
        for series, alarm in zip(corpus, alarms, strict=True):
            for begin, end in series.labelled.windows:
                hits = np.flatnonzero(alarm[begin : end + 1] >= threshold)
                first.append(float(hits[0]) / (end - begin + 1) if len(hits) else math.inf)
        found = np.array(first)
        lines.append(Line(name, tuple(map(float, at)), tuple(float((found <= part).mean()) for part in at)))
    return Plot(
        "delay", "Anomalies found in their windows", "part of the window gone by", "share of windows", tuple(lines)
    )
