"""Times of decoded frames, whatever their timestamps are like."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from av.video.frame import VideoFrame

from lactoolkit.video.sampling import TimedFrame
from lactoolkit.video.seeking import SeekPoint


class FrameClock:
    """Seconds after the first frame, strictly increasing even where a file's timestamps are missing or jump back.

    AVI has no presentation times, and those that FFmpeg guesses for it are not even in order; but its frames follow
    each other at the pace of their decoding times (`decoding_order`).

    Parameters
    ----------
    first : VideoFrame
        The first frame that is decoded.
    time_base : Fraction
        Seconds per unit of the timestamps.
    interval : float
        Seconds from frame to frame where timestamps are missing.
    point : SeekPoint, optional
        Where decoding began, if not at the start.
    decoding_order : bool
        Whether decoding times count instead of presentation times.

    Attributes
    ----------
    last : float
        Time of the latest frame.
    last_duration : float
        Seconds that the latest frame is shown.
    frames : int
        Frames so far, those before the seek point included.
    """

    def __init__(
        self,
        first: VideoFrame,
        time_base: Fraction,
        interval: float,
        point: SeekPoint | None,
        *,
        decoding_order: bool,
    ):
        self.last = -interval
        self.frames = point.number if point else 0
        self.last_duration = interval
        self._interval = interval
        self._decoding_order = decoding_order
        self._time_base = time_base
        self._origin = point.first_pts if point else self._timestamp(first)
        self._offset = 0.0

    def _timestamp(self, frame: VideoFrame) -> int | None:
        return frame.dts if self._decoding_order else frame.pts

    def time_of_pts(self, pts: int) -> float:
        """Seconds that a timestamp stands for, without moving on."""
        if self._origin is None:  # the first frames had no timestamps
            self._origin = pts
            self._offset = self.last + self._interval
        return (pts - self._origin) * self._time_base.numerator / self._time_base.denominator + self._offset

    def time_of(self, frame: VideoFrame) -> float:
        """Time of the next frame; later than the last one's."""
        timestamp = self._timestamp(frame)
        time = self.last + self._interval if timestamp is None else self.time_of_pts(timestamp)
        if time <= self.last:
            # A long way back is a new recording appended to the file; a little is a damaged or doubled timestamp.
            restarted = self.last - time > 1
            corrected = self.last + (self._interval if restarted else 0.001)
            self._offset += corrected - time if restarted else 0.0
            time = corrected
        self.last = time
        self.frames += 1
        self.last_duration = max(self._interval, float(frame.duration * self._time_base))
        return time


def timed_frames(frames: Iterator[VideoFrame], clock: FrameClock, number: int) -> Iterator[TimedFrame]:
    """Give frames their times, and their numbers from `number` on."""
    for position, frame in enumerate(frames, start=number):
        yield TimedFrame(position, clock.time_of(frame), frame)
