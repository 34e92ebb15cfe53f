"""Constant offsets between recordings: scores against plain sums, and events of known starts."""

import itertools

import numpy as np
import pytest

from lactoolkit.alignment.offsets import (
    LagScores,
    Recording,
    largest_event,
    motion_correlation,
    motion_curve,
    score_lags,
    solve_offsets,
)
from lactoolkit.alignment.similarity import calibrated_similarity


def event(rng, length=400, dimensions=12):
    """Features of something that moves in jerks: what happens at every moment, before any camera looks at it."""
    speed = np.exp(rng.normal(size=length // 8 + 1)).repeat(8)[:length]
    return np.cumsum(rng.normal(size=(length, dimensions)) * speed[:, None], axis=0)


def record(scene, start, stop, rng, *, view=None, noise=0.05, rate=30):
    """One camera: its own projection of the scene, so that only what moves when is common."""
    seen = scene[start:stop] if view is None else scene[start:stop] @ view
    seen = seen + noise * rng.normal(size=seen.shape)
    values = seen - seen.mean(axis=0)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return Recording(values.astype(np.float32), motion_curve(seen, rate))


def all_pairs(recordings, rate=30):
    pairs = itertools.combinations(range(len(recordings)), 2)
    return {(i, j): score_lags(recordings[i], recordings[j], rate) for i, j in pairs}


def test_scores_are_sums_along_diagonals():
    rng = np.random.default_rng(0)
    scene = event(rng, 80)
    a, b = record(scene, 0, 60, rng), record(scene, 10, 80, rng)
    scores = score_lags(a, b, 30)
    table = calibrated_similarity(a.values, b.values, 0.0) + 2.5 * np.outer(a.motion, b.motion)
    expected = [np.diagonal(table, lag).sum() for lag in scores.lags]
    np.testing.assert_allclose(scores.scores, expected, atol=2e-3 * np.abs(expected).max())
    assert scores.lags[0] == -(60 - 12)
    assert scores.lags[-1] == 70 - 12


def test_cameras_on_other_sides_are_placed_by_what_moves_when():
    rng = np.random.default_rng(1)
    scene = event(rng)
    starts = [30, 0, 75, 52]
    views = [rng.normal(size=(12, 9)) for _ in starts]
    recordings = [record(scene, start, start + 250, rng, view=view) for start, view in zip(starts, views, strict=True)]
    found = solve_offsets(recordings, all_pairs(recordings))
    np.testing.assert_allclose(found.starts, starts, atol=0.5)
    assert (found.confidence > 0.9).all()
    assert found.likeness.min() > 0.8
    assert largest_event(found.likeness, 0.67).all()
    assert found.cycle_error <= 1
    assert found.pair_lags[2, 0] == pytest.approx(45, abs=1)


def test_another_event_is_told_apart():
    rng = np.random.default_rng(2)
    scene, other = event(rng), event(rng)
    recordings = [record(scene, start, start + 200, rng) for start in (0, 40)] + [record(other, 0, 200, rng)]
    found = solve_offsets(recordings, all_pairs(recordings))
    assert found.starts[1] - found.starts[0] == pytest.approx(40, abs=0.5)
    assert found.likeness[2, :2].max() < 0.67 < found.likeness[0, 1]
    assert largest_event(found.likeness, 0.67).tolist() == [True, True, False]


def test_groups_of_recordings():
    likeness = np.eye(6)
    for i, j, value in [(0, 1, 0.9), (2, 3, 0.8), (2, 4, 0.7), (3, 4, 0.75), (1, 2, 0.85)]:
        likeness[i, j] = likeness[j, i] = value
    # 4 is alike to 2 and 3 by .725 on average. That 1 and 2 are alike by chance does not make one event of two groups:
    # the mean of their six pairs is .14.
    assert largest_event(likeness, 0.67).tolist() == [False, False, True, True, True, False]
    # Of two groups of two, the one that is more alike.
    assert largest_event(likeness[:4, :4], 0.67).tolist() == [True, True, False, False]
    assert not largest_event(np.eye(3), 0.67).any()
    assert largest_event(np.array([[1.0, 0.7], [0.7, 1.0]]), 0.67).all()


def test_the_others_decide_where_a_pair_is_in_doubt():
    # By itself, the pair (0, 2) prefers a lag that does not fit what (0, 1) and (1, 2) say.
    lags = np.arange(-50, 51)

    def scores(*tops):
        return LagScores(lags, sum(height * np.exp(-((lags - lag) ** 2) / 8) for lag, height in tops), 3)

    pairs = {(0, 1): scores((10, 200)), (1, 2): scores((5, 200)), (0, 2): scores((15, 140), (-20, 150))}
    still = Recording(np.zeros((60, 2), np.float32), np.zeros(60))
    found = solve_offsets([still] * 3, pairs)
    np.testing.assert_allclose(found.starts, [15, 5, 0], atol=0.05)
    assert found.pair_lags[0, 2] == -20
    assert found.cycle_error == 35


def test_fractions_of_a_frame():
    lags = np.arange(-50, 51)
    pairs = {(0, 1): LagScores(lags, 300 - 3.0 * (lags - 7.3) ** 2, 3)}
    still = Recording(np.zeros((60, 2), np.float32), np.zeros(60))
    assert solve_offsets([still] * 2, pairs).starts[0] == pytest.approx(7.3, abs=1e-3)


def test_two_places_that_fit_alike_share_the_confidence():
    lags = np.arange(-50, 51)
    twice = LagScores(lags, np.where(np.isin(lags, (-30, 20)), 400.0, 0.0), 3)
    assert twice.confidence == pytest.approx(0.5, abs=0.01)


def test_still_videos_have_no_motion_and_correlate_with_nothing():
    still = np.ones((60, 4))
    assert (motion_curve(still, 30) == 0).all()
    recording = Recording(np.zeros((60, 2), np.float32), motion_curve(still, 30))
    assert motion_correlation(recording, recording, 0) == 0
