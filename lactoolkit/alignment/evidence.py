"""How a hit compares with chance: measured in its surroundings, so that long videos cost no more than short ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.alignment.significance import ChanceModel, Measurements, chance_probability, evidence_index
from lactoolkit.alignment.tables import SimilarityTable
from lactoolkit.features.video_embeddings import VideoEmbeddings
from lactoolkit.kernels.path_decoding import LocalPath, best_local_path
from lactoolkit.models.registry import encoder_identity, is_trained_identity

_SIDE = 1500  # frames of either video that are compared with chance, at most


@dataclass(frozen=True)
class Evidence:
    """How a hit compares with chance.

    Parameters
    ----------
    p_value, e_value : float
        As in :class:`lactoolkit.alignment.result.Hit`.
    measurements : Measurements
        What they were computed from.
    """

    p_value: float
    e_value: float
    measurements: Measurements


class PairEvidence:
    """Evidence for the hits of one pair of videos.

    Parameters
    ----------
    table : SimilarityTable
        Calibrated similarity.
    a, b : VideoEmbeddings
        The videos.
    settings : AlignmentSettings
        Margin and penalties that the table is judged by.
    rate : float
        Frames per second.
    """

    def __init__(
        self,
        table: SimilarityTable,
        a: VideoEmbeddings,
        b: VideoEmbeddings,
        settings: AlignmentSettings,
        rate: float,
    ) -> None:
        self._table, self._a, self._b = table, a, b
        self._settings, self._rate = settings, rate
        self._models: dict[tuple[int, int, int, int], ChanceModel] = {}

    def of(self, path: LocalPath, mean_posterior: float) -> Evidence:
        """Compare a path with chance.

        Parameters
        ----------
        path : LocalPath
            Of at least one pair.
        mean_posterior : float
            Of its pairs, see :func:`lactoolkit.alignment.confidence.posterior_near`.

        Returns
        -------
        Evidence
        """
        shape = self._table.shape
        (i, i_stop), (j, j_stop) = (_surroundings(path.pairs[:, axis], shape[axis]) for axis in (0, 1))
        window = self._table.block(i, i_stop, j, j_stop)
        u, v = self._a.values[i:i_stop], self._b.values[j:j_stop]
        key = (i, i_stop, j, j_stop)
        if key not in self._models:
            self._models[key] = ChanceModel(window, _alikeness(u, v), self._settings, self._rate)
        inside = (path.pairs >= (i, j)).all(axis=1) & (path.pairs < (i_stop, j_stop)).all(axis=1)
        rows, columns = path.pairs[inside].T
        score = path.score
        if not inside.all() or self._table.settings != self._settings or self._settings.least_motion:
            # Judged is the score through all frames, of a long hit that of a part: the whole can only be better.
            part = window[rows.min() - i : rows.max() + 1 - i, columns.min() - j : columns.max() + 1 - j]
            score = best_local_path(part, self._settings.gap_open, self._settings.gap_extend).score
        cosine = float(np.einsum("ld,ld->l", u[rows - i], v[columns - j]).mean())
        found = self._models[key].measure(score, mean_posterior, cosine, shape[0] * shape[1] / window.size)
        standard = self._a.encoder in _standard_encoders()
        trained = is_trained_identity(self._a.encoder)
        p_value = chance_probability(evidence_index(found, looks=standard, trained=trained), trained=trained)
        return Evidence(p_value, found.e_value, found)


def _surroundings(positions: np.ndarray, length: int) -> tuple[int, int]:
    """Half-open range of frames around the middle of a hit: the whole video, unless it is long."""
    if length <= _SIDE:
        return 0, length
    middle = int(positions[len(positions) // 2])
    start = min(max(middle - _SIDE // 2, 0), length - _SIDE)
    return start, start + _SIDE


def _alikeness(u: np.ndarray, v: np.ndarray) -> float:
    cosine = u @ v.T
    return float((cosine.max(axis=1).mean() + cosine.max(axis=0).mean()) / 2)


@cache
def _standard_encoders() -> frozenset[str]:
    """Identities of the encoder whose cosines the chance model was fitted with."""
    return frozenset(encoder_identity("lite0", precision=precision) for precision in ("float32", "bfloat16"))
