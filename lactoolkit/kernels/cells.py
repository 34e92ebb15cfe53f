"""The mathematics of one cell of the soft Smith-Waterman table, for CPU and CUDA kernels alike.

Every function takes scalars and returns scalars, so that it can be inlined into an ``@njit`` loop and into a
``@cuda.jit`` kernel. Kernels decide how the table is traversed and stored; nothing else.

Recursion
---------
The recursion runs in the probability domain. With ``w = exp(S/t)``, ``p = exp(-o/t)`` and ``q = exp(-e/t)``,
forward sums over all alignments that end in a cell are

    M[i,j] = w[i,j] (1 + M[i-1,j-1] + X[i-1,j-1] + Y[i-1,j-1])
    X[i,j] = p[i,j] M[i,j-1] + q[i,j] X[i,j-1]
    Y[i,j] = p[i,j] (M[i-1,j] + X[i-1,j]) + q[i,j] Y[i-1,j]

and backward sums over all ways to go on from a cell are

    M[i,j] = 1 + w M[i+1,j+1] + p X[i,j+1] + p Y[i+1,j]
    X[i,j] =     w M[i+1,j+1] + q X[i,j+1] + p Y[i+1,j]
    Y[i,j] =     w M[i+1,j+1]              + q Y[i+1,j]        (w, p, q those of the cell that is entered)

Values are scaled numbers (see :mod:`lactoolkit.kernels.scaled_numbers`); there is no exp and no log in the recursion.

Two families of cells
---------------------
``forward_cell`` and ``backward_cell`` give the three mantissas of a cell one exponent in common: one that is smaller
than the largest by more than the range of the type becomes zero. That is harmless as long as no transition can bring
the smaller one back on top, which is certain while all penalties of a pair lie within ``shared_exponent_limit``
(in octaves: penalty / (t ln 2)) of each other. Beyond it, for instance with o = 1, e = 0.1, t = 1e-3, the best
alignment itself may run through a gap state that is exp(-500) below the match state of its cell. There,
``scaled_forward_cell`` and ``scaled_backward_cell`` are right: each of the three states has an exponent of its own.
"""

import numpy as np
from numba import njit

from lactoolkit.kernels.scaled_numbers import (
    EMPTY,
    cast_like,
    fraction_of_two,
    is_double,
    normalised,
    scaled_product,
    scaled_sum,
    temperature_constants,
    weight_of,
)

__all__ = [
    "EMPTY",
    "backward_cell",
    "backward_cell_tangent",
    "forward_cell",
    "forward_cell_tangent",
    "most_octaves_apart",
    "scaled_backward_cell",
    "scaled_forward_cell",
    "shared_exponent_limit",
    "temperature_constants",
    "weight_of",
]


@njit(inline="always")
def most_octaves_apart(is_float64, extension_is_dearer):
    """Largest spread of a pair's penalties, in octaves (penalty / (t ln 2)), for which one exponent a cell suffices.

    What is lost lies below 2**-126 (2**-1022) of its cell; it returns multiplied by at most 2**spread, and must then
    still be negligible. A derivative is a forward sum times a backward sum. If extending a gap costs no more than
    opening it, only one of the two can be as small as 2**-spread of its cell where the product counts; if it is dearer,
    both can, and the product must not leave the range either.
    """
    limit = np.float64(900.0) if is_float64 else np.float64(80.0)
    return np.float64(0.5) * limit if extension_is_dearer else limit


@njit(inline="always")
def shared_exponent_limit(like, extension_is_dearer):
    """:func:`most_octaves_apart` for the floating-point type of ``like``."""
    return most_octaves_apart(is_double(like), extension_is_dearer)


# ---------------------------------------------------------------------------------------------------------------------
# One exponent a cell
# ---------------------------------------------------------------------------------------------------------------------


