"""Time augmentation: what must hold of every draw, and of many together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lactoolkit.errors import ParameterError
from lactoolkit.video.clips import ClipSettings, sample_views

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=6)
clip_settings = st.builds(
    ClipSettings,
    frames=st.integers(1, 70),
    window=st.sampled_from([1.0, 1.5, 3.0, float("inf")]),
    overlap=st.sampled_from([0.01, 0.2, 1.0]),
    spacing=st.sampled_from(["random", "even"]),
)


@settings(max_examples=150, deadline=None)
@given(lengths, clip_settings, st.integers(0, 2**32))
def test_every_draw(counts, chosen, seed):
    views = sample_views(counts, np.random.default_rng(seed), chosen)
    for rows, mask in ((views.u, views.mask_u), (views.v, views.mask_v)):
        assert rows.shape == mask.shape == (len(counts), chosen.frames)
        for count, row, real in zip(counts, rows, mask, strict=True):
            shown = row[real]
            assert len(shown) == min(count, chosen.frames)
            assert real[: len(shown)].all()
            assert shown[0] >= 0
            assert shown[-1] < count
            assert (np.diff(shown) > 0).all()
            assert (row[~real] == shown[-1]).all()
            assert shown[-1] - shown[0] < max(chosen.window * chosen.frames, 1)
    again = sample_views(counts, np.random.default_rng(seed), chosen)
    assert all(np.array_equal(getattr(views, name), getattr(again, name)) for name in ("u", "v", "mask_u", "mask_v"))


@pytest.mark.parametrize("overlap", [0.2, 0.8, 1.0])
def test_windows_overlap_by_the_fraction_asked_for(overlap):
    # With a window of exactly the clip every frame of it is drawn, so that the overlap can be counted.
    chosen = ClipSettings(frames=50, window=1.0, overlap=overlap)
    views = sample_views([1000] * 2000, np.random.default_rng(1), chosen)
    shared = np.minimum(views.u[:, -1], views.v[:, -1]) - np.maximum(views.u[:, 0], views.v[:, 0]) + 1
    assert (np.ptp(views.u, axis=1) == 49).all()
    assert shared.min() == round(50 * overlap)
    assert shared.max() == 50
    # The second lies as often before the first as after it.
    assert abs(np.sign(views.v[:, 0] - views.u[:, 0]).mean()) < 0.08


@pytest.mark.parametrize("spacing", ["random", "even"])
def test_frames_are_drawn_as_often_as_the_windows_say(spacing):
    frames, count, draws = 12, 30, 20_000
    chosen = ClipSettings(frames, window=2.5, spacing=spacing)
    views = sample_views([count] * draws, np.random.default_rng(4), chosen)
    rate = np.bincount(views.u.ravel(), minlength=count) / draws
    # Enumerated: window sizes 12 to 30 are equally likely, their middle is uniform over the video, those that reach
    # beyond an end are moved inside, and each frame of a window of w frames is drawn with the chance 12 / w.
    expected = np.zeros(count)
    for size in range(frames, count + 1):
        for start in range(-size, count):
            middle = start + size / 2
            chance = max(0.0, min(middle + 0.5, count) - max(middle - 0.5, 0)) / count
            inside = min(max(start, 0), count - size)
            expected[inside : inside + size] += chance / (count - frames + 1) * frames / size
    assert expected.sum() == pytest.approx(frames)
    assert np.abs(rate - expected).max() < 5 * np.sqrt(0.25 / draws)


def test_no_frame_of_a_long_video_is_rare():
    draws = 40_000
    views = sample_views([400] * draws, np.random.default_rng(6), ClipSettings(frames=32))
    expected = 32 / 400
    rate = np.bincount(views.u.ravel(), minlength=400) / draws / expected
    spread = 5 / np.sqrt(draws * expected)
    assert np.abs(rate[80:320] - 1).max() < spread  # far from the ends: uniform
    assert rate.min() > 0.5 - spread
    assert rate.max() < 1.5 + spread


def test_even_spacing_is_even():
    views = sample_views([300] * 200, np.random.default_rng(7), ClipSettings(frames=20, window=3.0, spacing="even"))
    steps = np.diff(views.u, axis=1)
    assert (np.ptp(steps, axis=1) <= 1).all()
    assert steps.max() == 3


def test_an_empty_batch_and_wrong_arguments():
    assert sample_views(np.zeros(0, dtype=int), np.random.default_rng(0)).u.shape == (0, 64)
    for lengths in ([0], [2.5], [[3]], ["a"]):
        with pytest.raises(ParameterError, match="lengths must be"):
            sample_views(lengths, np.random.default_rng(0))
    for wrong in ({"frames": 0}, {"window": 0.5}, {"window": float("nan")}, {"overlap": 0}, {"spacing": "odd"}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            ClipSettings(**wrong)
