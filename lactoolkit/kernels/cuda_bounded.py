"""Segments whose numbers stay within the range of the floating-point type: one exponent a lane instead of one a cell.

Most tables are tame: exp(S/t) lies within a few octaves of 1, and so do p and q. Then neighbouring cells cannot differ
by much, and all cells of a lane can share one exponent for the 8 steps of a segment. What comes from the lane before
is multiplied by one power of two, the same for the whole segment, and no bit arithmetic is left in the loop. Whether
that was right is checked, and a segment that it was not right for is done again with an exponent for each cell.

Why the checks suffice
----------------------
Numbers are meant relative to the power of two of their lane. What is below the smallest normal number is lost.

- A cell's largest state falls by at most ``drop`` octaves, the larger of -log2 p and -log2 q, from one column to the
  next: forwards M and X go on into X, and Y into Y, row by row; backwards M comes from M by way of X. So if the largest
  state is between 2**(drop - reach) and 2**(reach - drop) at every second step, it is between 2**-reach and 2**reach
  at all steps. (A number that is too large does not come back by the same argument, and a NaN does not either.)
- Then what is lost is below 2**-86 of its cell (float32). It can grow relative to the cells that follow by the range
  of a weight and by two drops, 56 octaves, and is still below one rounding.
- Forwards, a lane is at least 2**-drop of the lane before. Backwards it need not be; there, lanes that differ by more
  than ``reach`` octaves are not done this way.
- The first cell of a lane is at least its weight. Cells outside the table are zero forwards, and are left out of the
  lower check.

Penalties per cell have no such ``drop``: the next column's may be far larger. They are not done this way.
"""

import numpy as np
from numba import njit

from lactoolkit.kernels.cuda_tiles import TILE, TILE_STRIDE
from lactoolkit.kernels.cuda_warp import (
    LANES,
    SEGMENT,
    device_function,
    exponent_of_word,
    kept_exponent,
    scale_of,
    shuffle_down,
    shuffle_from,
    shuffle_up,
)
from lactoolkit.kernels.scaled_numbers import EMPTY, cast_like, is_double

BOX = 8 * SEGMENT
"""Words of a box: up to four a step for the lane without a neighbour, and as many zeros for the others."""


@njit(inline="always")
def reach_of(like):
    """Octaves above and below 1 within which a lane's numbers must stay."""
    return np.int32(400) if is_double(like) else np.int32(40)


@njit(inline="always")
def weight_limit(like):
    """Octaves above and below 1 within which exp(S/t) must be."""
    return 240.0 if is_double(like) else np.float32(24.0)


@njit(inline="always")
def drop_of(open_exponent, extend_exponent, like):
    """Octaves by which a lane may fall in a step, and whether they are few enough."""
    drop = np.int32(1 - min(open_exponent, extend_exponent))
    return drop, drop <= (160 if is_double(like) else 16)


@njit(inline="always")
def place_in_lane(exponent, neighbour_exponent, is_edge, is_alive, like):
    """The exponent of a lane, and 1 and the lane before (backwards: after) relative to it.

    A factor that is too large for the check to pass may as well be smaller.
    """
    exponent = exponent if exponent != EMPTY else np.int32(0)
    neighbour_exponent = neighbour_exponent if neighbour_exponent != EMPTY else np.int32(0)
    limit = np.int32(5 * (reach_of(like) >> 1))
    start = scale_of(min(np.int32(-exponent), limit), like)
    inflow = scale_of(min(np.int32(neighbour_exponent - exponent), limit), like)
    zero = cast_like(0.0, like)
    return exponent, start if is_alive else zero, inflow if is_alive and not is_edge else zero


@device_function
def complete_weights(tile, lane):
    """Make bounded weights ones with exponents."""
    for k in range(SEGMENT):
        weight = tile[np.uint64(k * TILE_STRIDE + lane)]
        exponent = EMPTY if weight == 0 else np.int32(0)
        tile[np.uint64(TILE + k * TILE_STRIDE + lane)] = kept_exponent(exponent, weight)


@device_function
def read_weights(tile, weights, lane):
    """Read the weights of a lane."""
    for k in range(SEGMENT):
        weights[k] = tile[np.uint64(k * TILE_STRIDE + lane)]


def make_read_box(dual: bool):
    """Read a box: the lane without a neighbour its message, the others zeros."""
    size = (4 if dual else 2) * SEGMENT

    @device_function
    def read_box(box, boxed, has_message):
        first = np.uint64(0) if has_message else np.uint64(4 * SEGMENT)
        for k in range(size):
            boxed[k] = box[first + np.uint64(k)]

    return read_box


