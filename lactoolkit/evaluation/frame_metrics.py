"""The field's measures of frame embeddings: linear probes, Kendall's tau, retrieval; arrays in, arrays out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

TAU_STRIDE = 5
PROBE_DIMENSIONS = 256
_BASIS_FRAMES = 1000


def principal_components(
    train: Sequence[np.ndarray], others: Sequence[np.ndarray], dimensions: int = PROBE_DIMENSIONS
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Project embeddings onto the principal components of the training frames, where they are longer than that.

    Embeddings of at most ``dimensions`` numbers pass unchanged. Longer ones (raw features) would give a linear probe
    more weights than there are labelled frames; projected, all encoders get probes of comparable capacity.

    Parameters
    ----------
    train, others : sequence of ndarray, shape (T, D)
        Embeddings of videos; the components are those of at most 1000 frames spread over ``train``.
    dimensions : int
        Components to keep.

    Returns
    -------
    train, others : list of ndarray, shape (T, at most dimensions)
    """
    if train[0].shape[1] <= dimensions:
        return list(train), list(others)
    frames = np.concatenate(train)
    basis = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _BASIS_FRAMES)).round().astype(int))]
    mean = basis.mean(axis=0)
    components = np.linalg.svd(basis - mean, full_matrices=False)[2][:dimensions].T
    return [(one - mean) @ components for one in train], [(one - mean) @ components for one in others]


def labelled_share(count: int, fraction: float) -> int:
    """How many of ``count`` training videos are taken as labelled: the first ones, at least one."""
    return max(1, int(fraction * count))


def classify_phases(
    train: Sequence[np.ndarray], train_phases: Sequence[np.ndarray], test: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Predict phases by multinomial logistic regression on frame embeddings (scikit-learn, C = 1).

    Parameters
    ----------
    train : sequence of ndarray, shape (T, D)
        Embeddings of the labelled training videos.
    train_phases : sequence of ndarray, shape (T,), int
        Their phases; frames with -1 are left out.
    test : sequence of ndarray, shape (T, D)
        Embeddings of the videos to predict.

    Returns
    -------
    list of ndarray, shape (T,), int
        Predicted phases of the test videos.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    phases = np.concatenate(train_phases)
    frames = np.concatenate(train)[phases >= 0]
    phases = phases[phases >= 0]
    if len(np.unique(phases)) == 1:
        return [np.full(len(one), phases[0]) for one in test]
    model = LogisticRegression(max_iter=1000)
    with warnings.catch_warnings():
        # A thousand steps that end just short of the tolerance give the same labels.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(frames, phases)
    return [model.predict(one) for one in test]


def progression_targets(phases: np.ndarray) -> np.ndarray:
    """Signed time from every frame of the core to the end of each phase, as a share of the core's length.

    Parameters
    ----------
    phases : ndarray, shape (T,), int
        Phases of the frames of the core, without background.

    Returns
    -------
    ndarray, shape (T, K), float64
        Column k: (end of the k-th run of equal labels - frame) / T; the end of a run is the first frame after it.
    """
    changes = np.flatnonzero(np.diff(phases)) + 1
    ends = np.concatenate([changes, [len(phases)]])
    return (ends - np.arange(len(phases))[:, None]) / len(phases)


def regress_progression(
    train: Sequence[np.ndarray], targets: Sequence[np.ndarray], test: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Predict progression targets (T, K) of test videos by linear least squares on frame embeddings (scikit-learn)."""
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(np.concatenate(train), np.concatenate(targets))
    return [model.predict(one) for one in test]


def kendalls_tau(similarity: np.ndarray) -> float:
    """Kendall's rank correlation between the frames of one video and their nearest neighbours in another.

    Parameters
    ----------
    similarity : ndarray, shape (Q, M)
        Similarity of Q query frames, in time order, with all frames of the other video.

    Returns
    -------
    float
        Tau-b (SciPy) of the order of the nearest neighbours; NaN where all queries have the same one.

    Examples
    --------
    >>> import numpy as np
    >>> kendalls_tau(np.eye(4))
    1.0
    """
    from scipy.stats import kendalltau

    nearest = similarity.argmax(axis=1)
    if len(nearest) < 2 or (nearest == nearest[0]).all():
        return float("nan")
    return float(kendalltau(np.arange(len(nearest)), nearest).statistic)


class NearestPhases:
    """Phases of the K nearest frames of a growing gallery, for all frames of one query video.

    Parameters
    ----------
    queries : int
        Number Q of query frames.
    most : int
        The largest K.
    """

    def __init__(self, queries: int, most: int) -> None:
        self._similarity = np.full((queries, most), -np.inf, np.float32)
        self._phases = np.full((queries, most), -1)
        self._seen = 0

    def add(self, similarity: np.ndarray, phases: np.ndarray) -> None:
        """Put frames into the gallery: their similarity (Q, M) with the queries, and their phases (M,)."""
        most = self._phases.shape[1]
        together = np.concatenate([self._similarity, similarity], axis=1)
        labels = np.concatenate([self._phases, np.broadcast_to(phases, similarity.shape)], axis=1)
        nearest = np.argsort(-together, axis=1, kind="stable")[:, :most]
        self._similarity = np.take_along_axis(together, nearest, axis=1)
        self._phases = np.take_along_axis(labels, nearest, axis=1)
        self._seen += len(phases)

    def precision(self, phases: np.ndarray, at: int) -> np.ndarray:
        """Share of the ``at`` nearest frames in the query's phase, shape (Q,); of a smaller gallery, all."""
        count = max(min(at, self._seen), 1)
        return (self._phases[:, :count] == phases[:, None]).mean(axis=1)
