"""Backward sums of soft Smith-Waterman on a CUDA device, and the derivatives that they give with the forward sums.

A warp sweeps its stripe from right to left, segment by segment. Of each segment of 8 steps it first recomputes the
forward sums from the checkpoint that the forward pass left (reading all of them back from memory would take longer),
keeps them in shared memory, and then goes through the same steps in reverse. Stripes hand their first row to the
stripe above.
"""

import numpy as np
from numba import cuda

from lactoolkit.kernels.cells import (
    backward_cell,
    backward_cell_tangent,
    forward_cell,
    forward_cell_tangent,
    scaled_backward_cell,
    scaled_forward_cell,
    shared_exponent_limit,
)
from lactoolkit.kernels.cuda_layout import FINAL_WORDS, PARTIAL_WORDS, Kind
from lactoolkit.kernels.cuda_warp import (
    LANES,
    SEGMENT,
    TILE,
    TILE_STRIDE,
    exponent_of_kept,
    exponent_of_word,
    fetch,
    has_arrived,
    kept_exponent,
    put_down,
    put_penalties,
    put_weights,
    read_word,
    receive,
    scale_of,
    shuffle_down,
    shuffle_up,
    shuffle_xor,
    synchronise_warp,
    word_of_exponent,
    write_back,
    write_word,
)
from lactoolkit.kernels.scaled_numbers import EMPTY, scaled_product, scaled_sum, weight_of

_ROW = np.uint64(LANES)


