"""`side_by_side.mp4`: the two videos playing in step along the hits."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from lactoolkit.alignment.result import Alignment
from lactoolkit.report.frame_layout import FrameLayout, picture_sizes
from lactoolkit.report.moving_pictures import encode_pictures, pictures_at
from lactoolkit.report.playback import plan_playback
from lactoolkit.video.pictures import YuvPicture


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

    def pictures() -> Generator[YuvPicture]:
        for playback, layout in zip(playbacks, layouts, strict=True):
            with (
                closing(pictures_at(alignment.a, size_a, playback.times_a)) as pictures_a,
                closing(pictures_at(alignment.b, size_b, playback.times_b)) as pictures_b,
            ):
                for index, (a, b) in enumerate(zip(pictures_a, pictures_b, strict=True)):
                    yield layout.draw(index, a, b)

    encode_pictures(
        pictures(),
        path,
        frame_rate=playbacks[0].frame_rate,
        width=layouts[0].width,
        height=layouts[0].height,
        total=sum(len(playback) for playback in playbacks),
        progress=progress,
    )


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
