"""Soft Smith-Waterman in plain torch operations: the fallback for any device.

The table is swept by anti-diagonals, all cells of a diagonal and all pairs of the batch at once. The recursion runs in
the log domain; derivatives are carried by the transition probabilities of each cell (Mensch & Blondel 2018), so that
the backward sweep and both directional derivatives are sums of products. Only ``exp``, ``log`` and exact arithmetic
are used, and sums over a table follow a fixed tree, so padding a pair does not change one bit of its result.

The order of the cells is that of :class:`lactoolkit.ops.antidiagonals.AntiDiagonals`; shapes below call the number of
lanes ``L``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lactoolkit.ops.antidiagonals import AntiDiagonals

# Channels of a cell's state: the constant score of a local start, a match, a gap in a, a gap in b.
_MATCH, _GAP_A, _GAP_B = 1, 2, 3


def score(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> Tensor:
    """Soft scores ``(B,)`` of a batch ``(B, N, M)``; penalties are both ``(B, 1, 1)`` or both ``(B, N, M)``."""
    layout = AntiDiagonals(similarity)
    tables = _sweep_forward(layout, similarity, gap_open, gap_extend, lengths, temperature, allow_empty)
    return (tables.total * temperature).to(similarity.dtype)


def posterior(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Soft scores and their derivatives by similarity ``(B, N, M)`` and by both penalties, in the penalties' shape."""
    layout = AntiDiagonals(similarity)
    tables = _sweep_forward(layout, similarity, gap_open, gap_extend, lengths, temperature, allow_empty)
    weights = _transition_weights(layout, tables)
    flow = _sweep_backward(layout, weights, None, None)
    opened, extended = _gap_flow(weights, flow)
    results = (
        tables.total * temperature,
        layout.unskew(flow[:, 0, :, :-1]),
        _as_penalty(layout, -opened, gap_open),
        _as_penalty(layout, -extended, gap_extend),
    )
    scores, match, d_open, d_extend = (result.to(similarity.dtype) for result in results)
    return scores, match, d_open, d_extend


