"""The steps of a chunk, segment by segment: with one exponent a lane where that suffices, and one a cell elsewhere.

``table`` and ``arithmetic`` are those of :mod:`.stripe_passes`; steps are counted from the beginning of the stripe.
"""

import numpy as np

from lactoolkit.kernels import stripe_layout as layout
from lactoolkit.kernels.kernel_cache import compiled
from lactoolkit.kernels.scaled_numbers import power_of_two
from lactoolkit.kernels.stripe_bounded_sweeps import (
    LANE_ROWS,
    SEGMENT,
    is_bounded_segment,
    mark_segment,
    segment_start,
    segment_stop,
    sweep_backward_bounded,
    sweep_forward_bounded,
)
from lactoolkit.kernels.stripe_layout import EDGE, EXTENSION, LANES, OPENING, PITCH, STEP
from lactoolkit.kernels.stripe_sweeps import clear_sums, sweep_backward, sweep_forward


@compiled
def new_scratch(like):
    """What the bounded sweeps need for themselves."""
    return np.empty(LANE_ROWS * PITCH + LANES + EDGE, like.dtype), np.empty((SEGMENT, 4), like.dtype)


@compiled
def _penalty_weights(gaps, gap_exponent):
    scale = power_of_two(gap_exponent, gaps[0])
    return gaps[EDGE + OPENING] * scale, gaps[EDGE + EXTENSION] * scale


@compiled
def _sweep_exactly(table, arithmetic, tape, gaps, gap_step, sums, lanes, first_row, origin, start, stop, is_lost):
    """Sweep forward with an exponent for each cell; ``is_lost`` brings the similarities back onto the tape first."""
    similarity, _, _, n, m, _ = table
    constants, _, gap_exponent, _ = arithmetic
    if is_lost:
        place = (lanes, first_row, n, m, start, stop)
        layout.skew(tape, STEP, origin, layout.WEIGHT, similarity, tape.dtype.type(1.0), *place, -np.inf)
        layout.clear_corners(tape, STEP, origin, m, lanes, start, stop)
    steps = (start - origin, stop - origin)
    sweep_forward(tape, gaps, gap_step, gap_exponent, constants, sums, origin, m, lanes, *steps)


@compiled
def sweep_segments_forward(
    table, arithmetic, tape, gaps, gap_step, scratch, sums, lanes, first_row, origin, start, stop
):
    """:func:`.stripe_sweeps.sweep_forward` over steps start..stop-1 of a chunk.

    After a segment whose numbers left the range, the rest of the chunk is swept exactly.
    """
    m = table[4]
    constants, _, gap_exponent, is_bounded = arithmetic
    rows, before = scratch
    penalties = _penalty_weights(gaps, gap_exponent)
    is_lost = False
    while is_bounded and start < stop:
        end = segment_stop(start, stop, m)
        first, count = layout.active_lanes(start, m, lanes)
        steps = (start - origin, end - origin)
        is_bounded = count == 0 or sweep_forward_bounded(
            tape, rows, penalties, constants, sums, first, count, *steps, before
        )
        is_lost = not is_bounded
        mark_segment(tape, start - origin, is_bounded)
        start = end if is_bounded else start
    if start < stop:
        for d in range(start, stop if arithmetic[3] else start):
            mark_segment(tape, d - origin, False)
        _sweep_exactly(table, arithmetic, tape, gaps, gap_step, sums, lanes, first_row, origin, start, stop, is_lost)


@compiled
def sweep_segments_backward(
    table, arithmetic, tape, gaps, gap_step, scratch, events, events_step, total, total_exponent, lanes, first_row,
    origin, start, stop,
):  # fmt: skip
    """:func:`.stripe_sweeps.sweep_backward` over steps stop-1..start of a chunk."""
    m = table[4]
    _, _, gap_exponent, is_tame = arithmetic
    rows, before = scratch
    penalties = _penalty_weights(gaps, gap_exponent)
    # Where there is no alignment, everything is multiplied by zero, which must not meet an infinity.
    total_exponent = total_exponent if total != 0 else np.int32(0)
    end = stop
    while end > start:
        begin = segment_start(end, start, m) if is_tame else start
        first, count = layout.active_lanes(begin, m, lanes)
        steps = (begin - origin, end - origin)
        is_done = is_tame and count == 0
        if is_tame and count > 0 and is_bounded_segment(tape, begin - origin):
            is_done = sweep_backward_bounded(
                tape, rows, penalties, events, total, total_exponent, first, count, *steps, before
            )
            if not is_done:
                sums = np.empty(2 * PITCH, tape.dtype)
                clear_sums(sums)
                _sweep_exactly(
                    table, arithmetic, tape, gaps, gap_step, sums, lanes, first_row, origin, begin, end, not is_done
                )
        if not is_done:
            sweep_backward(
                tape, gaps, gap_step, gap_exponent, events, events_step, total, total_exponent, origin, m, lanes, *steps
            )
        end = begin
