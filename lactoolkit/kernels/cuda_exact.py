"""Segments with an exponent for each cell, or for each state of a cell: right for all numbers.

:mod:`cuda_bounded` is the fast way through most segments; this is the way through all others.
"""

import numpy as np

from lactoolkit.kernels.cells import (
    backward_cell,
    backward_cell_tangent,
    forward_cell,
    forward_cell_tangent,
    scaled_backward_cell,
    scaled_forward_cell,
)
from lactoolkit.kernels.cuda_layout import Kind
from lactoolkit.kernels.cuda_tiles import TILE, TILE_STRIDE
from lactoolkit.kernels.cuda_warp import (
    LANES,
    SEGMENT,
    device_function,
    exponent_of_kept,
    exponent_of_word,
    kept_exponent,
    scale_of,
    shuffle_down,
    shuffle_up,
    word_of_exponent,
)
from lactoolkit.kernels.scaled_numbers import scaled_product, scaled_sum

_ROW = np.uint64(LANES)


def make_weights_of_step(kind: Kind, real):
    """Read exp(S/t), p and q of one step, and their rates, from the tiles."""
    per_cell, dual, wide = kind
    open_tile, extend_tile, rate_tile = kind.open_tile, kind.extend_tile, kind.rate_tile
    open_rate_tile, extend_rate_tile = kind.open_rate_tile, kind.extend_rate_tile

    @device_function
    def weights_of_step(tile, slot, c4, p, pe, p_rate, q, qe, q_rate):
        weight, weight_e = tile[slot], exponent_of_kept(tile[slot + np.uint64(TILE)])
        rate = real(0)
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
        return weight, weight_e, rate, p, pe, p_rate, q, qe, q_rate

    return weights_of_step


def make_forward_step(kind: Kind, real):
    """One step forwards: the new state of the lane, and what came from the lane before."""
    _, dual, wide = kind
    weights_of_step = make_weights_of_step(kind, real)

    @device_function
    def step(
        tile, inbox, at, slot, lane, c4, common, p, pe, p_rate, q, qe, q_rate,
        match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
        diagonal, diagonal_t, diagonal_e, opened, opened_t, opened_e,
    ):  # fmt: skip
        zero = real(0)
        weight, weight_e, rate, p, pe, p_rate, q, qe, q_rate = weights_of_step(
            tile, slot, c4, p, pe, p_rate, q, qe, q_rate
        )
        up, up_b, up_e = shuffle_up(opened), shuffle_up(gap_b), shuffle_up(opened_e)
        # Beyond column m the box holds an earlier block; nothing that counts lies behind those columns.
        boxed, boxed_b, boxed_e = inbox[at], inbox[at + np.uint64(8)], exponent_of_word(inbox[at + np.uint64(16)])
        up = boxed if lane == 0 else up
        up_b = boxed_b if lane == 0 else up_b
        up_e = boxed_e if lane == 0 else up_e
        up_t, up_b_t, up_b_e = zero, zero, up_e
        if dual:
            up_t, up_b_t = shuffle_up(opened_t), shuffle_up(gap_b_t)
            boxed, boxed_b = inbox[at + np.uint64(24)], inbox[at + np.uint64(32)]
            up_t = boxed if lane == 0 else up_t
            up_b_t = boxed_b if lane == 0 else up_b_t
        if wide:
            up_b_e, boxed_e = shuffle_up(gap_b_e), exponent_of_word(inbox[at + np.uint64(40)])
            up_b_e = boxed_e if lane == 0 else up_b_e
            match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e = scaled_forward_cell(
                weight, weight_e, rate, diagonal, diagonal_t, diagonal_e, match, match_t, match_e,
                gap_a, gap_a_t, gap_a_e, up, up_t, up_e, up_b, up_b_t, up_b_e, p, pe, p_rate, q, qe, q_rate,
            )  # fmt: skip
            diagonal, diagonal_t, diagonal_e = scaled_sum(up, up_t, up_e, up_b, up_b_t, up_b_e)
            opened, opened_t, opened_e = scaled_sum(match, match_t, match_e, gap_a, gap_a_t, gap_a_e)
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
                    weight, weight_e, diagonal, diagonal_e, match, gap_a, match_e, up, up_b, up_e, p, q, common
                )
            gap_a_e, gap_b_e = match_e, match_e
            diagonal, diagonal_e = up + up_b, up_e
            opened, opened_e = match + gap_a, match_e
        return (
            match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
            diagonal, diagonal_t, diagonal_e, opened, opened_t, opened_e, up, up_t, up_e, up_b, up_b_t, up_b_e,
        )  # fmt: skip

    return step


