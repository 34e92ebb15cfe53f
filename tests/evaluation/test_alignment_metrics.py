"""Measures of one alignment against counts by hand on small labelled sequences."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import jaccard_score, precision_score, recall_score

from lactoolkit.evaluation.alignment_metrics import (
    boundary_errors,
    carried_agreement,
    chance_boundary_errors,
    confidence_bins,
    interval_overlap,
    linear_stretch,
    near_boundary,
    phase_agreement,
    phase_runs,
    right_pairs,
    shared_boundaries,
    warp_positions,
)
from lactoolkit.evaluation.statistics import CalibrationError, figure

# Two videos of the phases 0, 1, 2 with background around them.
A = np.array([-1, -1, 0, 0, 0, 1, 1, 1, 2, 2])
B = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2, -1, -1, -1])
TRUE_PATH = np.array([[2, 0], [3, 1], [4, 3], [5, 4], [7, 5], [8, 6], [9, 9]])


def test_runs_leave_background_out():
    order, starts = phase_runs(np.array([-1, 0, 0, -1, 0, 2, 2]))
    assert order.tolist() == [0, 0, 2]
    assert starts.tolist() == [1, 4, 5]
    assert [runs.tolist() for runs in phase_runs(np.array([1, 1, 0]))] == [[1, 0], [0, 2]]


def test_boundaries_are_shared_only_by_videos_of_one_order():
    in_a, in_b = shared_boundaries(A, B)
    assert (in_a.tolist(), in_b.tolist()) == ([5, 8], [4, 6])
    assert shared_boundaries(A, np.array([0, 2, 1])) is None


def test_a_path_through_all_boundaries_has_no_error():
    assert boundary_errors(TRUE_PATH, A, B).tolist() == [0, 0, 0, 0]


def test_boundary_errors_by_hand():
    # From A: 5 lies halfway between 4 and 6 and goes to 3 (true: 4); 8 is one frame behind the end: to 7 (true: 6).
    # From B: 4 is matched to 6 (true: 5), 6 to 7 (true: 8).
    path = np.array([[4, 2], [6, 4], [7, 6]])
    assert boundary_errors(path, A, B).tolist() == [1, 1, 1, 1]


def test_every_frame_is_carried_over():
    # A's 2 to 9 go to 0 1 3 4 4 (halfway to 5) 5 6 and 9; B's 0 to 9 to 2 3 4 4 5 7 8 8 9 and 9.
    assert carried_agreement(TRUE_PATH, A, B) == 1
    # Background on both sides is no agreement: 2 of 10 frames.
    assert carried_agreement(np.array([[0, 0], [9, 9]]), A, A) == 0.8
    # One frame of six is in another phase, although both matched pairs agree.
    assert carried_agreement(np.array([[0, 0], [5, 5]]), np.repeat([0, 1], [4, 2]), np.repeat([0, 1], 3)) == 5 / 6
    assert carried_agreement(np.zeros((0, 2), int), A, B) == 0


def test_no_path_is_as_wrong_as_can_be():
    # Frames 4 and 6 of 13: the farther end is 8 and 6 away; frames 5 and 8 of 10: 5 and 8 away.
    assert boundary_errors(np.zeros((0, 2), int), A, B).tolist() == [8, 6, 5, 8]


def test_positions_beyond_the_path_keep_their_distance_to_its_end():
    path = np.array([[10, 5], [14, 13]])
    assert warp_positions(np.array([8, 10, 11, 14, 17]), path).tolist() == [3, 5, 7, 13, 16]


def test_chance_errors_are_the_mean_over_all_places():
    expected = [np.mean([abs(k - at) for k in range(13)]) for at in (4, 6)]
    expected += [np.mean([abs(k - at) for k in range(10)]) for at in (5, 8)]
    np.testing.assert_allclose(chance_boundary_errors(A, B), expected)


def test_phase_agreement_by_hand():
    # Phases of the pairs: (0, 0), (0, 1), (1, 1), (2, 2), (2, -1).
    path = np.array([[2, 1], [4, 4], [6, 5], [8, 6], [9, 10]])
    agreement = phase_agreement(path, A, B, 3)
    assert agreement.share == 3 / 5
    assert agreement.agreeing.tolist() == [2, 2, 2]
    assert agreement.matched.tolist() == [3, 3, 3]


def test_background_never_agrees():
    assert phase_agreement(np.array([[0, 10], [1, 11]]), A, B, 3).share == 0


def test_frames_near_a_boundary_are_left_out():
    phases = np.repeat([0, 1], 10)
    assert np.flatnonzero(near_boundary(phases, 3)).tolist() == [7, 8, 9, 10, 11, 12]
    # Matched 4 frames late, A's frames 6 to 9 meet the wrong phase; each is near the boundary, or its partner is.
    path = np.stack([np.arange(16), np.arange(4, 20)], axis=1)
    agreement = phase_agreement(path, phases, phases, 2, near=3)
    assert agreement.share == 12 / 16
    assert agreement.share_inside == 1
    assert phase_agreement(path, phases, phases, 2, near=1).share_inside == 10 / 12  # without A's 5, 6, 9, 10
    assert np.isnan(phase_agreement(path[6:10], phases, phases, 2, near=3).share_inside)


def test_interval_overlap_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(20):
        core = np.zeros(30, bool)
        start, stop = np.sort(rng.choice(31, 2, replace=False))
        core[start:stop] = True
        first, last = np.sort(rng.integers(0, 30, 2))
        found = np.zeros(30, bool)
        found[first : last + 1] = True
        overlap = interval_overlap(first, last, core)
        assert overlap.iou == pytest.approx(jaccard_score(core, found))
        assert overlap.precision == pytest.approx(precision_score(core, found))
        assert overlap.recall == pytest.approx(recall_score(core, found))


def test_an_empty_interval_overlaps_nothing():
    overlap = interval_overlap(0, -1, np.ones(5, bool))
    assert (overlap.iou, overlap.precision, overlap.recall) == (0, 0, 0)


def test_right_pairs_lie_near_the_line_between_boundaries():
    core_a, core_b = A >= 0, B >= 0
    assert right_pairs(TRUE_PATH, A, B, core_a, core_b, tolerance=0.5).all()
    # A 0 and B 12 are background; A 1 too, but B 0 belongs to A 2, one frame off.
    path = np.array([[0, 7], [1, 0], [2, 3], [3, 12]])
    assert right_pairs(path, A, B, core_a, core_b, tolerance=3).tolist() == [False, True, True, False]
    # A 2 belongs to B 0, 2 frames off; B 2 belongs to A 3.5, 1.5 frames off: the better direction decides.
    assert right_pairs(np.array([[2, 2]]), A, B, core_a, core_b, tolerance=1.6).tolist() == [True]
    assert right_pairs(np.array([[2, 2]]), A, B, core_a, core_b, tolerance=1.4).tolist() == [False]
    assert right_pairs(TRUE_PATH, A, B[::-1].copy(), core_a, core_b[::-1]) is None


def test_reliability_curve_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    said = rng.uniform(size=500)
    right = rng.uniform(size=500) < said**2
    hits, sums, count = confidence_bins(said, right)
    share, mean = calibration_curve(right, said, n_bins=10)
    np.testing.assert_allclose(hits / count, share)
    np.testing.assert_allclose(sums / count, mean)
    expected = sum(np.abs(share - mean) * count / 500)
    error = CalibrationError(hits[None], sums[None], count[None])
    assert figure(error, 1) == pytest.approx(expected)


def test_certainty_has_a_bin():
    assert confidence_bins(np.array([1.0, 0.0]), np.array([True, False]))[2].tolist() == [1, *[0] * 8, 1]


def test_linear_stretch_maps_end_to_end():
    assert linear_stretch(3, 5).tolist() == [[0, 0], [1, 2], [2, 4]]
    assert linear_stretch(5, 3).tolist() == [[0, 0], [2, 1], [4, 2]]
    path = linear_stretch(97, 61)
    assert (np.diff(path, axis=0) > 0).all()