def posterior_jvp(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
    tangent_similarity: Tensor,
    tangent_open: Tensor,
    tangent_extend: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Directional derivative of :func:`posterior` along the tangents, that is the Hessian of the score times them."""
    layout = AntiDiagonals(similarity)
    tables = _sweep_forward(layout, similarity, gap_open, gap_extend, lengths, temperature, allow_empty)
    weights = _transition_weights(layout, tables)
    flow = _sweep_backward(layout, weights, None, None)
    dtype = tables.state.dtype
    rate = layout.skew(tangent_similarity.to(dtype) / temperature, 0.0)
    # A forbidden pair stays forbidden whatever its tangent says, even an infinite one.
    rate = rate.masked_fill(torch.isneginf(tables.similarity), 0.0)
    open_rate = layout.skew_penalty(tangent_open.to(dtype) / temperature)
    extend_rate = layout.skew_penalty(tangent_extend.to(dtype) / temperature)
    total_rate, weight_rates = _sweep_tangents(layout, weights, rate, open_rate, extend_rate)
    flow_rate = _sweep_backward(layout, weights, weight_rates, flow)
    opened, extended = (
        first + second
        for first, second in zip(_gap_flow(weight_rates, flow), _gap_flow(weights, flow_rate), strict=True)
    )
    results = (
        total_rate * temperature,
        layout.unskew(flow_rate[:, 0, :, :-1]),
        _as_penalty(layout, -opened, gap_open),
        _as_penalty(layout, -extended, gap_extend),
    )
    scores, match, d_open, d_extend = (result.to(similarity.dtype) for result in results)
    return scores, match, d_open, d_extend


class _Tables(NamedTuple):
    """Result of the forward sweep, in units of the temperature and in skewed order."""

    similarity: Tensor  # (D, B, L), -inf where no cell is
    costs_left: Tensor  # (D or 1, 2, B, L or 1): to open and to extend a gap in a
    costs_above: Tensor  # (D or 1, 3, B, L or 1): to open a gap in b after a match or a gap in a, and to extend it
    state: Tensor  # (D + 2, 4, B, L + 1): two empty diagonals and one empty lane in front
    inner: Tensor  # (D, B, L): log-sum of what a match may follow
    total: Tensor  # (B,)


class _Weights(NamedTuple):
    """Probability of each source of a cell's three states (and of the end), or the rates of change of these."""

    diagonal: Tensor  # (D, 3, B, L + 1): match from match, gap in a, gap in b; one empty lane behind
    left: Tensor  # (D, 2, B, L + 1): gap in a from match, gap in a
    above: Tensor  # (D, 3, B, L + 1): gap in b from match, gap in a, gap in b
    final: Tensor  # (D, B, L + 1): the alignment's end


def _compute_dtype(similarity: Tensor) -> torch.dtype:
    # Sums of a thousand steps lose three of float32's digits in the log domain; the sweep is bound by the number of
    # operations rather than by their width, so float64 costs little. Apple's devices lack it.
    return similarity.dtype if similarity.device.type == "mps" else torch.float64


def _tree_sum(table: Tensor) -> Tensor:
    """Sum (B, N, M) to (B,) by pairing neighbours, an order that appended zeros do not change."""
    for _ in range(2):
        while table.shape[-1] > 1:
            if table.shape[-1] % 2:
                table = torch.nn.functional.pad(table, (0, 1))
            table = table[..., ::2] + table[..., 1::2]
        table = table.squeeze(-1)
    return table


def _as_penalty(layout: AntiDiagonals, flow: Tensor, penalty: Tensor) -> Tensor:
    """Skewed flow into gaps as a derivative in the penalty's own shape."""
    table = layout.unskew(flow)
    return table if penalty.shape == table.shape else _tree_sum(table).view(penalty.shape)


def _log_sum(terms: Tensor) -> Tensor:
    """log-sum-exp over the first dimension; -inf where all terms are -inf. Added one by one: the order is fixed."""
    top = terms.amax(0).clamp_(min=torch.finfo(terms.dtype).min)
    parts = torch.exp(terms - top)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total.log_().add_(top)


def _sweep_forward(
    layout: AntiDiagonals,
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
) -> _Tables:
    batch, n, m = similarity.shape
    dtype = _compute_dtype(similarity)
    scaled = similarity.to(dtype) / temperature
    if lengths is not None:
        rows = torch.arange(n, device=similarity.device)
        columns = torch.arange(m, device=similarity.device)
        inside = (rows < lengths[:, :1]).unsqueeze(2) & (columns < lengths[:, 1:]).unsqueeze(1)
        scaled = scaled.masked_fill(~inside, float("-inf"))
    skewed = layout.skew(scaled, float("-inf"))
    opening = layout.skew_penalty(gap_open.to(dtype) / temperature)
    extending = layout.skew_penalty(gap_extend.to(dtype) / temperature)
    costs_left = torch.stack([opening, extending], 1)
    costs_above = torch.stack([opening, opening, extending], 1)
    per_cell = len(costs_left) > 1

    count = len(skewed)
    state = scaled.new_full((count + 2, 4, batch, layout.lanes + 1), float("-inf"))
    state[:, 0] = 0.0
    inner = torch.empty_like(skewed)
    for d in range(count):
        cost = d if per_cell else 0
        two_back, one_back, here = state[d], state[d + 1], state[d + 2, :, :, 1:]
        inner[d] = _log_sum(two_back[:, :, :-1])
        torch.add(skewed[d], inner[d], out=here[_MATCH])
        here[_GAP_A] = _log_sum(one_back[_MATCH:_GAP_B, :, layout.left] - costs_left[cost])
        here[_GAP_B] = _log_sum(one_back[_MATCH:, :, layout.above] - costs_above[cost])

    match = state[2:, _MATCH, :, 1:]
    top = match.amax((0, 2))
    if allow_empty:
        top = top.clamp(min=0.0)
    # A pair whose cells are all forbidden has nothing to scale by; its sum below is 0 and its score -inf.
    anchor = top.clamp(min=torch.finfo(dtype).min)
    mass = _tree_sum(layout.unskew(torch.exp(match - anchor.unsqueeze(1))))
    if allow_empty:
        mass = mass + torch.exp(-anchor)
    return _Tables(skewed, costs_left, costs_above, state, inner, mass.log() + anchor)


def _transition_weights(layout: AntiDiagonals, tables: _Tables) -> _Weights:
    state, lowest = tables.state, torch.finfo(tables.state.dtype).min
    # An unreachable state (-inf) has sources of -inf: clamping the divisor makes their weights 0 instead of NaN.
    gap_a, gap_b = (state[2:, channel, :, 1:].clamp(min=lowest).unsqueeze(1) for channel in (_GAP_A, _GAP_B))
    diagonal = torch.exp(state[:-2, _MATCH:, :, :-1] - tables.inner.unsqueeze(1))
    left = torch.exp(state[1:-1, _MATCH:_GAP_B, :, layout.left] - tables.costs_left - gap_a)
    above = torch.exp(state[1:-1, _MATCH:, :, layout.above] - tables.costs_above - gap_b)
    final = torch.exp(state[2:, _MATCH, :, 1:] - tables.total.clamp(min=lowest).unsqueeze(1))
    return _Weights(*(torch.nn.functional.pad(weight, (0, 1)) for weight in (diagonal, left, above, final)))


def _sweep_backward(layout: AntiDiagonals, weights: _Weights, rates: _Weights | None, flow: Tensor | None) -> Tensor:
    """Probability (D, 3, B, L + 1) that the alignment passes each state; with ``rates``, its rate of change."""
    count, _, batch, lanes = weights.diagonal.shape
    onto_gap_a, onto_gap_b = layout.above, layout.left
    result = weights.final.new_zeros(count + 2, 3, batch, lanes)
    for d in reversed(range(count)):
        here = result[d, :, :, :-1]
        for factors, carried in ((weights, result), (rates, flow)):
            if factors is None or carried is None:
                continue
            if d + 2 < count:
                here += factors.diagonal[d + 2, :, :, 1:] * carried[d + 2, 0, :, 1:]
            if d + 1 < count:
                here += factors.above[d + 1, :, :, onto_gap_b] * carried[d + 1, 2, :, onto_gap_b]
                here[:2] += factors.left[d + 1, :, :, onto_gap_a] * carried[d + 1, 1, :, onto_gap_a]
        here[0] += (weights if rates is None else rates).final[d, :, :-1]
    return result[:count]


def _gap_flow(weights: _Weights, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Probability that a gap opens into, and extends into, each cell: two (D, B, L)."""
    opened = weights.left[:, 0] * flow[:, 1] + (weights.above[:, 0] + weights.above[:, 1]) * flow[:, 2]
    extended = weights.left[:, 1] * flow[:, 1] + weights.above[:, 2] * flow[:, 2]
    return opened[:, :, :-1], extended[:, :, :-1]


def _sweep_tangents(
    layout: AntiDiagonals, weights: _Weights, rate: Tensor, open_rate: Tensor, extend_rate: Tensor
) -> tuple[Tensor, _Weights]:
    """Rates of the total score and of all transition weights along the tangents."""
    count, batch, lanes = rate.shape
    costs_left = torch.stack([open_rate, extend_rate], 1)
    costs_above = torch.stack([open_rate, open_rate, extend_rate], 1)
    per_cell = len(costs_left) > 1
    state = rate.new_zeros(count + 2, 3, batch, lanes + 1)
    inner = torch.empty_like(rate)
    for d in range(count):
        cost = d if per_cell else 0
        two_back, one_back, here = state[d], state[d + 1], state[d + 2, :, :, 1:]
        parts = weights.diagonal[d, :, :, :-1] * two_back[:, :, :-1]
        inner[d] = parts[0] + parts[1] + parts[2]
        torch.add(rate[d], inner[d], out=here[0])
        parts = weights.left[d, :, :, :-1] * (one_back[:2, :, layout.left] - costs_left[cost])
        here[1] = parts[0] + parts[1]
        parts = weights.above[d, :, :, :-1] * (one_back[:, :, layout.above] - costs_above[cost])
        here[2] = parts[0] + parts[1] + parts[2]

    final = weights.final[:, :, :-1]
    total = _tree_sum(layout.unskew(final * state[2:, 0, :, 1:]))
    rates = (
        weights.diagonal[..., :-1] * (state[:-2, :, :, :-1] - inner.unsqueeze(1)),
        weights.left[..., :-1] * (state[1:-1, :2, :, layout.left] - costs_left - state[2:, 1:2, :, 1:]),
        weights.above[..., :-1] * (state[1:-1, :, :, layout.above] - costs_above - state[2:, 2:3, :, 1:]),
        final * (state[2:, 0, :, 1:] - total.unsqueeze(1)),
    )
    return total, _Weights(*(torch.nn.functional.pad(weight, (0, 1)) for weight in rates))
