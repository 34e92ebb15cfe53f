"""Path decoding against enumeration, parasail and cases with a known answer."""

import itertools
import math

import numpy as np
import parasail
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lactoolkit import alignment_posterior
from lactoolkit.errors import ParameterError
from lactoolkit.kernels.long_pairs import best_local_path_embeddings
from lactoolkit.kernels.path_decoding import LocalPath, PathGap, best_local_path, max_expected_accuracy_path


def chains(rows, columns):
    """Every non-empty set of pairs that increases strictly in both coordinates."""
    for length in range(1, min(rows, columns) + 1):
        for chosen_rows in itertools.combinations(range(rows), length):
            for chosen_columns in itertools.combinations(range(columns), length):
                yield list(zip(chosen_rows, chosen_columns, strict=True))


def chain_score(similarity, chain, gap_open, gap_extend):
    score = sum(float(similarity[i, j]) for i, j in chain)
    for (i, j), (next_i, next_j) in itertools.pairwise(chain):
        for skipped in (next_i - i - 1, next_j - j - 1):
            if skipped:
                score -= gap_open + (skipped - 1) * gap_extend if skipped > 1 else gap_open
    return score


def assert_is_chain(pairs):
    assert pairs.dtype == np.int64
    assert pairs.ndim == 2
    assert (np.diff(pairs, axis=0) > 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (3, 4), (4, 4), (5, 5)])
@pytest.mark.parametrize(("gap_open", "gap_extend"), [(1.0, 0.25), (0.3, 0.3), (0.2, 1.5), (0.0, 0.0)])
def test_best_path_is_the_best_of_all_chains(shape, gap_open, gap_extend, dtype):
    rng = np.random.default_rng([*shape, int(100 * gap_open)])
    for _ in range(10):
        table = rng.normal(0, 1.5, shape).astype(dtype)
        expected = max(chains(*shape), key=lambda chain: chain_score(table, chain, gap_open, gap_extend))
        path = best_local_path(table, gap_open, gap_extend)
        assert_is_chain(path.pairs)
        assert path.pairs.tolist() == [list(pair) for pair in expected]
        assert path.score == pytest.approx(chain_score(table, expected, gap_open, gap_extend), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**32 - 1), st.booleans()
)
def test_ties_score_as_the_best_chain(rows, columns, gap_open, gap_extend, seed, forbid):
    rng = np.random.default_rng(seed)
    table = rng.integers(-2, 3, (rows, columns)).astype(np.float64)
    if forbid:
        table[rng.random((rows, columns)) < 0.4] = -np.inf
    scores = {tuple(chain): chain_score(table, chain, gap_open, gap_extend) for chain in chains(rows, columns)}
    path = best_local_path(table, gap_open, gap_extend)
    assert path.score == max(scores.values())
    if path.score == -np.inf:
        assert len(path) == 0
    else:
        assert scores[tuple(map(tuple, path.pairs.tolist()))] == path.score
        last = min(chain[-1] for chain, score in scores.items() if score == path.score)
        assert tuple(path.pairs[-1].tolist()) == last


def test_documented_choices_between_equal_paths():
    # Two ends: the first in row-major order.
    assert best_local_path([[0.0, 1.0], [1.0, 0.0]], 5, 5).pairs.tolist() == [[0, 1]]
    # A prefix worth nothing is left out.
    assert best_local_path([[0.0, -9.0], [-9.0, 1.0]], 5, 5).pairs.tolist() == [[1, 1]]
    # Gap in columns or gap in rows before the last pair: the columns are skipped.
    table = np.full((3, 3), -9.0)
    table[1, 0] = table[0, 1] = table[2, 2] = 2.0
    assert best_local_path(table, 1.0, 1.0).pairs.tolist() == [[1, 0], [2, 2]]
    # A new gap or a longer one, at the same price: the pair before the gap is the nearer one.
    assert best_local_path([[2.0, 2.0, -9.0, -9.0], [-9.0, -9.0, -9.0, 3.0]], 1.0, 0.0).pairs.tolist() == [
        [0, 1],
        [1, 3],
    ]


