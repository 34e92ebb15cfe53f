"""Slow oracles for soft Smith-Waterman: they import nothing of lactoolkit and share no code with it.

Three independent statements of the same quantity:

- :func:`enumerated_score` sums over every local alignment one by one (tables up to about 6 x 6),
- :func:`recursive_score` is the log-domain recursion cell by cell on torch scalars, differentiated by autograd,
- :func:`plain_posterior` is straightforward log-domain code on NumPy arrays in the precision asked for: in float64 it
  is the truth for large tables, in float32 it says what error plain code of that precision makes.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numba
import numpy as np
import torch

MINUS_INFINITY = float("-inf")


def enumerate_chains(n, m):
    """Every local alignment of an n x m table as its chain of matched pairs, strictly increasing in both indices."""
    for length in range(1, min(n, m) + 1):
        for rows in itertools.combinations(range(n), length):
            for columns in itertools.combinations(range(m), length):
                yield list(zip(rows, columns, strict=True))


def count_cells(chain, n, m):
    """How often a chain matches, opens a gap into and extends a gap into each cell: three (n, m) arrays.

    Between two matches (i, j) and (k, l) the columns j+1..l-1 are gapped first, along row i, then the rows i+1..k-1,
    along column l-1.
    """
    matched, opened, extended = np.zeros((3, n, m))
    for i, j in chain:
        matched[i, j] += 1
    for (i, j), (k, l) in itertools.pairwise(chain):
        for position, column in enumerate(range(j + 1, l)):
            (extended if position else opened)[i, column] += 1
        for position, row in enumerate(range(i + 1, k)):
            (extended if position else opened)[row, l - 1] += 1
    return matched, opened, extended


def enumerated_score(similarity, gap_open, gap_extend, temperature, allow_empty=False):
    """Soft score of one pair: log of the sum over all its local alignments; autograd differentiates it to any order."""
    n, m = similarity.shape
    counts = np.array([count_cells(chain, n, m) for chain in enumerate_chains(n, m)])
    matched, opened, extended = torch.from_numpy(counts).to(similarity.dtype).unbind(1)
    gap_open = torch.as_tensor(gap_open, dtype=similarity.dtype).expand(n, m)
    gap_extend = torch.as_tensor(gap_extend, dtype=similarity.dtype).expand(n, m)
    # A cell that no alignment of a chain touches must not turn -inf into NaN (0 * -inf).
    used = torch.where(matched > 0, similarity, torch.zeros_like(similarity))
    scores = (matched * used - opened * gap_open - extended * gap_extend).sum((1, 2))
    if allow_empty:
        scores = torch.cat([scores, scores.new_zeros(1)])
    return temperature * torch.logsumexp(scores / temperature, 0)


def _soft_maximum(terms, temperature):
    terms = [term for term in terms if term is not None]
    if not terms:
        return None
    return temperature * torch.logsumexp(torch.stack(terms) / temperature, 0)


def _minus(term, penalty):
    return None if term is None else term - penalty


def recursive_score(similarity, gap_open, gap_extend, temperature, allow_empty=False):
    """Soft score of one pair by the recursion as it is defined, on 0-d tensors; None stands for minus infinity."""
    n, m = similarity.shape
    gap_open = torch.as_tensor(gap_open, dtype=similarity.dtype).expand(n, m)
    gap_extend = torch.as_tensor(gap_extend, dtype=similarity.dtype).expand(n, m)
    match, gap_a, gap_b = {}, {}, {}
    start = similarity.new_zeros(())
    for i in range(n):
        for j in range(m):
            left, above, diagonal = (i, j - 1), (i - 1, j), (i - 1, j - 1)
            o, e = gap_open[i, j], gap_extend[i, j]
            match[i, j] = similarity[i, j] + _soft_maximum(
                [start, match.get(diagonal), gap_a.get(diagonal), gap_b.get(diagonal)], temperature
            )
            gap_a[i, j] = _soft_maximum([_minus(match.get(left), o), _minus(gap_a.get(left), e)], temperature)
            gap_b[i, j] = _soft_maximum(
                [_minus(match.get(above), o), _minus(gap_a.get(above), o), _minus(gap_b.get(above), e)], temperature
            )
    return _soft_maximum([*match.values(), start if allow_empty else None], temperature)


class Posterior(NamedTuple):
    """Score of one pair with its first derivatives."""

    score: float
    match: np.ndarray
    d_open: np.ndarray
    d_extend: np.ndarray


@numba.njit
def _lse2(a, b):
    top = max(a, b)
    if top == -np.inf:
        return top
    return top + np.log(np.exp(a - top) + np.exp(b - top))


@numba.njit
def _fill_plain(s, o, e, empty, zero):
    n, m = s.shape
    forward = np.full((3, n + 1, m + 1), -np.inf, s.dtype)
    total = zero if empty else zero - np.inf
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            inner = _lse2(_lse2(forward[0, i - 1, j - 1], forward[1, i - 1, j - 1]), forward[2, i - 1, j - 1])
            forward[0, i, j] = s[i - 1, j - 1] + _lse2(zero, inner)
            opening, extending = o[i - 1, j - 1], e[i - 1, j - 1]
            forward[1, i, j] = _lse2(forward[0, i, j - 1] - opening, forward[1, i, j - 1] - extending)
            into_b = _lse2(forward[0, i - 1, j], forward[1, i - 1, j]) - opening
            forward[2, i, j] = _lse2(into_b, forward[2, i - 1, j] - extending)
            total = _lse2(total, forward[0, i, j])
    # Derivatives flow backwards: each cell hands its share to its sources in proportion to their terms of the sum.
    flow = np.zeros((3, n + 1, m + 1), s.dtype)
    d_open = np.zeros((n, m), s.dtype)
    d_extend = np.zeros((n, m), s.dtype)
    for i in range(n, 0, -1):
        for j in range(m, 0, -1):
            opening, extending = o[i - 1, j - 1], e[i - 1, j - 1]
            if total > -np.inf:
                flow[0, i, j] += np.exp(forward[0, i, j] - total)
            inner = _lse2(_lse2(forward[0, i - 1, j - 1], forward[1, i - 1, j - 1]), forward[2, i - 1, j - 1])
            norm = _lse2(zero, inner)
            for k in range(3):
                flow[k, i - 1, j - 1] += flow[0, i, j] * np.exp(forward[k, i - 1, j - 1] - norm)
            if forward[1, i, j] > -np.inf:
                opened = flow[1, i, j] * np.exp(forward[0, i, j - 1] - opening - forward[1, i, j])
                extended = flow[1, i, j] * np.exp(forward[1, i, j - 1] - extending - forward[1, i, j])
                flow[0, i, j - 1] += opened
                flow[1, i, j - 1] += extended
                d_open[i - 1, j - 1] -= opened
                d_extend[i - 1, j - 1] -= extended
            if forward[2, i, j] > -np.inf:
                for k in range(2):
                    opened = flow[2, i, j] * np.exp(forward[k, i - 1, j] - opening - forward[2, i, j])
                    flow[k, i - 1, j] += opened
                    d_open[i - 1, j - 1] -= opened
                extended = flow[2, i, j] * np.exp(forward[2, i - 1, j] - extending - forward[2, i, j])
                flow[2, i - 1, j] += extended
                d_extend[i - 1, j - 1] -= extended
    return total, flow[0, 1:, 1:], d_open, d_extend


def plain_posterior(similarity, gap_open, gap_extend, temperature, *, allow_empty=False, dtype=np.float64):
    """Score and first derivatives of one pair in plain log-domain arithmetic of ``dtype``."""
    similarity = np.asarray(similarity, dtype)
    t = dtype(temperature)
    s = similarity / t
    o = np.ascontiguousarray(np.broadcast_to(np.asarray(gap_open, dtype) / t, s.shape))
    e = np.ascontiguousarray(np.broadcast_to(np.asarray(gap_extend, dtype) / t, s.shape))
    score, match, d_open, d_extend = _fill_plain(s, o, e, allow_empty, dtype(0))
    return Posterior(float(score) * float(temperature), match, d_open, d_extend)


def hard_score(similarity, gap_open, gap_extend):
    """Best local alignment with at least one match, by enumeration (small tables)."""
    n, m = similarity.shape
    best = MINUS_INFINITY
    for chain in enumerate_chains(n, m):
        matched, opened, extended = count_cells(chain, n, m)
        best = max(best, float((matched * similarity - opened * gap_open - extended * gap_extend).sum()))
    return best
