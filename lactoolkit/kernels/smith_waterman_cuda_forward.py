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

from lactoolkit.kernels.cells import (
    forward_cell,
    forward_cell_tangent,
    scaled_forward_cell,
    shared_exponent_limit,
)
from lactoolkit.kernels.cuda_layout import (
    FINAL_WORDS,
    SUMMARY_WORDS,
    Kind,
)
from lactoolkit.kernels.cuda_warp import (
    LANES,
    SEGMENT,
    TILE,
    TILE_STRIDE,
    exponent_of_kept,
    exponent_of_word,
    fetch,
    has_arrived,
    put_down,
    put_penalties,
    put_weights,
    read_word,
    receive,
    scale_of,
    shuffle_up,
    shuffle_xor,
    synchronise_warp,
    word_of_exponent,
    write_word,
)
from lactoolkit.kernels.scaled_numbers import EMPTY, scaled_sum, weight_of

_LN_2 = math.log(2.0)


def make_forward(kind: Kind, real):
    """The kernel for one kind of computation and one floating-point type, not yet compiled."""
    per_cell, dual, wide = kind
    message_words, state_words, tiles = kind.forward_message, kind.state, kind.tiles
    message = message_words * SEGMENT
    box_size, tile_size = 2 * message, tiles * TILE
    box_and_bin = box_size + message
    rounds = -(-message // LANES)
    open_tile, extend_tile = 2 * TILE, (4 if wide else 3) * TILE
    rate_tile = (2 if not per_cell else 6 if wide else 4) * TILE
    open_rate_tile, extend_rate_tile = rate_tile + TILE, rate_tile + 2 * TILE

    def forward(
        similarity, gap_open, gap_extend, tangent_similarity, tangent_open, tangent_extend, lengths, scores, work,
        counters, pairs, rows, columns, gap_stride, extend_stride, summaries, finals, messages, checkpoints, ragged,
        allow_empty, keep, differentiate, temperature, c0, c1, c2, c3, c4,
    ):  # fmt: skip
        lane = np.int32(cuda.threadIdx.x)
        stripes = (rows + LANES - 1) // LANES
        ticket_box = cuda.shared.array(1, np.int32)
        if wide:
            first_stripe, last_stripe, pair = 0, stripes, np.int64(cuda.blockIdx.x)
        else:
            if lane == 0:
                ticket_box[0] = cuda.atomic.add(counters, 0, 1) + 1
            synchronise_warp()
            # All first stripes come first, then all second ones: many chains start at once.
            first_stripe = np.int64(ticket_box[0]) // pairs
            last_stripe = first_stripe + 1
            pair = np.int64(ticket_box[0]) - first_stripe * pairs
        n, m = rows, columns
        if ragged:
            n, m = np.int64(lengths[2 * pair]), np.int64(lengths[2 * pair + 1])
        if n == 0 or m == 0:
            n, m = np.int64(0), np.int64(0)
        own_stripes = max((n + LANES - 1) // LANES, 1)
        segments = (m + LANES + SEGMENT - 1) // SEGMENT if m > 0 else 0
        blocks = (m + SEGMENT - 1) // SEGMENT
        all_blocks = (columns + SEGMENT - 1) // SEGMENT
        all_segments = (columns + LANES + SEGMENT - 1) // SEGMENT
        final = finals + pair * FINAL_WORDS
        zero = real(0)
        c0, c1, c2, c3, c4 = real(c0), real(c1), real(c2), real(c3), real(c4)

        first_open = gap_open[pair * gap_stride]
        first_extend = gap_extend[pair * extend_stride]
        p, pe = weight_of(first_open, -c0, -c1, -c2, -c3, -c4)
        q, qe = weight_of(first_extend, -c0, -c1, -c2, -c3, -c4)
        lowest, highest = min(pe, qe), max(pe, qe)
        if per_cell:
            highest = np.int32(0)
            if wide:
                lowest = exponent_of_word(work[final + 3])
        spread_is_wide = np.float64(highest) - np.float64(lowest) > shared_exponent_limit(first_open)
        # With penalties per cell their spread is known only at the end: the kernel for wide ones then starts afresh.
        mine = spread_is_wide if wide else (per_cell or not spread_is_wide)
        if not mine:
            last_stripe = first_stripe
        # The larger of p and q sets the exponent that they share: no sum is larger than its terms.
        common = max(pe, qe)
        if per_cell:
            common = np.int32(0)
        p_rate, q_rate = zero, zero
        if dual and differentiate and not per_cell:
            p_rate = -c4 * tangent_open[pair]
            q_rate = -c4 * tangent_extend[pair]
        if not wide:
            p, q = p * scale_of(pe - common, p), q * scale_of(qe - common, q)

        tile = cuda.shared.array(tile_size, real)
        inbox = cuda.shared.array(message, real)
        outbox = cuda.shared.array(box_and_bin, real)
        pending = cuda.local.array(rounds, real)
        ahead = cuda.local.array(SEGMENT, real)
        outside = real(-np.inf)
        for stripe in range(first_stripe, min(last_stripe, own_stripes)):
            row_0 = np.int64(stripe) * LANES
            table = pair * rows * columns
            here = pair * stripes + stripe
            summary = summaries + here * SUMMARY_WORDS
            from_above = messages + (here - 1) * all_blocks * message
            to_below = messages + here * all_blocks * message
            checkpoint = checkpoints + here * all_segments * (state_words * LANES)
            has_above, has_below = stripe > 0, stripe + 1 < own_stripes
            publishes = has_below and lane == LANES - 1

            match, gap_a, gap_b, diagonal, opened = zero, zero, zero, zero, zero
            match_e, gap_a_e, gap_b_e, diagonal_e, opened_e = EMPTY, EMPTY, EMPTY, EMPTY, EMPTY
            match_t, gap_a_t, gap_b_t, diagonal_t, opened_t = zero, zero, zero, zero, zero
            total, total_t, total_e = zero, zero, EMPTY

            fetch(similarity, table, row_0, n, m, columns, 0, ahead, outside, lane)
            synchronise_warp()
            for r in range(rounds):
                if lane + r * LANES < message:
                    inbox[lane + r * LANES] = zero
                    if (lane + r * LANES) // SEGMENT == 2 or (lane + r * LANES) // SEGMENT == 5:
                        inbox[lane + r * LANES] = word_of_exponent(EMPTY, zero)
            if has_above:
                for r in range(rounds):
                    if lane + r * LANES < message and segments > 0:
                        pending[r] = read_word(work, from_above + lane + r * LANES)
            for segment in range(segments):
                step_0 = np.int64(segment) * SEGMENT
                put_weights(ahead, tile, 0, lane, c0, c1, c2, c3, c4)
                if dual:
                    seen = n if differentiate else np.int64(0)
                    fetch(tangent_similarity, table, row_0, seen, m, columns, step_0, ahead, zero, lane)
                    put_down(ahead, tile, rate_tile, lane)
                if per_cell:
                    fetch(gap_open, table, row_0, n, m, columns, step_0, ahead, first_open, lane)
                    if wide:
                        put_weights(ahead, tile, open_tile, lane, -c0, -c1, -c2, -c3, -c4)
                    else:
                        lowest = min(lowest, put_penalties(ahead, tile, open_tile, lane, c0, c1, c2, c3, c4))
                    fetch(gap_extend, table, row_0, n, m, columns, step_0, ahead, first_extend, lane)
                    if wide:
                        put_weights(ahead, tile, extend_tile, lane, -c0, -c1, -c2, -c3, -c4)
                    else:
                        lowest = min(lowest, put_penalties(ahead, tile, extend_tile, lane, c0, c1, c2, c3, c4))
                    if dual:
                        fetch(tangent_open, table, row_0, seen, m, columns, step_0, ahead, zero, lane)
                        put_down(ahead, tile, open_rate_tile, lane)
                        fetch(tangent_extend, table, row_0, seen, m, columns, step_0, ahead, zero, lane)
                        put_down(ahead, tile, extend_rate_tile, lane)
                if has_above and segment < blocks:
                    for r in range(rounds):
                        if lane + r * LANES < message:
                            place = from_above + segment * message + lane + r * LANES
                            word = pending[r]
                            while not has_arrived(word):
                                word = read_word(work, place)
                            inbox[lane + r * LANES] = word
                            if segment + 1 < blocks:
                                pending[r] = read_word(work, place + message)
                # The next segment's cells travel while this one is computed.
                fetch(similarity, table, row_0, n, m, columns, step_0 + SEGMENT, ahead, outside, lane)
                if keep:
                    save = checkpoint + segment * (state_words * LANES) + lane
                    work[save] = match
                    work[save + 32] = gap_a
                    work[save + 64] = gap_b
                    work[save + 96] = word_of_exponent(match_e, zero)
                    work[save + 128] = diagonal
                    work[save + 160] = word_of_exponent(diagonal_e, zero)
                    if dual:
                        work[save + 192] = match_t
                        work[save + 224] = gap_a_t
                        work[save + 256] = gap_b_t
                        work[save + 288] = diagonal_t
                    if wide:
                        work[save + 320] = word_of_exponent(gap_a_e, zero)
                        work[save + 352] = word_of_exponent(gap_b_e, zero)
                synchronise_warp()
                box_0 = (np.int64(segment) & 1) * message + 1
                next_box = message + 1 - box_0
                for k in range(SEGMENT):
                    at = np.uint64(k)
                    slot = at * np.uint64(TILE_STRIDE) + np.uint64(lane)
                    weight, weight_e = tile[slot], exponent_of_kept(tile[slot + np.uint64(TILE)])
                    rate = zero
                    if dual and weight != 0:
                        rate = c4 * tile[slot + np.uint64(rate_tile)]
                    if per_cell:
                        p, q = tile[slot + np.uint64(open_tile)], tile[slot + np.uint64(extend_tile)]
                        if wide:
                            pe = exponent_of_kept(tile[slot + np.uint64(open_tile + TILE)])
                            qe = exponent_of_kept(tile[slot + np.uint64(extend_tile + TILE)])
                        if dual:
                            p_rate = -c4 * tile[slot + np.uint64(open_rate_tile)]
                            q_rate = -c4 * tile[slot + np.uint64(extend_rate_tile)]
                    up, up_b, up_e = shuffle_up(opened), shuffle_up(gap_b), shuffle_up(opened_e)
                    up_t, up_b_t = zero, zero
                    if dual:
                        up_t, up_b_t = shuffle_up(opened_t), shuffle_up(gap_b_t)
                    # Beyond column m the box holds an earlier block; nothing that counts lies behind those columns.
                    boxed, boxed_b, boxed_e = (
                        inbox[at],
                        inbox[at + np.uint64(8)],
                        exponent_of_word(inbox[at + np.uint64(16)]),
                    )
                    up = boxed if lane == 0 else up
                    up_b = boxed_b if lane == 0 else up_b
                    up_e = boxed_e if lane == 0 else up_e
                    up_b_e = up_e
                    if dual:
                        boxed, boxed_b = inbox[at + np.uint64(24)], inbox[at + np.uint64(32)]
                        up_t = boxed if lane == 0 else up_t
                        up_b_t = boxed_b if lane == 0 else up_b_t
                    if wide:
                        up_b_e, boxed_e = shuffle_up(gap_b_e), exponent_of_word(inbox[at + np.uint64(40)])
                        up_b_e = boxed_e if lane == 0 else up_b_e
                    if wide:
                        (
                            match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
                        ) = scaled_forward_cell(
                            weight, weight_e, rate, diagonal, diagonal_t, diagonal_e, match, match_t, match_e,
                            gap_a, gap_a_t, gap_a_e, up, up_t, up_e, up_b, up_b_t, up_b_e,
                            p, pe, p_rate, q, qe, q_rate,
                        )  # fmt: skip
                        diagonal, diagonal_t, diagonal_e = scaled_sum(up, up_t, up_e, up_b, up_b_t, up_b_e)
                        opened, opened_t, opened_e = scaled_sum(match, match_t, match_e, gap_a, gap_a_t, gap_a_e)
                        total, total_t, total_e = scaled_sum(total, total_t, total_e, match, match_t, match_e)
                    else:
                        if dual:
                            match, gap_a, gap_b, match_t, gap_a_t, gap_b_t, match_e = forward_cell_tangent(
                                weight, weight_e, rate, diagonal, diagonal_t, diagonal_e,
                                match, gap_a, match_t, gap_a_t, match_e, up, up_b, up_t, up_b_t, up_e,
                                p, q, p_rate, q_rate, common,
                            )  # fmt: skip
                            diagonal_t, opened_t = up_t + up_b_t, match_t + gap_a_t
                        else:
                            match, gap_a, gap_b, match_e = forward_cell(
                                weight, weight_e, diagonal, diagonal_e, match, gap_a, match_e, up, up_b, up_e,
                                p, q, common,
                            )  # fmt: skip
                        diagonal, diagonal_e = up + up_b, up_e
                        opened, opened_e = match + gap_a, match_e
                        top = max(total_e, match_e)
                        old = scale_of(total_e - top, zero)
                        new = scale_of(match_e - top, zero)
                        total, total_e = total * old + match * new, top
                        if dual:
                            total_t = total_t * old + match_t * new
                    # All lanes write, to spare a branch; only one of them where it counts.
                    # Step k of this segment is column k + 1 of block segment - 4; the last one opens the next block.
                    box = np.uint64((box_0 + k if k < SEGMENT - 1 else next_box) if publishes else box_size)
                    outbox[box] = opened
                    outbox[box + np.uint64(8)] = gap_b
                    outbox[box + np.uint64(16)] = word_of_exponent(opened_e, zero)
                    if dual:
                        outbox[box + np.uint64(24)] = opened_t
                        outbox[box + np.uint64(32)] = gap_b_t
                    if wide:
                        outbox[box + np.uint64(40)] = word_of_exponent(gap_b_e, zero)
                synchronise_warp()
                if has_below and segment >= 4:
                    for r in range(rounds):
                        word = lane + r * LANES
                        if word < message and segment - 4 < blocks:
                            place = to_below + (segment - 4) * message + word
                            write_word(work, place, outbox[(segment & 1) * message + word])

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
                if lane != stripe & (LANES - 1):
                    total, total_t, total_e = zero, zero, EMPTY
                for other_stripe in range(lane, stripe, LANES):
                    place = summaries + (pair * stripes + other_stripe) * SUMMARY_WORDS
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
