"""Several hits, their roles and their chain, on embeddings whose common stretches are known by construction."""

import dataclasses

import numpy as np
import pytest
from synthetic_embeddings import RATE, embeddings, smooth_frames

from lactoolkit import align_embeddings
from lactoolkit.alignment.chaining import colinear_chain, hit_roles
from lactoolkit.alignment.result import GapRun, Hit
from lactoolkit.errors import ParameterError


def overlap(found, expected):
    common = max(0, min(found[-1], expected[1] - 1) - max(found[0], expected[0]) + 1)
    return common / (max(found[-1] + 1, expected[1]) - min(found[0], expected[0]))


def test_one_process_is_found_in_each_of_its_repetitions():
    rng = np.random.default_rng(0)
    process = smooth_frames(rng, 40)
    other = [smooth_frames(rng, count) for count in (25, 30, 20, 25)]
    b = embeddings(np.concatenate([other[0], process, other[1], process, other[2], process, other[3]]), rng)
    result = align_embeddings(embeddings(process, rng), b, hits=3)
    assert len(result.hits) == 3
    for hit, start in zip(sorted(result.hits, key=lambda hit: hit.columns[0]), (25, 95, 155), strict=True):
        assert overlap(hit.columns, (start, start + 40)) > 0.9
        assert overlap(hit.rows, (0, 40)) > 0.9
        # Its rivals take nothing from the confidence of a hit.
        assert hit.mean_confidence > 0.6
    assert result.roles == ("chain", "repetition", "repetition")
    assert len(result.chain) == 1


def test_parts_in_another_order_are_found_and_marked():
    rng = np.random.default_rng(1)
    first, second, third = (smooth_frames(rng, count) for count in (50, 30, 40))
    a = embeddings(np.concatenate([first, second, third]), rng)
    b = embeddings(np.concatenate([third, smooth_frames(rng, 15), first, second]), rng)
    result = align_embeddings(a, b, hits=2)
    assert [overlap(hit.rows, span) > 0.9 for hit, span in zip(result.hits, ((0, 80), (80, 120)), strict=True)]
    assert overlap(result.hits[0].columns, (55, 135)) > 0.9
    assert overlap(result.hits[1].columns, (0, 40)) > 0.9
    assert result.roles == ("chain", "reordered")
    assert result.to_dataframe()["hit"].value_counts().to_dict() == {
        1: len(result.hits[0]),
        2: len(result.hits[1]),
    }


def test_hits_never_share_frames_of_both_videos():
    rng = np.random.default_rng(2)
    cycle = smooth_frames(rng, 25)
    a, b = (embeddings(np.concatenate([cycle] * count), rng) for count in (2, 4))
    pairs = [set(zip(hit.rows, hit.columns, strict=True)) for hit in align_embeddings(a, b, hits=6).hits]
    assert len(pairs) > 1
    assert sum(map(len, pairs)) == len(set().union(*pairs))


def test_hits_must_be_positive():
    rng = np.random.default_rng(3)
    video = embeddings(smooth_frames(rng, 10))
    with pytest.raises(ParameterError, match="count is 0"):
        align_embeddings(video, video, hits=0)


def stretch(rows, columns, score=1.0):
    rows, columns = np.arange(*rows), np.arange(*columns)
    nothing = np.zeros(len(rows), np.float32)
    return Hit(rows, columns, rows, columns, rows / RATE, columns / RATE, nothing, nothing, score, 0.01, 0.01)


def test_the_chain_is_the_best_consistent_set():
    hits = [
        stretch((0, 10), (50, 60), 5),  # crosses the next two
        stretch((10, 20), (0, 10), 3),
        stretch((30, 40), (20, 30), 3),
        stretch((31, 41), (70, 80), 2),  # the same frames of A once more
    ]
    assert colinear_chain(hits) == (0, 3)  # 5 + 2 beats 3 + 3
    assert colinear_chain([hits[0], hits[1], hits[2]]) == (1, 2)
    assert hit_roles([hits[0], hits[1], hits[2]]) == ("reordered", "chain", "chain")
    assert hit_roles(hits) == ("chain", "reordered", "repetition", "chain")
    assert colinear_chain([]) == ()


def test_speed_ratio_is_the_local_pace():
    hit = stretch((0, 60), (0, 60))
    # B takes twice as long as A in the first half, half as long in the second.
    times_b = np.concatenate([np.arange(30) * 2, 58 + np.arange(1, 31) / 2]) / RATE
    ratio = dataclasses.replace(hit, times_b=times_b).speed_ratio
    np.testing.assert_allclose(ratio[:20], 2, rtol=1e-6)
    np.testing.assert_allclose(ratio[-14:], 0.5, rtol=1e-6)
    assert ((ratio[20:45] > 0.5 - 1e-6) & (ratio[20:45] < 2 + 1e-6)).all()
    swapped = dataclasses.replace(hit, times_a=times_b, times_b=hit.times_a).speed_ratio
    np.testing.assert_allclose(swapped, 1 / ratio, rtol=1e-9)


def test_a_single_pair_has_no_speed_ratio():
    assert np.isnan(stretch((3, 4), (5, 6)).speed_ratio).all()


def test_gaps_are_named_for_what_they_say_about_a():
    assert [GapRun(video, 1, 2, 0.1, 0.2).meaning for video in "ab"] == ["extra in A", "skipped in A"]
