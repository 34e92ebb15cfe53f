"""Small copies of large videos, made while their frames are decoded for the network, for showing them later."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from types import TracebackType

from lactoolkit.errors import LacToolkitError
from lactoolkit.features.cache import NewFile, entry_key, find_file
from lactoolkit.video.encoding import VideoWriter
from lactoolkit.video.pictures import YuvPicture

_LOG = logging.getLogger(__name__)
# Raised when previews are to look different: older ones are then not found any more.
_FORMAT = 1
_SUFFIX = ".mp4"
_PIXELS = 640 * 360
# Decoding anything smaller than that is quick enough.
_WORTHWHILE_PIXELS = 2 * _PIXELS
# Positions stand for frames; their true times are kept with the features.
_RATE = 30
_QUALITY = 18


def preview_size(width: int, height: int) -> tuple[int, int] | None:
    """Height and width of the preview of a video of some size; even. None for videos that are too small to need one."""
    if width * height < _WORTHWHILE_PIXELS:
        return None
    aspect = width / height
    lines = max(round(math.sqrt(_PIXELS / aspect) / 2) * 2, 2)
    return lines, max(round(lines * aspect / 2) * 2, 2)


def preview_key(sha256: str, frame_rate: float | None, start: float | None, end: float | None) -> str:
    """Key of the preview of certain frames of a video, whatever encoder they are for."""
    return entry_key(preview=_FORMAT, video=sha256, frame_rate=frame_rate, start=start, end=end)


def find_preview(key: str) -> Path | None:
    """The preview kept under a key, or None."""
    return find_file(key, _SUFFIX)


class PreviewWriter:
    """Writes a preview into the cache, complete or not at all; what fails here fails silently, as it only saves time.

    Parameters
    ----------
    key : str
        Where to keep it.
    size : (int, int)
        Height and width.

    Attributes
    ----------
    size : (int, int)
        Height and width.
    path : Path or None
        The preview, when the context has been left without an error.
    """

    def __init__(self, key: str, size: tuple[int, int]):
        self.size = size
        self.path: Path | None = None
        self._writer: VideoWriter | None = None
        self._file: NewFile | None = None
        try:
            self._file = NewFile(key, _SUFFIX)
            self._writer = VideoWriter(
                self._file.temporary, _RATE, size[1], size[0], quality=_QUALITY, preset="ultrafast"
            )
        except (LacToolkitError, OSError) as error:
            self._give_up(error)

    def add(self, picture: YuvPicture) -> None:
        """Append the next frame."""
        if self._writer is not None:
            try:
                self._writer.write_yuv(picture)
            except LacToolkitError as error:
                self._give_up(error)

    def __enter__(self) -> PreviewWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None or self._file is None:
            return
        self._writer.__exit__(kind, error, trace) if kind is not None else self._finish()
        self._file.discard()

    def _finish(self) -> None:
        assert self._writer is not None
        assert self._file is not None
        try:
            self._writer.close()
            self.path = self._file.keep()
        except (LacToolkitError, OSError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        _LOG.info("no preview is kept: %s", error)
        if self._writer is not None:
            self._writer.__exit__(type(error), error, None)
            self._writer = None
        if self._file is not None:
            self._file.discard()
