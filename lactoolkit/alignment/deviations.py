"""Where videos deviate from a reference, judged by how much correct videos do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.ndimage import uniform_filter1d

from lactoolkit.alignment.result import AlignedVideo, Alignment

Kind = Literal["looks different", "slower or extra", "faster or missing"]
KINDS: tuple[Kind, ...] = ("looks different", "slower or extra", "faster or missing")

_NEAR = 0.1  # seconds within which a partner may look like the reference
_PACE_WINDOW = 0.25  # seconds on either side over which the pace is measured
_SMOOTH = 0.2  # seconds
_MOST_PACE = 3.0  # log2: eight times as slow, or as fast, or missing altogether
_START = 1.0  # standard deviations at which a stretch begins
_JOIN = 0.15  # seconds: shorter interruptions do not end a stretch
_PRIOR = 4.0  # how many videos the spread over all moments counts as, beside that of one moment


@dataclass(frozen=True)
class Course:
    """How one video goes along the reference: from frame to frame of the reference, and from frame to frame of its own.

    A frame of one that the other passes over has no partner; it is compared with what lies nearest.

    Parameters
    ----------
    video : AlignedVideo
        The video.
    verdict : str
        Of the alignment.
    times : ndarray, shape (R,), float64
        The moment of the video that belongs to each analysed frame of the reference, in seconds; NaN where there is
        none.
    likeness : ndarray, shape (R,), float64
        Calibrated similarity of each frame of the reference with the video at that moment; NaN where there is none.
    pace : ndarray, shape (R,), float64
        Binary logarithm of the seconds of the video that pass in one second of the reference; the least possible where
        the video shows nothing of it.
    own_frames : ndarray, shape (K,), int64
        Positions of the analysed frames of the video from its first matched one to the last.
    own_places : ndarray, shape (K,), int64
        Frame of the reference (position) that each belongs to.
    own_likeness, own_pace : ndarray, shape (K,), float64
        The same as ``likeness`` and ``pace``, seen from each of these frames.
    """

    video: AlignedVideo
    verdict: str
    times: np.ndarray
    likeness: np.ndarray
    pace: np.ndarray
    own_frames: np.ndarray
    own_places: np.ndarray
    own_likeness: np.ndarray
    own_pace: np.ndarray


@dataclass(frozen=True)
class Deviation:
    """A stretch in which a video deviates.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    start, end : float
        In the video, in seconds; both the same where it lacks something.
    reference_start, reference_end : float
        In the reference, in seconds; both the same where the video has something extra.
    score : float
        Excess over the spread of correct videos: standard deviations times seconds.
    p_value : float
        Probability that a correct video has a stretch this conspicuous anywhere.
    """

    kind: Kind
    start: float
    end: float
    reference_start: float
    reference_end: float
    score: float
    p_value: float


def course_of(alignment: Alignment) -> Course:
    """Follow video B along the reference, video A, over all hits that are in one order in both.

    Parameters
    ----------
    alignment : Alignment
        With its matrix.

    Returns
    -------
    Course
    """
    reference, video = alignment.a, alignment.b
    count = len(reference.times)
    times, likeness, pace = np.full(count, np.nan), np.full(count, np.nan), np.full(count, -_MOST_PACE)
    nothing = np.zeros(0)
    own = nothing.astype(np.int64), nothing.astype(np.int64), nothing, nothing
    if alignment.hits:
        chained = [alignment.hits[k] for k in alignment.chain]
        known_a = np.concatenate([hit.times_a for hit in chained])
        known_b = np.concatenate([hit.times_b for hit in chained])
        table, reduction = alignment.similarity, alignment.reduction
        rows, times[:], likeness[:], passed = _follow(known_a, known_b, reference.times, video.times, table, reduction)
        pace[rows] = passed[rows]
        columns, places, alike, back = _follow(known_b, known_a, video.times, reference.times, table.T, reduction[::-1])
        own = columns, _nearest(reference.times, places[columns]), alike[columns], -back[columns]
    return Course(video, alignment.verdict, times, likeness, pace, *own)


def _follow(
    known: np.ndarray,
    others: np.ndarray,
    moments: np.ndarray,
    other_moments: np.ndarray,
    table: np.ndarray,
    reduction: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which moments lie inside the match; and of all, NaN outside: the other's moment, the likeness and the pace."""
    inside = np.flatnonzero((moments >= known[0]) & (moments <= known[-1]))
    now = moments[inside]
    partner, likeness, pace = (np.full(len(moments), np.nan) for _ in range(3))
    partner[inside] = np.interp(now, known, others)
    before, after = np.maximum(now - _PACE_WINDOW, known[0]), np.minimum(now + _PACE_WINDOW, known[-1])
    passed = np.interp(after, known, others) - np.interp(before, known, others)
    ratio = passed / np.maximum(after - before, 1e-9)
    pace[inside] = np.clip(np.log2(np.maximum(ratio, 1e-9)), -_MOST_PACE, _MOST_PACE)
    # Highest similarity with the other's frames near the partner.
    first = np.searchsorted(other_moments, partner[inside] - _NEAR)
    last = np.searchsorted(other_moments, partner[inside] + _NEAR, side="right")
    first = np.minimum(first, len(other_moments) - 1) // reduction[1]
    last = np.maximum(np.minimum(last, len(other_moments)) // reduction[1], first + 1)
    likeness[inside] = [
        table[row // reduction[0], left:right].max()
        for row, left, right in zip(inside.tolist(), first.tolist(), last.tolist(), strict=True)
    ]
    return inside, partner, likeness, pace


def on_reference(course: Course, reference_times: np.ndarray, wanted_times: np.ndarray) -> Course:
    """The same course at other frames of the reference: each takes what the nearest one in time has.

    Parameters
    ----------
    course : Course
        At the frames of the reference that were analysed beside this video.
    reference_times, wanted_times : ndarray, shape (R,), (S,)
        Times of these frames and of the wanted ones, in seconds, increasing.
    """
    nearest = _nearest(reference_times, wanted_times)
    return replace(
        course,
        times=course.times[nearest],
        likeness=course.likeness[nearest],
        pace=course.pace[nearest],
        own_places=_nearest(wanted_times, reference_times)[course.own_places],
    )


def _nearest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Position of the time nearest to each of the wanted ones."""
    right = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    return right - (wanted - times[right - 1] <= times[right] - wanted)


class Spread:
    """How correct videos go along the reference, and how conspicuous one of them gets by chance.

    For every moment the mean and the spread over the correct videos, the latter drawn towards the spread over all
    moments. Each of the correct videos is compared with the others in the same way as a video in question is; the
    scores of its stretches are what is to be expected of a correct video. Beyond them the tail falls exponentially
    (peaks over threshold), with the uncertainty of its scale from so few of them taken into account.

    Parameters
    ----------
    courses : sequence of Course
        Of the correct videos, at least 3.
    reference_times : ndarray, shape (R,)
        Times of the analysed frames of the reference in seconds.

    References
    ----------
    Coles (2001), An Introduction to Statistical Modeling of Extreme Values, ch. 4, for peaks over threshold.
    """

    def __init__(self, courses: Sequence[Course], reference_times: np.ndarray) -> None:
        self._courses, self._times = list(courses), reference_times
        self._chance: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
        for k, course in enumerate(self._courses):
            others = self._courses[:k] + self._courses[k + 1 :]
            for kind, curve in conspicuousness(course, others, reference_times).items():
                self._chance[kind] += [score for _, _, score in stretches(curve, self._clock(kind, course))]

    def curves(self, course: Course) -> dict[Kind, np.ndarray]:
        """How far a video deviates, in standard deviations; see :func:`conspicuousness`."""
        return conspicuousness(course, self._courses, self._times)

    def deviations(self, course: Course, level: float = 0.05) -> list[Deviation]:
        """Stretches of a video that a correct one has with probability below ``level``, in time order."""
        found = []
        for kind, curve in self.curves(course).items():
            for first, last, score in stretches(curve, self._clock(kind, course)):
                p_value = min(len(KINDS) * self._exceedance(kind, score), 1.0)
                if p_value < level:
                    found.append(Deviation(kind, *self._place(kind, course, first, last), score, p_value))
        return sorted(found, key=lambda one: (one.reference_start, one.start))

    def _clock(self, kind: Kind, course: Course) -> np.ndarray:
        return self._times if kind == "faster or missing" else course.video.times[course.own_frames]

    def _place(self, kind: Kind, course: Course, first: int, last: int) -> tuple[float, float, float, float]:
        if kind == "faster or missing":
            inside = np.flatnonzero(np.isfinite(course.times))
            shown = np.interp([first, last], inside, course.times[inside]) if len(inside) else np.zeros(2)
            return float(shown[0]), float(shown[1]), float(self._times[first]), float(self._times[last])
        own = course.video.times[course.own_frames[[first, last]]]
        there = self._times[course.own_places[[first, last]]]
        return float(own[0]), float(own[1]), float(there[0]), float(there[1])

    def _exceedance(self, kind: Kind, score: float) -> float:
        """Probability that a correct video has a stretch of this kind that scores as high."""
        return exceedance(np.array(self._chance[kind]), len(self._courses), score)


def exceedance(scores: np.ndarray, videos: int, score: float) -> float:
    """Probability that another video of the same sort has a stretch that scores as high or higher.

    Parameters
    ----------
    scores : ndarray
        Scores of all stretches of some videos.
    videos : int
        Number of these videos.
    score : float
        The score in question.

    Returns
    -------
    float
        One minus the probability of none, for a Poisson number of stretches. Within the upper half of ``scores`` or
        beyond, an exponential tail above their median (predictive: its scale is known from m of them only).
    """
    if not len(scores):
        # None in so many videos: by the rule of succession, one in as many more.
        return 1 / (videos + 1)
    threshold = float(np.median(scores))
    above = scores[scores > threshold]
    if score <= threshold or not len(above):
        return float(1 - np.exp(-((scores >= score).sum() + 1) / (videos + 1)))
    excess = float((above - threshold).mean())
    tail = (1 + (score - threshold) / (len(above) * excess)) ** -len(above)
    return float(1 - np.exp(-len(above) / videos * tail))


def conspicuousness(course: Course, correct: Sequence[Course], reference_times: np.ndarray) -> dict[Kind, np.ndarray]:
    """How far a video differs from correct ones, in standard deviations of these, of each kind.

    Parameters
    ----------
    course : Course
        The video in question.
    correct : sequence of Course
        At least 2.
    reference_times : ndarray, shape (R,)
        Times of the analysed frames of the reference in seconds.

    Returns
    -------
    dict
        ``"looks different"`` and ``"slower or extra"`` at each of the video's own frames, (K,), so that what is extra
        counts with its length; ``"faster or missing"`` at each frame of the reference, (R,).
    """
    places, own_times = course.own_places, course.video.times[course.own_frames]
    alike, alike_spread = _mean_and_spread(np.stack([one.likeness for one in correct]))
    pace, pace_spread = _mean_and_spread(np.stack([one.pace for one in correct]))
    unlike = (alike[places] - course.own_likeness) / alike_spread[places]
    slower = (course.own_pace - pace[places]) / pace_spread[places]
    faster = (pace - course.pace) / pace_spread
    return {
        "looks different": _smooth(unlike, own_times),
        "slower or extra": _smooth(slower, own_times),
        "faster or missing": _smooth(faster, reference_times),
    }


def _mean_and_spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of several videos at every moment, each (R,); the spread is that of one more video about the mean.

    Infinite where fewer than two videos show a moment: nothing can be said about it.
    """
    known = np.isfinite(values)
    number = known.sum(axis=0)
    mean = np.where(known, values, 0).sum(axis=0) / np.maximum(number, 1)
    squares = np.where(known, (np.nan_to_num(values) - mean) ** 2, 0).sum(axis=0)
    freedom = np.maximum(number - 1, 0)
    overall = squares.sum() / max(freedom.sum(), 1)
    spread = np.sqrt((squares + _PRIOR * overall) / (freedom + _PRIOR) * (1 + 1 / np.maximum(number, 1)))
    return mean, np.where(number >= 2, np.maximum(spread, 1e-6), np.inf)


def _smooth(curve: np.ndarray, times: np.ndarray) -> np.ndarray:
    if len(curve) < 2:
        return np.zeros(len(curve))
    width = max(1, round(_SMOOTH / float(np.median(np.diff(times)))))
    return uniform_filter1d(np.nan_to_num(curve), width, mode="nearest")


def stretches(curve: np.ndarray, times: np.ndarray) -> list[tuple[int, int, float]]:
    """Stretches in which a curve exceeds one: first and last position, and the excess summed over time in seconds."""
    above = np.flatnonzero(curve > _START)
    if not len(above):
        return []
    interval = float(np.median(np.diff(times)))
    parts = np.split(above, np.flatnonzero(np.diff(times[above]) > max(_JOIN, 1.5 * interval)) + 1)
    return [(int(part[0]), int(part[-1]), float((curve[part] - _START).sum() * interval)) for part in parts]
