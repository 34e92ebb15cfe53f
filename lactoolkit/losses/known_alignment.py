"""The alignment of two views of one video, which their frames' positions tell."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lactoolkit.losses.frame_loss import Views


class KnownAlignment(NamedTuple):
    """How often the known alignment matches, opens a gap into and extends a gap into each cell: 0 or 1, (B, T, S)."""

    matched: Tensor
    opened: Tensor
    extended: Tensor


def known_alignment(views: Views, tolerance: float) -> KnownAlignment:
    """Match frames that are each other's nearest in the other view, at most ``tolerance`` frames apart.

    Positions must not decrease; then the matches are in order in both views. Gaps between two matches run as in
    :func:`lactoolkit.soft_smith_waterman`: the columns between them first, then the rows, in the column before the
    second match. What lies before the first match or after the last costs nothing.
    """
    table = views.table
    distance = (views.positions_u.unsqueeze(2) - views.positions_v.unsqueeze(1)).abs()
    distance = distance.masked_fill(~table, float("inf"))
    rows, columns = (torch.arange(size, device=distance.device) for size in distance.shape[1:])
    nearest_column, nearest_row = distance.argmin(2), distance.argmin(1)
    mutual = (columns == nearest_column.unsqueeze(2)) & (rows.unsqueeze(1) == nearest_row.unsqueeze(1))
    matched = mutual & (distance <= tolerance)

    is_matched = matched.any(2)
    partner = matched.to(torch.uint8).argmax(2)
    none_before, none_after = -1, len(rows)
    before = torch.where(is_matched, rows, none_before).cummax(1).values
    after = torch.where(is_matched, rows, none_after).flip(1).cummin(1).values.flip(1)
    # The next match strictly after each row.
    after = torch.cat([after[:, 1:], after.new_full((len(after), 1), none_after)], 1)
    next_column = partner.gather(1, after.clamp(max=none_after - 1))
    has_next = after < none_after

    start, end = partner.unsqueeze(2), next_column.unsqueeze(2)
    in_row = (is_matched & has_next).unsqueeze(2) & (columns > start) & (columns < end)
    in_column = (~is_matched & has_next & (before > none_before)).unsqueeze(2) & (columns == end - 1)
    first = torch.where(in_row, columns == start + 1, (rows == before + 1).unsqueeze(2))
    gap = in_row | in_column
    dtype = views.u.dtype
    return KnownAlignment(matched.to(dtype), (gap & first).to(dtype), (gap & ~first).to(dtype))
