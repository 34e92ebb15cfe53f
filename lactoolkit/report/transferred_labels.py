"""Labels that a video received from others: as a file of labels, and as a document."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from lactoolkit.alignment.transfer import TransferredIntervals, TransferredLabels
from lactoolkit.report.alignment_json import describe_input, plain
from lactoolkit.video.csv_table import replacing_text
from lactoolkit.video.labels import BACKGROUND, LABEL_COLUMNS, label_rows


def label_segments(result: TransferredLabels) -> list[dict[str, Any]]:
    """Runs of frames with one label: phase, name, first and last native frame and their mean confidence."""
    phases = result.labels.phases
    edges = np.flatnonzero(np.diff(phases)) + 1
    segments = []
    for frames in np.split(np.arange(len(phases)), edges):
        phase = int(phases[frames[0]])
        if phase != BACKGROUND:
            segments.append(
                {
                    "phase": phase,
                    "name": result.labels.phase_names[phase],
                    "first_frame": int(frames[0]),
                    "last_frame": int(frames[-1]),
                    "confidence": float(result.confidence[frames].mean()),
                }
            )
    return segments


def transfer_document(result: TransferredLabels | TransferredIntervals) -> dict[str, Any]:
    """Describe transferred labels by plain dictionaries, lists, strings and finite numbers."""
    document: dict[str, Any] = {
        "format": "lactoolkit-transfer",
        "format_version": 1,
        "significant": result.significant,
        "video": describe_input(result.alignments[0].b),
        "references": [
            {**describe_input(one.a), "verdict": one.verdict, "p_value": one.hits[0].p_value if one.hits else None}
            | {"used": used}
            for one, used in zip(result.alignments, result.used, strict=True)
        ],
        "failed": [{"path": one.path, "message": one.message} for one in result.failed],
        "settings": result.alignments[0].settings,
        "versions": result.alignments[0].versions,
    }
    if isinstance(result, TransferredLabels):
        document["segments"] = label_segments(result)
    else:
        document["intervals"] = [vars(one) for one in result.intervals]
    return plain(document)


def write_transferred_labels(result: TransferredLabels | TransferredIntervals, path: str | Path) -> None:
    """Write labels in the form of the references' files, with the confidence in further columns.

    Parameters
    ----------
    result : TransferredLabels or TransferredIntervals
        What to write: ``frame,phase,phase_name,in_core,confidence`` of every native frame, or
        ``start,end,name,start_confidence,end_confidence`` in seconds of the intervals that were found.
    path : path
        The CSV file; it appears when it is complete.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with replacing_text(Path(path)) as file:
        writer = csv.writer(file, lineterminator="\n")
        if isinstance(result, TransferredLabels):
            writer.writerow([*LABEL_COLUMNS, "confidence"])
            for row, confidence in zip(label_rows(result.labels), result.confidence.tolist(), strict=True):
                writer.writerow([*row, f"{confidence:.4f}" if row[1] != BACKGROUND else ""])
            return
        writer.writerow(["start", "end", "name", "start_confidence", "end_confidence"])
        for one in result.intervals:
            if one.start is not None:
                times = ("" if time is None else f"{time:.6f}" for time in (one.start, one.end))
                sure = ("" if value is None else f"{value:.4f}" for value in (one.start_confidence, one.end_confidence))
                writer.writerow([*times, one.name, *sure])
