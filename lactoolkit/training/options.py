"""Frozen dataclasses from TOML tables and from ``section.key=value``; whatever is misspelt is named."""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from lactoolkit.errors import ParameterError

Options = TypeVar("Options")


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    ParameterError
        If it cannot be read or is not TOML.
    """
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ParameterError(f"config {path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"config {path}: not valid TOML: {error}") from error


def write_toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """TOML text of tables of options; options without a value are left out."""
    return tomli_w.dumps(
        {
            section: {name: _plain(value) for name, value in table.items() if value is not None}
            for section, table in tables.items()
        }
    )


def parse_assignment(text: str) -> tuple[str, str, Any]:
    """Read ``section.key=value``; the value is TOML (``0.1``, ``true``, ``[1, 2]``), or else a string.

    Raises
    ------
    ParameterError
        If the text has another form.

    Examples
    --------
    >>> parse_assignment("training.steps=250")
    ('training', 'steps', 250)
    """
    path, equals, value = text.partition("=")
    section, dot, key = path.strip().partition(".")
    if not (equals and dot and section and key):
        raise ParameterError(f"--set {text}: write section.key=value, such as training.steps=250")
    value = value.strip()
    try:
        return section, key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return section, key, value


def build_options(kind: type[Options], table: Mapping[str, Any], section: str) -> Options:
    """Make a dataclass of options from a table, checking names and types.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are bool, int, float, str, Literal, tuples of them, or any of these or None.
    table : mapping
        Values by field name.
    section : str
        What to call the table in messages.

    Raises
    ------
    ParameterError
        If a name is unknown (the nearest one is given) or a value has another type.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    check_names(table, known, section)
    hints = get_type_hints(kind)
    values = {name: _convert(value, hints[name], f"{section}.{name}") for name, value in table.items()}
    if missing := [name for name, field in known.items() if name not in values and _is_required(field)]:
        raise ParameterError(f"{section}.{missing[0]} has no value; set it")
    try:
        return kind(**values)
    except ParameterError as error:  # configurations of other floors do not know their section
        message = str(error)
        raise ParameterError(message if message.startswith(f"{section}.") else f"{section}.{message}") from error


def check_names(given: Iterable[str], known: Iterable[str], section: str) -> None:
    """Refuse unknown names.

    Raises
    ------
    ParameterError
        Naming the unknown one and the nearest known one.
    """
    known = list(known)
    for name in given:
        if name not in known:
            where = f"{section}.{name}" if section else f"[{name}]"
            raise ParameterError(f"{where} is unknown; {_hint(name, known)}")


def check_choice(value: Any, known: Iterable[str], what: str) -> None:
    """Refuse a value that is not among the known ones.

    Raises
    ------
    ParameterError
        Naming the value and the nearest known one.
    """
    known = list(known)
    if value not in known:
        raise ParameterError(f"{what} is {value!r}; {_hint(str(value), known)}")


def options_table(options: Any) -> dict[str, Any]:
    """All values of a dataclass of options, tuples as lists, as a checkpoint or a TOML file holds them."""
    return {name: _plain(value) for name, value in asdict(options).items()}


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}"


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _convert(value, next(one for one in arguments if one is not type(None)), where)
    if origin is Literal:
        if value in arguments:
            return value
        raise ParameterError(f"{where} is {value!r}; choose one of {', '.join(map(repr, arguments))}")
    if origin is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ParameterError(f"{where} is {value!r}; expected a list, such as [1, 2]")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise ParameterError(f"{where} is {value!r}; expected a list of {len(kinds)} values")
        return tuple(_convert(one, kind, where) for one, kind in zip(value, kinds, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, bool):
        raise ParameterError(f"{where} is {value!r}; expected an integer")
    if not isinstance(value, hint):
        raise ParameterError(f"{where} is {value!r}; expected {_NAMES.get(hint, hint.__name__)}")
    return value


_NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
