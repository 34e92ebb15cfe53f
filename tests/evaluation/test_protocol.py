"""The protocol on made-up embeddings of which it is known how good they are."""

import itertools

import numpy as np
import pytest
from labelled_videos import embed_content, make_labelled, make_phases, make_set

from lactoolkit import align_embeddings
from lactoolkit.errors import ManifestError, ParameterError
from lactoolkit.evaluation import METRICS, evaluate_embeddings
from lactoolkit.evaluation.measures import align_by_embeddings
from lactoolkit.evaluation.videos import comparable, draw_pairs, position_embeddings


def collapsed(phases, rng):
    return np.tile(np.float32([1, 0]), (len(phases), 1))


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    sets = [
        (make_set(rng, 6, split="train", class_name=name), make_set(rng, 5, split="val", class_name=name))
        for name in ("pour", "stack")
    ]
    train, val = (list(itertools.chain(*parts)) for parts in zip(*sets, strict=True))
    flat = [[video.with_values(collapsed(video.phases, rng), "collapsed") for video in part] for part in (train, val)]
    return evaluate_embeddings({"content": (train, val), "collapsed": tuple(flat)}, seed=1)


def test_content_beats_what_knows_nothing_of_it(result):
    assert result.methods == ("content", "collapsed", "position only", "linear stretch", "chance")
    for view in ("same", "cross"):
        assert result.value("tau", view=view, frames="core") > 0.95
        assert result.value("ap_5", view=view) > 0.9
        assert result.value("phase_agreement", view=view) > 0.85
        assert result.value("phase_agreement_inside", view=view) > 0.95
        assert result.value("boundary_error", view=view) < 2
        assert result.value("core_iou", view=view) > 0.9
        for method in ("position only", "linear stretch"):
            assert result.value("boundary_error", view=view, method=method) > 3
            assert result.value("phase_agreement", view=view, method=method) < 0.75
    assert result.value("phase_accuracy_100", frames="core") > 0.9
    assert result.value("progression_r2", frames="core") > 0.8


def test_figures_do_not_depend_on_what_stands_beside_them(result):
    rng = np.random.default_rng(0)
    sets = [
        (make_set(rng, 6, split="train", class_name=name), make_set(rng, 5, split="val", class_name=name))
        for name in ("pour", "stack")
    ]
    train, val = (list(itertools.chain(*parts)) for parts in zip(*sets, strict=True))
    alone = evaluate_embeddings({"content": (train, val)}, seed=1, baselines=False)
    assert alone.methods == ("content",)
    beside = [one for one in result.figures if one.method == "content"]
    assert [(one.metric, one.value, one.low) for one in alone.figures if not np.isnan(one.low)] == [
        (one.metric, one.value, one.low) for one in beside if not np.isnan(one.low)
    ]


def test_position_has_a_perfect_tau_and_poor_retrieval(result):
    assert result.value("tau", view="same", frames="core", method="position only") > 0.99
    assert result.value("ap_5", view="same", method="position only") < result.value("ap_5", view="same") - 0.2


def test_nan_taus_count_as_zero_and_are_counted(result):
    for frames in ("core", "whole"):
        asked = {"view": "same", "frames": frames, "method": "collapsed"}
        assert result.value("tau", **asked) == 0
        assert np.isnan(result.value("tau_nan_dropped", **asked))
        # 2 classes, 2 views, 5 x 4 ordered pairs of episodes.
        assert result.value("tau_nan_pairs", **asked) == 2 * 2 * 20


def test_unrelated_frames_hurt_the_whole_and_not_the_core(result):
    asked = {"view": "same", "method": "position only"}
    assert result.value("ap_5", frames="core", **asked) > result.value("ap_5", frames="whole", **asked)
    assert result.value("core_iou", view="same", distractor="none", method="linear stretch") == 1
    assert result.value("core_iou", view="same", distractor="unrelated frames", method="linear stretch") < 0.8


def test_means_are_over_classes(result):
    for metric in ("ap_5", "boundary_error"):
        parts = [result.value(metric, view="cross", class_name=name) for name in ("pour", "stack")]
        assert result.value(metric, view="cross") == pytest.approx(np.mean(parts))
    chosen = [
        one for one in result.figures if one.method == "content" and one.metric == "ap_5" and one.class_name == "mean"
    ]
    assert all(one.low <= one.value <= one.high for one in chosen)
    assert {(one.units, one.groups) for one in chosen} == {(20, 10)}


def test_every_figure_is_of_a_known_metric_and_fits_the_table(result):
    table = result.to_dataframe()
    assert set(table["metric"]) == set(METRICS)
    assert len(table) == len(result.figures)
    document = result.to_document()
    assert document["classes"] == ["pour", "stack"]
    assert sum(one["count"][9] + sum(one["count"][:9]) for one in document["reliability"]) > 0


