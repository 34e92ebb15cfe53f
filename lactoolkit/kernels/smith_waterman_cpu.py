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
Values so far from zero, in units of the temperature, that 32 bits do not hold the powers of two raise a RangeError.
Results do not depend on the number of threads, on the other pairs of the batch, nor on the padding.
"""

import numpy as np
from numpy.typing import NDArray

from lactoolkit.kernels import smith_waterman_cpu_general as general
from lactoolkit.kernels import stripe_passes as passes
from lactoolkit.kernels.memory import empty_array, thread_workspace
from lactoolkit.kernels.scaled_numbers import MAX_WEIGHT_EXPONENT, temperature_constants
from lactoolkit.kernels.stripe_wavefront import visit_table
from lactoolkit.kernels.worker_pool import default_threads, run_in_order

Array = NDArray[np.floating]
Tangents = tuple[Array, Array, Array]

# Below this many cells a batch is not worth waking another thread for.
SERIAL_CELLS = 2**15
# A table of at least this many cells is shared by all threads.
SHARED_CELLS = 2**17
# Tapes are kept from the forward to the backward pass while each thread's fit the cache and all of them together take
# little memory for the size of the batch. Small ones always are.
KEPT_BYTES = 2**22
KEPT_BYTES_PER_CELL = 16
KEPT_BYTES_ALWAYS = 2**19
# Of one value and of the sum along a path, in octaves (value / (t ln 2)); see :mod:`.scaled_numbers`.
MAX_VALUE_OCTAVES = float(MAX_WEIGHT_EXPONENT)
MAX_PATH_OCTAVES = 2.0**29


class RangeError(ArithmeticError):
    """Values over the temperature are too large for the exponents of these kernels."""


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
    """Scores (B,); see the module for the arguments. ``threads`` is numba's number of threads unless given."""
    batch = _batch(similarity, gap_open, gap_extend, lengths, temperature)
    totals = _run(batch, None, allow_empty, None, threads)
    _check_range(batch, totals)
    return _scores(totals, temperature, similarity.dtype)


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
    batch = _batch(similarity, gap_open, gap_extend, lengths, temperature)
    results = _results(similarity, gap_open, gap_extend, lengths)
    totals = _run(batch, None, allow_empty, results, threads)
    _check_range(batch, totals)
    return _scores(totals, temperature, similarity.dtype), *results


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
    batch = _batch(similarity, gap_open, gap_extend, lengths, temperature)
    results = _results(similarity, gap_open, gap_extend, lengths)
    totals = _run(batch, (tangent_similarity, tangent_open, tangent_extend), allow_empty, results, threads)
    _check_range(batch, totals)
    tangent_scores = np.empty(len(similarity), similarity.dtype)
    passes.score_tangents_of(totals, float(temperature), tangent_scores)
    return tangent_scores, *results


def _batch(similarity: Array, gap_open: Array, gap_extend: Array, lengths: NDArray, temperature: float) -> tuple:
    dtype = similarity.dtype
    most = 1e30 if dtype == np.float32 else 1e300
    if not 1 / most < temperature < most:
        raise RangeError(f"temperature {temperature} is too far from 1 for {dtype}")
    constants = temperature_constants(temperature, dtype)
    return similarity, gap_open, gap_extend, lengths, constants, temperature_constants(-temperature, dtype)


def _results(similarity: Array, gap_open: Array, gap_extend: Array, lengths: NDArray) -> tuple[Array, Array, Array]:
    # Kernels write all of a pair's rectangle and nothing else: memory need not be cleared if there is nothing else.
    if similarity.size >= SERIAL_CELLS and (lengths == similarity.shape[1:]).all():
        arrays = (similarity, gap_open, gap_extend)
        results = [empty_array(array.shape, array.dtype) for array in arrays]
        return results[0], results[1], results[2]
    return (
        np.zeros(similarity.shape, similarity.dtype),
        np.zeros(gap_open.shape, gap_open.dtype),
        np.zeros(gap_extend.shape, gap_extend.dtype),
    )


