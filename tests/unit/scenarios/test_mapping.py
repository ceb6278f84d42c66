"""The mapping file: what it says is understood, and what it gets wrong is named by file, line and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chainsec.errors import ConfigError
from chainsec.scenarios.defects import RowDefect
from chainsec.scenarios.field_readers import field_reader, label_reader, time_reader, volume_reader, word_reader
from chainsec.scenarios.mapping import LogMapping, list_mappings, load_mapping, parse_mapping
from chainsec.scenarios.mapping_fields import (
    ActionField,
    LabelField,
    LogField,
    PurposeField,
    SensitivityField,
    TimeField,
)

DOCS = Path(__file__).parents[3] / "docs" / "mappings.md"
BASE = 'requester = "user"\nasset = "file"\ntime = "at"\n'


def check_one_line(error):
    assert str(error).isprintable()


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        parse_mapping(text, "MAP.toml")
    assert str(caught.value).startswith("MAP.toml: line ")
    check_one_line(caught.value)
    return caught.value


def test_a_mapping_that_names_three_fields_gets_the_rest_by_default():
    mapping = parse_mapping(BASE)
    assert mapping.requester.path == "user"
    assert mapping.has_clock
    assert (mapping.action.value, mapping.purpose.value, mapping.sensitivity.value) == ("read", "service", "0")
    assert mapping.label is None


@pytest.mark.parametrize(
    "leak", ['attributes = ["answer"]', 'text = "answer"', 'asset = ["file", { first = ["x", "answer"] }]']
)
def test_the_label_cannot_be_mapped_as_anything_that_the_model_sees(leak):
    label = '\n[label]\npath = "answer"\ndenied = ["no"]\ngranted = ["yes"]'
    base = BASE.replace('asset = "file"\n', "") if leak.startswith("asset") else BASE
    error = refusal(base + leak + label)
    assert "'answer' is the label and cannot be the" in str(error)


def test_a_mapping_cannot_be_changed_once_read():
    mapping = parse_mapping(BASE)
    with pytest.raises(ValidationError):
        mapping.duration_s = 5
    assert mapping.duration_s == 86_400


@pytest.mark.parametrize(
    ("text", "line", "field", "nearest"),
    [
        (BASE + 'purpos = "p"', 4, "purpos", "purpose"),
        (BASE + '[label]\ndenied = ["0"]\npath = "x"\ngrantd = ["1"]', 7, "label.grantd", "granted"),
        (BASE + 'action = { path = "a", mapp = {} }', 4, "action.mapp", "map"),
        (BASE + '[attributes]\nrole = { pth = "x" }', 5, "attributes.role.pth", "path"),
        (BASE.replace('"user"', '{ first = [{ paht = "x" }] }'), 1, "requester.first.0.paht", "path"),
        ('requestor = "user"', 1, "requestor", "requester"),
    ],
)
def test_an_unknown_key_is_named_with_file_line_and_the_nearest_known_key(text, line, field, nearest):
    error = refusal(text)
    assert (error.line, error.field, error.nearest) == (line, field, nearest)
    assert f"line {line}: key {field}: unknown key; the nearest known key is '{nearest}'" in str(error)


@pytest.mark.parametrize(("key", "hint"), [("requester", "stand_in"), ("time", "row order"), ("asset", "asset =")])
def test_leaving_out_who_what_or_when_is_explained(key, hint):
    error = refusal(re.sub(f"(?m)^{key} = .*\n", "", BASE))
    assert error.field == key
    assert "not mapped" in str(error)
    assert hint in str(error)


@pytest.mark.parametrize(
    ("extra", "field", "reason"),
    [
        ("sensitivity = 4", "sensitivity", "levels are 0 to 3"),
        ('purpose = { value = "gossip" }', "purpose", "no known purpose"),
        ('action = { path = "a", map = { x = "fly" } }', "action", "'fly' is no action"),
        ('action = { path = "a", default = "fly" }', "action", "'fly' is no action"),
        ("duration_s = 0", "duration_s", "greater than"),
        ("duration_s = true", "duration_s", "integer"),
        ('delimiter = "::"', "delimiter", "','"),
        ("text = 5", "text", "a path, a list of paths, or a table"),
        ("text = {}", "text", "exactly one of path, join, first and value"),
        ('text = { path = "a", value = "b" }', "text", "exactly one of"),
        ('text = ""', "text.path", "at least 1 character"),
        ('text = { join = ["a", "b"], separator = "\\\\" }', "text", "backslash"),
        ('label = { path = "l", denied = ["0"] }', "label", "nothing would mean granted"),
        ('label = { path = "l", denied = ["0"], granted = [0] }', "label", "both denied and granted"),
        ('label = { path = "l", denied = [], granted = ["1"] }', "label.denied", "at least 1 item"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(extra, field, reason):
    error = refusal(BASE + extra)
    assert (error.line, error.field) == (4, field)
    assert reason in str(error)


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ('{ value = "2024-01-01" }', "a constant is no time"),
        ('{ path = "at", zone = "Mars/Olympus" }', "no time zone"),
        ('{ path = "at", zone = "../../etc/passwd" }', "no time zone"),
        ('{ path = "at", format = "rfc3339" }', "neither iso8601"),
        ('{ path = "at", format = "%Q" }', "neither iso8601"),
        ('{ path = "at", format = "%Y %Y %m %d" }', "neither iso8601"),
        ('{ path = "at", format = "%H:%M" }', "year, month and day"),
    ],
)
def test_a_time_that_cannot_work_is_refused_before_any_log_is_opened(time, reason):
    error = refusal(BASE.replace('"at"', time))
    assert (error.line, error.field) == (3, "time")
    assert reason in str(error)


def test_what_is_no_toml_or_no_text_is_refused_with_its_line(tmp_path):
    assert refusal(BASE + "label = [").line == 4
    assert refusal(BASE + "asset = 1").line == 4
    path = tmp_path / "MAP.toml"
    for content, line in [(b"a = 1\nb = \xff", 2), (b"#" * 2_000_000, 1)]:
        path.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load_mapping(path)
        assert (caught.value.path, caught.value.line) == (str(path), line)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["requester", "=", '"a"', "\n", "{", "}", "[", "]", "time", "label", "."])).map("".join)
)
def test_random_text_is_refused_with_one_line_and_nothing_else(text):
    try:
        parse_mapping(text, "MAP.toml")
    except ConfigError as error:
        check_one_line(error)


def test_shipped_mappings_load_by_either_spelling_and_a_file_by_its_path(tmp_path):
    for name in list_mappings():
        assert load_mapping(name) == load_mapping(name.replace("_", "-"))
        assert load_mapping(name).about
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load_mapping(path) == load_mapping(str(path)) == parse_mapping(BASE)
    with pytest.raises(ConfigError, match="shipped are amazon_access, aws_cloudtrail, generic_csv"):
        load_mapping("amazon")


def test_the_digest_follows_what_a_mapping_does_and_not_how_it_is_written():
    same = 'asset = { path = "file" }\nrequester = { path = "user" }\nabout = "x"\ntime = { path = "at", zone = "UTC" }'
    assert parse_mapping(BASE).digest() == parse_mapping(same).digest()
    assert parse_mapping(BASE).digest() != parse_mapping(BASE.replace("user", "users")).digest()


def field(value):
    return LogField.model_validate(value)


def test_a_path_finds_plain_dotted_and_numbered_places():
    row = {"a": {"b": [{"c": 7}]}, "x.y": "whole", "x": {"y": "parts"}, "yes": True, "none": None, "real": 0.5}
    for path, expected in [("a.b.0.c", "7"), ("x.y", "whole"), ("yes", "true"), ("none", ""), ("real", "0.5")]:
        assert field_reader(field(path))(row) == expected
    for path in ("a.b.1.c", "a.b.c", "q", "none.deeper", "a.b.-1.c"):
        assert field_reader(field({"path": path, "optional": True}))(row) is None
        with pytest.raises(RowDefect, match="missing"):
            field_reader(field(path))(row)
    with pytest.raises(RowDefect, match="a list or object"):
        field_reader(field("a.b"))(row)


@pytest.mark.parametrize(
    ("value", "kind"), [("\0", "NUL byte"), ("\ud800", "invalid UTF-8"), ("x" * 200_000, "oversized")]
)
def test_text_that_json_escapes_smuggled_in_is_refused(value, kind):
    with pytest.raises(RowDefect) as caught:
        field_reader(field("a"))({"a": value})
    assert (caught.value.kind, caught.value.field) == (kind, "a")


PART = st.text("ab|\\", min_size=1, max_size=5)


@given(st.tuples(PART, PART), st.tuples(PART, PART))
def test_joined_fields_are_equal_only_if_all_parts_are(one, other):
    read = field_reader(field(["a", "b"]))
    joined = [read(dict(zip("ab", parts, strict=True))) for parts in (one, other)]
    assert (joined[0] == joined[1]) == (one == other)


def test_first_takes_the_first_alternative_that_holds_a_value():
    read = field_reader(field({"first": ["a", "b.c", ["d", "e"]]}))
    assert read({"a": "", "b": {"c": "x"}}) == "x"
    assert read({"a": {"not": "text"}, "d": "1", "e": "2"}) == "1|2"
    with pytest.raises(RowDefect, match="none of these"):
        read({"d": "1"})
    assert field_reader(field({"first": ["a"], "default": "z"}))({}) == "z"


def test_a_joined_field_without_one_of_its_parts_is_no_value():
    with pytest.raises(RowDefect, match="part of a joined value"):
        field_reader(field(["a", "b"]))({"a": "1", "b": ""})
    assert field_reader(field({"join": ["a", "b"], "optional": True}))({"a": "1"}) is None


def test_words_go_through_map_patterns_own_words_and_default_in_this_order():
    rule = ActionField(path="a", map={"GetSecret": "export", "Get*": "read", "*": "write"})
    read = word_reader(rule, "action")
    assert [read({"a": word}) for word in ("GetSecret", "GetX", "read", "other")] == [
        "export",
        "read",
        "write",
        "write",
    ]
    plain = word_reader(ActionField(path="a", map={"view": "read"}), "action")
    assert [plain({"a": word}) for word in ("view", "EXPORT ")] == ["read", "export"]
    with pytest.raises(RowDefect, match="'fly' is no action") as caught:
        plain({"a": "fly"})
    assert (caught.value.kind, caught.value.field) == ("unknown action", "a")
    with pytest.raises(RowDefect, match="empty action"):
        plain({"a": ""})
    lenient = word_reader(PurposeField(path="p", default="billing"), "purpose")
    assert [lenient(row) for row in ({}, {"p": ""}, {"p": "gossip"}, {"p": "Research"})] == ["billing"] * 3 + [
        "research"
    ]
    level = word_reader(SensitivityField(path="s", map={"secret": 3}), "sensitivity")
    assert [level({"s": word}) for word in ("secret", 2)] == ["3", "2"]


@pytest.mark.parametrize(
    ("form", "zone", "value", "expected"),
    [
        ("iso8601", "UTC", "2024-03-01T00:00:00Z", 1709251200),
        ("iso8601", "UTC", " 2024-03-01 00:00:00.999 ", 1709251200),
        ("iso8601", "Europe/Berlin", "2024-03-01T01:00:00", 1709251200),
        ("iso8601", "Europe/Berlin", "2024-03-01T01:00:00+02:00", 1709247600),
        ("epoch_s", "UTC", 1709251200, 1709251200),
        ("epoch_s", "UTC", 1709251200.75, 1709251200),
        ("epoch_ms", "UTC", "1709251200999", 1709251200),
        ("%d/%b/%Y:%H:%M:%S %z", "UTC", "01/Mar/2024:00:00:00 +0000", 1709251200),
        ("%d.%m.%Y %H:%M", "Europe/Berlin", "01.03.2024 01:00", 1709251200),
    ],
)
def test_times_are_read_in_the_format_and_zone_that_the_mapping_names(form, zone, value, expected):
    assert time_reader(TimeField(path="at", format=form, zone=zone))({"at": value}) == expected


@pytest.mark.parametrize("form", ["iso8601", "epoch_s", "epoch_ms", "%Y-%m-%d"])
@pytest.mark.parametrize(
    "value", ["", None, "yesterday", "1_000", "nan", "1e9", "٣", "-1", "0001-01-01", "9" * 17, "2024-02-30", True]
)
def test_a_time_that_cannot_be_meant_is_a_defect_and_no_guess(form, value):
    with pytest.raises(RowDefect) as caught:
        time_reader(TimeField(path="at", format=form))({"at": value})
    assert (caught.value.kind, caught.value.field) == ("unreadable time", "at")


def test_a_label_tells_denied_granted_or_what_the_mapping_says_of_the_rest():
    strict = label_reader(LabelField(path="l", denied=("0", "Access*"), granted=("1",)))
    assert [strict({"l": word}) for word in ("0", 1, "AccessDenied")] == [True, False, True]
    for word, kind in [("2", "unknown label"), ("", "empty")]:
        with pytest.raises(RowDefect) as caught:
            strict({"l": word})
        assert (caught.value.kind, caught.value.field) == (kind, "l")
    open_ended = label_reader(LabelField(path="l", optional=True, denied=("no",), others="unknown", absent="granted"))
    assert [open_ended(row) for row in ({"l": "no"}, {"l": "other"}, {})] == [True, None, False]


def test_a_volume_is_a_number_of_bytes():
    read = volume_reader(field({"path": "v", "optional": True}))
    assert [read(row) for row in ({"v": 12.0}, {"v": "7"}, {})] == [12, 7, None]
    for value in ("-1", "many", "1e3"):
        with pytest.raises(RowDefect, match="no number of bytes"):
            read({"v": value})


def test_every_toml_example_of_the_docs_is_understood_and_every_key_is_described():
    page = DOCS.read_text()
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(examples) >= 3
    for example in examples:
        assert isinstance(parse_mapping(example, "docs/mappings.md"), LogMapping)
    for model in (LogMapping, LogField, ActionField, TimeField, LabelField):
        for key in model.model_fields:
            assert f"`{key}`" in page
    for name in list_mappings():
        assert f"`{name}`" in page
