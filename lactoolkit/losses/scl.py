"""SCL: sequence contrastive loss with Gaussian targets (Chen et al. 2022, CARL)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lactoolkit.errors import ParameterError
from lactoolkit.losses.frame_loss import FrameLoss, Views, masked_mean

# The logarithm of nothing; finite, for a row without any real frame must not turn into NaN.
FLOOR = -1e30


@dataclass(frozen=True)
class SCLConfig:
    """Settings of :class:`SCLLoss`.

    Parameters
    ----------
    variance : float
        Of the Gaussian target, in frames squared.
    contrastive_temperature : float
        Divides the cosines.
    reach : float
        A frame counts while the other view has a frame within this many standard deviations.
    """

    variance: float = 10.0
    contrastive_temperature: float = 0.1
    reach: float = 3.0

    def __post_init__(self) -> None:
        for name in ("variance", "contrastive_temperature", "reach"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be above 0")


class SCLLoss(FrameLoss):
    r"""Gaussian-weighted contrastive loss between two views of each video.

    For frame i of one view at position :math:`t_i`, the target over the frames j of the other view is
    :math:`w_{ij} \propto \exp(-(t_i - t_j)^2 / 2 \sigma^2)`, the prediction :math:`p_{ij} \propto
    \exp(\cos(u_i, v_j) / \tau)`; the loss is the mean of :math:`\mathrm{KL}(w_i \| p_i)` over the frames of both views
    (equations 3 and 4 of the paper, written as a divergence, whose minimum is 0, instead of a cross-entropy).

    Deviation: a frame with no frame of the other view within ``reach`` standard deviations does not count. Normalising
    would turn its target, however far away, into certainty about the least distant frame.

    Parameters
    ----------
    config : SCLConfig, optional
        Settings.

    References
    ----------
    Chen, Wei, Li, Zhou, Huang 2022, Frame-wise Action Representations for Long Videos via Sequence Contrastive
    Learning.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit.losses.scl import SCLLoss
    >>> u, v = torch.nn.functional.normalize(torch.randn(2, 3, 20, 8), dim=-1)
    >>> positions, real = torch.arange(20.0).expand(3, 20), torch.ones(3, 20, dtype=torch.bool)
    >>> terms = SCLLoss()(u, v, positions, positions, real, real)
    >>> list(terms.parts), terms.total.shape
    (['contrastive'], torch.Size([]))
    """

    weights = {"contrastive": 1.0}  # noqa: RUF012

    def __init__(self, config: SCLConfig | None = None) -> None:
        super().__init__()
        self.config = config or SCLConfig()

    def terms(self, views: Views, classes: Tensor | None, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The part ``contrastive``."""
        return {"contrastive": gaussian_contrast(views, self.config)}


def gaussian_contrast(views: Views, config: SCLConfig) -> Tensor:
    """Mean over the frames of both views of the divergence of the prediction from the Gaussian target, 0-d."""
    exponents = gaussian_exponents(views, config.variance)
    logits = (views.u @ views.v.mT / config.contrastive_temperature).masked_fill(~views.table, FLOOR)
    values, counted = [], []
    for dim in (2, 1):
        log_target = torch.log_softmax(exponents, dim)
        # Beside real frames the target is 0, and both are alike where a frame has no real frame opposite.
        values.append((log_target.exp() * (log_target - torch.log_softmax(logits, dim))).sum(dim))
        counted.append(within_reach(exponents, dim, config.reach))
    return masked_mean(torch.cat(values, 1), torch.cat(counted, 1))


def gaussian_exponents(views: Views, variance: float) -> Tensor:
    """Log of the Gaussian of the difference in position of every two real frames, (B, T, S); else :data:`FLOOR`."""
    differences = views.positions_u.unsqueeze(2) - views.positions_v.unsqueeze(1)
    return (differences**2 / (-2 * variance)).masked_fill(~views.table, FLOOR)


def within_reach(exponents: Tensor, dim: int, reach: float) -> Tensor:
    """Frames that have, along ``dim``, a frame of the other view within ``reach`` standard deviations, bool."""
    return (exponents >= -(reach**2) / 2).any(dim)
