"""Videos on one clock as a table, a document, a picture of who covers what, and a grid video."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator

from lactoolkit.alignment.synchronise import Synchronisation
from lactoolkit.figure_file import save_figure
from lactoolkit.report.alignment_json import describe_input, dump_document, plain
from lactoolkit.report.grid_video import GridPanel, write_grid_video
from lactoolkit.report.output_folder import ReportKind, check_folder, result_folder
from lactoolkit.report.playback import SMOOTH_RATE
from lactoolkit.report.text import COLOUR_A, distinct_names, printable, shorten

FORMAT_NAME = "lactoolkit-sync"
SYNC_FILES = ("sync.csv", "sync.json", "coverage.png", "grid.mp4")
_KIND = ReportKind("lac sync", SYNC_FILES, "sync.json", FORMAT_NAME)
_COLUMNS = ("video", "clock_start", "clock_end", "offset", "confidence", "reference", "outlier")
_COLOUR = "#{:02x}{:02x}{:02x}".format(*COLOUR_A)
_CURVE_POINTS = 200
_NAME_LENGTH = 40


def check_sync_output(out: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Check that results can be written to a folder, before any time is spent on computing them.

    Raises
    ------
    OutputError
        If the folder exists and may not be replaced, or cannot be created.
    """
    return check_folder(out, _KIND, overwrite=overwrite)


def sync_rows(result: Synchronisation) -> list[dict[str, Any]]:
    """One row for each video: where on the clock it starts and ends, in seconds, its confidence, why it is an outlier.

    ``offset`` is None where the speed varies.
    """
    rows = []
    for position, one in enumerate(result.videos):
        known = len(one.clock) > 0
        rows.append(
            {
                "video": str(one.video.path),
                "clock_start": float(one.clock[0]) if known else None,
                "clock_end": float(one.clock[-1]) if known else None,
                "offset": one.offset if known and result.model == "offset" else None,
                "confidence": float(one.confidence.mean()) if known else None,
                "reference": position == result.reference,
                "outlier": one.outlier,
            }
        )
    return rows


def sync_document(result: Synchronisation) -> dict[str, Any]:
    """Describe a synchronisation by plain dictionaries, lists, strings and finite numbers."""
    videos = []
    for one, row in zip(result.videos, sync_rows(result), strict=True):
        chosen = np.unique(np.linspace(0, len(one.clock) - 1, min(len(one.clock), _CURVE_POINTS)).round().astype(int))
        curve = [
            {"clock": one.clock[k], "time": one.times[k], "confidence": one.confidence[k]}
            for k in (chosen if len(one.clock) else [])
        ]
        videos.append({**row, "input": describe_input(one.video), "curve": curve})
    names = [str(one.video.path) for one in result.videos]
    return plain(
        {
            "format": FORMAT_NAME,
            "format_version": 1,
            "model": result.model,
            "reference": names[result.reference],
            "cycle_error": result.cycle_error,
            "videos": videos,
            "coverage": [
                {"start": start, "end": end, "videos": [names[k] for k in shown]}
                for start, end, shown in result.coverage
            ],
            "failed": [{"path": one.path, "message": one.message} for one in result.failed],
            "settings": result.settings,
            "versions": result.versions,
        }
    )


def write_synchronisation(
    result: Synchronisation, out: str | os.PathLike[str], *, overwrite: bool = False, progress: bool = False
) -> Path:
    """Write ``sync.csv``, ``sync.json``, ``coverage.png`` and ``grid.mp4`` into a new folder, all or nothing.

    Parameters
    ----------
    result : Synchronisation
        What to report.
    out : path
        The folder to create.
    overwrite : bool
        Whether to replace results of ``lac sync`` that are already there.
    progress : bool
        Whether to show a progress bar on stderr.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        If the folder exists (without ``overwrite``), holds other files, cannot be created, or the disk is full.
    VideoError
        If a video can no longer be read.
    """
    with result_folder(out, _KIND, overwrite=overwrite) as unfinished:
        with open(unfinished / "sync.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(plain(sync_rows(result)))
        (unfinished / "sync.json").write_text(dump_document(sync_document(result)), encoding="utf-8")
        save_figure(lambda: _draw_coverage(result), unfinished / "coverage.png")
        _write_grid(result, unfinished / "grid.mp4", progress)
    return Path(out)


def _write_grid(result: Synchronisation, path: Path, progress: bool) -> None:
    """All videos from the first moment that any of them shows to the last, outliers last and dark."""
    inside = [one for one in result.videos if len(one.clock) and not one.outlier]
    outliers = [one for one in result.videos if one.outlier or not len(one.clock)]
    shown = inside or outliers
    rate = min(max(one.video.frame_rate for one in result.videos), SMOOTH_RATE)
    start, end = min(float(one.clock[0]) for one in shown), max(float(one.clock[-1]) for one in shown)
    clock = start + np.arange(int((end - start) * rate + 1e-3) + 1) / rate
    panels = []
    for one in inside:
        present = (clock >= one.clock[0] - 0.5 / rate) & (clock <= one.clock[-1] + 0.5 / rate)
        times = np.interp(clock, one.clock, one.times)
        sure = np.interp(clock, one.clock, one.confidence) if result.model == "warp" else None
        is_reference = one is result.videos[result.reference]
        panels.append(GridPanel(one.video, times, present, "reference" if is_reference else "", sure))
    for one in outliers:
        still = np.full(len(clock), float(one.video.times[0]))
        panels.append(GridPanel(one.video, still, np.zeros(len(clock), bool), "outlier"))
    write_grid_video(panels, clock, path, frame_rate=rate, progress=progress)


def _draw_coverage(result: Synchronisation) -> Figure:
    count = len(result.videos)
    figure = Figure(figsize=(9, 1.6 + 0.34 * count), layout="constrained")
    axes, number = figure.subplots(2, 1, sharex=True, height_ratios=(count, 2))
    for position, one in enumerate(result.videos):
        if not len(one.clock):
            continue
        colour = "0.75" if one.outlier else _COLOUR
        length = float(one.clock[-1] - one.clock[0])
        axes.barh(position, length, left=float(one.clock[0]), height=0.7, color=colour)
        word = "outlier" if one.outlier else f"{one.confidence.mean():.2f}"
        middle = float(one.clock[0]) + length / 2
        axes.text(middle, position, word, color="white", ha="center", va="center", fontsize=8)
    names = [printable(shorten(name, _NAME_LENGTH)) for name in distinct_names(one.video.path for one in result.videos)]
    shown = [name + (" *" if k == result.reference else "") for k, (name, _) in enumerate(names)]
    axes.set_yticks(range(count), shown)
    for label, (_, font) in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontproperties(FontProperties(fname=str(font), size=9))
        label.set_parse_math(False)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_title("who shows which part of the common clock, with the confidence (* reference)", fontsize=10)
    edges = [start for start, _, _ in result.coverage] + [end for _, end, _ in result.coverage[-1:]]
    if edges:
        number.stairs([len(present) for _, _, present in result.coverage], edges, fill=True, color="0.6")
    number.set_ylim(0, count + 0.5)
    number.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    number.set_ylabel("videos")
    number.set_xlabel("common clock (s)")
    return figure
