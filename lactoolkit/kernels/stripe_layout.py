"""Skewed storage for the CPU kernels: a table is cut into stripes of ``LANES`` rows, each swept along anti-diagonals.

Lane l of step d of a stripe is the cell in the stripe's row l and column d - l. All lanes of a step depend on earlier
steps alone, so that a step is one loop without dependences, which compiles to vector instructions. The states of all
steps lie one after the other on a *tape*, a flat array:

    tape[(d - origin + 2) * SLOTS * PITCH + slot * PITCH + EDGE + l]        l = -1 .. LANES

so that a cell's neighbours lie at distances known at compile time, and loops need no checks for overlap. Lanes -1 and
LANES hold the neighbouring stripes' adjacent rows. Steps that lie outside the table (two before, two after, and the
corners of the skewed rectangle) hold forbidden pairs and empty states. A tape holds one group of chunks of steps, small
enough for the second-level cache, and two steps before and after it.

Of a step, only the blocks of ``BLOCK`` lanes that have a cell in the table are computed; blocks beyond the table's last
row never are. Around its time in the table, a block's cells are empty for as long as neighbours look at them.

Slots on the way forward: similarity, then weight mantissa and exponent; M, X, Y and their exponent. On the way back
each step is overwritten: weight times M with exponent, the posterior, X, Y and their exponent. The last four slots hold
tangents: the logarithmic derivative of the weight, and those of M, X and Y.

Penalties have a tape of their own, p, q and their logarithmic derivatives; its steps have length zero where one pair of
penalties serves the whole table. Exponents are stored bit by bit in floating-point slots.
"""

import numpy as np

from lactoolkit.kernels.kernel_cache import compiled
from lactoolkit.kernels.scaled_numbers import EMPTY, exponent_as_float
from lactoolkit.kernels.transposition import copy_transposed, tile_edge

LANES = 128
BLOCK = 16
"""Lanes that are computed or left out together."""
PITCH = LANES + 16
EDGE = 16
CHUNK = 64
"""Steps that are filled, swept and read out together."""
GROUP = 2
"""Chunks that a tape holds, unless it is to be kept."""

WEIGHT, WEIGHT_EXPONENT, MATCH, GAP_A, GAP_B, EXPONENT = (k * PITCH for k in range(6))
WEIGHT_RATE, MATCH_TANGENT, GAP_A_TANGENT, GAP_B_TANGENT = (k * PITCH for k in range(6, 10))
STEP = 6 * PITCH
TANGENT_STEP = 10 * PITCH

OPENING, EXTENSION, OPENING_RATE, EXTENSION_RATE = (k * PITCH for k in range(4))
GAP_STEP = 4 * PITCH

FORWARD_STATES = (MATCH, GAP_A, GAP_B, EXPONENT)
BACKWARD_STATES = (WEIGHT, WEIGHT_EXPONENT, GAP_B, EXPONENT)


@compiled
def count_stripes(n):
    """Number of stripes of a table with n rows."""
    return (n + LANES - 1) // LANES