def make_forward_sweep(kind: Kind, real):
    """Forward sums of a segment, added to the total of the lane and written to the outbox."""
    _, dual, wide = kind
    forward_step = make_forward_step(kind, real)
    bin_place = 2 * kind.forward_message * SEGMENT

    @device_function
    def sweep(
        tile, inbox, outbox, box_0, next_box, publishes, lane, c4, common, p, pe, p_rate, q, qe, q_rate,
        match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
        diagonal, diagonal_t, diagonal_e, total, total_t, total_e,
    ):  # fmt: skip
        zero = real(0)
        if wide:
            opened, opened_t, opened_e = scaled_sum(match, match_t, match_e, gap_a, gap_a_t, gap_a_e)
        else:
            opened, opened_t, opened_e = match + gap_a, match_t + gap_a_t, match_e
        for k in range(SEGMENT):
            at = np.uint64(k)
            slot = at * np.uint64(TILE_STRIDE) + np.uint64(lane)
            (
                match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
                diagonal, diagonal_t, diagonal_e, opened, opened_t, opened_e, _, _, _, _, _, _,
            ) = forward_step(
                tile, inbox, at, slot, lane, c4, common, p, pe, p_rate, q, qe, q_rate,
                match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
                diagonal, diagonal_t, diagonal_e, opened, opened_t, opened_e,
            )  # fmt: skip
            if wide:
                total, total_t, total_e = scaled_sum(total, total_t, total_e, match, match_t, match_e)
            else:
                top = max(total_e, match_e)
                old, new = scale_of(total_e - top, zero), scale_of(match_e - top, zero)
                total, total_e = total * old + match * new, top
                if dual:
                    total_t = total_t * old + match_t * new
            # All lanes write, to spare a branch; only one of them where it counts.
            # Step k of this segment is column k + 1 of block segment - 4; the last one opens the next block.
            box = np.uint64((box_0 + k if k < SEGMENT - 1 else next_box) if publishes else bin_place)
            outbox[box] = opened
            outbox[box + np.uint64(8)] = gap_b
            outbox[box + np.uint64(16)] = word_of_exponent(opened_e, zero)
            if dual:
                outbox[box + np.uint64(24)] = opened_t
                outbox[box + np.uint64(32)] = gap_b_t
            if wide:
                outbox[box + np.uint64(40)] = word_of_exponent(gap_b_e, zero)
        return (
            match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
            diagonal, diagonal_t, diagonal_e, total, total_t, total_e,
        )  # fmt: skip

    return sweep


def make_forward_replay(kind: Kind, real):
    """Forward sums of a segment, kept in shared memory for :func:`make_backward_sweep`."""
    _, dual, wide = kind
    forward_step = make_forward_step(kind, real)
    place_of = kind.kept_places

    @device_function
    def replay(
        tile, inbox, kept, lane, c4, common, p, pe, p_rate, q, qe, q_rate,
        match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e, diagonal, diagonal_t, diagonal_e,
    ):  # fmt: skip
        zero = real(0)
        place = np.uint64(lane)
        kept[place + np.uint64(place_of.match)] = match
        kept[place + np.uint64(place_of.gap_a)] = gap_a
        kept[place + np.uint64(place_of.exponent)] = kept_exponent(match_e, zero)
        if dual:
            kept[place + np.uint64(place_of.match_t)] = match_t
            kept[place + np.uint64(place_of.gap_a_t)] = gap_a_t
        if wide:
            kept[place + np.uint64(place_of.gap_a_e)] = kept_exponent(gap_a_e, zero)
            opened, opened_t, opened_e = scaled_sum(match, match_t, match_e, gap_a, gap_a_t, gap_a_e)
        else:
            opened, opened_t, opened_e = match + gap_a, match_t + gap_a_t, match_e
        for k in range(SEGMENT):
            at = np.uint64(k)
            slot = at * np.uint64(TILE_STRIDE) + np.uint64(lane)
            place = at * _ROW + np.uint64(lane)
            (
                match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
                diagonal, diagonal_t, diagonal_e, opened, opened_t, opened_e, up, up_t, up_e, up_b, up_b_t, up_b_e,
            ) = forward_step(
                tile, inbox, at, slot, lane, c4, common, p, pe, p_rate, q, qe, q_rate,
                match, match_t, match_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e,
                diagonal, diagonal_t, diagonal_e, opened, opened_t, opened_e,
            )  # fmt: skip
            kept[place + np.uint64(place_of.match + 32)] = match
            kept[place + np.uint64(place_of.gap_a + 32)] = gap_a
            kept[place + np.uint64(place_of.exponent + 32)] = kept_exponent(match_e, zero)
            kept[place + np.uint64(place_of.up)] = up
            kept[place + np.uint64(place_of.up_b)] = up_b
            kept[place + np.uint64(place_of.up_e)] = kept_exponent(up_e, zero)
            if dual:
                kept[place + np.uint64(place_of.match_t + 32)] = match_t
                kept[place + np.uint64(place_of.gap_a_t + 32)] = gap_a_t
                kept[place + np.uint64(place_of.up_t)] = up_t
                kept[place + np.uint64(place_of.up_b_t)] = up_b_t
            if wide:
                kept[place + np.uint64(place_of.gap_a_e + 32)] = kept_exponent(gap_a_e, zero)
                kept[place + np.uint64(place_of.up_b_e)] = kept_exponent(up_b_e, zero)

    return replay


