"""Soft scores and gradients over embeddings against plain log-domain code over their table."""

import math

import numpy as np
import pytest
from reference import plain_posterior

from lactoolkit.errors import ParameterError
from lactoolkit.kernels.long_pairs_soft import SoftEmbeddingAlignment


def embeddings(n, m, features, dtype, seed=0):
    rng = np.random.default_rng([n, m, seed])
    return tuple(rng.normal(0, 0.5, (length, features)).astype(dtype) for length in (n, m))


def plain_gradients(u, v, gap_open, gap_extend, temperature, scale, offset, dtype=np.float64, allow_empty=False):
    """Score and the six derivatives in float64, from a posterior computed in ``dtype``."""
    u, v = u.astype(np.float64), v.astype(np.float64)
    products = u @ v.T
    score, posterior, d_open, d_extend = plain_posterior(
        scale * (products - offset), gap_open, gap_extend, temperature, dtype=dtype, allow_empty=allow_empty
    )
    posterior, d_open, d_extend = (x.astype(np.float64) for x in (posterior, d_open, d_extend))
    return (
        score,
        scale * posterior @ v,
        scale * posterior.T @ u,
        d_open.sum(),
        d_extend.sum(),
        (posterior * (products - offset)).sum(),
        -scale * posterior.sum(),
    )


def our_gradients(alignment):
    found = alignment.gradients()
    return alignment.score, found.u, found.v, found.gap_open, found.gap_extend, found.scale, found.offset


SHAPES = [
    (1, 1, (256, 1024)),
    (1, 9, (1, 4)),
    (9, 1, (4, 1)),
    (5, 3, (2, 2)),
    (30, 40, (1, 1)),
    (30, 40, (7, 11)),
    (30, 40, (256, 1024)),
    (120, 150, (50, 40)),
]


@pytest.mark.parametrize(("n", "m", "tile_shape"), SHAPES)
@pytest.mark.parametrize("temperature", [0.1, 0.8, 5.0])
@pytest.mark.parametrize("allow_empty", [False, True])
def test_float64_equals_plain_code_over_the_table(n, m, tile_shape, temperature, allow_empty):
    u, v = embeddings(n, m, 6, np.float64)
    parameters = {"gap_open": 1.2, "gap_extend": 0.4, "temperature": temperature, "scale": 2.0, "offset": 0.2}
    expected = plain_gradients(u, v, **parameters, allow_empty=allow_empty)
    alignment = SoftEmbeddingAlignment(u, v, **parameters, allow_empty=allow_empty, tile_shape=tile_shape)
    for ours, theirs in zip(our_gradients(alignment), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10 * max(n, m))
    forward_only = SoftEmbeddingAlignment(
        u, v, **parameters, allow_empty=allow_empty, tile_shape=tile_shape, keep_edges=False
    )
    assert forward_only.score == alignment.score


@pytest.mark.parametrize(("n", "m", "tile_shape"), [(30, 40, (7, 11)), (300, 500, (64, 100)), (700, 1300, (256, 1024))])
def test_float32_errs_at_most_twice_as_much_as_plain_code(n, m, tile_shape):
    u, v = embeddings(n, m, 6, np.float32)
    parameters = {"gap_open": 1.2, "gap_extend": 0.4, "temperature": 0.8, "scale": 2.0, "offset": 0.2}
    exact = plain_gradients(u, v, **parameters)
    plain = plain_gradients(u, v, **parameters, dtype=np.float32)
    ours = our_gradients(SoftEmbeddingAlignment(u, v, **parameters, tile_shape=tile_shape))
    for truth, peer, value in zip(exact, plain, ours, strict=True):
        largest = np.abs(truth).max()
        # Sums in float32, ours and not the peer's, may cost a few units in the last place.
        allowed = 2 * np.abs(peer - truth).max() + 20 * np.finfo(np.float32).eps * largest
        assert np.abs(value - truth).max() <= allowed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_best_path_may_start_far_below_its_neighbours(dtype):
    # Row 0 matches column 0 with exp(700); an unrelated block further down scores more in sum.
    n = 12
    u = np.eye(n, dtype=dtype)
    v = np.eye(n, dtype=dtype)
    u[0, 0] = 3.0
    parameters = {"gap_open": 200.0, "gap_extend": 100.0, "temperature": 1.0, "scale": 400.0, "offset": 0.5}
    expected = plain_gradients(u, v, **parameters)
    ours = our_gradients(SoftEmbeddingAlignment(u, v, **parameters, tile_shape=(5, 4)))
    for value, truth in zip(ours, expected, strict=True):
        np.testing.assert_allclose(value, truth, rtol=2e-5 if dtype == np.float32 else 1e-12, atol=1e-4)


@pytest.mark.parametrize(("gap_open", "gap_extend"), [(math.inf, 1.0), (1.0, math.inf), (math.inf, math.inf)])
def test_infinite_penalties_equal_very_large_ones(gap_open, gap_extend):
    u, v = embeddings(20, 25, 4, np.float64)
    common = {"temperature": 1.0, "scale": 2.0, "offset": 0.1}
    finite = [min(penalty, 500.0) for penalty in (gap_open, gap_extend)]
    expected = plain_gradients(u, v, *finite, **common)
    ours = our_gradients(SoftEmbeddingAlignment(u, v, gap_open, gap_extend, **common, tile_shape=(6, 6)))
    for value, truth in zip(ours, expected, strict=True):
        np.testing.assert_allclose(value, truth, rtol=1e-10, atol=1e-10)


def test_penalties_far_apart_are_computed_in_float64():
    u, v = embeddings(25, 30, 4, np.float32)
    parameters = {"gap_open": 1.0, "gap_extend": 0.1, "temperature": 0.004, "scale": 1.0, "offset": 0.1}
    expected = plain_gradients(u, v, **parameters)
    found = our_gradients(SoftEmbeddingAlignment(u, v, **parameters, tile_shape=(8, 8)))
    assert found[1].dtype == np.float32
    for value, truth in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, truth, rtol=1e-5, atol=1e-5)


def test_two_runs_give_the_same_bits():
    u, v = embeddings(400, 500, 8, np.float32)
    first, second = (our_gradients(SoftEmbeddingAlignment(u, v, 1, 0.3, 0.7, tile_shape=(33, 40))) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b)


def test_gradients_can_be_asked_for_again():
    u, v = embeddings(40, 50, 8, np.float64)
    alignment = SoftEmbeddingAlignment(u, v, 1, 0.3, 0.7, tile_shape=(9, 8))
    for a, b in zip(our_gradients(alignment), our_gradients(alignment), strict=True):
        assert np.array_equal(a, b)


def test_temperatures_out_of_range_are_named():
    u, v = embeddings(20, 30, 4, np.float32)
    with pytest.raises(ParameterError, match="temperature 1e-09 is too low"):
        SoftEmbeddingAlignment(u, v, 1.0, 1.0, 1e-9)
    with pytest.raises(ParameterError, match=r"gap_open 1\.0 and gap_extend 0\.1 are too far apart"):
        SoftEmbeddingAlignment(u, v, 1.0, 0.1, 1e-3)