def make_backward(kind: Kind, real):
    """The kernel for one kind of computation and one floating-point type, not yet compiled."""
    per_cell, dual, wide = kind
    message_words, up_words, state_words = kind.forward_message, kind.backward_message, kind.state
    message, up_message = message_words * SEGMENT, up_words * SEGMENT
    up_rounds = -(-up_message // LANES)
    tile_size, up_box_size, slots_size = kind.tiles * TILE, 2 * up_message, kind.kept_words
    open_tile, extend_tile = 2 * TILE, (4 if wide else 3) * TILE
    rate_tile = (2 if not per_cell else 6 if wide else 4) * TILE
    open_rate_tile, extend_rate_tile = rate_tile + TILE, rate_tile + 2 * TILE
    # Places of the kept words. Those of the left neighbour are those of the step before, so they have a row more.
    row = (SEGMENT + 1) * LANES
    at_match, at_gap_a, at_exponent, at_match_t, at_gap_a_t, at_gap_a_e = 0, row, 2 * row, 3 * row, 4 * row, 5 * row
    column = SEGMENT * LANES
    base = (6 if wide else 5 if dual else 3) * row
    at_up, at_up_b, at_up_e, at_up_t, at_up_b_t, at_up_b_e = (base + i * column for i in range(6))
    up_box_and_bin = up_box_size + (0 if wide else up_message)
    # Exponents among the words of a message to the stripe above.
    first_exponent, second_exponent, third_exponent = (2, 5, 8) if wide else (1, 3, 3)
    at_penalties = 6 if dual else 4
    at_penalty_rates = 8

    def backward(
        similarity, gap_open, gap_extend, tangent_similarity, tangent_open, tangent_extend, lengths, out_match,
        out_open, out_extend, work, counters, pairs, rows, columns, gap_stride, extend_stride, partials, finals,
        messages, up_messages, checkpoints, ragged, differentiate, c0, c1, c2, c3, c4,
    ):  # fmt: skip
        lane = np.int32(cuda.threadIdx.x)
        stripes = (rows + LANES - 1) // LANES
        ticket_box = cuda.shared.array(1, np.int32)
        if wide:
            pair, ticket_stripe, count = np.int64(cuda.blockIdx.x), stripes - 1, stripes
        else:
            if lane == 0:
                ticket_box[0] = cuda.atomic.add(counters, 1, 1) + 1
            synchronise_warp()
            order = np.int64(ticket_box[0]) // pairs
            pair, ticket_stripe, count = np.int64(ticket_box[0]) - order * pairs, stripes - 1 - order, np.int64(1)
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
            lowest, highest = exponent_of_word(work[final + 3]), np.int32(0)
        spread_is_wide = np.float64(highest) - np.float64(lowest) > shared_exponent_limit(first_open)
        if spread_is_wide != wide:
            count = np.int64(0)
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

        total, total_rate, total_e = work[final], zero, exponent_of_word(work[final + 2])
        if total != 0:
            total_rate = work[final + 1] / total
            total = 1 / total
        else:
            total_e = np.int32(0)
        inverse = real(total)

        tile = cuda.shared.array(tile_size, real)
        kept = cuda.shared.array(slots_size, real)
        inbox = cuda.shared.array(message, real)
        up_inbox = cuda.shared.array(up_message, real)
        up_outbox = cuda.shared.array(up_box_and_bin, real)
        up_pending = cuda.local.array(up_rounds, real)
        ahead = cuda.local.array(SEGMENT, real)
        coming = cuda.local.array(state_words, real)
        outside = real(-np.inf)
        no_exponent = word_of_exponent(EMPTY, zero)
        for turn in range(count):
            stripe = ticket_stripe - turn
            row_0 = np.int64(stripe) * LANES
            table = pair * rows * columns
            here = pair * stripes + stripe
            partial = partials + here * PARTIAL_WORDS
            from_above = messages + (here - 1) * all_blocks * message
            from_below = up_messages + (here + 1) * (all_blocks + 2) * up_message
            to_above = up_messages + here * (all_blocks + 2) * up_message
            checkpoint = checkpoints + here * all_segments * (state_words * LANES)
            has_above, has_below = stripe > 0, stripe + 1 < own_stripes
            publishes = has_above and lane == 0
            own_segments = segments if stripe < own_stripes else 0

            match, gap_a, gap_b, here_e, right_e = zero, zero, zero, EMPTY, EMPTY
            match_t, gap_a_t, gap_b_t = zero, zero, zero
            diagonal, diagonal_t, diagonal_e = zero, zero, EMPTY
            passed, passed_t, passed_e = zero, zero, EMPTY
            a_opened, a_opened_t, a_opened_e = zero, zero, EMPTY
            a_extended, a_extended_t, a_extended_e = zero, zero, EMPTY
            b_opened, b_opened_t, b_opened_e = zero, zero, EMPTY
            b_extended, b_extended_t, b_extended_e = zero, zero, EMPTY
            right_p, right_q, right_p_rate, right_q_rate = p, q, p_rate, q_rate
            sum_opened, sum_extended = 0.0, 0.0

            synchronise_warp()
            for word in range(lane, up_box_size, LANES):
                which = (word % up_message) // SEGMENT
                is_exponent = which in (first_exponent, second_exponent, third_exponent)
                up_outbox[word] = no_exponent if is_exponent else zero
                if word < up_message:
                    up_inbox[word] = no_exponent if is_exponent else zero
            for word in range(lane, message, LANES):
                inbox[word] = no_exponent if word // SEGMENT == 2 or word // SEGMENT == 5 else zero
            if own_segments > 0:
                last = own_segments - 1
                fetch(similarity, table, row_0, n, m, columns, last * SEGMENT, ahead, outside, lane)
                for word in range(state_words):
                    coming[word] = work[np.uint64(checkpoint + (last * state_words + word) * LANES + lane)]

            for turned in range(own_segments):
                segment = own_segments - 1 - turned
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
                        put_penalties(ahead, tile, open_tile, lane, c0, c1, c2, c3, c4)
                    fetch(gap_extend, table, row_0, n, m, columns, step_0, ahead, first_extend, lane)
                    if wide:
                        put_weights(ahead, tile, extend_tile, lane, -c0, -c1, -c2, -c3, -c4)
                    else:
                        put_penalties(ahead, tile, extend_tile, lane, c0, c1, c2, c3, c4)
                    if dual:
                        fetch(tangent_open, table, row_0, seen, m, columns, step_0, ahead, zero, lane)
                        put_down(ahead, tile, open_rate_tile, lane)
                        fetch(tangent_extend, table, row_0, seen, m, columns, step_0, ahead, zero, lane)
                        put_down(ahead, tile, extend_rate_tile, lane)
                if has_above and segment < blocks:
                    for word in range(lane, message, LANES):
                        inbox[word] = work[np.uint64(from_above + segment * message + word)]
                block = segment - 4
                if has_below and block >= -1 and block * SEGMENT + 1 < m:
                    for r in range(up_rounds):
                        if lane + r * LANES < up_message:
                            place = from_below + (block + 1) * up_message + lane + r * LANES
                            word = up_pending[r]
                            if block * SEGMENT + 1 + SEGMENT >= m:
                                word = read_word(work, place)
                            while not has_arrived(word):
                                word = read_word(work, place)
                            up_inbox[lane + r * LANES] = word
                            if block >= 0:
                                up_pending[r] = read_word(work, place - up_message)

                f_match, f_gap_a, f_gap_b, f_e = coming[0], coming[1], coming[2], exponent_of_word(coming[3])
                f_diagonal, f_diagonal_e = coming[4], exponent_of_word(coming[5])
                f_match_t, f_gap_a_t, f_gap_b_t, f_diagonal_t = zero, zero, zero, zero
                f_gap_a_e, f_gap_b_e = f_e, f_e
                if dual:
                    f_match_t, f_gap_a_t, f_gap_b_t, f_diagonal_t = coming[6], coming[7], coming[8], coming[9]
                if wide:
                    f_gap_a_e, f_gap_b_e = exponent_of_word(coming[10]), exponent_of_word(coming[11])
                if segment > 0:
                    # The next segment's cells and checkpoint travel while this one is computed.
                    fetch(similarity, table, row_0, n, m, columns, step_0 - SEGMENT, ahead, outside, lane)
                    for word in range(state_words):
                        place = checkpoint + ((segment - 1) * state_words + word) * LANES + lane
                        coming[word] = work[np.uint64(place)]
                place = np.uint64(lane)
                kept[place + np.uint64(at_match)] = f_match
                kept[place + np.uint64(at_gap_a)] = f_gap_a
                kept[place + np.uint64(at_exponent)] = kept_exponent(f_e, zero)
                if dual:
                    kept[place + np.uint64(at_match_t)] = f_match_t
                    kept[place + np.uint64(at_gap_a_t)] = f_gap_a_t
                if wide:
                    kept[place + np.uint64(at_gap_a_e)] = kept_exponent(f_gap_a_e, zero)
                    opened, opened_t, opened_e = scaled_sum(f_match, f_match_t, f_e, f_gap_a, f_gap_a_t, f_gap_a_e)
                else:
                    opened, opened_t, opened_e = f_match + f_gap_a, f_match_t + f_gap_a_t, f_e
                synchronise_warp()

                for k in range(SEGMENT):
                    at = np.uint64(k)
                    slot = at * np.uint64(TILE_STRIDE) + np.uint64(lane)
                    place = at * _ROW + np.uint64(lane)
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
                    up, up_b, up_e = shuffle_up(opened), shuffle_up(f_gap_b), shuffle_up(opened_e)
                    boxed, boxed_b = inbox[at], inbox[at + np.uint64(8)]
                    boxed_e = exponent_of_word(inbox[at + np.uint64(16)])
                    up = boxed if lane == 0 else up
                    up_b = boxed_b if lane == 0 else up_b
                    up_e = boxed_e if lane == 0 else up_e
                    up_t, up_b_t, up_b_e = zero, zero, up_e
                    if dual:
                        up_t, up_b_t = shuffle_up(opened_t), shuffle_up(f_gap_b_t)
                        boxed, boxed_b = inbox[at + np.uint64(24)], inbox[at + np.uint64(32)]
                        up_t = boxed if lane == 0 else up_t
                        up_b_t = boxed_b if lane == 0 else up_b_t
                    if wide:
                        up_b_e, boxed_e = shuffle_up(f_gap_b_e), exponent_of_word(inbox[at + np.uint64(40)])
                        up_b_e = boxed_e if lane == 0 else up_b_e
                        (
                            f_match, f_match_t, f_e, f_gap_a, f_gap_a_t, f_gap_a_e, f_gap_b, f_gap_b_t, f_gap_b_e,
                        ) = scaled_forward_cell(
                            weight, weight_e, rate, f_diagonal, f_diagonal_t, f_diagonal_e, f_match, f_match_t, f_e,
                            f_gap_a, f_gap_a_t, f_gap_a_e, up, up_t, up_e, up_b, up_b_t, up_b_e,
                            p, pe, p_rate, q, qe, q_rate,
                        )  # fmt: skip
                        f_diagonal, f_diagonal_t, f_diagonal_e = scaled_sum(up, up_t, up_e, up_b, up_b_t, up_b_e)
                        opened, opened_t, opened_e = scaled_sum(f_match, f_match_t, f_e, f_gap_a, f_gap_a_t, f_gap_a_e)
                    else:
                        if dual:
                            f_match, f_gap_a, f_gap_b, f_match_t, f_gap_a_t, f_gap_b_t, f_e = forward_cell_tangent(
                                weight, weight_e, rate, f_diagonal, f_diagonal_t, f_diagonal_e,
                                f_match, f_gap_a, f_match_t, f_gap_a_t, f_e, up, up_b, up_t, up_b_t, up_e,
                                p, q, p_rate, q_rate, common,
                            )  # fmt: skip
                            f_diagonal_t, opened_t = up_t + up_b_t, f_match_t + f_gap_a_t
                        else:
                            f_match, f_gap_a, f_gap_b, f_e = forward_cell(
                                weight, weight_e, f_diagonal, f_diagonal_e, f_match, f_gap_a, f_e, up, up_b, up_e,
                                p, q, common,
                            )  # fmt: skip
                        f_diagonal, f_diagonal_e = up + up_b, up_e
                        opened, opened_e = f_match + f_gap_a, f_e
                    kept[place + np.uint64(at_match + 32)] = f_match
                    kept[place + np.uint64(at_gap_a + 32)] = f_gap_a
                    kept[place + np.uint64(at_exponent + 32)] = kept_exponent(f_e, zero)
                    kept[place + np.uint64(at_up)] = up
                    kept[place + np.uint64(at_up_b)] = up_b
                    kept[place + np.uint64(at_up_e)] = kept_exponent(up_e, zero)
                    if dual:
                        kept[place + np.uint64(at_match_t + 32)] = f_match_t
                        kept[place + np.uint64(at_gap_a_t + 32)] = f_gap_a_t
                        kept[place + np.uint64(at_up_t)] = up_t
                        kept[place + np.uint64(at_up_b_t)] = up_b_t
                    if wide:
                        kept[place + np.uint64(at_gap_a_e + 32)] = kept_exponent(f_gap_a_e, zero)
                        kept[place + np.uint64(at_up_b_e)] = kept_exponent(up_b_e, zero)

                flow_opened, flow_extended = zero, zero
                box_0 = (np.int64(segment) & 1) * up_message
                last_box = up_message - box_0 + SEGMENT - 1
                for reverse in range(SEGMENT):
                    k = SEGMENT - 1 - reverse
                    at = np.uint64(k)
                    slot = at * np.uint64(TILE_STRIDE) + np.uint64(lane)
                    place = at * _ROW + np.uint64(lane)
                    f_match, f_e = kept[place + np.uint64(at_match + 32)], kept[place + np.uint64(at_exponent + 32)]
                    left, left_a = kept[place + np.uint64(at_match)], kept[place + np.uint64(at_gap_a)]
                    left_e = exponent_of_kept(kept[place + np.uint64(at_exponent)])
                    up, up_b = kept[place + np.uint64(at_up)], kept[place + np.uint64(at_up_b)]
                    up_e = exponent_of_kept(kept[place + np.uint64(at_up_e)])
                    weight, weight_e = tile[slot], exponent_of_kept(tile[slot + np.uint64(TILE)])
                    match_scale_e = np.int32(exponent_of_kept(f_e) - total_e)
                    left_a_e, up_b_e = left_e, up_e
                    f_match_t, left_t, left_a_t, up_t, up_b_t, rate = zero, zero, zero, zero, zero, zero
                    if dual:
                        f_match_t = kept[place + np.uint64(at_match_t + 32)]
                        left_t, left_a_t = kept[place + np.uint64(at_match_t)], kept[place + np.uint64(at_gap_a_t)]
                        up_t, up_b_t = kept[place + np.uint64(at_up_t)], kept[place + np.uint64(at_up_b_t)]
                        if weight != 0:
                            rate = c4 * tile[slot + np.uint64(rate_tile)]
                    if wide:
                        left_a_e = exponent_of_kept(kept[place + np.uint64(at_gap_a_e)])
                        up_b_e = exponent_of_kept(kept[place + np.uint64(at_up_b_e)])
                    down_p, down_q, down_p_rate, down_q_rate = p, q, p_rate, q_rate
                    if per_cell and not wide:
                        down_p, down_q = shuffle_down(right_p), shuffle_down(right_q)
                        boxed = up_inbox[at + np.uint64(at_penalties * 8)]
                        boxed_b = up_inbox[at + np.uint64(at_penalties * 8 + 8)]
                        down_p = boxed if lane == LANES - 1 else down_p
                        down_q = boxed_b if lane == LANES - 1 else down_q
                        if dual:
                            down_p_rate, down_q_rate = shuffle_down(right_p_rate), shuffle_down(right_q_rate)
                            boxed = up_inbox[at + np.uint64(at_penalty_rates * 8)]
                            boxed_b = up_inbox[at + np.uint64(at_penalty_rates * 8 + 8)]
                            down_p_rate = boxed if lane == LANES - 1 else down_p_rate
                            down_q_rate = boxed_b if lane == LANES - 1 else down_q_rate
                    if per_cell:
                        p, q = tile[slot + np.uint64(open_tile)], tile[slot + np.uint64(extend_tile)]
                        if wide:
                            pe = exponent_of_kept(tile[slot + np.uint64(open_tile + TILE)])
                            qe = exponent_of_kept(tile[slot + np.uint64(extend_tile + TILE)])
                        if dual:
                            p_rate = -c4 * tile[slot + np.uint64(open_rate_tile)]
                            q_rate = -c4 * tile[slot + np.uint64(extend_rate_tile)]

                    if wide:
                        d_o, d_o_t, d_o_e = shuffle_down(b_opened), shuffle_down(b_opened_t), shuffle_down(b_opened_e)
                        d_x, d_x_t = shuffle_down(b_extended), shuffle_down(b_extended_t)
                        d_x_e = shuffle_down(b_extended_e)
                        next_d, next_d_t, next_d_e = (
                            shuffle_down(passed),
                            shuffle_down(passed_t),
                            shuffle_down(passed_e),
                        )
                        if lane == LANES - 1:
                            d_o, d_o_t = up_inbox[at], up_inbox[at + np.uint64(8)]
                            d_o_e = exponent_of_word(up_inbox[at + np.uint64(16)])
                            d_x, d_x_t = up_inbox[at + np.uint64(24)], up_inbox[at + np.uint64(32)]
                            d_x_e = exponent_of_word(up_inbox[at + np.uint64(40)])
                            next_d, next_d_t = up_inbox[at + np.uint64(48)], up_inbox[at + np.uint64(56)]
                            next_d_e = exponent_of_word(up_inbox[at + np.uint64(64)])
                        (
                            match, match_t, here_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
                        ) = scaled_backward_cell(
                            diagonal, diagonal_t, diagonal_e, a_opened, a_opened_t, a_opened_e,
                            a_extended, a_extended_t, a_extended_e, d_o, d_o_t, d_o_e, d_x, d_x_t, d_x_e,
                        )  # fmt: skip
                        a_opened, a_opened_t, a_opened_e = scaled_product(gap_a, gap_a_t, gap_a_e, p, pe, p_rate)
                        a_extended, a_extended_t, a_extended_e = scaled_product(gap_a, gap_a_t, gap_a_e, q, qe, q_rate)
                        b_opened, b_opened_t, b_opened_e = scaled_product(gap_b, gap_b_t, gap_b_e, p, pe, p_rate)
                        b_extended, b_extended_t, b_extended_e = scaled_product(gap_b, gap_b_t, gap_b_e, q, qe, q_rate)
                        passed, passed_t, passed_e = scaled_product(match, match_t, here_e, weight, weight_e, rate)
                    else:
                        down, down_e = shuffle_down(gap_b), shuffle_down(here_e)
                        next_d, next_d_e = shuffle_down(passed), shuffle_down(passed_e)
                        boxed, boxed_e = up_inbox[at], exponent_of_word(up_inbox[at + np.uint64(8)])
                        boxed_b, boxed_b_e = (
                            up_inbox[at + np.uint64(16)],
                            exponent_of_word(up_inbox[at + np.uint64(24)]),
                        )
                        down = boxed if lane == LANES - 1 else down
                        down_e = boxed_e if lane == LANES - 1 else down_e
                        next_d = boxed_b if lane == LANES - 1 else next_d
                        next_d_e = boxed_b_e if lane == LANES - 1 else next_d_e
                        right_e = here_e
                        next_d_t = zero
                        if dual:
                            down_t, next_d_t = shuffle_down(gap_b_t), shuffle_down(passed_t)
                            boxed, boxed_b = up_inbox[at + np.uint64(32)], up_inbox[at + np.uint64(40)]
                            down_t = boxed if lane == LANES - 1 else down_t
                            next_d_t = boxed_b if lane == LANES - 1 else next_d_t
                            match, gap_a, gap_b, match_t, gap_a_t, gap_b_t, here_e = backward_cell_tangent(
                                diagonal, diagonal_t, diagonal_e, gap_a, gap_a_t, right_e,
                                right_p, right_q, right_p_rate, right_q_rate, down, down_t, down_e,
                                down_p, down_q, down_p_rate, down_q_rate, common,
                            )  # fmt: skip
                            passed_t = weight * (match_t + rate * match)
                        else:
                            match, gap_a, gap_b, here_e = backward_cell(
                                diagonal, diagonal_e, gap_a, right_e, right_p, right_q,
                                down, down_e, down_p, down_q, common,
                            )  # fmt: skip
                        gap_a_e, gap_b_e = here_e, here_e
                        pe, qe = common, common
                        passed, passed_e = weight * match, np.int32(weight_e + here_e)
                        right_p, right_q, right_p_rate, right_q_rate = p, q, p_rate, q_rate
                    diagonal, diagonal_t, diagonal_e = next_d, next_d_t, next_d_e

                    scale = scale_of(match_scale_e + here_e, zero) * inverse
                    a_e, b_e = np.int32(gap_a_e - total_e), np.int32(gap_b_e - total_e)
                    # All four are at most 1; only their factors may be large, and those only together.
                    left_scale = scale_of(left_e + pe + a_e, zero) * inverse
                    up_scale = scale_of(up_e + pe + b_e, zero) * inverse
                    left_a_scale, up_b_scale = left_scale, up_scale
                    if wide:
                        left_a_scale = scale_of(left_a_e + qe + a_e, zero) * inverse
                        up_b_scale = scale_of(up_b_e + qe + b_e, zero) * inverse
                    posterior = f_match * match * scale
                    into_a, into_b = p * left * gap_a * left_scale, p * up * gap_b * up_scale
                    along_a, along_b = q * left_a * gap_a * left_a_scale, q * up_b * gap_b * up_b_scale
                    if dual and differentiate:
                        posterior = (f_match_t * match + f_match * match_t) * scale - total_rate * posterior
                        into_a = p * (left_t * gap_a + left * gap_a_t) * left_scale + (p_rate - total_rate) * into_a
                        into_b = p * (up_t * gap_b + up * gap_b_t) * up_scale + (p_rate - total_rate) * into_b
                        along_a = (
                            q * (left_a_t * gap_a + left_a * gap_a_t) * left_a_scale + (q_rate - total_rate) * along_a
                        )
                        along_b = q * (up_b_t * gap_b + up_b * gap_b_t) * up_b_scale + (q_rate - total_rate) * along_b
                    tile[slot] = posterior
                    if per_cell:
                        tile[slot + np.uint64(open_tile)] = -(into_a + into_b)
                        tile[slot + np.uint64(extend_tile)] = -(along_a + along_b)
                    else:
                        flow_opened += into_a + into_b
                        flow_extended += along_a + along_b

                    # All lanes write, to spare a branch; only one of them where it counts.
                    # Step k is column k - 1 of block segment; step 0 closes the block before.
                    box = np.uint64((box_0 + k - 1 if k > 0 else last_box) if publishes else up_box_size)
                    if wide:
                        # Shared memory is short here: no room for a bin.
                        if publishes:
                            up_outbox[box] = b_opened
                            up_outbox[box + np.uint64(8)] = b_opened_t
                            up_outbox[box + np.uint64(16)] = word_of_exponent(b_opened_e, zero)
                            up_outbox[box + np.uint64(24)] = b_extended
                            up_outbox[box + np.uint64(32)] = b_extended_t
                            up_outbox[box + np.uint64(40)] = word_of_exponent(b_extended_e, zero)
                            up_outbox[box + np.uint64(48)] = passed
                            up_outbox[box + np.uint64(56)] = passed_t
                            up_outbox[box + np.uint64(64)] = word_of_exponent(passed_e, zero)
                    else:
                        up_outbox[box] = gap_b
                        up_outbox[box + np.uint64(8)] = word_of_exponent(here_e, zero)
                        up_outbox[box + np.uint64(16)] = passed
                        up_outbox[box + np.uint64(24)] = word_of_exponent(passed_e, zero)
                        if dual:
                            up_outbox[box + np.uint64(32)] = gap_b_t
                            up_outbox[box + np.uint64(40)] = passed_t
                        if per_cell:
                            up_outbox[box + np.uint64(at_penalties * 8)] = p
                            up_outbox[box + np.uint64(at_penalties * 8 + 8)] = q
                            if dual:
                                up_outbox[box + np.uint64(at_penalty_rates * 8)] = p_rate
                                up_outbox[box + np.uint64(at_penalty_rates * 8 + 8)] = q_rate
                synchronise_warp()
                sum_opened += np.float64(flow_opened)
                sum_extended += np.float64(flow_extended)
                write_back(tile, 0, out_match, table, row_0, n, m, columns, step_0, lane)
                if per_cell:
                    write_back(tile, open_tile, out_open, table, row_0, n, m, columns, step_0, lane)
                    write_back(tile, extend_tile, out_extend, table, row_0, n, m, columns, step_0, lane)
                if has_above:
                    if segment * SEGMENT + 1 < m:
                        for word in range(lane, up_message, LANES):
                            value = up_outbox[np.uint64((segment & 1) * up_message + word)]
                            write_word(work, to_above + (segment + 1) * up_message + word, value)
                    if segment == 0:
                        for word in range(lane, up_message, LANES):
                            write_word(work, to_above + word, up_outbox[np.uint64(up_message + word)])
                synchronise_warp()

            if not per_cell:
                for d in range(5):
                    sum_opened += shuffle_xor(sum_opened, 16 >> d)
                    sum_extended += shuffle_xor(sum_extended, 16 >> d)
                if stripe > 0:
                    if lane == 0:
                        write_word(work, partial, real(sum_opened))
                        write_word(work, partial + 1, real(sum_extended))
                else:
                    # The first stripe adds up: a fixed order, whatever order the stripes finished in.
                    synchronise_warp()
                    if lane > 0:
                        sum_opened, sum_extended = 0.0, 0.0
                    for other in range(lane + 1, own_stripes, LANES):
                        place = partials + (pair * stripes + other) * PARTIAL_WORDS
                        sum_opened += np.float64(receive(work, place))
                        sum_extended += np.float64(receive(work, place + 1))
                    for d in range(5):
                        sum_opened += shuffle_xor(sum_opened, 16 >> d)
                        sum_extended += shuffle_xor(sum_extended, 16 >> d)
                    if lane == 0:
                        out_open[pair] = -sum_opened
                        out_extend[pair] = -sum_extended

    return backward
