"""Scores and first derivatives against enumeration, the reference recursion and other libraries."""

import functools

import numpy as np
import parasail
import pytest
import reference
import torch
from Bio import Align
from Bio.Align import substitution_matrices
from ops_cases import PENALTIES, assert_accurate, first_order, plain_results, random_problem

from lactoolkit import alignment_posterior, soft_smith_waterman

TEMPERATURES = (0.1, 0.8, 1.0, 5.0)
MINUS_INFINITY = float("-inf")


def enumerated(similarity, gap_open, gap_extend, temperature, allow_empty=False):
    leaves = [
        torch.as_tensor(x, dtype=torch.float64).expand(similarity.shape).clone().requires_grad_()
        for x in (similarity, gap_open, gap_extend)
    ]
    score = reference.enumerated_score(*leaves, temperature, allow_empty)
    return [score.detach(), *torch.autograd.grad(score, leaves)]


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (5, 1), (2, 2), (3, 4), (4, 4), (5, 5)])
@pytest.mark.parametrize("allow_empty", [False, True])
def test_the_references_agree_with_each_other(n, m, allow_empty):
    (similarity,), (gap_open,), (gap_extend,) = random_problem(1, n, m, seed=n * m)
    expected = enumerated(similarity, gap_open, gap_extend, 0.7, allow_empty)
    plain = reference.plain_posterior(similarity, gap_open, gap_extend, 0.7, allow_empty=allow_empty)
    leaf = similarity.clone().requires_grad_()
    score = reference.recursive_score(leaf, gap_open, gap_extend, 0.7, allow_empty)
    torch.testing.assert_close(score.detach(), expected[0])
    torch.testing.assert_close(torch.autograd.grad(score, leaf)[0], expected[1])
    for value, truth in zip(plain, expected, strict=True):
        np.testing.assert_allclose(value, truth.numpy(), atol=1e-12)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 4), (4, 1), (4, 4), (5, 5), (3, 5)])
