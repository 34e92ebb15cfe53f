"""A picture of frames side by side: the query of a retrieval and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lactoolkit.errors import VideoError
from lactoolkit.report.text import COLOUR_A, distinct_names, printable, shorten
from lactoolkit.video.decoding import probe, read_frames
from lactoolkit.video.replacing_file import replacing_path
from lactoolkit.video.timecode import format_timecode

_COLUMNS = 5
_TILE = 256
_MARGIN = 10
_LINE = 20
_FONT_SIZE = 14
_NAME_LENGTH = 30
_BACKGROUND = (250, 250, 250)
_TEXT = (25, 25, 28)
_FAINT = (110, 110, 115)


@dataclass(frozen=True)
class SheetFrame:
    """A frame to show: its video, native number, time in seconds, and a word about it."""

    path: Path
    frame: int
    time: float
    remark: str = ""


def write_contact_sheet(frames: Sequence[SheetFrame], path: str | Path) -> None:
    """Draw frames with their names and times, five in a row, the first one framed.

    Parameters
    ----------
    frames : sequence of SheetFrame
        At least one.
    path : str or Path
        The PNG file; it appears when it is complete.

    Raises
    ------
    VideoError
        If a frame cannot be read.
    OutputError
        If the file cannot be written.
    """
    pictures = [_picture(one) for one in frames]
    columns = min(_COLUMNS, len(frames))
    rows = -(-len(frames) // columns)
    heights = [
        max(picture.shape[0] for picture in pictures[row * columns : (row + 1) * columns]) for row in range(rows)
    ]
    tile = _MARGIN + _TILE
    size = (columns * tile + _MARGIN, sum(heights) + rows * (2 * _LINE + 2 * _MARGIN) + _MARGIN)
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    top = _MARGIN
    names = distinct_names(one.path for one in frames)
    for number, (one, name, picture) in enumerate(zip(frames, names, pictures, strict=True)):
        row, column = divmod(number, columns)
        left = _MARGIN + column * tile
        if number and not column:
            top += heights[row - 1] + 2 * _LINE + 2 * _MARGIN
        height, width = picture.shape[:2]
        inset = (_TILE - width) // 2
        sheet.paste(Image.fromarray(picture), (left + inset, top))
        if not number:
            draw.rectangle(
                (left + inset - 4, top - 4, left + inset + width + 3, top + height + 3), outline=COLOUR_A, width=4
            )
        _write(draw, (left, top + height + 4), shorten(name, _NAME_LENGTH), _TEXT)
        about = f"{format_timecode(one.time)}  frame {one.frame}  {one.remark}".rstrip()
        _write(draw, (left, top + height + 4 + _LINE), about, _FAINT)
    with replacing_path(Path(path)) as temporary:
        sheet.save(temporary, format="PNG")


def _picture(one: SheetFrame) -> np.ndarray:
    """The frame, (H, W, 3) uint8, no wider or higher than a tile."""
    info = probe(one.path)
    scale = min(_TILE / info.width, _TILE / info.height)
    size = (max(round(info.height * scale), 1), max(round(info.width * scale), 1))
    for batch in read_frames(one.path, size=size, start=max(one.time - 0.01, 0.0), batch_size=1):
        if batch.frames[0] >= one.frame:
            return batch.images[0]
    raise VideoError(f"{one.path}: frame {one.frame} is not there any more; has the file changed?")


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, colour: tuple[int, int, int]) -> None:
    text, font = printable(text)
    draw.text(place, text, fill=colour, font=ImageFont.truetype(str(font), _FONT_SIZE))
