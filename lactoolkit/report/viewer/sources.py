"""Where the page finds the videos, and copies of those that browsers do not play."""

from __future__ import annotations

import base64
import os
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

from lactoolkit.alignment.result import AlignedVideo
from lactoolkit.errors import ParameterError, VideoError
from lactoolkit.video.container import PacketDecoder, open_video
from lactoolkit.video.decoding import paint_frames
from lactoolkit.video.encoding import VideoWriter
from lactoolkit.video.pictures import YuvPainter

_MIME_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}
# What every browser of the last years plays: 8 bits, 4:2:0.
_CODECS = {".webm": {"vp8", "vp9", "libdav1d", "av1"}}
_MP4_CODECS = {"h264", "libdav1d", "av1"}
_PIXEL_FORMATS = {"yuv420p", "yuvj420p"}
_CONTAINERS = {"video/mp4": "mov", "video/webm": "webm"}

_MOST_COPIED_PIXELS = 1280 * 720
# Above this, a page holds a small copy instead of the video itself.
_LARGEST_EMBEDDED = 64 * 2**20
_EMBEDDED_COPY_PIXELS = 854 * 480
# All videos of a page: browsers take its text in one string, which Chromium limits to 512 MiB.
_LARGEST_PAGE = 256 * 2**20


@dataclass(frozen=True)
class VideoSource:
    """Where the page finds a video.

    Parameters
    ----------
    url : str
        Relative and percent-encoded; "" for a video within the page.
    data : str
        The video itself in base 64, or "".
    mime : str
        Its type.
    offset : float
        Seconds from the browser's time 0 to the video's first frame: what to add to our times.
    sound : bool
        Whether there is any.
    """

    url: str
    data: str
    mime: str
    offset: float
    sound: bool


def refer_to_video(video: AlignedVideo, copy: Path, folder: Path, *, progress: bool = False) -> VideoSource:
    """Refer to a video where it is, or to a copy that browsers play.

    Parameters
    ----------
    video : AlignedVideo
        The video.
    copy : Path
        Where a copy is written if one is needed.
    folder : Path
        The folder of the page.
    progress : bool
        Whether to show a progress bar for the copy.

    Returns
    -------
    VideoSource

    Raises
    ------
    VideoError
        If the video cannot be read.
    """
    playable = _inspect(video.path)
    if playable is None:
        copy.parent.mkdir(exist_ok=True)
        offset = write_copy(video, copy, _MOST_COPIED_PIXELS, progress=progress)
        return VideoSource(_relative_url(copy, folder), "", "video/mp4", offset, False)
    mime, offset, sound = playable
    return VideoSource(_relative_url(video.path, folder), "", mime, offset, sound)


def embed_video(video: AlignedVideo, copy: Path, folder: Path, *, progress: bool = False) -> VideoSource:
    """Take a video into the page: as it is where browsers play it and it is not large, else as a copy.

    Parameters
    ----------
    video : AlignedVideo
        The video.
    copy : Path
        Names a copy, which is temporary.
    folder : Path
        The folder of the page.
    progress : bool
        Whether to show a progress bar for the copy.

    Returns
    -------
    VideoSource

    Raises
    ------
    ParameterError
        If even the copy is too large for a page.
    VideoError
        If the video cannot be read.
    """
    playable = _inspect(video.path)
    if playable is not None and video.path.stat().st_size <= _LARGEST_EMBEDDED:
        mime, offset, sound = playable
        return VideoSource("", _base64(video.path), mime, offset, sound)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as temporary:
        file = Path(temporary, copy.name)
        offset = write_copy(video, file, _EMBEDDED_COPY_PIXELS, progress=progress)
        check_embedded_size(file.stat().st_size, video.path, "even as a small copy")
        return VideoSource("", _base64(file), "video/mp4", offset, False)


def check_embedded_size(size: int, path: Path, how: str) -> None:
    """Check that a page can hold so many bytes of videos.

    Raises
    ------
    ParameterError
        It cannot.
    """
    if size > _LARGEST_PAGE:
        raise ParameterError(
            f"{path}: too long to be embedded ({size / 2**20:.0f} MiB {how}, at most {_LARGEST_PAGE / 2**20:.0f}); "
            "leave out --embed, or take fewer or shorter videos"
        )


def write_copy(video: AlignedVideo, path: Path, most_pixels: int, *, progress: bool = False) -> float:
    """Write the analysed stretch of a video as H.264, upright, with its own timestamps, in constant memory.

    Parameters
    ----------
    video : AlignedVideo
        The video.
    path : Path
        The file to write.
    most_pixels : int
        Larger pictures are made smaller.
    progress : bool
        Whether to show a progress bar on stderr when it takes longer than a second.

    Returns
    -------
    float
        Seconds to add to times of the video to get those of the copy.
    """
    scale = min(1.0, (most_pixels / (video.width * video.height)) ** 0.5)
    height, width = (max(round(length * scale / 2) * 2, 2) for length in (video.height, video.width))
    start = float(video.times[0])
    painted = paint_frames(
        video.path,
        lambda _, orientation: YuvPainter(orientation, height, width).paint,
        start=start,
        end=float(video.times[-1]) + 1.5 / video.frame_rate,
        warn=False,  # whoever aligned the videos has heard of their damage already
    )
    rate = min(max(video.frame_rate, 1.0), 1000.0)
    with (
        closing(painted),
        VideoWriter(path, rate, width, height) as writer,
        tqdm(desc=path.name, unit="frame", delay=1, disable=not progress) as bar,
    ):
        first = None
        for _, time, picture in painted:
            first = time if first is None else first
            writer.write_yuv(picture, time - first)
            bar.update()
    assert first is not None  # paint_frames raises when there is nothing
    return -first


def _inspect(path: Path) -> tuple[str, float, bool] | None:
    """MIME type, time of the first frame and whether there is sound; None for what some browser does not play."""
    suffix = path.suffix.lower()
    mime = _MIME_TYPES.get(suffix)
    with open_video(path) as (container, stream):
        first = next(PacketDecoder(container, stream).frames(), None)
        if first is None:
            raise VideoError(f"{path}: no frame can be read any more; was the file changed?")
        if (
            mime is None
            or _CONTAINERS[mime] not in container.format.name.split(",")
            or stream.codec_context.name not in _CODECS.get(suffix, _MP4_CODECS)
            or first.format.name not in _PIXEL_FORMATS
        ):
            return None
        # Chromium counts from 0 of the file's own timestamps; the page asks other browsers what they do.
        origin = min((container.start_time or 0) / 1e6, 0.0)
        shown = float(first.pts * stream.time_base) if first.pts is not None and stream.time_base else origin
        return mime, max(shown - origin, 0.0), bool(container.streams.audio)


def _relative_url(path: Path, folder: Path) -> str:
    """Where a file is, seen from a page in a folder; percent-encoded byte by byte, so that any name gets through."""
    absolute = os.path.abspath(path)
    try:
        relative = os.path.relpath(absolute, folder.resolve())
    except ValueError:  # on another drive of Windows
        return Path(absolute).as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
