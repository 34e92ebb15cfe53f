"""What all losses share: the call, the checked and packed views, the result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lactoolkit.errors import ParameterError


class LossTerms(NamedTuple):
    """A loss and what it is made of."""

    total: Tensor  # 0-d, to call backward on
    parts: dict[str, Tensor]  # 0-d each, unweighted


class Views(NamedTuple):
    """Two views of B videos, real frames first: behind the lengths, where a mask left frames out, stand zeros."""

    u: Tensor  # (B, T, D) float32 or float64
    v: Tensor  # (B, S, D)
    positions_u: Tensor  # (B, T), in frames of the video
    positions_v: Tensor  # (B, S)
    lengths_u: Tensor  # (B,) int64
    lengths_v: Tensor  # (B,) int64

    @property
    def mask_u(self) -> Tensor:
        """Real frames of the first view, (B, T) bool."""
        return frame_mask(self.lengths_u, self.u.shape[1])

    @property
    def mask_v(self) -> Tensor:
        """Real frames of the second view, (B, S) bool."""
        return frame_mask(self.lengths_v, self.v.shape[1])

    @property
    def table(self) -> Tensor:
        """Pairs of real frames, (B, T, S) bool."""
        return self.mask_u.unsqueeze(2) & self.mask_v.unsqueeze(1)


def frame_mask(lengths: Tensor, size: int) -> Tensor:
    """The first ``lengths[b]`` of ``size`` frames, (B, size) bool."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


class FrameLoss(nn.Module, ABC):
    """Base of the losses on two views of each video of a batch.

    Subclasses compute their parts from packed :class:`Views` in :meth:`terms` and name the parts' weights in
    :attr:`weights`; everything is computed in float32 or wider, whatever the autocast around it.
    """

    weights: dict[str, float]

    def forward(
        self,
        u: Tensor,
        v: Tensor,
        positions_u: Tensor,
        positions_v: Tensor,
        mask_u: Tensor,
        mask_v: Tensor,
        classes: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> LossTerms:
        """Loss of a batch.

        Parameters
        ----------
        u, v : Tensor, shape (B, T, D) and (B, S, D)
            Unit embeddings of the frames of two views of B videos, in time order.
        positions_u, positions_v : Tensor, shape (B, T) and (B, S)
            Where in its video each frame lies, in frames at the analysed rate.
        mask_u, mask_v : Tensor, shape (B, T) and (B, S), bool
            True where a frame is real. Frames left out change nothing, wherever they stand.
        classes : integer Tensor, shape (B,), optional
            Which process each video shows; without it, all show the same.
        generator : torch.Generator, optional
            Source of what the loss draws at random; on the device of ``u``. torch's own by default.

        Returns
        -------
        LossTerms
            A part is left out of the total, at the value 0, while no frame or pair of videos contributes to it.

        Raises
        ------
        ParameterError
            A shape or dtype is wrong, or the batch is too small for this loss.
        """
        views = _packed(u, v, positions_u, positions_v, mask_u, mask_v)
        if classes is not None and (classes.shape != u.shape[:1] or classes.is_floating_point()):
            raise ParameterError(
                f"classes are {classes.dtype} of shape {tuple(classes.shape)}; give one integer for each of the "
                f"{len(u)} videos"
            )
        with torch.autocast(u.device.type, enabled=False):
            parts = self.terms(views, classes, generator)
            total = torch.stack([self.weights[name] * part for name, part in parts.items()]).sum()
        return LossTerms(total, {name: part.detach() for name, part in parts.items()})

    @abstractmethod
    def terms(self, views: Views, classes: Tensor | None, generator: torch.Generator | None) -> dict[str, Tensor]:
        """Parts of the loss, 0-d each, that :attr:`weights` has weights for."""

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Parameter groups for an optimiser, with learning rates of their own where the loss wants them.

        Parameters
        ----------
        learning_rate : float
            That of the encoder.

        Returns
        -------
        list of dict
            With ``params``, ``lr`` and ``weight_decay``; empty for a loss without parameters.
        """
        parameters = list(self.parameters())
        return [{"params": parameters, "lr": learning_rate, "weight_decay": 0.0}] if parameters else []

    def readings(self) -> dict[str, Tensor]:
        """What the loss has learnt so far, 0-d each, by name, for logs; empty for a loss without parameters."""
        return {}


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values that a mask of the same shape picks, 0-d; 0 when it picks none."""
    # Multiplying would let infinite or NaN values of unwanted places through.
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def squared_distances(u: Tensor, v: Tensor) -> Tensor:
    """Squared Euclidean distances of the rows of (B, N, D) and (B, M, D), as (B, N, M)."""
    products = u @ v.mT
    return ((u * u).sum(2).unsqueeze(2) + (v * v).sum(2).unsqueeze(1) - 2 * products).clamp(min=0)


def _packed(u: Tensor, v: Tensor, positions_u: Tensor, positions_v: Tensor, mask_u: Tensor, mask_v: Tensor) -> Views:
    for name, view in (("u", u), ("v", v)):
        if not view.is_floating_point() or view.dim() != 3 or 0 in view.shape:
            raise ParameterError(
                f"{name} is {view.dtype} of shape {tuple(view.shape)}; give floating-point embeddings (B, T, D)"
            )
    if len(u) != len(v) or u.shape[2] != v.shape[2]:
        raise ParameterError(
            f"u has shape {tuple(u.shape)} and v {tuple(v.shape)}; they are views of the same videos, in the same space"
        )
    for name, table, view in (
        ("positions_u", positions_u, u),
        ("positions_v", positions_v, v),
        ("mask_u", mask_u, u),
        ("mask_v", mask_v, v),
    ):
        if table.shape != view.shape[:2]:
            raise ParameterError(
                f"{name} has shape {tuple(table.shape)}; its view has {view.shape[1]} frames of {len(view)} videos, "
                f"so give {tuple(view.shape[:2])}"
            )
    for name, mask in (("mask_u", mask_u), ("mask_v", mask_v)):
        if mask.dtype != torch.bool:
            raise ParameterError(f"{name} has dtype {mask.dtype}; give bool, True where a frame is real")
    packed_u, packed_positions_u = _real_first(u, positions_u, mask_u)
    packed_v, packed_positions_v = _real_first(v, positions_v, mask_v)
    return Views(packed_u, packed_v, packed_positions_u, packed_positions_v, mask_u.sum(1), mask_v.sum(1))


def _real_first(view: Tensor, positions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.float64 if view.dtype == torch.float64 else torch.float32
    real, order = mask.to(torch.uint8).sort(dim=1, descending=True, stable=True)
    padding = real == 0
    moved = view.to(dtype).gather(1, order.unsqueeze(2).expand_as(view))
    # Whatever stands in the padding, NaN included, must not reach a sum or a gradient.
    return (
        moved.masked_fill(padding.unsqueeze(2), 0.0),
        positions.to(dtype).gather(1, order).masked_fill(padding, 0.0),
    )
