"""Curves with fewer corners: the others lie where the lines are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lactoolkit.report.polyline import thin_out


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=60), st.integers(1, 4), st.sampled_from([1e-3, 0.3]))
def test_all_points_lie_near_the_lines(steps, stride, tolerance):
    y = np.cumsum(steps)
    x = np.arange(len(y)) * stride
    kept = thin_out(x, y, tolerance)
    assert kept[0] == 0
    assert kept[-1] == len(y) - 1
    assert (np.diff(kept) > 0).all()
    np.testing.assert_allclose(np.interp(x, x[kept], y[kept]), y, atol=2 * tolerance + 1e-9)


@pytest.mark.parametrize("rate", [25, 29.97, 59.94])
def test_a_constant_rate_rounded_to_milliseconds_is_two_points(rate):
    times = np.round(np.arange(100_000) / rate, 3)
    assert thin_out(np.arange(100_000), times, 0.0011).tolist() == [0, 99_999]


def test_corners_are_kept():
    assert thin_out(np.arange(30), np.r_[np.arange(10) * 2.0, 18.5 + np.arange(20) * 0.5], 1e-6).tolist() in (
        [0, 9, 29],
        [0, 10, 29],
    )
