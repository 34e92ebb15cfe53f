"""Sound of a stretch: clicks at their times, silence where there is none, as many samples as asked for."""

import numpy as np
import pytest
from videos import render_video

from lactoolkit.video.sound import SOUND_RATE, read_sound


def heard(path, start, end):
    samples = np.concatenate(list(read_sound(path, start, end)), axis=1)
    assert samples.shape == (2, round((end - start) * SOUND_RATE))
    np.testing.assert_array_equal(samples[0], samples[1])
    times = np.flatnonzero(np.abs(samples[0]) > 0.15) / SOUND_RATE
    return times[np.diff(times, prepend=-1) > 0.05]


@pytest.mark.parametrize("first_tick", [0, 3000])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_clicks_at_their_times(name, first_tick, tmp_path):
    clicks = np.array([0.2, 0.9, 1.7])
    lead = first_tick / 12_000
    render_video(tmp_path / name, count=60, first_tick=first_tick, audio=True, clicks=clicks + lead)
    np.testing.assert_allclose(heard(tmp_path / name, 0, 2), clicks, atol=0.004)
    np.testing.assert_allclose(heard(tmp_path / name, 0.5, 1.5), clicks[1:2] - 0.5, atol=0.004)


def test_beyond_the_end_and_before_the_start_it_is_silent(tmp_path):
    render_video(tmp_path / "a.mp4", count=30, audio=True, clicks=[0.5])
    np.testing.assert_allclose(heard(tmp_path / "a.mp4", 0, 4.5), [0.5], atol=0.004)
    np.testing.assert_allclose(heard(tmp_path / "a.mp4", -1, 0.8), [1.5], atol=0.004)
    assert len(heard(tmp_path / "a.mp4", 3, 3.7)) == 0


def test_a_silent_video(tmp_path):
    render_video(tmp_path / "a.mp4", count=30)
    assert len(heard(tmp_path / "a.mp4", 0, 1)) == 0
