"""Soft Smith-Waterman over one tile of a table, forwards and backwards, on anti-diagonal storage.

One flat buffer holds everything, so that the compiler knows the distance between any two elements and vectorises
without checks for overlap. Cell (r, c) of the tile lies on diagonal ``d = r + c + 2``, at slot ``r + 1``; rows and
columns -1, R and C are the edges. A diagonal is ``FIELDS`` runs of ``WIDTH`` slots:

======  ==================================  ===============================================================
field   after the forward pass              after the backward pass
======  ==================================  ===============================================================
0 to 2  M, X, Y                             X, Y, exponent (as bits)
3       their exponent (as bits)            posterior of the match
4, 5    exp(S/t): mantissa, exponent        exp(S/t) M: mantissa, exponent
6, 7                                        probabilities that a gap opens into the cell, and that one extends
======  ==================================  ===============================================================
"""

import numpy as np
from numba import njit, uint64

from lactoolkit.kernels.cells import EMPTY, backward_cell, forward_cell, weight_of
from lactoolkit.kernels.kernel_cache import compiled
from lactoolkit.kernels.scaled_numbers import exponent_as_float, float_as_exponent, power_of_two

MAX_ROWS = 256
MAX_COLUMNS = 1024
WIDTH = 272
FIELDS = 8
_STRIDE = WIDTH * FIELDS


def buffer_size(rows: int, columns: int) -> int:
    """Elements of the buffer for a tile of this size."""
    return (rows + columns + 3) * _STRIDE


@njit(inline="always")
def _start(d, field):
    return uint64(d) * uint64(_STRIDE) + uint64(field * WIDTH)


@compiled
def load_weights(products, columns, scale, shift, constants, buffer):
    """Write exp(S/t) of the tile into the buffer, for ``S = scale * products - shift``.

    Parameters
    ----------
    products : ndarray, shape (R, at least columns)
    columns : int
    scale, shift : float
        Of the type of the products.
    constants : ndarray, shape (5,)
        ``temperature_constants`` of t.
    buffer : ndarray
    """
    rows, width = products.shape
    flat = products.reshape(rows * width)
    for d in range(2, rows + columns + 1):
        low = max(0, d - 1 - columns)
        count = min(rows - 1, d - 2) + 1 - low
        first = uint64(low * width + d - 2 - low)
        step = uint64(width - 1)
        mantissas = _start(d, 4) + uint64(low + 1)
        exponents = _start(d, 5) + uint64(low + 1)
        # Two loops: fetched one by one inside the arithmetic, the products would keep it from running on whole vectors.
        for k in range(uint64(count)):
            buffer[mantissas + k] = flat[first + k * step]
        for k in range(uint64(count)):
            mantissa, exponent = weight_of(
                scale * buffer[mantissas + k] - shift,
                constants[0], constants[1], constants[2], constants[3], constants[4],
            )  # fmt: skip
            buffer[mantissas + k] = mantissa
            buffer[exponents + k] = exponent_as_float(exponent, mantissa)


@njit(inline="always")
def _copy_state(states, index, buffer, d, slot):
    for field in range(4):
        buffer[_start(d, field) + uint64(slot)] = states[field, index]