def test_score_and_derivatives_equal_the_sum_over_all_alignments(lane, n, m, kind, temperature):
    similarity, gap_open, gap_extend = random_problem(2, n, m, kind, seed=7)
    if n * m > 1:
        similarity[0, 0, m // 2] = MINUS_INFINITY
    for allow_empty in (False, True):
        results = first_order(similarity, gap_open, gap_extend, temperature, lane=lane, allow_empty=allow_empty)
        for b in range(2):
            penalties = [
                torch.as_tensor(x, dtype=torch.float64).expand(similarity.shape)[b] for x in (gap_open, gap_extend)
            ]
            truth = enumerated(similarity[b], *penalties, temperature, allow_empty)
            for result, expected in zip(results, truth, strict=True):
                torch.testing.assert_close(result[b], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_recursion_differentiated_by_autograd_agrees(lane, temperature):
    similarity, gap_open, gap_extend = random_problem(1, 9, 11, seed=3)
    leaves = [x[0].clone().requires_grad_() for x in (similarity, gap_open, gap_extend)]
    score = reference.recursive_score(*leaves, temperature)
    truth = [score.detach(), *torch.autograd.grad(score, leaves)]
    results = first_order(similarity, gap_open, gap_extend, temperature, lane=lane)
    for result, expected in zip(results, truth, strict=True):
        torch.testing.assert_close(result[0], expected, rtol=1e-10, atol=1e-12)


# 32 and 1024 are the sizes of a CUDA warp and a CUDA block.
@pytest.mark.parametrize("shape", [(2, 64, 64), (3, 31, 33), (3, 33, 65), (1, 200, 17), (1, 17, 200)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ragged_batches_are_as_accurate_as_plain_code(lane, shape, dtype):
    similarity, gap_open, gap_extend = random_problem(*shape, seed=1, dtype=dtype, scale=2.0)
    batch, n, m = shape
    lengths = [(n, m), (n // 2, m), (1, m - 3)][:batch]
    options = {"lengths": lengths, "allow_empty": False}
    numpy_dtype = np.float32 if dtype == torch.float32 else np.float64
    results = first_order(similarity, gap_open, gap_extend, 0.8, lane=lane, **options)
    truth = plain_results(similarity.double(), gap_open.double(), gap_extend.double(), 0.8, **options)
    plain = plain_results(similarity, gap_open, gap_extend, 0.8, dtype=numpy_dtype, **options)
    if dtype == torch.float64:
        for result, expected in zip(results, truth, strict=True):
            torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-11)
    else:
        assert_accurate(results, truth, plain, 0.8)


@functools.lru_cache
def long_table(n, m):
    problem = random_problem(1, n, m, "float", seed=5, dtype=torch.float32)
    truth = plain_results(problem[0].double(), *problem[1:], 0.8)
    return problem, truth, plain_results(*problem, 0.8, dtype=np.float32)


@pytest.mark.parametrize(("n", "m"), [(1023, 40), (33, 1024), (1025, 64), (31, 1025), (4097, 33), (33, 4097)])
def test_one_length_around_a_thousand_and_beyond(lane, n, m):
    problem, truth, plain = long_table(n, m)
    assert_accurate(first_order(*problem, 0.8, lane=lane), truth, plain, 0.8)


@pytest.mark.parametrize(("n", "m"), [(1023, 1025), (1024, 1024), (1025, 1023)])
def test_both_lengths_around_a_thousand(kernel_lane, n, m):
    problem, truth, plain = long_table(n, m)
    assert_accurate(first_order(*problem, 0.8, lane=kernel_lane), truth, plain, 0.8)


def test_4097_by_4097_has_the_closed_form_of_runs_on_a_diagonal(kernel_lane):
    # Only the diagonal may match and gaps are forbidden, so alignments are runs of consecutive pairs: with similarity
    # s there are L - k + 1 runs of k pairs, each of weight exp(k s / t).
    length, s, temperature = 4097, 0.01, 0.5
    similarity = torch.full((length, length), MINUS_INFINITY, device=kernel_lane.device).fill_diagonal_(s)
    forbidden = float("inf")
    score = soft_smith_waterman(similarity, forbidden, forbidden, temperature, backend=kernel_lane.backend)
    posterior = alignment_posterior(similarity, forbidden, forbidden, temperature, backend=kernel_lane.backend)
    sizes = np.arange(1, length + 1)
    weights = np.exp(sizes * s / temperature - length * s / temperature)
    mass = ((length - sizes + 1) * weights).sum()
    assert score.item() == pytest.approx(temperature * np.log(mass) + length * s, rel=1e-6)
    # The sums of weights of what may precede and follow position i.
    before = np.array([np.exp(np.arange(i) * s / temperature).sum() for i in (1, 2049, 4097)])
    after = before[::-1]
    expected = before * after * np.exp(s / temperature - length * s / temperature) / mass
    found = posterior.diagonal()[[0, 2048, 4096]].double().cpu().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def random_sequences(seed):
    rng = np.random.default_rng(seed)
    letters = "ACGT"
    matrix = rng.integers(-4, 3, (4, 4))
    np.fill_diagonal(matrix, rng.integers(3, 7, 4))
    matrix = np.tril(matrix) + np.tril(matrix, -1).T
    a, b = (rng.integers(0, 4, size) for size in (45, 38))
    return letters, matrix, a, b


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("gap_open", "gap_extend"), [(5, 1), (3, 3), (2, 1), (7, 0)])
def test_the_cold_limit_is_the_score_of_parasail_and_biopython(lane, seed, gap_open, gap_extend):
    letters, matrix, a, b = random_sequences(seed)
    texts = ["".join(letters[k] for k in sequence) for sequence in (a, b)]
    parasail_matrix = parasail.matrix_create(letters, 1, -1)
    aligner = Align.PairwiseAligner(mode="local", open_gap_score=-gap_open, extend_gap_score=-gap_extend)
    biopython_matrix = substitution_matrices.Array(letters, dims=2)
    for i, row in enumerate(letters):
        for j, column in enumerate(letters):
            parasail_matrix[i, j] = int(matrix[i, j])
            biopython_matrix[row, column] = matrix[i, j]
    aligner.substitution_matrix = biopython_matrix
    expected = parasail.sw_striped_16(*texts, gap_open, gap_extend, parasail_matrix).score
    assert aligner.score(*texts) == expected
    similarity = torch.from_numpy(matrix[np.ix_(a, b)]).double().to(lane.device)
    score = soft_smith_waterman(similarity, float(gap_open), float(gap_extend), 1e-3, backend=lane.backend)
    # Scores are integers, and all co-optimal alignments together add no more than t log(count).
    assert expected - 1e-9 < score.item() < expected + 0.1


def test_the_cold_limit_with_penalties_of_each_cell_is_the_best_chain(lane):
    similarity, gap_open, gap_extend = random_problem(1, 5, 5, seed=11)
    expected = reference.hard_score(*(x[0].numpy() for x in (similarity, gap_open, gap_extend)))
    tables = [x[0].to(lane.device) for x in (similarity, gap_open, gap_extend)]
    score = soft_smith_waterman(*tables, 1e-4, backend=lane.backend)
    assert score.item() == pytest.approx(expected, abs=1e-3)
