"""Which hits of an alignment follow each other in both videos, and which are repetitions or reorderings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

Role = Literal["chain", "repetition", "reordered"]


class _Stretch(Protocol):
    @property
    def rows(self) -> np.ndarray: ...
    @property
    def columns(self) -> np.ndarray: ...
    @property
    def score(self) -> float: ...


def colinear_chain(hits: Sequence[_Stretch]) -> tuple[int, ...]:
    """Choose hits that follow each other in both videos, with the largest total score.

    Parameters
    ----------
    hits : sequence of Hit
        Stretches with ``rows``, ``columns`` and ``score``.

    Returns
    -------
    tuple of int
        Positions of the chosen hits, in time order.

    References
    ----------
    Abouelhoda and Ohlebusch (2005), J. Discrete Algorithms 3:321, for chaining of local alignments; hits are few, so
    every pair of them is compared.
    """
    order = sorted(range(len(hits)), key=lambda k: (int(hits[k].rows[0]), int(hits[k].columns[0])))
    best: dict[int, float] = {}
    before: dict[int, int | None] = {}
    for position, k in enumerate(order):
        best[k], before[k] = hits[k].score, None
        for earlier in order[:position]:
            follows = hits[earlier].rows[-1] < hits[k].rows[0] and hits[earlier].columns[-1] < hits[k].columns[0]
            if follows and best[earlier] + hits[k].score > best[k]:
                best[k], before[k] = best[earlier] + hits[k].score, earlier
    chain: list[int] = []
    # Of chains that score the same, the one with the better last hit.
    last: int | None = max(order, key=lambda k: (best[k], -k), default=None)
    while last is not None:
        chain.append(last)
        last = before[last]
    return tuple(reversed(chain))


def hit_roles(hits: Sequence[_Stretch]) -> tuple[Role, ...]:
    """Say of each hit how it stands to the best chain.

    Parameters
    ----------
    hits : sequence of Hit

    Returns
    -------
    tuple of str
        ``"chain"``: part of the consistent whole. ``"repetition"``: half or more of its frames of one video are matched
        by the chain already, with other frames of the other video. ``"reordered"``: anything else, since it comes at
        another place in the order.
    """
    chain = set(colinear_chain(hits))
    matched = [np.concatenate([getattr(hits[k], axis) for k in chain] or [[]]) for axis in ("rows", "columns")]
    roles: list[Role] = []
    for k, hit in enumerate(hits):
        shared = max(np.isin(hit.rows, matched[0]).mean(), np.isin(hit.columns, matched[1]).mean())
        roles.append("chain" if k in chain else "repetition" if shared >= 0.5 else "reordered")
    return tuple(roles)
