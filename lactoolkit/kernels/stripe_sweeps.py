"""Sweeps of the soft Smith-Waterman recursions over the steps of one stripe; see :mod:`.stripe_layout` for the storage.

Each inner loop runs over the ``LANES`` cells of a step. All its array accesses are slices of few arrays with constant
offsets, which lets LLVM prove that they do not overlap and emit vector instructions.
"""

from lactoolkit.kernels.cells import backward_cell, forward_cell
from lactoolkit.kernels.kernel_cache import compiled
from lactoolkit.kernels.scaled_numbers import (
    EMPTY,
    exponent_as_float,
    float_as_exponent,
    fraction_of_two,
    power_of_two,
    weight_of,
)
from lactoolkit.kernels.stripe_layout import (
    EDGE,
    EXPONENT,
    EXTENSION,
    GAP_A,
    GAP_B,
    GAP_STEP,
    LANES,
    MATCH,
    OPENING,
    PITCH,
    STEP,
    WEIGHT,
    WEIGHT_EXPONENT,
    active_lanes,
)

# Offsets of lane 0 in a slice of the tape that begins two steps (forward) or one (backward) before the current one.
FORWARD_2, FORWARD_1, FORWARD_0 = (EDGE + k * STEP for k in range(3))
BACK_LAST, BACK_0, BACK_1, BACK_2 = (EDGE + k * STEP for k in range(4))
SUM_EXPONENT = PITCH


@compiled
def clear_sums(sums):
    """Set the sums of all lanes to zero."""
    for l in range(LANES):
        sums[l] = 0.0
        sums[SUM_EXPONENT + l] = exponent_as_float(EMPTY, sums[0])


@compiled(fastmath={"contract"})
def sweep_forward(tape, gaps, gap_step, gap_exponent, constants, sums, origin, m, lanes, start, stop):
    """Fill the states of steps start..stop-1 from the similarities on the tape, and replace these by their weights.

    The sum of M over these steps is added to ``sums``, one scaled number for each lane: mantissas, then exponents.
    """
    c0, c1, c2, c3, c4 = constants[0], constants[1], constants[2], constants[3], constants[4]
    for d in range(start, stop):
        first, count = active_lanes(d + origin, m, lanes)
        cells = tape[d * STEP + first : (d + 3) * STEP + EDGE]
        penalties = gaps[(d + 2) * gap_step + first : (d + 2) * gap_step + GAP_STEP + EDGE]
        lane_sums = sums[first : first + 2 * PITCH]
        for l in range(count):
            weight, weight_exponent = weight_of(cells[FORWARD_0 + WEIGHT + l], c0, c1, c2, c3, c4)
            up_match = cells[FORWARD_1 - 1 + MATCH + l]
            up_gap_a = cells[FORWARD_1 - 1 + GAP_A + l]
            match, gap_a, gap_b, exponent = forward_cell(
                weight,
                weight_exponent,
                cells[FORWARD_2 - 1 + MATCH + l] + cells[FORWARD_2 - 1 + GAP_A + l] + cells[FORWARD_2 - 1 + GAP_B + l],
                float_as_exponent(cells[FORWARD_2 - 1 + EXPONENT + l]),
                cells[FORWARD_1 + MATCH + l],
                cells[FORWARD_1 + GAP_A + l],
                float_as_exponent(cells[FORWARD_1 + EXPONENT + l]),
                up_match + up_gap_a,
                cells[FORWARD_1 - 1 + GAP_B + l],
                float_as_exponent(cells[FORWARD_1 - 1 + EXPONENT + l]),
                penalties[EDGE + OPENING + l],
                penalties[EDGE + EXTENSION + l],
                gap_exponent,
            )
            cells[FORWARD_0 + WEIGHT + l] = weight
            cells[FORWARD_0 + WEIGHT_EXPONENT + l] = exponent_as_float(weight_exponent, weight)
            cells[FORWARD_0 + MATCH + l] = match
            cells[FORWARD_0 + GAP_A + l] = gap_a
            cells[FORWARD_0 + GAP_B + l] = gap_b
            cells[FORWARD_0 + EXPONENT + l] = exponent_as_float(exponent, weight)
            before = float_as_exponent(lane_sums[SUM_EXPONENT + l])
            top = max(before, exponent)
            lane_sums[l] = lane_sums[l] * fraction_of_two(before - top, weight) + match * fraction_of_two(
                exponent - top, weight
            )
            lane_sums[SUM_EXPONENT + l] = exponent_as_float(top, weight)


