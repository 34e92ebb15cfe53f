"""Forward and backward passes over the stripes of one pair, and over whole pairs.

A pass visits a stripe in groups of chunks, so that stripes can follow each other as a wavefront of threads. The forward
pass keeps the last row of each stripe and two steps of each group; the backward pass fills a group's tape again before
it sweeps it back. Small tables keep their tapes and are spared that.

``table`` stands for (similarity, gap_open, gap_extend, n, m, b) of pair b of a batch, ``arithmetic`` for the constants
of the temperature, those of its negative, the exponent that the gap weights share, and whether segments of it may be
swept with one exponent a lane; ``tangents`` is None or the direction of the derivative, three arrays for the whole
batch.
"""

import numpy as np

from lactoolkit.kernels import stripe_layout as layout
from lactoolkit.kernels.cells import EMPTY, shared_exponent_limit
from lactoolkit.kernels.kernel_cache import compiled
from lactoolkit.kernels.scaled_numbers import float_as_exponent, power_of_two, scaled_sum, weight_of
from lactoolkit.kernels.stripe_bounded_sweeps import is_tame
from lactoolkit.kernels.stripe_layout import CHUNK, EDGE, GAP_STEP, GROUP, LANES, PITCH, STEP, TANGENT_STEP
from lactoolkit.kernels.stripe_segments import new_scratch, sweep_segments_backward, sweep_segments_forward
from lactoolkit.kernels.stripe_sweeps import SUM_EXPONENT, clear_sums
from lactoolkit.kernels.stripe_tangent_sweeps import (
    SUM_TANGENT,
    sweep_backward_tangent,
    sweep_forward_tangent,
)

MAX_GAP_OCTAVES = 1e6
MODERATE_OCTAVES = 2.0**18


@compiled
def shared_gap_exponent(opening, extension, n, m, negated):
    """Whether one exponent a cell suffices for these penalties, and the exponent that their weights share."""
    low, high, dearer = np.inf, -np.inf, False
    for penalties in (opening, extension):
        for i in range(min(n, penalties.shape[0])):
            for j in range(min(m, penalties.shape[1])):
                # Written so that NaN ends up in one of the bounds
                low = low if penalties[i, j] >= low else penalties[i, j]
                high = high if penalties[i, j] <= high else penalties[i, j]
                dearer = dearer or extension[i, j] > opening[i, j]
    per_octave = np.float64(-negated[0])
    limit = shared_exponent_limit(negated[0], dearer)
    suffices = (high - low) * per_octave <= limit and high * per_octave < MAX_GAP_OCTAVES
    return suffices, np.int32(np.floor(-low * per_octave)) if suffices else np.int32(0)


@compiled
def tape_size(n, m, span, tangents):
    """Length of the tape of ``span`` chunks of a stripe."""
    step = STEP if tangents is None else TANGENT_STEP
    return (min(span * CHUNK, layout.count_steps(n, m)) + 4) * step + 2 * EDGE


@compiled
def workspace_size(n, m, tangents, kept):
    """Numbers of workspace for tables of up to n x m: one tape, or as much of all as ``kept`` numbers hold."""
    every = layout.count_stripes(n) * tape_size(n, m, layout.count_chunks(n, m), tangents)
    return max(min(every, kept), tape_size(n, m, GROUP, tangents))


@compiled
def new_gaps(table, arithmetic, tangents, span):
    """Tape of the gap weights: not filled for penalties per cell, complete for one pair of penalties."""
    _, opening, extension, n, m, b = table
    _, negated, gap_exponent, _ = arithmetic
    if opening.size > 1:
        return np.zeros((min(span * CHUNK, layout.count_steps(n, m)) + 4) * GAP_STEP + 2 * EDGE, opening.dtype)
    gaps = np.zeros(GAP_STEP + 2 * EDGE, opening.dtype)
    gaps[: EDGE + PITCH] = opening[0, 0]
    gaps[EDGE + PITCH : EDGE + 2 * PITCH] = extension[0, 0]
    if tangents is not None:
        gaps[EDGE + 2 * PITCH : EDGE + 3 * PITCH] = tangents[1][b, 0, 0] * negated[4]
        gaps[EDGE + 3 * PITCH : EDGE + 4 * PITCH] = tangents[2][b, 0, 0] * negated[4]
    _weigh_gaps(gaps, negated, gap_exponent, 0, 0, 1)
    return gaps


