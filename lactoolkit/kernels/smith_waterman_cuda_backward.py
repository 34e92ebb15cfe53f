"""Backward sums of soft Smith-Waterman on a CUDA device, and the derivatives that they give with the forward sums.

A warp sweeps its stripe from right to left, segment by segment. Of each segment of 8 steps it first recomputes the
forward sums from the checkpoint that the forward pass left (reading all of them back from memory would take longer),
keeps them in registers or in shared memory, and then goes through the same steps in reverse. Stripes hand their first
row to the stripe above.
"""

import numpy as np
from numba import cuda

from lactoolkit.kernels import cuda_bounded, cuda_exact
from lactoolkit.kernels.cuda_bounded import complete_weights, drop_of, place_in_lane, reach_of, weight_limit
from lactoolkit.kernels.cuda_layout import FINAL_WORDS, LARGEST_STATE, PARTIAL_WORDS, Kind
from lactoolkit.kernels.cuda_messages import extent_of_pair, make_load_others, make_messages, make_penalties_of_pair
from lactoolkit.kernels.cuda_tiles import TILE, fetch, put_bounded_weights, put_weights, write_back
from lactoolkit.kernels.cuda_warp import (
    LANES,
    SEGMENT,
    all_lanes,
    exponent_of_word,
    read_word,
    receive,
    scale_of,
    shuffle_down,
    shuffle_from,
    shuffle_up,
    shuffle_xor,
    synchronise_warp,
    word_of_exponent,
    write_word,
)
from lactoolkit.kernels.scaled_numbers import EMPTY, normalised