@compiled(fastmath={"contract"})
def sweep_backward(
    tape, gaps, gap_step, gap_exponent, opened, opened_step, total, total_exponent, origin, m, lanes, start, stop
):
    """Turn the states of steps stop-1..start into posteriors.

    ``opened`` receives the posteriors of gap openings and extensions, (steps, 2, PITCH); they are added up where
    ``opened_step`` is zero. ``total`` is the inverse of the mantissa of the sum over all alignments.
    """
    for d in range(stop - 1, start - 1, -1):
        first, count = active_lanes(d + origin, m, lanes)
        cells = tape[(d + 1) * STEP + first : (d + 5) * STEP + EDGE]
        here = gaps[(d + 2) * gap_step + first : (d + 2) * gap_step + GAP_STEP + EDGE]
        after = gaps[(d + 3) * gap_step + first : (d + 3) * gap_step + GAP_STEP + EDGE]
        events = opened[(d - start) * opened_step + first : (d - start) * opened_step + 2 * PITCH]
        for l in range(count):
            match, gap_a, gap_b, exponent = backward_cell(
                cells[BACK_2 + 1 + WEIGHT + l],
                float_as_exponent(cells[BACK_2 + 1 + WEIGHT_EXPONENT + l]),
                cells[BACK_1 + GAP_A + l],
                float_as_exponent(cells[BACK_1 + EXPONENT + l]),
                after[EDGE + OPENING + l],
                after[EDGE + EXTENSION + l],
                cells[BACK_1 + 1 + GAP_B + l],
                float_as_exponent(cells[BACK_1 + 1 + EXPONENT + l]),
                after[EDGE + 1 + OPENING + l],
                after[EDGE + 1 + EXTENSION + l],
                gap_exponent,
            )
            relative = exponent - total_exponent
            matched = (
                cells[BACK_0 + MATCH + l]
                * match
                * (total * power_of_two(float_as_exponent(cells[BACK_0 + EXPONENT + l]) + relative, match))
            )
            relative += gap_exponent
            gap_a_share = gap_a * (
                total * power_of_two(float_as_exponent(cells[BACK_LAST + EXPONENT + l]) + relative, match)
            )
            gap_b_share = gap_b * (
                total * power_of_two(float_as_exponent(cells[BACK_LAST - 1 + EXPONENT + l]) + relative, match)
            )
            events[l] += here[EDGE + OPENING + l] * (
                cells[BACK_LAST + MATCH + l] * gap_a_share
                + (cells[BACK_LAST - 1 + MATCH + l] + cells[BACK_LAST - 1 + GAP_A + l]) * gap_b_share
            )
            events[PITCH + l] += here[EDGE + EXTENSION + l] * (
                cells[BACK_LAST + GAP_A + l] * gap_a_share + cells[BACK_LAST - 1 + GAP_B + l] * gap_b_share
            )
            cells[BACK_0 + WEIGHT_EXPONENT + l] = exponent_as_float(
                float_as_exponent(cells[BACK_0 + WEIGHT_EXPONENT + l]) + exponent, match
            )
            cells[BACK_0 + WEIGHT + l] *= match
            cells[BACK_0 + MATCH + l] = matched
            cells[BACK_0 + GAP_A + l] = gap_a
            cells[BACK_0 + GAP_B + l] = gap_b
            cells[BACK_0 + EXPONENT + l] = exponent_as_float(exponent, match)
