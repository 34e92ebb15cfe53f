"""Augmented copies of a video: the frames of the video itself, one draw per copy, nothing computed twice."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from videos import render_video, truncate

from lactoolkit.errors import ParameterError, VideoWarning
from lactoolkit.features import extraction
from lactoolkit.features.extraction import extract_features
from lactoolkit.features.views import extract_feature_views
from lactoolkit.models.encoders import load_encoder
from lactoolkit.models.registry import INPUT_SIZE
from lactoolkit.video.augmentation import AugmentationSettings
from lactoolkit.video.decoding import read_frames

COUNT = 11
UNCHANGED = AugmentationSettings(crop_area=(1.0, 1.0), crop_aspect=(1.0, 1.0), flip=0, jitter=0, blur=0, grey=0)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("lite0", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    render_video(path, count=COUNT, rate=10)
    return path


@pytest.fixture
def count_decodings(monkeypatch):
    calls = []
    read = extraction.paint_frames

    def counted(*arguments, **options):
        calls.append(arguments)
        return read(*arguments, **options)

    monkeypatch.setattr(extraction, "paint_frames", counted)
    return calls


def test_copies_that_are_not_changed_are_the_video(clip, encoder):
    plain = extract_features(clip, encoder)
    views = extract_feature_views(clip, encoder, views=2, augmentation=UNCHANGED)
    assert views.values.shape == (2, COUNT, plain.values.shape[1])
    assert views.values.dtype == np.float32
    for values in views.values:
        np.testing.assert_array_equal(values, plain.values)
    np.testing.assert_array_equal(views.frames, plain.frames)
    np.testing.assert_array_equal(views.times, plain.times)
    assert (views.tap_sizes, views.encoder, views.sha256) == (plain.tap_sizes, plain.encoder, plain.sha256)


def test_a_flipped_copy_is_the_flipped_video(clip, encoder):
    views = extract_feature_views(clip, encoder, views=1, augmentation=replace(UNCHANGED, flip=1.0))
    (batch,) = read_frames(clip, size=INPUT_SIZE)
    with torch.inference_mode():
        flipped = encoder(torch.from_numpy(batch.images[:, :, ::-1].copy())).numpy()
    np.testing.assert_allclose(views.values[0], flipped, rtol=2e-3, atol=2e-3)


def test_one_decoding_for_all_and_none_for_what_is_there(clip, encoder, count_decodings):
    two = extract_feature_views(clip, encoder, views=2, seed=3)
    assert len(count_decodings) == 1
    four = extract_feature_views(clip, encoder, views=4, seed=3)
    assert len(count_decodings) == 2
    np.testing.assert_array_equal(four.values[:2], two.values)
    again = extract_feature_views(clip, encoder, views=4, seed=3)
    assert len(count_decodings) == 2
    np.testing.assert_array_equal(again.values, four.values)
    fresh = extract_feature_views(clip, encoder, views=4, seed=3, cache=False)
    assert len(count_decodings) == 3
    np.testing.assert_allclose(fresh.values, four.values, rtol=1e-3, atol=1e-3)
    for values in four.values[1:]:
        assert np.abs(values - four.values[0]).max() > 0.1


def test_the_draw_follows_content_seed_and_settings(clip, encoder, tmp_path):
    first = extract_feature_views(clip, encoder, views=1)
    shutil.copy(clip, tmp_path / "renamed.mp4")
    np.testing.assert_array_equal(
        extract_feature_views(tmp_path / "renamed.mp4", encoder, views=1).values, first.values
    )
    for changed in ({"seed": 1}, {"augmentation": AugmentationSettings(jitter=0, grey=1.0)}, {"frame_rate": 5}):
        other = extract_feature_views(clip, encoder, views=1, **changed)
        assert other.values.shape != first.values.shape or np.abs(other.values - first.values).max() > 0.1


def test_damage_is_told_on_every_use(encoder, tmp_path):
    path = tmp_path / "cut.mkv"
    render_video(path, count=30, rate=10)
    truncate(path, 0.7)
    for _ in range(2):
        with pytest.warns(VideoWarning, match=r"cut\.mkv: truncated or damaged"):
            extract_feature_views(path, encoder, views=1)


def test_no_views_are_refused(clip, encoder):
    with pytest.raises(ParameterError, match="views must be at least 1, not 0"):
        extract_feature_views(clip, encoder, views=0)
