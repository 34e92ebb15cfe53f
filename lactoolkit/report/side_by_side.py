"""`side_by_side.mp4`: the two videos playing in step along the hits."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lactoolkit.alignment.result import AlignedVideo, Alignment
from lactoolkit.errors import VideoError
from lactoolkit.features.preview import preview_size
from lactoolkit.report.frame_layout import FrameLayout, Picture, picture_sizes
from lactoolkit.report.playback import SMOOTH_RATE, plan_playback
from lactoolkit.video.decoding import paint_frames, probe
from lactoolkit.video.encoding import VideoWriter
from lactoolkit.video.pictures import YuvPainter

_ENOUGH = 0.95  # of the height at which a picture is shown
# As good to look at as x264's next slower preset at its default quality, a quarter larger, in half of the time.
_QUALITY = 22
_PENDING_FRAMES = 8  # drawn and waiting for the encoder


def write_side_by_side(alignment: Alignment, path: Path, *, progress: bool = False) -> None:
    """Write a video of the hits, one after the other, best first, both inputs next to each other in step.

    For each hit both inputs, or their previews, are decoded once, in order, at the size they are shown in: memory does
    not grow with their length. How a hit is played is described in
    :func:`lactoolkit.report.playback.plan_playback`.

    Parameters
    ----------
    alignment : Alignment
        Whose hits to play; its input files must still be where they were.
    path : Path
        The file, H.264 in MP4, replaced if it exists.
    progress : bool
        Whether to show a progress bar on stderr when it takes longer than a second.

    Raises
    ------
    VideoError
        If an input can no longer be read.
    OSError
        If the file cannot be written.
    """
    playbacks = [plan_playback(alignment, position) for position in range(max(len(alignment.hits), 1))]
    layouts = [
        FrameLayout(alignment.a, alignment.b, playback, _headline(alignment, position))
        for position, playback in enumerate(playbacks)
    ]
    size_a, size_b = picture_sizes(alignment.a, alignment.b)
    total = sum(len(playback) for playback in playbacks)
    with (
        VideoWriter(
            path, playbacks[0].frame_rate, layouts[0].width, layouts[0].height, quality=_QUALITY, preset="ultrafast"
        ) as writer,
        ThreadPoolExecutor(1) as encoder,
        tqdm(total=total, desc="side_by_side.mp4", unit="frame", delay=1, disable=not progress) as bar,
    ):
        # One thread encodes what another has decoded and drawn: each takes about half of the time.
        pending: deque[Future[None]] = deque()
        try:
            for playback, layout in zip(playbacks, layouts, strict=True):
                with (
                    closing(_show(alignment.a, size_a, playback.times_a)) as pictures_a,
                    closing(_show(alignment.b, size_b, playback.times_b)) as pictures_b,
                ):
                    for index, (a, b) in enumerate(zip(pictures_a, pictures_b, strict=True)):
                        pending.append(encoder.submit(writer.write_yuv, layout.draw(index, a, b)))
                        if len(pending) > _PENDING_FRAMES:
                            pending.popleft().result()
                        bar.update()
            for one in pending:
                one.result()
        finally:
            encoder.shutdown(cancel_futures=True)  # after an error or Ctrl-C, what waits is not encoded any more


def _headline(alignment: Alignment, position: int) -> str:
    if not alignment.hits:
        return "no alignment found: both play from their start"
    parts = []
    if len(alignment.hits) > 1:
        role = alignment.roles[position]
        parts.append(f"hit {position + 1} of {len(alignment.hits)}" + ("" if role == "chain" else f" ({role})"))
    if alignment.verdict == "weak":
        parts.append("weak: chance does as well")
    elif alignment.verdict == "not alignable":
        parts.append("no alignment better than chance: for inspection only")
    return "; ".join(parts)


def _show(video: AlignedVideo, size: tuple[int, int], times: np.ndarray) -> Generator[Picture]:
    """Yield, for each of the moments wanted, the frame nearest in time; the moments never go back."""
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
