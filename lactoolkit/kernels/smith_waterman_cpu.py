"""Soft Smith-Waterman on the CPU: score, posteriors and Hessian-vector products of a batch of tables.

NumPy arrays in, NumPy arrays out. Arguments that all three functions share:

similarity : (B, N, M) float32 or float64
    Similarity of every pair of positions; -inf forbids a pair.
gap_open, gap_extend : (B, 1, 1) or (B, N, M)
    Penalties, both of one shape.
lengths : (B, 2) int64
    Lengths n <= N, m <= M of each pair. Nothing outside a pair's own rectangle is read.
temperature : float
    Positive.
allow_empty : bool
    Count the empty alignment, with score 0.

All arrays are C-contiguous, share one floating-point type and are never written to. A pair whose alignments are all
forbidden (or that has a length of zero) scores -inf with derivatives of zero. NaN inside a pair's rectangle gives NaN.
Results do not depend on the number of threads, on the other pairs of the batch, nor on the padding.
"""

import numpy as np
from numpy.typing import NDArray

from lactoolkit.kernels import smith_waterman_cpu_general as general
from lactoolkit.kernels.scaled_numbers import temperature_constants
from lactoolkit.kernels.worker_pool import default_threads, run_in_order

Array = NDArray[np.floating]


def _score_of(total: tuple[float, float, int], temperature: float) -> float:
    value, _, exponent = total
    if value == 0.0:
        return -np.inf
    return temperature * (np.log(value) + exponent * np.log(2.0))


def _score_tangent_of(total: tuple[float, float, int], temperature: float) -> float:
    value, tangent, _ = total
    return temperature * tangent / value if value != 0.0 else 0.0


def score(
    similarity: Array,
    gap_open: Array,
    gap_extend: Array,
    lengths: NDArray[np.int64],
    temperature: float,
    allow_empty: bool = False,
    *,
    threads: int | None = None,
) -> Array:
    """Scores (B,); see the module for the arguments."""
    constants, negated = _constants(temperature, similarity)
    zeros = (np.zeros((1, 1), similarity.dtype),) * 3
    scores = np.empty(len(similarity), similarity.dtype)

    def task(b: int) -> None:
        n, m = (int(x) for x in lengths[b])
        *total, _ = general.forward(
            similarity[b], gap_open[b], gap_extend[b], zeros, n, m, constants, negated, allow_empty
        )
        scores[b] = _score_of(tuple(total), temperature)

    run_in_order(task, len(similarity), threads or default_threads())
    return scores


def posterior(
    similarity: Array,
    gap_open: Array,
    gap_extend: Array,
    lengths: NDArray[np.int64],
    temperature: float,
    allow_empty: bool = False,
    *,
    threads: int | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Scores (B,) and their exact derivatives with respect to similarity, gap_open and gap_extend.

    The derivative with respect to the similarity is the posterior probability of each match; the other two are negative
    and are shaped like the penalties (summed over what was broadcast). All are 0 outside the lengths.
    """
    constants, negated = _constants(temperature, similarity)
    zeros = (np.zeros((1, 1), similarity.dtype),) * 3
    scores = np.empty(len(similarity), similarity.dtype)
    values = tuple(np.zeros(a.shape, a.dtype) for a in (similarity, gap_open, gap_extend))

    def task(b: int) -> None:
        n, m = (int(x) for x in lengths[b])
        pair = (similarity[b], gap_open[b], gap_extend[b], zeros, n, m, constants, negated)
        *total, kept = general.forward(*pair, allow_empty)
        unused = tuple(np.zeros((1, 1), similarity.dtype) for _ in range(3))
        general.backward(*pair, tuple(total), kept, tuple(v[b] for v in values), unused)
        scores[b] = _score_of(tuple(total), temperature)

    run_in_order(task, len(similarity), threads or default_threads())
    return scores, values[0], values[1], values[2]


def posterior_jvp(
    similarity: Array,
    gap_open: Array,
    gap_extend: Array,
    lengths: NDArray[np.int64],
    temperature: float,
    allow_empty: bool,
    tangent_similarity: Array,
    tangent_open: Array,
    tangent_extend: Array,
    *,
    threads: int | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Derivative of the scores (B,) and of the three results of :func:`posterior` along a direction.

    The tangents are shaped like the arguments they belong to. Since the Hessian is symmetric, the last three results
    are the Hessian of the score times the tangents.
    """
    constants, negated = _constants(temperature, similarity)
    tangent_scores = np.empty(len(similarity), similarity.dtype)
    changes = tuple(np.zeros(a.shape, a.dtype) for a in (similarity, gap_open, gap_extend))

    def task(b: int) -> None:
        n, m = (int(x) for x in lengths[b])
        tangents = (tangent_similarity[b], tangent_open[b], tangent_extend[b])
        pair = (similarity[b], gap_open[b], gap_extend[b], tangents, n, m, constants, negated)
        *total, kept = general.forward(*pair, allow_empty)
        unused = (
            np.zeros((1, 1), similarity.dtype),
            *(np.zeros(a.shape[1:], similarity.dtype) for a in (gap_open, gap_extend)),
        )
        general.backward(*pair, tuple(total), kept, unused, tuple(c[b] for c in changes))
        tangent_scores[b] = _score_tangent_of(tuple(total), temperature)

    run_in_order(task, len(similarity), threads or default_threads())
    return tangent_scores, changes[0], changes[1], changes[2]


def _constants(temperature: float, like: Array) -> tuple[NDArray, NDArray]:
    return temperature_constants(temperature, like.dtype), temperature_constants(-temperature, like.dtype)
