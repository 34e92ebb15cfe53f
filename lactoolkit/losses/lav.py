"""LAV: learning by aligning videos in time (Haresh et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lactoolkit.errors import ParameterError
from lactoolkit.losses.frame_loss import FrameLoss, Views, masked_mean, squared_distances
from lactoolkit.losses.video_pairs import different_videos
from lactoolkit.ops.dynamic_time_warping import soft_dtw


@dataclass(frozen=True)
class LAVConfig:
    """Settings of :class:`LAVLoss`.

    Parameters
    ----------
    gamma : float
        Smoothness of soft-DTW.
    regularisation : float
        Weight of the contrastive inverse difference moment, alpha in the paper.
    window : float
        Frames of one video up to this many frames apart are drawn together, others pushed apart; sigma in the paper.
    margin : float
        Squared distance up to which they are pushed apart, lambda in the paper.
    most_pairs : int
        Pairs of different videos per batch; more than that are sampled.
    """

    gamma: float = 0.1
    regularisation: float = 0.5
    window: float = 10.0
    margin: float = 2.0
    most_pairs: int = 64

    def __post_init__(self) -> None:
        for name in ("gamma", "margin", "most_pairs"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in ("regularisation", "window"):
            if not getattr(self, name) >= 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be at least 0")


class LAVLoss(FrameLoss):
    r"""Soft-DTW of two videos, and a contrastive regularisation of each that keeps frames from collapsing.

    ``soft_dtw`` is the soft-DTW of the squared distances of all frames of two videos of a process, per frame (the mean
    of their numbers of frames). ``contrastive_idm``, the contrastive form of the inverse difference moment, is for the
    squared distances D of the frames of one video, with :math:`W_{ij} = 1 + (t_i - t_j)^2`,

    .. math:: \sum_{|t_i - t_j| > \sigma} W_{ij} \max(0, \lambda - D_{ij}) +
              \sum_{|t_i - t_j| \le \sigma} D_{ij} / W_{ij},

    per frame; both videos of a pair count, hence twice the mean over the views. A batch without a pair of different
    videos of one process leaves ``soft_dtw`` out (0), a batch of one video is an error.

    As in the authors' published code, distances are squared and the times in W are fractions of a video, which keeps W
    between 1 and 2. Deviation: the length of a video is taken to be the last position of its two views, plus one.

    Parameters
    ----------
    config : LAVConfig, optional
        Settings.

    References
    ----------
    Haresh, Kumar, Coskun, Syed, Konin, Zia, Tran 2021, Learning by Aligning Videos in Time; Cuturi & Blondel 2017,
    Soft-DTW.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit.losses.lav import LAVLoss
    >>> u, v = torch.nn.functional.normalize(torch.randn(2, 3, 20, 8), dim=-1)
    >>> positions, real = torch.arange(20.0).expand(3, 20), torch.ones(3, 20, dtype=torch.bool)
    >>> terms = LAVLoss()(u, v, positions, positions, real, real)
    >>> list(terms.parts)
    ['soft_dtw', 'contrastive_idm']
    """

    def __init__(self, config: LAVConfig | None = None) -> None:
        super().__init__()
        self.config = config or LAVConfig()
        self.weights = {"soft_dtw": 1.0, "contrastive_idm": self.config.regularisation}

    def terms(self, views: Views, classes: Tensor | None, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The parts ``soft_dtw`` and ``contrastive_idm``."""
        first, second = different_videos(views, classes, self.config.most_pairs, generator)
        lengths = torch.stack([views.lengths_u[first], views.lengths_v[second]], 1)
        cost = squared_distances(views.u[first], views.v[second])
        # A pair without frames has no path; it is aligned as one of a single frame, and left out of the mean.
        warped = soft_dtw(cost, self.config.gamma, lengths=lengths.clamp(min=1))
        per_frame = warped / lengths.to(cost.dtype).mean(1).clamp(min=1)
        length = torch.maximum(views.positions_u.amax(1), views.positions_v.amax(1)) + 1
        moments = [
            self._contrastive_idm(embeddings, positions, mask, length)
            for embeddings, positions, mask in (
                (views.u, views.positions_u, views.mask_u),
                (views.v, views.positions_v, views.mask_v),
            )
        ]
        filled = torch.cat([views.lengths_u, views.lengths_v]) > 0
        return {
            "soft_dtw": masked_mean(per_frame, lengths.amin(1) > 0),
            "contrastive_idm": 2 * masked_mean(torch.cat(moments), filled),
        }

    def _contrastive_idm(self, embeddings: Tensor, positions: Tensor, mask: Tensor, length: Tensor) -> Tensor:
        """Contrastive inverse difference moment (B,) per frame of one view of each video."""
        apart = (positions.unsqueeze(2) - positions.unsqueeze(1)).abs()
        weight = 1 + (apart / length.view(-1, 1, 1)) ** 2
        distances = squared_distances(embeddings, embeddings)
        pushed = weight * (self.config.margin - distances).clamp(min=0)
        terms = torch.where(apart > self.config.window, pushed, distances / weight)
        table = mask.unsqueeze(2) & mask.unsqueeze(1)
        return terms.masked_fill(~table, 0.0).sum((1, 2)) / mask.sum(1).clamp(min=1)
