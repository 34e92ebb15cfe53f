"""Tiles of a table on their way between memory and a warp.

A tile is what a warp needs of a table for one segment of 8 steps: lane l holds row l, at step k column
``first column + k - l``. It passes through shared memory, so that both the reads of memory and those of the lanes
are of neighbouring words.
"""

import numpy as np

from lactoolkit.kernels.cuda_warp import LANES, SEGMENT, bounded_weight, device_function, kept_exponent, scale_of
from lactoolkit.kernels.scaled_numbers import weight_of

TILE_STRIDE = 36
"""Words between two steps in a tile: lanes that write 4 rows of 8 columns hit 32 different banks."""
TILE = SEGMENT * TILE_STRIDE


@device_function
def is_inner(row_0, rows, first_column, columns):
    """Whether all cells of a tile lie in the table."""
    within_rows, within_columns = np.int32(row_0 + LANES) <= rows, np.int32(first_column + SEGMENT) <= columns
    return within_rows and first_column >= LANES - 1 and within_columns


@device_function
def fetch(array, start, row_0, rows, columns, stride, first_column, ahead, outside, lane):
    """Read the skewed tile of one segment, whose lane l holds columns ``first_column - l`` and on.

    ``start`` is the place of the table in ``array`` and ``stride`` the distance of two of its rows. Rows and columns
    have 32 bits, places 64. Cells outside ``rows`` x ``columns`` become ``outside``. Each lane gets 8 values that lie 8
    to a row in memory, as :func:`put_down` wants them.
    """
    column = np.int32(first_column + (lane & 7))
    first_row = lane >> 3
    place = start + np.int64(np.int32(row_0 + first_row)) * stride + np.int32(column - first_row)
    if is_inner(row_0, rows, first_column, columns):
        for i in range(SEGMENT):
            ahead[i] = array[np.uint64(place + i * (4 * stride - 4))]
    else:
        for i in range(SEGMENT):
            row = np.int32(4 * i + first_row)
            value = outside
            if np.int32(row_0 + row) < rows and column >= row and np.int32(column - row) < columns:
                value = array[np.uint64(place + i * (4 * stride - 4))]
            ahead[i] = value


@device_function
def put_down(ahead, tile, offset, lane):
    """Write what :func:`fetch` read to a tile in shared memory, where lane l finds its value of step k."""
    place = np.uint64(offset + (lane & 7) * TILE_STRIDE + (lane >> 3))
    for i in range(SEGMENT):
        tile[place + np.uint64(4 * i)] = ahead[i]


@device_function
def put_weights(ahead, tile, offset, lane, c0, c1, c2, c3, c4):
    """Write exp(value / t) of what :func:`fetch` read to two tiles, of mantissas and of exponents.

    Eight independent chains of arithmetic at once, and none of it where one cell waits for another.
    """
    place = np.uint64(offset + (lane & 7) * TILE_STRIDE + (lane >> 3))
    for i in range(SEGMENT):
        weight, exponent = weight_of(ahead[i], c0, c1, c2, c3, c4)
        tile[place + np.uint64(4 * i)] = weight
        tile[place + np.uint64(4 * i + TILE)] = kept_exponent(exponent, weight)


@device_function
def put_bounded_weights(
    ahead, tile, limit, row_0, rows, columns, first_column, lane, c0, c0_rest, c1, c2, c3, c4,
):  # fmt: skip
    """Write exp(value / t) as numbers, 0 outside, and return whether those inside are between 2**-limit and 2**limit.

    Of values that are not, wrong numbers are written.
    """
    place = np.uint64((lane & 7) * TILE_STRIDE + (lane >> 3))
    fits = True
    if is_inner(row_0, rows, first_column, columns):
        for i in range(SEGMENT):
            weight, octaves = bounded_weight(ahead[i], c0, c0_rest, c1, c2, c3, c4)
            tile[place + np.uint64(4 * i)] = weight
            fits = fits & (abs(octaves) <= limit)
    else:
        column = np.int32(first_column + (lane & 7))
        for i in range(SEGMENT):
            row = np.int32(4 * i + (lane >> 3))
            is_inside = (np.int32(row_0 + row) < rows) & (column >= row) & (np.int32(column - row) < columns)
            weight, octaves = bounded_weight(ahead[i], c0, c0_rest, c1, c2, c3, c4)
            tile[place + np.uint64(4 * i)] = weight if is_inside else c0 - c0
            fits = fits & ((abs(octaves) <= limit) | (not is_inside))
    return fits


@device_function
def put_penalties(ahead, tile, offset, lane, c0, c1, c2, c3, c4):
    """Write exp(-penalty / t) as numbers, and return the lowest exponent among them."""
    place = np.uint64(offset + (lane & 7) * TILE_STRIDE + (lane >> 3))
    lowest = np.int32(0)
    for i in range(SEGMENT):
        weight, exponent = weight_of(ahead[i], -c0, -c1, -c2, -c3, -c4)
        tile[place + np.uint64(4 * i)] = weight * scale_of(exponent, weight)
        lowest = min(lowest, exponent)
    return lowest


@device_function
def write_back(tile, offset, array, start, row_0, rows, columns, stride, first_column, lane):
    """Copy a tile to memory: the reverse of :func:`fetch` and :func:`put_down`."""
    column = np.int32(first_column + (lane & 7))
    first_row = lane >> 3
    word = np.uint64(offset + (lane & 7) * TILE_STRIDE + first_row)
    place = start + np.int64(np.int32(row_0 + first_row)) * stride + np.int32(column - first_row)
    if is_inner(row_0, rows, first_column, columns):
        for i in range(SEGMENT):
            array[np.uint64(place + i * (4 * stride - 4))] = tile[word + np.uint64(4 * i)]
    else:
        for i in range(SEGMENT):
            row = np.int32(4 * i + first_row)
            if np.int32(row_0 + row) < rows and column >= row and np.int32(column - row) < columns:
                array[np.uint64(place + i * (4 * stride - 4))] = tile[word + np.uint64(4 * i)]
