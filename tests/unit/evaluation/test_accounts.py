"""The study of accounts, on a part of them and on bad files."""

import csv
import gzip
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from chainsec.errors import BadInput
from chainsec.evaluation.accounts import FILE, AccountsStudy, read_accounts
from chainsec.models.trees import GrowthSettings

HEAD = ["", "Index", "Address", "FLAG", "Sent tnx", " ERC20 uniq sent", "total ether received"]
ROWS = [
    ["0", "1", "0xa", "0", "3", "9", "0.5"],
    ["1", "2", "0xb", "1", "0", "9", "0.0"],
    ["2", "3", "0xa", "0", "7", "9", "0.7"],
]


def write_rows(path, rows):
    path.parent.mkdir(exist_ok=True)
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode()))
    return path


def test_an_address_counts_once_and_what_tells_the_label_is_left_out(tmp_path):
    accounts = read_accounts(write_rows(tmp_path / "x.gz", [HEAD, *ROWS]))
    assert accounts.columns == {"Sent tnx": ["3", "0"], "total ether received": ["0.5", "0.0"]}
    assert (accounts.is_fraud.tolist(), accounts.is_idle.tolist()) == ([False, True], [False, True])
    assert accounts.only([1]) == {"Sent tnx": ["0"], "total ether received": ["0.0"]}


def test_a_label_that_is_none_is_refused_by_its_line(tmp_path):
    with pytest.raises(BadInput, match="line 3: FLAG is '2', not 0 or 1") as refused:
        read_accounts(write_rows(tmp_path / "x.gz", [HEAD, ROWS[0], ["1", "2", "0xb", "2", "0", "9", "0"]]))
    assert refused.value.line == 3


@pytest.mark.parametrize("name", ["Address", "FLAG"])
def test_a_missing_column_is_named(tmp_path, name):
    rows = [["renamed" if cell == name else cell for cell in HEAD], *ROWS]
    with pytest.raises(BadInput, match=f"has no column '{name}'"):
        read_accounts(write_rows(tmp_path / "x.gz", rows))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match="transaction_dataset"):
        AccountsStudy().run(tmp_path, 1, lambda *_: None)


@pytest.mark.skipif("CHAINSEC_DATA" not in os.environ, reason="CHAINSEC_DATA is not set")
def test_a_part_of_the_data_is_judged_well_and_the_same_twice(tmp_path):
    packed = (Path(os.environ["CHAINSEC_DATA"]) / FILE).read_bytes()
    rows = [*csv.reader(gzip.decompress(packed).decode().splitlines())]
    write_rows(tmp_path / FILE, [rows[0], *rows[1::5]])
    study = AccountsStudy(folds=3, growth=GrowthSettings(max_iter=40, max_features=0.3))
    steps = []
    outcome = study.run(tmp_path, 4, lambda *step: steps.append(step))
    figures = {figure.metric: figure.ours for figure in outcome.figures}
    assert figures["F1 at a probability of 0.5"] >= 0.81
    assert figures["AUC"] >= 0.96
    assert figures["expected calibration error"] <= 0.03
    assert figures["F1 without accounts that never moved Ether"] < figures["F1 at a probability of 0.5"]
    assert figures["F1, folds drawn by seed 4"] != figures["F1, folds drawn by seed 5"]
    assert [step[1] for step in steps] == [*range(6)]
    assert [plot.kind for plot in outcome.plots] == ["roc", "calibration"]
    assert study.run(tmp_path, 4, lambda *_: None).figures == outcome.figures
    stumps = replace(study, repeats=1, growth=GrowthSettings(max_iter=1)).run(tmp_path, 4, lambda *_: None)
    assert stumps.figures[1].ours < outcome.figures[1].ours
