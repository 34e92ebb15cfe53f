"""When to show which frame of either video so that a hit plays in step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lactoolkit.alignment.result import AlignedVideo, Alignment, Hit

# Shorter gap runs are what different pacing looks like: the faster video is slowed down, nobody waits.
SHORTEST_HOLD = 0.25

# Smooth to look at; more would only take longer to encode and to download.
SMOOTH_RATE = 30.0
_HIGHEST_RATE = 60.0

# How much of two videos without any hit is shown.
_LONGEST_WITHOUT_HIT = 30.0


@dataclass(frozen=True)
class Playback:
    """Frames of the played video, one entry each.

    Parameters
    ----------
    frame_rate : float
        Frames per second to play at.
    times_a, times_b : ndarray, shape (K,), float64
        Which moment of either video to show, in seconds; neither ever goes back.
    confidence : ndarray, shape (K,), float64
        Confidence of the match shown, between 0 and 1; NaN while one video is held.
    held_a, held_b : ndarray, shape (K,), bool
        Whether A (B) stands still because the other passes frames that have no counterpart.
    """

    frame_rate: float
    times_a: np.ndarray
    times_b: np.ndarray
    confidence: np.ndarray
    held_a: np.ndarray
    held_b: np.ndarray

    def __len__(self) -> int:
        return len(self.times_a)


@dataclass(frozen=True)
class ClockPath:
    """The path of a playback through the moments of both videos: straight from node to node.

    Parameters
    ----------
    times_a, times_b : ndarray, shape (N,), float64
        Moment of either video at each node, in seconds; neither ever goes back.
    confidence : ndarray, shape (N,), float64
        Confidence of the match at each node; NaN when nothing is aligned.
    held_a, held_b : ndarray, shape (N,), bool
        Whether A (B) stands still from this node to the next because the other passes frames without counterpart.
    """

    times_a: np.ndarray
    times_b: np.ndarray
    confidence: np.ndarray
    held_a: np.ndarray
    held_b: np.ndarray

    @property
    def clock(self) -> np.ndarray:
        """When each node is reached, shape (N,): a step lasts as long as it took in the video where it took longer."""
        return np.concatenate(([0.0], np.cumsum(np.maximum(np.diff(self.times_a), np.diff(self.times_b)))))


def playback_rate(alignment: Alignment) -> float:
    """Frames per second at which a side-by-side video shows all analysed frames and moves smoothly (at most 60)."""
    analysed = max(_analysed_rate(alignment.a), _analysed_rate(alignment.b))
    native = max(alignment.a.frame_rate, alignment.b.frame_rate)
    return float(min(max(analysed, min(native, SMOOTH_RATE)), _HIGHEST_RATE))


def plan_playback(alignment: Alignment, position: int = 0) -> Playback:
    """Plan how a hit is played: matched frames together, at no more than the natural speed of either video.

    Between two matched pairs, both videos move on in proportion, so where one process is slower, the other is slowed
    down with it. Where frames of one video have no counterpart for :data:`SHORTEST_HOLD` seconds or longer, the other
    is held (first A, then B, as in the alignment) until they have passed. Without any hit, both videos play from
    their start at their own speed, for half a minute at most.

    Parameters
    ----------
    alignment : Alignment
        Whose hit to play.
    position : int
        Which of its hits, 0 for the best.

    Returns
    -------
    Playback
    """
    rate = playback_rate(alignment)
    path = clock_path(alignment, position)
    clock = path.clock
    length = float(clock[-1]) if alignment.hits else min(float(clock[-1]), _LONGEST_WITHOUT_HIT)
    # A little slack, or rounding would drop the last frame.
    played = np.arange(int(length * rate + 1e-6) + 1) / rate
    # The node reached last says how the stretch that follows it is played.
    latest = np.searchsorted(clock, played + 1e-9, side="right") - 1
    holding = path.held_a[latest] | path.held_b[latest]
    return Playback(
        frame_rate=rate,
        times_a=np.interp(played, clock, path.times_a),
        times_b=np.interp(played, clock, path.times_b),
        confidence=np.where(holding, np.nan, np.interp(played, clock, path.confidence)),
        held_a=path.held_a[latest],
        held_b=path.held_b[latest],
    )


def clock_path(alignment: Alignment, position: int = 0) -> ClockPath:
    """Lay out the path of a playback: the matched pairs, and for every hold where it begins, turns and ends.

    Parameters
    ----------
    alignment : Alignment
        Whose hit to play. Without any, both videos run from their start at their own speed.
    position : int
        Which of its hits, 0 for the best.

    Returns
    -------
    ClockPath
    """
    if not alignment.hits:
        return _unaligned_path(alignment)
    hit = alignment.hits[position]
    times_a, times_b = alignment.a.times, alignment.b.times
    left_out_a, left_out_b = long_gaps(alignment, hit)
    nodes: list[tuple[float, float, float, bool, bool]] = []
    last = len(hit) - 1
    for k in range(len(hit)):
        now_a, now_b, confidence = float(hit.times_a[k]), float(hit.times_b[k]), float(hit.confidence[k])
        hold_a = hold_b = False
        if k < last:
            hold_a, hold_b = bool(left_out_b[k]), bool(left_out_a[k])
            # Last unmatched frame of either video before the next pair (or the pair's own frame, if there is none).
            until_a, until_b = float(times_a[hit.rows[k + 1] - 1]), float(times_b[hit.columns[k + 1] - 1])
        nodes.append((now_a, now_b, confidence, hold_a, hold_b and not hold_a))
        if hold_a:
            nodes.append((now_a, until_b, confidence, False, hold_b))
            now_b = until_b
        if hold_b:
            nodes.append((until_a, now_b, confidence, False, False))
    columns = list(zip(*nodes, strict=True))
    return ClockPath(
        np.array(columns[0]),
        np.array(columns[1]),
        np.array(columns[2]),
        np.array(columns[3], dtype=bool),
        np.array(columns[4], dtype=bool),
    )


def whole_reference(path: ClockPath, first: float, last: float) -> ClockPath:
    """Lengthen a path to all of A: B waits at its first matched frame before the path, and at its last one after it.

    Parameters
    ----------
    path : ClockPath
        From the first matched pair to the last.
    first, last : float
        First and last moment of A, in seconds.

    Returns
    -------
    ClockPath
    """
    before, after = bool(first < path.times_a[0]), bool(last > path.times_a[-1])

    def lengthen(values: np.ndarray, start: object, end: object) -> np.ndarray:
        return np.array([start] * before + values.tolist() + [end] * after)

    return ClockPath(
        times_a=lengthen(path.times_a, first, last),
        times_b=lengthen(path.times_b, path.times_b[0], path.times_b[-1]),
        confidence=lengthen(path.confidence, np.nan, np.nan),
        held_a=lengthen(path.held_a, False, False),
        # B waits from the last pair on, and still does at the very end.
        held_b=lengthen(np.append(path.held_b[:-1], after), True, True),
    )


def long_gaps(alignment: Alignment, hit: Hit) -> tuple[np.ndarray, np.ndarray]:
    """Find where a hit leaves out more of one video than pacing explains: :data:`SHORTEST_HOLD` seconds or more.

    Parameters
    ----------
    alignment : Alignment
        The alignment.
    hit : Hit
        One of its hits, of L pairs.

    Returns
    -------
    in_a, in_b : ndarray, shape (L - 1,), bool
        Whether that much of A (of B) is without counterpart between pair k and pair k + 1.
    """
    until_a = alignment.a.times[hit.rows[1:] - 1]
    until_b = alignment.b.times[hit.columns[1:] - 1]
    return until_a - hit.times_a[:-1] >= SHORTEST_HOLD, until_b - hit.times_b[:-1] >= SHORTEST_HOLD


def _unaligned_path(alignment: Alignment) -> ClockPath:
    """From the start of both to the end of the longer one; the shorter one waits at its end."""
    starts = (float(alignment.a.times[0]), float(alignment.b.times[0]))
    spans = [float(video.times[-1] - video.times[0]) for video in (alignment.a, alignment.b)]
    clock = np.unique([0.0, *spans])
    never = np.zeros(len(clock), dtype=bool)
    return ClockPath(
        times_a=starts[0] + np.minimum(clock, spans[0]),
        times_b=starts[1] + np.minimum(clock, spans[1]),
        confidence=np.full(len(clock), np.nan),
        held_a=never,
        held_b=never,
    )


def _analysed_rate(video: AlignedVideo) -> float:
    if len(video.times) < 2:
        return 0.0
    return 1.0 / float(np.median(np.diff(video.times)))
