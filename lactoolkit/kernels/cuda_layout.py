"""What the CUDA kernels keep in memory between them, and where."""

from typing import NamedTuple

from lactoolkit.kernels.cuda_tiles import TILE
from lactoolkit.kernels.cuda_warp import LANES, SEGMENT

SUMMARY_WORDS = 8
FINAL_WORDS = 8
PARTIAL_WORDS = 4
COUNTER_WORDS = 8
LARGEST_STATE = 12
"""Words a lane in a checkpoint, of the kind that has most: all kinds keep theirs so far apart."""


class KeptPlaces(NamedTuple):
    """Where the backward pass keeps each word of the forward sums of a segment."""

    match: int
    gap_a: int
    exponent: int
    match_t: int
    gap_a_t: int
    gap_a_e: int
    up: int
    up_b: int
    up_e: int
    up_t: int
    up_b_t: int
    up_b_e: int


class Kind(NamedTuple):
    """A specialisation of the kernels.

    ``per_cell``: penalties per cell and not per pair. ``dual``: dual numbers, for derivatives along a direction.
    ``wide``: an exponent for each state of a cell, for penalties far apart; always dual.
    """

    per_cell: bool
    dual: bool
    wide: bool

    @property
    def forward_message(self) -> int:
        """Words a column in a message to the stripe below."""
        return 6 if self.wide else 5 if self.dual else 3

    @property
    def backward_message(self) -> int:
        """Words a column in a message to the stripe above."""
        if self.wide:
            return 9
        return 4 + (2 if self.dual else 0) + (2 if self.per_cell else 0) + (2 if self.dual and self.per_cell else 0)

    @property
    def state(self) -> int:
        """Words a lane in a checkpoint."""
        return LARGEST_STATE if self.wide else 10 if self.dual else 6

    @property
    def tiles(self) -> int:
        """Tiles of inputs of a segment: exp(S/t) in two, p, q (wide: in two each), and the rates of all three."""
        penalties = (4 if self.wide else 2) if self.per_cell else 0
        return 2 + penalties + ((3 if self.per_cell else 1) if self.dual else 0)

    @property
    def bounded(self) -> bool:
        """Whether segments may be done with one exponent a lane."""
        return not self.per_cell and not self.wide

    @property
    def open_tile(self) -> int:
        """Place of p; wide: of its mantissas, those of its exponents follow."""
        return 2 * TILE

    @property
    def extend_tile(self) -> int:
        """Place of q, likewise."""
        return (4 if self.wide else 3) * TILE

    @property
    def rate_tile(self) -> int:
        """Place of the tangents of S."""
        return (2 if not self.per_cell else 6 if self.wide else 4) * TILE

    @property
    def open_rate_tile(self) -> int:
        """Place of the tangents of the penalties for opening."""
        return self.rate_tile + TILE

    @property
    def extend_rate_tile(self) -> int:
        """Place of the tangents of the penalties for extending."""
        return self.rate_tile + 2 * TILE

    @property
    def _kept(self) -> int:
        return 6 if self.wide else 5 if self.dual else 3

    @property
    def kept_words(self) -> int:
        """Words that the backward pass keeps in shared memory of the forward sums of a segment."""
        return self._kept * (2 * SEGMENT + 1) * LANES

    @property
    def kept_places(self) -> KeptPlaces:
        """Where they are. Those of the left neighbour are those of the step before, so they have a row more."""
        row, column = (SEGMENT + 1) * LANES, SEGMENT * LANES
        lefts = [i * row for i in range(6)]
        return KeptPlaces(*lefts, *(self._kept * row + i * column for i in range(6)))


class Layout(NamedTuple):
    """Places in the workspace, in words of the floating-point type.

    Kernels for wide penalties have messages of their own, but share the checkpoints: a pair has those of one kind.
    """

    forward_counters: int
    summaries: int
    forward_messages: int
    backward_counters: int
    partials: int
    backward_messages: int
    finals: int
    pair_derivatives: int
    wide_forward_messages: int
    wide_backward_messages: int
    checkpoints: int
    size: int

    @property
    def cleared_forward(self) -> int:
        """Words from the start that must be all ones before the forward kernels run."""
        return self.backward_counters

    @property
    def cleared(self) -> int:
        """Words from the start that must be all ones before all kernels run."""
        return self.finals


def plan_layout(kind: Kind, wide: Kind, pairs: int, rows: int, columns: int, keep: bool) -> Layout:
    """Lay out the workspace of two kinds of kernels; with ``keep``, room for what the backward pass needs is in it."""
    stripes = pairs * (-(-rows // LANES))
    blocks = -(-columns // SEGMENT)
    segments = -(-(columns + LANES) // SEGMENT)
    forward_columns, backward_columns = stripes * blocks * SEGMENT, stripes * (blocks + 2) * SEGMENT * keep
    sizes = (
        COUNTER_WORDS,
        stripes * SUMMARY_WORDS,
        forward_columns * kind.forward_message,
        COUNTER_WORDS * keep,
        stripes * PARTIAL_WORDS * keep,
        backward_columns * kind.backward_message,
        pairs * FINAL_WORDS,
        pairs * 2 * keep,
        forward_columns * wide.forward_message,
        backward_columns * wide.backward_message,
        stripes * segments * LANES * LARGEST_STATE * keep,
    )
    places = [0]
    for size in sizes:
        places.append(places[-1] + size)
    return Layout(*places)
