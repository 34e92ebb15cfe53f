"""`grid.mp4`: many videos on one clock."""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lactoolkit.alignment.result import AlignedVideo
from lactoolkit.errors import LacToolkitWarning
from lactoolkit.report.frame_layout import Picture, draw_name, even, typeset
from lactoolkit.report.moving_pictures import encode_pictures, pictures_at
from lactoolkit.report.text import distinct_names
from lactoolkit.video.pictures import YuvPicture
from lactoolkit.video.timecode import format_timecode

MOST_PANELS = 36  # each video is decoded at the same time as all others
_WIDTH, _HEIGHT = 1280, 960  # of the whole, at most
_SMALLEST, _TALLEST = 120, 480  # of a picture
_MARGIN = 6
_LINE = 26
_BACKGROUND = (18, 18, 20)
_TEXT, _FAINT = 235, 150
_AWAY_BRIGHTNESS = 0.25


@dataclass(frozen=True)
class GridPanel:
    """One video of a grid.

    Parameters
    ----------
    video : AlignedVideo
        The video.
    times : ndarray, shape (K,), float64
        Which of its moments to show, in seconds; they never go back.
    present : ndarray, shape (K,), bool
        Whether it shows the process then; otherwise its picture is dark.
    remark : str
        A word about it, such as "reference".
    confidence : ndarray, shape (K,), optional
        Confidence of what is shown, NaN where there is none.
    """

    video: AlignedVideo
    times: np.ndarray
    present: np.ndarray
    remark: str = ""
    confidence: np.ndarray | None = None


def write_grid_video(
    panels: Sequence[GridPanel], clock: np.ndarray, path: Path, *, frame_rate: float, progress: bool = False
) -> None:
    """Write a video of many videos playing in step, side by side in rows.

    Parameters
    ----------
    panels : sequence of GridPanel
        The videos, at least one; those beyond :data:`MOST_PANELS` are left out.
    clock : ndarray, shape (K,), float64
        The common time of each frame, in seconds, shown below.
    path : Path
        The file, H.264 in MP4, replaced if it exists.
    frame_rate : float
        Frames per second.
    progress : bool
        Whether to show a progress bar on stderr.

    Raises
    ------
    VideoError
        If a video can no longer be read.
    OSError
        If the file cannot be written.

    Warns
    -----
    LacToolkitWarning
        Of videos that are left out.
    """
    if len(panels) > MOST_PANELS:
        warnings.warn(
            f"grid.mp4 shows {MOST_PANELS} of {len(panels)} videos, which is what fits; the tables have all of them",
            LacToolkitWarning,
            stacklevel=2,
        )
    panels = panels[:MOST_PANELS]
    grid = _Grid(panels, clock)

    def pictures() -> Generator[YuvPicture]:
        with ExitStack() as stack:
            streams = [
                stack.enter_context(closing(pictures_at(panel.video, size, panel.times)))
                for panel, size in zip(panels, grid.sizes, strict=True)
            ]
            for index, shown in enumerate(zip(*streams, strict=True)):
                yield grid.draw(index, shown)

    encode_pictures(
        pictures(),
        path,
        frame_rate=frame_rate,
        width=grid.width,
        height=grid.height,
        total=len(clock),
        progress=progress,
    )


class _Grid:
    """Where each panel stands, and how a frame is drawn."""

    def __init__(self, panels: Sequence[GridPanel], clock: np.ndarray) -> None:
        self._panels, self._clock = panels, clock
        aspects = [panel.video.width / panel.video.height for panel in panels]
        self._columns, self._cell = _arrange(len(panels), float(np.median(aspects)))
        cell_height, cell_width = self._cell
        self.sizes = [_fit(aspect, cell_height, cell_width) for aspect in aspects]
        rows = -(-len(panels) // self._columns)
        self.width = _MARGIN + self._columns * (cell_width + _MARGIN)
        self.height = even(rows * (cell_height + 2 * _LINE) + _LINE + _MARGIN)
        self._template = self._draw_template()

    def draw(self, index: int, pictures: Sequence[Picture]) -> YuvPicture:
        """Draw the frame at a position of the clock."""
        canvas = self._template.copy()
        for number, (panel, picture) in enumerate(zip(self._panels, pictures, strict=True)):
            top, left = self._place(number)
            present = bool(panel.present[index])
            pixels = picture.pixels if present else picture.pixels.darkened(_AWAY_BRIGHTNESS)
            height, width = self.sizes[number]
            cell_height, cell_width = self._cell
            canvas.paste(pixels, top + (cell_height - height) // 4 * 2, left + (cell_width - width) // 4 * 2)
            caption = f"{format_timecode(picture.time)}  frame {picture.frame}" if present else "not here"
            sure = panel.confidence[index] if panel.confidence is not None else np.nan
            if present and np.isfinite(sure):
                caption += f"  ({sure:.2f})"
            self._write(canvas, caption, top + cell_height, left, _TEXT if present else _FAINT)
        self._write(canvas, f"clock {format_timecode(float(self._clock[index]))}", self.height - _LINE, _MARGIN, _FAINT)
        return canvas

    def _place(self, number: int) -> tuple[int, int]:
        """Top and left of a panel's picture."""
        row, column = divmod(number, self._columns)
        return row * (self._cell[0] + 2 * _LINE) + _LINE, _MARGIN + column * (self._cell[1] + _MARGIN)

    def _write(self, canvas: YuvPicture, text: str, top: int, left: int, brightness: int) -> None:
        letters = typeset(text, brightness)
        part = canvas.y[top : top + letters.shape[0], left : left + min(letters.shape[1], self._cell[1])]
        part[:] = letters[: part.shape[0], : part.shape[1]]

    def _draw_template(self) -> YuvPicture:
        canvas = np.full((self.height, self.width, 3), _BACKGROUND, np.uint8)
        names = distinct_names(panel.video.path for panel in self._panels)
        for number, panel in enumerate(self._panels):
            top, left = self._place(number)
            remark = f" ({panel.remark})" if panel.remark else ""
            name = draw_name(names[number] + remark, self._cell[1])[:, : self._cell[1]]
            canvas[top - _LINE + 2 : top - _LINE + 2 + name.shape[0], left : left + name.shape[1]] = name
        return YuvPicture.from_rgb(canvas)


def _arrange(count: int, aspect: float) -> tuple[int, tuple[int, int]]:
    """Number of columns, and height and width of each picture's cell: as large as fits."""
    best = (0.0, 1)
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        width = (_WIDTH - _MARGIN) / columns - _MARGIN
        height = (_HEIGHT - _LINE) / rows - 2 * _LINE
        best = max(best, (min(height, width / aspect), columns))
    height = even(min(max(best[0], _SMALLEST), _TALLEST))
    return best[1], (height, even(height * aspect))


def _fit(aspect: float, height: int, width: int) -> tuple[int, int]:
    """Height and width of a picture of an aspect ratio inside a cell."""
    if aspect > width / height:
        return min(even(width / aspect), height), width
    return height, min(even(math.ceil(height * aspect)), width)
