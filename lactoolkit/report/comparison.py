"""Deviations of videos from a reference as a table, a document and a picture."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from lactoolkit.alignment.compare import ComparedVideo, Comparison
from lactoolkit.alignment.deviations import KINDS, Course
from lactoolkit.figure_file import save_figure
from lactoolkit.report.alignment_json import describe_input, dump_document, plain
from lactoolkit.report.output_folder import ReportKind, check_folder, result_folder
from lactoolkit.report.text import distinct_names, printable, shorten
from lactoolkit.report.viewer import COMPARISON_VIEWER_FILES
from lactoolkit.report.viewer.page import write_comparison_viewer

FORMAT_NAME = "lactoolkit-comparison"
COMPARISON_FILES = ("deviations.csv", "comparison.json", "comparison.png")
_KIND = ReportKind("lac compare", (*COMPARISON_FILES, *COMPARISON_VIEWER_FILES), "comparison.json", FORMAT_NAME)
_COLUMNS = ("video", "deviation", "start", "end", "reference_start", "reference_end", "score", "p_value")
# Those of the page: neither is that of A or B, and each is told from the others by colour-blind eyes.
_COLOURS = dict(zip(KINDS, ("#c2187f", "#8a6300", "#00795a"), strict=True))
_NAME_LENGTH = 70


def check_comparison_output(out: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Check that results can be written to a folder, before any time is spent on computing them.

    Raises
    ------
    OutputError
        If the folder exists and may not be replaced, or cannot be created.
    """
    return check_folder(out, _KIND, overwrite=overwrite)


def deviation_rows(one: ComparedVideo) -> list[dict[str, Any]]:
    """One row for each deviation of a video, times in seconds."""
    return [
        {
            "video": str(one.video.path),
            "deviation": found.kind,
            "start": found.start,
            "end": found.end,
            "reference_start": found.reference_start,
            "reference_end": found.reference_end,
            "score": found.score,
            "p_value": found.p_value,
        }
        for found in one.deviations
    ]


def comparison_document(result: Comparison) -> dict[str, Any]:
    """Describe a comparison by plain dictionaries, lists, strings and finite numbers."""

    def about(course: Course) -> dict[str, Any]:
        return {**describe_input(course.video), "verdict": course.verdict}

    return plain(
        {
            "format": FORMAT_NAME,
            "format_version": 1,
            "level": result.level,
            "leave_one_out": result.leave_one_out,
            "reference": describe_input(result.reference),
            "normal": [about(course) for course in result.normal],
            "videos": [{**about(one.course), "deviations": deviation_rows(one)} for one in result.videos],
            "failed": [{"path": one.path, "message": one.message} for one in result.failed],
            "settings": result.settings,
            "versions": result.versions,
        }
    )


def write_comparison(
    result: Comparison,
    out: str | os.PathLike[str],
    *,
    html: bool = False,
    embed: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Write ``deviations.csv``, ``comparison.json`` and ``comparison.png`` into a new folder, all or nothing.

    Parameters
    ----------
    result : Comparison
        What to report.
    out : path
        The folder to create.
    html : bool
        Whether to add ``viewer.html``, a page that plays each video in step with the reference.
    embed : bool
        Whether that page holds the videos itself.
    overwrite : bool
        Whether to replace results of ``lac compare`` that are already there.
    progress : bool
        Whether to show a progress bar on stderr when a video has to be copied for the page.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        If the folder exists (without ``overwrite``), holds other files, cannot be created, or the disk is full.
    ParameterError
        If the videos are too long to be embedded.
    """
    with result_folder(out, _KIND, overwrite=overwrite) as unfinished:
        with open(unfinished / "deviations.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            for one in result.videos:
                writer.writerows(plain(deviation_rows(one)))
        (unfinished / "comparison.json").write_text(dump_document(comparison_document(result)), encoding="utf-8")
        save_figure(lambda: _draw(result), unfinished / "comparison.png")
        if html:
            write_comparison_viewer(result, unfinished, embed=embed, progress=progress)
    return Path(out)


def describe_match(one: ComparedVideo) -> str:
    """What to add to the name of a video that may not show what the reference shows; "" if it does."""
    return "" if one.course.verdict == "aligned" else f" (match with the reference: {one.course.verdict})"


def _draw(result: Comparison) -> Figure:
    count = len(result.videos)
    figure = Figure(figsize=(9, 0.9 + 1.9 * count), layout="constrained")
    all_axes = figure.subplots(count, 1, squeeze=False)[:, 0]
    names = distinct_names(one.video.path for one in result.videos)
    for axes, one, name in zip(all_axes, result.videos, names, strict=True):
        _draw_video(axes, one, name)
    all_axes[-1].set_xlabel("time of the video (s)")
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=9)
    return figure


def _draw_video(axes: Axes, one: ComparedVideo, name: str) -> None:
    """How far one video deviates over its own time, with the stretches that are listed."""
    course = one.course
    shown = np.flatnonzero(np.isfinite(course.times))
    for kind in KINDS:
        if kind == "faster or missing":
            times, curve = course.times[shown], one.curves[kind][shown]
        else:
            times, curve = course.video.times[course.own_frames], one.curves[kind]
        axes.plot(times, curve, color=_COLOURS[kind], linewidth=1.2, label=kind)
    for found in one.deviations:
        axes.axvspan(found.start, found.end, color=_COLOURS[found.kind], alpha=0.2, linewidth=2)
        axes.annotate(
            f"p = {found.p_value:.2g}",
            # A row for each kind: they often coincide.
            ((found.start + found.end) / 2, 0.97 - 0.13 * KINDS.index(found.kind)),
            xycoords=("data", "axes fraction"),
            color=_COLOURS[found.kind],
            fontsize=8,
            horizontalalignment="center",
            verticalalignment="top",
        )
    axes.axhline(0, color="0.7", linewidth=0.8)
    axes.set_xlim(float(course.video.times[0]), float(course.video.times[-1]))
    axes.set_ylabel("standard\ndeviations", fontsize=9)
    name, font = printable(shorten(name, _NAME_LENGTH))
    remark = "" if one.deviations else ": nothing conspicuous"
    title = axes.set_title(f"{name}{describe_match(one)}{remark}", loc="left")
    title.set_fontproperties(FontProperties(fname=str(font), size=10))
    title.set_parse_math(False)