@njit(inline="always")
def forward_cell(
    weight, weight_exponent,
    diagonal, diagonal_exponent,
    left_match, left_gap_a, left_exponent,
    up_open, up_gap_b, up_exponent,
    opening, extension, gap_exponent,
):  # fmt: skip
    """Forward sums M, X, Y of a cell.

    Parameters
    ----------
    weight, weight_exponent
        exp(S/t) of this cell.
    diagonal, diagonal_exponent
        M + X + Y of cell (i-1, j-1).
    left_match, left_gap_a, left_exponent
        M and X of cell (i, j-1).
    up_open, up_gap_b, up_exponent
        M + X and Y of cell (i-1, j).
    opening, extension, gap_exponent
        p and q of this cell; one exponent for both.

    Returns
    -------
    tuple
        M, X, Y and their exponent. Cells outside the table are 0, 0, 0, EMPTY.
    """
    start = np.int32(max(diagonal_exponent, np.int32(0)) + weight_exponent)
    gap = np.int32(max(left_exponent, up_exponent) + gap_exponent)
    exponent = max(start, gap)
    here = np.int32(weight_exponent - exponent)
    match = weight * (
        diagonal * fraction_of_two(np.int32(diagonal_exponent + here), weight) + fraction_of_two(here, weight)
    )
    there = np.int32(gap_exponent - exponent)
    gap_a = (opening * left_match + extension * left_gap_a) * fraction_of_two(np.int32(left_exponent + there), weight)
    gap_b = (opening * up_open + extension * up_gap_b) * fraction_of_two(np.int32(up_exponent + there), weight)
    factor, exponent = normalised(match, gap_a, gap_b, exponent)
    return match * factor, gap_a * factor, gap_b * factor, exponent


@njit(inline="always")
def backward_cell(
    diagonal, diagonal_exponent,
    right_gap_a, right_exponent, right_opening, right_extension,
    down_gap_b, down_exponent, down_opening, down_extension,
    gap_exponent,
):  # fmt: skip
    """Backward sums M, X, Y of a cell.

    Parameters
    ----------
    diagonal, diagonal_exponent
        exp(S/t) times M of cell (i+1, j+1).
    right_gap_a, right_exponent, right_opening, right_extension
        X, p and q of cell (i, j+1).
    down_gap_b, down_exponent, down_opening, down_extension
        Y, p and q of cell (i+1, j).
    gap_exponent
        Exponent of p and q.

    Returns
    -------
    tuple
        M, X, Y and their exponent.
    """
    right_exponent = np.int32(right_exponent + gap_exponent)
    down_exponent = np.int32(down_exponent + gap_exponent)
    exponent = max(max(diagonal_exponent, np.int32(0)), max(right_exponent, down_exponent))
    onward = diagonal * fraction_of_two(np.int32(diagonal_exponent - exponent), diagonal)
    right = right_gap_a * fraction_of_two(np.int32(right_exponent - exponent), diagonal)
    down = down_gap_b * fraction_of_two(np.int32(down_exponent - exponent), diagonal)
    gap_b = onward + down_extension * down
    turn = onward + down_opening * down
    gap_a = turn + right_extension * right
    match = turn + right_opening * right + fraction_of_two(np.int32(-exponent), diagonal)
    factor, exponent = normalised(match, gap_a, gap_b, exponent)
    return match * factor, gap_a * factor, gap_b * factor, exponent


