"""The study of network traffic, on a part of it and on bad files."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from chainsec.errors import BadInput
from chainsec.evaluation.traffic import COLUMNS, TEST, TRAIN, TrafficStudy, novelty_risk, read_connections

NORMAL = ["0", "tcp", "http", "SF", *["0"] * 37, "normal", "20"]
ATTACK = ["0", "tcp", "private", "S0", *["1"] * 37, "neptune", "19"]


def write_lines(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress("".join(",".join(row) + "\n" for row in rows).encode()))
    return path


def test_connections_are_read_by_column_and_kind(tmp_path):
    read = read_connections(write_lines(tmp_path / "x.gz", [NORMAL, ATTACK]))
    assert tuple(read.columns) == COLUMNS
    assert (read.columns["service"], read.columns["flag"]) == (["http", "private"], ["SF", "S0"])
    assert (read.kinds.tolist(), read.is_attack.tolist()) == (["normal", "neptune"], [False, True])
    assert read.only(read.is_attack)["service"] == ["private"]


def test_a_line_of_another_length_is_refused_by_its_number(tmp_path):
    with pytest.raises(BadInput, match="line 2: 42 values, not 43") as refused:
        read_connections(write_lines(tmp_path / "x.gz", [NORMAL, NORMAL[:-1]]))
    assert refused.value.line == 2
    with pytest.raises(BadInput, match="is empty"):
        read_connections(write_lines(tmp_path / "y.gz", []))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match="KDDTrain"):
        TrafficStudy().run(tmp_path, 1, lambda *_: None)


def test_novelty_never_falls_with_rarity_and_says_nothing_of_the_ordinary():
    risks = novelty_risk(np.linspace(0.0, 20.0, 81))
    assert (np.diff(risks) >= 0.0).all()
    assert not risks[:13].any()
    assert 0.0 < risks[13] < risks[-1] < 1.0


@pytest.mark.skipif("CHAINSEC_DATA" not in os.environ, reason="CHAINSEC_DATA is not set")
def test_a_part_of_the_data_is_judged_well_and_the_same_twice(tmp_path):
    folder, steps = Path(os.environ["CHAINSEC_DATA"]), []
    for name, share in ((TRAIN, 12), (TEST, 15)):
        lines = gzip.decompress((folder / name).read_bytes()).decode().splitlines()[::share]
        write_lines(tmp_path / name, [line.split(",") for line in lines])
    outcome = TrafficStudy().run(tmp_path, 4, lambda *step: steps.append(step))
    figures = {figure.metric: figure.ours for figure in outcome.figures}
    assert figures["AUC, trained on normal connections alone"] >= 0.94
    assert figures["AUC, trained on labels"] >= 0.92
    assert figures["accuracy, labels and novelty together"] >= 0.80
    assert all(figure.low <= figure.ours <= figure.high for figure in outcome.figures)
    assert [plot.kind for plot in outcome.plots] == ["roc", "calibration"]
    assert (steps[0][1], steps[-1][1:]) == (0, (2, 2))
    assert TrafficStudy().run(tmp_path, 4, lambda *_: None).figures == outcome.figures
