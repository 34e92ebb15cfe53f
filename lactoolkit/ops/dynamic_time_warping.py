"""Smooth dynamic time warping of a batch of cost tables: every frame of both sequences is aligned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lactoolkit.errors import ParameterError
from lactoolkit.kernels import soft_dtw_cpu
from lactoolkit.ops.antidiagonals import AntiDiagonals
from lactoolkit.ops.validation import Lengths, as_lengths, check_temperature, values_are_checked

# Cost of what is no cell: so large that its weight is exactly 0, and finite, since inf - inf would make NaN gradients.
_FORBIDDEN = 1e10


def soft_dtw(cost: Tensor, gamma: float = 1.0, *, lengths: Lengths | None = None) -> Tensor:
    r"""Soft-DTW: the soft minimum of the costs of all warping paths.

    :math:`-\gamma \log \sum_\pi \exp(-\mathrm{cost}(\pi) / \gamma)` over all paths from the first pair of frames to the
    last by steps of one frame in either or both sequences. Its gradient, exact, is the probability that a path visits a
    cell.

    Parameters
    ----------
    cost : Tensor, shape (N, M) or (B, N, M)
        Cost of every pair of frames, finite. float16 and bfloat16 are computed in float32.
    gamma : float
        Positive; the lower, the closer to the cheapest path.
    lengths : integer Tensor or nested list, shape (B, 2), optional
        Rows and columns of each pair of a padded batch, from 1 up. What lies outside does not count.

    Returns
    -------
    Tensor, shape (B,), or 0-d for an unbatched cost
        In the dtype of ``cost``.

    Raises
    ------
    ParameterError
        An argument has a wrong type, shape or value.

    References
    ----------
    Cuturi & Blondel 2017, Soft-DTW: a Differentiable Loss Function for Time-Series.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit.ops.dynamic_time_warping import soft_dtw
    >>> print(f"{soft_dtw(torch.tensor([[0.0, 1.0], [1.0, 2.0]]), gamma=1e-3).item():.3f}")
    2.000
    """
    table, checked = _prepared(cost, lengths)
    gamma = check_temperature(gamma)
    if table.device.type == "cpu":
        values: Tensor = _SoftDTW.apply(table, checked, gamma)
    else:
        sums = accumulated_costs(table, lambda sources: -gamma * torch.logsumexp(-sources / gamma, 0))
        values = at_ends(sums, checked)
    values = values.to(cost.dtype)
    return values if cost.dim() == 3 else values.squeeze(0)


def accumulated_costs(cost: Tensor, minimum: Callable[[Tensor], Tensor]) -> Tensor:
    """Accumulated costs R of a batch of tables (B, N, M), by autograd-friendly torch operations on any device.

    ``R[i, j] = cost[i, j] + minimum(R[i - 1, j - 1], R[i, j - 1], R[i - 1, j])``, and ``R[0, 0] = cost[0, 0]``. What is
    no cell counts as 1e10.

    Parameters
    ----------
    cost : Tensor, shape (B, N, M)
        Finite costs, far below 1e10.
    minimum : callable
        Takes a stack (3, ...) of the three sources to their smooth minimum (...).

    Returns
    -------
    Tensor, shape (B, N, M)
    """
    layout = AntiDiagonals(cost)
    batch = len(cost)
    costs = layout.skew(cost, 0.0)
    inside = layout.skew(torch.ones_like(cost), 0.0) > 0
    empty = cost.new_full((batch, 1), _FORBIDDEN)
    two_back = one_back = cost.new_full((batch, layout.lanes + 1), _FORBIDDEN)
    diagonals = []
    for d in range(len(costs)):
        if d == 0:
            here = costs[0]
        else:
            sources = (two_back[:, :-1], one_back[:, layout.left], one_back[:, layout.above])
            here = costs[d] + minimum(torch.stack(sources))
        here = torch.where(inside[d], here, _FORBIDDEN)
        diagonals.append(here)
        two_back, one_back = one_back, torch.cat([empty, here], 1)
    # One empty lane behind, as the layout reads them back.
    return layout.unskew(torch.stack(diagonals))


def at_ends(sums: Tensor, lengths: Tensor) -> Tensor:
    """Entries (B,) of tables (B, N, M) at the last row and column of each pair's lengths (B, 2)."""
    flat = (lengths[:, 0] - 1) * sums.shape[2] + lengths[:, 1] - 1
    return sums.flatten(1).gather(1, flat.clamp(min=0).unsqueeze(1)).squeeze(1)


def _prepared(cost: Tensor, lengths: Lengths | None) -> tuple[Tensor, Tensor]:
    if not isinstance(cost, Tensor) or not cost.is_floating_point() or cost.dim() not in (2, 3):
        raise ParameterError("cost must be a floating-point torch tensor of shape (N, M) or (B, N, M)")
    table = cost if cost.dim() == 3 else cost.unsqueeze(0)
    if table.dtype not in (torch.float32, torch.float64):
        table = table.to(torch.float32)
    if lengths is None:
        checked = torch.tensor(table.shape[1:], device=table.device).expand(len(table), 2)
    else:
        checked = as_lengths(lengths, cost)
    if values_are_checked(table.device):
        _check_lengths(checked, *table.shape[1:])
    return table, checked


def _check_lengths(lengths: Tensor, rows: int, columns: int) -> None:
    for pair, (n, m) in enumerate(lengths.tolist()):
        if not (1 <= n <= rows and 1 <= m <= columns):
            raise ParameterError(
                f"lengths of pair {pair} are ({n}, {m}); they must lie within 1..{rows} and 1..{columns}: a warping "
                "path visits every row and every column"
            )


class _SoftDTW(torch.autograd.Function):
    """Soft-DTW of costs (B, N, M) by the kernel, with the gradient that it computes along with the values."""

    @staticmethod
    def forward(ctx: Any, cost: Tensor, lengths: Tensor, gamma: float) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        arrays = cost.detach().contiguous().numpy(), lengths.contiguous().numpy()
        values, gradient = soft_dtw_cpu.soft_dtw(*arrays, gamma, gradient=wanted)
        if wanted:
            assert gradient is not None
            ctx.save_for_backward(torch.from_numpy(gradient))
        return torch.from_numpy(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return upstream.view(-1, 1, 1) * gradient, None, None
