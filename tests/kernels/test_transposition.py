"""Transposed copies of tiles against NumPy."""

import numpy as np
import pytest
from numba import njit

from lactoolkit.kernels.transposition import copy_transposed, tile_edge


@njit
def copy_tile(source, source_place, target, target_place, scale):
    copy_transposed(source, source_place, source.shape[1], target, target_place, target.shape[1], scale)
    return tile_edge(source)


@pytest.mark.parametrize(("dtype", "edge"), [(np.float32, 16), (np.float64, 8)])
def test_a_tile_and_nothing_else(dtype, edge):
    random = np.random.default_rng(0)
    source = random.normal(size=(20, 23)).astype(dtype)
    target = random.normal(size=(18, 31)).astype(dtype)
    expected = target.copy()
    expected[1 : 1 + edge, 5 : 5 + edge] = 0.5 * source[2 : 2 + edge, 3 : 3 + edge].T
    assert copy_tile(source, 2 * 23 + 3, target, 31 + 5, dtype(0.5)) == edge
    np.testing.assert_array_equal(target, expected)
