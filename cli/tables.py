"""Plain tables for the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Lay out rows in columns, two spaces apart.

    Parameters
    ----------
    header : sequence of str
        Heading of each column.
    rows : sequence of sequences of str
        Cells, as many in each row as in the header.
    right : sequence of int
        Columns to align to the right.

    Returns
    -------
    str
        Lines without a newline at the end.
    """
    lines = [header, *rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            _padding(cell, width) + cell if column in right else cell + _padding(cell, width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _padding(cell: str, width: int) -> str:
    return " " * (width - _width(cell))


def _width(text: str) -> int:
    """Columns that a text takes on a terminal: East Asian characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
