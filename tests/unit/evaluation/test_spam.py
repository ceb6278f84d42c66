"""The study of unwanted messages."""

import gzip
import os
from pathlib import Path

import pytest

from chainsec.errors import BadInput
from chainsec.evaluation.spam import FILE, SpamStudy, read_messages


def write_messages(folder, text):
    path = folder / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_messages_are_read_in_file_order_quotes_and_tabs_kept(tmp_path):
    texts, labels = read_messages(write_messages(tmp_path, 'ham\tsay "hi"\tnow\nspam\tWIN\u2028\x85 cash\n'))
    assert texts == ['say "hi"\tnow', "WIN\u2028\x85 cash"]
    assert labels.tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ham\tok\neggs\tno", "line 2: 'eggs'"),
        ("ham\tok\nspam", "line 2: 'spam'"),
        ("ham\tok", "only one kind"),
        ("", "only"),
    ],
)
def test_a_file_of_something_else_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(BadInput, match=message):
        read_messages(write_messages(tmp_path, text))


def test_the_study_trains_on_the_first_part_and_repeats_itself(tmp_path):
    lines = [f"{kind}\t{text} {i % 7}" for i in range(100) for kind, text in (("ham", "see you"), ("spam", "WIN cash"))]
    write_messages(tmp_path, "\n".join(lines))
    steps = []
    outcomes = [SpamStudy().run(tmp_path, 1, lambda *step: steps.append(step)) for _ in range(2)]
    assert outcomes[0].figures == outcomes[1].figures
    assert outcomes[0].figures[0].ours == 1.0
    assert "first 60 messages train, the other 140 test" in outcomes[0].protocol
    assert steps[:3] == [("training", 0, 2), ("scoring", 1, 2), ("measured", 2, 2)]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"sms\.tsv\.gz"):
        SpamStudy().run(tmp_path, 1, lambda *_: None)


@pytest.mark.skipif("CHAINSEC_DATA" not in os.environ, reason="CHAINSEC_DATA is not set")
def test_unwanted_messages_of_the_public_collection_are_told_better_than_asked(record_property):
    figures = {
        figure.metric: figure for figure in SpamStudy().run(Path(os.environ["CHAINSEC_DATA"]), 11, print).figures
    }
    record_property("mcc", round(figures["Matthews' correlation"].ours, 4))
    assert figures["Matthews' correlation"].is_reached
    assert figures["calibration error"].ours < 0.02
