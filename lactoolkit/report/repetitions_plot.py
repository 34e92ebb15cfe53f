"""`repetitions.png`: a video against itself, its repetitions, and their period over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from lactoolkit.alignment.repeats import Repetitions
from lactoolkit.figure_file import save_figure
from lactoolkit.report.similarity_plot import colour_limits, resample_matrix
from lactoolkit.report.text import COLOUR_A, printable, shorten

_COLOUR = "#{:02x}{:02x}{:02x}".format(*COLOUR_A)
_NAME_LENGTH = 60


def write_repetitions_plot(result: Repetitions, path: Path) -> None:
    """Draw the similarity of a video with itself, where repetitions begin, and their period over time.

    Parameters
    ----------
    result : Repetitions
        What to draw.
    path : Path
        The PNG file, replaced if it exists.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    save_figure(lambda: _draw(result), path)


def _draw(result: Repetitions) -> Figure:
    grid, extent, _ = resample_matrix(result.similarity, result.video.times, result.video.times)
    figure = Figure(figsize=(7.4, 8.0), layout="constrained")
    matrix, period = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    low, high = colour_limits(grid)
    image = matrix.imshow(
        grid.T, extent=(*extent, *extent), origin="lower", aspect="auto", cmap="gray", vmin=low, vmax=high
    )
    figure.colorbar(image, ax=matrix, label="similarity of two frames (unrelated: below 0)")
    lines = np.concatenate([[np.nan], result.times]), np.concatenate([[np.nan], result.times + result.periods])
    # A line may not join two series.
    breaks = np.flatnonzero(np.diff(result.times) > 0.5 * result.period) + 2
    across, upwards = (np.insert(line, breaks, np.nan) for line in lines)
    matrix.plot(across, upwards, color="white", linewidth=4)
    matrix.plot(across, upwards, color=_COLOUR, linewidth=2, label="one repetition later")
    for number, one in enumerate(result.repetitions, start=1):
        for axes in (matrix, period):
            axes.axvline(one.start_time, color=_COLOUR, linewidth=0.8, linestyle=":")
            axes.axvline(one.end_time, color=_COLOUR, linewidth=0.8, linestyle=":")
        matrix.annotate(
            str(number),
            ((one.start_time + one.end_time) / 2, 0.01),
            xycoords=("data", "axes fraction"),
            color="white",
            fontweight="bold",
            horizontalalignment="center",
            bbox={"facecolor": _COLOUR, "edgecolor": "none", "pad": 1.5},
        )
    matrix.set_ylabel("time (s)")
    period.plot(across, np.insert(np.concatenate([[np.nan], result.periods]), breaks, np.nan), color=_COLOUR)
    period.set_ylim(bottom=0)
    period.set_xlabel("time (s)")
    period.set_ylabel("period (s)")
    matrix.set_xlim(extent)
    name, font = printable(shorten(result.video.path.name, _NAME_LENGTH))
    title = figure.suptitle(f"{name}: {summary(result)}")
    title.set_fontproperties(FontProperties(fname=str(font), size=11))
    title.set_parse_math(False)
    return figure


def summary(result: Repetitions) -> str:
    """The result in a few words."""
    if not len(result):
        return "no repetition found"
    noun = "repetition" if len(result) == 1 else "repetitions"
    return f"{len(result)} {noun}, one each {result.period:.2f} s"
