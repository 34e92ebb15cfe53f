"""The numba.cuda kernels on CUDA tensors: on torch's current stream, in memory of torch's allocator."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from lactoolkit.kernels import smith_waterman_cuda as kernels

_TYPES = {torch.float32: "<f4", torch.float64: "<f8", torch.int64: "<i8"}


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
            *arrays, temperature, allow_empty, _View(scores), _View(workspace), *_stream_and_device(similarity)
        )
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
    with _on(similarity.device):
        arrays = _arrays(similarity, gap_open, gap_extend, lengths)
        outputs = _outputs(similarity, gap_open, lengths)
        workspace = _workspace(similarity, gap_open)
        kernels.posterior(
            *arrays,
            temperature,
            allow_empty,
            *_views(outputs),
            _View(workspace),
            *_stream_and_device(similarity),
        )
    return outputs


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
            _View(tangent_similarity.contiguous()),
            _View(tangent_open.contiguous()),
            _View(tangent_extend.contiguous()),
        )
        outputs = _outputs(similarity, gap_open, lengths)
        workspace = _workspace(similarity, gap_open, dual=True)
        kernels.posterior_jvp(
            *arrays,
            temperature,
            allow_empty,
            *tangents,
            *_views(outputs),
            _View(workspace),
            *_stream_and_device(similarity),
        )
    return outputs


class _View:
    """A tensor as the kernels see it; torch's own ``__cuda_array_interface__`` takes several times as long."""

    __slots__ = ("__cuda_array_interface__", "_tensor", "shape")

    def __init__(self, tensor: Tensor, strides: tuple[int, ...] | None = None) -> None:
        self._tensor = tensor
        self.shape = tensor.shape
        self.__cuda_array_interface__ = {
            "data": (tensor.data_ptr(), False),
            "shape": tensor.shape,
            "typestr": _TYPES[tensor.dtype],
            "strides": strides,
            "version": 3,
        }


def _arrays(
    similarity: Tensor, gap_open: Tensor, gap_extend: Tensor, lengths: Tensor | None
) -> tuple[_View, _View, _View, _View | None]:
    sizes = None if lengths is None else _View(lengths.contiguous())
    return _View(similarity.contiguous()), _penalty(gap_open), _penalty(gap_extend), sizes


def _penalty(penalty: Tensor) -> _View:
    # One penalty, or one table of penalties, for the whole batch is not copied for each pair.
    if penalty.stride(0) == 0 and penalty[:1].is_contiguous():
        return _View(penalty, tuple(stride * penalty.element_size() for stride in penalty.stride()))
    return _View(penalty.contiguous())


def _views(tensors: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[_View, _View, _View, _View]:
    scores, match, d_open, d_extend = tensors
    return _View(scores), _View(match), _View(d_open), _View(d_extend)


def _outputs(similarity: Tensor, penalty: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # The kernels write what lies inside the lengths and nothing else.
    make = similarity.new_empty if lengths is None else similarity.new_zeros
    return make(similarity.shape[0]), make(similarity.shape), make(penalty.shape), make(penalty.shape)


def _workspace(similarity: Tensor, penalty: Tensor, *, backward: bool = True, dual: bool = False) -> Tensor:
    words = kernels.workspace_words(
        *similarity.shape, per_cell=kernels.is_per_cell(penalty), backward=backward, dual=dual
    )
    return similarity.new_empty(words)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return nullcontext() if device.index == torch.cuda.current_device() else torch.cuda.device(device)


def _stream_and_device(similarity: Tensor) -> tuple[int, int]:
    device = similarity.device
    return torch.cuda.current_stream(device).cuda_stream, device.index
