"""The Numba kernels on CPU tensors: NumPy views in, tensors around new NumPy arrays out.

What is beyond the range of the kernels' exponents is left to :mod:`.backend_torch`.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from lactoolkit.kernels import batches
from lactoolkit.kernels import smith_waterman_cpu as kernels
from lactoolkit.ops import backend_torch

logger = logging.getLogger(__name__)


def score(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> Tensor:
    """Soft scores ``(B,)`` of a batch ``(B, N, M)``; penalties are both ``(B, 1, 1)`` or both ``(B, N, M)``."""
    arrays = (_array(similarity), _penalty(gap_open), _penalty(gap_extend))
    try:
        return torch.from_numpy(kernels.score(*arrays, _lengths(lengths, similarity), temperature, allow_empty))
    except kernels.RangeError as error:
        _log_fallback(error)
        return backend_torch.score(similarity, gap_open, gap_extend, lengths, temperature, allow_empty)


def posterior(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Soft scores and their derivatives by similarity ``(B, N, M)`` and by both penalties, in the penalties' shape."""
    arrays = (_array(similarity), _penalty(gap_open), _penalty(gap_extend))
    try:
        return _tensors(kernels.posterior(*arrays, _lengths(lengths, similarity), temperature, allow_empty))
    except kernels.RangeError as error:
        _log_fallback(error)
        return backend_torch.posterior(similarity, gap_open, gap_extend, lengths, temperature, allow_empty)


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
    arrays = (_array(similarity), _penalty(gap_open), _penalty(gap_extend))
    tangents = (_array(tangent_similarity), _array(tangent_open), _array(tangent_extend))
    sizes = _lengths(lengths, similarity)
    try:
        return _tensors(kernels.posterior_jvp(*arrays, sizes, temperature, allow_empty, *tangents))
    except kernels.RangeError as error:
        _log_fallback(error)
        return backend_torch.posterior_jvp(
            similarity,
            gap_open,
            gap_extend,
            lengths,
            temperature,
            allow_empty,
            tangent_similarity,
            tangent_open,
            tangent_extend,
        )


def scale(derivatives: Tensor, factors: Tensor) -> Tensor:
    """``derivatives`` (B, N, M) times ``factors`` (B,)."""
    return torch.from_numpy(batches.scale_tables(_array(derivatives), _array(factors)))


def _log_fallback(error: Exception) -> None:
    logger.debug("falling back to the torch backend: %s", error)


def _array(tensor: Tensor) -> np.ndarray:
    # contiguous() returns the tensor itself where it is already; the kernels are compiled for C order only.
    return tensor.detach().contiguous().numpy()


def _penalty(penalty: Tensor) -> np.ndarray:
    if penalty.shape[1:] == (1, 1):
        # Often one number expanded to all pairs, which torch takes longer to copy.
        return np.ascontiguousarray(penalty.detach().numpy())
    return _array(penalty)


def _lengths(lengths: Tensor | None, similarity: Tensor) -> np.ndarray:
    if lengths is not None:
        return lengths.contiguous().numpy()
    full = np.empty((similarity.shape[0], 2), np.int64)
    full[:, 0], full[:, 1] = similarity.shape[1:]
    return full


def _tensors(arrays: tuple[np.ndarray, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    scores, match, d_open, d_extend = map(torch.from_numpy, arrays)
    return scores, match, d_open, d_extend
