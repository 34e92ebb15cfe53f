"""Writing H.264 videos that browsers play."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from lactoolkit.errors import MissingDependencyError, OutputError, ParameterError
from lactoolkit.video.pictures import YuvPicture, rgb_to_yuv_frame
from lactoolkit.video.sound import SOUND_RATE

# Fine enough for every usual frame rate (24, 25, 30, 50, 60 and their 1000/1001 relatives) to fall on whole ticks or
# within 6 microseconds of one.
_TIME_BASE = Fraction(1, 90_000)


class VideoWriter:
    """Write RGB pictures to an MP4 file: H.264, 4:2:0, index first, so that a browser plays it while loading.

    The file is written in place: give a temporary path and rename it when the context has been left without an error.
    Pictures of odd width or height lose their last column or row, as 4:2:0 stores colours for squares of 2 x 2.

    Parameters
    ----------
    path : str or Path
        The file to write; its container is MP4 whatever the name ends with.
    frame_rate : float
        Frames per second.
    width, height : int
        Size of the pictures in pixels, at least 2.
    quality : int, default 23
        x264's constant rate factor: 18 looks lossless, 28 is small.
    preset : str, default "veryfast"
        x264's trade of speed for size, from "ultrafast" to "veryslow".
    sound : bool, default False
        Whether the file has a stereo sound track, AAC at :data:`lactoolkit.video.sound.SOUND_RATE`.

    Raises
    ------
    ParameterError
        The frame rate or size is out of range, or a picture does not fit.
    MissingDependencyError
        PyAV was built without an H.264 encoder.
    OutputError
        The file cannot be written: no such folder, no permission, full disk.

    Examples
    --------
    >>> import numpy as np
    >>> with VideoWriter("grey.mp4", frame_rate=25, width=64, height=48) as writer:  # doctest: +SKIP
    ...     for level in range(50):
    ...         writer.write(np.full((48, 64, 3), level, dtype=np.uint8))
    """

    def __init__(
        self,
        path: str | Path,
        frame_rate: float,
        width: int,
        height: int,
        *,
        quality: int = 23,
        preset: str = "veryfast",
        sound: bool = False,
    ):
        if not 0 < frame_rate <= 1000:
            raise ParameterError(f"frame_rate must be above 0 and at most 1000 frames per second, not {frame_rate!r}")
        if width < 2 or height < 2:
            raise ParameterError(f"width and height must be at least 2 pixels, not {width} x {height}")
        self.path = Path(path)
        self._shape = (height, width, 3)
        self._interval = 1 / frame_rate
        self._last_time = -self._interval
        if "libx264" not in av.codecs_available:
            raise MissingDependencyError("this PyAV has no H.264 encoder; install its own wheel: `pip install av`")
        self._container = av.open(os.path.abspath(path), "w", format="mp4", options={"movflags": "+faststart"})
        stream = self._container.add_stream("libx264", rate=Fraction(frame_rate).limit_denominator(1001))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = width - width % 2, height - height % 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = _TIME_BASE
        stream.codec_context.time_base = _TIME_BASE
        # Browsers take untagged small videos for BT.601 and large ones for BT.709.
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_primaries = ColorPrimaries.BT709
        stream.codec_context.color_trc = ColorTrc.BT709
        stream.codec_context.color_range = ColorRange.MPEG
        stream.options = {"crf": str(quality), "preset": preset}
        self._stream = stream
        self._sound: AudioStream | None = None
        self._samples = 0
        if sound:
            self._sound = self._container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        try:
            self._container.start_encoding()
        except (av.error.FFmpegError, OSError) as error:
            raise self._output_error(error) from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        # The first error is the one to report; the file is unfinished either way.
        with suppress(av.error.FFmpegError, OSError):
            self._container.close()

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Append one picture.

        Parameters
        ----------
        image : ndarray, shape (height, width, 3), uint8
            RGB picture.
        time : float, optional
            Presentation time in seconds, later than the last one's; one frame interval after the last when left out.
        """
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ParameterError(
                f"image must be uint8 of shape {self._shape}, not {image.dtype} of shape {image.shape}"
            )
        self._encode(rgb_to_yuv_frame(image[: self._stream.height, : self._stream.width]), time)

    def write_yuv(self, picture: YuvPicture, time: float | None = None) -> None:
        """Append one picture that is in the video's own format already; see :meth:`write`."""
        if picture.y.shape != (self._stream.height, self._stream.width):
            raise ParameterError(
                f"picture must have the size {(self._stream.height, self._stream.width)}, not {picture.y.shape}"
            )
        self._encode(picture.to_frame(), time)

    def write_sound(self, samples: np.ndarray) -> None:
        """Append sound, float32, shape (2, K): left and right. It begins with the first picture."""
        assert self._sound is not None
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = SOUND_RATE, Fraction(1, SOUND_RATE), self._samples
        self._samples += samples.shape[1]
        self._mux(self._sound, frame)

    def _encode(self, frame: VideoFrame, time: float | None) -> None:
        if time is None:
            time = self._last_time + self._interval
        if time <= self._last_time:
            raise ParameterError(f"time must be later than the last frame's {self._last_time:g} s, not {time:g} s")
        self._last_time = time
        frame.time_base = _TIME_BASE
        frame.pts = round(time / _TIME_BASE)
        self._mux(self._stream, frame)

    def close(self) -> None:
        """Finish the file."""
        try:
            self._mux(self._stream, None)
            if self._sound is not None:
                self._mux(self._sound, None)
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise self._output_error(error) from error

    def _mux(self, stream: VideoStream | AudioStream, frame: VideoFrame | AudioFrame | None) -> None:
        try:
            for packet in stream.encode(frame):  # type: ignore[arg-type]  # each kind of stream has its kind of frame
                self._container.mux(packet)
        except (av.error.FFmpegError, OSError) as error:
            raise self._output_error(error) from error

    def _output_error(self, error: Exception) -> OutputError:
        number = getattr(error, "errno", None)
        if number == errno.ENOSPC:
            return OutputError(f"{self.path}: the disk is full; free some space or write somewhere else")
        reason = getattr(error, "strerror", None) or str(error)
        return OutputError(f"{self.path}: cannot write the video ({reason}); check the folder and its access rights")