@njit(inline="always")
def forward_cell_tangent(
    weight, weight_exponent, weight_rate,
    diagonal, diagonal_tangent, diagonal_exponent,
    left_match, left_gap_a, left_match_tangent, left_gap_a_tangent, left_exponent,
    up_open, up_gap_b, up_open_tangent, up_gap_b_tangent, up_exponent,
    opening, extension, opening_rate, extension_rate, gap_exponent,
):  # fmt: skip
    """:func:`forward_cell` with dual numbers: M, X, Y, their derivatives along a direction, and one exponent for all.

    Rates are logarithmic derivatives of the weights along that direction: of exp(S/t), p and q.
    """
    start = np.int32(max(diagonal_exponent, np.int32(0)) + weight_exponent)
    gap = np.int32(max(left_exponent, up_exponent) + gap_exponent)
    exponent = max(start, gap)
    here = np.int32(weight_exponent - exponent)
    scale = weight * fraction_of_two(np.int32(diagonal_exponent + here), weight)
    match = scale * diagonal + weight * fraction_of_two(here, weight)
    match_tangent = scale * diagonal_tangent + weight_rate * match
    there = np.int32(gap_exponent - exponent)
    scale = fraction_of_two(np.int32(left_exponent + there), weight)
    opened = opening * left_match
    extended = extension * left_gap_a
    gap_a = (opened + extended) * scale
    gap_a_tangent = (
        opening * left_match_tangent
        + opening_rate * opened
        + extension * left_gap_a_tangent
        + extension_rate * extended
    ) * scale
    scale = fraction_of_two(np.int32(up_exponent + there), weight)
    opened = opening * up_open
    extended = extension * up_gap_b
    gap_b = (opened + extended) * scale
    gap_b_tangent = (
        opening * up_open_tangent + opening_rate * opened + extension * up_gap_b_tangent + extension_rate * extended
    ) * scale
    factor, exponent = normalised(match, gap_a, gap_b, exponent)
    return (
        match * factor, gap_a * factor, gap_b * factor,
        match_tangent * factor, gap_a_tangent * factor, gap_b_tangent * factor,
        exponent,
    )  # fmt: skip


