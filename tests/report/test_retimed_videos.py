"""Videos on A's clock: which frame is shown when, and what is heard."""

import dataclasses

import av
import numpy as np
import pytest
from report_alignments import make_alignment, make_hit, make_video
from videos import picture_number, render_video

from lactoolkit.errors import LacToolkitWarning
from lactoolkit.report.exports.retimed_videos import blend
from lactoolkit.video.decoding import probe
from lactoolkit.video.pictures import YuvPicture


def test_warped_shows_b_as_fast_as_a(pair, write, play):
    # B twice as fast; then ten frames that A has alone; then ten frames that B has alone.
    rows = np.r_[0:10, 20:40]
    columns = np.r_[0:20:2, 19:29, 39:49]
    numbers = [
        picture_number(image) for image in play(write(make_alignment(*pair, rows, columns), "warped") / "warped.mp4")
    ]
    assert numbers == [*range(0, 20, 2), *[18] * 10, *range(19, 29), *range(39, 49)]


def test_warped_is_black_between_hits_and_starts_late_in_long_files(pair, write, play):
    alignment = make_alignment(*pair, range(40, 50), range(30, 40))
    later = make_hit(*pair, range(60, 70), range(70, 80), alignment.similarity)
    alignment = dataclasses.replace(alignment, hits=(alignment.hits[0], dataclasses.replace(later, score=5.0)))
    images = play(write(alignment, "warped") / "warped.mp4")
    assert [picture_number(image) for image in images[:10]] == list(range(30, 40))
    assert images[10:20].max() < 16
    assert [picture_number(image) for image in images[20:]] == list(range(70, 80))


def test_overlay_is_half_of_either(tmp_path, write, play):
    def grey(level):
        return lambda number, height, width: np.full((height, width, 3), level, dtype=np.uint8)

    render_video(tmp_path / "a.mp4", count=20, width=96, height=64, picture=grey(200))
    render_video(tmp_path / "b.mp4", count=20, width=48, height=64, picture=grey(40))
    a, b = make_video(tmp_path / "a.mp4", 20, 30, 96, 64), make_video(tmp_path / "b.mp4", 20, 30, 48, 64)
    folder = write(make_alignment(a, b, range(2, 18), range(2, 18)), "overlay")
    images = play(folder / "overlay.mp4")
    assert images.shape == (16, 64, 96, 3)
    # B, half as wide, lies over the middle.
    assert images[:, 4:-4, 28:68].mean() == pytest.approx(120, abs=3)
    assert images[:, 4:-4, :20].mean() == pytest.approx(200, abs=3)
    assert images[:, 4:-4, 76:].mean() == pytest.approx(200, abs=3)
    info = probe(folder / "overlay.mp4")
    assert (info.codec, info.pixel_format, info.frame_rate) == ("h264", "yuv420p", 30)


def test_blending_keeps_its_arguments():
    ground = YuvPicture.from_rgb(np.full((8, 8, 3), 255, dtype=np.uint8))
    ghost = YuvPicture.from_rgb(np.zeros((4, 8, 3), dtype=np.uint8))
    before = ground.y.copy()
    result = blend(ground, ghost)
    np.testing.assert_array_equal(ground.y, before)
    assert result.y[0, 0] == 235
    assert result.y[4, 4] == (235 + 16 + 1) // 2


def clicks_in(path):
    """When clicks begin in a file with sound, in seconds after its first picture; silence elsewhere."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        begin = float(first.pts * first.time_base)
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", 16_000)
        pieces = [(p.time, p.to_ndarray()[0]) for f in container.decode(audio=0) for p in resampler.resample(f)]
    times = np.concatenate([time - begin + np.arange(len(piece)) / 16_000 for time, piece in pieces])
    loud = times[np.abs(np.concatenate([piece for _, piece in pieces])) > 0.15]
    return loud[np.r_[True, np.diff(loud) > 0.05]], times


@pytest.mark.parametrize("first_tick", [0, 6000], ids=["sound with the picture", "sound half a second earlier"])
@pytest.mark.parametrize("name", ["warped", "overlay"])
def test_clicks_of_a_are_heard_when_a_has_them(name, first_tick, tmp_path, write):
    lead = first_tick / 12_000
    clicks = np.array([0.1, 0.55, 1.0, 1.4, 1.95, 2.7])  # seconds of the video
    render_video(tmp_path / "a.mp4", count=90, first_tick=first_tick, audio=True, clicks=clicks + lead)
    render_video(tmp_path / "b.mp4", count=90)
    a, b = (make_video(tmp_path / f"{letter}.mp4", 90, 30, 96, 64) for letter in "ab")
    # B is twice as fast, then left alone; A goes from its frame 15 to its frame 74.
    alignment = make_alignment(a, b, np.r_[15:45, 60:75], np.r_[0:60:2, 60:75])
    heard, times = clicks_in(write(alignment, name, sound=True) / f"{name}.mp4")
    np.testing.assert_allclose(heard, clicks[1:5] - 15 / 30, atol=0.004)
    assert times[-1] == pytest.approx(60 / 30, abs=0.025)


def test_without_sound_of_a_that_is_said(pair, write):
    with pytest.warns(LacToolkitWarning, match=r"a\.mp4: has no sound"):
        folder = write(make_alignment(*pair, range(9), range(9)), "warped", sound=True)
    with av.open(str(folder / "warped.mp4")) as container:
        assert not container.streams.audio


def test_videos_are_silent_unless_sound_is_wanted(tmp_path, write):
    render_video(tmp_path / "a.mp4", count=30, audio=True, clicks=[0.5])
    video = make_video(tmp_path / "a.mp4", 30, 30, 96, 64)
    folder = write(make_alignment(video, video, range(30), range(30)), "overlay")
    with av.open(str(folder / "overlay.mp4")) as container:
        assert not container.streams.audio
