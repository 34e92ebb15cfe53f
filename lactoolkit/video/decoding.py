"""Sequential decoding of videos: every frame with its native number and its true time, in constant memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, dropwhile, takewhile
from math import isfinite
from pathlib import Path
from typing import TypeVar

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lactoolkit.errors import ParameterError, VideoError, VideoWarning
from lactoolkit.video.clock import FrameClock, timed_frames
from lactoolkit.video.container import PacketDecoder, open_video
from lactoolkit.video.orientation import Orientation, frame_orientation
from lactoolkit.video.pictures import RgbPainter
from lactoolkit.video.sampling import nearest_to_grid
from lactoolkit.video.seeking import SeekPoint, find_seek_point
from lactoolkit.video.timecode import format_timecode, parse_timecode

# A start within the first seconds is reached faster by decoding than by reading the whole file's packets.
_SEEK_FROM = 10.0
# Times are given and shown in milliseconds: a frame at 7.26667 s is the frame at 7.267 s.
_HALF_MILLISECOND = 0.0005
_DEFAULT_RATE = 25.0
# Containers that do not count their frames round their length, or take it from the sound.
_ABSENT_SECONDS = 0.5

Painted = TypeVar("Painted")


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says about itself.

    Parameters
    ----------
    path : Path
        The file as the user named it.
    width, height : int
        Displayed size in pixels: rotation and pixel aspect ratio applied.
    frame_rate : float
        Average frames per second (25 when the file does not say).
    duration : float or None
        Length in seconds as the container claims.
    frame_count : int or None
        Number of frames as the container claims, else estimated from the duration. Only decoding tells exactly.
    rotation : int
        Clockwise rotation in degrees (0, 90, 180 or 270) that turns the stored picture upright.
    codec : str
        FFmpeg's name of the codec.
    pixel_format : str
        FFmpeg's name of the pixel format.
    """

    path: Path
    width: int
    height: int
    frame_rate: float
    duration: float | None
    frame_count: int | None
    rotation: int
    codec: str
    pixel_format: str


@dataclass(frozen=True)
class FrameBatch:
    """Consecutive kept frames of a video.

    Parameters
    ----------
    frames : ndarray, shape (n,), int64
        Native frame numbers, counted from 0 in the original file.
    times : ndarray, shape (n,), float64
        Presentation times in seconds after the video's first frame, strictly increasing.
    images : ndarray, shape (n, H, W, 3), uint8
        RGB pictures, upright.
    """

    frames: np.ndarray
    times: np.ndarray
    images: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)


def probe(path: str | Path) -> VideoInfo:
    """Read a video's size, frame rate and length, and prove that its first frame decodes.

    Parameters
    ----------
    path : str or Path
        The video file.

    Returns
    -------
    VideoInfo
        What the file claims, with rotation applied to the size.

    Raises
    ------
    VideoError
        The file is missing, unreadable, not a video, or nothing in it decodes.
    """
    path = Path(path)
    with open_video(path) as (container, stream):
        decoder = PacketDecoder(container, stream)
        frame = _first_frame(path, decoder, decoder.frames())
        return _describe(path, container, stream, frame)


