"""The torch face of long soft alignment."""

import math

import numpy as np
import pytest
import torch
from reference import recursive_score

from lactoolkit.errors import BackendError, ParameterError
from lactoolkit.ops.long_pairs import soft_smith_waterman_embeddings


def embeddings(n=6, m=7, features=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(n)
    return tuple(torch.randn(length, features, generator=generator, dtype=dtype) for length in (n, m))


def numbers(dtype=torch.float64):
    return tuple(torch.tensor(x, dtype=dtype, requires_grad=True) for x in (1.2, 0.4, 1.5, 0.3))


@pytest.mark.parametrize("temperature", [0.1, 0.8, 1.0, 5.0])
@pytest.mark.parametrize("allow_empty", [False, True])
def test_equals_the_recursion_and_its_autograd(temperature, allow_empty):
    u, v = (x.requires_grad_() for x in embeddings())
    gap_open, gap_extend, scale, offset = numbers()
    inputs = (u, v, gap_open, gap_extend, scale, offset)
    ours = soft_smith_waterman_embeddings(
        u, v, gap_open, gap_extend, temperature, scale=scale, offset=offset, allow_empty=allow_empty
    )
    theirs = recursive_score(scale * (u @ v.T - offset), gap_open, gap_extend, temperature, allow_empty)
    torch.testing.assert_close(ours, theirs)
    found = torch.autograd.grad(-2.5 * ours, inputs)
    expected = torch.autograd.grad(-2.5 * theirs, inputs)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("temperature", [0.1, 0.8, 1.0, 5.0])
def test_gradcheck(temperature):
    u, v = (x.requires_grad_() for x in embeddings(4, 5, 2))

    def score(u, v, gap_open, gap_extend, scale, offset):
        return 3 * soft_smith_waterman_embeddings(u, v, gap_open, gap_extend, temperature, scale=scale, offset=offset)

    assert torch.autograd.gradcheck(score, (u, v, *numbers()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_types_are_computed_in_float32(dtype):
    u, v = (x.to(dtype).requires_grad_() for x in embeddings())
    score = soft_smith_waterman_embeddings(u, v, 1.0, 0.5)
    assert score.dtype == dtype
    exact = recursive_score(u.double() @ v.double().T, 1.0, 0.5, 1.0)
    assert abs(score.item() - exact.item()) <= 2 * torch.finfo(dtype).eps * abs(exact.item())
    score.backward()
    assert u.grad.dtype == dtype


def test_gradients_only_where_wanted():
    u, v = embeddings()
    u.requires_grad_()
    soft_smith_waterman_embeddings(u, v, 1.0, 0.5).backward()
    assert u.grad.abs().sum() > 0
    assert v.grad is None
    with torch.no_grad():
        assert not soft_smith_waterman_embeddings(u, v, 1.0, 0.5).requires_grad


def test_number_tensors_keep_shape_and_type():
    u, v = embeddings()
    gap_open = torch.ones(1, 1, dtype=torch.float32, requires_grad=True)
    soft_smith_waterman_embeddings(u, v, gap_open, 0.5).backward()
    assert gap_open.grad.shape == (1, 1)
    assert gap_open.grad.dtype == torch.float32


def test_non_contiguous_embeddings():
    u, v = embeddings()
    wide = u.T.contiguous().requires_grad_()
    score = soft_smith_waterman_embeddings(wide.T, v, 1.0, 0.5)
    assert score.item() == soft_smith_waterman_embeddings(u, v, 1.0, 0.5).item()
    score.backward()
    assert wide.grad.shape == wide.shape


def test_embeddings_overwritten_before_the_way_back_are_noticed():
    u, v = embeddings()
    v.requires_grad_()
    score = soft_smith_waterman_embeddings(u, v, 1.0, 0.5)
    u.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        score.backward()


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.zeros((3, 2)), ParameterError, "must be a torch tensor, not ndarray"),
        (torch.zeros(3, 2, dtype=torch.int64), ParameterError, "dtype torch.int64"),
        (torch.zeros(3), ParameterError, r"shape \(3,\)"),
        (torch.zeros(0, 2), ParameterError, r"shape \(0, 2\)"),
        (torch.full((3, 2), math.nan), ParameterError, "NaN"),
        (torch.zeros(3, 5), ParameterError, "5"),
        (torch.zeros(3, 2, device="meta"), BackendError, "on meta"),
    ],
)
def test_bad_embeddings_are_named(position, value, error, message):
    arguments = [torch.zeros(4, 2), torch.zeros(4, 2)]
    arguments[position] = value
    with pytest.raises(error, match=message) as caught:
        soft_smith_waterman_embeddings(*arguments, 1.0, 1.0)
    assert "uv"[position] in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gap_open", -1.0),
        ("gap_open", torch.ones(2)),
        ("gap_extend", math.nan),
        ("gap_extend", torch.tensor(1)),
        ("scale", math.inf),
        ("scale", "x"),
        ("offset", math.nan),
        ("temperature", 0.0),
    ],
)
def test_bad_numbers_are_named(name, value):
    arguments = {"gap_open": 1.0, "gap_extend": 1.0, name: value}
    with pytest.raises(ParameterError, match=name):
        soft_smith_waterman_embeddings(torch.zeros(4, 2), torch.zeros(4, 2), **arguments)
