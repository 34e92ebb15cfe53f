"""Sweeps over a few steps whose numbers stay within the range of the type: one exponent a lane in place of one a cell.

Most tables are tame: exp(S/t) lies within some octaves of 1, and so do p and q. Then neighbouring cells cannot differ
by much, and all cells of a lane share one exponent over a segment of a few steps. What comes from the lane beside is
multiplied by one power of two, and no bit arithmetic is left in the loop. What a segment leaves on the tape is what the
exact sweeps of :mod:`.stripe_sweeps` would, but for mantissas that are not normalised, so that both can take turns.

Why this is right
-----------------
Numbers are meant relative to the power of two of their lane: the largest state of the lane where the segment begins, or
1 if that is larger. What is below the smallest normal number is lost.

- From one column to the next, the states of a cell fall by at most ``drop`` octaves, the larger of -log2 p and -log2 q:
  M and X go on into X, and Y comes from the row above, where the same holds. Backwards M and X come from X. A segment
  is so short that all of it stays above 2**-``reach_of``. What is lost is less than 2**(``reach_of`` - 126) of its cell
  (float32), and can gain no more than two drops on it: it costs as much to extend the gap of the one as of the other.
- Where a lane is far below 1, what is lost is less than 2**-126 of a local start, which every match offers as well.
  Matches themselves are not lost, since exp(S/t) is bounded below.
- Infinities and NaN do not go away within a lane (X keeps them), so that it is enough to look at the end of a segment
  whether they have appeared. Then it is swept again with an exponent for each cell.

Penalties per cell have no ``drop``; their tables are swept exactly.
"""

import numpy as np
from numba import njit

from lactoolkit.kernels.kernel_cache import compiled
from lactoolkit.kernels.scaled_numbers import (
    EMPTY,
    bounded_weight,
    cast_like,
    exponent_as_float,
    exponent_of,
    float_as_exponent,
    fraction_of_two,
    is_double,
    power_of_two,
)
from lactoolkit.kernels.stripe_layout import (
    BLOCK,
    EDGE,
    EXPONENT,
    GAP_A,
    GAP_B,
    MATCH,
    PITCH,
    STEP,
    WEIGHT,
    WEIGHT_EXPONENT,
)
from lactoolkit.kernels.stripe_sweeps import (
    BACK_0,
    BACK_1,
    BACK_2,
    BACK_LAST,
    FORWARD_0,
    FORWARD_1,
    FORWARD_2,
    SUM_EXPONENT,
)

SEGMENT = 8
"""Steps of a segment; a divisor of ``BLOCK``, so that blocks of lanes enter the table between segments."""

LANE_ROWS = 9
"""Rows of ``PITCH`` numbers that hold what there is one of for each lane."""
_EXPONENT, _START, _INFLOW, _DIAGONAL, _SUM = (EDGE + k * PITCH for k in range(5))
_FORWARD_SHARE, _BACKWARD_SHARE, _ABOVE_SHARE, _OPENED, _EXTENDED = (EDGE + k * PITCH for k in range(4, 9))
_MARK = 4
"""Place in a step, before its lanes, that tells whether a segment begins here that was swept with bounds."""


@njit(inline="always")
def reach_of(like):
    """Octaves by which numbers may leave those that a segment begins with."""
    return cast_like(500.0, like) if is_double(like) else cast_like(60.0, like)


@compiled
def is_tame(similarity, opening, extension, n, m, constants):
    """Whether segments of a pair may be swept with one exponent a lane."""
    if opening.size > 1:
        return False
    reach = reach_of(constants[0])
    drop = np.float64(max(opening[0, 0], extension[0, 0])) * constants[0]
    if not SEGMENT * drop < reach:
        return False
    # Values that grow by more for each match leave the range within a segment.
    high = cast_like(0.2 * reach, reach) / constants[0]
    is_large = False
    for i in range(n):
        row = similarity[i, :m]
        for j in range(m):
            is_large |= not abs(row[j]) <= high
    if not is_large:
        return True
    low = -reach / constants[0]
    is_high, is_low = False, False
    for i in range(n):
        row = similarity[i, :m]
        for j in range(m):
            # Written so that NaN is high
            is_high |= not row[j] <= high
            is_low |= (row[j] < low) & (row[j] > -np.inf)
    return not (is_high or is_low)


