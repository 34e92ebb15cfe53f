"""Poor ends of a path: sums of what pairs exceed the level by, done by hand."""

import numpy as np
import pytest

from lactoolkit.alignment.ends import without_poor_ends
from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.errors import ParameterError
from lactoolkit.kernels.path_decoding import LocalPath


def path(length):
    return LocalPath(7.0, np.stack([np.arange(length) + 3, 2 * np.arange(length)], axis=1))


def kept(cosines, level=0.5):
    found = without_poor_ends(path(len(cosines)), np.array(cosines, np.float32), level)
    assert found.score == 7.0
    first = int(found.pairs[0, 0]) - 3
    np.testing.assert_array_equal(found.pairs, path(len(cosines)).pairs[first : first + len(found)])
    return first, first + len(found)


def test_ends_that_look_less_alike_go():
    # The mean is .45; every pair of .1 falls short of half of it by .28 means.
    assert kept([0.1] * 20 + [0.8] * 30 + [0.1] * 10) == (20, 50)
    assert kept([0.1] * 20 + [0.8] * 30) == (20, 50)
    assert kept([0.8] * 30 + [0.1] * 20) == (0, 30)


def test_what_falls_short_by_less_than_one_mean_stays():
    # The mean is .777 (.784): three pairs of .1 fall short of half of it by 3 (.5 - .129) = 1.11 means, two by .74.
    assert kept([0.1] * 3 + [0.8] * 87) == (3, 90)
    assert kept([0.1] * 2 + [0.8] * 88) == (0, 90)


def test_a_poor_stretch_inside_stays():
    assert kept([0.8] * 30 + [0.1] * 20 + [0.8] * 30) == (0, 80)
    # An end that is good by itself goes with the poor stretch that parts it from the rest, where that outweighs it.
    assert kept([0.8] * 2 + [0.0] * 20 + [0.8] * 60) == (22, 82)


def test_even_paths_and_level_zero_keep_everything():
    assert kept([0.3] * 50) == (0, 50)
    assert kept([1.0]) == (0, 1)
    assert kept([0.0] * 20 + [0.8] * 30, level=0.0) == (0, 50)
    assert kept([-0.5] * 20 + [0.1] * 30) == (0, 50)


@pytest.mark.parametrize("level", [-0.1, 1.0, float("nan")])
def test_level_is_a_share(level):
    with pytest.raises(ParameterError, match="end_level is"):
        AlignmentSettings(end_level=level)
