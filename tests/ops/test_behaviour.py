"""What users rely on: locality, extremes, padding, determinism, and the known mistakes of other implementations."""

import math

import numpy as np
import pytest
import torch
from ops_cases import assert_accurate, first_order, plain_results, random_problem
from reference import plain_posterior

from lactoolkit import alignment_posterior, soft_smith_waterman
from lactoolkit.errors import ParameterError
from lactoolkit.ops import registration

MINUS_INFINITY = float("-inf")


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 22), (32, 0), (32, 22), (13, 7)])
def test_a_block_in_noise_scores_the_same_wherever_it_lies(lane, row, column):
    length, match = 8, 5.0
    similarity = -2 - 2 * torch.rand(40, 30, generator=torch.Generator().manual_seed(0))
    steps = torch.arange(length)
    similarity[row + steps, column + steps] = match
    similarity = similarity.to(lane.device)
    score = soft_smith_waterman(similarity, 3.0, 1.0, 0.1, backend=lane.backend)
    posterior = alignment_posterior(similarity, 3.0, 1.0, 0.1, backend=lane.backend).cpu()
    assert score.item() == pytest.approx(length * match, abs=1e-3)
    torch.testing.assert_close(posterior[row + steps, column + steps], torch.ones(length), rtol=0, atol=1e-3)
    assert posterior.sum().item() == pytest.approx(length, abs=1e-2)


EXTREMES = {
    "large": (lambda x: 1e4 * x, 1.0),
    "cold": (lambda x: 10 * x, 1e-3),
    "all negative": (lambda x: -1e4 * x.abs() - 1, 1.0),
    "all equal": (lambda x: torch.zeros_like(x) + 3, 0.5),
    "hot": (lambda x: x, 1e3),
    "tiny": (lambda x: 1e-30 * x, 1.0),
}


@pytest.mark.parametrize("case", EXTREMES)
@pytest.mark.parametrize("shape", [(1, 24, 20), (1, 1, 30), (1, 30, 1), (1, 1, 1)])
def test_extremes_stay_finite_and_right(lane, case, shape):
    change, temperature = EXTREMES[case]
    similarity, gap_open, gap_extend = random_problem(*shape, "float", seed=2, dtype=torch.float32)
    similarity = change(similarity)
    for factor in (1.0, 1e4):
        problem = (similarity, factor * gap_open, factor * gap_extend)
        results = first_order(*problem, temperature, lane=lane)
        assert all(bool(torch.isfinite(x).all()) for x in results)
        truth = plain_results(similarity.double(), *problem[1:], temperature)
        assert_accurate(results, truth, plain_results(*problem, temperature, dtype=np.float32), temperature)


# Beyond the range of the CPU kernels' exponents, which then leave the work to the torch backend.
BEYOND_THE_KERNELS = {
    "high": (lambda x: 1e7 * x, 1e7, 1.0, None),
    "low": (lambda x: -1e7 * (x.abs() + 1), 1.0, 1.0, None),
    "frozen": (lambda x: 100 * x, 30.0, 1e-4, None),
    "colder than 32-bit numbers": (lambda x: x, 1.0, 1e-39, None),
    "hotter than 32-bit numbers": (lambda x: x, 1.0, 1e37, None),
    "a gap worth a million": (lambda x: torch.where(x > 1.5, 4e6, -1e9 * (1 + x.abs())), 1e6, 1.0, None),
    "one of two pairs": (lambda x: 1e7 * x * torch.tensor([1.0, 1e-7]).view(2, 1, 1), 1.0, 1.0, [(9, 8), (5, 11)]),
}


