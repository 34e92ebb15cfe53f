"""Learnt gap penalties of the local alignment: two numbers, a grid over relative time, or by context."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lactoolkit.errors import ParameterError

PARAMETERISATIONS = ("scalar", "position", "context")


def softplus_inverse(value: float) -> float:
    """The number whose softplus is ``value``, from above 0."""
    # Written so that large values do not overflow.
    return value + math.log(-math.expm1(-value))


class ScalarGaps(nn.Module):
    """One penalty to open and one to extend a gap."""

    def __init__(self, gap_open: float, gap_extend: float) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor([softplus_inverse(gap_open), softplus_inverse(gap_extend)]))

    def forward(self, u: Tensor, v: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Penalties (1, 1, 1), to open and to extend, for pairs (P, N, D) and (P, M, D) of lengths (P, 2)."""
        gap_open, gap_extend = nn.functional.softplus(self.raw).to(u.dtype)
        return gap_open.view(1, 1, 1), gap_extend.view(1, 1, 1)


class PositionGaps(nn.Module):
    """Penalties on a grid over the relative times of both videos, interpolated to any lengths.

    The paper learns a table of one penalty per cell, tied to one clip length; between the knots of a coarse grid the
    penalties here are bilinear, so that a grid serves every length.
    """

    def __init__(self, gap_open: float, gap_extend: float, knots: int = 8) -> None:
        super().__init__()
        start = torch.tensor([softplus_inverse(gap_open), softplus_inverse(gap_extend)])
        self.raw = nn.Parameter(start.view(2, 1, 1).repeat(1, knots, knots))

    def forward(self, u: Tensor, v: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Penalties (P, N, M) to open and to extend."""
        knots = self.raw.shape[1]
        rows = _interpolation(lengths[:, 0], u.shape[1], knots, u.dtype)
        columns = _interpolation(lengths[:, 1], v.shape[1], knots, u.dtype)
        tables = nn.functional.softplus(torch.einsum("pnk,gkl,pml->gpnm", rows, self.raw.to(u.dtype), columns))
        return tables[0], tables[1]


class ContextGaps(nn.Module):
    """Penalties predicted from the embeddings: that of a cell is the softplus of one number from each of its frames."""

    def __init__(self, gap_open: float, gap_extend: float, embedding_size: int, hidden: int = 32) -> None:
        super().__init__()
        last = nn.Linear(hidden, 2)
        self.head = nn.Sequential(nn.Linear(embedding_size, hidden), nn.ReLU(), last)
        self.raw = nn.Parameter(torch.tensor([softplus_inverse(gap_open), softplus_inverse(gap_extend)]))
        # The penalties start where they are told to, for every frame.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, u: Tensor, v: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Penalties (P, N, M) to open and to extend."""
        size = self.head[0].in_features
        if u.shape[2] != size:
            raise ParameterError(
                f"embeddings have {u.shape[2]} dimensions, the gap penalties by context {size}; set embedding_size"
            )
        dtype = self.raw.dtype
        by_row, by_column = self.head(u.to(dtype)), self.head(v.to(dtype))
        tables = nn.functional.softplus(by_row.unsqueeze(2) + by_column.unsqueeze(1) + self.raw).to(u.dtype)
        return tables[..., 0].contiguous(), tables[..., 1].contiguous()


def make_gaps(parameterisation: str, gap_open: float, gap_extend: float, embedding_size: int) -> nn.Module:
    """Gap penalties of one of the :data:`PARAMETERISATIONS`, starting at the two values, above 0, everywhere."""
    if parameterisation == "context":
        return ContextGaps(gap_open, gap_extend, embedding_size)
    kinds = {"scalar": ScalarGaps, "position": PositionGaps}
    return kinds[parameterisation](gap_open, gap_extend)


def _interpolation(lengths: Tensor, size: int, knots: int, dtype: torch.dtype) -> Tensor:
    """Weight of each knot at each frame, (P, size, knots); first and last frame are at the first and last knot."""
    frames = torch.arange(size, device=lengths.device, dtype=dtype)
    relative = frames / (lengths.to(dtype).unsqueeze(1) - 1).clamp(min=1)
    at = relative.clamp(max=1.0) * (knots - 1)
    return (1 - (at.unsqueeze(2) - torch.arange(knots, device=lengths.device, dtype=dtype)).abs()).clamp(min=0)