@compiled
def forward_tile(buffer, rows, columns, opening, extension, gap_exponent, top, left):
    """Forward sums of a tile whose weights are loaded.

    Parameters
    ----------
    buffer : ndarray, shape (buffer_size(rows, columns),)
    rows, columns : int
    opening, extension, gap_exponent
        Mantissas of exp(-o/t) and exp(-e/t) and their common exponent.
    top : ndarray, shape (4, columns + 1)
        M, X, Y and exponent of the row above, from the column before the tile on; overwritten with the last row.
    left : ndarray, shape (4, rows)
        The same of the column before; overwritten with the last column.

    Returns
    -------
    total, exponent : float, int
        Sum of M over the tile as a scaled number.
    """
    last = rows + columns
    _copy_state(top, 0, buffer, 0, 0)
    for d in range(1, columns + 1):
        _copy_state(top, d, buffer, d, 0)
    for d in range(1, rows + 1):
        _copy_state(left, d - 1, buffer, d, d)
    highest = EMPTY
    for d in range(2, last + 1):
        low = max(0, d - 1 - columns)
        count = min(rows - 1, d - 2) + 1 - low
        here = _start(d, 0) + uint64(low + 1)
        before = here - uint64(_STRIDE)
        corner = before - uint64(_STRIDE + 1)
        for k in range(uint64(count)):
            left_match = buffer[before + k]
            left_gap_a = buffer[before + k + uint64(WIDTH)]
            left_exponent = float_as_exponent(buffer[before + k + uint64(3 * WIDTH)])
            above = before - uint64(1)
            up_open = buffer[above + k] + buffer[above + k + uint64(WIDTH)]
            up_gap_b = buffer[above + k + uint64(2 * WIDTH)]
            up_exponent = float_as_exponent(buffer[above + k + uint64(3 * WIDTH)])
            diagonal = buffer[corner + k] + buffer[corner + k + uint64(WIDTH)] + buffer[corner + k + uint64(2 * WIDTH)]
            diagonal_exponent = float_as_exponent(buffer[corner + k + uint64(3 * WIDTH)])
            weight = buffer[here + k + uint64(4 * WIDTH)]
            weight_exponent = float_as_exponent(buffer[here + k + uint64(5 * WIDTH)])
            match, gap_a, gap_b, exponent = forward_cell(
                weight, weight_exponent,
                diagonal, diagonal_exponent,
                left_match, left_gap_a, left_exponent,
                up_open, up_gap_b, up_exponent,
                opening, extension, gap_exponent,
            )  # fmt: skip
            buffer[here + k] = match
            buffer[here + k + uint64(WIDTH)] = gap_a
            buffer[here + k + uint64(2 * WIDTH)] = gap_b
            buffer[here + k + uint64(3 * WIDTH)] = exponent_as_float(exponent, match)
            highest = max(highest, exponent)
    for field in range(4):
        top[field, 0] = left[field, rows - 1]
        for c in range(columns):
            top[field, c + 1] = buffer[_start(rows + 1 + c, field) + uint64(rows)]
        for r in range(rows):
            left[field, r] = buffer[_start(columns + 1 + r, field) + uint64(r + 1)]
    return _sum_of_matches(buffer, rows, columns, highest), highest


@compiled
def _sum_of_matches(buffer, rows, columns, exponent):
    sums = np.zeros(rows)
    for d in range(2, rows + columns + 1):
        low = max(0, d - 1 - columns)
        count = min(rows - 1, d - 2) + 1 - low
        here = _start(d, 0) + uint64(low + 1)
        lanes = sums[low : low + count]
        for k in range(uint64(count)):
            match = buffer[here + k]
            shift = np.int32(float_as_exponent(buffer[here + k + uint64(3 * WIDTH)]) - exponent)
            lanes[k] += np.float64(match * power_of_two(shift, match))
    return sums.sum()


