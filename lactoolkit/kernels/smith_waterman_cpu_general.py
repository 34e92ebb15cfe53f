"""Soft Smith-Waterman on the CPU for any penalties: every state of a cell has an exponent of its own.

The plain form of the kernels, row by row and in dual numbers throughout (a score or a posterior alone is the case of
tangents that are zero). :mod:`.smith_waterman_cpu` uses it where one exponent a cell does not suffice.

States of a row are an array (M + 1, 9): value, tangent and exponent of M, X and Y of the cells 1..M, preceded by the
empty cell 0. Only every ``BLOCK_ROWS``-th row is kept; the rows between are computed again on the way back.
"""

import numpy as np
from numba import njit

from lactoolkit.kernels.cells import EMPTY, scaled_backward_cell, scaled_forward_cell, weight_of
from lactoolkit.kernels.kernel_cache import compiled
from lactoolkit.kernels.scaled_numbers import (
    cast_like,
    exponent_as_float,
    float_as_exponent,
    power_of_two,
    scaled_product,
    scaled_sum,
)

BLOCK_ROWS = 64


@njit(inline="always")
def _at(array, i, j):
    """Element of an array that broadcasts to the table."""
    return array[min(i, array.shape[0] - 1), min(j, array.shape[1] - 1)]


@njit(inline="always")
def _load(states, j, k):
    return states[j, k], states[j, k + 1], float_as_exponent(states[j, k + 2])


@njit(inline="always")
def _store(states, j, k, value, tangent, exponent):
    states[j, k] = value
    states[j, k + 1] = tangent
    states[j, k + 2] = exponent_as_float(exponent, value)


@njit(inline="always")
def _weight(values, tangents, i, j, constants):
    """exp(+-value / t) of a cell as mantissa, exponent and logarithmic derivative; the sign is in the constants."""
    mantissa, exponent = weight_of(
        _at(values, i, j), constants[0], constants[1], constants[2], constants[3], constants[4]
    )
    return mantissa, exponent, _at(tangents, i, j) * constants[4]


@compiled
def _clear(states):
    for j in range(states.shape[0]):
        for k in range(0, states.shape[1], 3):
            _store(states, j, k, cast_like(0.0, states[0, 0]), cast_like(0.0, states[0, 0]), EMPTY)


@compiled
def _forward_row(similarity, opening, extension, tangents, i, m, constants, negated, above, row):
    """Fill the states of row i from those of the row above; return the row's sum of M as a scaled number."""
    total, total_tangent, total_exponent = 0.0, 0.0, EMPTY
    zero = cast_like(0.0, constants[0])
    left_m, left_m_tangent, left_m_exponent = zero, zero, EMPTY
    left_x, left_x_tangent, left_x_exponent = zero, zero, EMPTY
    for j in range(m):
        w, w_exponent, w_rate = _weight(similarity, tangents[0], i, j, constants)
        p, p_exponent, p_rate = _weight(opening, tangents[1], i, j, negated)
        q, q_exponent, q_rate = _weight(extension, tangents[2], i, j, negated)
        a, a_tangent, a_exponent = _load(above, j, 0)
        b, b_tangent, b_exponent = _load(above, j, 3)
        a, a_tangent, a_exponent = scaled_sum(a, a_tangent, a_exponent, b, b_tangent, b_exponent)
        b, b_tangent, b_exponent = _load(above, j, 6)
        diagonal, diagonal_tangent, diagonal_exponent = scaled_sum(a, a_tangent, a_exponent, b, b_tangent, b_exponent)
        a, a_tangent, a_exponent = _load(above, j + 1, 0)
        b, b_tangent, b_exponent = _load(above, j + 1, 3)
        up, up_tangent, up_exponent = scaled_sum(a, a_tangent, a_exponent, b, b_tangent, b_exponent)
        up_y, up_y_tangent, up_y_exponent = _load(above, j + 1, 6)
        (
            left_m, left_m_tangent, left_m_exponent,
            left_x, left_x_tangent, left_x_exponent,
            y, y_tangent, y_exponent,
        ) = scaled_forward_cell(
            w, w_exponent, w_rate,
            diagonal, diagonal_tangent, diagonal_exponent,
            left_m, left_m_tangent, left_m_exponent,
            left_x, left_x_tangent, left_x_exponent,
            up, up_tangent, up_exponent,
            up_y, up_y_tangent, up_y_exponent,
            p, p_exponent, p_rate,
            q, q_exponent, q_rate,
        )  # fmt: skip
        _store(row, j + 1, 0, left_m, left_m_tangent, left_m_exponent)
        _store(row, j + 1, 3, left_x, left_x_tangent, left_x_exponent)
        _store(row, j + 1, 6, y, y_tangent, y_exponent)
        total, total_tangent, total_exponent = scaled_sum(
            total, total_tangent, total_exponent, np.float64(left_m), np.float64(left_m_tangent), left_m_exponent
        )
    return total, total_tangent, total_exponent


