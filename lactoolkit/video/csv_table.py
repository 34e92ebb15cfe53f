"""CSV files that people write by hand: read with errors that name the line, written as a whole or not at all."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from lactoolkit.errors import ManifestError, OutputError
from lactoolkit.video.replacing_file import replacing_path


@dataclass(frozen=True)
class Table:
    """Rows of a CSV file.

    Parameters
    ----------
    columns : tuple of str
        Names in the header.
    rows : list of (int, dict)
        Line number in the file (the last one, where a quoted field spans several) and text by column.
    """

    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]


def read_table(path: Path, *, required: Sequence[str], known: Sequence[str]) -> Table:
    """Read a CSV file in UTF-8, with or without byte order mark, with any line ends.

    Columns that are not known are kept, unless their name looks like a misspelt known one.

    Parameters
    ----------
    path : Path
        The file.
    required : sequence of str
        Columns that must be there.
    known : sequence of str
        All columns that mean something.

    Returns
    -------
    Table
        A row that is shorter than the header is filled up with "".

    Raises
    ------
    ManifestError
        The file cannot be read, is not UTF-8 or no CSV, lacks a column, or a row has more fields than the header.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise ManifestError(f"{path}: the file is empty; its first line must name the columns {', '.join(known)}")
        columns = tuple(name.strip() for name in header)
        _check_columns(path, columns, required, known)
        rows = []
        for fields in reader:
            if not fields:  # a blank line
                continue
            if len(fields) > len(columns):
                raise ManifestError(
                    f"{path}, line {reader.line_num}: {len(fields)} fields where the header names {len(columns)} "
                    'columns; put a name that contains a comma in quotes: "a, b.mp4"'
                )
            padded = [*fields, *[""] * (len(columns) - len(fields))]
            rows.append((reader.line_num, dict(zip(columns, padded, strict=True))))
    except csv.Error as error:
        raise ManifestError(f"{path}, line {reader.line_num}: not CSV ({error}); check the quotes") from error
    return Table(columns, rows)


def _text(path: Path) -> str:
    if path.is_dir():
        raise ManifestError(f"{path}: this is a folder; name a CSV file")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: no such file; check the name and the folder") from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); check the access rights") from error
    if b"\0" in data:
        raise ManifestError(f"{path}: not a text file; name a CSV file in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{path}, line {line}: not UTF-8; save the file as CSV UTF-8") from error


def _check_columns(path: Path, columns: tuple[str, ...], required: Sequence[str], known: Sequence[str]) -> None:
    for name in columns:
        if columns.count(name) > 1:
            raise ManifestError(f"{path}, line 1: the column {name!r} stands twice")
        near = difflib.get_close_matches(name.lower(), known, 1, 0.7)
        if name not in known and near and near[0] not in columns:
            raise ManifestError(f"{path}, line 1: unknown column {name!r}; did you mean {near[0]!r}?")
    missing = [name for name in required if name not in columns]
    if missing:
        raise ManifestError(
            f"{path}, line 1: no column {missing[0]!r}{separator_hint(columns)}; the first line must name "
            f"the columns, out of {', '.join(known)}"
        )


def separator_hint(columns: Sequence[str]) -> str:
    """What to add to a message about missing columns if something else than commas may stand between them."""
    return " (columns must be separated by commas)" if any(";" in name or "\t" in name for name in columns) else ""


@contextmanager
def replacing_text(path: Path) -> Iterator[TextIO]:
    """Open a temporary text file (UTF-8) that takes the place of `path` when the context is left without an error.

    Parameters
    ----------
    path : Path
        The file to write; its folder is created.

    Yields
    ------
    TextIO
        The temporary file.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with replacing_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        try:
            yield file
        except UnicodeEncodeError as error:
            raise OutputError(
                f"{path}: cannot hold the name {error.object!r}, which is not valid Unicode; rename that file"
            ) from error