def read_frames(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    frame_rate: float | None = None,
    start: float | None = None,
    end: float | None = None,
    batch_size: int = 32,
) -> Generator[FrameBatch, None, None]:
    """Decode a video from front to back, in constant memory.

    Parameters
    ----------
    path : str or Path
        The video file.
    size : (int, int), optional
        Height and width to resize to, by area averaging; the displayed size when left out.
    frame_rate : float, optional
        Keep only the frames nearest to the times 0, 1 / frame_rate, 2 / frame_rate, ...; no frame comes twice, so
        a video with fewer frames keeps them all. Every frame when left out.
    start, end : float, optional
        Keep frames with start <= time < end, in seconds after the first frame, to the millisecond.
    batch_size : int, default 32
        Frames per batch; the last batch may have fewer.

    Yields
    ------
    FrameBatch
        Frame numbers, times and pictures. Numbers and times are those in the whole file, whatever `start` is.

    Raises
    ------
    ParameterError
        An argument is out of range.
    VideoError
        The file is missing, unreadable, not a video, has nothing to decode, or no frame between `start` and `end`.

    Warns
    -----
    VideoWarning
        The file ends early or is damaged; what could be decoded has been given.

    Notes
    -----
    Times come from the timestamps, never from frame number and rate, so that videos with variable frame rate keep
    their time. Where a file has no timestamps (raw streams) frames are spaced by its frame rate.

    Examples
    --------
    >>> for batch in read_frames("swing.mp4", size=(224, 224), frame_rate=10):  # doctest: +SKIP
    ...     print(batch.frames, batch.times, batch.images.shape)
    """
    _check_range(path, frame_rate, start, end)
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ParameterError(f"size must be (height, width) in pixels, both at least 1, not {size!r}")
    if batch_size < 1:
        raise ParameterError(f"batch_size must be at least 1, not {batch_size!r}")

    def painter(info: VideoInfo, orientation: Orientation) -> Callable[[VideoFrame], np.ndarray]:
        return RgbPainter(orientation, *(size or (info.height, info.width))).paint

    return batch_frames(paint_frames(path, painter, frame_rate=frame_rate, start=start, end=end), batch_size)


def paint_frames(
    path: str | Path,
    painter: Callable[[VideoInfo, Orientation], Callable[[VideoFrame], Painted]],
    *,
    frame_rate: float | None = None,
    start: float | None = None,
    end: float | None = None,
    warn: bool = True,
) -> Generator[tuple[int, float, Painted], None, None]:
    """Decode a video from front to back and turn its frames into pictures of any kind.

    Parameters
    ----------
    path : str or Path
        The video file.
    painter : callable
        Called once with what the file says about itself and how its frames become upright; gives the function that is
        called with every kept frame.
    frame_rate, start, end : float, optional
        Which frames to keep; see :func:`read_frames`, as for errors and warnings.
    warn : bool, default True
        Whether to warn of damage.

    Yields
    ------
    number : int
        Native frame number.
    time : float
        Seconds after the video's first frame.
    picture
        What the painter made of the frame.
    """
    _check_range(path, frame_rate, start, end)
    path = Path(path)
    point = find_seek_point(path, start) if start is not None and start > _SEEK_FROM else None
    with open_video(path) as (container, stream):
        decoder = PacketDecoder(container, stream, key_pts=point.pts if point else None)
        decoded = decoder.frames()
        first = _first_frame(path, decoder, decoded)
        info = _describe(path, container, stream, first)
        # The stream's time base: frames that leave the decoder last, when it is drained, carry none of their own.
        unit = stream.time_base or Fraction(1, 1000)
        time_base = Fraction(unit.numerator, unit.denominator)
        decoding_order = container.format.name == "avi"
        clock = FrameClock(first, time_base, 1 / info.frame_rate, point, decoding_order=decoding_order)
        timed = timed_frames(chain([first], decoded), clock, point.number if point else 0)
        chosen = timed
        if frame_rate is not None:
            chosen = nearest_to_grid(timed, frame_rate, clock.time_of_pts(point.previous_pts) if point else None)
        if start is not None:
            since = start - _HALF_MILLISECOND
            chosen = dropwhile(lambda item: item.time < since, chosen)
        if end is not None:
            until = end - _HALF_MILLISECOND
            chosen = takewhile(lambda item: item.time < until, chosen)
        paint = painter(info, frame_orientation(first))
        empty = True
        for number, time, frame in chosen:
            yield number, time, paint(frame)
            empty = False
        if empty:
            raise VideoError(
                f"{path}: no frame between {format_timecode(start or 0)} and "
                f"{'the end' if end is None else format_timecode(end)}"
                + (f" nearest to a tick of {frame_rate:g} frames per second" if frame_rate else "")
                + (f"; the last frame is at {format_timecode(clock.last)}" if decoder.finished else "")
                + ": choose an earlier start or a later end"
            )
        if warn and decoder.finished:
            _warn_of_damage(path, info, stream, decoder, point, clock)