@pytest.mark.parametrize("case", BEYOND_THE_KERNELS)
def test_whatever_the_ratio_of_values_and_temperature(host_lane, case):
    change, gap, temperature, lengths = BEYOND_THE_KERNELS[case]
    similarity = change(random_problem(2, 10, 11, "float", seed=17, dtype=torch.float32)[0])
    problem = (similarity, gap, gap / 4)
    results = first_order(*problem, temperature, lane=host_lane, lengths=lengths)
    truth = plain_results(similarity.double(), *problem[1:], temperature, lengths=lengths)
    for result, expected in zip(results, truth, strict=True):
        torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-5)
    leaf = similarity.clone().requires_grad_()
    alignment_posterior(
        leaf, gap, gap / 4, temperature, lengths=lengths, backend=host_lane.backend
    ).square().sum().backward()
    assert leaf.grad.isfinite().all()


def test_identical_sequences_align_on_the_diagonal(lane):
    frames = torch.nn.functional.normalize(torch.randn(50, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    similarity = (8 * (frames @ frames.T) - 4).to(lane.device)
    posterior = alignment_posterior(similarity, 2.0, 1.0, 0.1, backend=lane.backend)
    assert posterior.diagonal().min() > 0.99
    assert torch.equal(posterior.argmax(1).cpu(), torch.arange(50))


def test_a_start_far_below_its_neighbours_can_still_win(lane):
    # The weak start at (6, 0) lies on rows and anti-diagonals with values e^900 times larger: one factor per row or
    # per diagonal would flush it to zero, though its alignment wins in the end by e^1000.
    similarity = torch.full((12, 12), -3000.0, dtype=torch.float64)
    similarity[0:6, 6:12].fill_diagonal_(200.0)
    similarity[6, 0] = 0.0
    similarity[7:12, 1:6].fill_diagonal_(500.0)
    results = first_order(similarity[None], 4000.0, 4000.0, 1.0, lane=lane)
    # (6, 0) adds nothing and costs nothing: half of the alignments start there, half one pair later.
    assert results[0].item() == pytest.approx(2500.0 + np.log(2))
    assert results[1][0, 6, 0].item() == pytest.approx(0.5)
    assert results[1][0, 8, 2].item() == pytest.approx(1.0)
    assert results[1][0, 3, 9].item() == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_padding_does_not_change_one_bit(lane, dtype):
    sizes = [(5, 7), (33, 31), (64, 20), (1, 3)]
    problems = [random_problem(1, n, m, seed=n, dtype=dtype) for n, m in sizes]
    outputs = []
    for rows, columns, filler in ((64, 31, -1e30), (100, 90, 1e30), (65, 33, MINUS_INFINITY)):
        tables = [torch.full((len(sizes), rows, columns), 3.0, dtype=dtype) for _ in range(3)]
        tables[0].fill_(filler)
        for b, ((n, m), problem) in enumerate(zip(sizes, problems, strict=True)):
            for table, values in zip(tables, problem, strict=True):
                table[b, :n, :m] = values[0]
        outputs.append(all_orders(*tables, sizes, lane))
    for b, (n, m) in enumerate(sizes):
        alone = all_orders(*problems[b], [(n, m)], lane)
        for padded in outputs:
            for single, value in zip(alone, padded, strict=True):
                inside = value[b] if value.dim() == 1 else value[b, :n, :m]
                assert torch.equal(inside, single[0])
                assert value.dim() == 1 or value[b].count_nonzero() == single[0].count_nonzero()


def all_orders(similarity, gap_open, gap_extend, lengths, lane):
    """First-order results, those with one penalty per pair, and a Hessian-vector product."""
    results = first_order(similarity, gap_open, gap_extend, 0.7, lane=lane, lengths=lengths)
    leaf = similarity.to(lane.device).requires_grad_()
    penalty = torch.full((len(lengths), 1, 1), 0.6, dtype=leaf.dtype, device=lane.device, requires_grad=True)
    options = {"lengths": lengths, "backend": lane.backend}
    scores = soft_smith_waterman(leaf, penalty, penalty, 0.7, **options)
    results += [x.cpu() for x in torch.autograd.grad(scores.sum(), (leaf, penalty))]
    posterior = alignment_posterior(leaf, penalty, penalty, 0.7, **options)
    rows = torch.arange(similarity.shape[1], dtype=leaf.dtype, device=lane.device)
    loss = (posterior * rows.sin()[:, None]).sum()
    results += [x.cpu() for x in torch.autograd.grad(loss, (leaf, penalty))]
    return [x.flatten() if x.shape[1:] == (1, 1) and similarity.shape[1:] != (1, 1) else x for x in results]


def test_two_runs_give_the_same_bits(lane):
    problem = random_problem(5, 70, 50, seed=4, dtype=torch.float32)
    lengths = [(70, 50), (3, 50), (70, 1), (40, 40), (33, 32)]
    first, second = (all_orders(*problem, lengths, lane) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_pair_does_not_depend_on_its_batch(lane):
    similarity, gap_open, gap_extend = random_problem(6, 20, 30, seed=6)
    together = first_order(similarity, gap_open, gap_extend, 0.5, lane=lane)
    for b in range(6):
        alone = first_order(*(x[b : b + 1] for x in (similarity, gap_open, gap_extend)), 0.5, lane=lane)
        assert all(torch.equal(x[b : b + 1], y) for x, y in zip(together, alone, strict=True))


def test_inputs_are_not_changed(lane):
    problem = [x.to(lane.device) for x in random_problem(2, 10, 12, seed=8)]
    copies = [x.clone() for x in problem]
    lengths = torch.tensor([[10, 12], [4, 5]])
    leaves = [x.requires_grad_() for x in problem]
    loss = soft_smith_waterman(*leaves, 0.5, lengths=lengths, backend=lane.backend).sum()
    loss = loss + alignment_posterior(*leaves, 0.5, lengths=lengths, backend=lane.backend).square().sum()
    loss.backward()
    assert all(torch.equal(x.detach(), y) for x, y in zip(problem, copies, strict=True))
    assert lengths.tolist() == [[10, 12], [4, 5]]


def test_strided_inputs_give_what_their_copies_give(lane):
    similarity, gap_open, gap_extend = (x.to(lane.device) for x in random_problem(3, 12, 10, seed=9))
    turned = similarity.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    wide = gap_open.repeat_interleave(2, 2)[:, :, ::2]
    row = gap_extend[0, 0]
    options = {"lengths": torch.tensor([[12, 3, 7], [10, 9, 8]]).T, "backend": lane.backend}
    expected = soft_smith_waterman(similarity, gap_open, row.repeat(3, 12, 1), 0.9, **options)
    assert torch.equal(soft_smith_waterman(turned, wide, row, 0.9, **options), expected)


# Worked by hand: two matches of 5 with a gap between them, everything else out of the question.
@pytest.mark.parametrize(
    ("second", "shape", "gap"),
    [((1, 2), (2, 3), 2.0), ((1, 3), (2, 4), 2.5), ((2, 1), (3, 2), 2.0), ((3, 1), (4, 2), 2.5), ((2, 2), (3, 3), 4.0)],
)
def test_gaps_along_the_borders_cost_what_gaps_cost(lane, second, shape, gap):
    similarity = torch.full(shape, -100.0, dtype=torch.float64)
    similarity[0, 0] = similarity[second] = 5.0
    score = soft_smith_waterman(similarity.to(lane.device), 2.0, 0.5, 0.01, backend=lane.backend)
    assert score.item() == pytest.approx(10.0 - gap)


def test_unmatched_ends_are_free_and_gaps_are_not(lane):
    similarity = torch.full((4, 6), -100.0, dtype=torch.float64)
    similarity[2, 3] = 5.0
    similarity = similarity.to(lane.device)
    score = soft_smith_waterman(similarity, 2.0, 0.5, 0.01, backend=lane.backend)
    assert score.item() == pytest.approx(5.0)


@pytest.mark.parametrize("temperature", [0.1, 0.8, 5.0])
def test_derivatives_are_slopes_of_the_score_at_every_temperature(lane, temperature):
    problem = random_problem(1, 6, 7, seed=10)
    _, *gradients = first_order(*problem, temperature, lane=lane)
    step = 1e-5
    for k, gradient in enumerate(gradients):
        ends = []
        for sign in (1, -1):
            moved = [x.clone().to(lane.device) for x in problem]
            moved[k][0, 3, 4] += sign * step
            ends.append(soft_smith_waterman(*moved, temperature, backend=lane.backend).item())
        assert gradient[0, 3, 4].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-8)


def test_penalty_gradients_carry_the_upstream_gradient(lane):
    similarity, _, _ = random_problem(3, 8, 9, seed=12)
    similarity = similarity.to(lane.device)
    upstream = torch.tensor([2.0, -3.0, 0.0], dtype=torch.float64, device=lane.device)
    penalty = torch.full((3, 1, 1), 0.7, dtype=torch.float64, device=lane.device, requires_grad=True)
    shared = torch.tensor(0.7, dtype=torch.float64, device=lane.device, requires_grad=True)
    plain = torch.autograd.grad(soft_smith_waterman(similarity, penalty, 0.5, backend=lane.backend).sum(), penalty)[0]
    scores = soft_smith_waterman(similarity, penalty, 0.5, backend=lane.backend)
    scaled = torch.autograd.grad(scores, penalty, upstream)[0]
    torch.testing.assert_close(scaled, plain * upstream.view(3, 1, 1))
    reduced = torch.autograd.grad(soft_smith_waterman(similarity, shared, 0.5, backend=lane.backend), shared, upstream)[
        0
    ]
    torch.testing.assert_close(reduced, (plain.flatten() * upstream).sum())


def test_forbidden_pairs_score_nothing_and_have_no_gradient(lane):
    similarity = torch.full((2, 3, 4), MINUS_INFINITY, dtype=torch.float64)
    similarity[1, 1, 2] = 1.5
    scores, match, d_open, d_extend = first_order(similarity, 1.0, 0.5, 0.8, lane=lane)
    assert scores.tolist() == [MINUS_INFINITY, 1.5]
    assert match[0].count_nonzero() == 0
    assert match[1].nonzero().tolist() == [[1, 2]]
    assert d_open.count_nonzero() == d_extend.count_nonzero() == 0
    scores, *_ = first_order(similarity, 1.0, 0.5, 0.8, lane=lane, allow_empty=True)
    assert scores[0].item() == 0.0
    assert scores[1].item() == pytest.approx(0.8 * np.log1p(np.exp(1.5 / 0.8)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_empty_pairs_score_zero_where_they_are_allowed(lane, dtype):
    problem = random_problem(3, 4, 5, seed=13, dtype=dtype)
    lengths = [(0, 5), (4, 0), (4, 5)]
    scores, *gradients = first_order(*problem, 0.8, lane=lane, lengths=lengths, allow_empty=True)
    assert scores[:2].tolist() == [0.0, 0.0]
    assert all(x[:2].count_nonzero() == 0 for x in gradients)
    assert scores[2] > 0
    with pytest.raises(ParameterError, match=r"lengths of pair 0 .*allow_empty=True"):
        soft_smith_waterman(problem[0], 1.0, 1.0, lengths=lengths)
    posterior = alignment_posterior(*(x.requires_grad_() for x in problem), 0.8, lengths=lengths, allow_empty=True)
    posterior.square().sum().backward()
    assert all(x.grad[:2].count_nonzero() == 0 for x in problem)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_tables_without_cells(lane, shape):
    similarity = torch.zeros(shape, device=lane.device, requires_grad=True)
    scores = soft_smith_waterman(similarity, 1.0, 1.0, allow_empty=True, backend=lane.backend)
    assert scores.tolist() == [0.0] * shape[0]
    scores.sum().backward()
    assert similarity.grad.shape == shape
    posterior = alignment_posterior(similarity, 1.0, 1.0, allow_empty=True, backend=lane.backend)
    assert posterior.shape == shape
    posterior.sum().backward()


def test_the_empty_alignment_has_its_probability(lane):
    similarity, gap_open, gap_extend = random_problem(1, 6, 6, seed=14)
    tables = [x.to(lane.device) for x in (similarity, gap_open, gap_extend)]
    with_empty = soft_smith_waterman(*tables, 0.8, allow_empty=True, backend=lane.backend)
    without = soft_smith_waterman(*tables, 0.8, backend=lane.backend)
    posteriors = [alignment_posterior(*tables, 0.8, allow_empty=x, backend=lane.backend) for x in (True, False)]
    nothing = torch.exp(-with_empty / 0.8)
    torch.testing.assert_close(nothing, 1 / (1 + torch.exp(without / 0.8)))
    torch.testing.assert_close(posteriors[0], posteriors[1] * (1 - nothing).view(1, 1, 1))


def test_nothing_is_saved_when_no_gradient_is_wanted(lane, monkeypatch):
    similarity, gap_open, gap_extend = (x.to(lane.device) for x in random_problem(2, 6, 6, seed=15))
    leaf = similarity.clone().requires_grad_()
    backend = registration.load_backend(lane.backend, leaf.device)
    with_gradient = soft_smith_waterman(leaf, gap_open, gap_extend, backend=lane.backend)

    def refuse(*_):
        raise AssertionError("derivatives were computed")

    for name in ("posterior", "sums"):
        monkeypatch.setattr(backend, name, refuse, raising=False)
    assert torch.equal(
        soft_smith_waterman(similarity, gap_open, gap_extend, backend=lane.backend), with_gradient.detach()
    )
    with torch.no_grad():
        scores = soft_smith_waterman(leaf, gap_open, gap_extend, backend=lane.backend)
    assert scores.grad_fn is None
    with torch.inference_mode():
        soft_smith_waterman(leaf, 1.0, 1.0, backend=lane.backend)


def test_constants_of_inference_mode_can_be_learned_with_afterwards(lane):
    similarity = random_problem(1, 6, 6, seed=16)[0].to(lane.device)
    with torch.inference_mode():
        expected = soft_smith_waterman(similarity, 1.0625, 0.3125, backend=lane.backend)
    leaf = similarity.clone().requires_grad_()
    scores = soft_smith_waterman(leaf, 1.0625, 0.3125, backend=lane.backend)
    assert torch.equal(scores, expected)
    scores.sum().backward()
    assert bool(leaf.grad.isfinite().all())


# In octaves of exp(-penalty / t): on both sides of where numbers of a cell no longer share one exponent.
@pytest.mark.parametrize("spread", [39, 41, 79, 81, 449, 451, 600, 899, 901, 3000])
@pytest.mark.parametrize("extension_is_dearer", [False, True])
@pytest.mark.parametrize("per_cell", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_penalties_far_apart(lane, dtype, per_cell, extension_is_dearer, spread):
    temperature = 0.01
    low, high = 0.0005, 0.0005 + spread * temperature * math.log(2)
    penalties = (low, high) if extension_is_dearer else (high, low)
    leaves = [torch.tensor(x, dtype=dtype, device=lane.device, requires_grad=True) for x in penalties]
    # More columns than rows, and matches worth gaps of several columns.
    leaf = (6 * high * random_problem(1, 20, 60, seed=39)[0]).to(lane.device, dtype).requires_grad_()
    truth = plain_posterior(
        *(x.detach().double().cpu().squeeze(0).numpy() if x.ndim else x.item() for x in (leaf, *leaves)), temperature
    )
    gaps = [gap.expand(leaf.shape) for gap in leaves] if per_cell else leaves
    score = soft_smith_waterman(leaf, *gaps, temperature, backend=lane.backend)
    gradients = torch.autograd.grad(score, (leaf, *leaves))
    match, opened, extended = (x.double().cpu().numpy() for x in gradients)
    tolerance = 1e-9 if dtype == torch.float64 else 2e-3
    np.testing.assert_allclose(score.item(), truth.score, rtol=1e-6 if dtype == torch.float32 else 1e-13)
    np.testing.assert_allclose(match[0], truth.match, atol=tolerance)
    np.testing.assert_allclose(opened, truth.d_open.sum(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(extended, truth.d_extend.sum(), rtol=tolerance, atol=tolerance)
