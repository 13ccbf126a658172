"""Results as strict JSON and back: dataclasses become objects, NaN and infinity become null."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union

import numpy as np

from wikiart_data.errors import InputError
from wikiart_data.results.tables import Number, Table

Result = TypeVar("Result")


def json_text(content: Any, indent: int | None = None) -> str:
    """`content` as strict JSON, without a line break at the end.

    Args:
        content: dataclasses (without fields whose metadata say `json=False`), mappings, sequences, numbers (numpy's
            too), text, paths and None.
        indent: spaces a level; None gives one line.

    Raises:
        TypeError: something else is in it.
    """
    return json.dumps(to_plain(content), indent=indent, allow_nan=False)


def to_plain(content: Any) -> Any:
    """`content` as dicts, lists, text, numbers and None: what JSON can hold. See `json_text`."""
    if content is None or isinstance(content, bool | str | int):
        return content
    if isinstance(content, float):
        return float(content) if math.isfinite(content) else None
    if isinstance(content, Table | Number):
        return to_plain(content.to_json())
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        written = [field.name for field in dataclasses.fields(content) if field.metadata.get("json", True)]
        return {name: to_plain(getattr(content, name)) for name in written}
    if isinstance(content, Mapping):
        return {str(key): to_plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [to_plain(value) for value in content]
    if isinstance(content, np.generic | np.ndarray):
        return to_plain(content.tolist())
    if isinstance(content, Path):
        return str(content)
    raise TypeError(f"{type(content).__name__} has no form in JSON: {content!r}")


def from_plain(kind: type[Result], content: Any) -> Result:
    """A dataclass from what `to_plain` made of it, or from the result.json that holds it.

    Fields may be text, numbers, bool, Path, Literal, other dataclasses (read by their own `from_json` if they have
    one), and tuples, lists, dicts and unions of these. null in a field of float is NaN, which is written as null.
    Keys that are no field are ignored: a result.json also holds the tables.

    Args:
        kind: the dataclass.
        content: the mapping.

    Raises:
        InputError: a field without a default is missing, or a value has another type; `field` is its name.
    """
    return _read_fields(kind, content, kind.__name__)


def read_result(folder: Path, kind: type[Result]) -> Result:
    """The result of a finished run.

    Args:
        folder: the run's.
        kind: the dataclass that its result.json holds, or one with some of its fields.

    Raises:
        InputError: the run has no result.json yet, or it cannot be read.
    """
    path = folder / "result.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{folder} has no result.json: the run is not finished.", field=folder) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}.", field=path) from error
    try:
        return from_plain(kind, content)
    except InputError as error:
        raise InputError(f"{path}: {error}", field=path) from error


def _read(kind: Any, content: Any, name: str) -> Any:
    """`content` as `kind`; `name` is the field, for the message."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return content
    if origin in (Union, types.UnionType):
        if content is None and type(None) in arguments:
            return None
        return _read_first([one for one in arguments if one is not type(None)], content, name)
    if dataclasses.is_dataclass(kind):
        own = getattr(kind, "from_json", None)
        return own(content) if own and isinstance(content, Mapping) else _read_fields(kind, content, name)
    if origin in (list, tuple, Sequence) and isinstance(content, list | tuple):
        if origin is not tuple or (len(arguments) == 2 and arguments[1] is Ellipsis):
            values = [_read(arguments[0], value, name) for value in content]
            return values if origin is list else tuple(values)
        if len(arguments) == len(content):
            return tuple(_read(one, value, name) for one, value in zip(arguments, content, strict=True))
    if origin in (dict, Mapping) and isinstance(content, Mapping):
        key_type = int if arguments[0] is int else str  # JSON's keys are text
        return {key_type(key): _read(arguments[1], value, f"{name}.{key}") for key, value in content.items()}
    if origin is typing.Literal and content in arguments:
        return content
    if kind is Path and isinstance(content, str):
        return Path(content)
    if kind is float and isinstance(content, int | float) and not isinstance(content, bool):
        return content  # an int stays one: JSON does not tell 1 from 1.0, and what is written again is unchanged
    if kind is float and content is None:
        return math.nan
    if isinstance(kind, type) and isinstance(content, kind) and (kind is bool or not isinstance(content, bool)):
        return content
    raise InputError(f"{name} is {str(content)[:60]!r}, and should be of type {_name(kind)}.", field=name)


def _read_fields(kind: Any, content: Any, name: str) -> Any:
    if not isinstance(content, Mapping):
        raise InputError(f"{name} should hold the fields of {kind.__name__}.", field=name)
    hints, values = typing.get_type_hints(kind), {}
    for field in dataclasses.fields(kind):
        if field.name in content:
            values[field.name] = _read(hints[field.name], content[field.name], field.name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{name} lacks {field.name}: it was written by another version.", field=field.name)
    return kind(**values)


def _read_first(kinds: list[Any], content: Any, name: str) -> Any:
    """`content` as the first of several types that it fits."""
    for kind in kinds[:-1]:
        try:
            return _read(kind, content, name)
        except InputError:
            continue
    return _read(kinds[-1], content, name)


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
