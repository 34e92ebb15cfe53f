"""`lac evaluate -o FOLDER`: the figures as CSV and JSON, and a picture of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from lactoolkit.report.output_folder import ReportKind, check_folder, result_folder

EVALUATION_FILES = ("evaluation.csv", "evaluation.json", "evaluation.png")
EVALUATION_FORMAT = "lactoolkit-evaluation"
_KIND = ReportKind("lac evaluate", EVALUATION_FILES, "evaluation.json", EVALUATION_FORMAT)


def check_evaluation_folder(out: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Check that an evaluation can be written to a folder; errors as in :func:`write_evaluation`."""
    return check_folder(out, _KIND, overwrite=overwrite)


def write_evaluation(
    document: dict[str, Any], table: pd.DataFrame, out: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write ``evaluation.csv``, ``evaluation.json`` and ``evaluation.png`` into a new folder, all of them or none.

    Parameters
    ----------
    document : dict
        The evaluation as plain data, from ``EvaluationResult.to_document()``.
    table : DataFrame
        Its figures, one row each, from ``EvaluationResult.to_dataframe()``.
    out : path
        The folder to create.
    overwrite : bool
        Whether to replace an evaluation that is already there.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        If the folder exists (without ``overwrite``), holds other files, cannot be created, or the disk is full.
    """
    from lactoolkit.report.evaluation_plot import write_evaluation_plot

    with result_folder(out, _KIND, overwrite=overwrite) as unfinished:
        table.to_csv(unfinished / "evaluation.csv", index=False, lineterminator="\n", float_format="%.6g")
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (unfinished / "evaluation.json").write_text(text, encoding="utf-8")
        write_evaluation_plot(document, unfinished / "evaluation.png")
    return Path(out)