def make_backward_sweep(kind: Kind, real):
    """Backward sums of a segment, and the derivatives that they give with the forward sums that were kept.

    The derivatives take the places of the weights in their tiles. Penalties per pair: they are summed.
    """
    per_cell, dual, wide = kind
    open_tile, extend_tile = kind.open_tile, kind.extend_tile
    weights_of_step = make_weights_of_step(kind, real)
    place_of = kind.kept_places
    at_penalties, at_penalty_rates = (48, 64) if dual else (32, 48)
    bin_place = 2 * kind.backward_message * SEGMENT

    @device_function
    def sweep(
        tile, kept, inbox, outbox, box_0, last_box, publishes, lane, c4, common, total, differentiate,
        penalties, right_penalties, state, products,
    ):  # fmt: skip
        zero = real(0)
        inverse, total_rate, total_e = total
        p, pe, p_rate, q, qe, q_rate = penalties
        right_p, right_p_rate, right_q, right_q_rate = right_penalties
        gap_a, gap_a_t, gap_b, gap_b_t, here_e, diagonal, diagonal_t, diagonal_e, passed, passed_t, passed_e = state
        (
            a_opened, a_opened_t, a_opened_e, a_extended, a_extended_t, a_extended_e,
            b_opened, b_opened_t, b_opened_e, b_extended, b_extended_t, b_extended_e,
        ) = products  # fmt: skip
        flow_opened, flow_extended = zero, zero
        for reverse in range(SEGMENT):
            k = SEGMENT - 1 - reverse
            at = np.uint64(k)
            slot = at * np.uint64(TILE_STRIDE) + np.uint64(lane)
            place = at * _ROW + np.uint64(lane)
            f_match = kept[place + np.uint64(place_of.match + 32)]
            match_scale_e = np.int32(exponent_of_kept(kept[place + np.uint64(place_of.exponent + 32)]) - total_e)
            left, left_a = kept[place + np.uint64(place_of.match)], kept[place + np.uint64(place_of.gap_a)]
            left_e = exponent_of_kept(kept[place + np.uint64(place_of.exponent)])
            up, up_b = kept[place + np.uint64(place_of.up)], kept[place + np.uint64(place_of.up_b)]
            up_e = exponent_of_kept(kept[place + np.uint64(place_of.up_e)])
            left_a_e, up_b_e = left_e, up_e
            f_match_t, left_t, left_a_t, up_t, up_b_t = zero, zero, zero, zero, zero
            if dual:
                f_match_t = kept[place + np.uint64(place_of.match_t + 32)]
                left_t = kept[place + np.uint64(place_of.match_t)]
                left_a_t = kept[place + np.uint64(place_of.gap_a_t)]
                up_t, up_b_t = kept[place + np.uint64(place_of.up_t)], kept[place + np.uint64(place_of.up_b_t)]
            if wide:
                left_a_e = exponent_of_kept(kept[place + np.uint64(place_of.gap_a_e)])
                up_b_e = exponent_of_kept(kept[place + np.uint64(place_of.up_b_e)])
            down_p, down_q, down_p_rate, down_q_rate = p, q, p_rate, q_rate
            if per_cell and not wide:
                down_p, down_q = shuffle_down(right_p), shuffle_down(right_q)
                boxed, boxed_b = inbox[at + np.uint64(at_penalties)], inbox[at + np.uint64(at_penalties + 8)]
                down_p = boxed if lane == LANES - 1 else down_p
                down_q = boxed_b if lane == LANES - 1 else down_q
                if dual:
                    down_p_rate, down_q_rate = shuffle_down(right_p_rate), shuffle_down(right_q_rate)
                    boxed = inbox[at + np.uint64(at_penalty_rates)]
                    boxed_b = inbox[at + np.uint64(at_penalty_rates + 8)]
                    down_p_rate = boxed if lane == LANES - 1 else down_p_rate
                    down_q_rate = boxed_b if lane == LANES - 1 else down_q_rate
            weight, weight_e, rate, p, pe, p_rate, q, qe, q_rate = weights_of_step(
                tile, slot, c4, p, pe, p_rate, q, qe, q_rate
            )

            if wide:
                d_o, d_o_t, d_o_e = shuffle_down(b_opened), shuffle_down(b_opened_t), shuffle_down(b_opened_e)
                d_x, d_x_t, d_x_e = shuffle_down(b_extended), shuffle_down(b_extended_t), shuffle_down(b_extended_e)
                next_d, next_d_t, next_d_e = shuffle_down(passed), shuffle_down(passed_t), shuffle_down(passed_e)
                if lane == LANES - 1:
                    d_o, d_o_t = inbox[at], inbox[at + np.uint64(8)]
                    d_o_e = exponent_of_word(inbox[at + np.uint64(16)])
                    d_x, d_x_t = inbox[at + np.uint64(24)], inbox[at + np.uint64(32)]
                    d_x_e = exponent_of_word(inbox[at + np.uint64(40)])
                    next_d, next_d_t = inbox[at + np.uint64(48)], inbox[at + np.uint64(56)]
                    next_d_e = exponent_of_word(inbox[at + np.uint64(64)])
                match, match_t, here_e, gap_a, gap_a_t, gap_a_e, gap_b, gap_b_t, gap_b_e = scaled_backward_cell(
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
                boxed, boxed_e = inbox[at], exponent_of_word(inbox[at + np.uint64(8)])
                boxed_b, boxed_b_e = inbox[at + np.uint64(16)], exponent_of_word(inbox[at + np.uint64(24)])
                down = boxed if lane == LANES - 1 else down
                down_e = boxed_e if lane == LANES - 1 else down_e
                next_d = boxed_b if lane == LANES - 1 else next_d
                next_d_e = boxed_b_e if lane == LANES - 1 else next_d_e
                next_d_t, match_t = zero, zero
                if dual:
                    down_t, next_d_t = shuffle_down(gap_b_t), shuffle_down(passed_t)
                    boxed, boxed_b = inbox[at + np.uint64(32)], inbox[at + np.uint64(40)]
                    down_t = boxed if lane == LANES - 1 else down_t
                    next_d_t = boxed_b if lane == LANES - 1 else next_d_t
                    match, gap_a, gap_b, match_t, gap_a_t, gap_b_t, here_e = backward_cell_tangent(
                        diagonal, diagonal_t, diagonal_e, gap_a, gap_a_t, here_e,
                        right_p, right_q, right_p_rate, right_q_rate, down, down_t, down_e,
                        down_p, down_q, down_p_rate, down_q_rate, common,
                    )  # fmt: skip
                    passed_t = weight * (match_t + rate * match)
                else:
                    match, gap_a, gap_b, here_e = backward_cell(
                        diagonal, diagonal_e, gap_a, here_e, right_p, right_q, down, down_e, down_p, down_q, common
                    )
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
                along_a = q * (left_a_t * gap_a + left_a * gap_a_t) * left_a_scale + (q_rate - total_rate) * along_a
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
            box = np.uint64((box_0 + k - 1 if k > 0 else last_box) if publishes else bin_place)
            if wide:
                # Shared memory is short here: no room for a bin.
                if publishes:
                    outbox[box] = b_opened
                    outbox[box + np.uint64(8)] = b_opened_t
                    outbox[box + np.uint64(16)] = word_of_exponent(b_opened_e, zero)
                    outbox[box + np.uint64(24)] = b_extended
                    outbox[box + np.uint64(32)] = b_extended_t
                    outbox[box + np.uint64(40)] = word_of_exponent(b_extended_e, zero)
                    outbox[box + np.uint64(48)] = passed
                    outbox[box + np.uint64(56)] = passed_t
                    outbox[box + np.uint64(64)] = word_of_exponent(passed_e, zero)
            else:
                outbox[box] = gap_b
                outbox[box + np.uint64(8)] = word_of_exponent(here_e, zero)
                outbox[box + np.uint64(16)] = passed
                outbox[box + np.uint64(24)] = word_of_exponent(passed_e, zero)
                if dual:
                    outbox[box + np.uint64(32)] = gap_b_t
                    outbox[box + np.uint64(40)] = passed_t
                if per_cell:
                    outbox[box + np.uint64(at_penalties)] = p
                    outbox[box + np.uint64(at_penalties + 8)] = q
                    if dual:
                        outbox[box + np.uint64(at_penalty_rates)] = p_rate
                        outbox[box + np.uint64(at_penalty_rates + 8)] = q_rate
        return (
            gap_a, gap_a_t, gap_b, gap_b_t, here_e, diagonal, diagonal_t, diagonal_e, passed, passed_t, passed_e,
            a_opened, a_opened_t, a_opened_e, a_extended, a_extended_t, a_extended_e,
            b_opened, b_opened_t, b_opened_e, b_extended, b_extended_t, b_extended_e,
            right_p, right_p_rate, right_q, right_q_rate, flow_opened, flow_extended,
        )  # fmt: skip

    return sweep