@njit(inline="always")
def backward_cell_tangent(
    diagonal, diagonal_tangent, diagonal_exponent,
    right_gap_a, right_gap_a_tangent, right_exponent,
    right_opening, right_extension, right_opening_rate, right_extension_rate,
    down_gap_b, down_gap_b_tangent, down_exponent,
    down_opening, down_extension, down_opening_rate, down_extension_rate,
    gap_exponent,
):  # fmt: skip
    """:func:`backward_cell` with dual numbers; ``diagonal_tangent`` includes the change of exp(S/t)."""
    right_exponent = np.int32(right_exponent + gap_exponent)
    down_exponent = np.int32(down_exponent + gap_exponent)
    exponent = max(max(diagonal_exponent, np.int32(0)), max(right_exponent, down_exponent))
    scale = fraction_of_two(np.int32(diagonal_exponent - exponent), diagonal)
    onward, onward_tangent = diagonal * scale, diagonal_tangent * scale
    scale = fraction_of_two(np.int32(right_exponent - exponent), diagonal)
    right, right_tangent = right_gap_a * scale, right_gap_a_tangent * scale
    scale = fraction_of_two(np.int32(down_exponent - exponent), diagonal)
    down, down_tangent = down_gap_b * scale, down_gap_b_tangent * scale

    gap_b = onward + down_extension * down
    gap_b_tangent = onward_tangent + down_extension * (down_tangent + down_extension_rate * down)
    turn = onward + down_opening * down
    turn_tangent = onward_tangent + down_opening * (down_tangent + down_opening_rate * down)
    gap_a = turn + right_extension * right
    gap_a_tangent = turn_tangent + right_extension * (right_tangent + right_extension_rate * right)
    match = turn + right_opening * right + fraction_of_two(np.int32(-exponent), diagonal)
    match_tangent = turn_tangent + right_opening * (right_tangent + right_opening_rate * right)
    factor, exponent = normalised(match, gap_a, gap_b, exponent)
    return (
        match * factor, gap_a * factor, gap_b * factor,
        match_tangent * factor, gap_a_tangent * factor, gap_b_tangent * factor,
        exponent,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# One exponent a state: right for any penalties. A scaled number is (value, tangent, exponent), value in [1, 2) or 0.
# ---------------------------------------------------------------------------------------------------------------------


@njit(inline="always")
def scaled_forward_cell(
    weight, weight_exponent, weight_rate,
    diagonal, diagonal_tangent, diagonal_exponent,
    left_match, left_match_tangent, left_match_exponent,
    left_gap_a, left_gap_a_tangent, left_gap_a_exponent,
    up_open, up_open_tangent, up_open_exponent,
    up_gap_b, up_gap_b_tangent, up_gap_b_exponent,
    opening, opening_exponent, opening_rate,
    extension, extension_exponent, extension_rate,
):  # fmt: skip
    """:func:`forward_cell_tangent` where each state has its own exponent.

    Returns M, X and Y, each as value, tangent, exponent: nine numbers. ``diagonal`` is M + X + Y of cell (i-1, j-1),
    ``up_open`` M + X of cell (i-1, j).
    """
    one = cast_like(1.0, weight)
    zero = cast_like(0.0, weight)
    total, change, exponent = scaled_sum(diagonal, diagonal_tangent, diagonal_exponent, one, zero, np.int32(0))
    m, m_tangent, m_exponent = scaled_product(total, change, exponent, weight, weight_exponent, weight_rate)
    a, a_tangent, a_exponent = scaled_product(
        left_match, left_match_tangent, left_match_exponent, opening, opening_exponent, opening_rate
    )
    b, b_tangent, b_exponent = scaled_product(
        left_gap_a, left_gap_a_tangent, left_gap_a_exponent, extension, extension_exponent, extension_rate
    )
    x, x_tangent, x_exponent = scaled_sum(a, a_tangent, a_exponent, b, b_tangent, b_exponent)
    a, a_tangent, a_exponent = scaled_product(
        up_open, up_open_tangent, up_open_exponent, opening, opening_exponent, opening_rate
    )
    b, b_tangent, b_exponent = scaled_product(
        up_gap_b, up_gap_b_tangent, up_gap_b_exponent, extension, extension_exponent, extension_rate
    )
    y, y_tangent, y_exponent = scaled_sum(a, a_tangent, a_exponent, b, b_tangent, b_exponent)
    return m, m_tangent, m_exponent, x, x_tangent, x_exponent, y, y_tangent, y_exponent


@njit(inline="always")
def scaled_backward_cell(
    diagonal, diagonal_tangent, diagonal_exponent,
    right_opened, right_opened_tangent, right_opened_exponent,
    right_extended, right_extended_tangent, right_extended_exponent,
    down_opened, down_opened_tangent, down_opened_exponent,
    down_extended, down_extended_tangent, down_extended_exponent,
):  # fmt: skip
    """:func:`backward_cell_tangent` where each state has its own exponent.

    ``diagonal`` is exp(S/t) times M of cell (i+1, j+1); ``right_opened`` and ``right_extended`` are p and q times X of
    cell (i, j+1); ``down_opened`` and ``down_extended`` are p and q times Y of cell (i+1, j). Returns M, X, Y, each as
    value, tangent, exponent.
    """
    one = cast_like(1.0, diagonal)
    zero = cast_like(0.0, diagonal)
    y, y_tangent, y_exponent = scaled_sum(
        diagonal, diagonal_tangent, diagonal_exponent, down_extended, down_extended_tangent, down_extended_exponent
    )
    turn, turn_tangent, turn_exponent = scaled_sum(
        diagonal, diagonal_tangent, diagonal_exponent, down_opened, down_opened_tangent, down_opened_exponent
    )
    x, x_tangent, x_exponent = scaled_sum(
        turn, turn_tangent, turn_exponent, right_extended, right_extended_tangent, right_extended_exponent
    )
    a, a_tangent, a_exponent = scaled_sum(
        turn, turn_tangent, turn_exponent, right_opened, right_opened_tangent, right_opened_exponent
    )
    m, m_tangent, m_exponent = scaled_sum(a, a_tangent, a_exponent, one, zero, np.int32(0))
    return m, m_tangent, m_exponent, x, x_tangent, x_exponent, y, y_tangent, y_exponent
