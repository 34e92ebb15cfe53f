"""`similarity.png`: the matrix of similarities with the paths of the hits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MultipleLocator

from lactoolkit.alignment.result import SIGNIFICANT, Alignment, GapRun, Hit
from lactoolkit.figure_file import save_figure
from lactoolkit.report.playback import long_gaps
from lactoolkit.report.text import COLOUR_A, COLOUR_B, distinct_names, printable, shorten
from lactoolkit.video.timecode import format_timecode

# More cells than this along an axis could not be told apart in the picture.
MOST_CELLS = 1000

# Thickness of the ticks that mark gap runs, as a part of the axis.
_TICK = 0.012
_NARROWEST_FIGURE = 7.4
_PACING_HEIGHT = 0.8  # inches
_PACING_RANGE = (1 / 6, 6)
_NAME_LENGTH = 48
# From this many seconds on, minutes are easier to read; ticks then stand at whole ones.
_LONG_AXIS = 150.0
_CLOCK_STEPS = (30, 60, 120, 300, 600, 1200, 1800, 3600)
_CLOCK_TICKS = 9
_TITLE_LENGTH = 36
_PATH_COLOURS = "plasma"
_COLOURS = {"a": "#{:02x}{:02x}{:02x}".format(*COLOUR_A), "b": "#{:02x}{:02x}{:02x}".format(*COLOUR_B)}


def write_similarity_plot(alignment: Alignment, path: Path) -> None:
    """Draw the similarity of every moment of A (across) with every moment of B (upwards), and the paths of the hits.

    Parameters
    ----------
    alignment : Alignment
        What to draw.
    path : Path
        The PNG file, replaced if it exists.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    save_figure(lambda: _draw(alignment), path)


def similarity_times(alignment: Alignment) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds of the rows and of the columns of an alignment's similarity matrix."""
    times_a, times_b = (
        _cell_times(video.times, step)
        for video, step in zip((alignment.a, alignment.b), alignment.reduction, strict=True)
    )
    return times_a, times_b


def resample_matrix(
    similarity: np.ndarray, times_a: np.ndarray, times_b: np.ndarray, most_cells: int = MOST_CELLS
) -> tuple[np.ndarray, tuple[float, float], tuple[float, float]]:
    """Average a matrix over a regular grid of time.

    Parameters
    ----------
    similarity : ndarray, shape (N, M)
        Similarity of frame i of A with frame j of B.
    times_a, times_b : ndarray, shapes (N,), (M,)
        Times of the frames in seconds, increasing.
    most_cells : int
        Upper bound of the grid's cells along either axis.

    Returns
    -------
    grid : ndarray, float32, shape (at most ``most_cells``, at most ``most_cells``)
        Mean of the frame pairs in each cell; cells without a frame of their own show the nearest one.
    extent_a, extent_b : tuple of float
        Where the grid begins and ends, in seconds.
    """
    cells_a, extent_a = _time_cells(times_a, most_cells)
    cells_b, extent_b = _time_cells(times_b, most_cells)
    rows = np.stack([similarity[start:stop].mean(axis=0, dtype=np.float32) for start, stop in cells_a])
    grid = np.stack([rows[:, start:stop].mean(axis=1) for start, stop in cells_b], axis=1)
    return grid, extent_a, extent_b


def _time_cells(times: np.ndarray, most_cells: int) -> tuple[list[tuple[int, int]], tuple[float, float]]:
    """Which frames (half-open range) belong to each cell of a regular grid, and the grid's extent in seconds."""
    if len(times) == 1:
        return [(0, 1)], (float(times[0]) - 0.5, float(times[0]) + 0.5)
    step = float(np.median(np.diff(times)))
    count = int(min(round((times[-1] - times[0]) / step) + 1, most_cells))
    width = (times[-1] - times[0]) / max(count - 1, 1) if count < most_cells else None
    low, high = float(times[0]) - step / 2, float(times[-1]) + step / 2
    if width is not None:
        low, high = float(times[0]) - width / 2, float(times[-1]) + width / 2
    edges = np.linspace(low, high, count + 1)
    starts = np.searchsorted(times, edges[:-1])
    stops = np.searchsorted(times, edges[1:])
    middles = (edges[:-1] + edges[1:]) / 2
    right = np.clip(np.searchsorted(times, middles), 1, len(times) - 1)
    nearest = np.where(middles - times[right - 1] <= times[right] - middles, right - 1, right)
    empty = stops <= starts
    starts, stops = np.where(empty, nearest, starts), np.where(empty, nearest + 1, stops)
    return list(zip(starts.tolist(), stops.tolist(), strict=True)), (low, high)


