"""TCN: time-contrastive triplets (Sermanet et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lactoolkit.errors import ParameterError
from lactoolkit.losses.frame_loss import FrameLoss, Views, masked_mean, squared_distances


@dataclass(frozen=True)
class TCNConfig:
    """Settings of :class:`TCNLoss`.

    Parameters
    ----------
    margin : float
        By how much the squared distance to a negative must exceed that to the positive.
    positive_window : float
        Frames between an anchor and its positive, at most.
    negative_window : float
        Frames between an anchor and its negatives, more than this; at least ``positive_window``.
    """

    margin: float = 0.2
    positive_window: float = 3.0
    negative_window: float = 6.0

    def __post_init__(self) -> None:
        for name in ("margin", "positive_window"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not self.negative_window >= self.positive_window:
            raise ParameterError(
                f"negative_window is {self.negative_window}; it must be at least "
                f"positive_window, {self.positive_window}"
            )


class TCNLoss(FrameLoss):
    r"""Triplets of co-occurring frames of two views and frames of another time.

    Equation 1 of the paper: for an anchor a, a positive p and a negative n, :math:`\|f_a - f_p\|^2 + \alpha <
    \|f_a - f_n\|^2`, as the hinge :math:`\max(0, \|f_a - f_p\|^2 - \|f_a - f_n\|^2 + \alpha)`. As in its multi-view
    form, the positive is the other view's frame of the same time, here the nearest one within ``positive_window``, and
    negatives are frames of the same video farther than ``negative_window`` (twice the positive window, as in its
    single-view form). Both views give anchors.

    Deviations: the two views are augmentations of one video instead of two cameras; the mean is over all triplets
    instead of sampled ones.

    Parameters
    ----------
    config : TCNConfig, optional
        Settings.

    References
    ----------
    Sermanet, Lynch, Chebotar, Hsu, Jang, Schaal, Levine 2018, Time-Contrastive Networks: Self-Supervised Learning from
    Video.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit.losses.tcn import TCNLoss
    >>> u, v = torch.nn.functional.normalize(torch.randn(2, 3, 20, 8), dim=-1)
    >>> positions, real = torch.arange(20.0).expand(3, 20), torch.ones(3, 20, dtype=torch.bool)
    >>> terms = TCNLoss()(u, v, positions, positions, real, real)
    >>> list(terms.parts)
    ['triplet']
    """

    weights = {"triplet": 1.0}  # noqa: RUF012

    def __init__(self, config: TCNConfig | None = None) -> None:
        super().__init__()
        self.config = config or TCNConfig()

    def terms(self, views: Views, classes: Tensor | None, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The part ``triplet``."""
        config = self.config
        apart = (views.positions_u.unsqueeze(2) - views.positions_v.unsqueeze(1)).abs()
        table = views.table
        distances = squared_distances(views.u, views.v)
        hinges, counted = [], []
        # Rows are anchors: first the frames of u, then those of v.
        for gaps, real, squared in ((apart, table, distances), (apart.mT, table.mT, distances.mT)):
            nearest = gaps.masked_fill(~real, float("inf")).min(2)
            positive = squared.gather(2, nearest.indices.unsqueeze(2))
            hinges.append((positive - squared + config.margin).clamp(min=0).flatten(1))
            has_positive = (nearest.values <= config.positive_window).unsqueeze(2)
            counted.append((has_positive & real & (gaps > config.negative_window)).flatten(1))
        return {"triplet": masked_mean(torch.cat(hinges, 1), torch.cat(counted, 1))}