@compiled
def new_checkpoints(stripes, groups, tangents, like):
    """The two steps before each group of each stripe."""
    return np.empty((stripes, groups, 2 * (STEP if tangents is None else TANGENT_STEP)), like.dtype)


@compiled(fastmath={"contract"})
def _weigh_gaps(gaps, negated, gap_exponent, gap_step, start, stop):
    c0, c1, c2, c3, c4 = negated[0], negated[1], negated[2], negated[3], negated[4]
    for d in range(start, stop):
        cells = gaps[(d + 2) * gap_step : (d + 2) * gap_step + 2 * PITCH + EDGE]
        for l in range(2 * PITCH):
            mantissa, exponent = weight_of(cells[EDGE + l], c0, c1, c2, c3, c4)
            cells[EDGE + l] = mantissa * power_of_two(exponent - gap_exponent, mantissa)


@compiled
def _sum_lanes(sums, tangents):
    """Sum of one scaled number for each lane."""
    top = EMPTY
    for l in range(LANES):
        top = max(top, float_as_exponent(sums[SUM_EXPONENT + l]))
    value, tangent = 0.0, 0.0
    for l in range(LANES):
        scale = power_of_two(float_as_exponent(sums[SUM_EXPONENT + l]) - top, value)
        value += sums[l] * scale
        if tangents is not None:
            tangent += sums[SUM_TANGENT + l] * scale
    return value, tangent, top


@compiled
def forward_group(table, arithmetic, tangents, stripe, group, span, tape, gaps, edges, checkpoints, totals, again):
    """Forward pass over a group of ``span`` chunks of a stripe, after the group before it on the same tape.

    ``edges[k]`` is the row before stripe k, (M, 4 or 7); the one after this stripe is filled. ``totals`` (stripes,
    chunks, 3) receives the sum of M over each chunk: value, exponent, tangent. The second time (``again``) the group
    starts from ``checkpoints``, and only the tape is filled. ``again`` is a ``bool_``: each literal would have a
    compiled form of its own.
    """
    similarity, opening, extension, n, m, b = table
    constants, negated, gap_exponent, _ = arithmetic
    step = STEP if tangents is None else TANGENT_STEP
    first = stripe * LANES
    lanes = layout.count_lanes(n, first)
    origin = group * span * CHUNK
    gap_step = GAP_STEP if opening.size > 1 else 0
    sums = np.empty(3 * PITCH, similarity.dtype)
    scratch = new_scratch(similarity)
    one = constants[0] / constants[0]
    if group == 0:
        layout.clear_steps(tape, step, 0)
    elif again:
        layout.set_steps(tape, step, 0, checkpoints[stripe, group])
    else:
        layout.get_steps(tape, step, span * CHUNK, checkpoints[stripe, group])
        layout.set_steps(tape, step, 0, checkpoints[stripe, group])
    for chunk in range(group * span, min((group + 1) * span, layout.count_chunks(n, m))):
        start, stop = layout.chunk_steps(chunk, n, m)
        place = (first, n, m, start, stop)
        layout.skew(tape, step, origin, layout.WEIGHT, similarity, one, lanes, *place, -one * np.inf)
        if gap_step > 0:
            # One step more: the way back looks at the penalties of the step after the last.
            place = (first, n, m, start, stop + 1)
            layout.skew_with_next(gaps, GAP_STEP, origin, 0, opening, one, lanes, *place, one * np.inf)
            layout.skew_with_next(gaps, GAP_STEP, origin, PITCH, extension, one, lanes, *place, one * np.inf)
            _weigh_gaps(gaps, negated, gap_exponent, gap_step, start - origin, stop + 1 - origin)
        layout.place_above(tape, step, origin, edges[stripe], m, start, stop)
        steps = (origin, m, lanes, start - origin, stop - origin)
        if tangents is None:
            layout.clear_corners(tape, step, origin, m, lanes, start, stop)
            clear_sums(sums)
            sweep_segments_forward(
                table, arithmetic, tape, gaps, gap_step, scratch, sums, lanes, first, origin, start, stop
            )
        else:
            place = (first, n, m, start, stop)
            layout.skew(tape, step, origin, layout.WEIGHT_RATE, tangents[0][b], constants[4], lanes, *place, 0 * one)
            if gap_step > 0:
                place = (first, n, m, start, stop + 1)
                for k in range(2):
                    slot, rates = (2 + k) * PITCH, tangents[1 + k][b]
                    layout.skew_with_next(gaps, GAP_STEP, origin, slot, rates, -constants[4], lanes, *place, 0 * one)
            layout.clear_corners(tape, step, origin, m, lanes, start, stop)
            sweep_forward_tangent(tape, gaps, gap_step, gap_exponent, constants, sums, *steps)
        if again:
            continue
        layout.take_last(tape, step, origin, edges[stripe + 1], m, start, stop)
        value, tangent, exponent = _sum_lanes(sums, tangents)
        totals[stripe, chunk, 0] = value
        totals[stripe, chunk, 1] = exponent
        totals[stripe, chunk, 2] = tangent


