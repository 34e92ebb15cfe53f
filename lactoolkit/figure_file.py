"""Figures as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def save_figure(draw: Callable[[], Figure], path: Path, *, dpi: int = 150) -> None:
    """Draw a figure and save it, whatever backend and style the user has set for figures of their own.

    Parameters
    ----------
    draw : callable
        Draws the figure.
    path : Path
        The file, replaced if it exists; its extension says what kind it is.
    dpi : int
        Pixels per inch of the figure's size.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        FigureCanvasAgg(figure := draw())
        # The ticks of a colour bar may change with the first layout; the one of the second drawing knows their width.
        figure.draw_without_rendering()
        figure.savefig(path, dpi=dpi)
