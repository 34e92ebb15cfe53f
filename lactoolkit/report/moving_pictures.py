"""Pictures of videos at chosen moments, and videos made of pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lactoolkit.alignment.result import AlignedVideo
from lactoolkit.errors import VideoError
from lactoolkit.features.preview import preview_size
from lactoolkit.report.frame_layout import Picture
from lactoolkit.report.playback import SMOOTH_RATE
from lactoolkit.video.decoding import paint_frames, probe
from lactoolkit.video.encoding import VideoWriter
from lactoolkit.video.pictures import YuvPainter, YuvPicture
from lactoolkit.video.sound import SOUND_RATE

_ENOUGH = 0.95  # of the height at which a picture is shown
# As good to look at as x264's next slower preset at its default quality, a quarter larger, in half of the time.
_QUALITY = 22
_PENDING_FRAMES = 8  # drawn and waiting for the encoder


def encode_pictures(
    pictures: Iterable[YuvPicture],
    path: Path,
    *,
    frame_rate: float,
    width: int,
    height: int,
    total: int,
    sound: Iterable[np.ndarray] = (),
    progress: bool = False,
) -> None:
    """Write a video of pictures; one thread encodes what the calling one has decoded and drawn.

    Parameters
    ----------
    pictures : iterable of YuvPicture
        Of the given size.
    path : Path
        The file, H.264 in MP4, replaced if it exists.
    frame_rate : float
        Frames per second.
    width, height : int
        Size in pixels, even.
    total : int
        Number of pictures, for the progress bar.
    sound : iterable of ndarray, shape (2, K), float32
        Sound from the first picture on, as of :func:`lactoolkit.video.sound.read_sound`; none for a silent video.
    progress : bool
        Whether to show a progress bar on stderr when it takes longer than a second.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    blocks = iter(sound)
    block = next(blocks, None)
    heard = 0.0  # seconds
    with (
        VideoWriter(
            path, frame_rate, width, height, quality=_QUALITY, preset="ultrafast", sound=block is not None
        ) as writer,
        ThreadPoolExecutor(1) as encoder,
        tqdm(total=total, desc=path.name, unit="frame", delay=1, disable=not progress) as bar,
    ):
        # Drawing and encoding each take about half of the time.
        pending: deque[Future[None]] = deque()
        try:
            for count, picture in enumerate(pictures, start=1):
                pending.append(encoder.submit(writer.write_yuv, picture))
                while block is not None and heard < count / frame_rate:
                    pending.append(encoder.submit(writer.write_sound, block))
                    heard += block.shape[1] / SOUND_RATE
                    block = next(blocks, None)
                if len(pending) > _PENDING_FRAMES:
                    pending.popleft().result()
                bar.update()
            for one in pending:
                one.result()
        finally:
            encoder.shutdown(cancel_futures=True)  # after an error or Ctrl-C, what waits is not encoded any more


def pictures_at(video: AlignedVideo, size: tuple[int, int], times: np.ndarray) -> Generator[Picture]:
    """Yield, for each of the moments wanted, the frame nearest in time.

    The video, or its preview where that is as good, is decoded once, in order, at the size it is shown in: memory does
    not grow with its length.

    Parameters
    ----------
    video : AlignedVideo
        The video; its file must still be where it was.
    size : (int, int)
        Height and width of the pictures, even.
    times : ndarray, shape (K,), float64
        Moments in seconds that never go back.

    Yields
    ------
    Picture
        K pictures.

    Raises
    ------
    VideoError
        If the video can no longer be read.
    """
    frames = _pictures(video, size, float(times[0]), float(times[-1]))
    shown = next(frames, None)
    if shown is None:
        raise VideoError(f"{video.path}: no frame can be read any more; was the file changed?")
    following = next(frames, None)
    for time in times:
        while following is not None and abs(following.time - time) <= abs(shown.time - time):
            shown, following = following, next(frames, None)
        yield shown


def _pictures(video: AlignedVideo, size: tuple[int, int], start: float, end: float) -> Generator[Picture]:
    if video.preview is not None and _preview_suffices(video, size):
        return _preview_pictures(video, video.preview, size, start, end)
    return _original_pictures(video, size, start, end)


def _preview_suffices(video: AlignedVideo, size: tuple[int, int]) -> bool:
    """Whether the preview is large enough, and leaves out no frames that one would miss when it is played."""
    kept = preview_size(video.width, video.height)
    interval = float(np.median(np.diff(video.times)))
    return kept is not None and kept[0] >= _ENOUGH * size[0] and interval * min(video.frame_rate, SMOOTH_RATE) < 1.1


def _preview_pictures(
    video: AlignedVideo, preview: Path, size: tuple[int, int], start: float, end: float
) -> Generator[Picture]:
    first = max(int(np.searchsorted(video.times, start)) - 1, 0)
    last = min(int(np.searchsorted(video.times, end)) + 1, len(video.times) - 1)
    rate = probe(preview).frame_rate
    painted = paint_frames(
        preview,
        lambda _, orientation: YuvPainter(orientation, *size).paint,
        start=first / rate,
        end=(last + 1) / rate,
    )
    with closing(painted):
        for position, _, pixels in painted:
            yield Picture(pixels, int(video.frames[position]), float(video.times[position]))


def _original_pictures(video: AlignedVideo, size: tuple[int, int], start: float, end: float) -> Generator[Picture]:
    # One frame more on either side: rounding in start or end may not cost the frame that is wanted.
    frame = 1.5 / video.frame_rate
    painted = paint_frames(
        video.path,
        lambda _, orientation: YuvPainter(orientation, *size).paint,
        start=max(start - frame, 0.0),
        end=end + frame,
        warn=False,  # whoever aligned the videos has heard of their damage already
    )
    with closing(painted):
        for number, time, pixels in painted:
            yield Picture(pixels, number, time)