@compiled
def grand_total(totals, allow_empty):
    """Sum over all alignments as value, tangent, exponent, added up in a fixed order."""
    value, tangent, exponent = 0.0, 0.0, EMPTY
    if allow_empty:
        value, exponent = 1.0, np.int32(0)
    for s in range(totals.shape[0]):
        for c in range(totals.shape[1]):
            value, tangent, exponent = scaled_sum(
                value, tangent, exponent, totals[s, c, 0], totals[s, c, 2], np.int32(totals[s, c, 1])
            )
    return value, tangent, exponent


@compiled
def backward_group(
    table, arithmetic, tangents, stripe, group, span, tape, gaps, edges, carry, total, results, gap_sums
):
    """Backward pass over a group of chunks whose tape holds the forward states, after the group behind it.

    ``edges[stripe + 1]`` must hold the first row of the stripe below; ``edges[stripe]`` receives that of this stripe.
    ``carry`` holds two steps from one group to the next. ``results`` are the derivatives with respect to similarity,
    opening and extension (with tangents: the derivatives of these); where the penalties are single numbers,
    ``gap_sums`` (stripes, chunks, 2) receives each chunk's share.
    """
    _, opening, _, n, m, _ = table
    _, _, gap_exponent, _ = arithmetic
    step = STEP if tangents is None else TANGENT_STEP
    first = stripe * LANES
    lanes = layout.count_lanes(n, first)
    origin = group * span * CHUNK
    gap_step = GAP_STEP if opening.size > 1 else 0
    events_step = 2 * PITCH if gap_step > 0 else 0
    events = np.empty(CHUNK * 2 * PITCH if gap_step > 0 else 2 * PITCH, tape.dtype)
    scratch = new_scratch(tape)
    inverse = tape.dtype.type(1.0 / total[0] if total[0] != 0.0 else 0.0)
    one = tape.dtype.type(1.0)
    last = min((group + 1) * span, layout.count_chunks(n, m)) - 1
    _, end = layout.chunk_steps(last, n, m)
    if last == layout.count_chunks(n, m) - 1:
        layout.clear_steps(tape, step, end - origin + 2)
    else:
        layout.set_steps(tape, step, end - origin + 2, carry)
    for chunk in range(last, group * span - 1, -1):
        start, stop = layout.chunk_steps(chunk, n, m)
        layout.place_below(tape, step, origin, edges[stripe + 1], m, lanes, start, stop)
        steps = (origin, m, lanes, start - origin, stop - origin)
        events[:] = 0.0
        if tangents is None:
            sweep_segments_backward(
                table, arithmetic, tape, gaps, gap_step, scratch, events, events_step, inverse, total[2], lanes, first,
                origin, start, stop,
            )  # fmt: skip
        else:
            rate = tape.dtype.type(total[1] / total[0] if total[0] != 0.0 else 0.0)
            sweep_backward_tangent(
                tape, gaps, gap_step, gap_exponent, events, events_step, inverse, total[2], rate, *steps
            )  # fmt: skip
        layout.take_first(tape, step, origin, edges[stripe], m, start, stop)
        layout.unskew(tape, step, origin, 2 * step + layout.MATCH + EDGE, results[0], one, first, n, m, start, stop)
        if gap_step > 0:
            for k in range(2):
                layout.unskew(events, events_step, start, k * PITCH, results[1 + k], -one, first, n, m, start, stop)
        else:
            for k in range(2):
                share = 0.0
                for l in range(LANES):
                    share -= events[k * PITCH + l]
                gap_sums[stripe, chunk, k] = share
    layout.get_steps(tape, step, 2, carry)


