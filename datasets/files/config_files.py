"""Files of settings: TOML into classes that check it, and what to say of a wrong key or value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import Field, TypeAdapter, ValidationError

from earmark.datasets.files.names import suggest
from earmark.datasets.files.text_files import UnreadableError, parse_toml

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

T = TypeVar("T")

_EXPECTED = {
    "greater_than": "above {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "multiple_of": "a multiple of {multiple_of:g}",
    "model_type": "a table",
    "dataclass_type": "a table",
}
"""Of pydantic's kinds of faults, where its own words can be shorter."""
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
_MOST = 10
"""Faults that are told at once."""


def read_toml(path: Path | str, *, of: str, error: type[Exception]) -> dict[str, Any]:
    """Return a TOML file's content; ``error`` is raised where it is missing or no TOML."""
    try:
        return parse_toml(Path(path).read_bytes())
    except OSError as fault:
        raise error(f"{of} {path}: {fault.strerror or fault}") from fault
    except UnreadableError as fault:
        raise error(f"{of} {path} is not TOML: {fault}") from fault


def validated(kind: type[T], content: Mapping[str, Any], *, of: str, error: type[Exception]) -> T:
    """Return an instance of a pydantic class; ``error`` is raised where a key or value is wrong."""
    try:
        return TypeAdapter(kind).validate_python(dict(content))
    except ValidationError as fault:
        raise error(f"{of}: {explained(fault, kind)}") from fault


def explained(fault: ValidationError, kind: type) -> str:
    """Return what is wrong with a content of ``kind``: each place, its value, what was expected."""
    faults = fault.errors(include_url=False)
    return "; ".join(_explained(one, kind) for one in faults[:_MOST])


def _explained(fault: Mapping[str, Any], kind: type) -> str:
    place = ".".join(map(str, fault["loc"]))
    if fault["type"] in _UNKNOWN_KEY:
        known = _keys(kind, fault["loc"][:-1])
        return f"unknown key {place!r}. {suggest(str(fault['loc'][-1]), known)}"
    if fault["type"] == "missing":
        return f"{place} is missing"
    if fault["type"] == "value_error":
        message = fault["msg"].removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    expected = _EXPECTED.get(fault["type"], "").format(**fault.get("ctx", {}))
    expected = expected or fault["msg"].removeprefix("Input should be ")
    return f"{place} is {fault['input']!r}, expected {expected}"


def _keys(kind: Any, steps: Sequence[int | str]) -> list[str]:
    """Return the keys that a file may have where ``steps`` lead."""
    for step in steps:
        kind = _without_none(kind)
        fields = getattr(kind, "__pydantic_fields__", None)
        inner = [option for option in get_args(kind) if option is not ...]
        kind = fields[step].annotation if fields else inner[-1]  # of dict[str, X] and list[X]: X
    fields = getattr(_without_none(kind), "__pydantic_fields__", {})
    return [name for name, field in fields.items() if not field.exclude]


def _without_none(kind: Any) -> Any:
    options = [option for option in get_args(kind) if option is not type(None)]
    return options[0] if type(None) in get_args(kind) and len(options) == 1 else kind


def toml_value(value: object) -> str:
    """Return a value as TOML, tables inline.

    >>> toml_value({"hiphop": ["hip hop", 1.5, True]})
    '{"hiphop" = ["hip hop", 1.5, true]}'
    """
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(key)} = {toml_value(one)}" for key, one in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
