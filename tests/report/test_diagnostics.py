"""The doctor's own reference, against tables small enough to add up by hand."""

import math

import numpy as np
import pytest

from lactoolkit.report.diagnostics import enumerate_alignments


def test_one_cell():
    result = enumerate_alignments(np.array([[1.5]]), 1.0, 0.5, 0.7)
    assert result.score == pytest.approx(1.5)
    assert result.posterior == pytest.approx(np.ones((1, 1)))


def test_two_by_two_by_hand():
    # Four single pairs, and the diagonal.
    result = enumerate_alignments(np.array([[1.0, -1.0], [0.5, 2.0]]), 1.0, 0.5, 1.0)
    total = sum(map(math.exp, (1.0, -1.0, 0.5, 2.0, 3.0)))
    assert result.score == pytest.approx(math.log(total))
    assert result.posterior[0, 0] == pytest.approx((math.e + math.exp(3)) / total)
    assert result.best_score == 3.0


def test_gaps_are_affine():
    # From corner to corner: two unmatched frames in one video and one in the other.
    similarity = np.full((4, 3), -100.0)
    similarity[0, 0] = similarity[3, 2] = 10.0
    result = enumerate_alignments(similarity, 1.5, 0.25, 0.01)
    assert result.best_score == pytest.approx(20 - (1.5 + 0.25) - 1.5)
