"""`progress.png`: the loss so far, and how well a pair of videos aligns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lactoolkit.figure_file import save_figure
from lactoolkit.training.validation import Validation

_SMOOTHING = 20  # steps
_DPI = 100  # drawn at every validation, so it must not take long
_LOSS, _SCORE, _PATH = "#0072b2", "#d55e00", "#d55e00"


def write_progress_plot(
    rows: Sequence[Mapping[str, str]], validation: Validation, path: Path, *, are_held_out: bool
) -> None:
    """Draw the loss and the validation score of all steps, and the similarity matrix of a pair of videos with its path.

    Parameters
    ----------
    rows : sequence of mapping
        The log, a row per step.
    validation : Validation
        The last one.
    path : Path
        The PNG file, replaced in one step if it exists.
    are_held_out : bool
        Whether the pair was not learned from.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        save_figure(lambda: _draw(rows, validation, are_held_out), partial, dpi=_DPI)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _draw(rows: Sequence[Mapping[str, str]], validation: Validation, are_held_out: bool) -> Figure:
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    curve, table = figure.subplots(1, 2, width_ratios=(1.3, 1))
    _draw_curve(curve, rows)
    _draw_table(figure, table, validation, "held-out video" if are_held_out else "training video")
    return figure


def _draw_curve(axes: Axes, rows: Sequence[Mapping[str, str]]) -> None:
    steps = np.array([int(row["step"]) for row in rows])
    loss = np.array([float(row["loss"]) for row in rows])
    axes.plot(steps, loss, color="0.8", linewidth=0.8, label="loss of a step")
    axes.plot(steps, _running_mean(loss), color=_LOSS, label=f"mean of {_SMOOTHING} steps")
    axes.set_title(f"Step {steps[-1]}")
    axes.set_xlabel("step")
    axes.set_ylabel("training loss", color=_LOSS)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    scored = [(int(row["step"]), float(row["validation_score"])) for row in rows if row["validation_score"]]
    right = axes.twinx()
    right.plot(*zip(*scored, strict=True), "o-", color=_SCORE, markersize=3)
    right.set_ylabel("validation score (higher is better)", color=_SCORE)
    axes.legend(frameon=False, loc="upper center")


def _draw_table(figure: Figure, axes: Axes, validation: Validation, video: str) -> None:
    similarity = validation.similarity.T
    low, high = np.percentile(similarity, [1, 99])
    image = axes.imshow(similarity, origin="lower", cmap="gray", aspect="auto", vmin=low, vmax=max(high, low + 1e-6))
    if len(validation.pairs):
        axes.plot(*validation.pairs.T, color=_PATH, linewidth=1.8)
    axes.set_title(f"Two {video}s, and their best local path")
    axes.set_xlabel(f"frame of one {video}")
    axes.set_ylabel("frame of another")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=axes, label="similarity (standard deviations)")


def _running_mean(values: np.ndarray) -> np.ndarray:
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - _SMOOTHING, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)
