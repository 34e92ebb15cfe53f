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
        inputs = _contiguous(similarity, gap_open, gap_extend, lengths)
        scores = similarity.new_empty(similarity.shape[0])
        workspace = _workspace(similarity, gap_open, backward=False)
        kernels.score(
            *_input_views(inputs), temperature, allow_empty, _view(scores), _view(workspace), *_place(similarity)
        )
    return scores


def sums(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> tuple[Tensor, kernels.Call, tuple[Tensor | None, ...]]:
    """Soft scores, and for :func:`gradients` the call and its tensors, which must live and stay as they are."""
    with _on(similarity.device):
        inputs = _contiguous(similarity, gap_open, gap_extend, lengths)
        scores = similarity.new_empty(similarity.shape[0])
        workspace = _workspace(similarity, gap_open)
        call = kernels.sums(
            *_input_views(inputs), temperature, allow_empty, _view(scores), _view(workspace), *_place(similarity)
        )
    return scores, call, (*inputs, workspace)


def gradients(
    call: kernels.Call,
    tensors: tuple[Tensor | None, ...],
    factors: Tensor,
    *,
    shared: tuple[bool, bool],
    again: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives by similarity ``(B, N, M)`` and by both penalties, in the penalties' shape, times ``factors (B,)``.

    Derivatives by a penalty per pair that is ``shared`` are summed, ``(1, 1, 1)``. ``again`` if what :func:`sums` left
    was used before.
    """
    similarity, gap_open, _, lengths, _ = tensors
    assert similarity is not None
    assert gap_open is not None
    with _on(similarity.device):
        outputs = _derivatives(similarity, gap_open, lengths, shared)
        factors = factors if factors.stride(0) == 0 else factors.contiguous()
        stream, _ = _place(similarity)
        kernels.gradients(call, _view(factors), *_views(outputs), stream, again=again)
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
        inputs = _contiguous(similarity, gap_open, gap_extend, lengths)
        scores = similarity.new_empty(similarity.shape[0])
        outputs = _derivatives(similarity, gap_open, lengths)
        workspace = _workspace(similarity, gap_open)
        kernels.posterior(
            *_input_views(inputs),
            temperature,
            allow_empty,
            _view(scores),
            *_views(outputs),
            _view(workspace),
            *_place(similarity),
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
        inputs = _contiguous(similarity, gap_open, gap_extend, lengths)
        tangents = tangent_similarity.contiguous(), tangent_open.contiguous(), tangent_extend.contiguous()
        scores = similarity.new_empty(similarity.shape[0])
        outputs = _derivatives(similarity, gap_open, lengths)
        workspace = _workspace(similarity, gap_open, dual=True)
        kernels.posterior_jvp(
            *_input_views(inputs),
            temperature,
            allow_empty,
            *_views(tangents),
            _view(scores),
            *_views(outputs),
            _view(workspace),
            *_place(similarity),
        )
    return scores, *outputs


def _contiguous(
    similarity: Tensor, gap_open: Tensor, gap_extend: Tensor, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The inputs as the kernels read them; copies must live until the kernels are on the stream."""
    sizes = None if lengths is None else lengths.contiguous()
    return similarity.contiguous(), _contiguous_penalty(gap_open), _contiguous_penalty(gap_extend), sizes


def _contiguous_penalty(penalty: Tensor) -> Tensor:
    # One penalty, or one table of penalties, for the whole batch is not copied for each pair.
    if penalty.stride(0) == 0 and (penalty.shape[1:] == (1, 1) or penalty[0].is_contiguous()):
        return penalty
    return penalty.contiguous()


def _input_views(
    inputs: tuple[Tensor, Tensor, Tensor, Tensor | None],
) -> tuple[DeviceArray, DeviceArray, DeviceArray, DeviceArray | None]:
    similarity, gap_open, gap_extend, lengths = inputs
    sizes = None if lengths is None else _view(lengths)
    return _view(similarity), _view(gap_open), _view(gap_extend), sizes


def _view(tensor: Tensor) -> DeviceArray:
    is_shared = tensor.stride(0) == 0
    return DeviceArray(tensor.data_ptr(), tensor.numel(), tensor.element_size(), tensor.shape, is_shared)


def _views(tensors: tuple[Tensor, Tensor, Tensor]) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    first, second, third = tensors
    return _view(first), _view(second), _view(third)


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


def _place(similarity: Tensor) -> tuple[int, int]:
    index = similarity.device.index
    return torch._C._cuda_getCurrentRawStream(index), index
