"""Which frame is played when."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_alignments import make_alignment, make_video

from lactoolkit.report.playback import long_gaps, plan_playback, playback_rate


def clips(frames=90, rate_a=30, rate_b=30):
    return make_video(Path("a.mp4"), frames, rate_a), make_video(Path("b.mp4"), frames, rate_b)


def test_equal_pace_plays_pair_by_pair():
    a, b = clips()
    alignment = make_alignment(a, b, range(10, 50), range(20, 60))
    playback = plan_playback(alignment)
    assert playback.frame_rate == pytest.approx(30)
    np.testing.assert_allclose(playback.times_a, np.arange(10, 50) / 30)
    np.testing.assert_allclose(playback.times_b, np.arange(20, 60) / 30)
    np.testing.assert_allclose(playback.confidence, alignment.hits[0].confidence, rtol=1e-6)
    assert not playback.held_a.any()
    assert not playback.held_b.any()


def test_the_faster_process_is_slowed_down_smoothly():
    # B takes twice as long: every second frame of it has no partner, and nobody is said to wait.
    a, b = clips()
    playback = plan_playback(make_alignment(a, b, range(20), range(0, 40, 2)))
    np.testing.assert_allclose(playback.times_b, np.arange(39) / 30)
    np.testing.assert_allclose(playback.times_a, np.arange(39) / 60)
    assert not (playback.held_a | playback.held_b).any()
    assert np.isfinite(playback.confidence).all()


def test_a_long_gap_holds_the_other_video():
    a, b = clips()
    # Frames 20 to 39 of A have no partner: B stands at frame 19 meanwhile.
    playback = plan_playback(make_alignment(a, b, [*range(20), *range(40, 60)], range(40)))
    assert len(playback) == 60
    np.testing.assert_allclose(playback.times_a, np.arange(60) / 30)
    np.testing.assert_allclose(playback.times_b, np.r_[np.arange(20), np.full(20, 19), np.arange(20, 40)] / 30)
    np.testing.assert_array_equal(playback.held_b, (np.arange(60) >= 19) & (np.arange(60) < 39))
    assert not playback.held_a.any()
    np.testing.assert_array_equal(np.isnan(playback.confidence), playback.held_b)


def test_gaps_in_both_pass_one_after_the_other():
    a, b = clips()
    playback = plan_playback(make_alignment(a, b, [*range(10), *range(25, 40)], [*range(10), *range(30, 45)]))
    # 10 pairs, 20 frames of B alone, 15 of A alone, 15 pairs.
    assert len(playback) == 60
    assert playback.held_a.sum() == 20
    assert playback.held_b.sum() == 15
    assert not (playback.held_a & playback.held_b).any()
    assert np.flatnonzero(playback.held_a)[-1] < np.flatnonzero(playback.held_b)[0]


def test_sparse_analysis_still_moves_smoothly():
    a, b = clips(rate_a=10, rate_b=10)
    a, b = (dataclasses.replace(video, frames=video.frames * 3, frame_rate=30.0) for video in (a, b))
    alignment = make_alignment(a, b, range(11), range(11))
    playback = plan_playback(alignment)
    assert playback_rate(alignment) == 30
    np.testing.assert_allclose(playback.times_a, np.arange(31) / 30)


@pytest.mark.parametrize(
    ("rate_a", "rate_b", "expected"), [(24, 24, 24), (60, 60, 60), (240, 30, 60), (24, 60, 60), (12, 15, 15)]
)
def test_rate(rate_a, rate_b, expected):
    a, b = clips(rate_a=rate_a, rate_b=rate_b)
    assert playback_rate(make_alignment(a, b, [1], [1])) == pytest.approx(expected)


def test_without_hits_both_play_from_their_start():
    a, b = clips(frames=60, rate_b=15)
    playback = plan_playback(dataclasses.replace(make_alignment(a, b, [1], [1]), hits=()))
    np.testing.assert_allclose(playback.times_b, np.arange(len(playback)) / 30)
    assert playback.times_a.max() == pytest.approx(59 / 30)
    long_a = make_video(Path("a.mp4"), 100, 1)
    shortened = plan_playback(dataclasses.replace(make_alignment(long_a, b, [1], [1]), hits=()))
    assert shortened.times_a[-1] <= 30


@given(
    steps=st.lists(st.tuples(st.integers(1, 14), st.integers(1, 14)), max_size=12),
    rates=st.tuples(st.sampled_from([10, 24, 30, 60]), st.sampled_from([10, 25, 30])),
)
def test_nothing_runs_backwards_or_faster_than_life(steps, rates):
    rows = np.cumsum([3, *(step[0] for step in steps)])
    columns = np.cumsum([1, *(step[1] for step in steps)])
    a, b = clips(frames=200, rate_a=rates[0], rate_b=rates[1])
    alignment = make_alignment(a, b, rows, columns)
    playback, hit = plan_playback(alignment), alignment.hits[0]
    for times, of_hit in ((playback.times_a, hit.times_a), (playback.times_b, hit.times_b)):
        assert times[0] == pytest.approx(of_hit[0])
        assert times[-1] == pytest.approx(of_hit[-1], abs=1 / playback.frame_rate)
        steps_taken = np.diff(times)
        assert (steps_taken >= -1e-12).all()
        assert (steps_taken <= 1 / playback.frame_rate + 1e-9).all()
    assert not (playback.held_a & playback.held_b).any()
    # While a video is held, it stands still.
    if len(playback) > 1:
        for held, times in ((playback.held_a, playback.times_a), (playback.held_b, playback.times_b)):
            both = held[:-1] & held[1:]
            np.testing.assert_allclose(np.diff(times)[both], 0, atol=1e-12)


def test_long_gaps_are_those_a_viewer_would_notice():
    a, b = clips()
    # 1, 6, 7 and 8 frames of A are left out; the last of 7 comes .233 s after the pair before it.
    hit = (alignment := make_alignment(a, b, [0, 2, 9, 17, 26], [0, 1, 2, 3, 4])).hits[0]
    in_a, in_b = long_gaps(alignment, hit)
    assert in_a.tolist() == [False, False, False, True]
    assert not in_b.any()