def make_unpack_forward(dual: bool, real):
    """Bring a message from above to the exponent of lane 0."""

    @device_function
    def unpack(words, has_words, box, lane, exponent):
        own = shuffle_from(exponent, 0)
        scale = scale_of(np.int32(exponent_of_word(shuffle_from(words[0], 16 + (lane & 7))) - own), real(0))
        if lane < 16:
            box[np.uint64(lane)] = words[0] * scale if has_words else real(0)
        if dual:
            if lane >= 24:
                box[np.uint64(lane - 8)] = words[0] * scale if has_words else real(0)
            elif lane < 8:
                box[np.uint64(lane + 24)] = words[1] * scale if has_words else real(0)

    return unpack


def make_unpack_backward(dual: bool, real):
    """Bring a message from below to the exponent of the last lane; return whether the exponents are close."""

    @device_function
    def unpack(words, has_words, box, lane, exponent):
        own = shuffle_from(exponent, LANES - 1)
        theirs = exponent_of_word(shuffle_from(words[0], lane | 8))
        difference = np.int32(theirs - own)
        word = words[0] if has_words else real(0)
        is_close = True
        if lane & 8 == 0:
            place = lane if lane < 8 else np.int32(lane - 8)
            box[np.uint64(place)] = word * scale_of(difference, real(0))
            is_close = (difference <= reach_of(word)) | (word == 0)
        if dual:
            source = lane if lane < 8 else np.int32((lane + 8) & 31)
            theirs = shuffle_from(theirs, source)
            if lane < 16:
                word = words[1] if has_words else real(0)
                box[np.uint64(lane + 16)] = word * scale_of(np.int32(theirs - own), real(0))
        return is_close

    return unpack


def make_forward_sweep(dual: bool, real, rate_tile: int, keeps: bool):
    """Forward sums of a segment.

    With ``keeps``, what the backward sums meet is kept in registers; without, it is summed, checked and sent on.
    """

    read_box = make_read_box(dual)

    @device_function
    def sweep(
        tile, box, weights, boxed, outbox, box_0, next_box, kept, lane, first_step, last_step,
        match, gap_a, gap_b, diagonal, match_t, gap_a_t, gap_b_t, diagonal_t, start, inflow, penalties, c4,
    ):  # fmt: skip
        kept_match, kept_gap_a, kept_up, kept_up_b, kept_match_t, kept_gap_a_t, kept_up_t, kept_up_b_t = kept
        p, q, p_change, q_change = penalties
        # All reads of shared memory come first, since the compiler lets none of them pass the writes.
        read_weights(tile, weights, lane)
        read_box(box, boxed, lane == 0)
        total, total_t = real(0), real(0)
        lowest, highest = real(1), real(1)
        opened, opened_t = match + gap_a, match_t + gap_a_t
        if keeps:
            kept_match[0], kept_gap_a[0] = match, gap_a
            if dual:
                kept_match_t[0], kept_gap_a_t[0] = match_t, gap_a_t
        for k in range(SEGMENT):
            weight = weights[k]
            up = shuffle_up(opened) * inflow + boxed[k]
            up_b = shuffle_up(gap_b) * inflow + boxed[k + SEGMENT]
            if dual:
                up_t = shuffle_up(opened_t) * inflow + boxed[k + 2 * SEGMENT]
                up_b_t = shuffle_up(gap_b_t) * inflow + boxed[k + 3 * SEGMENT]
                gap_a_t = p * match_t + p_change * match + q * gap_a_t + q_change * gap_a
                gap_b_t = p * up_t + p_change * up + q * up_b_t + q_change * up_b
            gap_a = p * match + q * gap_a
            gap_b = p * up + q * up_b
            match = weight * (diagonal + start)
            if dual:
                match_t = weight * diagonal_t + c4 * tile[np.uint64(rate_tile + k * TILE_STRIDE + lane)] * match
                diagonal_t = up_t + up_b_t
                opened_t = match_t + gap_a_t
            diagonal = up + up_b
            opened = match + gap_a
            if keeps:
                kept_match[k + 1], kept_gap_a[k + 1], kept_up[k], kept_up_b[k] = match, gap_a, up, up_b
                if dual:
                    kept_match_t[k + 1], kept_gap_a_t[k + 1], kept_up_t[k], kept_up_b_t[k] = (
                        match_t, gap_a_t, up_t, up_b_t,
                    )  # fmt: skip
            else:
                total += match
                # All lanes write, to spare a branch; only one of them where it counts.
                place = box_0 + k if k < SEGMENT - 1 else next_box
                at = np.uint64(place)
                outbox[at] = opened
                outbox[at + np.uint64(SEGMENT)] = gap_b
                if dual:
                    total_t += match_t
                    outbox[at + np.uint64(3 * SEGMENT)] = opened_t
                    outbox[at + np.uint64(4 * SEGMENT)] = gap_b_t
                if k & 1:
                    size = opened + gap_b
                    highest = max(highest, size)
                    inside = size if first_step <= k < last_step else real(1)
                    lowest = min(lowest, inside)
        if not keeps and not opened + gap_b <= highest:
            highest = real(np.inf)
        return (
            match, gap_a, gap_b, diagonal, match_t, gap_a_t, gap_b_t, diagonal_t, total, total_t, lowest, highest,
        )  # fmt: skip

    return sweep


