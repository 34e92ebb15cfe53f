"""Damaged files decode as far as they go; unusable ones say why and what to do."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from videos import (
    assert_reads_as,
    picture_numbers,
    read_all,
    render_audio,
    render_video,
    truncate,
)

from lactoolkit.errors import VideoError, VideoWarning
from lactoolkit.video.decoding import probe, read_frames


@pytest.mark.parametrize("keep", [0.99, 0.6])
def test_truncated_file_decodes_as_far_as_it_goes(tmp_path, keep):
    path = tmp_path / "cut.mp4"
    times = render_video(path, count=90, container_options={"movflags": "+faststart"})
    truncate(path, keep)
    with pytest.warns(
        VideoWarning, match=r"cut\.mp4: truncated or damaged .* of 90 frames .* up to 0:0\d\.\d+ of 0:03"
    ):
        frames, seconds, images = read_all(path)
    assert 20 < len(frames) < 90
    assert picture_numbers(images) == frames.tolist() == list(range(len(frames)))
    np.testing.assert_allclose(seconds, times[: len(frames)], atol=1e-9)


def test_truncated_matroska_warns_by_time(tmp_path):
    render_video(tmp_path / "a.mkv", count=90)
    truncate(tmp_path / "a.mkv", 0.5)
    with pytest.warns(VideoWarning, match=r"the last \d\.\d s are missing"):
        read_all(tmp_path / "a.mkv")


def test_stopping_early_does_not_warn(tmp_path):
    path = tmp_path / "a.mp4"
    render_video(path, count=90, container_options={"movflags": "+faststart"})
    truncate(path, 0.6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_all(path, end=0.5)[0]) == 15


def test_damaged_packets_are_skipped_with_a_warning(tmp_path):
    path = tmp_path / "a.avi"
    render_video(path, count=60, codec="png", pixel_format="rgb24", time_base=Fraction(1, 30))
    data = bytearray(path.read_bytes())
    picture = data.index(b"IHDR", len(data) // 2)
    data[picture : picture + 4] = b"XXXX"
    path.write_bytes(bytes(data))
    with pytest.warns(VideoWarning, match="1 packets are damaged"):
        images = read_all(path)[2]
    assert len(images) == 59


def test_timestamps_that_jump_back_stay_increasing(tmp_path):
    # Two recordings, the second beginning at zero again, as when files are joined byte by byte.
    for name in ("a.ts", "b.ts"):
        render_video(tmp_path / name, count=60, b_frames=0)
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VideoWarning)
        frames, times, images = read_all(joined)
    assert frames.tolist() == list(range(120))
    assert picture_numbers(images) == [*range(60), *range(60)]
    np.testing.assert_allclose(times, np.arange(120) / 30, atol=0.05)
    assert (np.diff(times) > 0).all()


# Errors: each names the file, says what is wrong and what to do.


def make_missing(folder):
    return folder / "none.mp4"


def make_folder(folder):
    return folder


def make_empty(folder):
    (folder / "a.mp4").write_bytes(b"")
    return folder / "a.mp4"


def make_text(folder):
    (folder / "a.mp4").write_text("Dear diary,\nnothing moved today.\n" * 20)
    return folder / "a.mp4"


def make_audio(folder):
    render_audio(folder / "a.mp4")
    return folder / "a.mp4"


def make_song_with_cover(folder):
    render_audio(folder / "a.mp4", cover=True)
    return folder / "a.mp4"


def make_without_index(folder):
    render_video(folder / "a.mp4")  # the index comes last
    truncate(folder / "a.mp4", 0.7)
    return folder / "a.mp4"


def make_cut_in_index(folder):
    render_video(folder / "a.mp4", container_options={"movflags": "+faststart"})
    (folder / "a.mp4").write_bytes((folder / "a.mp4").read_bytes()[:400])
    return folder / "a.mp4"


def make_noise(folder):
    (folder / "a.mp4").write_bytes(np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes())
    return folder / "a.mp4"


def make_undecodable(folder):
    render_video(folder / "a.mp4", count=20)
    data = bytearray((folder / "a.mp4").read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[begin:end] = bytes(end - begin)
    (folder / "a.mp4").write_bytes(bytes(data))
    return folder / "a.mp4"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_missing, "no such file; check the name"),
        (make_folder, "this is a folder; name a video file"),
        (make_empty, "the file is empty"),
        (make_text, "this is a text file, not a video"),
        (make_audio, "only sound, no video"),
        (make_song_with_cover, "only sound and a cover picture, no video"),
        (make_without_index, r"index \(moov atom\) is missing or cut.*copy it again"),
        (make_cut_in_index, r"index \(moov atom\) is missing or cut"),
        (make_noise, "not a video that FFmpeg can read"),
        (make_undecodable, "no frame can be decoded"),
    ],
)
def test_unusable_files_say_why_and_what_to_do(tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(VideoError, match=message) as caught:
        probe(path)
    assert str(path) in str(caught.value)
    with pytest.raises(VideoError, match=message):
        next(read_frames(path))


def test_names_with_spaces_colons_patterns_and_other_scripts(tmp_path):
    path = tmp_path / "naïve name 日本" / "http:take %03d [1].mp4"
    path.parent.mkdir()
    assert_reads_as(path, render_video(path, count=5))


def test_relative_name_with_a_colon_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    times = render_video(tmp_path / "http:x.mp4", count=5)
    assert_reads_as("http:x.mp4", times)
