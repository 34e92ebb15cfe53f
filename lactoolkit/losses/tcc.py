"""TCC: temporal cycle-consistency (Dwibedi et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lactoolkit.errors import ParameterError
from lactoolkit.losses.frame_loss import FrameLoss, Views, frame_mask, masked_mean, squared_distances
from lactoolkit.losses.video_pairs import different_videos

FORMS = ("regression", "classification")
# Frames squared: where all of the weight is on one frame, its variance is 0.
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class TCCConfig:
    """Settings of :class:`TCCLoss`.

    Parameters
    ----------
    form : {"regression", "classification"}
        Cycle-back regression with variance, or cycle-back classification.
    softmax_temperature : float
        Divides the squared distances.
    variance_weight : float
        Of the logarithm of the standard deviation, lambda in the paper.
    most_pairs : int
        Pairs of different videos per batch; more than that are sampled.
    """

    form: str = "regression"
    softmax_temperature: float = 0.1
    variance_weight: float = 0.001
    most_pairs: int = 64

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ParameterError(f"form is {self.form!r}; choose one of {', '.join(FORMS)}")
        for name in ("softmax_temperature", "most_pairs"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not self.variance_weight >= 0:
            raise ParameterError(f"variance_weight is {self.variance_weight}; it must be at least 0")


class TCCLoss(FrameLoss):
    r"""Cycle from a frame of one video to its soft nearest neighbour in another and back again.

    Frame :math:`u_i` of the first video has the soft nearest neighbour :math:`\tilde v = \sum_j \alpha_j v_j` with
    :math:`\alpha_j \propto \exp(-\|u_i - v_j\|^2 / \tau)`, from where it comes back with weights
    :math:`\beta_k \propto \exp(-\|\tilde v - u_k\|^2 / \tau)` (equations 1 and 2).

    - ``classification``: :math:`-\log \beta_i` (equation 3, cross-entropy with the frame itself).
    - ``regression``: :math:`|t_i - \mu|^2 / \sigma^2 + \lambda \log \sigma`, with the mean and the variance of the
      positions :math:`t_k` under :math:`\beta` (equation 4).

    Both videos of a pair take their turn as the first. A batch without a pair of different videos of one process gives
    0, a batch of one video is an error.

    Deviations: positions are true frame numbers instead of numbers of drawn frames; the temperature divides the
    distances of unit embeddings without a division by their dimension; the variance is kept above 1e-6.

    Parameters
    ----------
    config : TCCConfig, optional
        Settings.

    References
    ----------
    Dwibedi, Aytar, Tompson, Sermanet, Zisserman 2019, Temporal Cycle-Consistency Learning.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit.losses.tcc import TCCLoss
    >>> u, v = torch.nn.functional.normalize(torch.randn(2, 3, 20, 8), dim=-1)
    >>> positions, real = torch.arange(20.0).expand(3, 20), torch.ones(3, 20, dtype=torch.bool)
    >>> terms = TCCLoss()(u, v, positions, positions, real, real)
    >>> list(terms.parts)
    ['cycle']
    """

    weights = {"cycle": 1.0}  # noqa: RUF012

    def __init__(self, config: TCCConfig | None = None) -> None:
        super().__init__()
        self.config = config or TCCConfig()

    def terms(self, views: Views, classes: Tensor | None, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The part ``cycle``."""
        first, second = different_videos(views, classes, self.config.most_pairs, generator)
        u, v = views.u[first], views.v[second]
        lengths = views.lengths_u[first], views.lengths_v[second]
        there, counted_there = self._cycle(u, v, views.positions_u[first], *lengths)
        back, counted_back = self._cycle(v, u, views.positions_v[second], *lengths[::-1])
        return {"cycle": masked_mean(torch.cat([there, back], 1), torch.cat([counted_there, counted_back], 1))}

    def _cycle(
        self, u: Tensor, v: Tensor, positions: Tensor, lengths_u: Tensor, lengths_v: Tensor
    ) -> tuple[Tensor, Tensor]:
        config = self.config
        mask_u, mask_v = frame_mask(lengths_u, u.shape[1]), frame_mask(lengths_v, v.shape[1])
        there = -squared_distances(u, v) / config.softmax_temperature
        neighbours = torch.softmax(there.masked_fill(~mask_v.unsqueeze(1), -1e30), 2) @ v
        back = -squared_distances(neighbours, u) / config.softmax_temperature
        back = back.masked_fill(~mask_u.unsqueeze(1), -1e30)
        counted = mask_u & mask_v.any(1, keepdim=True)
        if config.form == "classification":
            return -torch.log_softmax(back, 2).diagonal(dim1=1, dim2=2), counted
        weights = torch.softmax(back, 2)
        mean = (weights * positions.unsqueeze(1)).sum(2)
        variance = (weights * (positions.unsqueeze(1) - mean.unsqueeze(2)) ** 2).sum(2).clamp(min=_LEAST_VARIANCE)
        error = (positions - mean) ** 2
        return error / variance + config.variance_weight * 0.5 * variance.log(), counted
