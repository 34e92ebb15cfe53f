"""Forward sums of soft Smith-Waterman on a CUDA device: the score, and checkpoints for the backward pass.

One warp sweeps a stripe of 32 rows, lane l one step behind lane l - 1, so that all cells of a step lie on one anti-
diagonal and what a cell needs comes from its own lane and from the lane before. Stripes of a pair hand their last row
to the next stripe in messages of 8 columns (see :mod:`cuda_warp`), so there is no limit to the length and no barrier.
A stripe only waits for stripes with smaller tickets, which are drawn when a block starts: whatever waits, waits for
something that runs.
"""

import math

import numpy as np
from numba import cuda

from lactoolkit.kernels import cuda_bounded, cuda_exact
from lactoolkit.kernels.cuda_bounded import complete_weights, drop_of, place_in_lane, reach_of, weight_limit
from lactoolkit.kernels.cuda_layout import FINAL_WORDS, LARGEST_STATE, SUMMARY_WORDS, Kind
from lactoolkit.kernels.cuda_messages import extent_of_pair, make_load_others, make_messages, make_penalties_of_pair
from lactoolkit.kernels.cuda_tiles import TILE, fetch, put_bounded_weights, put_weights
from lactoolkit.kernels.cuda_warp import (
    LANES,
    SEGMENT,
    all_lanes,
    exponent_of_word,
    receive,
    scale_of,
    shuffle_from,
    shuffle_up,
    shuffle_xor,
    synchronise_warp,
    word_of_exponent,
    write_word,
)
from lactoolkit.kernels.scaled_numbers import EMPTY, normalised, scaled_sum

_LN_2 = math.log(2.0)


