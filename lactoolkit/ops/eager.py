"""Plain tensors that are computed with at once: where ways around torch's dispatcher, and constants, are allowed."""

from __future__ import annotations

import functools

import torch
from torch import Tensor


def is_eager(tensor: Tensor) -> bool:
    """Whether plain tensors are computed with, so that torch's dispatcher would arrive at our functions unchanged.

    Its two calls back into Python take as long as the kernels need for a small batch.
    """
    return (
        not torch.compiler.is_compiling()
        and type(tensor) in (Tensor, torch.nn.Parameter)
        and torch._C._len_torch_dispatch_stack() == 0
        and not torch._C._are_functorch_transforms_active()
        # A batch of gradients (is_grads_batched) looks like one, but has no memory of its own.
        and torch._C._has_storage(tensor)
    )


def scalar_like(value: float, dtype: torch.dtype, similarity: Tensor) -> Tensor:
    """A number as a tensor (), on the similarity's device.

    On a CUDA device it is kept for the next time: filling a tensor with it takes a kernel.
    """
    device = similarity.device
    if device.type == "cuda" and is_eager(similarity) and not torch.cuda.is_current_stream_capturing():
        return _kept(value, dtype, device)
    return torch.scalar_tensor(value, dtype=dtype, device=device)


@functools.lru_cache(maxsize=64)
def _kept(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    # torch.tensor waits for the copy, so that all streams may read it. Tensors of inference mode could not be saved.
    with torch.inference_mode(False):
        return torch.tensor(value, dtype=dtype, device=device)
