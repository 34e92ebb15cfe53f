"""Several paths against an enumeration that forbids what was used."""

import itertools

import numpy as np
import pytest

from lactoolkit.errors import ParameterError
from lactoolkit.kernels.several_paths import best_local_paths
from lactoolkit.kernels.shuffled_scores import shuffled_scores


def chains(rows, columns):
    for length in range(1, min(rows, columns) + 1):
        for one in itertools.combinations(range(rows), length):
            for two in itertools.combinations(range(columns), length):
                yield tuple(zip(one, two, strict=True))


def score_of(table, chain, gap_open, gap_extend):
    score = sum(float(table[pair]) for pair in chain)
    for (i, j), (k, m) in itertools.pairwise(chain):
        for skipped in (k - i - 1, m - j - 1):
            score -= gap_open + (skipped - 1) * gap_extend if skipped else 0
    return score


def forbidden_by(chain, exclude):
    if exclude == "pairs":
        return set(chain)
    (first_row, first_column), (last_row, last_column) = chain[0], chain[-1]
    return {(i, j) for i in range(first_row, last_row + 1) for j in range(first_column, last_column + 1)}


@pytest.mark.parametrize("exclude", ["pairs", "area"])
@pytest.mark.parametrize("shape", [(1, 5), (4, 4), (5, 3)])
def test_each_path_is_the_best_of_those_that_avoid_the_earlier_ones(shape, exclude):
    rng = np.random.default_rng([*shape, len(exclude)])
    everything = list(chains(*shape))
    for _ in range(8):
        table = rng.normal(0, 1.5, shape)
        expected, used = [], set()
        while len(expected) < 4:
            free = [chain for chain in everything if not used & set(chain)]
            best = max(free, key=lambda chain: score_of(table, chain, 0.5, 0.25), default=None)
            if best is None or (expected and score_of(table, best, 0.5, 0.25) <= 0):
                break
            expected.append(best)
            used |= forbidden_by(best, exclude)
        found = best_local_paths(table, 0.5, 0.25, 4, exclude=exclude)
        assert [[tuple(pair) for pair in path.pairs.tolist()] for path in found] == [list(chain) for chain in expected]
        for path, chain in zip(found, expected, strict=True):
            assert path.score == pytest.approx(score_of(table, chain, 0.5, 0.25))


def test_one_repetition_is_found_in_each_of_several():
    """Truth by construction: the rows appear three times among the columns, at falling contrast."""
    table = np.full((10, 60), -2.0)
    for strength, start in ((3.0, 40), (2.0, 5), (1.0, 22)):
        table[np.arange(10), start + np.arange(10)] = strength
    found = best_local_paths(table, 1.0, 1.0, 10, exclude="area")
    assert [(path.score, path.pairs[0].tolist(), path.pairs[-1].tolist()) for path in found] == [
        (30.0, [0, 40], [9, 49]),
        (20.0, [0, 5], [9, 14]),
        (10.0, [0, 22], [9, 31]),
    ]


def test_a_table_that_forbids_everything_has_no_path():
    assert best_local_paths(np.full((3, 3), -np.inf), 1, 1, 2) == []


@pytest.mark.parametrize(("count", "exclude"), [(0, "pairs"), (True, "pairs"), (1.5, "pairs"), (1, "rows")])
def test_arguments_are_checked(count, exclude):
    with pytest.raises(ParameterError, match=r"count|exclude"):
        best_local_paths(np.zeros((2, 2)), 1, 1, count, exclude=exclude)


@pytest.mark.parametrize(("gap_open", "gap_extend"), [(0.5, 0.25), (0.25, 0.5), (0.0, 0.0)])
def test_shuffled_scores_are_those_of_the_best_chain_in_every_order(gap_open, gap_extend):
    rng = np.random.default_rng(3)
    table = rng.normal(0, 1.5, (4, 5)).astype(np.float32)
    orders = np.stack([np.arange(5), np.arange(5)[::-1], [2, 0, 1, 4, 3], [0, 0, 3, 3, 1]])
    expected = [
        max(score_of(table[:, order], chain, gap_open, gap_extend) for chain in chains(4, 5)) for order in orders
    ]
    np.testing.assert_allclose(shuffled_scores(table, orders, gap_open, gap_extend), expected, rtol=1e-5)
