"""Is an alignment better than chance? Its score against shuffled and reversed videos, and its looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.kernels.shuffled_scores import shuffled_scores

_BLOCKS = (8 / 30, 16 / 30, 32 / 30)  # seconds of video that stay together when the rest is shuffled
_DRAWS = 30  # of each block length and of each video
_SEED = 20261124
_EULER = 0.5772156649015329

_ALIKENESS_RANGE = (0.04, 0.4)
_LOOKS = (0.19, 0.09)  # mean and spread of the mean cosine over pairs of two simulated tasks
_SMALLEST = 0.001  # nothing smaller can be claimed from so many pairs
_TAIL = np.array([0.9, 0.5, 0.3, 0.2, 0.1, 0.05, 0.025, 0.0125])


@dataclass(frozen=True)
class Unrelated:
    """What unrelated videos measure.

    Parameters
    ----------
    mean, spread : dict
        Mean and standard deviation of each measurement: they grow linearly with the alikeness of the videos, intercept
        and slope.
    quantiles : ndarray
        Upper quantiles of their sum in standard deviations, at the tails 0.9, 0.5, 0.3, 0.2, 0.1, 0.05, 0.025, 0.0125.
    """

    mean: dict[str, tuple[float, float]]
    spread: dict[str, tuple[float, float]]
    quantiles: np.ndarray


# Fitted by benchmarks/significance.py over unrelated pairs: 400 of two simulated tasks (training videos), 200 of two
# folders of real videos, 80 mixed. Quantiles are those of the group where they are highest, cosines (_LOOKS) included.
FRAME_FEATURES = Unrelated(
    mean={"reversal": (0.506, 0.253), "order": (0.089, 4.431), "posterior": (0.318, 0.349)},
    spread={"reversal": (0.195, 2.466), "order": (0.643, 3.766), "posterior": (0.219, 0.071)},
    quantiles=np.array([-2.92, 0.99, 2.45, 3.04, 3.76, 4.41, 4.81, 5.39]),
)
# By benchmarks/trained_significance.py --measure train --fit, over 600 unrelated pairs of four encoders.
TRAINED = Unrelated(
    mean={"reversal": (0.467, 0.0), "order": (0.560, 0.0), "posterior": (0.323, 0.0)},
    spread={"reversal": (0.654, 0.0), "order": (1.416, 0.0), "posterior": (0.224, 0.0)},
    quantiles=np.array([-3.03, 1.41, 2.44, 3.10, 3.66, 4.68, 5.15, 5.32]),
)


@dataclass(frozen=True)
class Measurements:
    """What tells a hit from chance.

    Parameters
    ----------
    reversal : float
        Log of the hit's score over the best score when one of the videos runs backwards.
    order : float
        Standard deviations of the score above the best scores when blocks of one of the videos are shuffled; mean over
        three block lengths.
    posterior : float
        Mean posterior probability near the pairs, from :func:`lactoolkit.alignment.confidence.posterior_near`.
    cosine : float
        Mean cosine between the embeddings of the matched frames.
    alikeness : float
        Mean cosine of every frame with the frame of the other video that is most like it, aligned or not.
    e_value : float
        Expected number of hits that score as high when blocks are shuffled.
    """

    reversal: float
    order: float
    posterior: float
    cosine: float
    alikeness: float
    e_value: float


class ChanceModel:
    """What a pair of videos would score without a common process, estimated from the pair itself.

    Blocks of one video of a quarter, half and one second are put in random order (with all of their content and
    whatever is smooth within them), and the best local path is sought again. Largest scores follow an extreme-value
    distribution (Gumbel), fitted by its moments; the expected number of hits of score s is ``exp(-(s - mu) / beta)``.

    Parameters
    ----------
    similarity : ndarray, shape (N, M), float32
        Calibrated similarity, finite.
    alikeness : float
        See :class:`Measurements`.
    settings : AlignmentSettings
        The penalties.
    rate : float
        Frames per second.

    References
    ----------
    Karlin and Altschul (1990), PNAS 87:2264; Pearson (1998), J. Mol. Biol. 276:71, for the fit to shuffled sequences.
    """

    def __init__(self, similarity: np.ndarray, alikeness: float, settings: AlignmentSettings, rate: float) -> None:
        self.alikeness = alikeness
        gaps = settings.gap_open, settings.gap_extend
        self._reversed = float(shuffled_scores(similarity, np.arange(similarity.shape[1])[None, ::-1], *gaps)[0])
        self._null: list[tuple[float, float]] = []
        transposed = np.ascontiguousarray(similarity.T)
        for seconds in _BLOCKS:
            block = max(2, round(seconds * rate))
            scores = np.concatenate(
                [
                    shuffled_scores(table, block_orders(table.shape[1], block), *gaps)
                    for table in (similarity, transposed)
                ]
            ).astype(np.float64)
            self._null.append((float(scores.mean()), max(float(scores.std()), 1e-6)))

    def measure(self, score: float, mean_posterior: float, mean_cosine: float, searched: float = 1.0) -> Measurements:
        """Compare a hit with the model.

        Parameters
        ----------
        score, mean_posterior, mean_cosine : float
            Of the hit.
        searched : float
            How many times as large as the similarity given was the table in which the hit is the best: the largest
            scores by chance grow with its logarithm.
        """
        if score <= 0 or self._reversed <= 0:
            return Measurements(-np.inf, -np.inf, mean_posterior, mean_cosine, self.alikeness, np.inf)
        # A Gumbel distribution has the mean mu + Euler's constant * beta and the standard deviation pi beta / sqrt(6).
        growth = np.log(searched) * np.sqrt(6) / np.pi
        mean, spread = self._null[len(self._null) // 2]
        mean += growth * spread
        beta = spread * np.sqrt(6) / np.pi
        return Measurements(
            reversal=float(np.log(score / (self._reversed + growth * spread))),
            order=float(np.mean([(score - mean) / spread for mean, spread in self._null]) - growth),
            posterior=mean_posterior,
            cosine=mean_cosine,
            alikeness=self.alikeness,
            e_value=float(np.exp(min(-((score - mean) / beta + _EULER), 700.0))),
        )


def block_orders(length: int, block: int) -> np.ndarray:
    """Orders of ``length`` frames in which blocks are shuffled that begin at a random place, shape (draws, length)."""
    # The same orders whichever of the videos comes first, so that swapping them changes nothing.
    rng = np.random.default_rng([_SEED, length, block])
    orders = []
    for _ in range(_DRAWS):
        cuts = np.arange(int(rng.integers(1, block + 1)), length, block)
        parts = np.split(np.arange(length), cuts)
        orders.append(np.concatenate([parts[k] for k in rng.permutation(len(parts))]))
    return np.stack(orders)


def evidence_index(found: Measurements, *, looks: bool = True, trained: bool = False) -> float:
    """One number that grows with the evidence for a common process.

    Scores and posteriors are taken in standard deviations above those of unrelated videos that look as much alike:
    two videos of one scene, or in which the same arm moves, match better by chance than two of different worlds. Looks
    count where they go beyond what different tasks of one robot have in common.

    Parameters
    ----------
    found : Measurements
    looks : bool
        Whether cosines have the scale of the encoder that the figures were measured with. Otherwise they count for
        nothing, and everything else is judged as if the videos were very much alike.
    trained : bool
        Whether the encoder is a trained one: its cosines count for nothing, and it has figures of its own.
    """
    if not np.isfinite(found.reversal):
        return -np.inf
    looks = looks and not trained
    alike = float(np.clip(found.alikeness, *_ALIKENESS_RANGE)) if looks else _ALIKENESS_RANGE[1]
    index = max((found.cosine - _LOOKS[0]) / _LOOKS[1], 0.0) if looks else 0.0
    usual = TRAINED if trained else FRAME_FEATURES
    for name, (intercept, slope) in usual.mean.items():
        base, growth = usual.spread[name]
        index += (getattr(found, name) - intercept - slope * alike) / (base + growth * alike)
    return float(index)


def chance_probability(index: float, *, trained: bool = False) -> float:
    """Probability that two videos of different processes give this much evidence.

    Parameters
    ----------
    index : float
        From :func:`evidence_index`.
    trained : bool
        As there.

    Returns
    -------
    float
        Between 0.001 and 1: the measurements behind it do not support smaller claims.
    """
    logs, quantiles = np.log(_TAIL), (TRAINED if trained else FRAME_FEATURES).quantiles
    if index <= quantiles[0]:
        return 1.0
    if index < quantiles[-1]:
        return float(np.exp(np.interp(index, quantiles, logs)))
    # The slope over the last four entries: that of the last two alone is mostly noise.
    slope = (logs[-1] - logs[-4]) / (quantiles[-1] - quantiles[-4])
    return float(max(np.exp(logs[-1] + slope * (index - quantiles[-1])), _SMALLEST))