@pytest.mark.parametrize("size", [(30, 40), (120, 90), (257, 300)])
@pytest.mark.parametrize(("gap_open", "gap_extend"), [(3, 1), (5, 2), (2, 2), (1, 1)])
def test_best_score_equals_parasail_on_integers(size, gap_open, gap_extend):
    letters = "ACGT"
    rng = np.random.default_rng(size[0] + gap_open)
    a = rng.integers(0, 4, size[0])
    b = np.concatenate([a[5:-5], rng.integers(0, 4, size[1])])[: size[1]]
    b[rng.random(len(b)) < 0.15] = 0
    matrix = parasail.matrix_create(letters, 3, -2)
    theirs = parasail.sw("".join(letters[k] for k in a), "".join(letters[k] for k in b), gap_open, gap_extend, matrix)
    table = np.where(a[:, None] == b[None, :], 3.0, -2.0)
    path = best_local_path(table, float(gap_open), float(gap_extend))
    assert path.score == theirs.score
    assert chain_score(table, path.pairs.tolist(), gap_open, gap_extend) == theirs.score


def test_all_negative_table_matches_its_single_best_pair():
    table = np.full((4, 6), -3.0)
    table[2, 4] = -0.5
    path = best_local_path(table, 1.0, 1.0)
    assert path.score == -0.5
    assert path.pairs.tolist() == [[2, 4]]
    assert path.gaps == ()


def test_everything_forbidden():
    path = best_local_path(np.full((3, 2), -np.inf, dtype=np.float32), 1.0, 1.0)
    assert path.score == -np.inf
    assert path.pairs.shape == (0, 2)
    assert path.gaps == ()


def test_infinite_penalties_forbid_gaps():
    table = np.full((4, 5), -1.0)
    table[0, 0] = table[2, 3] = 5.0
    assert best_local_path(table, math.inf, math.inf).pairs.tolist() == [[0, 0]]
    # One skipped column and one skipped row are openings only.
    table[1, 2] = table[3, 3] = 5.0
    assert best_local_path(table, 1.0, math.inf).pairs.tolist() == [[0, 0], [1, 2], [2, 3]]


def test_perfect_block_in_noise_is_found_wherever_it_lies():
    for top, left in [(0, 0), (7, 21), (30, 3)]:
        table = np.full((50, 50), -1.0)
        table[range(top, top + 12), range(left, left + 12)] = 2.0
        path = best_local_path(table, 2.0, 1.0)
        assert path.score == 24.0
        assert path.pairs.tolist() == [[top + k, left + k] for k in range(12)]


def test_small_addends_far_below_a_large_score_count():
    table = np.full((2000, 2000), -1.0, dtype=np.float32)
    np.fill_diagonal(table, np.float32(0.1))
    table[0, 0] = 2.0**24
    assert best_local_path(table, 1.0, 1.0).score == pytest.approx(2.0**24 + 1999 * float(np.float32(0.1)), rel=1e-14)


def test_gaps_name_the_skipped_positions_of_each_axis():
    path = LocalPath(1.0, np.array([[2, 1], [3, 2], [4, 5], [8, 6], [10, 9]]))
    assert path.gaps == (PathGap(1, 3, 5), PathGap(0, 5, 8), PathGap(1, 7, 9), PathGap(0, 9, 10))
    assert [len(gap) for gap in path.gaps] == [2, 3, 2, 1]


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda x: np.repeat(x, 2, axis=1)[:, ::2], lambda x: x.tolist()])
def test_memory_layout_does_not_matter_and_input_is_kept(layout):
    table = np.random.default_rng(3).normal(size=(9, 7))
    given_table = layout(table)
    path = best_local_path(given_table, 1.0, 0.5)
    assert path.pairs.tolist() == best_local_path(table, 1.0, 0.5).pairs.tolist()
    assert np.array_equal(np.asarray(given_table), table)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 3), (5, 5)])
