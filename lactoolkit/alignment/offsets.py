"""Recordings that run at the same speed: by how much each started later than the others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import squareform

from lactoolkit.alignment.similarity import calibrated_embeddings
from lactoolkit.features.embedding import standardise

# Seconds: how fast movements begin and end at least, and over how long their mean level is taken.
_SHORT, _LONG = 1 / 30, 8 / 30
_STEP = 1 / 30  # seconds between the frames whose difference is taken
_STILL = 0.02  # standard deviations of a feature, added to its change: it may be zero
_MOTION = 2.5  # weight of the motion beside the similarity, in products of standard deviations
_CLIP = 3.0
_EDGE = 0.1  # seconds at either end where motion is not known
_LEAST_OVERLAP = 0.2  # of the shorter recording
_DIMENSIONS = 128
# What a score is divided by to give a log probability: neighbouring frames are no independent witnesses.
_TEMPERATURE = 20.0
TOLERANCE = 0.1  # seconds: what the confidence of an offset is about


@dataclass(frozen=True)
class Recording:
    """One recording on a regular grid of times.

    Parameters
    ----------
    values : ndarray, shape (T, D), float32
        Unit embeddings of its frames.
    motion : ndarray, shape (T,), float64
        How much moves, from :func:`motion_curve`.
    """

    values: np.ndarray
    motion: np.ndarray


@dataclass(frozen=True)
class LagScores:
    """How well recording B fits recording A at every lag.

    Parameters
    ----------
    lags : ndarray, shape (L,), int64
        Frame ``i`` of A is taken at the same moment as frame ``i + lag`` of B.
    scores : ndarray, shape (L,), float64
        Sum over the overlap of similarity and of the product of motions.
    reach : int
        Frames within which an offset counts as right.
    """

    lags: np.ndarray
    scores: np.ndarray
    reach: int

    @cached_property
    def best(self) -> int:
        """The lag of the highest score."""
        return int(self.lags[self.scores.argmax()])

    @property
    def confidence(self) -> float:
        """Probability that the true lag is within reach of the best one."""
        return lag_confidence(self.scores, int(self.scores.argmax()), self.reach)

    def at(self, lags: np.ndarray) -> np.ndarray:
        """Scores of any lags; where the recordings would not overlap enough, nothing is won and nothing lost."""
        positions = lags - self.lags[0]
        inside = (positions >= 0) & (positions < len(self.lags))
        return np.where(inside, self.scores[np.clip(positions, 0, len(self.lags) - 1)], 0.0)


@dataclass(frozen=True)
class Offsets:
    """When each recording starts on a common clock.

    Parameters
    ----------
    starts : ndarray, shape (V,), float64
        Frames after the start of the first one to start.
    confidence : ndarray, shape (V,), float64
        Probability that a recording is placed right within 0.1 s, given the others.
    likeness : ndarray, shape (V, V), float64
        Correlation of the motion of each pair, placed like this; 1 on the diagonal.
    pair_lags : ndarray, shape (V, V), float64
        Lag of each pair by itself: how much later the first starts than the second. Antisymmetric.
    pair_confidence : ndarray, shape (V, V), float64
        Confidence of each; 0 on the diagonal.
    cycle_error : float
        Median over triples of recordings of how far the lags of their pairs are from adding up to zero, in frames; NaN
        for fewer than three.
    """

    starts: np.ndarray
    confidence: np.ndarray
    likeness: np.ndarray
    pair_lags: np.ndarray
    pair_confidence: np.ndarray
    cycle_error: float


def motion_curve(features: np.ndarray, rate: float) -> np.ndarray:
    """How much moves at every moment, whatever the side from which it is seen.

    The change of the features within a thirtieth of a second, smoothed, less its mean level over half a second, in
    standard deviations. What begins and stops, hits and turns does so at one moment for all cameras. Each feature
    counts by the logarithm of its own change (in its own standard deviations): otherwise the few that change most,
    other ones for every camera, would say how much moves.

    Parameters
    ----------
    features : ndarray, shape (T, D)
        Features of a frame encoder, not normalised over time.
    rate : float
        Frames per second.

    Returns
    -------
    ndarray, shape (T,), float64
        Between -3 and 3; 0 near both ends, where smoothing has nothing to go by.
    """
    values = standardise(features)
    step = min(max(round(_STEP * rate), 1), len(values) - 1)
    change = np.log(np.abs(values[step:] - values[:-step]) + _STILL).mean(axis=1, dtype=np.float64)
    level = np.pad(change, (step - step // 2, step // 2), mode="edge")
    smooth = gaussian_filter1d(level, _SHORT * rate)
    curve = smooth - gaussian_filter1d(smooth, _LONG * rate)
    edge = round(_EDGE * rate)
    curve[:edge] = curve[len(curve) - edge :] = 0
    spread = curve.std()
    return np.clip(curve / spread, -_CLIP, _CLIP) if spread > 1e-9 else np.zeros(len(curve))


def score_lags(a: Recording, b: Recording, rate: float) -> LagScores:
    """Score every lag of recording B against recording A.

    By Fourier transforms: memory and time grow with the length of the recordings, not with its square.

    Parameters
    ----------
    a, b : Recording
        On grids of the same rate.
    rate : float
        Frames per second.

    Returns
    -------
    LagScores
        Of all lags at which a fifth of the shorter recording overlaps.
    """
    x, y = calibrated_embeddings(a.values, b.values, 0.0, dimensions=_DIMENSIONS)
    x = np.column_stack([x, _MOTION * a.motion])
    y = np.column_stack([y, b.motion])
    n, m = len(x), len(y)
    size = next_fast_len(n + m, real=True)
    spectrum = np.zeros(size // 2 + 1, complex)
    for left, right in zip(x.T, y.T, strict=True):
        spectrum += np.conj(rfft(left, size)) * rfft(right, size)
    circular = irfft(spectrum, size)
    overlap = max(2, round(_LEAST_OVERLAP * min(n, m)))
    lags = np.arange(overlap - n, m - overlap + 1)
    return LagScores(lags, circular[lags % size], max(1, round(TOLERANCE * rate)))


def lag_confidence(scores: np.ndarray, best: int, reach: int) -> float:
    """Probability that the true lag is within reach of position ``best``, every lag being as likely beforehand."""
    weight = np.exp((scores - scores.max()) / _TEMPERATURE)
    return float(weight[max(best - reach, 0) : best + reach + 1].sum() / weight.sum())


def solve_offsets(recordings: Sequence[Recording], pairs: dict[tuple[int, int], LagScores]) -> Offsets:
    """Place all recordings on one clock so that the scores of all pairs together are as high as possible.

    Starting from the best lags along trees of the most confident pairs, one recording after the other is moved to
    where it fits all others best, until none moves. Fractions of a frame follow from parabolas through the scores of
    the pairs and weighted least squares.

    Parameters
    ----------
    recordings : sequence of Recording
        V of them, at least 2.
    pairs : dict of (int, int) to LagScores
        Of every pair i < j.

    Returns
    -------
    Offsets
    """
    count = len(recordings)
    lags, sure = np.zeros((count, count)), np.zeros((count, count))
    for (i, j), scores in pairs.items():
        # Frame t of i is frame t + lag of j: j had begun lag frames before i.
        lags[i, j], lags[j, i] = scores.best, -scores.best
        sure[i, j] = sure[j, i] = scores.confidence
    placed = max(
        (_settle(_tree(lags, sure, root), pairs, count) for root in range(count)),
        key=lambda starts: _total(starts, pairs),
    )
    reach = next(iter(pairs.values())).reach
    confidence = np.array([_place_confidence(k, placed, pairs, reach) for k in range(count)])
    exact = _refine(placed, pairs, count)
    likeness = np.eye(count)
    for i, j in pairs:
        lag = int(placed[i] - placed[j])
        likeness[i, j] = likeness[j, i] = motion_correlation(recordings[i], recordings[j], lag)
    return Offsets(exact - exact.min(), confidence, likeness, lags, sure, _cycle_error(lags, count))


def largest_event(likeness: np.ndarray, least: float) -> np.ndarray:
    """The recordings that most likely show one event: the largest group of those whose motion is alike on average.

    Parameters
    ----------
    likeness : ndarray, shape (V, V), float64
        Correlation of the motion of each pair of recordings, at least two.
    least : float
        Mean correlation of two groups (average linkage) from which on they are taken for one.

    Returns
    -------
    ndarray, shape (V,), bool
        None, where no two belong together; of groups of one size, the one whose members are more alike.
    """
    distances = squareform(1 - likeness, checks=False)
    groups = fcluster(linkage(distances, "average"), 1 - least, "distance")

    def size_and_likeness(group: int) -> tuple[int, float]:
        members = groups == group
        return int(members.sum()), float(likeness[np.ix_(members, members)].mean())

    members = groups == max(np.unique(groups), key=size_and_likeness)
    return members if members.sum() > 1 else np.zeros(len(groups), bool)


def motion_correlation(a: Recording, b: Recording, lag: int) -> float:
    """Correlation of the motion of two recordings at a lag; 0 where they do not overlap enough to tell."""
    rows = np.arange(max(0, -lag), min(len(a.motion), len(b.motion) - lag))
    if len(rows) < _LEAST_OVERLAP * min(len(a.motion), len(b.motion)):
        return 0.0
    x, y = a.motion[rows], b.motion[rows + lag]
    return float((x * y).sum() / max(np.sqrt((x**2).sum() * (y**2).sum()), 1e-9))


def _tree(lags: np.ndarray, sure: np.ndarray, root: int) -> np.ndarray:
    """Starts of all recordings along a tree of the most confident pairs (Prim's algorithm)."""
    starts = np.zeros(len(lags), np.int64)
    reached = [root]
    while len(reached) < len(lags):
        missing = [k for k in range(len(lags)) if k not in reached]
        i, j = max(itertools.product(reached, missing), key=lambda pair: sure[pair])
        starts[j] = starts[i] - round(lags[i, j])
        reached.append(j)
    return starts


def _curve(k: int, starts: np.ndarray, pairs: dict[tuple[int, int], LagScores], wanted: np.ndarray) -> np.ndarray:
    """Total score with all others if recording k started at each of the wanted places."""
    total = np.zeros(len(wanted))
    for (i, j), scores in pairs.items():
        if i == k:
            total += scores.at(wanted - starts[j])
        elif j == k:
            total += scores.at(starts[i] - wanted)
    return total


def _range(k: int, starts: np.ndarray, pairs: dict[tuple[int, int], LagScores]) -> np.ndarray:
    """All places where recording k overlaps with any other."""
    ends = []
    for (i, j), scores in pairs.items():
        if i == k:
            ends += [starts[j] + scores.lags[0], starts[j] + scores.lags[-1]]
        elif j == k:
            ends += [starts[i] - scores.lags[-1], starts[i] - scores.lags[0]]
    return np.arange(min(ends), max(ends) + 1)


def _settle(starts: np.ndarray, pairs: dict[tuple[int, int], LagScores], count: int) -> np.ndarray:
    starts = starts.copy()
    for _ in range(50):
        before = starts.copy()
        for k in range(count):
            wanted = _range(k, starts, pairs)
            starts[k] = wanted[_curve(k, starts, pairs, wanted).argmax()]
        if np.array_equal(before, starts):
            break
    return starts


def _total(starts: np.ndarray, pairs: dict[tuple[int, int], LagScores]) -> float:
    return float(sum(scores.at(np.array([starts[i] - starts[j]]))[0] for (i, j), scores in pairs.items()))


def _place_confidence(k: int, starts: np.ndarray, pairs: dict[tuple[int, int], LagScores], reach: int) -> float:
    """The others agree with each other, so that they are fewer witnesses than they are recordings."""
    wanted = _range(k, starts, pairs)
    curve = _curve(k, starts, pairs, wanted) / np.sqrt(max(len(starts) - 1, 1))
    return lag_confidence(curve, int(starts[k] - wanted[0]), reach)


def _refine(starts: np.ndarray, pairs: dict[tuple[int, int], LagScores], count: int) -> np.ndarray:
    """Starts to fractions of a frame: weighted least squares over the tops of the scores next to the solution."""
    rows, wanted = [np.full(count, 1 / count)], [starts.mean()]
    for (i, j), scores in pairs.items():
        lag = starts[i] - starts[j]
        near = scores.at(lag + np.arange(-2, 3))
        top = int(near.argmax())
        if not 0 < top < 4:
            continue  # this pair would rather have it elsewhere
        left, middle, right = near[top - 1 : top + 2]
        bend = left - 2 * middle + right
        if bend >= 0:
            continue
        weight = np.sqrt(-bend)
        row = np.zeros(count)
        row[i], row[j] = weight, -weight
        rows.append(row)
        wanted.append(weight * (lag + top - 2 + (left - right) / (2 * bend)))
    # Recordings that no pair holds stay where they are, by a weak spring.
    rows.extend(1e-3 * np.eye(count))
    wanted.extend(1e-3 * starts)
    return np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0]


def _cycle_error(lags: np.ndarray, count: int) -> float:
    errors = [abs(lags[i, j] + lags[j, k] + lags[k, i]) for i, j, k in itertools.combinations(range(count), 3)]
    return float(np.median(errors)) if errors else float("nan")
