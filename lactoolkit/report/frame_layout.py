"""What one frame of `side_by_side.mp4` looks like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lactoolkit.alignment.result import AlignedVideo
from lactoolkit.report.playback import Playback
from lactoolkit.report.text import COLOUR_A, COLOUR_B, distinct_names, printable, shorten
from lactoolkit.video.pictures import YuvPicture
from lactoolkit.video.timecode import format_timecode

TALLEST_PANEL = 640
# Two landscape videos of 640 x 360: enough to see what happens, quick to encode, and small enough to pass on.
_PIXELS = 2 * 640 * 360
_SMALLEST_PANEL_HEIGHT = 200
_WIDEST_PANEL = 960
_NARROWEST_PANEL = 264

_MARGIN = 8
_FONT_SIZE = 15
_LINE = 26
_TIMELINE = 34

_BACKGROUND = (18, 18, 20)
_TEXT = (235, 235, 235)
_FAINT = (150, 150, 150)
_WHITE_LUMA, _BLACK_LUMA, _GREY_CHROMA = 235, 16, 128
_TRACK = (45, 45, 50)
_PLAYED = (120, 190, 120)
_TO_PLAY = (85, 115, 85)
_HELD_BRIGHTNESS = 0.45


def picture_sizes(a: AlignedVideo, b: AlignedVideo) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sizes (height, width) at which to show two videos: one height, their own aspect ratios, no larger than needed."""
    aspects = (a.width / a.height, b.width / b.height)
    height = even(
        min(
            math.sqrt(_PIXELS / sum(aspects)),
            TALLEST_PANEL,
            max(a.height, b.height, _SMALLEST_PANEL_HEIGHT),
            _WIDEST_PANEL / max(aspects),
        )
    )
    return (height, even(height * aspects[0])), (height, even(height * aspects[1]))


@dataclass(frozen=True)
class Picture:
    """One decoded frame: its pixels, native frame number and time in seconds."""

    pixels: YuvPicture
    frame: int
    time: float