def test_confidences_of_good_alignments_are_mostly_right(result):
    for one in result.reliability:
        if one.method == "content":
            assert one.right.sum() / one.count.sum() > 0.9


def test_the_two_views_of_an_episode_are_never_compared():
    videos = make_set(np.random.default_rng(0), 4, split="val")
    for view in ("same", "cross"):
        pairs = draw_pairs(videos, view, 1000)
        # 4 episodes: 6 pairs of episodes, 2 of the same view each, 2 of different views.
        assert len(pairs) == 12
        for i, j in pairs:
            assert videos[i].record.episode != videos[j].record.episode
            assert (videos[i].record.view == videos[j].record.view) == (view == "same")
    assert not comparable(videos[0], videos[1], "cross")
    assert draw_pairs(videos, "same", 5, seed=3) == draw_pairs(videos, "same", 5, seed=3)
    assert len(set(draw_pairs(videos, "same", 5))) == 5


def test_without_views_unrelated_frames_or_training_videos():
    rng = np.random.default_rng(1)
    videos = make_set(rng, 4, split="", distractors=False, views=("",))
    result = evaluate_embeddings({"content": ([], videos)})
    assert {(one.view, one.frames, one.distractor) for one in result.figures} == {("all", "whole", "any")}
    assert np.isnan(result.value("phase_accuracy_100", frames="core"))
    assert result.value("ap_5") > 0.9
    assert result.settings["pairs"] == {"all": 6}


def test_position_embeddings_see_distance_in_relative_time_only():
    values = position_embeddings(50)
    cosine = values @ values.T
    for t in (0, 20, 49):
        order = np.argsort(-cosine[t], kind="stable")
        distance = np.abs(order - t)[:15]
        assert (np.diff(distance) >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, rtol=1e-6)


def test_a_class_with_one_video_is_left_out_with_a_note_or_refused():
    rng = np.random.default_rng(2)
    videos = make_set(rng, 3, split="val", class_name="pour", views=("",))
    alone = make_set(rng, 1, split="val", class_name="stir", views=("left", "right"))
    result = evaluate_embeddings({"content": ([], videos + alone)})
    assert result.classes == ("pour",)
    assert result.notes == ("class stir has 1 independent video to measure on and is left out",)
    with pytest.raises(ManifestError, match=r"nothing to compare: class stir has 1 independent video"):
        evaluate_embeddings({"content": ([], alone)})


def test_phases_that_no_training_video_has_are_noted():
    rng = np.random.default_rng(3)
    train = [make_labelled("a.mp4", phases, embed_content(phases, rng)) for phases in [make_phases((9, 9))]]
    val = [
        make_labelled(f"{k}.mp4", phases, embed_content(phases, rng))
        for k, phases in enumerate([make_phases((9, 9, 9))] * 3)
    ]
    result = evaluate_embeddings({"content": (train, val)})
    assert "0.mp4: phase place is in no training video and counts as wrong" in result.notes
    assert result.value("phase_accuracy_100", frames="core") <= 2 / 3


def test_pairs_are_aligned_as_align_embeddings_does():
    videos = make_set(np.random.default_rng(5), 2, split="", views=("",))
    path, confidence = align_by_embeddings()(*videos)
    hit = align_embeddings(*(video.embeddings for video in videos)).hits[0]
    np.testing.assert_array_equal(path, np.stack([hit.frames_a, hit.frames_b], axis=1))
    np.testing.assert_array_equal(confidence, hit.confidence)


def test_something_must_happen():
    phases = make_phases((1,), 10, 10)
    with pytest.raises(ParameterError, match=r"1 of the 21 frames analysed of a.mp4 belong to the process"):
        make_labelled("a.mp4", phases, np.ones((21, 4), np.float32))


def test_labels_must_reach_the_last_frame():
    phases = make_phases((9, 9))
    with pytest.raises(ParameterError, match=r"labels for 18 frames, but .*a.mp4 has at least 20"):
        make_labelled("a.mp4", phases, np.ones((20, 4), np.float32))


def test_differences_are_paired(result):
    """Both methods see the same draws: a collapse shows as surely as the worst draw allows, a copy not at all."""
    by_method = {
        one.method: one
        for one in result.figures
        if (one.class_name, one.metric, one.view, one.frames) == ("mean", "tau", "same", "core")
    }
    assert by_method["collapsed"].differs
    assert by_method["collapsed"].difference_low == pytest.approx(by_method["content"].low)
    assert not by_method["content"].differs
    rng = np.random.default_rng(4)
    videos = make_set(rng, 4, split="", views=("",))
    same = evaluate_embeddings({"one": ([], videos), "two": ([], videos)})
    twins = [one for one in same.figures if one.method == "two" and one.low == one.low]
    assert twins
    assert all(one.difference_low == one.difference_high == 0 for one in twins)
