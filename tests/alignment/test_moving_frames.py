"""Frames that hardly differ from the last one kept, by hand."""

import numpy as np
import pytest
from synthetic_embeddings import embeddings, smooth_frames

from lactoolkit import align_embeddings
from lactoolkit.alignment import moving_frames as module
from lactoolkit.alignment.moving_frames import moving_frames, over_all_frames
from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.errors import ParameterError
from lactoolkit.kernels.path_decoding import LocalPath


def on_a_line(*positions):
    return np.array(positions, np.float32)[:, None]


def kept(values, least=1.0):
    return moving_frames(values, least).rows.tolist()


@pytest.mark.parametrize("chunk", [2, 3, 512])
def test_frames_are_compared_with_the_last_one_kept(monkeypatch, chunk):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    # Of the steps, five are .25 and five are 1: their median is .625.
    values = on_a_line(0, 1, 1.25, 1.5, 1.75, 2, 2.25, 3.25, 4.25, 5.25, 6.25)
    assert kept(values) == [0, 1, 4, 7, 8, 9, 10]
    assert kept(values, 2.0) == [0, 2, 7, 9]
    assert kept(values, 0.0) == list(range(11))


def test_an_even_pace_leaves_nothing_out():
    angle = np.arange(200) * 0.05
    assert kept(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)) == list(range(200))


def test_frozen_frames_go_however_many_there_are():
    assert kept(on_a_line(0, 0, 0, 0, 0, 1, 2, 2, 2, 3)) == [0, 5, 6, 9]
    assert kept(on_a_line(4, 4, 4)) == [0, 1, 2]
    assert kept(on_a_line(4)) == [0]


def test_rows_of_what_is_kept():
    values = on_a_line(0, 1, 1.125, 2.25, 3.25)
    moving = moving_frames(values, 1.0)
    assert len(moving) == 4
    assert not moving.all
    np.testing.assert_array_equal(moving[1:3], values[[1, 3]])
    np.testing.assert_array_equal(moving[np.array([3, 0])], values[[4, 0]])


def test_frames_left_out_in_both_videos_are_matched_too():
    a = moving_frames(on_a_line(0, 1, 1, 1, 2, 2, 2, 2, 3, 4, 5, 6, 6, 7), 1.0)
    b = moving_frames(on_a_line(0, 0, 1, 2, 2, 2, 2, 3, 4, 5, 6, 7), 1.0)
    assert a.rows.tolist() == [0, 1, 4, 8, 9, 10, 11, 13]
    assert b.rows.tolist() == [0, 2, 3, 7, 8, 9, 10, 11]
    # 1-3 to 4-7: three frames of B between them, two of A: at thirds. 4-7 to 8-8: none of B. 8-8 to 10-9: the path
    # skips 9 of A. 10-9 to 13-11: it skips 10 of B, and 11 of A, which were both kept.
    path = over_all_frames(LocalPath(5.0, np.array([[1, 2], [2, 3], [3, 4], [5, 5], [7, 7]])), a, b)
    assert path.score == 5.0
    assert path.pairs.tolist() == [[1, 3], [2, 4], [3, 6], [4, 7], [8, 8], [10, 9], [13, 11]]
    # 1-2 to 8-8: the path skips 4 of A, which was kept, but no such frame of B.
    path = over_all_frames(LocalPath(5.0, np.array([[1, 3], [3, 4]])), a, b)
    assert path.pairs.tolist() == [[1, 7], [8, 8]]
    path = over_all_frames(LocalPath(5.0, np.array([[1, 2], [3, 3]])), a, b)
    assert path.pairs.tolist() == [[1, 3], [3, 4], [4, 5], [6, 6], [8, 7]]
    assert over_all_frames(LocalPath(0.0, np.zeros((0, 2), int)), a, b).pairs.shape == (0, 2)


def test_frames_left_out_behind_the_last_pair_are_matched_too():
    a = moving_frames(on_a_line(0, 1, 1, 1, 2, 3, 3, 3), 1.0)
    b = moving_frames(on_a_line(0, 1, 1, 2, 3, 3), 1.0)
    assert a.rows.tolist() == [0, 1, 4, 5]
    assert b.rows.tolist() == [0, 1, 3, 4]
    # Up to the next frame that was kept: two of A, one of B.
    path = over_all_frames(LocalPath(1.0, np.array([[0, 0], [1, 1]])), a, b)
    assert path.pairs.tolist() == [[0, 0], [1, 1], [2, 2]]
    # Up to the ends of the videos.
    path = over_all_frames(LocalPath(1.0, np.array([[3, 3]])), a, b)
    assert path.pairs.tolist() == [[5, 4], [6, 5]]
    # One of the videos has none.
    assert over_all_frames(LocalPath(1.0, np.array([[1, 2]])), a, b).pairs.tolist() == [[1, 3]]


def test_pauses_of_different_length():
    """One process with a pause in the middle, long in one take and short in the other."""
    rng = np.random.default_rng(3)
    process = smooth_frames(rng, 60)
    parts = [smooth_frames(rng, count) for count in (40, 30, 50, 20)]
    takes = [
        np.concatenate([before, process[:30], np.repeat(process[30:31], pause, axis=0), process[30:], after])
        for before, pause, after in ((parts[0], 25, parts[1]), (parts[2], 5, parts[3]))
    ]
    hit = align_embeddings(*(embeddings(take, rng) for take in takes), AlignmentSettings(least_motion=1.0)).hits[0]
    truth = np.concatenate(
        [
            np.stack([40 + np.arange(30), 50 + np.arange(30)], axis=1),
            np.stack([95 + np.arange(30), 85 + np.arange(30)], axis=1),
        ]
    )
    found = dict(zip(hit.frames_a.tolist(), hit.frames_b.tolist(), strict=True))
    errors = [abs(found[a] - b) for a, b in truth.tolist() if a in found]
    assert len(errors) >= 50
    assert np.mean(np.array(errors) <= 2) > 0.9


@pytest.mark.parametrize("least", [-1.0, float("nan")])
def test_no_such_motion(least):
    with pytest.raises(ParameterError, match="least_motion"):
        AlignmentSettings(least_motion=least)