@compiled
def backward_tile(buffer, rows, columns, opening, extension, gap_exponent, inverse, exponent, below, right, corner):
    """Backward sums and posteriors of a tile whose forward sums are in the buffer.

    Parameters
    ----------
    buffer, rows, columns, opening, extension, gap_exponent
        As for :func:`forward_tile`.
    inverse, exponent : float, int
        1 / Z and minus the exponent of Z, for the sum Z of M over the whole table.
    below : ndarray, shape (4, columns)
        Of the row after the tile: Y and its exponent, exp(S/t) M and its exponent; overwritten with the first row.
    right : ndarray, shape (4, rows)
        Of the column after the tile: X instead of Y; overwritten with the first column.
    corner : ndarray, shape (4,)
        The cell after the last row and column.

    Returns
    -------
    opened, extended, matched : float
        Sums over the tile of the probabilities that a gap opens, that it extends, and that a pair is matched.
    """
    last = rows + columns
    for c in range(columns):
        at = _start(rows + c + 2, 0) + uint64(rows + 1)
        buffer[at + uint64(WIDTH)] = below[0, c]
        buffer[at + uint64(2 * WIDTH)] = below[1, c]
        buffer[at + uint64(4 * WIDTH)] = below[2, c]
        buffer[at + uint64(5 * WIDTH)] = below[3, c]
    for r in range(rows):
        at = _start(columns + r + 2, 0) + uint64(r + 1)
        buffer[at] = right[0, r]
        buffer[at + uint64(2 * WIDTH)] = right[1, r]
        buffer[at + uint64(4 * WIDTH)] = right[2, r]
        buffer[at + uint64(5 * WIDTH)] = right[3, r]
    at = _start(last + 2, 0) + uint64(rows + 1)
    buffer[at + uint64(4 * WIDTH)] = corner[2]
    buffer[at + uint64(5 * WIDTH)] = corner[3]
    for d in range(last, 1, -1):
        low = max(0, d - 1 - columns)
        count = min(rows - 1, d - 2) + 1 - low
        here = _start(d, 0) + uint64(low + 1)
        after = here + uint64(_STRIDE)
        beyond = after + uint64(_STRIDE + 1)
        before = here - uint64(_STRIDE)
        for k in range(uint64(count)):
            down = after + uint64(1)
            match, gap_a, gap_b, own = backward_cell(
                buffer[beyond + k + uint64(4 * WIDTH)],
                float_as_exponent(buffer[beyond + k + uint64(5 * WIDTH)]),
                buffer[after + k], float_as_exponent(buffer[after + k + uint64(2 * WIDTH)]), opening, extension,
                buffer[down + k + uint64(WIDTH)],
                float_as_exponent(buffer[down + k + uint64(2 * WIDTH)]), opening, extension,
                gap_exponent,
            )  # fmt: skip
            weight = buffer[here + k + uint64(4 * WIDTH)]
            weight_exponent = float_as_exponent(buffer[here + k + uint64(5 * WIDTH)])
            own_forward = buffer[here + k]
            own_exponent = float_as_exponent(buffer[here + k + uint64(3 * WIDTH)])
            left_match = buffer[before + k]
            left_gap_a = buffer[before + k + uint64(WIDTH)]
            left_exponent = float_as_exponent(buffer[before + k + uint64(3 * WIDTH)])
            above = before - uint64(1)
            up_open = buffer[above + k] + buffer[above + k + uint64(WIDTH)]
            up_gap_b = buffer[above + k + uint64(2 * WIDTH)]
            up_exponent = float_as_exponent(buffer[above + k + uint64(3 * WIDTH)])

            to_total = np.int32(own + exponent)
            probability = own_forward * match * (inverse * power_of_two(np.int32(own_exponent + to_total), match))
            to_total = np.int32(to_total + gap_exponent)
            via_a = gap_a * (inverse * power_of_two(np.int32(left_exponent + to_total), match))
            via_b = gap_b * (inverse * power_of_two(np.int32(up_exponent + to_total), match))
            buffer[here + k] = gap_a
            buffer[here + k + uint64(WIDTH)] = gap_b
            buffer[here + k + uint64(2 * WIDTH)] = exponent_as_float(own, match)
            buffer[here + k + uint64(3 * WIDTH)] = probability
            buffer[here + k + uint64(4 * WIDTH)] = weight * match
            buffer[here + k + uint64(5 * WIDTH)] = exponent_as_float(np.int32(weight_exponent + own), match)
            buffer[here + k + uint64(6 * WIDTH)] = opening * (left_match * via_a + up_open * via_b)
            buffer[here + k + uint64(7 * WIDTH)] = extension * (left_gap_a * via_a + up_gap_b * via_b)
    for c in range(columns):
        at = _start(c + 2, 0) + uint64(1)
        below[0, c] = buffer[at + uint64(WIDTH)]
        below[1, c] = buffer[at + uint64(2 * WIDTH)]
        below[2, c] = buffer[at + uint64(4 * WIDTH)]
        below[3, c] = buffer[at + uint64(5 * WIDTH)]
    for r in range(rows):
        at = _start(r + 2, 0) + uint64(r + 1)
        right[0, r] = buffer[at]
        right[1, r] = buffer[at + uint64(2 * WIDTH)]
        right[2, r] = buffer[at + uint64(4 * WIDTH)]
        right[3, r] = buffer[at + uint64(5 * WIDTH)]
    return _sum_of(buffer, rows, columns, 6), _sum_of(buffer, rows, columns, 7), _sum_of(buffer, rows, columns, 3)


@compiled
def _sum_of(buffer, rows, columns, field):
    sums = np.zeros(rows)
    for d in range(2, rows + columns + 1):
        low = max(0, d - 1 - columns)
        count = min(rows - 1, d - 2) + 1 - low
        here = _start(d, field) + uint64(low + 1)
        lanes = sums[low : low + count]
        for k in range(uint64(count)):
            lanes[k] += np.float64(buffer[here + k])
    return sums.sum()


@compiled
def unload_posterior(buffer, posterior, columns):
    """Copy the posteriors of a tile out of the buffer, into an array of shape (R, at least columns)."""
    rows, width = posterior.shape
    flat = posterior.reshape(rows * width)
    for d in range(2, rows + columns + 1):
        low = max(0, d - 1 - columns)
        count = min(rows - 1, d - 2) + 1 - low
        first = uint64(low * width + d - 2 - low)
        step = uint64(width - 1)
        here = _start(d, 3) + uint64(low + 1)
        for k in range(uint64(count)):
            flat[first + k * step] = buffer[here + k]