def _draw(alignment: Alignment) -> Figure:
    grid, extent_a, extent_b = resample_matrix(alignment.similarity, *similarity_times(alignment))
    width, height = _axes_size(extent_a[1] - extent_a[0], extent_b[1] - extent_b[0])
    extra = _PACING_HEIGHT if alignment.hits else 0.0
    figure = Figure(figsize=(max(width + 2.0, _NARROWEST_FIGURE), height + extra + 1.7), layout="constrained")
    heights = (height / 2, height / 2, extra) if extra else (height / 2, height / 2)
    places = figure.add_gridspec(len(heights), 2, width_ratios=(width, 0.16), height_ratios=heights)
    axes = figure.add_subplot(places[:2, 0])
    low, high = colour_limits(grid)
    image = axes.imshow(
        grid.T,
        extent=(*extent_a, *extent_b),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="gray",
        vmin=low,
        vmax=high,
    )
    bar = figure.colorbar(image, cax=figure.add_subplot(places[0, 1]))
    bar.set_label("similarity of two frames\n(unrelated: below 0)", fontsize=9)
    if alignment.hits:
        # The best one last, on top.
        for position in reversed(range(len(alignment.hits))):
            path = _draw_hit(axes, alignment.hits[position], alignment)
            if len(alignment.hits) > 1:
                _number_hit(axes, alignment.hits[position], position + 1)
        bar = figure.colorbar(path, cax=figure.add_subplot(places[1, 1]))
        bar.set_label("confidence of the match", fontsize=9)
        figure.legend(handles=_legend(alignment.hits), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    axes.set_xlim(extent_a)
    axes.set_ylim(extent_b)
    lowest = axes
    if alignment.hits:
        lowest = figure.add_subplot(places[2, 0], sharex=axes)
        _draw_pacing(lowest, alignment.hits)
        axes.tick_params(labelbottom=False)
    names = distinct_names((alignment.a.path, alignment.b.path))
    for axis, letter, name in zip((lowest.xaxis, axes.yaxis), "AB", names, strict=True):
        _name_axis(axis, letter, name)
    _write_title(figure, names)
    axes.set_title(_result_lines(alignment), fontsize=9)
    return figure


def _draw_hit(axes: Axes, hit: Hit, alignment: Alignment) -> LineCollection:
    left, right = float(hit.times_a[0]), float(hit.times_a[-1])
    bottom, top = float(hit.times_b[0]), float(hit.times_b[-1])
    # White on black is seen on any background.
    for colour, width in (("black", 2.4), ("white", 1.2)):
        axes.add_patch(Rectangle((left, bottom), right - left, top - bottom, fill=False, edgecolor=colour, lw=width))
    for gap in hit.gaps:
        _draw_gap(axes, gap, left, bottom, alignment)
    broken_a, broken_b = long_gaps(alignment, hit)
    for k in np.flatnonzero(broken_a):
        first, last = alignment.a.times[hit.rows[k] + 1], alignment.a.times[hit.rows[k + 1] - 1]
        axes.add_patch(Rectangle((first, bottom), last - first, top - bottom, color=_COLOURS["a"], alpha=0.4, lw=0))
    for k in np.flatnonzero(broken_b):
        first, last = alignment.b.times[hit.columns[k] + 1], alignment.b.times[hit.columns[k + 1] - 1]
        axes.add_patch(Rectangle((left, first), right - left, last - first, color=_COLOURS["b"], alpha=0.4, lw=0))
    broken = broken_a | broken_b
    points = np.column_stack([hit.times_a, hit.times_b]).astype(np.float64)
    segments = np.stack([points[:-1], points[1:]], axis=1)[~broken]
    between = ((hit.confidence[:-1] + hit.confidence[1:]) / 2)[~broken].astype(np.float64)
    outline = LineCollection(list(segments), colors="black", linewidths=5, capstyle="round")
    path = LineCollection(list(segments), cmap=_PATH_COLOURS, linewidths=3, capstyle="round")
    path.set_array(between)
    path.set_clim(0.0, 1.0)
    for k in np.flatnonzero(broken):
        # As the alignment has it: B's frames pass first, then A's.
        corners = [(points[k, 0], points[k, 1]), (points[k, 0], points[k + 1, 1]), tuple(points[k + 1])]
        axes.plot(*zip(*corners, strict=True), color="white", linewidth=1.2, linestyle=(0, (2, 2)))
    axes.add_collection(outline)
    axes.add_collection(path)
    return path


def _cell_times(times: np.ndarray, step: int) -> np.ndarray:
    """Mean time of each run of ``step`` frames."""
    starts = np.arange(0, len(times), step)
    return np.add.reduceat(times, starts) / np.diff(np.append(starts, len(times)))


def _draw_pacing(axes: Axes, hits: tuple[Hit, ...]) -> None:
    """Draw, along A, how many seconds of B pass in one second of A."""
    axes.axhline(1.0, color="0.6", linewidth=0.8)
    for hit in reversed(hits):
        axes.plot(hit.times_a, hit.speed_ratio, color="black" if hit is hits[0] else "0.5", linewidth=1.2)
    axes.set_yscale("log", base=2)
    axes.set_ylim(*_PACING_RANGE)
    axes.set_yticks([0.25, 1.0, 4.0], ["1/4", "1", "4"])
    axes.minorticks_off()
    axes.set_ylabel("s of B\nper s of A", fontsize=8)


def _number_hit(axes: Axes, hit: Hit, number: int) -> None:
    axes.annotate(
        str(number),
        (float(hit.times_a[0]), float(hit.times_b[-1])),
        xytext=(3, -3),
        textcoords="offset points",
        color="white",
        fontsize=9,
        fontweight="bold",
        verticalalignment="top",
        path_effects=[withStroke(linewidth=2.5, foreground="black")],
        annotation_clip=True,
    )


def _draw_gap(axes: Axes, gap: GapRun, left: float, bottom: float, alignment: Alignment) -> None:
    """Mark unmatched frames by a tick outside the hit's box, however few they are."""
    video, other = (alignment.a, alignment.b) if gap.video == "a" else (alignment.b, alignment.a)
    half = 0.5 / video.frame_rate
    first, length = gap.first_time - half, gap.last_time - gap.first_time + 2 * half
    thickness = _TICK * float(other.times[-1] - other.times[0])
    if gap.video == "a":
        tick = Rectangle((first, bottom - thickness), length, thickness, color=_COLOURS["a"], linewidth=0)
    else:
        tick = Rectangle((left - thickness, first), thickness, length, color=_COLOURS["b"], linewidth=0)
    # A hit that begins with the video has its ticks beyond the edge of the matrix.
    tick.set_clip_on(False)
    tick.set_zorder(3)
    axes.add_patch(tick)


def _legend(hits: Sequence[Hit]) -> list[Line2D | Rectangle]:
    path_colour = matplotlib.colormaps[_PATH_COLOURS](0.8)
    entries: list[Line2D | Rectangle] = [Line2D([], [], color=path_colour, linewidth=3, label="matched frames")]
    for video, other in (("a", "b"), ("b", "a")):
        if any(gap.video == video for hit in hits for gap in hit.gaps):
            label = f"frames of {video.upper()} without counterpart in {other.upper()}"
            entries.append(Rectangle((0, 0), 1, 1, color=_COLOURS[video], linewidth=0, label=label))
    return entries


def _name_axis(axis: Axis, letter: str, name: str) -> None:
    name, font = printable(shorten(name, _NAME_LENGTH))
    label: Text = axis.label
    axis.set_label_text(f"{letter}: {name}: time ({mark_times(axis)})")
    label.set_fontproperties(FontProperties(fname=str(font), size=10))
    label.set_color(_COLOURS[letter.lower()])
    # A file name with two dollar signs is no formula.
    label.set_parse_math(False)


def mark_times(axis: Axis) -> str:
    """Give the ticks of an axis of time, whose limits are set, the unit that is returned."""
    low, high = axis.get_view_interval()
    if high - low < _LONG_AXIS:
        return "s"
    step = next((step for step in _CLOCK_STEPS if high - low <= step * _CLOCK_TICKS), _CLOCK_STEPS[-1])
    with_hours = high >= 3600

    def clock(time: float, _: int | None) -> str:
        hours, rest = divmod(round(time), 3600)
        minutes, seconds = divmod(rest, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if with_hours else f"{60 * hours + minutes}:{seconds:02}"

    axis.set_major_locator(MultipleLocator(step))
    axis.set_major_formatter(FuncFormatter(clock))
    return "h:min:s" if with_hours else "min:s"


def _write_title(figure: Figure, names: Sequence[str]) -> None:
    text, font = printable("  and  ".join(shorten(name, _TITLE_LENGTH) for name in names))
    title = figure.suptitle(text)
    title.set_fontproperties(FontProperties(fname=str(font), size=11))
    title.set_parse_math(False)


def _result_lines(alignment: Alignment) -> str:
    if not alignment.hits:
        return "no alignment found"
    hit = alignment.hits[0]
    a, b = (
        f"{letter} {format_timecode(float(times[0]))} to {format_timecode(float(times[-1]))}"
        for letter, times in (("A", hit.times_a), ("B", hit.times_b))
    )
    line = f"{a}   matches   {b}   (mean confidence {hit.mean_confidence:.2f})"
    if more := sum(one.p_value < SIGNIFICANT for one in alignment.hits[1:]):
        line += f"\nand {more} more stretch{'' if more == 1 else 'es'} better than chance"
    warning = {
        "aligned": "",
        "weak": "weak: chance does as well\n",
        "not alignable": "no alignment better than chance; best candidate, for inspection only:\n",
    }
    return warning[alignment.verdict] + line


def _axes_size(span_a: float, span_b: float) -> tuple[float, float]:
    """Size of the axes in inches: one second as long across as upwards, unless one video is far longer."""
    ratio = float(np.clip(span_a / span_b, 1 / 2.2, 2.2))
    area = 5.6**2
    return float(np.sqrt(area * ratio)), float(np.sqrt(area / ratio))


def colour_limits(grid: np.ndarray) -> tuple[float, float]:
    """Range of the colours: without the outermost half per cent, so that a few odd cells don't wash out the rest."""
    finite = grid[np.isfinite(grid)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.quantile(finite, (0.005, 0.995))
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(high) + 0.5)
