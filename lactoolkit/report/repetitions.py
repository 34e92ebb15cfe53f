"""The repetitions of one video as a table, a document and a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lactoolkit.alignment.repeats import Repetitions
from lactoolkit.report.alignment_json import describe_input, dump_document, plain
from lactoolkit.report.output_folder import ReportKind, check_folder, result_folder

FORMAT_NAME = "lactoolkit-repetitions"
FORMAT_VERSION = 1
REPETITION_FILES = ("repetitions.csv", "repetitions.json", "repetitions.png")
_KIND = ReportKind("lac repeats", REPETITION_FILES, "repetitions.json", FORMAT_NAME)
_DECIMALS = {"start_time": 6, "end_time": 6, "seconds": 6, "confidence": 4}


def check_repetitions_output(out: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Check that results can be written to a folder, before any time is spent on computing them.

    Parameters
    ----------
    out : path
        The folder that is to receive the files.
    overwrite : bool
        Whether results of ``lac repeats`` that are already there may be replaced.

    Returns
    -------
    Path
        The folder, symbolic links resolved.

    Raises
    ------
    OutputError
        If the folder exists and may not be replaced, or cannot be created.
    """
    return check_folder(out, _KIND, overwrite=overwrite)


def repetitions_document(result: Repetitions) -> dict[str, Any]:
    """Describe repetitions by plain dictionaries, lists, strings and finite numbers, ready for :func:`json.dumps`."""
    return plain(
        {
            "format": FORMAT_NAME,
            "format_version": FORMAT_VERSION,
            "count": len(result),
            "period": result.period,
            "input": describe_input(result.video),
            "settings": result.settings,
            "versions": result.versions,
            "repetitions": result.to_dataframe().to_dict("records"),
        }
    )


def write_repetitions(result: Repetitions, out: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write ``repetitions.csv``, ``repetitions.json`` and ``repetitions.png`` into a new folder, all or nothing.

    Parameters
    ----------
    result : Repetitions
        What to report.
    out : path
        The folder to create.
    overwrite : bool
        Whether to replace results of ``lac repeats`` that are already there.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        If the folder exists (without ``overwrite``), holds other files, cannot be created, or the disk is full.
    """
    from lactoolkit.report.repetitions_plot import write_repetitions_plot

    with result_folder(out, _KIND, overwrite=overwrite) as unfinished:
        table = result.to_dataframe()
        for column, decimals in _DECIMALS.items():
            table[column] = [f"{value:.{decimals}f}" for value in table[column]]
        table.to_csv(unfinished / "repetitions.csv", index=False, lineterminator="\n", encoding="utf-8")
        document = dump_document(repetitions_document(result))
        (unfinished / "repetitions.json").write_text(document, encoding="utf-8")
        write_repetitions_plot(result, unfinished / "repetitions.png")
    return Path(out)