def make_backward_sweep(dual: bool, real, rate_tile: int):
    """Backward sums of a segment whose forward sums were kept, with the derivatives that both give."""

    read_box = make_read_box(dual)

    @device_function
    def sweep(
        tile, box, weights, boxed, outbox, box_0, last_box, kept, lane,
        gap_a, gap_b, diagonal, passed, gap_a_t, gap_b_t, diagonal_t, passed_t,
        start, inflow, scale, penalties, c4, total_rate,
    ):  # fmt: skip
        kept_match, kept_gap_a, kept_up, kept_up_b, kept_match_t, kept_gap_a_t, kept_up_t, kept_up_b_t = kept
        p, q, p_change, q_change = penalties
        read_box(box, boxed, lane == LANES - 1)
        opening, extension, opening_t, extension_t = real(0), real(0), real(0), real(0)
        lowest, highest = real(1), real(1)
        match, match_t = real(0), real(0)
        for reverse in range(SEGMENT):
            k = SEGMENT - 1 - reverse
            weight = weights[k]
            down = shuffle_down(gap_b) * inflow + boxed[k]
            onward = shuffle_down(passed) * inflow + boxed[k + SEGMENT]
            if dual:
                down_t = shuffle_down(gap_b_t) * inflow + boxed[k + 2 * SEGMENT]
                onward_t = shuffle_down(passed_t) * inflow + boxed[k + 3 * SEGMENT]
                gap_b_t = diagonal_t + q * down_t + q_change * down
                turn_t = diagonal_t + p * down_t + p_change * down
                match_t = turn_t + p * gap_a_t + p_change * gap_a
                gap_a_t = turn_t + q * gap_a_t + q_change * gap_a
            gap_b = diagonal + q * down
            turn = diagonal + p * down
            match = turn + start + p * gap_a
            gap_a = turn + q * gap_a
            passed = weight * match
            posterior = kept_match[k + 1] * match * scale
            opening += kept_match[k] * gap_a + kept_up[k] * gap_b
            extension += kept_gap_a[k] * gap_a + kept_up_b[k] * gap_b
            if dual:
                passed_t = weight * match_t + c4 * tile[np.uint64(rate_tile + k * TILE_STRIDE + lane)] * passed
                posterior = (
                    (kept_match_t[k + 1] * match + kept_match[k + 1] * match_t) * scale - total_rate * posterior
                )  # fmt: skip
                opening_t += kept_match_t[k] * gap_a + kept_match[k] * gap_a_t
                opening_t += kept_up_t[k] * gap_b + kept_up[k] * gap_b_t
                extension_t += kept_gap_a_t[k] * gap_a + kept_gap_a[k] * gap_a_t
                extension_t += kept_up_b_t[k] * gap_b + kept_up_b[k] * gap_b_t
            tile[np.uint64(TILE + k * TILE_STRIDE + lane)] = posterior
            diagonal = onward
            if dual:
                diagonal_t = onward_t
            # All lanes write, to spare a branch; only one of them where it counts.
            place = box_0 + k - 1 if k > 0 else last_box
            at = np.uint64(place)
            outbox[at] = gap_b
            outbox[at + np.uint64(2 * SEGMENT)] = passed
            if dual:
                outbox[at + np.uint64(4 * SEGMENT)] = gap_b_t
                outbox[at + np.uint64(5 * SEGMENT)] = passed_t
            if not k & 1:
                highest = max(highest, max(match, gap_a))
                lowest = min(lowest, match)
        if not max(match, gap_a) <= highest:
            highest = real(np.inf)
        return (
            match, gap_a, gap_b, diagonal, passed, gap_a_t, gap_b_t, diagonal_t, passed_t,
            opening, extension, opening_t, extension_t, lowest, highest,
        )  # fmt: skip

    return sweep
