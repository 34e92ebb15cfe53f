"""Deviations from a reference along known paths, and the calibration of their p-values."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from report_alignments import make_alignment, make_video
from scipy import stats

from lactoolkit.alignment.deviations import Spread, course_of, exceedance, on_reference, stretches

LENGTH = 120  # frames of the reference


def aligned(columns, length=None, *, rows=None, seed=0, unlike=slice(0)):
    """A video whose frame ``columns[k]`` belongs to frame ``rows[k]`` of the reference; ``unlike`` rows look wrong."""
    columns = np.asarray(columns)
    rows = np.arange(LENGTH) if rows is None else np.asarray(rows)
    a = make_video(Path("ref.mp4"), LENGTH, 30)
    b = make_video(Path("b.mp4"), int(columns[-1]) + 1 if length is None else length, 30)
    alignment = make_alignment(a, b, rows, columns)
    similarity = np.random.default_rng(seed).normal(-1.0, 0.3, alignment.similarity.shape).astype(np.float32)
    similarity[rows, columns] = np.random.default_rng(seed + 1).normal(2.5, 0.3, len(rows))
    similarity[rows[unlike], :] = -1.0
    return dataclasses.replace(alignment, similarity=similarity)


def warped(rng):
    """Columns of a correct video: a pace between 0.8 and 1.25 that changes slowly."""
    pace = np.exp(0.2 * np.sin(np.linspace(0, 5, LENGTH) * rng.uniform(0.5, 1.5) + rng.uniform(0, 6)))
    columns = np.cumsum(pace / pace.mean() * rng.uniform(0.95, 1.2))
    rows = np.arange(LENGTH)
    whole = np.floor(columns).astype(int)
    first = np.r_[True, np.diff(whole) > 0]
    return rows[first], whole[first] - whole[0]


@pytest.fixture(scope="module")
def correct():
    rng = np.random.default_rng(0)
    courses = []
    for seed in range(10):
        rows, columns = warped(rng)
        courses.append(course_of(aligned(columns, rows=rows, seed=100 * seed)))
    return courses


@pytest.fixture(scope="module")
def spread(correct):
    return Spread(correct, np.arange(LENGTH) / 30)


def deviations(spread, alignment):
    return spread.deviations(course_of(alignment))


def test_pace_and_partner_follow_the_path():
    course = course_of(aligned(2 * np.arange(60), 120, rows=np.arange(30, 90)))
    assert np.isnan(course.times[:30]).all()
    np.testing.assert_allclose(course.times[30:90], 2 * np.arange(60) / 30)
    np.testing.assert_allclose(course.pace[30:90], 1.0)  # twice as long
    assert (course.pace[:30] == -3).all()  # not shown at all
    assert course.own_frames.tolist() == list(range(119))
    np.testing.assert_allclose(course.own_pace, 1.0)
    assert abs(course.own_places[60] - 60) <= 1


def test_correct_videos_have_nothing_conspicuous(spread):
    rng = np.random.default_rng(99)
    found = []
    for seed in range(20):
        rows, columns = warped(rng)
        found.append(bool(deviations(spread, aligned(columns, rows=rows, seed=5000 + 100 * seed))))
    assert sum(found) <= stats.binom.ppf(0.999, 20, 0.05)


def test_a_pause_is_found_where_it_is(spread):
    # The video stops for two seconds at the reference's frame 60, and looks like it all the time.
    alignment = aligned(np.r_[0:60, 120:180])
    alignment.similarity[59:61, 60:120] = 2.5
    (found,) = deviations(spread, alignment)
    assert found.kind == "slower or extra"
    assert (found.start, found.end) == (pytest.approx(2.0, abs=0.35), pytest.approx(4.0, abs=0.35))
    assert found.reference_start == pytest.approx(2.0, abs=0.35)
    assert found.p_value < 0.05


def test_what_is_left_out_is_found(spread):
    (found,) = deviations(spread, aligned(np.r_[0:40, 41:81], rows=np.r_[0:40, 80:120]))
    assert found.kind == "faster or missing"
    assert found.reference_start == pytest.approx(40 / 30, abs=0.4)
    assert found.reference_end == pytest.approx(80 / 30, abs=0.4)


def test_what_looks_different_is_found(spread):
    (found,) = deviations(spread, aligned(np.arange(LENGTH), unlike=slice(50, 80)))
    assert found.kind == "looks different"
    assert (found.start, found.end) == (pytest.approx(50 / 30, abs=0.2), pytest.approx(80 / 30, abs=0.2))


def test_an_end_that_never_comes_is_missing(spread):
    found = deviations(spread, aligned(np.arange(70), rows=np.arange(70)))
    assert any(one.kind == "faster or missing" and one.reference_end > 3.9 for one in found)


def test_a_course_at_other_frames_of_the_reference():
    course = course_of(aligned(2 * np.arange(60), 120, rows=np.arange(30, 90)))
    times = np.arange(LENGTH) / 30
    half = on_reference(course, times, times[::2])
    np.testing.assert_array_equal(half.times, course.times[::2])
    np.testing.assert_array_equal(half.pace, course.pace[::2])
    assert (np.abs(times[::2][half.own_places] - times[course.own_places]) <= 1 / 30 + 1e-9).all()


def test_stretches_join_over_short_interruptions():
    curve = np.zeros(100)
    curve[10:20] = curve[22:30] = 3.0
    curve[60:63] = 2.0
    first, second = stretches(curve, np.arange(100) / 30)
    assert (first[0], first[1]) == (10, 29)
    assert first[2] == pytest.approx(18 * 2 / 30)
    assert second == (60, 62, pytest.approx(3 / 30))


def test_chance_of_a_stretch_is_right_for_exponential_scores():
    # 8 correct videos with a Poisson number of stretches of exponential scores, and one more of the same kind: its most
    # conspicuous stretch falls below p as often as p says, on average over such sets.
    rng = np.random.default_rng(5)
    p_values = []
    for _ in range(3000):
        scores = rng.exponential(size=rng.poisson(3, size=8).sum())
        tested = rng.exponential(size=rng.poisson(3))
        p_values.append(exceedance(scores, 8, tested.max()) if len(tested) else 1.0)
    p_values = np.array(p_values)
    for level in (0.02, 0.05, 0.1):
        assert (p_values < level).mean() <= level + 3 * np.sqrt(level / 3000)
        assert (p_values < level).mean() >= level / 2


def test_no_stretch_in_any_correct_video_is_no_proof():
    assert exceedance(np.zeros(0), 9, 100.0) == pytest.approx(0.1)
