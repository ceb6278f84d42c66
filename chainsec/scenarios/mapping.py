"""The model of ``MAP.toml``: which parts of a log say who asked for what, when, why, and what the answer was.

A mapping is checked as a whole before any log is opened. Layer: scenarios. Not here: reading logs (``logs``),
the kinds of field (``mapping_fields``), applying a mapping to a row (``extraction``).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping  # noqa: TC003 - pydantic evaluates the annotations
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from chainsec.digest import digest_json
from chainsec.errors import ConfigError
from chainsec.scenarios.defects import show
from chainsec.scenarios.mapping_fields import (
    ROW_ORDER,
    ActionField,
    LabelField,
    LogField,
    PurposeField,
    SensitivityField,
    Table,
    TimeField,
)

MAX_DURATION_S = 366 * 24 * 3600
_MAX_MAPPING_BYTES = 1024 * 1024
_MUST_SAY = {
    "requester": 'a log without requesters must say what stands for them, as in requester = {path = "manager", '
    'stand_in = "the manager answers for each request"}',
    "time": f'a log without times must say so with time = "{ROW_ORDER}"; its rows then count as the clock',
    "asset": 'name what was asked for, as in asset = "file"',
}


class LogMapping(Table):
    """What each part of a log means. See docs/mappings.md for the file format.

    Args:
        about: one sentence on the log this is for.
        requester: who asked.
        asset: what for.
        time: when; None where the order of the rows is all there is.
        action: what was to be done; constant ``read`` if not given.
        purpose: why; constant ``service`` if not given.
        organisation: on whose behalf; one ``operator`` for all if not given.
        sensitivity: of the asset; 0 if not given. An asset has the highest that any of its rows says.
        attributes: further categorical facts by name.
        text: free-text justification.
        label: the answer that the log holds; without it no attempt has a label.
        volume_bytes: how much was handed out; then each granted attempt is followed by one use.
        duration_s: how long each grant is asked for, seconds.
        delimiter: what separates CSV fields.
    """

    about: str = ""
    requester: LogField
    asset: LogField
    time: TimeField | None
    action: ActionField = ActionField(value="read")
    purpose: PurposeField = PurposeField(value="service")
    organisation: LogField | None = None
    sensitivity: SensitivityField = SensitivityField(value="0")
    attributes: Mapping[str, LogField] = Field(default_factory=dict)
    text: LogField | None = None
    label: LabelField | None = None
    volume_bytes: LogField | None = None
    duration_s: Annotated[int, Field(strict=True, ge=1, le=MAX_DURATION_S)] = 86_400
    delimiter: Literal[",", ";", "\t", "|"] = ","

    @model_validator(mode="before")
    @classmethod
    def _take_short_forms(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        changed = dict(given)
        if changed.get("time") == ROW_ORDER:
            changed["time"] = None
        if isinstance(names := changed.get("attributes"), list) and all(isinstance(name, str) for name in names):
            changed["attributes"] = {name: name for name in names}
        return changed

    @model_validator(mode="after")
    def _keep_answer_secret(self) -> Self:
        answer = self.label.paths() if self.label else frozenset()
        for role, field in self.mapped_fields():
            if role != "label" and (shared := answer & field.paths()):
                raise ValueError(f"{show(min(shared))} is the label and cannot be the {role} too: it tells the answer")
        return self

    @property
    def has_clock(self) -> bool:
        """Whether the log's times are times, not row numbers."""
        return self.time is not None

    def digest(self) -> str:
        """Return the hash of all settings, 0x-hexadecimal, the same for equal mappings."""
        return "0x" + digest_json(self.model_dump(mode="json", exclude={"about"})).hex()

    def mapped_fields(self) -> Iterator[tuple[str, LogField]]:
        """Yield each mapped field with what it is mapped as."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, LogField):
                yield name, value
        for name, field in self.attributes.items():
            yield f"attribute {name}", field


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    table: type[BaseModel] = LogMapping
    is_entry_name = False
    for part in location:
        if isinstance(part, int) or is_entry_name:
            is_entry_name = False
            continue
        is_entry_name = part == "attributes" and table is LogMapping
        kind = table.model_fields[part].annotation
        table = next(kind for kind in (kind, *get_args(kind)) if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(table.model_fields)


def _line_of(text: str, location: tuple[int | str, ...]) -> int:
    """Return the line on which the deepest key of ``location`` that can be found stands, 1 if none can."""
    wanted = [str(part) for part in location if isinstance(part, str)]
    best_line, best_depth, table = 1, 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+([^\]]+)\]", line):
            path = table = [part.strip(" \"'") for part in header[1].split(".")]
        elif key := re.match(r"\s*([\w.\"' -]+?)\s*=", line):
            path = table + [part.strip(" \"'") for part in key[1].split(".")]
        else:
            continue
        if path == wanted[: len(path)] and len(path) > best_depth:
            inline = sum(part in line for part in wanted[len(path) :])
            best_line, best_depth = number, len(path) + inline
    return best_line


def _explain(source: str, text: str, error: ValidationError) -> ConfigError:
    unknown_first = sorted(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
    found = unknown_first[0]
    location = found["loc"]
    key = ".".join(str(part) for part in location)
    facts: dict[str, Any] = {"path": source, "line": _line_of(text, location), "field": key}
    where = f"{source}: line {facts['line']}: key {key if key.isprintable() else show(key)}: "
    if found["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        nearest = get_close_matches(str(location[-1]), known, 1, 0.0)[0]
        return ConfigError(f"{where}unknown key; the nearest known key is {nearest!r}", **facts, nearest=nearest)
    reason = str(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "missing" and key in _MUST_SAY:
        reason = f"not mapped; {_MUST_SAY[key]}"
    return ConfigError(where + " ".join(reason.split()), **facts)


def parse_mapping(text: str, source: str = "mapping") -> LogMapping:
    r"""Return the mapping that the TOML ``text`` describes.

    Args:
        text: TOML.
        source: name of the file, for messages.

    Raises:
        ConfigError: not TOML, an unknown key, a wrong or missing value; names file, line and key.

    >>> parse_mapping('requester = "user"\nasset = "file"\ntime = "row order"').has_clock
    False
    >>> parse_mapping('requestor = "user"', "MAP.toml")
    Traceback (most recent call last):
    chainsec.errors.ConfigError: MAP.toml: line 1: key requestor: unknown key; the nearest known key is 'requester'
    """
    try:
        return LogMapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        raise ConfigError(f"{source}: line {line}: not TOML: {error}", path=source, line=line) from error
    except ValidationError as error:
        raise _explain(source, text, error) from error
    except RecursionError as error:
        raise ConfigError(f"{source}: line 1: nested too deep", path=source, line=1) from error


def list_mappings() -> tuple[str, ...]:
    """Return the names of the mappings that ship with the package.

    >>> list_mappings()
    ('amazon_access', 'aws_cloudtrail', 'generic_csv')
    """
    folder = resources.files("chainsec.scenarios") / "mappings"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load_mapping(name_or_path: str | Path) -> LogMapping:
    """Return a shipped mapping by name, or the one in a file.

    Args:
        name_or_path: a name of ``list_mappings``, with ``-`` or ``_``; anything else is a path.

    Raises:
        ConfigError: no such mapping or file, or what ``parse_mapping`` refuses.

    >>> load_mapping("aws-cloudtrail").has_clock
    True
    """
    name = str(name_or_path)
    shipped = name.replace("-", "_")
    try:
        if shipped in list_mappings():
            raw = (resources.files("chainsec.scenarios") / "mappings" / f"{shipped}.toml").read_bytes()
        else:
            with Path(name_or_path).open("rb") as file:
                raw = file.read(_MAX_MAPPING_BYTES + 1)
        if len(raw) > _MAX_MAPPING_BYTES:
            raise ConfigError(f"{name}: line 1: a mapping has at most {_MAX_MAPPING_BYTES} bytes", path=name, line=1)
        return parse_mapping(raw.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}: line {line}: bytes that are not UTF-8", path=name, line=line) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        known = ", ".join(list_mappings())
        raise ConfigError(f"{show(name)}: no mapping file ({reason}); shipped are {known}", path=name) from error
