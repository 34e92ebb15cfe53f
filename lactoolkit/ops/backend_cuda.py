"""The numba.cuda kernels on CUDA tensors: allocation by torch, on torch's current stream."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

from lactoolkit.kernels import smith_waterman_cuda as kernels


def score(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> Tensor:
    """Soft scores ``(B,)`` of a batch ``(B, N, M)``; penalties are both ``(B, 1, 1)`` or both ``(B, N, M)``."""
    with _current(similarity.device) as device:
        table, penalties = similarity.detach().contiguous(), _penalties(gap_open, gap_extend)
        scores = table.new_empty(table.shape[0])
        workspace = _workspace(table, penalties[0], backward=False)
        arguments = (table, *penalties, _lengths(lengths), temperature, allow_empty, scores, workspace)
        kernels.score(*arguments, *device)
        return scores


def posterior(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Soft scores and their derivatives by similarity ``(B, N, M)`` and by both penalties, in the penalties' shape."""
    with _current(similarity.device) as device:
        table, penalties = similarity.detach().contiguous(), _penalties(gap_open, gap_extend)
        results = _results(table, gap_open, lengths)
        workspace = _workspace(table, penalties[0])
        arguments = (table, *penalties, _lengths(lengths), temperature, allow_empty, *results, workspace)
        kernels.posterior(*arguments, *device)
        return results


def posterior_jvp(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
    tangent_similarity: Tensor,
    tangent_open: Tensor,
    tangent_extend: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Directional derivative of :func:`posterior` along the tangents, that is the Hessian of the score times them."""
    with _current(similarity.device) as device:
        table, penalties = similarity.detach().contiguous(), _penalties(gap_open, gap_extend)
        tangents = [t.detach().contiguous() for t in (tangent_similarity, tangent_open, tangent_extend)]
        results = _results(table, gap_open, lengths)
        workspace = _workspace(table, penalties[0], dual=True)
        arguments = (table, *penalties, _lengths(lengths), temperature, allow_empty, *tangents, *results, workspace)
        kernels.posterior_jvp(*arguments, *device)
        return results


@contextlib.contextmanager
def _current(device: torch.device) -> Any:
    """Make a device the current one, and give the handle of torch's stream there and the device's number."""
    with torch.cuda.device(device):
        index = torch.cuda.current_device()
        yield torch.cuda.current_stream().cuda_stream, index


def _penalties(gap_open: Tensor, gap_extend: Tensor) -> list[Tensor]:
    """Penalties in C order; one number for all pairs stays one number."""
    flat = []
    for gap in (gap_open.detach(), gap_extend.detach()):
        is_shared = gap.shape[1:] == (1, 1) and gap.stride(0) == 0
        flat.append(gap if is_shared else gap.contiguous())
    return flat


def _lengths(lengths: Tensor | None) -> Tensor | None:
    return None if lengths is None else lengths.to(torch.int64).contiguous()


def _workspace(table: Tensor, gap_open: Tensor, **options: bool) -> Tensor:
    pairs, rows, columns = table.shape
    words = kernels.workspace_words(pairs, rows, columns, per_cell=kernels.is_per_cell(gap_open), **options)
    return table.new_empty(words)


def _results(table: Tensor, gap_open: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # With lengths, the kernels leave the padding alone.
    make = torch.empty if lengths is None else torch.zeros
    options: dict[str, Any] = {"dtype": table.dtype, "device": table.device}
    return (
        make(table.shape[0], **options),
        make(table.shape, **options),
        make(gap_open.shape, **options),
        make(gap_open.shape, **options),
    )