class FrameLayout:
    """Draws the frames of a side-by-side video.

    The panels carry the videos, the lines above them the file names, the lines below them time and frame number; the
    strip at the bottom shows the confidence along the whole hit, with the playhead.

    Pictures stay as decoded, in luma and chroma: converting them to RGB and back would cost as much as encoding them.

    Parameters
    ----------
    a, b : AlignedVideo
        The two videos.
    playback : Playback
        What will be played.
    headline : str
        A sentence for the strip, such as a warning that the match is no better than chance; "" for none.
    """

    def __init__(self, a: AlignedVideo, b: AlignedVideo, playback: Playback, headline: str = "") -> None:
        self._playback = playback
        sizes = picture_sizes(a, b)
        self._panel_widths = [max(width, _NARROWEST_PANEL) for _, width in sizes]
        self._top = _LINE
        self._bottom = _LINE + sizes[0][0]
        self._panels = [_MARGIN, 2 * _MARGIN + self._panel_widths[0]]
        # Narrow pictures stand in the middle of their panels, at even places.
        self._lefts = [self._panels[k] + (self._panel_widths[k] - sizes[k][1]) // 4 * 2 for k in range(2)]
        self.width = 3 * _MARGIN + sum(self._panel_widths)
        self._strip_top = self._bottom + _LINE + (_LINE if headline else 0)
        self.height = even(self._strip_top + _LINE + _TIMELINE + _MARGIN)
        template = self._draw_template((a, b), headline)
        self._template = YuvPicture.from_rgb(template)
        template[self._track][self._to_play_mask] = _PLAYED
        self._played = YuvPicture.from_rgb(template)

    def draw(self, index: int, a: Picture, b: Picture) -> YuvPicture:
        """Draw frame ``index`` of the playback.

        Parameters
        ----------
        index : int
            Position in the playback.
        a, b : Picture
            The frames to show, of the sizes that :func:`picture_sizes` gave.

        Returns
        -------
        YuvPicture
            Of the layout's height and width.
        """
        canvas = self._template.copy()
        held = (bool(self._playback.held_a[index]), bool(self._playback.held_b[index]))
        for side, picture in enumerate((a, b)):
            pixels = picture.pixels.darkened(_HELD_BRIGHTNESS) if held[side] else picture.pixels
            canvas.paste(pixels, self._top, self._lefts[side])
            if held[side]:
                sign = self._hold_sign(1 - side)
                height, width = pixels.y.shape
                sign_top = self._top + max(height - sign.y.shape[0], 0) // 4 * 2
                canvas.paste(sign, sign_top, self._lefts[side] + max(width - sign.y.shape[1], 0) // 4 * 2)
            self._write(canvas, f"{format_timecode(picture.time)}   frame {picture.frame}", self._bottom, side)
        self._draw_strip(canvas, index)
        return canvas

    def _draw_strip(self, canvas: YuvPicture, index: int) -> None:
        confidence = self._playback.confidence[index]
        if np.isfinite(confidence):
            caption = f"confidence {confidence:.2f}"
        elif self._playback.held_a[index] or self._playback.held_b[index]:
            caption = "no counterpart"
        else:
            caption = "not aligned"
        self._write(canvas, caption, self._strip_top, 0)
        played, total = index / self._playback.frame_rate, (len(self._playback) - 1) / self._playback.frame_rate
        clock = typeset(f"{format_timecode(played)} / {format_timecode(total)}", _FAINT[0])
        left = self.width - _MARGIN - clock.shape[1]
        canvas.y[self._strip_top : self._strip_top + clock.shape[0], left : left + clock.shape[1]] = clock
        rows = self._track[0]
        half_rows = slice(rows.start // 2, rows.stop // 2)
        head = _MARGIN + int(index * (self._track_width - 1) / max(len(self._playback) - 1, 1))
        canvas.y[rows, _MARGIN : head + 1] = self._played.y[rows, _MARGIN : head + 1]
        half_head = head // 2
        for target, source in ((canvas.u, self._played.u), (canvas.v, self._played.v)):
            target[half_rows, _MARGIN // 2 : half_head] = source[half_rows, _MARGIN // 2 : half_head]
            target[half_rows, half_head - 1 : half_head + 2] = _GREY_CHROMA
        canvas.y[rows, head - 1 : head + 2] = _WHITE_LUMA

    def _write(self, canvas: YuvPicture, caption: str, top: int, side: int) -> None:
        """Write a caption at the left of a panel; it changes the luma alone, for text and ground are both grey."""
        text = typeset(caption, _TEXT[0])
        left = self._panels[side]
        part = canvas.y[top : top + text.shape[0], left : left + min(text.shape[1], self._panel_widths[side])]
        part[:] = text[:, : part.shape[1]]

    @property
    def _track_width(self) -> int:
        return self.width - 2 * _MARGIN

    @property
    def _track(self) -> tuple[slice, slice]:
        """Rows and columns of the timeline."""
        top = self._strip_top + _LINE
        return slice(top, top + _TIMELINE), slice(_MARGIN, self.width - _MARGIN)

    @cached_property
    def _track_frames(self) -> np.ndarray:
        """Position in the playback that each column of the timeline stands for."""
        return np.linspace(0, len(self._playback) - 1, self._track_width).round().astype(np.int64)

    @cached_property
    def _to_play_mask(self) -> np.ndarray:
        """Pixels of the timeline below the curve of the confidence, bool (_TIMELINE, _track_width)."""
        level = np.nan_to_num(self._playback.confidence[self._track_frames], nan=0.0)
        # One pixel at least, so that a confidence of zero does not look like a gap.
        heights = np.where(np.isnan(self._playback.confidence[self._track_frames]), 0, np.maximum(level * _TIMELINE, 1))
        return np.arange(_TIMELINE, 0, -1)[:, None] <= heights.round()[None, :]

    def _draw_template(self, videos: tuple[AlignedVideo, AlignedVideo], headline: str) -> np.ndarray:
        canvas = np.full((self.height, self.width, 3), _BACKGROUND, dtype=np.uint8)
        names = distinct_names(video.path for video in videos)
        for side, (letter, colour) in enumerate((("A", COLOUR_A), ("B", COLOUR_B))):
            badge = self._line(f" {letter} ", (255, 255, 255), background=colour)
            self._paste(canvas, badge, self._panels[side], 2)
            title = draw_name(names[side], self._panel_widths[side] - badge.shape[1] - 6)
            self._paste(canvas, title, self._panels[side] + badge.shape[1] + 6, 2)
        if headline:
            text = self._line(headline, (255, 205, 90))
            self._paste(canvas, text, _MARGIN, self._strip_top - _LINE)
        track = canvas[self._track]
        track[:] = _TRACK
        track[self._to_play_mask] = _TO_PLAY
        # The colour of the video that moves on alone.
        for held, colour in ((self._playback.held_a, COLOUR_B), (self._playback.held_b, COLOUR_A)):
            track[_TIMELINE // 2 - 3 : _TIMELINE // 2 + 3, held[self._track_frames]] = colour
        return canvas

    @staticmethod
    @cache
    def _hold_sign(moving: int) -> YuvPicture:
        """Two bars, as on a pause button, and which video goes on."""
        text = FrameLayout._line(f"waits: only {'AB'[moving]} shows this", _TEXT, background=(0, 0, 0))
        sign = np.zeros((text.shape[0] + 34, even(text.shape[1] + 16), 3), dtype=np.uint8)
        middle = sign.shape[1] // 2
        sign[6:32, middle - 11 : middle - 3] = _TEXT
        sign[6:32, middle + 3 : middle + 11] = _TEXT
        sign[34:, 8 : 8 + text.shape[1]] = text
        return YuvPicture.from_rgb(sign)

    @staticmethod
    def _line(text: str, colour: tuple[int, int, int], background: tuple[int, int, int] = _BACKGROUND) -> np.ndarray:
        return draw_line(text, printable("")[1], colour, background)

    @staticmethod
    def _paste(canvas: np.ndarray, image: np.ndarray, left: int, top: int) -> None:
        """Put an image onto the canvas, cut off where it does not fit."""
        part = canvas[top : top + image.shape[0], left : left + image.shape[1]]
        part[:] = image[: part.shape[0], : part.shape[1]]


def typeset(text: str, brightness: int) -> np.ndarray:
    """Luma of a line of plain text on the background: letters are drawn once and set one after the other."""
    return np.concatenate([_letter(character, brightness) for character in text], axis=1)


@cache
def _letter(character: str, brightness: int) -> np.ndarray:
    image = draw_line(character, printable("")[1], (brightness,) * 3, _BACKGROUND)[..., 1]
    return (_BLACK_LUMA + image.astype(np.float32) * (_WHITE_LUMA - _BLACK_LUMA) / 255).round().astype(np.uint8)


def draw_name(name: str, room: int) -> np.ndarray:
    """Draw a file name on the background, its middle cut out if it is wider than ``room`` pixels."""
    name, font = printable(name)
    length = len(name)
    while length > 4 and _font(font).getlength(shorten(name, length)) > room:
        length -= 1
    return draw_line(shorten(name, length), font, _TEXT, _BACKGROUND)


def draw_line(text: str, font: Path, colour: tuple[int, int, int], background: tuple[int, int, int]) -> np.ndarray:
    """Draw a line of text as an RGB picture, uint8, as wide as the text."""
    face = _font(font)
    image = Image.new("RGB", (max(int(np.ceil(face.getlength(text))), 1), _LINE - 4), background)
    ImageDraw.Draw(image).text((0, (_LINE - 4) // 2), text, font=face, fill=colour, anchor="lm")
    return np.asarray(image)


_fonts: dict[Path, ImageFont.FreeTypeFont] = {}


def _font(path: Path) -> ImageFont.FreeTypeFont:
    if path not in _fonts:
        _fonts[path] = ImageFont.truetype(str(path), _FONT_SIZE)
    return _fonts[path]


def even(length: float) -> int:
    """Nearest even number of pixels, 2 at least: chroma is stored for squares of 2 x 2."""
    return max(round(length / 2) * 2, 2)