def _scores(totals: NDArray, temperature: float, dtype: np.dtype) -> Array:
    scores = np.empty(len(totals), dtype)
    passes.scores_of(totals, float(temperature), scores)
    return scores


def _check_range(batch: tuple, totals: NDArray) -> None:
    """Raise a RangeError if a value or a sum of values is out of the exponents' range.

    Only an alignment that is worth a quarter of it in either direction can be a wrong one: what does not count is worth
    less than what is beside it.
    """
    similarity, gap_open, gap_extend, lengths, constants, _ = batch
    if passes.are_moderate(totals):
        return
    for table, opening, extension, (n, m) in zip(similarity, gap_open, gap_extend, lengths, strict=True):
        values = table[:n, :m].astype(np.float64) * float(constants[0])
        values = values[values > -np.inf]
        penalties = np.concatenate([p[:n, :m].ravel() for p in (opening, extension)]) * float(constants[0])
        penalties = penalties[penalties < np.inf]
        highest, lowest = values.max(initial=0.0), values.min(initial=0.0)
        largest = max(highest, -lowest, penalties.max(initial=0.0))
        if largest > MAX_VALUE_OCTAVES or highest * min(n, m) > MAX_PATH_OCTAVES:
            raise RangeError(f"values up to 2**{largest:.0f} or their products are beyond the range of the exponents")


def _run(
    batch: tuple, tangents: Tangents | None, allow_empty: bool, results: Tangents | None, threads: int | None
) -> NDArray:
    """Totals (B, 4) of all pairs, and the derivatives into ``results``."""
    similarity, _, _, lengths, *_ = batch
    pairs = len(similarity)
    totals = np.zeros((pairs, 4))
    threads = threads or default_threads()
    kept_bytes = max(min(KEPT_BYTES, KEPT_BYTES_PER_CELL * similarity.size // threads), KEPT_BYTES_ALWAYS)
    kept = 0 if results is None else kept_bytes // similarity.itemsize
    size = passes.workspace_size(*similarity.shape[1:], tangents, kept)

    def run_pairs(first: int, last: int) -> None:
        workspace = thread_workspace(size, similarity.dtype)
        if results is None:
            passes.score_pairs(batch, tangents, allow_empty, workspace, first, last, totals)
        else:
            passes.differentiate_pairs(batch, tangents, allow_empty, workspace, first, last, totals, results)

    if threads == 1 or similarity.size < SERIAL_CELLS:
        run_pairs(0, pairs)
    else:
        largest = lengths.prod(axis=1).max()
        if largest >= SHARED_CELLS or (pairs < threads and largest >= SERIAL_CELLS):
            for b in range(pairs):
                visit_table(batch, tangents, allow_empty, b, totals, results, threads)
        else:
            blocks = min(pairs, 4 * threads)
            run_in_order(lambda k: run_pairs(pairs * k // blocks, pairs * (k + 1) // blocks), blocks, threads)

    if not totals[:, 3].all():
        rest = np.flatnonzero(totals[:, 3] == 0.0)
        run_in_order(lambda k: _run_general(batch, tangents, allow_empty, rest[k], totals, results), len(rest), threads)
    return totals


def _run_general(
    batch: tuple, tangents: Tangents | None, allow_empty: bool, b: int, totals: NDArray, results: Tangents | None
) -> None:
    *arrays, lengths, constants, negated = batch
    n, m = (int(length) for length in lengths[b])
    dummies = tuple(np.zeros((1, 1), arrays[0].dtype) for _ in range(3))
    directions = dummies if tangents is None else tuple(a[b] for a in tangents)
    pair = (arrays[0][b], arrays[1][b], arrays[2][b], directions, n, m, constants, negated)
    *total, kept = general.forward(*pair, allow_empty)
    totals[b, :3] = total
    if results is None:
        return
    wanted = tuple(a[b] for a in results)
    # Broadcast penalties are summed into arrays of shape (1, 1) alone: unwanted results need the shape of the wanted.
    unwanted = (dummies[0], np.empty_like(wanted[1]), np.empty_like(wanted[2]))
    general.backward(*pair, tuple(total), kept, *((wanted, unwanted) if tangents is None else (unwanted, wanted)))
