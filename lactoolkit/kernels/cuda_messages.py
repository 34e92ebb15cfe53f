"""Messages between the stripes of a pair, and the arguments that both kernels make something of in the same way.

Messages are blocks of 8 columns. The receiver asks for the next one as soon as it has taken one (``pending``), so that
it travels during the segment in between.
"""

import numpy as np

from lactoolkit.kernels.cells import shared_exponent_limit
from lactoolkit.kernels.cuda_layout import Kind
from lactoolkit.kernels.cuda_tiles import fetch, put_down, put_penalties, put_weights
from lactoolkit.kernels.cuda_warp import LANES, SEGMENT, device_function, has_arrived, read_word, scale_of, write_word
from lactoolkit.kernels.scaled_numbers import weight_of


def make_messages(size: int):
    """Functions that ask for, take and send a message of ``size`` words."""
    rounds = -(-size // LANES)

    @device_function
    def ask(work, place, pending, lane):
        for r in range(rounds):
            if lane + r * LANES < size:
                pending[r] = read_word(work, place + lane + r * LANES)

    @device_function
    def take(work, place, pending, words, lane):
        for r in range(rounds):
            if lane + r * LANES < size:
                word = pending[r]
                while not has_arrived(word):
                    word = read_word(work, place + lane + r * LANES)
                words[r] = word

    @device_function
    def put(words, inbox, lane):
        for r in range(rounds):
            if lane + r * LANES < size:
                inbox[np.uint64(lane + r * LANES)] = words[r]

    @device_function
    def send(outbox, first, work, place, lane):
        for r in range(rounds):
            if lane + r * LANES < size:
                write_word(work, place + lane + r * LANES, outbox[np.uint64(first + lane + r * LANES)])

    return ask, take, put, send


@device_function
def extent_of_pair(rows, columns, ragged, lengths, pair):
    """Rows and columns of a pair, its stripes, segments of a stripe, and blocks of columns; all in 32 bits."""
    n, m = np.int32(rows), np.int32(columns)
    if ragged:
        n, m = np.int32(lengths[2 * pair]), np.int32(lengths[2 * pair + 1])
    if n == 0 or m == 0:
        n, m = np.int32(0), np.int32(0)
    stripes = max(np.int32((n + LANES - 1) // LANES), np.int32(1))
    segments = np.int32((m + LANES + SEGMENT - 1) // SEGMENT) if m > 0 else np.int32(0)
    return n, m, stripes, segments, np.int32((m + SEGMENT - 1) // SEGMENT)


def make_load_others(kind: Kind, real):
    """Fill the tiles of a segment other than that of the similarity; return the lowest exponent of the penalties."""
    per_cell, dual, wide = kind
    open_tile, extend_tile, rate_tile = kind.open_tile, kind.extend_tile, kind.rate_tile
    open_rate_tile, extend_rate_tile = kind.open_rate_tile, kind.extend_rate_tile

    @device_function
    def load_others(
        gap_open, gap_extend, tangent_similarity, tangent_open, tangent_extend, tile, ahead, lowest, differentiate,
        first_open, first_extend, table, row_0, n, m, columns, step_0, lane, c0, c1, c2, c3, c4,
    ):  # fmt: skip
        zero = real(0)
        seen = n if differentiate else np.int32(0)
        if dual:
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
        return lowest

    return load_others


def make_penalties_of_pair(kind: Kind, real):
    """Penalties of a pair (per cell: those of its first cell) as weights, and whether they are of this kernel's kind.

    Returns p, pe, q, qe, their rates, the exponent that p and q share (wide: that they have), their lowest exponent,
    and whether a kernel of this kind does the pair.
    """
    per_cell, dual, wide = kind

    @device_function
    def penalties_of_pair(
        first_open, first_extend, tangent_open, tangent_extend, pair, differentiate, lowest_of_cells, is_known,
        c0, c1, c2, c3, c4,
    ):  # fmt: skip
        p, pe = weight_of(first_open, -c0, -c1, -c2, -c3, -c4)
        q, qe = weight_of(first_extend, -c0, -c1, -c2, -c3, -c4)
        lowest, highest = min(pe, qe), max(pe, qe)
        # The larger of p and q sets the exponent that they share: no sum is larger than its terms.
        common = max(pe, qe)
        if per_cell:
            common, highest = np.int32(0), np.int32(0)
            if is_known:
                lowest = lowest_of_cells
        # Of penalties per cell it is not known which are dearer.
        limit = shared_exponent_limit(first_open, per_cell or qe < pe)
        spread_is_wide = np.float64(highest) - np.float64(lowest) > limit
        # With penalties per cell their spread is known only at the end: the kernel for wide ones then starts afresh.
        is_mine = spread_is_wide if wide else ((per_cell and not is_known) or not spread_is_wide)
        p_rate, q_rate = real(0), real(0)
        if dual and not per_cell and differentiate:
            p_rate = -c4 * tangent_open[pair]
            q_rate = -c4 * tangent_extend[pair]
        if not wide:
            p, q = p * scale_of(pe - common, p), q * scale_of(qe - common, q)
        return p, pe, p_rate, q, qe, q_rate, common, lowest, is_mine

    return penalties_of_pair
