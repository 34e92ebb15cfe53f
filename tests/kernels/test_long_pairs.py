"""Hard paths over embeddings against the same path over their table."""

import math
import threading

import numpy as np
import pytest

from lactoolkit.errors import ParameterError
from lactoolkit.kernels import tiling
from lactoolkit.kernels.long_pairs import best_local_path_embeddings
from lactoolkit.kernels.path_decoding import best_local_path
from lactoolkit.kernels.products import add_product
from lactoolkit.kernels.tiling import TileGrid, visit_wavefront


def related_embeddings(n, m, features=16, seed=0, dtype=np.float32):
    """Unit vectors of which the middle of v follows u, at a varying pace and with noise."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(n, features))
    v = rng.normal(size=(m, features))
    rows = np.cumsum(rng.choice([0, 1, 1, 1, 2], size=m)) + n // 10
    inside = (rows < n) & (np.arange(m) > m // 8)
    v[inside] = u[rows[inside]] + 0.5 * rng.normal(size=(inside.sum(), features))
    return tuple((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(dtype) for x in (u, v))


@pytest.mark.parametrize("max_parts", [32, 3])
@pytest.mark.parametrize(
    ("n", "m", "tile_size"),
    [(50, 70, 1), (50, 70, 7), (70, 50, 64), (300, 200, 64), (1, 80, 5), (80, 1, 5), (1, 1, None), (500, 700, 20)],
)
def test_equals_the_path_over_the_stored_table(n, m, tile_size, max_parts, monkeypatch):
    # With three parts a side, tiles are too large to trace at once and are cut again.
    monkeypatch.setattr(tiling, "MAX_PARTS", max_parts)
    u, v = related_embeddings(n, m, seed=n + m)
    expected = best_local_path(8 * (u.astype(np.float64) @ v.T.astype(np.float64) - 0.3), 1.0, 0.3)
    path = best_local_path_embeddings(u, v, 1.0, 0.3, scale=8, offset=0.3, tile_size=tile_size)
    assert path.pairs.tolist() == expected.pairs.tolist()
    assert path.score == pytest.approx(expected.score, rel=1e-6)
    assert path.gaps == expected.gaps


@pytest.mark.parametrize("tile_size", [1, 3, 8, None])
def test_equal_scores_are_decided_as_in_the_stored_table(tile_size):
    rng = np.random.default_rng(7)
    for _ in range(20):
        u, v = np.eye(3)[rng.integers(0, 3, 23)], np.eye(3)[rng.integers(0, 3, 31)]
        expected = best_local_path(3 * (u @ v.T) - 1, 1.0, 1.0)
        path = best_local_path_embeddings(u, v, 1, 1, scale=3, offset=1 / 3, tile_size=tile_size)
        assert path.score == pytest.approx(expected.score)
        assert path.pairs.tolist() == expected.pairs.tolist()


def test_float64_embeddings_and_mixed_types():
    u, v = related_embeddings(60, 40, dtype=np.float64)
    expected = best_local_path(u @ v.T - 0.25, 0.1, 0.1)
    assert best_local_path_embeddings(u, v, 0.1, 0.1, offset=0.25).score == pytest.approx(expected.score, rel=1e-13)
    mixed = best_local_path_embeddings(u.astype(np.float32), v, 0.1, 0.1, offset=0.25)
    assert mixed.score == pytest.approx(expected.score, rel=1e-6)


def test_infinite_penalties_forbid_gaps():
    u, v = related_embeddings(60, 40)
    path = best_local_path_embeddings(u, v, math.inf, math.inf, offset=0.3, tile_size=9)
    assert path.gaps == ()
    assert path.score == pytest.approx(best_local_path(u @ v.T - np.float32(0.3), math.inf, math.inf).score, rel=1e-5)


def test_two_runs_give_the_same_bits():
    u, v = related_embeddings(400, 500)
    first, second = (best_local_path_embeddings(u, v, 1, 0.3, scale=8, offset=0.3, tile_size=33) for _ in range(2))
    assert first.score == second.score
    assert np.array_equal(first.pairs, second.pairs)


@pytest.mark.parametrize(("name", "position"), [("u", 0), ("v", 1)])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(4, np.float32), r"shape \(4,\)"),
        (np.zeros((0, 4), np.float32), r"shape \(0, 4\)"),
        (np.zeros((3, 0), np.float32), r"shape \(3, 0\)"),
        (np.zeros((3, 4), int), "dtype int64"),
        (np.full((3, 4), np.nan), "NaN or infinite"),
        (np.full((3, 4), -np.inf), "NaN or infinite"),
        (np.zeros((3, 5), np.float32), r"\b(u|v) has 5"),
    ],
)
def test_bad_embeddings_are_named(name, position, value, message):
    arguments = [np.zeros((6, 4), np.float32)] * 2
    arguments[position] = value
    with pytest.raises(ParameterError, match=message) as caught:
        best_local_path_embeddings(*arguments, 1.0, 1.0)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gap_open", -1),
        ("gap_extend", math.nan),
        ("scale", math.inf),
        ("offset", "x"),
        ("tile_size", 0),
        ("tile_size", 2.5),
    ],
)
def test_bad_numbers_are_named(name, value):
    arguments = {"gap_open": 1.0, "gap_extend": 1.0, name: value}
    with pytest.raises(ParameterError, match=f"{name} is"):
        best_local_path_embeddings(np.ones((3, 2)), np.ones((4, 2)), **arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "depth", "m"), [(1, 1, 1), (4, 8, 16), (5, 7, 9), (11, 3, 2), (3, 130, 33)])
def test_add_product_equals_numpy(n, depth, m, dtype):
    rng = np.random.default_rng(n)
    a, b, out = rng.normal(size=(n, depth)), rng.normal(size=(depth, m + 5)), rng.normal(size=(n, m + 2))
    a, b, out = (x.astype(dtype) for x in (a, b, out))
    expected = out.astype(np.float64)
    expected[:, :m] += a.astype(np.float64) @ b[:, 3 : 3 + m]
    for layout in (np.ascontiguousarray, np.asfortranarray):
        result = out.copy()
        add_product(layout(a), b, 3, result, n, depth, m)
        np.testing.assert_allclose(result, expected, rtol=0, atol=40 * np.finfo(dtype).eps * depth**0.5)


@pytest.mark.parametrize("backwards", [False, True])
def test_wavefront_visits_every_tile_after_its_neighbours(backwards):
    grid = TileGrid.of(70, 45, 5)
    assert grid.rows[0] == grid.columns[0] == 0
    assert (grid.rows[-1], grid.columns[-1]) == (70, 45)
    step = 1 if backwards else -1
    seen, lock = set(), threading.Lock()

    def visit(r, c):
        with lock:
            for neighbour in ((r + step, c), (r, c + step)):
                inside = 0 <= neighbour[0] < grid.shape[0] and 0 <= neighbour[1] < grid.shape[1]
                assert not inside or neighbour in seen
            assert (r, c) not in seen
            seen.add((r, c))

    visit_wavefront(grid, visit, backwards=backwards)
    assert len(seen) == grid.shape[0] * grid.shape[1]


def test_wavefront_hands_on_the_first_failure():
    def visit(r, c):
        if (r, c) == (1, 1):
            raise ZeroDivisionError("tile")

    with pytest.raises(ZeroDivisionError, match="tile"):
        visit_wavefront(TileGrid.of(50, 50, 5), visit)
