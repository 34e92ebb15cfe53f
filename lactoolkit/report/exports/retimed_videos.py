"""B on A's clock: alone (`warped.mp4`) and as a ghost over A (`overlay.mp4`)."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing

import numpy as np

from lactoolkit.alignment.result import AlignedVideo, Alignment
from lactoolkit.errors import LacToolkitWarning
from lactoolkit.report.edit import match_of_a
from lactoolkit.report.exports import Export
from lactoolkit.report.moving_pictures import encode_pictures, pictures_at
from lactoolkit.video.media_facts import read_media_facts
from lactoolkit.video.pictures import YuvPicture
from lactoolkit.video.sound import read_sound

_HIGHEST_RATE = 60.0
_MOST_PIXELS = 1920 * 1080
_BLACK, _GREY = 16, 128


def write_warped(export: Export) -> None:
    """Write ``warped.mp4``: B as fast as A, from A's first matched frame to its last.

    Frame k shows what B shows at the moment of A ``k / frame rate`` seconds after A's first matched frame. Where A has
    frames without counterpart, B stands still; frames of B without counterpart are left out; between two hits it is
    black. Only hits that follow each other in both videos are shown. Sound, if wanted, is A's.

    Parameters
    ----------
    export : Export
        What to write, and where; it has hits.

    Raises
    ------
    VideoError
        If an input can no longer be read.
    """
    alignment = export.alignment
    rate, times_a = _moments(alignment)
    size = _size(alignment.b, _MOST_PIXELS)
    pictures = _pictures_of_b(alignment, size, match_of_a(alignment, times_a))
    _write(export, "warped.mp4", pictures, size, rate, times_a)


def write_overlay(export: Export) -> None:
    """Write ``overlay.mp4``: A, and B over it at 50 %, as large as fits, timed as in :func:`write_warped`."""
    alignment = export.alignment
    rate, times_a = _moments(alignment)
    size = _size(alignment.a, _MOST_PIXELS // 2)
    scale = min(size[0] / alignment.b.height, size[1] / alignment.b.width)
    ghost = _even(alignment.b.height * scale), _even(alignment.b.width * scale)
    matches = match_of_a(alignment, times_a)

    def pictures() -> Generator[YuvPicture]:
        with (
            closing(pictures_at(alignment.a, size, times_a)) as pictures_a,
            closing(_pictures_of_b(alignment, ghost, matches)) as pictures_b,
        ):
            for a, b, match in zip(pictures_a, pictures_b, matches, strict=True):
                yield a.pixels if np.isnan(match) else blend(a.pixels, b)

    _write(export, "overlay.mp4", pictures(), size, rate, times_a)


def _write(
    export: Export,
    name: str,
    pictures: Generator[YuvPicture],
    size: tuple[int, int],
    rate: float,
    times_a: np.ndarray,
) -> None:
    """Write pictures that show moments of A, with A's sound if that is wanted."""
    start, path = float(times_a[0]), export.alignment.a.path
    with ExitStack() as stack:
        stack.callback(pictures.close)
        sound: Iterable[np.ndarray] = ()
        if export.sound and not read_media_facts(path).sound:
            warnings.warn(f"{path}: has no sound; the videos on its clock have none, either", LacToolkitWarning, 3)
        elif export.sound:
            sound = stack.enter_context(closing(read_sound(path, start, start + len(times_a) / rate)))
        encode_pictures(
            pictures,
            export.folder / name,
            frame_rate=rate,
            width=size[1],
            height=size[0],
            total=len(times_a),
            sound=sound,
            progress=export.progress,
        )


def blend(ground: YuvPicture, ghost: YuvPicture) -> YuvPicture:
    """Lay a picture over the middle of another one, each at half strength; the other one is at least as large."""
    result = ground.copy()
    top, left = ((g - h) // 4 * 2 for g, h in zip(ground.y.shape, ghost.y.shape, strict=True))
    for target, over, step in ((result.y, ghost.y, 1), (result.u, ghost.u, 2), (result.v, ghost.v, 2)):
        part = target[top // step :, left // step :][: over.shape[0], : over.shape[1]]
        part[:] = (part.astype(np.uint16) + over + 1) // 2
    return result


def _moments(alignment: Alignment) -> tuple[float, np.ndarray]:
    """Frame rate and moments of A, from its first matched frame to its last."""
    rate = min(alignment.a.frame_rate, _HIGHEST_RATE)
    chain = [alignment.hits[position] for position in alignment.chain]
    first, last = float(chain[0].times_a[0]), float(chain[-1].times_a[-1])
    return rate, first + np.arange(int((last - first) * rate + 1e-3) + 1) / rate


def _pictures_of_b(alignment: Alignment, size: tuple[int, int], matches: np.ndarray) -> Generator[YuvPicture]:
    black = YuvPicture(
        np.full(size, _BLACK, dtype=np.uint8),
        *(np.full((size[0] // 2, size[1] // 2), _GREY, dtype=np.uint8) for _ in range(2)),
    )
    known = ~np.isnan(matches)
    with closing(pictures_at(alignment.b, size, matches[known])) as pictures:
        for shown in known:
            yield next(pictures).pixels if shown else black


def _size(video: AlignedVideo, most_pixels: int) -> tuple[int, int]:
    scale = min(1.0, (most_pixels / (video.width * video.height)) ** 0.5)
    return _even(video.height * scale), _even(video.width * scale)


def _even(length: float) -> int:
    return max(int(length / 2 + 1e-6) * 2, 2)
