"""Differentiable local alignment of two long embeddings whose table does not fit into memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lactoolkit.errors import BackendError, ParameterError
from lactoolkit.kernels.long_pairs_soft import SoftEmbeddingAlignment
from lactoolkit.kernels.path_decoding import check_penalty
from lactoolkit.kernels.tiling import check_embeddings, check_finite
from lactoolkit.ops.validation import check_temperature

Number = float | Tensor


class _SoftEmbeddingScore(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        v: Tensor,
        gap_open: Tensor,
        gap_extend: Tensor,
        scale: Tensor,
        offset: Tensor,
        temperature: float,
        allow_empty: bool,
        keep_edges: bool,
    ) -> Tensor:
        arrays = check_embeddings(u.detach().numpy(), v.detach().numpy())
        alignment = SoftEmbeddingAlignment(
            *arrays,
            check_penalty("gap_open", gap_open.item()),
            check_penalty("gap_extend", gap_extend.item()),
            temperature,
            scale=check_finite("scale", scale.item()),
            offset=check_finite("offset", offset.item()),
            allow_empty=allow_empty,
            keep_edges=keep_edges,
        )
        # Views of the embeddings inside must not be overwritten in place before the way back.
        ctx.save_for_backward(u, v, gap_open, gap_extend, scale, offset)
        ctx.alignment = alignment
        return u.new_tensor(alignment.score)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        found = ctx.alignment.gradients()
        values = (found.u, found.v, found.gap_open, found.gap_extend, found.scale, found.offset)
        factor = upstream.item()
        gradients = (
            torch.as_tensor(value, dtype=tensor.dtype, device=tensor.device).reshape(tensor.shape) * factor
            if needed
            else None
            for value, tensor, needed in zip(values, inputs, ctx.needs_input_grad, strict=False)
        )
        return *gradients, None, None, None


def soft_smith_waterman_embeddings(
    u: Tensor,
    v: Tensor,
    gap_open: Number,
    gap_extend: Number,
    temperature: float = 1.0,
    *,
    scale: Number = 1.0,
    offset: Number = 0.0,
    allow_empty: bool = False,
) -> Tensor:
    """Soft Smith-Waterman score of two embeddings, without ever storing their table.

    Gives what ``soft_smith_waterman(scale * (u @ v.T - offset), gap_open, gap_extend, temperature)`` gives, up to the
    rounding of the products. The table is computed tile by tile, and a second time on the way back; what is kept
    between the two is the state of the recursion along the edges of the tiles, about 0.08 bytes a cell in float32
    (nothing where no gradient is wanted). Differentiable once, in everything but the temperature. Runs on the CPU.

    Parameters
    ----------
    u : Tensor, shape (N, D)
    v : Tensor, shape (M, D)
        Embeddings, finite. float16 and bfloat16 are computed in float32; of two types the wider one counts.
    gap_open, gap_extend : float or Tensor with one element
        Penalties from 0 up, in the units of the scaled similarity; ``inf`` forbids opening or extending a gap.
    temperature : float
        Positive; the lower, the closer to the single best alignment.
    scale, offset : float or Tensor with one element
        The similarity of row i and column j is ``scale * (u[i] . v[j] - offset)``.
    allow_empty : bool
        Also count the empty alignment, of score 0.

    Returns
    -------
    Tensor, 0-d
        The score, in the wider type of the embeddings.

    Raises
    ------
    ParameterError
        For embeddings of a wrong type or shape or with NaN or infinite values, for bad numbers, and for a temperature
        so low that the similarities or the distance of the penalties leave the range of the exponents.
    BackendError
        For tensors that are not on the CPU.

    See Also
    --------
    soft_smith_waterman : the same over a table, on any device, batched and twice differentiable.
    lactoolkit.best_local_path_embeddings : the best path itself.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit.ops.long_pairs import soft_smith_waterman_embeddings
    >>> u = torch.eye(4).requires_grad_()
    >>> score = soft_smith_waterman_embeddings(u, torch.eye(4), 2.0, 1.0, 0.1, scale=4.0, offset=0.5)
    >>> print(f"{score.item():.3f}")   # four matches of 4 * (1 - 0.5)
    8.000
    >>> score.backward()
    >>> print(f"{u.grad[2, 2].item():.3f}")
    4.000
    """
    for name, tensor in (("u", u), ("v", v)):
        if not isinstance(tensor, Tensor):
            raise ParameterError(
                f"{name} must be a torch tensor, not {type(tensor).__name__}; wrap it with torch.as_tensor(...)"
            )
        if not tensor.is_floating_point():
            raise ParameterError(f"{name} has dtype {tensor.dtype}; convert it to floating point with .float()")
        if tensor.device.type != "cpu":
            raise BackendError(
                f"{name} is on {tensor.device}, but long pairs are aligned on the CPU; pass {name}.cpu()"
            )
    given_type = torch.promote_types(u.dtype, v.dtype)
    dtype = torch.float64 if given_type == torch.float64 else torch.float32
    numbers = [
        _as_number(name, value)
        for name, value in (("gap_open", gap_open), ("gap_extend", gap_extend), ("scale", scale), ("offset", offset))
    ]
    arguments = (u.to(dtype), v.to(dtype), *numbers)
    # Inside the function autograd is switched off, so it cannot tell whether gradients are wanted.
    keep_edges = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in arguments)
    score = _SoftEmbeddingScore.apply(*arguments, check_temperature(temperature), allow_empty, keep_edges)
    return score.to(given_type)


def _as_number(name: str, value: Number) -> Tensor:
    if isinstance(value, Tensor):
        if value.numel() != 1 or not value.is_floating_point():
            raise ParameterError(
                f"{name} has shape {tuple(value.shape)} and dtype {value.dtype}; "
                "long pairs take one floating-point number for the whole table"
            )
        return value
    if not isinstance(value, (int, float)):
        raise ParameterError(f"{name} must be a number or a torch tensor, not {type(value).__name__}")
    return torch.tensor(value, dtype=torch.float64)
