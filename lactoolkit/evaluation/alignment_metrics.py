"""How far an alignment of two labelled videos is from the truth; arrays in, arrays out.

``path`` is always the matched frames of a pair, shape (L, 2), both columns strictly increasing, in native frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 10  # of confidence


def phase_runs(phases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs of equal labels, background left out.

    Parameters
    ----------
    phases : ndarray, shape (T,), int
        Phase of every frame, -1 for background.

    Returns
    -------
    order : ndarray, shape (R,)
        Phase of each run.
    starts : ndarray, shape (R,)
        Its first frame.

    Examples
    --------
    >>> import numpy as np
    >>> phase_runs(np.array([-1, 0, 0, 2, 2, 2, -1]))
    (array([0, 2]), array([1, 3]))
    """
    starts = np.flatnonzero(np.diff(phases, prepend=phases[0] - 1))
    starts = starts[phases[starts] >= 0]
    return phases[starts], starts


def shared_boundaries(phases_a: np.ndarray, phases_b: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """First frames of all phases but the first, in both videos; None unless both pass the same phases in one order."""
    (order_a, starts_a), (order_b, starts_b) = phase_runs(phases_a), phase_runs(phases_b)
    return (starts_a[1:], starts_b[1:]) if np.array_equal(order_a, order_b) else None


def warp_positions(positions: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Carry frame positions of the first video over to the second along a path.

    Linear between matched pairs. Before the first and after the last pair, where the alignment says nothing, positions
    keep their distance to it: a path that leaves out a boundary is charged for what its end misses, no more.

    Parameters
    ----------
    positions : ndarray, shape (K,)
        Frames of the first video.
    path : ndarray, shape (L, 2)
        Matched frames, at least one pair.

    Returns
    -------
    ndarray, shape (K,), float64

    Examples
    --------
    >>> import numpy as np
    >>> warp_positions(np.array([5, 12, 30]), np.array([[10, 100], [20, 120]]))
    array([ 95., 104., 130.])
    """
    first, last = path[0], path[-1]
    beyond = np.minimum(positions - first[0], 0) + np.maximum(positions - last[0], 0)
    return np.interp(positions, path[:, 0], path[:, 1]) + beyond


def boundary_errors(path: np.ndarray, phases_a: np.ndarray, phases_b: np.ndarray) -> np.ndarray | None:
    """Absolute errors, in frames, of phase boundaries carried over in both directions.

    Parameters
    ----------
    path : ndarray, shape (L, 2)
        Matched frames. Without any, a boundary is as wrong as it can be: as far off as the farther end of the video.
    phases_a, phases_b : ndarray, shape (T,), (S,), int
        Phase of every frame, -1 for background.

    Returns
    -------
    ndarray, shape (2 K,), or None
        For K inner boundaries A to B, then B to A; None where the videos do not pass the same phases in one order.
    """
    boundaries = shared_boundaries(phases_a, phases_b)
    if boundaries is None:
        return None
    in_a, in_b = boundaries
    if not len(path):
        return np.concatenate([_worst(in_b, len(phases_b)), _worst(in_a, len(phases_a))])
    return np.concatenate(
        [np.abs(warp_positions(in_a, path) - in_b), np.abs(warp_positions(in_b, path[:, ::-1]) - in_a)]
    )


def _worst(boundaries: np.ndarray, length: int) -> np.ndarray:
    return np.maximum(boundaries, length - 1 - boundaries).astype(np.float64)


def chance_boundary_errors(phases_a: np.ndarray, phases_b: np.ndarray) -> np.ndarray | None:
    """Expected errors when each boundary is put anywhere in the other video, shape (2 K,), as in boundary_errors."""
    boundaries = shared_boundaries(phases_a, phases_b)
    if boundaries is None:
        return None
    in_a, in_b = boundaries
    return np.concatenate(
        [
            np.abs(np.arange(len(phases)) - at[:, None]).mean(axis=1)
            for phases, at in ((phases_b, in_b), (phases_a, in_a))
        ]
    )


@dataclass(frozen=True)
class Agreement:
    """Phase agreement of the matched frames of one pair of videos.

    Parameters
    ----------
    share : float
        Matched pairs whose frames are in the same phase; pairs with a background frame are wrong. 0 without a path.
    share_inside : float
        The same without pairs that touch a frame near a boundary; NaN where no pair is left.
    agreeing, matched : ndarray, shape (K,)
        For each phase: matched frames of it (of either video), and how many have a partner in the same phase.
    """

    share: float
    share_inside: float
    agreeing: np.ndarray
    matched: np.ndarray


def phase_agreement(
    path: np.ndarray, phases_a: np.ndarray, phases_b: np.ndarray, phase_count: int, near: int = 3
) -> Agreement:
    """Compare the phases of matched frames.

    Parameters
    ----------
    path : ndarray, shape (L, 2)
        Matched frames.
    phases_a, phases_b : ndarray, int
        Phase of every frame, -1 for background.
    phase_count : int
        Number K of phases.
    near : int
        How many frames on either side of a change of label count as near a boundary, where labels are ambiguous.

    Returns
    -------
    Agreement
    """
    if not len(path):
        return Agreement(0.0, float("nan"), np.zeros(phase_count), np.zeros(phase_count))
    in_a, in_b = phases_a[path[:, 0]], phases_b[path[:, 1]]
    agree = (in_a == in_b) & (in_a >= 0)
    inside = ~(near_boundary(phases_a, near)[path[:, 0]] | near_boundary(phases_b, near)[path[:, 1]])
    agreeing = 2.0 * np.bincount(in_a[agree], minlength=phase_count)
    matched = np.bincount(in_a[in_a >= 0], minlength=phase_count) + np.bincount(in_b[in_b >= 0], minlength=phase_count)
    share_inside = float(agree[inside].mean()) if inside.any() else float("nan")
    return Agreement(float(agree.mean()), share_inside, agreeing, matched)


def carried_agreement(path: np.ndarray, phases_a: np.ndarray, phases_b: np.ndarray) -> float:
    """Phase agreement of every frame of the aligned stretches, matched or not.

    Each frame from the first to the last matched one is carried over to the other video, linear between matched pairs:
    an alignment cannot gain by matching only what is easy.

    Parameters
    ----------
    path : ndarray, shape (L, 2)
        Matched frames.
    phases_a, phases_b : ndarray, int
        Phase of every frame, -1 for background.

    Returns
    -------
    float
        Share of frames that are carried to one in the same phase, mean of both directions; frames that are background
        or are carried to it are wrong. 0 without a path.

    Examples
    --------
    >>> import numpy as np
    >>> path = np.array([[0, 0], [4, 2]])  # goes to 0, .5, 1, 1.5, 2 (halves to even ones), and to 0, 2, 4
    >>> carried_agreement(path, np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1]))  # 4 of 5 and 2 of 3
    0.7333333333333334
    """
    if not len(path):
        return 0.0
    shares = []
    for pairs, own, other in ((path, phases_a, phases_b), (path[:, ::-1], phases_b, phases_a)):
        frames = np.arange(pairs[0, 0], pairs[-1, 0] + 1)
        partners = np.round(warp_positions(frames, pairs)).astype(int)
        shares.append(((own[frames] == other[partners]) & (own[frames] >= 0)).mean())
    return float(np.mean(shares))


def near_boundary(phases: np.ndarray, near: int) -> np.ndarray:
    """Which frames are among the last or first ``near`` frames beside a change of label, shape (T,), bool."""
    result = np.zeros(len(phases), bool)
    for change in np.flatnonzero(np.diff(phases)) + 1:
        result[max(change - near, 0) : change + near] = True
    return result


@dataclass(frozen=True)
class Overlap:
    """Overlap of the aligned interval with the true core: intersection over union, precision, recall."""

    iou: float
    precision: float
    recall: float


def interval_overlap(first: int, last: int, core: np.ndarray) -> Overlap:
    """Compare an interval of frames with the true core of a video.

    Parameters
    ----------
    first, last : int
        The interval, both ends included; an interval that ends before it begins is empty.
    core : ndarray, shape (T,), bool
        Which frames are part of the process.

    Returns
    -------
    Overlap

    Examples
    --------
    >>> import numpy as np
    >>> interval_overlap(0, 3, np.array([0, 0, 1, 1, 1, 1], bool))
    Overlap(iou=0.3333333333333333, precision=0.5, recall=0.5)
    """
    common = int(core[first : last + 1].sum())
    found, true = max(last - first + 1, 0), int(core.sum())
    return Overlap(
        common / max(found + true - common, 1), common / found if found else 0.0, common / true if true else 0.0
    )


def right_pairs(
    path: np.ndarray,
    phases_a: np.ndarray,
    phases_b: np.ndarray,
    core_a: np.ndarray,
    core_b: np.ndarray,
    tolerance: float = 3,
) -> np.ndarray | None:
    """Whether each matched pair lies within the tolerance of the truth.

    The truth maps boundary to boundary, first frame of the core to first and last to last, and is linear in between. A
    pair is right if either frame lies within the tolerance of the other's true partner; a frame outside the core has
    none.

    Parameters
    ----------
    path : ndarray, shape (L, 2)
        Matched frames.
    phases_a, phases_b : ndarray, int
        Phase of every frame, -1 for background.
    core_a, core_b : ndarray, bool
        Which frames are part of the process.
    tolerance : float
        In frames.

    Returns
    -------
    ndarray, shape (L,), bool, or None
        None where the videos do not pass the same phases in one order.
    """
    boundaries = shared_boundaries(phases_a, phases_b)
    if boundaries is None:
        return None
    knots = []
    for core, inner in ((core_a, boundaries[0]), (core_b, boundaries[1])):
        frames = np.flatnonzero(core)
        knots.append(np.concatenate([frames[:1], inner, frames[-1:]]))
    right = np.zeros(len(path), bool)
    for source, target in ((0, 1), (1, 0)):
        expected = np.interp(path[:, source], knots[source], knots[target], left=np.inf, right=np.inf)
        right |= np.abs(expected - path[:, target]) <= tolerance
    return right


def confidence_bins(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Predictions of one pair of videos by their confidence, for a reliability curve.

    Parameters
    ----------
    confidence : ndarray, shape (L,)
        Between 0 and 1.
    right : ndarray, shape (L,), bool
        Whether each prediction is right.
    bins : int
        Number of equal bins.

    Returns
    -------
    ndarray, shape (3, bins)
        Right predictions, sum of confidences, predictions.
    """
    inside = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = (right.astype(np.float64), confidence.astype(np.float64), np.ones(len(confidence)))
    return np.stack([np.bincount(inside, weights=row, minlength=bins) for row in rows])


def linear_stretch(length_a: int, length_b: int) -> np.ndarray:
    """Path that maps the whole of one video evenly onto the whole of the other, shape (min(length_a, length_b), 2)."""
    count = min(length_a, length_b)
    return np.stack([np.linspace(0, length - 1, count).round().astype(int) for length in (length_a, length_b)], axis=1)