@compiled
def add_gap_sums(gap_sums, results):
    """The derivatives of single penalties, added up in a fixed order."""
    for k in range(2):
        share = 0.0
        for s in range(gap_sums.shape[0]):
            for c in range(gap_sums.shape[1]):
                share += gap_sums[s, c, k]
        results[1 + k][0, 0] = share


@compiled
def new_edges(n, m, tangents, dtype_like):
    """Rows between stripes; the one before the first is outside the table."""
    edges = np.empty((layout.count_stripes(n) + 1, m, 4 if tangents is None else 7), dtype_like.dtype)
    layout.clear_edge(edges[0])
    return edges


@compiled
def score_pair(table, arithmetic, tangents, allow_empty, workspace):
    """Sum over all alignments of one pair. ``workspace`` has :func:`workspace_size` numbers."""
    similarity, _, _, n, m, _ = table
    if n == 0 or m == 0:
        return grand_total(np.empty((0, 0, 3)), allow_empty)
    stripes, chunks = layout.count_stripes(n), layout.count_chunks(n, m)
    groups = layout.count_groups(n, m, GROUP)
    tape = workspace[: tape_size(n, m, GROUP, tangents)]
    gaps = new_gaps(table, arithmetic, tangents, GROUP)
    edges = new_edges(n, m, tangents, similarity)
    checkpoints = new_checkpoints(stripes, groups, tangents, similarity)
    totals = np.empty((stripes, chunks, 3))
    for s in range(stripes):
        for g in range(groups):
            forward_group(
                table, arithmetic, tangents, s, g, GROUP, tape, gaps, edges, checkpoints, totals, np.bool_(False)
            )
    return grand_total(totals, allow_empty)


@compiled
def differentiate_pair(table, arithmetic, tangents, allow_empty, workspace, results):
    """Sum over all alignments of one pair, and its derivatives into ``results``.

    The tapes are kept from the forward to the backward pass if the workspace holds them all.
    """
    similarity, opening, _, n, m, _ = table
    if n == 0 or m == 0:
        return grand_total(np.empty((0, 0, 3)), allow_empty)
    stripes, chunks = layout.count_stripes(n), layout.count_chunks(n, m)
    keep = stripes * tape_size(n, m, chunks, tangents) <= len(workspace)
    span = chunks if keep else GROUP
    groups = layout.count_groups(n, m, span)
    size, kept = tape_size(n, m, span, tangents), stripes if keep else 1
    gaps = new_gaps(table, arithmetic, tangents, span)
    all_gaps = np.empty((stripes if keep and opening.size > 1 else 1, gaps.size), similarity.dtype)
    for s in range(len(all_gaps)):
        for k in range(gaps.size):
            all_gaps[s, k] = gaps[k]
    edges = new_edges(n, m, tangents, similarity)
    checkpoints = new_checkpoints(stripes, groups, tangents, similarity)
    totals = np.empty((stripes, chunks, 3))
    for s in range(stripes):
        tape, gaps = workspace[s % kept * size : (s % kept + 1) * size], all_gaps[s % len(all_gaps)]
        for g in range(groups):
            forward_group(
                table, arithmetic, tangents, s, g, span, tape, gaps, edges, checkpoints, totals, np.bool_(False)
            )
    total = grand_total(totals, allow_empty)
    layout.clear_edge(edges[stripes])
    gap_sums = np.empty((stripes, chunks, 2))
    carry = np.empty(checkpoints.shape[2], similarity.dtype)
    for s in range(stripes - 1, -1, -1):
        tape, gaps = workspace[s % kept * size : (s % kept + 1) * size], all_gaps[s % len(all_gaps)]
        for g in range(groups - 1, -1, -1):
            if not keep:
                forward_group(
                    table, arithmetic, tangents, s, g, span, tape, gaps, edges, checkpoints, totals, np.bool_(True)
                )
            backward_group(table, arithmetic, tangents, s, g, span, tape, gaps, edges, carry, total, results, gap_sums)
    if opening.size == 1:
        add_gap_sums(gap_sums, results)
    return total


