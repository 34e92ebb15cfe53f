"""What a path keeps at hard cuts: sums done by hand."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_embeddings import embeddings, smooth_frames

from lactoolkit import align_embeddings
from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.alignment.shots import within_shots
from lactoolkit.errors import ParameterError
from lactoolkit.kernels.path_decoding import LocalPath


def kept(similarity, cuts_a=(), cuts_b=(), cost=10.0):
    """First and last pair, of a path from (100, 200) on, one row and two columns a pair."""
    count = len(similarity)
    path = LocalPath(7.0, np.stack([100 + np.arange(count), 200 + 2 * np.arange(count)], axis=1))
    found = within_shots(path, np.array(similarity, np.float32), np.array(cuts_a, int), np.array(cuts_b, int), cost)
    assert found.score == 7.0
    first = int(found.pairs[0, 0]) - 100
    np.testing.assert_array_equal(found.pairs, path.pairs[first : first + len(found)])
    return first, first + len(found)


def test_a_shot_that_is_not_worth_the_cut_goes():
    assert kept([0.5] * 15 + [1.0] * 50, cuts_a=[115]) == (15, 65)  # 7.5 against a cost of 10
    assert kept([1.0] * 50 + [0.5] * 15, cuts_a=[150]) == (0, 50)
    assert kept([0.5] * 25 + [1.0] * 50, cuts_a=[125]) == (0, 75)  # 12.5


def test_cuts_of_b_lie_in_its_columns():
    assert kept([0.5] * 15 + [1.0] * 50, cuts_b=[230]) == (15, 65)
    # The first pair behind a cut that falls between two columns is the one after it.
    assert kept([0.5] * 15 + [1.0] * 50, cuts_b=[229]) == (15, 65)


def test_cuts_between_the_same_pairs_of_both_cost_nothing():
    assert kept([0.5] * 15 + [1.0] * 50, cuts_a=[115], cuts_b=[230]) == (0, 65)
    # One pair later both cost: 15 pairs and one go.
    assert kept([0.5] * 15 + [1.0] * 50, cuts_a=[115], cuts_b=[232]) == (16, 65)


def test_the_best_run_of_shots():
    shots = [1.0] * 30 + [0.1] * 10 + [1.0] * 60
    # Both ends together: 30 - 10 + 1 - 10 + 60 = 71, more than 60 alone.
    assert kept(shots, cuts_a=[130, 140]) == (0, 100)
    # At a cost of 20 the first shot is not worth crossing two cuts.
    assert kept(shots, cuts_a=[130, 140], cost=20.0) == (40, 100)


def test_a_shot_without_pairs_costs_once():
    path = LocalPath(0.0, np.stack([np.arange(60), np.r_[0:15, 45:90]], axis=1))
    inserted = np.array([15, 45])
    similarity = np.r_[np.full(15, 0.8), np.ones(45)].astype(np.float32)  # 12 and 45
    assert len(within_shots(path, similarity, np.array([], int), inserted, 10.0)) == 60
    assert len(within_shots(path, similarity, np.array([], int), inserted, 13.0)) == 45


def test_cuts_outside_the_path_and_cost_zero():
    assert kept([0.5] * 15, cuts_a=[20, 100, 115], cuts_b=[200, 500]) == (0, 15)
    assert kept([0.5] * 15 + [1.0] * 50, cuts_a=[115], cost=0.0) == (0, 65)


def test_hits_end_at_the_cut():
    """A process in one video, and in the other with something alike before a cut."""
    rng = np.random.default_rng(4)
    process = smooth_frames(rng, 70)
    leading = process[:3] + 0.3 * smooth_frames(rng, 3)
    a = embeddings(np.concatenate([smooth_frames(rng, 40), process]), rng)
    b = replace(embeddings(np.concatenate([leading, process[3:]]), rng), cuts=np.array([3]))
    assert align_embeddings(a, b).hits[0].frames_b[0] == 3
    assert align_embeddings(a, b, AlignmentSettings(cut_cost=0.0)).hits[0].frames_b[0] < 3


@pytest.mark.parametrize("cost", [-1.0, float("nan")])
def test_no_such_cost(cost):
    with pytest.raises(ParameterError, match="cut_cost"):
        AlignmentSettings(cut_cost=cost)
