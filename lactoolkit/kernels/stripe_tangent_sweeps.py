"""The sweeps of :mod:`.stripe_sweeps` in dual numbers: derivatives of scores and posteriors along a direction."""

from lactoolkit.kernels.cells import backward_cell_tangent, forward_cell_tangent
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
    EXTENSION_RATE,
    GAP_A,
    GAP_A_TANGENT,
    GAP_B,
    GAP_B_TANGENT,
    GAP_STEP,
    LANES,
    MATCH,
    MATCH_TANGENT,
    OPENING,
    OPENING_RATE,
    PITCH,
    TANGENT_STEP,
    WEIGHT,
    WEIGHT_EXPONENT,
    WEIGHT_RATE,
    active_lanes,
)

FORWARD_2, FORWARD_1, FORWARD_0 = (EDGE + k * TANGENT_STEP for k in range(3))
BACK_LAST, BACK_0, BACK_1, BACK_2 = (EDGE + k * TANGENT_STEP for k in range(4))
SUM_EXPONENT, SUM_TANGENT = PITCH, 2 * PITCH


@compiled(fastmath={"contract"})
def sweep_forward_tangent(tape, gaps, gap_step, gap_exponent, constants, sums, origin, m, lanes, start, stop):
    """:func:`.stripe_sweeps.sweep_forward` with tangents."""
    c0, c1, c2, c3, c4 = constants[0], constants[1], constants[2], constants[3], constants[4]
    for l in range(LANES):
        sums[l] = 0.0
        sums[SUM_EXPONENT + l] = exponent_as_float(EMPTY, tape[0])
        sums[SUM_TANGENT + l] = 0.0
    for d in range(start, stop):
        first, count = active_lanes(d + origin, m, lanes)
        cells = tape[d * TANGENT_STEP + first : (d + 3) * TANGENT_STEP + EDGE]
        penalties = gaps[(d + 2) * gap_step + first : (d + 2) * gap_step + GAP_STEP + EDGE]
        lane_sums = sums[first : first + 3 * PITCH]
        for l in range(count):
            weight, weight_exponent = weight_of(cells[FORWARD_0 + WEIGHT + l], c0, c1, c2, c3, c4)
            match, gap_a, gap_b, match_tangent, gap_a_tangent, gap_b_tangent, exponent = forward_cell_tangent(
                weight,
                weight_exponent,
                cells[FORWARD_0 + WEIGHT_RATE + l],
                cells[FORWARD_2 - 1 + MATCH + l] + cells[FORWARD_2 - 1 + GAP_A + l] + cells[FORWARD_2 - 1 + GAP_B + l],
                cells[FORWARD_2 - 1 + MATCH_TANGENT + l]
                + cells[FORWARD_2 - 1 + GAP_A_TANGENT + l]
                + cells[FORWARD_2 - 1 + GAP_B_TANGENT + l],
                float_as_exponent(cells[FORWARD_2 - 1 + EXPONENT + l]),
                cells[FORWARD_1 + MATCH + l],
                cells[FORWARD_1 + GAP_A + l],
                cells[FORWARD_1 + MATCH_TANGENT + l],
                cells[FORWARD_1 + GAP_A_TANGENT + l],
                float_as_exponent(cells[FORWARD_1 + EXPONENT + l]),
                cells[FORWARD_1 - 1 + MATCH + l] + cells[FORWARD_1 - 1 + GAP_A + l],
                cells[FORWARD_1 - 1 + GAP_B + l],
                cells[FORWARD_1 - 1 + MATCH_TANGENT + l] + cells[FORWARD_1 - 1 + GAP_A_TANGENT + l],
                cells[FORWARD_1 - 1 + GAP_B_TANGENT + l],
                float_as_exponent(cells[FORWARD_1 - 1 + EXPONENT + l]),
                penalties[EDGE + OPENING + l],
                penalties[EDGE + EXTENSION + l],
                penalties[EDGE + OPENING_RATE + l],
                penalties[EDGE + EXTENSION_RATE + l],
                gap_exponent,
            )
            cells[FORWARD_0 + WEIGHT + l] = weight
            cells[FORWARD_0 + WEIGHT_EXPONENT + l] = exponent_as_float(weight_exponent, weight)
            cells[FORWARD_0 + MATCH + l] = match
            cells[FORWARD_0 + GAP_A + l] = gap_a
            cells[FORWARD_0 + GAP_B + l] = gap_b
            cells[FORWARD_0 + EXPONENT + l] = exponent_as_float(exponent, weight)
            cells[FORWARD_0 + MATCH_TANGENT + l] = match_tangent
            cells[FORWARD_0 + GAP_A_TANGENT + l] = gap_a_tangent
            cells[FORWARD_0 + GAP_B_TANGENT + l] = gap_b_tangent
            before = float_as_exponent(lane_sums[SUM_EXPONENT + l])
            top = max(before, exponent)
            old_scale, new_scale = fraction_of_two(before - top, weight), fraction_of_two(exponent - top, weight)
            lane_sums[l] = lane_sums[l] * old_scale + match * new_scale
            lane_sums[SUM_TANGENT + l] = lane_sums[SUM_TANGENT + l] * old_scale + match_tangent * new_scale
            lane_sums[SUM_EXPONENT + l] = exponent_as_float(top, weight)


