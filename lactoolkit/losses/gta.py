"""GTA: global temporal alignment and cycle-consistency (Hadji et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lactoolkit.errors import ParameterError
from lactoolkit.losses.frame_loss import FrameLoss, Views, frame_mask, masked_mean
from lactoolkit.losses.video_pairs import different_videos
from lactoolkit.ops.dynamic_time_warping import accumulated_costs, at_ends


@dataclass(frozen=True)
class GTAConfig:
    """Settings of :class:`GTALoss`.

    Parameters
    ----------
    gamma : float
        Smoothness of the minimum over paths.
    softmax_temperature : float
        Divides the cosines in the probabilities behind the costs, beta in the paper.
    alignment_weight : float
        Of the alignment cost in each direction; the cycle term has the weight 1.
    most_pairs : int
        Pairs of different videos per batch; more than that are sampled.
    """

    gamma: float = 0.1
    softmax_temperature: float = 0.1
    alignment_weight: float = 0.1
    most_pairs: int = 64

    def __post_init__(self) -> None:
        for name in ("gamma", "softmax_temperature", "most_pairs"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not self.alignment_weight >= 0:
            raise ParameterError(f"alignment_weight is {self.alignment_weight}; it must be at least 0")


class GTALoss(FrameLoss):
    r"""Smooth DTW on probabilistic costs, and consistency of the alignment there with the alignment back.

    The cost of a pair is :math:`d_{ij} = -\log (\exp(x_i^T y_j / \beta) / \sum_k \exp(x_k^T y_j / \beta))`. Costs
    accumulate as :math:`r_{ij} = d_{ij} + \mathrm{smoothMin}(r_{i-1,j-1}, r_{i,j-1}, r_{i-1,j})`, where
    :math:`\mathrm{smoothMin}(a) = \sum_k a_k e^{-a_k / \gamma} / \sum_k e^{-a_k / \gamma}`.

    - ``alignment`` is the cost of aligning all frames, r at the end, summed over both directions.
    - ``cycle`` reads r as an alignment: frame j of one video lies at frame i of the other with the probability
      :math:`\exp(-r_{ij}) / \sum_k \exp(-r_{kj})`. Going there and back leads to the frame where it began with some
      probability; the loss is the mean of minus its logarithm.

    A batch without a pair of different videos of one process gives 0, a batch of one video is an error.

    Deviation: the published code takes a second softmax, of the cycle's probabilities, before the logarithm, and
    smooths the labels; here it is the logarithm of the probability itself.

    Parameters
    ----------
    config : GTAConfig, optional
        Settings.

    References
    ----------
    Hadji, Derpanis, Jepson 2021, Representation Learning via Global Temporal Alignment and Cycle-Consistency.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit.losses.gta import GTALoss
    >>> u, v = torch.nn.functional.normalize(torch.randn(2, 3, 20, 8), dim=-1)
    >>> positions, real = torch.arange(20.0).expand(3, 20), torch.ones(3, 20, dtype=torch.bool)
    >>> terms = GTALoss()(u, v, positions, positions, real, real)
    >>> list(terms.parts)
    ['cycle', 'alignment']
    """

    def __init__(self, config: GTAConfig | None = None) -> None:
        super().__init__()
        self.config = config or GTAConfig()
        self.weights = {"cycle": 1.0, "alignment": self.config.alignment_weight}

    def terms(self, views: Views, classes: Tensor | None, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The parts ``cycle`` and ``alignment``."""
        first, second = different_videos(views, classes, self.config.most_pairs, generator)
        products = views.u[first] @ views.v[second].mT / self.config.softmax_temperature
        lengths = torch.stack([views.lengths_u[first], views.lengths_v[second]], 1)
        log_back, end = self._alignment(products, lengths)
        log_there, end_reversed = self._alignment(products.mT, lengths.flip(1))
        # From frame k of the first video to j of the second and back to k: summed over j.
        log_cycle = torch.logsumexp(log_back + log_there.mT, 2)
        usable = lengths.amin(1) > 0
        counted = frame_mask(lengths[:, 0], products.shape[1]) & usable.unsqueeze(1)
        return {
            "cycle": masked_mean(-log_cycle, counted),
            "alignment": masked_mean(end + end_reversed, usable),
        }

    def _alignment(self, products: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log of the probability of each row, in each column (P, N, M); the cost of aligning all (P,)."""
        rows = frame_mask(lengths[:, 0], products.shape[1]).unsqueeze(2)
        columns = frame_mask(lengths[:, 1], products.shape[2]).unsqueeze(1)
        costs = -torch.log_softmax(products.masked_fill(~rows, -1e30), 1)
        sums = accumulated_costs(costs.masked_fill(~(rows & columns), 0.0), self._smooth_minimum)
        log_alignment = torch.log_softmax((-sums).masked_fill(~rows, -1e30), 1)
        return log_alignment.masked_fill(~columns, -1e30), at_ends(sums, lengths)

    def _smooth_minimum(self, sources: Tensor) -> Tensor:
        return (sources * torch.softmax(-sources / self.config.gamma, 0)).sum(0)