def batch_frames(
    painted: Generator[tuple[int, float, np.ndarray], None, None], batch_size: int
) -> Generator[FrameBatch, None, None]:
    """Put RGB pictures from :func:`paint_frames` together, `batch_size` in each batch but the last."""
    batch: list[tuple[int, float, np.ndarray]] = []
    with closing(painted):
        for item in painted:
            batch.append(item)
            if len(batch) == batch_size:
                yield _stack(batch)
                batch.clear()
    if batch:
        yield _stack(batch)


def _stack(batch: list[tuple[int, float, np.ndarray]]) -> FrameBatch:
    numbers, times, images = zip(*batch, strict=True)
    return FrameBatch(np.array(numbers, dtype=np.int64), np.array(times, dtype=np.float64), np.stack(images))


def _describe(path: Path, container: InputContainer, stream: VideoStream, frame: VideoFrame) -> VideoInfo:
    orientation = frame_orientation(frame)
    pixel_aspect = float(stream.sample_aspect_ratio or 1)
    stored_width = frame.width
    if 0.25 <= pixel_aspect <= 4:  # beyond that it is a damaged header
        stored_width = max(1, round(frame.width * pixel_aspect))
    height, width = orientation.displayed_size(frame.height, stored_width)
    rate = float(stream.average_rate or stream.guessed_rate or _DEFAULT_RATE)
    duration = _claimed_duration(container, stream)
    count = stream.frames or (round(duration * rate) if duration is not None else None)
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        frame_rate=rate,
        duration=duration,
        frame_count=count,
        rotation=orientation.rotation,
        codec=stream.codec_context.name,
        pixel_format=frame.format.name,
    )


def _claimed_duration(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * stream.time_base)
    if "matroska" in container.format.name:  # says when a stream ends, not how long it lasts
        end = container.duration / 1e6 if container.duration is not None else None
        with suppress(ParameterError):
            end = parse_timecode(stream.metadata.get("DURATION", ""))
        return None if end is None else end - (container.start_time or 0) / 1e6
    return None if container.duration is None else container.duration / 1e6


def _first_frame(path: Path, decoder: PacketDecoder, decoded: Iterator[VideoFrame]) -> VideoFrame:
    frame = next(decoded, None)
    if frame is None:
        raise VideoError(
            f"{path}: no frame can be decoded ({decoder.packets} packets read, {decoder.damaged} damaged"
            f"{', ' + decoder.read_error if decoder.read_error else ''}); copy or record the video again"
        )
    return frame


def _warn_of_damage(
    path: Path, info: VideoInfo, stream: VideoStream, decoder: PacketDecoder, point: SeekPoint | None, clock: FrameClock
) -> None:
    packets = point.packets if point else decoder.packets
    missing = stream.frames - packets
    absent = (info.duration or 0) - clock.last - clock.last_duration
    reasons = []
    # Frames that an edit list cuts off are missing too, but then the video is as long as it claims.
    if missing > 0 and (info.duration is None or absent > 0.5 / info.frame_rate):
        reasons.append(f"{clock.frames} of {stream.frames} frames decode")
    elif not stream.frames and absent > _ABSENT_SECONDS:
        reasons.append(f"the last {absent:.1f} s are missing")
    if decoder.damaged:
        reasons.append(f"{decoder.damaged} packets are damaged")
    if decoder.read_error:
        reasons.append(f"reading stopped with: {decoder.read_error}")
    if not reasons:
        return
    promised = "" if info.duration is None else f" of {format_timecode(info.duration)}"
    warnings.warn(
        f"{path}: truncated or damaged ({'; '.join(reasons)}); going on with what there is, up to "
        f"{format_timecode(clock.last)}{promised}",
        VideoWarning,
        stacklevel=3,
    )


def _check_range(path: str | Path, frame_rate: float | None, start: float | None, end: float | None) -> None:
    if frame_rate is not None and not (isfinite(frame_rate) and frame_rate > 0):
        raise ParameterError(f"frame_rate must be a positive number of frames per second, not {frame_rate!r}")
    if start is not None and not (isfinite(start) and start >= 0):
        raise ParameterError(f"{path}: start must be a time in seconds, 0 or later, not {start!r}")
    if end is not None and not end > (start or 0):
        raise ParameterError(f"{path}: end must be a time in seconds after start ({start or 0:g}), not {end!r}")