@compiled
def scores_of(totals, temperature, scores):
    """Scores from the totals of all pairs: temperature times the logarithm; -inf where there is no alignment."""
    for b in range(len(scores)):
        if totals[b, 0] == 0.0:
            scores[b] = -np.inf
        else:
            scores[b] = temperature * (np.log(totals[b, 0]) + totals[b, 2] * np.log(2.0))


@compiled
def are_moderate(totals):
    """Whether all totals are far from the ends of the exponents' range, and there is an alignment of each pair."""
    result = True
    for b in range(len(totals)):
        result &= totals[b, 0] > 0.0 and abs(totals[b, 2]) < MODERATE_OCTAVES
    return result


@compiled
def score_tangents_of(totals, temperature, tangents):
    """Derivatives of the scores from the totals of all pairs; 0 where there is no alignment."""
    for b in range(len(tangents)):
        tangents[b] = temperature * totals[b, 1] / totals[b, 0] if totals[b, 0] != 0.0 else 0.0


@compiled
def pair_of(batch, b):
    """``table`` and ``arithmetic`` of pair b of a batch, and whether the stripe passes are right for it."""
    similarity, opening, extension, lengths, constants, negated = batch
    n, m = lengths[b, 0], lengths[b, 1]
    suffices, gap_exponent = shared_gap_exponent(opening[b], extension[b], n, m, negated)
    tame = suffices and is_tame(similarity[b], opening[b], extension[b], n, m, constants)
    table = (similarity[b], opening[b], extension[b], n, m, b)
    return table, (constants, negated, gap_exponent, tame), suffices


@compiled
def score_pairs(batch, tangents, allow_empty, workspace, first, last, totals):
    """Sums over all alignments of pairs first..last-1 into ``totals`` (B, 4): value, tangent, exponent, whether done.

    ``batch`` is (similarity, gap_open, gap_extend, lengths, constants, negated constants).
    """
    for b in range(first, last):
        table, arithmetic, suffices = pair_of(batch, b)
        if suffices:
            value, tangent, exponent = score_pair(table, arithmetic, tangents, allow_empty, workspace)
            totals[b, 0], totals[b, 1], totals[b, 2] = value, tangent, exponent
        totals[b, 3] = suffices


@compiled
def differentiate_pairs(batch, tangents, allow_empty, workspace, first, last, totals, results):
    """:func:`score_pairs` with the derivatives, or the derivatives along the tangents, into three arrays."""
    for b in range(first, last):
        table, arithmetic, suffices = pair_of(batch, b)
        if suffices:
            pair_results = (results[0][b], results[1][b], results[2][b])
            value, tangent, exponent = differentiate_pair(
                table, arithmetic, tangents, allow_empty, workspace, pair_results
            )
            totals[b, 0], totals[b, 1], totals[b, 2] = value, tangent, exponent
        totals[b, 3] = suffices
