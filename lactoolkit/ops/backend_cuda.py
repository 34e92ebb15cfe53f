"""The numba.cuda kernels on CUDA tensors: on torch's current stream, in memory of torch's allocator."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from lactoolkit.kernels import smith_waterman_cuda as kernels
from lactoolkit.kernels.cuda_launch import DeviceArray


def score(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> Tensor:
    """Soft scores ``(B,)`` of a batch ``(B, N, M)``; penalties are both ``(B, 1, 1)`` or both ``(B, N, M)``."""
    with _on(similarity.device):
        arrays = _arrays(similarity, gap_open, gap_extend, lengths)
        scores = similarity.new_empty(similarity.shape[0])
        workspace = _workspace(similarity, gap_open, backward=False)
        kernels.score(
            *arrays, temperature, allow_empty, _view(scores), _view(workspace), *_stream_and_device(similarity)
        )
    return scores


def sums(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> tuple[Tensor, Tensor]:
    """Soft scores, and a workspace from which :func:`gradients` computes their derivatives."""
    with _on(similarity.device):
        arrays = _arrays(similarity, gap_open, gap_extend, lengths)
        scores = similarity.new_empty(similarity.shape[0])
        workspace = _workspace(similarity, gap_open)
        kernels.sums(
            *arrays, temperature, allow_empty, _view(scores), _view(workspace), *_stream_and_device(similarity)
        )
    return scores, workspace


def gradients(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
    factors: Tensor,
    workspace: Tensor,
    *,
    shared: tuple[bool, bool],
    again: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives by similarity ``(B, N, M)`` and by both penalties, in the penalties' shape, times ``factors (B,)``.

    Derivatives by a penalty per pair that is ``shared`` are summed, ``(1, 1, 1)``. All else is as :func:`sums` had it;
    ``again`` if the workspace was used for this before.
    """
    with _on(similarity.device):
        arrays = _arrays(similarity, gap_open, gap_extend, lengths)
        is_shared = factors.stride(0) == 0
        outputs = _derivatives(similarity, gap_open, lengths, shared)
        kernels.gradients(
            *arrays,
            temperature,
            allow_empty,
            _view(factors if is_shared else factors.contiguous(), is_shared),
            *_views(outputs),
            _view(workspace),
            *_stream_and_device(similarity),
            again=again,
        )
    return outputs


def posterior(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Soft scores and their derivatives by similarity ``(B, N, M)`` and by both penalties, in the penalties' shape."""
    with _on(similarity.device):
        arrays = _arrays(similarity, gap_open, gap_extend, lengths)
        scores = similarity.new_empty(similarity.shape[0])
        outputs = _derivatives(similarity, gap_open, lengths)
        workspace = _workspace(similarity, gap_open)
        kernels.posterior(
            *arrays,
            temperature,
            allow_empty,
            _view(scores),
            *_views(outputs),
            _view(workspace),
            *_stream_and_device(similarity),
        )
    return scores, *outputs


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
    with _on(similarity.device):
        arrays = _arrays(similarity, gap_open, gap_extend, lengths)
        tangents = (
            _view(tangent_similarity.contiguous()),
            _view(tangent_open.contiguous()),
            _view(tangent_extend.contiguous()),
        )
        scores = similarity.new_empty(similarity.shape[0])
        outputs = _derivatives(similarity, gap_open, lengths)
        workspace = _workspace(similarity, gap_open, dual=True)
        kernels.posterior_jvp(
            *arrays,
            temperature,
            allow_empty,
            *tangents,
            _view(scores),
            *_views(outputs),
            _view(workspace),
            *_stream_and_device(similarity),
        )
    return scores, *outputs


def _view(tensor: Tensor, is_shared: bool = False) -> DeviceArray:
    return DeviceArray(tensor.data_ptr(), tensor.numel(), tensor.element_size(), tensor.shape, is_shared, tensor)


def _views(tensors: tuple[Tensor, Tensor, Tensor]) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    match, d_open, d_extend = tensors
    return _view(match), _view(d_open), _view(d_extend)


def _arrays(
    similarity: Tensor, gap_open: Tensor, gap_extend: Tensor, lengths: Tensor | None
) -> tuple[DeviceArray, DeviceArray, DeviceArray, DeviceArray | None]:
    sizes = None if lengths is None else _view(lengths.contiguous())
    return _view(similarity.contiguous()), _penalty(gap_open), _penalty(gap_extend), sizes


def _penalty(penalty: Tensor) -> DeviceArray:
    # One penalty, or one table of penalties, for the whole batch is not copied for each pair.
    if penalty.stride(0) == 0 and (penalty.shape[1:] == (1, 1) or penalty[0].is_contiguous()):
        return _view(penalty, is_shared=True)
    return _view(penalty.contiguous())


def _derivatives(
    similarity: Tensor, penalty: Tensor, lengths: Tensor | None, shared: tuple[bool, bool] = (False, False)
) -> tuple[Tensor, Tensor, Tensor]:
    # The kernels write what lies inside the lengths and nothing else.
    make = similarity.new_empty if lengths is None else similarity.new_zeros
    d_open, d_extend = (make((1, 1, 1) if is_one else penalty.shape) for is_one in shared)
    return make(similarity.shape), d_open, d_extend


def _workspace(similarity: Tensor, penalty: Tensor, *, backward: bool = True, dual: bool = False) -> Tensor:
    words = kernels.workspace_words(
        *similarity.shape, per_cell=kernels.is_per_cell(penalty), backward=backward, dual=dual
    )
    return similarity.new_empty(words)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return nullcontext() if device.index == torch.cuda.current_device() else torch.cuda.device(device)


def _stream_and_device(similarity: Tensor) -> tuple[int, int]:
    index = similarity.device.index
    return torch._C._cuda_getCurrentRawStream(index), index