def make_backward(kind: Kind, real):
    """The kernel for one kind of computation and one floating-point type, not yet compiled."""
    per_cell, dual, wide = kind
    bounded = kind.bounded
    message_words, up_words, state_words = kind.forward_message, kind.backward_message, kind.state
    message, up_message = message_words * SEGMENT, up_words * SEGMENT
    rounds, up_rounds = -(-message // LANES), -(-up_message // LANES)
    tile_size, up_box_size, slots_size = kind.tiles * TILE, 2 * up_message, kind.kept_words
    open_tile, extend_tile = kind.open_tile, kind.extend_tile
    up_box_and_bin = up_box_size + (0 if wide else up_message)
    box_size, boxed_words = (cuda_bounded.BOX, (4 if dual else 2) * SEGMENT) if bounded else (1, 1)
    kept_size = SEGMENT + 1 if bounded else 1
    kept_tangents = SEGMENT + 1 if bounded and dual else 1
    # Exponents among the words of a message to the stripe above.
    first_exponent, second_exponent, third_exponent = (2, 5, 8) if wide else (1, 3, 3)
    load_others, penalties_of_pair = make_load_others(kind, real), make_penalties_of_pair(kind, real)
    _, _, put, _ = make_messages(message)
    up_ask, up_take, up_put, up_send = make_messages(up_message)
    unpack_forward = cuda_bounded.make_unpack_forward(dual, real)
    unpack_backward = cuda_bounded.make_unpack_backward(dual, real)
    bounded_replay = cuda_bounded.make_forward_sweep(dual, real, kind.rate_tile, True)
    bounded_sweep = cuda_bounded.make_backward_sweep(dual, real, kind.rate_tile)
    exact_replay = cuda_exact.make_forward_replay(kind, real)
    exact_sweep = cuda_exact.make_backward_sweep(kind, real)

    def backward(
        similarity, gap_open, gap_extend, tangent_similarity, tangent_open, tangent_extend, lengths, factors, out_match,
        out_open, out_extend, work, counters, pairs, rows, columns, gap_stride, extend_stride, factor_stride, ticket,
        partials, finals, pair_derivatives, messages, wide_messages, up_messages, wide_up_messages, checkpoints, ragged,
        sums_open, sums_extend, differentiate, c0, c1, c2, c3, c4, c0_rest,
    ):  # fmt: skip
        lane = np.int32(cuda.threadIdx.x)
        stripes = np.int32((rows + LANES - 1) // LANES)
        ticket_box = cuda.shared.array(1, np.int32)
        if wide:
            pair, ticket_stripe, count = np.int64(cuda.blockIdx.x), np.int32(stripes - 1), stripes
            messages, up_messages = wide_messages, wide_up_messages
        else:
            if lane == 0:
                ticket_box[0] = cuda.atomic.add(counters, ticket, 1) + 1
            synchronise_warp()
            order = np.int32(ticket_box[0] // pairs)
            pair, count = np.int64(ticket_box[0]) - np.int64(order) * pairs, np.int32(1)
            ticket_stripe = np.int32(stripes - 1 - order)
        n, m, own_stripes, segments, blocks = extent_of_pair(rows, columns, ragged, lengths, pair)
        all_blocks = (columns + SEGMENT - 1) // SEGMENT
        all_segments = (columns + LANES + SEGMENT - 1) // SEGMENT
        final = finals + pair * FINAL_WORDS
        zero = real(0)
        c0, c1, c2, c3, c4, c0_rest = real(c0), real(c1), real(c2), real(c3), real(c4), real(c0_rest)

        first_open = gap_open[pair * gap_stride]
        first_extend = gap_extend[pair * extend_stride]
        p, pe, p_rate, q, qe, q_rate, common, lowest, is_mine = penalties_of_pair(
            first_open, first_extend, tangent_open, tangent_extend, pair, differentiate,
            exponent_of_word(work[final + 3]), True, c0, c1, c2, c3, c4,
        )  # fmt: skip
        if not is_mine:
            count = np.int32(0)
        true_p, true_q, least, most = p, q, zero, zero
        if bounded:
            true_p, true_q = p * scale_of(common, zero), q * scale_of(common, zero)
            drop, _ = drop_of(pe, qe, zero)
            least = scale_of(drop - reach_of(zero), zero)
            most = scale_of(reach_of(zero) - drop, zero)

        total, total_rate, total_e = work[final], zero, exponent_of_word(work[final + 2])
        if total != 0:
            total_rate = work[final + 1] / total
            total = 1 / total
        else:
            total_e = np.int32(0)
        inverse = real(total)
        if factor_stride >= 0:
            inverse *= factors[pair * factor_stride]

        tile = cuda.shared.array(tile_size, real)
        kept = cuda.shared.array(slots_size, real)
        inbox = cuda.shared.array(message, real)
        up_inbox = cuda.shared.array(up_message, real)
        up_outbox = cuda.shared.array(up_box_and_bin, real)
        box = cuda.shared.array(box_size, real)
        up_box = cuda.shared.array(box_size, real)
        words = cuda.local.array(rounds, real)
        words_coming = cuda.local.array(rounds, real)
        up_words_taken = cuda.local.array(up_rounds, real)
        up_pending = cuda.local.array(up_rounds, real)
        ahead = cuda.local.array(SEGMENT, real)
        coming = cuda.local.array(state_words, real)
        weights = cuda.local.array(SEGMENT, real)
        boxed = cuda.local.array(boxed_words, real)
        match_kept = cuda.local.array(kept_size, real)
        gap_a_kept = cuda.local.array(kept_size, real)
        up_kept = cuda.local.array(kept_size, real)
        up_b_kept = cuda.local.array(kept_size, real)
        match_t_kept = cuda.local.array(kept_tangents, real)
        gap_a_t_kept = cuda.local.array(kept_tangents, real)
        up_t_kept = cuda.local.array(kept_tangents, real)
        up_b_t_kept = cuda.local.array(kept_tangents, real)
        bounded_kept = (
            match_kept, gap_a_kept, up_kept, up_b_kept, match_t_kept, gap_a_t_kept, up_t_kept, up_b_t_kept,
        )  # fmt: skip
        outside = real(-np.inf)
        no_exponent = word_of_exponent(EMPTY, zero)
        for turn in range(count):
            stripe = np.int32(ticket_stripe - turn)
            row_0 = np.int32(stripe * LANES)
            table = pair * rows * columns
            here = pair * np.int64(stripes) + np.int64(stripe)
            partial = partials + here * PARTIAL_WORDS
            from_above = messages + (here - 1) * all_blocks * message
            from_below = up_messages + (here + 1) * (all_blocks + 2) * up_message
            to_above = up_messages + here * (all_blocks + 2) * up_message
            checkpoint = checkpoints + here * all_segments * (LARGEST_STATE * LANES)
            has_above, has_below = stripe > 0, stripe < np.int32(own_stripes - 1)
            publishes = has_above and lane == 0
            own_segments = segments if stripe < own_stripes else np.int32(0)

            gap_a, gap_b, here_e = zero, zero, EMPTY
            gap_a_t, gap_b_t = zero, zero
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
            for r in range(rounds):
                words_coming[r] = no_exponent
            for r in range(up_rounds):
                up_words_taken[r] = no_exponent
            if bounded:
                box[lane + 32] = zero
                up_box[lane + 32] = zero
            last = np.int32(own_segments - 1)
            if own_segments > 0:
                fetch(similarity, table, row_0, n, m, columns, np.int32(last * SEGMENT), ahead, outside, lane)
                place = checkpoint + np.int64(last) * (state_words * LANES) + lane
                for word in range(state_words):
                    coming[word] = work[np.uint64(place + word * LANES)]

            for turned in range(own_segments):
                segment = np.int32(last - turned)
                step_0 = np.int32(segment * SEGMENT)
                block = np.int32(segment - 4)
                has_up_words = has_below and block >= -1 and np.int32(block * SEGMENT + 1) < m
                if has_up_words and np.int32(block * SEGMENT + 1 + SEGMENT) >= m:
                    up_ask(work, from_below + np.int64(np.int32(block + 1)) * up_message, up_pending, lane)
                f_match, f_gap_a, f_gap_b, f_e = coming[0], coming[1], coming[2], exponent_of_word(coming[3])
                f_diagonal, f_flags = coming[4], exponent_of_word(coming[5])
                f_diagonal_e = np.int32(f_flags >> 1)
                f_match_t, f_gap_a_t, f_gap_b_t, f_diagonal_t = zero, zero, zero, zero
                f_gap_a_e, f_gap_b_e = f_e, f_e
                if dual:
                    f_match_t, f_gap_a_t, f_gap_b_t, f_diagonal_t = coming[6], coming[7], coming[8], coming[9]
                if wide:
                    f_gap_a_e, f_gap_b_e = exponent_of_word(coming[10]), exponent_of_word(coming[11])
                # First the tiles of this segment; the next one's cells and checkpoint travel while it is computed.
                is_bounded = False
                if bounded:
                    is_bounded = f_flags & 1 == 1
                if bounded and is_bounded:
                    put_bounded_weights(
                        ahead, tile, weight_limit(zero), row_0, n, m, step_0, lane, c0, c0_rest, c1, c2, c3, c4
                    )
                else:
                    put_weights(ahead, tile, 0, lane, c0, c1, c2, c3, c4)
                load_others(
                    gap_open, gap_extend, tangent_similarity, tangent_open, tangent_extend, tile, ahead, lowest,
                    differentiate, first_open, first_extend, table, row_0, n, m, columns, step_0, lane,
                    c0, c1, c2, c3, c4,
                )  # fmt: skip
                # What came of the segment before is used first: a word that is read while others are under way may have
                # to wait for all of them.
                has_words = has_above and segment < blocks
                for r in range(rounds):
                    words[r] = words_coming[r]
                if has_words:
                    put(words, inbox, lane)
                if has_up_words:
                    place = from_below + np.int64(np.int32(block + 1)) * up_message
                    up_take(work, place, up_pending, up_words_taken, lane)
                    up_put(up_words_taken, up_inbox, lane)
                    if block >= 0:
                        up_ask(work, place - up_message, up_pending, lane)
                if segment > 0:
                    fetch(similarity, table, row_0, n, m, columns, np.int32(step_0 - SEGMENT), ahead, outside, lane)
                    place = checkpoint + np.int64(np.int32(segment - 1)) * (state_words * LANES) + lane
                    for word in range(state_words):
                        coming[word] = work[np.uint64(place + word * LANES)]
                    if has_above and segment <= blocks:
                        place = from_above + np.int64(np.int32(segment - 1)) * message + lane
                        for r in range(rounds):
                            if lane + r * LANES < message:
                                words_coming[r] = work[np.uint64(place + r * LANES)]

                box_0 = np.int32((segment & 1) * up_message)
                last_box = np.int32(up_message - box_0 + SEGMENT - 1)
                is_done = False
                if bounded and is_bounded:
                    exponent, start, inflow = place_in_lane(here_e, shuffle_down(here_e), lane == LANES - 1, True, zero)
                    below = shuffle_down(exponent)
                    is_ready = unpack_backward(up_words_taken, has_up_words, up_box, lane, exponent)
                    is_ready = is_ready and (lane == LANES - 1 or below - exponent <= reach_of(zero))
                    if all_lanes(is_ready):
                        is_alive = np.int32(row_0 + lane) < n and np.int32(step_0 - lane) < m
                        f_exponent, f_start, f_inflow = place_in_lane(f_e, shuffle_up(f_e), lane == 0, is_alive, zero)
                        unpack_forward(words, has_words, box, lane, f_exponent)
                        synchronise_warp()
                        to_exponent = scale_of(np.int32(f_diagonal_e - f_exponent), zero)
                        true_penalties = (true_p, true_q, true_p * p_rate, true_q * q_rate)
                        bounded_replay(
                            tile, box, weights, boxed, box, 0, 0, bounded_kept, lane, 0, 0,
                            f_match, f_gap_a, f_gap_b, f_diagonal * to_exponent, f_match_t, f_gap_a_t, f_gap_b_t,
                            f_diagonal_t * to_exponent, f_start, f_inflow, true_penalties, c4,
                        )  # fmt: skip
                        limit = np.int32(3 * reach_of(zero))
                        scale = scale_of(min(np.int32(f_exponent + exponent - total_e), limit), zero) * inverse
                        own_box = box_0 if publishes else np.int32(up_box_size + 1)
                        own_last_box = last_box if publishes else np.int32(up_box_size)
                        from_diagonal = scale_of(np.int32(diagonal_e - exponent), zero)
                        from_passed = scale_of(np.int32(passed_e - exponent), zero)
                        (
                            new_match, new_gap_a, new_gap_b, new_diagonal, new_passed,
                            new_gap_a_t, new_gap_b_t, new_diagonal_t, new_passed_t,
                            opening, extension, opening_t, extension_t, smallest, largest,
                        ) = bounded_sweep(
                            tile, up_box, weights, boxed, up_outbox, own_box, own_last_box, bounded_kept, lane,
                            gap_a, gap_b, diagonal * from_diagonal, passed * from_passed,
                            gap_a_t, gap_b_t, diagonal_t * from_diagonal, passed_t * from_passed,
                            start, inflow, scale, true_penalties, c4, total_rate,
                        )  # fmt: skip
                        is_done = all_lanes(smallest >= least and largest <= most)
                if bounded and is_done:
                    first_exponent_of_lanes = shuffle_from(exponent, 0)
                    if lane < SEGMENT:
                        slot = box_0 + lane - 1 if lane > 0 else last_box
                        up_outbox[slot + SEGMENT] = word_of_exponent(first_exponent_of_lanes, zero)
                        up_outbox[slot + 3 * SEGMENT] = word_of_exponent(first_exponent_of_lanes, zero)
                    factor, here_e = normalised(new_match, new_match, new_match, exponent)
                    gap_a, gap_b, gap_a_t, gap_b_t = (
                        new_gap_a * factor, new_gap_b * factor, new_gap_a_t * factor, new_gap_b_t * factor,
                    )  # fmt: skip
                    diagonal, diagonal_t = new_diagonal, new_diagonal_t
                    diagonal_e = exponent if diagonal != 0 else EMPTY
                    passed, passed_t = new_passed, new_passed_t
                    passed_e = exponent if passed != 0 else EMPTY
                    flow_opened, flow_extended = true_p * scale * opening, true_q * scale * extension
                    if dual and differentiate:
                        flow_opened = true_p * scale * opening_t + (p_rate - total_rate) * flow_opened
                        flow_extended = true_q * scale * extension_t + (q_rate - total_rate) * flow_extended
                    derivatives = np.int64(TILE)
                else:
                    if bounded:
                        factor, diagonal_e = normalised(diagonal, diagonal, diagonal, diagonal_e)
                        diagonal, diagonal_t = diagonal * factor, diagonal_t * factor
                        factor, passed_e = normalised(passed, passed, passed, passed_e)
                        passed, passed_t = passed * factor, passed_t * factor
                        factor, f_diagonal_e = normalised(f_diagonal, f_diagonal, f_diagonal, f_diagonal_e)
                        f_diagonal, f_diagonal_t = f_diagonal * factor, f_diagonal_t * factor
                        if is_bounded:
                            complete_weights(tile, lane)
                    synchronise_warp()
                    exact_replay(
                        tile, inbox, kept, lane, c4, common, p, pe, p_rate, q, qe, q_rate,
                        f_match, f_match_t, f_e, f_gap_a, f_gap_a_t, f_gap_a_e, f_gap_b, f_gap_b_t, f_gap_b_e,
                        f_diagonal, f_diagonal_t, f_diagonal_e,
                    )  # fmt: skip
                    total_parts = (inverse, total_rate, total_e)
                    penalties = (p, pe, p_rate, q, qe, q_rate)
                    right_penalties = (right_p, right_p_rate, right_q, right_q_rate)
                    state = (
                        gap_a, gap_a_t, gap_b, gap_b_t, here_e, diagonal, diagonal_t, diagonal_e,
                        passed, passed_t, passed_e,
                    )  # fmt: skip
                    products = (
                        a_opened, a_opened_t, a_opened_e, a_extended, a_extended_t, a_extended_e,
                        b_opened, b_opened_t, b_opened_e, b_extended, b_extended_t, b_extended_e,
                    )  # fmt: skip
                    (
                        gap_a, gap_a_t, gap_b, gap_b_t, here_e, diagonal, diagonal_t, diagonal_e,
                        passed, passed_t, passed_e,
                        a_opened, a_opened_t, a_opened_e, a_extended, a_extended_t, a_extended_e,
                        b_opened, b_opened_t, b_opened_e, b_extended, b_extended_t, b_extended_e,
                        right_p, right_p_rate, right_q, right_q_rate, flow_opened, flow_extended,
                    ) = exact_sweep(
                        tile, kept, up_inbox, up_outbox, box_0, last_box, publishes, lane, c4, common,
                        total_parts, differentiate, penalties, right_penalties, state, products,
                    )  # fmt: skip
                    derivatives = np.int64(0)
                synchronise_warp()
                sum_opened += np.float64(flow_opened)
                sum_extended += np.float64(flow_extended)
                if has_above:  # first of all: another warp waits for it
                    if np.int32(step_0 + 1) < m:
                        place = to_above + np.int64(np.int32(segment + 1)) * up_message
                        up_send(up_outbox, (segment & 1) * up_message, work, place, lane)
                    if segment == 0:
                        up_send(up_outbox, up_message, work, to_above, lane)
                write_back(tile, derivatives, out_match, table, row_0, n, m, columns, step_0, lane)
                if per_cell:
                    write_back(tile, open_tile, out_open, table, row_0, n, m, columns, step_0, lane)
                    write_back(tile, extend_tile, out_extend, table, row_0, n, m, columns, step_0, lane)
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
                        place = partials + (here + np.int64(other)) * PARTIAL_WORDS
                        sum_opened += np.float64(receive(work, place))
                        sum_extended += np.float64(receive(work, place + 1))
                    for d in range(5):
                        sum_opened += shuffle_xor(sum_opened, 16 >> d)
                        sum_extended += shuffle_xor(sum_extended, 16 >> d)
                    if lane == 0:
                        if sums_open:
                            write_word(work, pair_derivatives + 2 * pair, real(-sum_opened))
                        else:
                            out_open[pair] = -sum_opened
                        if sums_extend:
                            write_word(work, pair_derivatives + 2 * pair + 1, real(-sum_extended))
                        else:
                            out_extend[pair] = -sum_extended
        if wide and not per_cell and (sums_open or sums_extend):
            # The last kernel's last block adds up what all pairs share, in a fixed order.
            if lane == 0:
                cuda.threadfence()
                ticket_box[0] = cuda.atomic.add(counters, ticket + 1, 1) + 2
            synchronise_warp()
            if ticket_box[0] == pairs:
                cuda.threadfence()
                sum_opened, sum_extended = 0.0, 0.0
                for other in range(lane, pairs, LANES):
                    if sums_open:
                        sum_opened += np.float64(read_word(work, pair_derivatives + 2 * other))
                    if sums_extend:
                        sum_extended += np.float64(read_word(work, pair_derivatives + 2 * other + 1))
                for d in range(5):
                    sum_opened += shuffle_xor(sum_opened, 16 >> d)
                    sum_extended += shuffle_xor(sum_extended, 16 >> d)
                if lane == 0:
                    if sums_open:
                        out_open[0] = sum_opened
                    if sums_extend:
                        out_extend[0] = sum_extended

    return backward
