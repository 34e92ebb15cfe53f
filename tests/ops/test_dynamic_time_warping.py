"""Soft-DTW against the enumeration of all warping paths."""

import numpy as np
import pytest
import torch

from lactoolkit.errors import ParameterError
from lactoolkit.kernels import soft_dtw_cpu
from lactoolkit.ops.dynamic_time_warping import accumulated_costs, at_ends, soft_dtw


def warping_paths(n, m):
    """All paths from (0, 0) to (n - 1, m - 1), as lists of cells."""
    if (n, m) == (1, 1):
        return [[(0, 0)]]
    before = [(n - 1, m), (n, m - 1), (n - 1, m - 1)]
    return [
        [*path, (n - 1, m - 1)] for rows, columns in before if rows and columns for path in warping_paths(rows, columns)
    ]


def enumerated(cost, gamma):
    costs = torch.stack([sum(cost[cell] for cell in path) for path in warping_paths(*cost.shape)])
    return -gamma * torch.logsumexp(-costs / gamma, 0)


def random_costs(*shape, seed=0):
    return 3 * torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_diagonals(cost, gamma, lengths):
    sums = accumulated_costs(cost, lambda sources: -gamma * torch.logsumexp(-sources / gamma, 0))
    return at_ends(sums, torch.as_tensor(lengths))


def by_kernel(cost, gamma, lengths):
    return soft_dtw(cost, gamma, lengths=lengths)


both_ways = pytest.mark.parametrize("compute", [by_kernel, by_diagonals])


@both_ways
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (4, 5), (6, 4)])
@pytest.mark.parametrize("gamma", [0.05, 1.0, 10.0])
def test_value_and_gradient_agree_with_enumeration(compute, shape, gamma):
    cost = random_costs(*shape).requires_grad_()
    expected = enumerated(cost, gamma)
    (expected_gradient,) = torch.autograd.grad(expected, cost)
    found = compute(cost.unsqueeze(0), gamma, [list(shape)])
    torch.testing.assert_close(found, expected.view(1))
    torch.testing.assert_close(torch.autograd.grad(found.sum() * 2, cost)[0], 2 * expected_gradient)


@both_ways
def test_padding_changes_nothing(compute):
    lengths = [[3, 4], [5, 2], [1, 1]]
    costs = random_costs(3, 5, 6).requires_grad_()
    found = compute(costs, 0.3, lengths)
    expected = torch.stack([enumerated(cost[:n, :m], 0.3) for cost, (n, m) in zip(costs, lengths, strict=True)])
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(values.sum(), costs)[0] for values in (found, expected)))


def test_gradient_agrees_with_finite_differences():
    costs = random_costs(3, 5, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: soft_dtw(c, 0.5, lengths=[[5, 6], [2, 3], [4, 1]]), costs)


def test_low_smoothness_is_the_cheapest_path():
    cost = torch.tensor([[0.0, 5.0, 9.0], [1.0, 0.0, 7.0], [2.0, 3.0, 1.0]])
    assert soft_dtw(cost, 1e-4).item() == pytest.approx(1.0, abs=1e-3)
    leaf = (1e6 * cost).requires_grad_()
    soft_dtw(leaf, 1e-4).backward()
    assert torch.equal(leaf.grad, torch.eye(3))


def test_agrees_with_tslearn():
    tslearn = pytest.importorskip("tslearn.metrics", reason="tslearn is not installed")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 3)), rng.normal(size=(40, 3))
    cost = torch.cdist(torch.from_numpy(a), torch.from_numpy(b)) ** 2
    assert soft_dtw(cost, 0.7).item() == pytest.approx(tslearn.soft_dtw(a, b, gamma=0.7), rel=1e-9)


def test_threads_change_nothing():
    cost, lengths = random_costs(20, 50, 60).numpy(), np.array([[50, 60 - b] for b in range(20)])
    one, many = (soft_dtw_cpu.soft_dtw(cost, lengths, 0.2, threads=threads) for threads in (1, 3))
    for found, expected in zip(many, one, strict=True):
        assert np.array_equal(found, expected)


def test_half_precision_is_computed_in_float32():
    cost = random_costs(2, 8, 9).bfloat16()
    found = soft_dtw(cost, 0.5)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, soft_dtw(cost.float(), 0.5).bfloat16())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu():
    costs = random_costs(3, 20, 30)
    here, there = costs.clone().requires_grad_(), costs.cuda().requires_grad_()
    lengths = [[20, 30], [7, 9], [1, 4]]
    found, expected = soft_dtw(there, 0.3, lengths=lengths), soft_dtw(here, 0.3, lengths=lengths)
    torch.testing.assert_close(found.cpu(), expected)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(there.grad.cpu(), here.grad)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(3), 1.0), "cost must be a floating-point torch tensor"),
        ((torch.zeros(3, 4), 0.0), "temperature is 0.0"),
        ((torch.zeros(3, 4), 1.0, [4, 4]), r"lengths of pair 0 are \(4, 4\)"),
        ((torch.zeros(3, 4), 1.0, [0, 4]), r"lengths of pair 0 are \(0, 4\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ParameterError, match=message):
        soft_dtw(*arguments[:2], lengths=arguments[2] if len(arguments) > 2 else None)