def test_expected_accuracy_path_is_the_best_of_all_chains(shape, dtype):
    rng = np.random.default_rng(shape)
    for _ in range(10):
        posterior = rng.random(shape).astype(dtype)
        expected = max(chains(*shape), key=lambda chain: sum(float(posterior[pair]) for pair in chain))
        path = max_expected_accuracy_path(posterior)
        assert_is_chain(path.pairs)
        assert path.pairs.tolist() == [list(pair) for pair in expected]
        assert path.score == pytest.approx(sum(float(posterior[pair]) for pair in expected), rel=1e-12)


def test_expected_accuracy_path_leaves_out_pairs_at_the_threshold():
    posterior = np.diag([0.0, 0.25, 1.0, 0.5, 0.0])
    assert max_expected_accuracy_path(posterior).pairs.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert max_expected_accuracy_path(posterior, threshold=0.25).pairs.tolist() == [[2, 2], [3, 3]]
    nothing = max_expected_accuracy_path(np.zeros((3, 4)))
    assert nothing.score == 0
    assert nothing.pairs.shape == (0, 2)


def test_two_runs_give_the_same_path():
    table = np.random.default_rng(5).integers(-2, 3, (200, 300)).astype(np.float32)
    first, second = best_local_path(table, 1.0, 1.0), best_local_path(table, 1.0, 1.0)
    assert np.array_equal(first.pairs, second.pairs)
    assert first.score == second.score


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((1, 2, 3)), r"shape \(1, 2, 3\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.zeros((2, 3), dtype=int), "dtype int64"),
        (np.array([[0.0, np.nan]]), "nan"),
        (np.array([[0.0, np.inf]]), "inf"),
        ([[1.0, 2.0], [3.0]], "not an array of numbers"),
        (torch.zeros(2, 3).to_sparse(), "not an array of numbers"),
    ],
)
def test_bad_tables_are_named(table, message):
    with pytest.raises(ParameterError, match=f"similarity.*{message}"):
        best_local_path(table, 1.0, 1.0)
    with pytest.raises(ParameterError, match=f"posterior.*{message}"):
        max_expected_accuracy_path(table)


@pytest.mark.parametrize("bad", [-0.5, math.nan, "wide", None, np.zeros(3)])
def test_bad_penalties_are_named(bad):
    with pytest.raises(ParameterError, match="gap_open"):
        best_local_path(np.zeros((2, 2)), bad, 1.0)
    with pytest.raises(ParameterError, match="gap_extend"):
        best_local_path(np.zeros((2, 2)), 1.0, bad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_tensors_are_taken_as_they_come(dtype):
    similarity = torch.tensor([[2.0, -1.0, -1.0], [-1.0, -1.0, 2.0]], dtype=dtype, requires_grad=True)
    path = best_local_path(similarity, 1.0, 0.5)
    assert (path.score, path.pairs.tolist()) == (3.0, [[0, 0], [1, 2]])
    path = max_expected_accuracy_path(alignment_posterior(similarity, 1.0, 0.5, 0.1))
    assert path.pairs.tolist() == [[0, 0], [1, 2]]
    path = best_local_path_embeddings(similarity, torch.eye(3, dtype=dtype, requires_grad=True), 1.0, 0.5)
    assert (path.score, path.pairs.tolist()) == (3.0, [[0, 0], [1, 2]])


def test_similarities_are_no_posteriors():
    with pytest.raises(ParameterError, match=r"posterior ranges from -2\.0"):
        max_expected_accuracy_path(np.array([[0.5, -2.0]]))
    with pytest.raises(ParameterError, match=r"to 3\.0"):
        max_expected_accuracy_path(np.array([[0.5, 3.0]]))
    for threshold in (2, math.nan, "0.5", None):
        with pytest.raises(ParameterError, match=f"threshold is {threshold!r}"):
            max_expected_accuracy_path(np.array([[0.5]]), threshold=threshold)