@compiled
def segment_stop(step, stop, m):
    """Where a segment ends that begins at a step: before ``stop``, and before blocks of lanes leave the table."""
    leaving = step + BLOCK - (step - (m + BLOCK - 1)) % BLOCK if step >= m + BLOCK - 1 else m + BLOCK - 1
    return min(min(stop, (step // SEGMENT + 1) * SEGMENT), leaving)


@compiled
def segment_start(end, start, m):
    """Where the segment begins that ends before step ``end``."""
    last = end - 1
    leaving = last - (last - (m + BLOCK - 1)) % BLOCK if last >= m + BLOCK - 1 else start
    return max(max(start, last // SEGMENT * SEGMENT), leaving)


@compiled
def mark_segment(tape, step, is_bounded):
    """Note on the tape whether the segment that begins at a step was swept with bounds."""
    tape[(step + 2) * STEP + _MARK] = 1.0 if is_bounded else 0.0


@compiled
def is_bounded_segment(tape, step):
    """What :func:`mark_segment` noted."""
    return tape[(step + 2) * STEP + _MARK] == 1.0


@compiled
def _align_above(tape, exponent, start, stop, before):
    """Bring lane -1 of the steps before start..stop-1 to one exponent; what it was goes into ``before``."""
    for d in range(start, stop):
        place = (d + 1) * STEP + EDGE - 1
        scale = power_of_two(float_as_exponent(tape[place + EXPONENT]) - exponent, tape[0])
        for k, slot in enumerate((MATCH, GAP_A, GAP_B)):
            before[d - start, k] = tape[place + slot]
            tape[place + slot] *= scale
        before[d - start, 3] = tape[place + EXPONENT]
        tape[place + EXPONENT] = exponent_as_float(exponent, tape[0])


@compiled
def _restore_above(tape, start, stop, before):
    for d in range(start, stop):
        for k, slot in enumerate((MATCH, GAP_A, GAP_B, EXPONENT)):
            tape[(d + 1) * STEP + EDGE - 1 + slot] = before[d - start, k]


@compiled
def _align_below(tape, lane, exponent, start, stop, before):
    """Bring the lane after the last of the steps after start..stop-1 to one exponent."""
    for d in range(start, stop):
        place = (d + 3) * STEP + EDGE + lane
        for k, (slot, own) in enumerate(((WEIGHT, WEIGHT_EXPONENT), (GAP_B, EXPONENT))):
            before[d - start, 2 * k], before[d - start, 2 * k + 1] = tape[place + slot], tape[place + own]
            tape[place + slot] *= power_of_two(float_as_exponent(tape[place + own]) - exponent, tape[0])
            tape[place + own] = exponent_as_float(exponent, tape[0])


@compiled
def _restore_below(tape, lane, start, stop, before):
    for d in range(start, stop):
        for k, slot in enumerate((WEIGHT, WEIGHT_EXPONENT, GAP_B, EXPONENT)):
            tape[(d + 3) * STEP + EDGE + lane + slot] = before[d - start, k]


@compiled
def _prepare_forward(tape, lanes, first, count, start, stop, before):
    """Bring each lane to its exponent, and set out what the sweep forward needs of it."""
    like = cast_like(0.0, tape[0])
    cells = tape[start * STEP + first : (start + 2) * STEP + EDGE]
    rows = lanes[first : first + LANE_ROWS * PITCH]
    for l in range(count):
        match, gap_a, gap_b = cells[FORWARD_1 + MATCH + l], cells[FORWARD_1 + GAP_A + l], cells[FORWARD_1 + GAP_B + l]
        given = float_as_exponent(cells[FORWARD_1 + EXPONENT + l])
        exponent = max(np.int32(given + exponent_of(max(max(match, gap_a), gap_b))), np.int32(0))
        scale = power_of_two(np.int32(given - exponent), match)
        cells[FORWARD_1 + MATCH + l] = match * scale
        cells[FORWARD_1 + GAP_A + l] = gap_a * scale
        cells[FORWARD_1 + GAP_B + l] = gap_b * scale
        cells[FORWARD_1 + EXPONENT + l] = exponent_as_float(exponent, match)
        rows[_EXPONENT + l] = exponent_as_float(exponent, match)
    if first == 0:
        _align_above(tape, float_as_exponent(rows[_EXPONENT]), start, stop, before)
    rows[_EXPONENT - 1] = cells[FORWARD_1 - 1 + EXPONENT]
    for l in range(count):
        exponent = float_as_exponent(rows[_EXPONENT + l])
        rows[_START + l] = fraction_of_two(np.int32(-exponent), like)
        rows[_INFLOW + l] = power_of_two(np.int32(float_as_exponent(rows[_EXPONENT - 1 + l]) - exponent), like)
        diagonal = (
            cells[FORWARD_2 - 1 + MATCH + l] + cells[FORWARD_2 - 1 + GAP_A + l] + cells[FORWARD_2 - 1 + GAP_B + l]
        )
        given = float_as_exponent(cells[FORWARD_2 - 1 + EXPONENT + l])
        rows[_DIAGONAL + l] = diagonal * power_of_two(np.int32(given - exponent), like)
        rows[_SUM + l] = 0.0


@compiled(fastmath={"contract"})
def sweep_forward_bounded(tape, lanes, penalties, constants, sums, first, count, start, stop, before):
    """:func:`.stripe_sweeps.sweep_forward` over one segment; return whether its numbers stayed in range.

    ``lanes`` (``LANE_ROWS * PITCH + EDGE`` numbers) and ``before`` (``SEGMENT``, 4) are for its own use.
    ``penalties`` are exp(-o/t) and exp(-e/t). If it returns False, the similarities of these steps are lost.
    """
    p, q = penalties
    c0, c1, c2, c4 = constants[0], constants[1], constants[2] + constants[3], constants[4]
    reach = reach_of(c0)
    lowest = -reach / c0
    _prepare_forward(tape, lanes, first, count, start, stop, before)
    rows = lanes[first : first + LANE_ROWS * PITCH]
    for d in range(start, stop):
        cells = tape[d * STEP + first : (d + 3) * STEP + EDGE]
        for l in range(count):
            weight = bounded_weight(cells[FORWARD_0 + WEIGHT + l], lowest, c0, c1, c2, c4)
            inflow = rows[_INFLOW + l]
            opened = (cells[FORWARD_1 - 1 + MATCH + l] + cells[FORWARD_1 - 1 + GAP_A + l]) * inflow
            extended = cells[FORWARD_1 - 1 + GAP_B + l] * inflow
            match = weight * (rows[_DIAGONAL + l] + rows[_START + l])
            cells[FORWARD_0 + WEIGHT + l] = weight
            cells[FORWARD_0 + GAP_A + l] = p * cells[FORWARD_1 + MATCH + l] + q * cells[FORWARD_1 + GAP_A + l]
            cells[FORWARD_0 + MATCH + l] = match
            cells[FORWARD_0 + GAP_B + l] = p * opened + q * extended
            cells[FORWARD_0 + EXPONENT + l] = rows[_EXPONENT + l]
            rows[_DIAGONAL + l] = opened + extended
            rows[_SUM + l] += match
    cells = tape[(stop - 1) * STEP + first : (stop + 2) * STEP + EDGE]
    highest = power_of_two(np.int32(reach), c0)
    is_wrong = False
    for l in range(count):
        size = cells[FORWARD_0 + MATCH + l] + cells[FORWARD_0 + GAP_A + l] + cells[FORWARD_0 + GAP_B + l]
        is_wrong |= not size <= highest
    if is_wrong:
        if first == 0:
            _restore_above(tape, start, stop, before)
        return False
    lane_sums = sums[first : first + 2 * PITCH]
    for l in range(count):
        total = rows[_SUM + l]
        exponent = float_as_exponent(rows[_EXPONENT + l]) if total != 0 else EMPTY
        given = float_as_exponent(lane_sums[SUM_EXPONENT + l])
        top = max(given, exponent)
        lane_sums[l] = lane_sums[l] * fraction_of_two(given - top, total) + total * fraction_of_two(
            exponent - top, total
        )
        lane_sums[SUM_EXPONENT + l] = exponent_as_float(top, total)
    return True


@compiled
def _prepare_backward(tape, lanes, first, count, start, stop, total, total_exponent, before):
    """Bring each lane to its exponent, and set out what the sweep back needs of it."""
    like = cast_like(0.0, tape[0])
    rows = lanes[first : first + LANE_ROWS * PITCH]
    cells = tape[stop * STEP + first : (stop + 4) * STEP + EDGE]
    for l in range(count):
        gap_a, gap_b = cells[BACK_1 + GAP_A + l], cells[BACK_1 + GAP_B + l]
        given = float_as_exponent(cells[BACK_1 + EXPONENT + l])
        exponent = max(np.int32(given + exponent_of(max(gap_a, gap_b))), np.int32(0))
        scale = power_of_two(np.int32(given - exponent), gap_a)
        cells[BACK_1 + GAP_A + l] = gap_a * scale
        cells[BACK_1 + GAP_B + l] = gap_b * scale
        cells[BACK_1 + EXPONENT + l] = exponent_as_float(exponent, gap_a)
        given = float_as_exponent(cells[BACK_1 + WEIGHT_EXPONENT + l])
        cells[BACK_1 + WEIGHT + l] *= power_of_two(np.int32(given - exponent), gap_a)
        cells[BACK_1 + WEIGHT_EXPONENT + l] = exponent_as_float(exponent, gap_a)
        rows[_EXPONENT + l] = exponent_as_float(exponent, gap_a)
    exponent = float_as_exponent(rows[_EXPONENT + count - 1])
    _align_below(tape, first + count, exponent, start, stop, before)
    rows[_EXPONENT + count] = exponent_as_float(exponent, tape[0])
    forward = tape[(start + 1) * STEP + first : (start + 2) * STEP + EDGE]
    for l in range(count):
        exponent = float_as_exponent(rows[_EXPONENT + l])
        rows[_START + l] = fraction_of_two(np.int32(-exponent), like)
        rows[_INFLOW + l] = power_of_two(np.int32(float_as_exponent(rows[_EXPONENT + 1 + l]) - exponent), like)
        given = float_as_exponent(cells[BACK_2 + 1 + WEIGHT_EXPONENT + l])
        rows[_DIAGONAL + l] = cells[BACK_2 + 1 + WEIGHT + l] * power_of_two(np.int32(given - exponent), like)
        # The states of the way forward have the exponents of their segment, but for those of the last step.
        own = float_as_exponent(forward[BACK_LAST + EXPONENT + l])
        given = float_as_exponent(cells[BACK_0 + EXPONENT + l])
        cells[BACK_0 + MATCH + l] *= power_of_two(np.int32(given - own), like)
        cells[BACK_0 + EXPONENT + l] = exponent_as_float(own, like)
        above = float_as_exponent(forward[BACK_LAST - 1 + EXPONENT + l])
        # What makes posteriors of forward and backward states, in two halves: as one it might be too small a number.
        relative = np.int32(exponent - total_exponent)
        half = np.int32(np.int32(own + relative) >> 1)
        relative = np.int32(relative - half)
        rows[_FORWARD_SHARE + l] = power_of_two(half, like)
        rows[_BACKWARD_SHARE + l] = total * power_of_two(np.int32(own + relative), like)
        rows[_ABOVE_SHARE + l] = total * power_of_two(np.int32(above + relative), like)
        rows[_OPENED + l] = 0.0
        rows[_EXTENDED + l] = 0.0


@compiled(fastmath={"contract"})
def sweep_backward_bounded(tape, lanes, penalties, events, total, total_exponent, first, count, start, stop, before):
    """:func:`.stripe_sweeps.sweep_backward` over one segment; return whether its numbers stayed in range.

    The segment must have been swept forward with bounds. If it returns False, its states of the way forward are lost.
    """
    p, q = penalties
    _prepare_backward(tape, lanes, first, count, start, stop, total, total_exponent, before)
    rows = lanes[first : first + LANE_ROWS * PITCH]
    for d in range(stop - 1, start - 1, -1):
        cells = tape[(d + 1) * STEP + first : (d + 5) * STEP + EDGE]
        for l in range(count):
            inflow = rows[_INFLOW + l]
            down = cells[BACK_1 + 1 + GAP_B + l] * inflow
            onward = rows[_DIAGONAL + l]
            right = cells[BACK_1 + GAP_A + l]
            turn = onward + p * down
            gap_a = turn + q * right
            gap_b = onward + q * down
            match = (turn + rows[_START + l]) + p * right
            rows[_DIAGONAL + l] = cells[BACK_1 + 1 + WEIGHT + l] * inflow
            share = rows[_BACKWARD_SHARE + l]
            left_share, above_share = gap_a * share, gap_b * rows[_ABOVE_SHARE + l]
            rows[_OPENED + l] += (
                cells[BACK_LAST + MATCH + l] * left_share
                + (cells[BACK_LAST - 1 + MATCH + l] + cells[BACK_LAST - 1 + GAP_A + l]) * above_share
            )
            rows[_EXTENDED + l] += (
                cells[BACK_LAST + GAP_A + l] * left_share + cells[BACK_LAST - 1 + GAP_B + l] * above_share
            )
            cells[BACK_0 + MATCH + l] = (cells[BACK_0 + MATCH + l] * rows[_FORWARD_SHARE + l]) * (match * share)
            cells[BACK_0 + WEIGHT + l] *= match
            cells[BACK_0 + WEIGHT_EXPONENT + l] = rows[_EXPONENT + l]
            cells[BACK_0 + GAP_A + l] = gap_a
            cells[BACK_0 + GAP_B + l] = gap_b
            cells[BACK_0 + EXPONENT + l] = rows[_EXPONENT + l]
    cells = tape[(start + 1) * STEP + first : (start + 5) * STEP + EDGE]
    highest = power_of_two(np.int32(reach_of(total)), total)
    is_wrong = False
    for l in range(count):
        is_wrong |= not cells[BACK_0 + GAP_A + l] + cells[BACK_0 + GAP_B + l] <= highest
    if is_wrong:
        _restore_below(tape, first + count, start, stop, before)
        return False
    lane_events = events[first : first + 2 * PITCH]
    for l in range(count):
        lane_events[l] += p * (rows[_OPENED + l] * rows[_FORWARD_SHARE + l])
        lane_events[PITCH + l] += q * (rows[_EXTENDED + l] * rows[_FORWARD_SHARE + l])
    return True
