"""`pairs.csv`: the matched frame pairs as a table."""

from __future__ import annotations

from pathlib import Path

from lactoolkit.alignment.result import Alignment

# Microseconds are finer than any camera's clock; four decimals of a confidence more than it can mean.
_DECIMALS = {"time_a": 6, "time_b": 6, "similarity": 4, "confidence": 4}


def write_pairs_csv(alignment: Alignment, path: Path) -> None:
    """Write one row for each matched pair of frames: hit, frame and time in A and in B, similarity, confidence.

    Parameters
    ----------
    alignment : Alignment
        What to write; without hits the file holds the header alone.
    path : Path
        The file, replaced if it exists.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    table = alignment.to_dataframe()
    for column, decimals in _DECIMALS.items():
        table[column] = [f"{value:.{decimals}f}" for value in table[column]]
    table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")
