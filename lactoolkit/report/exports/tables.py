"""Pairs, times and similarity for programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lactoolkit.alignment.result import Alignment
from lactoolkit.report.exports import Export


def write_npz(export: Export) -> None:
    """Write ``alignment.npz``.

    Its arrays are the columns of ``pairs.csv`` (``hit``, ``frame_a``, ``time_a``, ...), the analysed frames and their
    times (``frames_a``, ``times_a``, ``frames_b``, ``times_b``), the ``similarity_matrix`` of all of them, and
    ``reduction``, the frames of A and of B for each of its cells.

    Parameters
    ----------
    export : Export
        What to write, and where.
    """
    alignment = export.alignment
    arrays: dict[str, Any] = {str(name): column.to_numpy() for name, column in _typed_pairs(alignment).items()}
    for letter, video in (("a", alignment.a), ("b", alignment.b)):
        arrays |= {f"frames_{letter}": video.frames, f"times_{letter}": video.times}
    arrays |= {"similarity_matrix": alignment.similarity, "reduction": np.array(alignment.reduction)}
    np.savez_compressed(export.folder / "alignment.npz", **arrays)


def write_parquet(export: Export) -> None:
    """Write ``pairs.parquet``: the table of ``pairs.csv`` with its types, unrounded."""
    _typed_pairs(export.alignment).to_parquet(export.folder / "pairs.parquet", engine="pyarrow", index=False)


def _typed_pairs(alignment: Alignment) -> pd.DataFrame:
    """The matched pairs; columns have their types even where there is no pair."""
    table = alignment.to_dataframe()
    if table.empty:
        table = table.astype(float).astype({"hit": int, "frame_a": int, "frame_b": int})
    return table
