"""What an editing program must know of a video file: rate, start timecode, place of the first frame, sound."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from lactoolkit.errors import ParameterError, VideoError, VideoWarning
from lactoolkit.video.container import PacketDecoder, open_video
from lactoolkit.video.smpte import counted_rate, has_drop_frame, parse_smpte


@dataclass(frozen=True)
class MediaFacts:
    """Facts of a video file.

    Parameters
    ----------
    path : Path
        The file.
    rate : Fraction
        Frames per second, the standard rate where it is one; see :func:`lactoolkit.video.smpte.counted_rate`.
    start_frame : int
        The first frame's timecode in frames since 00:00:00:00; 0 where the file has none.
    drop_frame : bool
        Whether that timecode is drop-frame.
    first_time : float
        Seconds from the file's own start to its first frame: more than 0 where sound begins earlier.
    sound : bool
        Whether there is any.
    width, height : int
        Stored size in pixels.
    """

    path: Path
    rate: Fraction
    start_frame: int
    drop_frame: bool
    first_time: float
    sound: bool
    width: int
    height: int


def read_media_facts(path: str | Path) -> MediaFacts:
    """Read what an editing program must know of a video file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    MediaFacts

    Raises
    ------
    VideoError
        The file is missing, unreadable or nothing in it decodes.

    Warns
    -----
    VideoWarning
        The file's timecode makes no sense; it counts from 0 then.
    """
    path = Path(path)
    with open_video(path) as (container, stream):
        first = next(PacketDecoder(container, stream).frames(), None)
        if first is None:
            raise VideoError(f"{path}: no frame can be decoded; copy or record the video again")
        spacing = float(stream.base_rate) if stream.base_rate else None
        rate = counted_rate(float(stream.average_rate or stream.guessed_rate or 25), spacing)
        start = (container.start_time or 0) / 1e6
        shown = start
        if first.pts is not None and stream.time_base:
            shown = float(first.pts * stream.time_base)
        start_frame, drop_frame = _start_timecode(path, container, stream, rate)
        return MediaFacts(
            path,
            rate,
            start_frame,
            drop_frame,
            max(shown - start, 0.0),
            bool(container.streams.audio),
            first.width,
            first.height,
        )


def _start_timecode(path: Path, container: InputContainer, stream: VideoStream, rate: Fraction) -> tuple[int, bool]:
    """From a timecode track (tmcd) or tag, wherever the container keeps it."""
    places = [stream.metadata, *(other.metadata for other in container.streams), container.metadata]
    text = next((place[name] for place in places for name in place if name.lower() == "timecode"), None)
    if text is None:
        return 0, False
    try:
        frame, drop_frame = parse_smpte(text, rate)
    except ParameterError:
        # Some cameras write a semicolon at rates that have no drop-frame.
        if not has_drop_frame(rate):
            try:
                return parse_smpte(text.replace(";", ":"), rate)[0], False
            except ParameterError:
                pass
        warnings.warn(
            f"{path}: its timecode {text!r} does not fit {float(rate):.3f} frames per second; counting from 0",
            VideoWarning,
            stacklevel=3,
        )
        return 0, False
    return frame, drop_frame