def make_forward(kind: Kind, real):
    """The kernel for one kind of computation and one floating-point type, not yet compiled."""
    per_cell, dual, wide = kind
    bounded = kind.bounded
    message_words, state_words, tiles = kind.forward_message, kind.state, kind.tiles
    message = message_words * SEGMENT
    rounds = -(-message // LANES)
    tile_size, box_and_bin = tiles * TILE, 3 * message
    ask, take, put, send = make_messages(message)
    load_others, penalties_of_pair = make_load_others(kind, real), make_penalties_of_pair(kind, real)
    unpack = cuda_bounded.make_unpack_forward(dual, real)
    bounded_sweep = cuda_bounded.make_forward_sweep(dual, real, kind.rate_tile, False)
    box_size, boxed_words = (cuda_bounded.BOX, (4 if dual else 2) * SEGMENT) if bounded else (1, 1)
    exact_sweep = cuda_exact.make_forward_sweep(kind, real)

    def forward(
        similarity, gap_open, gap_extend, tangent_similarity, tangent_open, tangent_extend, lengths, scores, work,
        counters, pairs, rows, columns, gap_stride, extend_stride, summaries, finals, messages, wide_messages,
        checkpoints, ragged, allow_empty, keep, differentiate, temperature, c0, c1, c2, c3, c4, c0_rest,
    ):  # fmt: skip
        lane = np.int32(cuda.threadIdx.x)
        stripes = np.int32((rows + LANES - 1) // LANES)
        ticket_box = cuda.shared.array(1, np.int32)
        if wide:
            first_stripe, last_stripe, pair = np.int32(0), stripes, np.int64(cuda.blockIdx.x)
            messages = wide_messages
        else:
            if lane == 0:
                ticket_box[0] = cuda.atomic.add(counters, 0, 1) + 1
            synchronise_warp()
            # All first stripes come first, then all second ones: many chains start at once.
            first_stripe = np.int32(ticket_box[0] // pairs)
            last_stripe = np.int32(first_stripe + 1)
            pair = np.int64(ticket_box[0]) - np.int64(first_stripe) * pairs
        n, m, own_stripes, segments, blocks = extent_of_pair(rows, columns, ragged, lengths, pair)
        all_blocks = (columns + SEGMENT - 1) // SEGMENT
        all_segments = (columns + LANES + SEGMENT - 1) // SEGMENT
        final = finals + pair * FINAL_WORDS
        zero = real(0)
        c0, c1, c2, c3, c4, c0_rest = real(c0), real(c1), real(c2), real(c3), real(c4), real(c0_rest)

        first_open = gap_open[pair * gap_stride]
        first_extend = gap_extend[pair * extend_stride]
        lowest_of_cells = np.int32(0)
        if per_cell and wide:
            lowest_of_cells = exponent_of_word(work[final + 3])
        p, pe, p_rate, q, qe, q_rate, common, lowest, is_mine = penalties_of_pair(
            first_open, first_extend, tangent_open, tangent_extend, pair, differentiate, lowest_of_cells, wide,
            c0, c1, c2, c3, c4,
        )  # fmt: skip
        if not is_mine:
            last_stripe = first_stripe
        true_p, true_q, least, most, is_tame = p, q, zero, zero, False
        if bounded:
            true_p, true_q = p * scale_of(common, zero), q * scale_of(common, zero)
            drop, is_tame = drop_of(pe, qe, zero)
            least = scale_of(drop - reach_of(zero), zero)
            most = scale_of(reach_of(zero) - drop, zero)

        tile = cuda.shared.array(tile_size, real)
        inbox = cuda.shared.array(message, real)
        outbox = cuda.shared.array(box_and_bin, real)
        box = cuda.shared.array(box_size, real)
        pending = cuda.local.array(rounds, real)
        words = cuda.local.array(rounds, real)
        ahead = cuda.local.array(SEGMENT, real)
        weights = cuda.local.array(SEGMENT, real)
        boxed = cuda.local.array(boxed_words, real)
        nothing = cuda.local.array(1, real)
        unused = (nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing)
        outside = real(-np.inf)
        for stripe in range(first_stripe, min(last_stripe, own_stripes)):
            row_0 = np.int32(stripe * LANES)
            table = pair * rows * columns
            here = pair * np.int64(stripes) + np.int64(stripe)
            summary = summaries + here * SUMMARY_WORDS
            from_above = messages + (here - 1) * all_blocks * message
            to_below = messages + here * all_blocks * message
            checkpoint = checkpoints + here * all_segments * (LARGEST_STATE * LANES)
            has_above, has_below = stripe > 0, stripe < np.int32(own_stripes - 1)
            publishes = has_below and lane == LANES - 1
            is_row = np.int32(row_0 + lane) < n

            match, gap_a, gap_b, diagonal = zero, zero, zero, zero
            match_e, gap_a_e, gap_b_e, diagonal_e = EMPTY, EMPTY, EMPTY, EMPTY
            match_t, gap_a_t, gap_b_t, diagonal_t = zero, zero, zero, zero
            total, total_t, total_e = zero, zero, EMPTY

            fetch(similarity, table, row_0, n, m, columns, np.int32(0), ahead, outside, lane)
            synchronise_warp()
            for r in range(rounds):
                words[r] = zero
                if (lane + r * LANES) // SEGMENT == 2 or (lane + r * LANES) // SEGMENT == 5:
                    words[r] = word_of_exponent(EMPTY, zero)
            put(words, inbox, lane)
            if bounded:
                box[lane + 32] = zero
            if has_above and segments > 0:
                ask(work, from_above, pending, lane)
            for segment in range(segments):
                step_0 = np.int32(segment * SEGMENT)
                # First the tiles of this segment; the next segment's cells travel while this one is computed.
                is_bounded = False
                if bounded:
                    is_alive = is_row and np.int32(step_0 - lane) < m
                    exponent, start, inflow = place_in_lane(match_e, shuffle_up(match_e), lane == 0, is_alive, zero)
                    last_exponent = shuffle_from(exponent, LANES - 1)
                    is_ready = is_tame and (match_e != EMPTY or step_0 <= lane or not is_alive)
                    are_fit = put_bounded_weights(
                        ahead, tile, weight_limit(zero), row_0, n, m, step_0, lane, c0, c0_rest, c1, c2, c3, c4
                    )
                    is_bounded = all_lanes(is_ready and are_fit)
                if not is_bounded:
                    put_weights(ahead, tile, 0, lane, c0, c1, c2, c3, c4)
                lowest = load_others(
                    gap_open, gap_extend, tangent_similarity, tangent_open, tangent_extend, tile, ahead, lowest,
                    differentiate, first_open, first_extend, table, row_0, n, m, columns, step_0, lane,
                    c0, c1, c2, c3, c4,
                )  # fmt: skip
                fetch(similarity, table, row_0, n, m, columns, np.int32(step_0 + SEGMENT), ahead, outside, lane)
                has_words = has_above and segment < blocks
                if has_words:
                    place = from_above + np.int64(segment) * message
                    take(work, place, pending, words, lane)
                    if np.int32(segment + 1) < blocks:
                        ask(work, place + message, pending, lane)
                    put(words, inbox, lane)
                box_0 = np.int32((segment & 1) * message + 1)
                next_box = np.int32(message + 1 - box_0)
                is_done = False
                if bounded and is_bounded:
                    unpack(words, has_words, box, lane, exponent)
                    synchronise_warp()
                    first_step = np.int32(lane - step_0) if is_row else np.int32(SEGMENT)
                    last_step = min(np.int32(lane - step_0 + m), np.int32(SEGMENT))
                    to_exponent = scale_of(np.int32(diagonal_e - exponent), zero)
                    penalties = (true_p, true_q, true_p * p_rate, true_q * q_rate)
                    first_box = box_0 if publishes else np.int32(2 * message)
                    last_box = next_box if publishes else np.int32(2 * message)
                    (
                        new_match, new_gap_a, new_gap_b, new_diagonal, new_match_t, new_gap_a_t, new_gap_b_t,
                        new_diagonal_t, sum_match, sum_match_t, smallest, largest,
                    ) = bounded_sweep(
                        tile, box, weights, boxed, outbox, first_box, last_box, unused, lane, first_step, last_step,
                        match, gap_a, gap_b, diagonal * to_exponent, match_t, gap_a_t, gap_b_t,
                        diagonal_t * to_exponent, start, inflow, penalties, c4,
                    )  # fmt: skip
                    is_done = all_lanes(smallest >= least and largest <= most)
                if keep:
                    save = np.uint64(checkpoint + np.int64(segment) * (state_words * LANES) + lane)
                    work[save] = match
                    work[save + np.uint64(32)] = gap_a
                    work[save + np.uint64(64)] = gap_b
                    work[save + np.uint64(96)] = word_of_exponent(match_e, zero)
                    work[save + np.uint64(128)] = diagonal
                    # The backward pass does not find out again which way this segment went.
                    flag = np.int32(1) if is_done else np.int32(0)
                    work[save + np.uint64(160)] = word_of_exponent(np.int32(2 * diagonal_e + flag), zero)
                    if dual:
                        work[save + np.uint64(192)] = match_t
                        work[save + np.uint64(224)] = gap_a_t
                        work[save + np.uint64(256)] = gap_b_t
                        work[save + np.uint64(288)] = diagonal_t
                    if wide:
                        work[save + np.uint64(320)] = word_of_exponent(gap_a_e, zero)
                        work[save + np.uint64(352)] = word_of_exponent(gap_b_e, zero)
                if bounded and is_done:
                    if lane < SEGMENT:
                        slot = (box_0 + lane if lane < SEGMENT - 1 else next_box) + 2 * SEGMENT
                        outbox[slot] = word_of_exponent(last_exponent, zero)
                    sum_e = exponent if sum_match != 0 else EMPTY
                    top = max(total_e, sum_e)
                    old, new = scale_of(total_e - top, zero), scale_of(sum_e - top, zero)
                    total, total_t, total_e = total * old + sum_match * new, total_t * old + sum_match_t * new, top
                    factor, match_e = normalised(new_match, new_gap_a, new_gap_b, exponent)
                    match, gap_a, gap_b = new_match * factor, new_gap_a * factor, new_gap_b * factor
                    match_t, gap_a_t, gap_b_t = new_match_t * factor, new_gap_a_t * factor, new_gap_b_t * factor
                    diagonal, diagonal_t = new_diagonal, new_diagonal_t
                    diagonal_e = exponent if diagonal != 0 else EMPTY
                else:
                    if bounded:
                        factor, diagonal_e = normalised(diagonal, diagonal, diagonal, diagonal_e)
                        diagonal, diagonal_t = diagonal * factor, diagonal_t * factor
                        if is_bounded:
                            complete_weights(tile, lane)
                    synchronise_warp()
                    (
                        match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
                        diagonal, diagonal_t, diagonal_e, total, total_t, total_e,
                    ) = exact_sweep(
                        tile, inbox, outbox, box_0, next_box, publishes, lane, c4, common,
                        p, pe, p_rate, q, qe, q_rate,
                        match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
                        diagonal, diagonal_t, diagonal_e, total, total_t, total_e,
                    )  # fmt: skip
                synchronise_warp()
                if has_below and segment >= 4 and np.int32(segment - 4) < blocks:
                    place = to_below + np.int64(np.int32(segment - 4)) * message
                    send(outbox, (segment & 1) * message, work, place, lane)

            if not wide:
                total, total_t, total_e = scaled_sum(total, total_t, total_e, zero, zero, EMPTY)
            for d in range(5):
                other, other_t = shuffle_xor(total, 16 >> d), shuffle_xor(total_t, 16 >> d)
                other_e = shuffle_xor(total_e, 16 >> d)
                total, total_t, total_e = scaled_sum(total, total_t, total_e, other, other_t, other_e)
            if per_cell:
                for d in range(5):
                    lowest = min(lowest, shuffle_xor(lowest, 16 >> d))
            if has_below:
                if lane == 0:
                    write_word(work, summary, total)
                    write_word(work, summary + 1, total_t)
                    write_word(work, summary + 2, word_of_exponent(total_e, zero))
                    write_word(work, summary + 3, word_of_exponent(lowest, zero))
            else:
                # The last stripe adds up: a fixed order, whatever order the stripes finished in.
                synchronise_warp()
                if lane != np.int32(stripe & (LANES - 1)):
                    total, total_t, total_e = zero, zero, EMPTY
                for other_stripe in range(lane, stripe, LANES):
                    place = summaries + (here - np.int64(stripe) + np.int64(other_stripe)) * SUMMARY_WORDS
                    other, other_t = receive(work, place), receive(work, place + 1)
                    other_e = exponent_of_word(receive(work, place + 2))
                    total, total_t, total_e = scaled_sum(total, total_t, total_e, other, other_t, other_e)
                    if per_cell:
                        lowest = min(lowest, exponent_of_word(receive(work, place + 3)))
                for d in range(5):
                    other, other_t = shuffle_xor(total, 16 >> d), shuffle_xor(total_t, 16 >> d)
                    other_e = shuffle_xor(total_e, 16 >> d)
                    total, total_t, total_e = scaled_sum(total, total_t, total_e, other, other_t, other_e)
                if per_cell:
                    for d in range(5):
                        lowest = min(lowest, shuffle_xor(lowest, 16 >> d))
                if allow_empty:
                    total, total_t, total_e = scaled_sum(total, total_t, total_e, real(1), zero, np.int32(0))
                if lane == 0:
                    work[final] = total
                    work[final + 1] = total_t
                    work[final + 2] = word_of_exponent(total_e, zero)
                    work[final + 3] = word_of_exponent(lowest, zero)
                    score = -np.inf
                    if dual and differentiate:
                        score = temperature * total_t / total if total != 0 else 0.0
                    elif total != 0:
                        score = temperature * (math.log(np.float64(total)) + np.float64(total_e) * _LN_2)
                    scores[pair] = score

    return forward