@compiled
def forward(similarity, opening, extension, tangents, n, m, constants, negated, allow_empty):
    """Forward pass over one pair.

    Parameters
    ----------
    similarity, opening, extension : (N, M) or (1, 1) arrays
        Similarity and penalties of one pair; the penalties may broadcast.
    tangents : tuple of three such arrays
        Direction of the derivative; any of them may broadcast.
    n, m : int
        Lengths.
    constants, negated : (5,) arrays
        ``temperature_constants`` of t and of -t.
    allow_empty : bool
        Count the empty alignment.

    Returns
    -------
    tuple
        Sum over all alignments as value, tangent, exponent; states of the rows before each block, (blocks, M + 1, 9).
    """
    blocks = (n + BLOCK_ROWS - 1) // BLOCK_ROWS
    kept = np.empty((max(blocks, 1), m + 1, 9), similarity.dtype)
    rows = np.empty((2, m + 1, 9), similarity.dtype)
    for k in range(2):
        _clear(rows[k])
    total, total_tangent, total_exponent = 0.0, 0.0, EMPTY
    if allow_empty:
        total, total_exponent = 1.0, np.int32(0)
    for i in range(n):
        if i % BLOCK_ROWS == 0:
            kept[i // BLOCK_ROWS] = rows[i % 2]
        a, a_tangent, a_exponent = _forward_row(
            similarity, opening, extension, tangents, i, m, constants, negated, rows[i % 2], rows[(i + 1) % 2]
        )
        total, total_tangent, total_exponent = scaled_sum(
            total, total_tangent, total_exponent, a, a_tangent, a_exponent
        )
    return total, total_tangent, total_exponent, kept


@njit(inline="always")
def _posterior(f, f_tangent, f_exponent, b, b_tangent, b_exponent, inverse, rate, exponent):
    """Probability f b / Z and its derivative; ``rate`` is the logarithmic derivative of Z."""
    scale = inverse * power_of_two(np.int32(np.int32(f_exponent + b_exponent) - exponent), inverse)
    probability = f * b * scale
    return probability, (f_tangent * b + f * b_tangent) * scale - probability * rate


@compiled
def backward(similarity, opening, extension, tangents, n, m, constants, negated, total, kept, values, changes):
    """Backward pass over one pair.

    Parameters
    ----------
    similarity, opening, extension, tangents, n, m, constants, negated
        As in :func:`forward`.
    total : tuple
        Value, tangent and exponent that :func:`forward` returned.
    kept : array
        Rows that :func:`forward` returned.
    values, changes : tuple of three arrays
        Filled with the derivatives of the score with respect to similarity, opening and extension and with their
        derivatives along the tangents. An array of shape (1, 1) receives the sum over the table.
    """
    zero = cast_like(0.0, constants[0])
    inverse = 1.0 / total[0] if total[0] != 0.0 else 0.0
    rate = total[1] * inverse
    exponent = total[2]
    block = np.empty((BLOCK_ROWS + 1, m + 1, 9), similarity.dtype)
    # Of the row below: w M, p Y and q Y of each cell, followed by an empty cell.
    below = np.empty((m + 1, 9), similarity.dtype)
    _clear(below)
    sums = np.zeros(4)
    for r in range(len(kept) - 1, -1, -1):
        first, last = r * BLOCK_ROWS, min((r + 1) * BLOCK_ROWS, n)
        block[0] = kept[r]
        for i in range(first, last):
            _clear(block[i - first + 1, :1])
            _forward_row(
                similarity, opening, extension, tangents, i, m, constants, negated,
                block[i - first], block[i - first + 1],
            )  # fmt: skip
        for i in range(last - 1, first - 1, -1):
            up, row = block[i - first], block[i - first + 1]
            diagonal, diagonal_tangent, diagonal_exponent = zero, zero, EMPTY
            px, px_tangent, px_exponent = zero, zero, EMPTY
            qx, qx_tangent, qx_exponent = zero, zero, EMPTY
            for j in range(m - 1, -1, -1):
                next_diagonal, next_tangent, next_exponent = _load(below, j, 0)
                py, py_tangent, py_exponent = _load(below, j, 3)
                qy, qy_tangent, qy_exponent = _load(below, j, 6)
                (
                    bm, bm_tangent, bm_exponent, bx, bx_tangent, bx_exponent, by, by_tangent, by_exponent,
                ) = scaled_backward_cell(
                    diagonal, diagonal_tangent, diagonal_exponent,
                    px, px_tangent, px_exponent,
                    qx, qx_tangent, qx_exponent,
                    py, py_tangent, py_exponent,
                    qy, qy_tangent, qy_exponent,
                )  # fmt: skip
                diagonal, diagonal_tangent, diagonal_exponent = next_diagonal, next_tangent, next_exponent

                f, f_tangent, f_exponent = _load(row, j + 1, 0)
                matched, matched_change = _posterior(
                    f, f_tangent, f_exponent, bm, bm_tangent, bm_exponent, inverse, rate, exponent
                )

                w, w_exponent, w_rate = _weight(similarity, tangents[0], i, j, constants)
                p, p_exponent, p_rate = _weight(opening, tangents[1], i, j, negated)
                q, q_exponent, q_rate = _weight(extension, tangents[2], i, j, negated)
                bm, bm_tangent, bm_exponent = scaled_product(bm, bm_tangent, bm_exponent, w, w_exponent, w_rate)
                px, px_tangent, px_exponent = scaled_product(bx, bx_tangent, bx_exponent, p, p_exponent, p_rate)
                qx, qx_tangent, qx_exponent = scaled_product(bx, bx_tangent, bx_exponent, q, q_exponent, q_rate)
                py, py_tangent, py_exponent = scaled_product(by, by_tangent, by_exponent, p, p_exponent, p_rate)
                qy, qy_tangent, qy_exponent = scaled_product(by, by_tangent, by_exponent, q, q_exponent, q_rate)
                _store(below, j, 0, bm, bm_tangent, bm_exponent)
                _store(below, j, 3, py, py_tangent, py_exponent)
                _store(below, j, 6, qy, qy_tangent, qy_exponent)

                f, f_tangent, f_exponent = _load(row, j, 0)
                opened, opened_change = _posterior(
                    f, f_tangent, f_exponent, px, px_tangent, px_exponent, inverse, rate, exponent
                )
                f, f_tangent, f_exponent = _load(row, j, 3)
                extended, extended_change = _posterior(
                    f, f_tangent, f_exponent, qx, qx_tangent, qx_exponent, inverse, rate, exponent
                )
                for k in range(0, 6, 3):
                    f, f_tangent, f_exponent = _load(up, j + 1, k)
                    a, a_change = _posterior(
                        f, f_tangent, f_exponent, py, py_tangent, py_exponent, inverse, rate, exponent
                    )
                    opened += a
                    opened_change += a_change
                f, f_tangent, f_exponent = _load(up, j + 1, 6)
                a, a_change = _posterior(f, f_tangent, f_exponent, qy, qy_tangent, qy_exponent, inverse, rate, exponent)
                extended += a
                extended_change += a_change

                _write(values[0], i, j, matched)
                _write(changes[0], i, j, matched_change)
                _write(values[1], i, j, -opened)
                _write(changes[1], i, j, -opened_change)
                _write(values[2], i, j, -extended)
                _write(changes[2], i, j, -extended_change)
                sums[0] -= opened
                sums[1] -= opened_change
                sums[2] -= extended
                sums[3] -= extended_change
    for k in range(2):
        if values[1 + k].shape == (1, 1):
            values[1 + k][0, 0] = sums[2 * k]
            changes[1 + k][0, 0] = sums[2 * k + 1]


@njit(inline="always")
def _write(array, i, j, value):
    array[min(i, array.shape[0] - 1), min(j, array.shape[1] - 1)] = value
