"""Batches of tables by anti-diagonals, whose cells do not depend on each other.

In the tables ``d`` counts anti-diagonals, and a lane is a row or a column, whichever there are fewer of: cell
``(i, j)`` lies at ``[d = i + j, :, i]`` or ``[d = i + j, :, j]``. Shapes call the number of lanes ``L``.
"""

from __future__ import annotations

from torch import Tensor


class AntiDiagonals:
    """How the cells of a batch of tables are ordered by anti-diagonals.

    ``left`` and ``above`` pick, from the L + 1 lanes of the diagonal before (one empty lane in front), the sources of
    gaps in a and of gaps in b: the same lane, or the one before it. Seen from a source, the cell it leads to lies in
    the same lane or the one after it: from L + 1 lanes with the empty one behind, ``above`` picks gaps in a and
    ``left`` gaps in b.
    """

    def __init__(self, similarity: Tensor) -> None:
        self.shape = similarity.shape
        _, rows, columns = similarity.shape
        self.lanes_are_rows = rows <= columns
        self.lanes, self.steps = (rows, columns) if self.lanes_are_rows else (columns, rows)
        self.left: slice
        self.above: slice
        same, before = slice(1, None), slice(None, -1)
        self.left, self.above = (same, before) if self.lanes_are_rows else (before, same)

    def skew(self, table: Tensor, fill: float) -> Tensor:
        """(B, N, M) to (N + M - 1, B, L); places without a cell hold ``fill``."""
        lanes, steps = self.lanes, self.steps
        padded = table.new_full((len(table), lanes, lanes + steps), fill)
        padded[:, :, :steps] = table if self.lanes_are_rows else table.transpose(1, 2)
        # Reading rows of L + K elements as rows of L + K - 1 shifts each row by one more place.
        flat = padded.flatten(1)[:, : lanes * (lanes + steps - 1)]
        return flat.view(len(table), lanes, lanes + steps - 1).permute(2, 0, 1).contiguous()

    def unskew(self, diagonals: Tensor) -> Tensor:
        """Inverse of :meth:`skew`."""
        lanes, steps = self.lanes, self.steps
        padded = diagonals.new_zeros(diagonals.shape[1], lanes * (lanes + steps))
        padded[:, : lanes * len(diagonals)] = diagonals.permute(1, 2, 0).flatten(1)
        table = padded.view(-1, lanes, lanes + steps)[:, :, :steps]
        return (table if self.lanes_are_rows else table.transpose(1, 2)).contiguous()

    def skew_penalty(self, penalty: Tensor) -> Tensor:
        """One penalty per cell to (N + M - 1, B, L), one per pair to (1, B, 1)."""
        return self.skew(penalty, 0.0) if penalty.shape == self.shape else penalty.view(1, -1, 1)
