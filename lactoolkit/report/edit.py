"""The alignment as an edit: what of B belongs to which frames of A, in stretches of constant speed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from lactoolkit.alignment.result import Alignment
from lactoolkit.report.playback import clock_path
from lactoolkit.report.polyline import thin_out
from lactoolkit.video.media_facts import MediaFacts, read_media_facts

# Seconds by which a stretch of constant speed may be off (half as much at first, see thin_out).
EDIT_TOLERANCE = 0.1
_SAME_TIME = 1e-6


@dataclass(frozen=True)
class EditPiece:
    """A stretch of B beside a stretch of A.

    Parameters
    ----------
    start, length : int
        In frames of A, counted from the first frame of the edit.
    b_start, b_length : Fraction
        Seconds of B, from its first frame; a length of 0 is a still picture.
    """

    start: int
    length: int
    b_start: Fraction
    b_length: Fraction

    def speed(self, rate: Fraction) -> Fraction:
        """How much faster than its own speed B runs, at A's frame rate."""
        return self.b_length * rate / self.length


@dataclass(frozen=True)
class Edit:
    """A from its first matched frame to its last, and the pieces of B that go beside it.

    Parameters
    ----------
    a, b : MediaFacts
        Both files.
    a_start, length : int
        First frame of A and number of frames, at A's rate.
    a_frames, b_frames : int
        Length of either file in frames at its rate, as far as it was analysed.
    pieces : tuple of EditPiece
        In order, without overlap.
    """

    a: MediaFacts
    b: MediaFacts
    a_start: int
    length: int
    a_frames: int
    b_frames: int
    pieces: tuple[EditPiece, ...]


def plan_edit(alignment: Alignment) -> Edit:
    """Turn the hits that follow each other in both videos into an edit on A's clock.

    B's speed is constant within a piece; the moment of B is off by at most :data:`EDIT_TOLERANCE` plus half a frame.
    Where A has frames without counterpart for a quarter of a second or longer, B stands still; such frames of B are cut
    out.

    Parameters
    ----------
    alignment : Alignment
        With at least one hit; its files must still be there.

    Returns
    -------
    Edit

    Raises
    ------
    VideoError
        If a file can no longer be read.
    """
    a, b = read_media_facts(alignment.a.path), read_media_facts(alignment.b.path)
    chain = [alignment.hits[position] for position in alignment.chain]
    a_start = round(float(chain[0].times_a[0]) * a.rate)
    a_end = round(float(chain[-1].times_a[-1]) * a.rate) + 1
    a_frames, b_frames = (
        round(float(video.times[-1]) * facts.rate) + 1 for video, facts in ((alignment.a, a), (alignment.b, b))
    )
    stretches = [stretch for position in alignment.chain for stretch in _stretches(alignment, position, a.rate)]
    pieces = []
    for number, (start, end, b_start, slope) in enumerate(stretches):
        if number + 1 < len(stretches):
            end = min(end, stretches[number + 1][0])
        if end > start:
            # B's last frame may not reach to the end of A's.
            b_length = min((end - start) * slope / a.rate, b_frames / b.rate - b_start)
            pieces.append(EditPiece(start - a_start, end - start, b_start, max(b_length, Fraction(0))))
    return Edit(a, b, a_start, a_end - a_start, a_frames, b_frames, tuple(pieces))


def match_of_a(alignment: Alignment, times_a: np.ndarray) -> np.ndarray:
    """Moment of B that belongs to each moment of A.

    Parameters
    ----------
    alignment : Alignment
        With at least one hit.
    times_a : ndarray, shape (K,), float64
        Moments of A in seconds, increasing.

    Returns
    -------
    ndarray, shape (K,), float64
        Seconds of B; NaN outside of the hits that follow each other in both videos.
    """
    matches = np.full(len(times_a), np.nan)
    for position in alignment.chain:
        for run_a, run_b in _runs(alignment, position):
            # A run goes on, standing still, until the next one begins.
            last = float(alignment.hits[position].times_a[-1])
            inside = (times_a >= run_a[0] - _SAME_TIME) & (times_a <= last + _SAME_TIME)
            matches[inside] = np.interp(times_a[inside], run_a, run_b)
    return matches


def _runs(alignment: Alignment, position: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """A hit in runs, each a curve of B over A: B is cut where A waits, and stands still in runs of their own."""
    path = clock_path(alignment, position)
    a, b = path.times_a, path.times_b
    runs: list[list[tuple[float, float]]] = [[]]
    skipped = -1
    for k in range(len(a)):
        cut = k > 0 and path.held_a[k - 1]
        if k != skipped and not cut:
            runs[-1].append((a[k], b[k]))
        if path.held_b[k]:
            # With frames of both left out, B stands still before its cut.
            still = b[k - 1] if cut else b[k]
            runs += [[(a[k], still), (a[k + 1], still)], []]
            skipped = k + 1 if cut else -1
        elif path.held_a[k]:
            runs.append([])
    curves = [np.array(run).T for run in runs if run]
    return [(curve[0], curve[1]) for curve in curves]


def _stretches(alignment: Alignment, position: int, rate: Fraction) -> list[tuple[int, int, Fraction, Fraction]]:
    """A hit in stretches of constant speed: first frame of A, frame after the last, moment of B, B's speed."""
    corners = []
    for run_a, run_b in _runs(alignment, position):
        kept = thin_out(run_a, run_b, EDIT_TOLERANCE / 2)
        slopes = np.diff(run_b[kept]) / np.diff(run_a[kept])
        for k in range(max(len(kept) - 1, 1)):
            slope = Fraction(float(slopes[k])).limit_denominator(10_000) if len(kept) > 1 else Fraction(1)
            start = Fraction(float(run_b[kept[k]])).limit_denominator(1_000_000)
            corners.append((round(float(run_a[kept[k]]) * rate), start, slope))
    end = round(float(alignment.hits[position].times_a[-1]) * rate) + 1
    ends = [*(corner[0] for corner in corners[1:]), end]
    return [(first, after, start, slope) for (first, start, slope), after in zip(corners, ends, strict=True)]