@compiled
def count_lanes(n, first_row):
    """Lanes of a stripe that are computed: its rows, rounded up to whole blocks."""
    return min((n - first_row + BLOCK - 1) // BLOCK * BLOCK, LANES)


@compiled
def count_steps(n, m):
    """Number of steps of each stripe of a table of n rows and m columns."""
    return m + count_lanes(n, 0) - 1


@compiled
def count_chunks(n, m):
    """Number of chunks of each stripe."""
    return (count_steps(n, m) + CHUNK - 1) // CHUNK


@compiled
def count_groups(n, m, span):
    """Number of groups of ``span`` chunks of each stripe."""
    return (count_chunks(n, m) + span - 1) // span


@compiled
def chunk_steps(chunk, n, m):
    """First step of a chunk and the one after its last."""
    return chunk * CHUNK, min((chunk + 1) * CHUNK, count_steps(n, m))


@compiled
def clear_steps(tape, step, first):
    """Empty two steps of a tape, counted from its beginning."""
    empty = exponent_as_float(EMPTY, tape[0])
    start = first * step + EDGE - 1
    tape[start : start + 2 * step] = 0.0
    for offset in (start, start + step):
        tape[offset + EXPONENT : offset + EXPONENT + PITCH] = empty


@compiled
def get_steps(tape, step, first, steps):
    """Copy two steps of a tape, counted from its beginning."""
    start = first * step + EDGE - 1
    # Not an assignment of slices: that compiles a message of shapes that differ, for a second or two.
    for k in range(2 * step):
        steps[k] = tape[start + k]


@compiled
def set_steps(tape, step, first, steps):
    """Bring back what :func:`get_steps` copied."""
    start = first * step + EDGE - 1
    for k in range(2 * step):
        tape[start + k] = steps[k]


@compiled
def active_lanes(step, m, lanes):
    """First lane and number of lanes of the blocks that have a cell in the table at a step."""
    first = max(step - m + 1, 0) // BLOCK * BLOCK
    # Bounds that the compiler knows spare the loops the test for negative indices.
    return first, min(max(min(lanes, step // BLOCK * BLOCK + BLOCK) - first, 0), LANES)


@compiled
def clear_corners(tape, step, origin, m, lanes, start, stop):
    """Empty the cells of each block before it enters the table and after it has left, within steps start..stop-1."""
    empty = exponent_as_float(EMPTY, tape[0])
    for block in range(0, lanes, BLOCK):
        for first in (block - BLOCK, m + block + BLOCK - 1):
            for d in range(max(first, start), min(first + BLOCK, stop)):
                cells = tape[(d - origin + 2) * step + EDGE + block : (d - origin + 3) * step + EDGE + block]
                for slot in range(0, step, PITCH):
                    for l in range(BLOCK):
                        cells[slot + l] = 0.0
                for l in range(BLOCK):
                    cells[EXPONENT + l] = empty


@compiled
def _skew_rows(tape, step, origin, slot, table, scale, first, last, first_row, n, m, start, stop, outside):
    """:func:`skew` of lanes first..last-1, one number after the other."""
    # Unsigned indices spare the test for negative ones, which costs more than the copy.
    stride = np.uint64(step)
    for l in range(first, last):
        place = np.uint64((start - origin + 2) * step + slot + EDGE + l)
        inside = first_row + l < n
        low = min(max(start, l), stop) if inside else stop
        high = max(min(stop, m + l), low) if inside else stop
        for _ in range(start, low):
            tape[place] = outside
            place += stride
        if high > low:
            for value in table[first_row + l, low - l : high - l]:
                tape[place] = value * scale
                place += stride
        for _ in range(high, stop):
            tape[place] = outside
            place += stride


@compiled
def skew(tape, step, origin, slot, table, scale, lanes, first_row, n, m, start, stop, outside):
    """Bring the cells of steps start..stop-1 onto the tape, times ``scale``; ``outside`` where there is none.

    ``lanes`` is a multiple of ``BLOCK``. The table is C-contiguous.
    """
    edge = tile_edge(tape)
    width = table.shape[1]
    for first in range(0, lanes, edge):
        rows = min(max(n - first_row - first, 0), edge)
        for d in range(start, stop, edge):
            end = min(d + edge, stop)
            column = d - first
            source = (first_row + first) * width + column
            target = (d - origin + 2) * step + slot + EDGE + first
            is_empty = rows == 0 or column + edge <= 0 or column - edge + 1 >= m
            # Beyond the ends of a row lie others: what comes from there is replaced, but must lie within the table.
            is_whole = end == d + edge and source >= 0 and source + (edge - 1) * width < table.size
            if is_whole and not is_empty:
                copy_transposed(table, source, width - 1, tape, target, step, scale)
                if rows == edge and column >= edge - 1 and column + edge <= m:
                    continue
            elif not is_empty:
                _skew_rows(
                    tape, step, origin, slot, table, scale, first, first + edge, first_row, n, m, d, end, outside
                )
                continue
            for k in range(end - d):
                row = tape[target + k * step : target + k * step + edge]
                for l in range(edge):
                    row[l] = row[l] if not is_empty and l < rows and 0 <= column + k - l < m else outside


@compiled
def skew_with_next(tape, step, origin, slot, table, scale, lanes, first_row, n, m, start, stop, outside):
    """:func:`skew`, and one lane more."""
    skew(tape, step, origin, slot, table, scale, lanes, first_row, n, m, start, stop, outside)
    last = lanes + 1
    _skew_rows(tape, step, origin, slot, table, scale, lanes, last, first_row, n, m, start, stop, outside)


@compiled
def unskew(tape, step, origin, slot, table, sign, first_row, n, m, start, stop):
    """Bring the lanes of steps start..stop-1 back into the table, times ``sign``."""
    edge = tile_edge(tape)
    width = table.shape[1]
    flat = table.reshape(table.size)
    for first in range(0, min(LANES, n - first_row), edge):
        last = min(first + edge, n - first_row)
        for d in range(start, stop, edge):
            end = min(d + edge, stop)
            column = d - first
            if last == first + edge and end == d + edge and column >= edge - 1 and column + edge <= m:
                target = (first_row + first) * width + column
                copy_transposed(tape, (d - origin) * step + slot + first, step, table, target, width - 1, sign)
                continue
            for l in range(first, last):
                low, high = max(d - l, 0), min(end - l, m)
                # Unsigned indices spare the test for negative ones, which costs more than the copy.
                place = np.uint64((low + l - origin) * step + slot + l)
                target_place = np.uint64((first_row + l) * width + low)
                for _ in range(high - low):
                    flat[target_place] = tape[place] * sign
                    place += np.uint64(step)
                    target_place += np.uint64(1)


@compiled
def place_above(tape, step, origin, edge, m, start, stop):
    """Lane -1: the row above, for the sweep forward over steps start..stop-1."""
    empty = exponent_as_float(EMPTY, tape[0])
    for j in range(start, stop):
        offset = (j - origin + 1) * step + EDGE - 1
        if j < m:
            tape[offset + MATCH] = edge[j, 0]
            tape[offset + GAP_A] = edge[j, 1]
            tape[offset + GAP_B] = edge[j, 2]
            tape[offset + EXPONENT] = edge[j, 3]
            if step == TANGENT_STEP:
                tape[offset + MATCH_TANGENT] = edge[j, 4]
                tape[offset + GAP_A_TANGENT] = edge[j, 5]
                tape[offset + GAP_B_TANGENT] = edge[j, 6]
        else:
            for slot in range(0, step, PITCH):
                tape[offset + slot] = 0.0
            tape[offset + EXPONENT] = empty


@compiled
def take_last(tape, step, origin, edge, m, start, stop):
    """The stripe's last row as steps start..stop-1 left it, for the stripe below."""
    for j in range(max(start - (LANES - 1), 0), min(stop - (LANES - 1), m)):
        offset = (j - origin + LANES + 1) * step + EDGE + LANES - 1
        edge[j, 0] = tape[offset + MATCH]
        edge[j, 1] = tape[offset + GAP_A]
        edge[j, 2] = tape[offset + GAP_B]
        edge[j, 3] = tape[offset + EXPONENT]
        if step == TANGENT_STEP:
            edge[j, 4] = tape[offset + MATCH_TANGENT]
            edge[j, 5] = tape[offset + GAP_A_TANGENT]
            edge[j, 6] = tape[offset + GAP_B_TANGENT]


@compiled
def place_below(tape, step, origin, edge, m, lanes, start, stop):
    """The lane after the last: the row below, for the sweep back over steps stop-1..start."""
    empty = exponent_as_float(EMPTY, tape[0])
    for j in range(start + 1 - lanes, stop + 2 - lanes):
        offset = (j - origin + lanes + 2) * step + EDGE + lanes
        if 0 <= j < m:
            tape[offset + WEIGHT] = edge[j, 0]
            tape[offset + WEIGHT_EXPONENT] = edge[j, 1]
            tape[offset + GAP_B] = edge[j, 2]
            tape[offset + EXPONENT] = edge[j, 3]
            if step == TANGENT_STEP:
                tape[offset + MATCH_TANGENT] = edge[j, 4]
                tape[offset + GAP_B_TANGENT] = edge[j, 5]
        else:
            for slot in range(0, step, PITCH):
                tape[offset + slot] = 0.0
            tape[offset + EXPONENT] = empty


@compiled
def take_first(tape, step, origin, edge, m, start, stop):
    """The stripe's first row as the sweep back over steps stop-1..start left it, for the stripe above."""
    for j in range(start, min(stop, m)):
        offset = (j - origin + 2) * step + EDGE
        edge[j, 0] = tape[offset + WEIGHT]
        edge[j, 1] = tape[offset + WEIGHT_EXPONENT]
        edge[j, 2] = tape[offset + GAP_B]
        edge[j, 3] = tape[offset + EXPONENT]
        if step == TANGENT_STEP:
            edge[j, 4] = tape[offset + MATCH_TANGENT]
            edge[j, 5] = tape[offset + GAP_B_TANGENT]


@compiled
def clear_edge(edge):
    """A row outside the table, as seen by either sweep (the way back ignores exponents of zeros up to 0)."""
    empty = exponent_as_float(EMPTY, edge[0, 0])
    for j in range(edge.shape[0]):
        for k in range(edge.shape[1]):
            edge[j, k] = 0.0
        edge[j, 3] = empty