@compiled(fastmath={"contract"})
def sweep_backward_tangent(
    tape, gaps, gap_step, gap_exponent, opened, opened_step, total, total_exponent, rate, origin, m, lanes, start, stop
):
    """:func:`.stripe_sweeps.sweep_backward` for the derivatives of the posteriors.

    ``rate`` is the logarithmic derivative of the sum over all alignments.
    """
    for d in range(stop - 1, start - 1, -1):
        first, count = active_lanes(d + origin, m, lanes)
        cells = tape[(d + 1) * TANGENT_STEP + first : (d + 5) * TANGENT_STEP + EDGE]
        here = gaps[(d + 2) * gap_step + first : (d + 2) * gap_step + GAP_STEP + EDGE]
        after = gaps[(d + 3) * gap_step + first : (d + 3) * gap_step + GAP_STEP + EDGE]
        events = opened[(d - start) * opened_step + first : (d - start) * opened_step + 2 * PITCH]
        for l in range(count):
            match, gap_a, gap_b, match_tangent, gap_a_tangent, gap_b_tangent, exponent = backward_cell_tangent(
                cells[BACK_2 + 1 + WEIGHT + l],
                cells[BACK_2 + 1 + MATCH_TANGENT + l],
                float_as_exponent(cells[BACK_2 + 1 + WEIGHT_EXPONENT + l]),
                cells[BACK_1 + GAP_A + l],
                cells[BACK_1 + GAP_A_TANGENT + l],
                float_as_exponent(cells[BACK_1 + EXPONENT + l]),
                after[EDGE + OPENING + l],
                after[EDGE + EXTENSION + l],
                after[EDGE + OPENING_RATE + l],
                after[EDGE + EXTENSION_RATE + l],
                cells[BACK_1 + 1 + GAP_B + l],
                cells[BACK_1 + 1 + GAP_B_TANGENT + l],
                float_as_exponent(cells[BACK_1 + 1 + EXPONENT + l]),
                after[EDGE + 1 + OPENING + l],
                after[EDGE + 1 + EXTENSION + l],
                after[EDGE + 1 + OPENING_RATE + l],
                after[EDGE + 1 + EXTENSION_RATE + l],
                gap_exponent,
            )
            relative = exponent - total_exponent
            scale = total * power_of_two(float_as_exponent(cells[BACK_0 + EXPONENT + l]) + relative, match)
            # The derivative of f b / Z is f' b + f (b' - b Z'/Z), over Z.
            matched = scale * (
                cells[BACK_0 + MATCH_TANGENT + l] * match + cells[BACK_0 + MATCH + l] * (match_tangent - match * rate)
            )
            relative += gap_exponent
            gap_a_scale = total * power_of_two(float_as_exponent(cells[BACK_LAST + EXPONENT + l]) + relative, match)
            gap_b_scale = total * power_of_two(float_as_exponent(cells[BACK_LAST - 1 + EXPONENT + l]) + relative, match)
            a, b = gap_a * gap_a_scale, gap_b * gap_b_scale
            change = here[EDGE + OPENING_RATE + l] - rate
            a_change = gap_a_tangent * gap_a_scale + a * change
            b_change = gap_b_tangent * gap_b_scale + b * change
            events[l] += here[EDGE + OPENING + l] * (
                cells[BACK_LAST + MATCH_TANGENT + l] * a
                + cells[BACK_LAST + MATCH + l] * a_change
                + (cells[BACK_LAST - 1 + MATCH_TANGENT + l] + cells[BACK_LAST - 1 + GAP_A_TANGENT + l]) * b
                + (cells[BACK_LAST - 1 + MATCH + l] + cells[BACK_LAST - 1 + GAP_A + l]) * b_change
            )
            change = here[EDGE + EXTENSION_RATE + l] - rate
            a_change = gap_a_tangent * gap_a_scale + a * change
            b_change = gap_b_tangent * gap_b_scale + b * change
            events[PITCH + l] += here[EDGE + EXTENSION + l] * (
                cells[BACK_LAST + GAP_A_TANGENT + l] * a
                + cells[BACK_LAST + GAP_A + l] * a_change
                + cells[BACK_LAST - 1 + GAP_B_TANGENT + l] * b
                + cells[BACK_LAST - 1 + GAP_B + l] * b_change
            )
            weight = cells[BACK_0 + WEIGHT + l]
            cells[BACK_0 + WEIGHT_EXPONENT + l] = exponent_as_float(
                float_as_exponent(cells[BACK_0 + WEIGHT_EXPONENT + l]) + exponent, match
            )
            cells[BACK_0 + WEIGHT + l] = weight * match
            cells[BACK_0 + MATCH + l] = matched
            cells[BACK_0 + GAP_A + l] = gap_a
            cells[BACK_0 + GAP_B + l] = gap_b
            cells[BACK_0 + EXPONENT + l] = exponent_as_float(exponent, match)
            cells[BACK_0 + MATCH_TANGENT + l] = weight * (match_tangent + cells[BACK_0 + WEIGHT_RATE + l] * match)
            cells[BACK_0 + GAP_A_TANGENT + l] = gap_a_tangent
            cells[BACK_0 + GAP_B_TANGENT + l] = gap_b_tangent
