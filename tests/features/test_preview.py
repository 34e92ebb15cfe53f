"""Previews show exactly the frames that were analysed, and reports are made from them alone."""

import dataclasses

import numpy as np
import pytest
from report_alignments import make_alignment, make_video
from videos import picture_number, render_video

from lactoolkit.features.cache import cache_size, find_file
from lactoolkit.features.extraction import extract_features
from lactoolkit.features.preview import PreviewWriter, preview_key, preview_size
from lactoolkit.report.side_by_side import write_side_by_side
from lactoolkit.video.decoding import probe, read_frames
from lactoolkit.video.pictures import YuvPicture


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def large_clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "large.mp4"
    render_video(path, count=8, rate=30, width=960, height=540)
    return path


def shown_numbers(path):
    return [picture_number(image) for batch in read_frames(path, size=(64, 96)) for image in batch.images]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1920, 1080), (360, 640)), ((1080, 1920), (640, 360)), ((640, 480), None), ((4000, 500), (170, 1360))],
)
def test_sizes(size, expected):
    assert preview_size(*size) == expected


def test_the_preview_holds_the_analysed_frames(large_clip):
    features = extract_features(large_clip, frame_rate=15, start=0.1, preview=True)
    assert shown_numbers(features.preview) == features.frames.tolist() == [4, 6]
    assert (probe(features.preview).height, probe(features.preview).width) == (360, 640)
    again = extract_features(large_clip, frame_rate=15, start=0.1, preview=True)
    assert again.preview == features.preview
    assert extract_features(large_clip, frame_rate=15, start=0.1).preview is None


def test_no_preview_of_small_videos_nor_without_a_cache(large_clip, tmp_path):
    render_video(tmp_path / "small.mp4", count=3)
    assert extract_features(tmp_path / "small.mp4", preview=True).preview is None
    size = cache_size()
    assert extract_features(large_clip, end=0.1, preview=True, cache=False).preview is None
    assert cache_size() == size


def test_a_damaged_preview_is_not_used(large_clip):
    features = extract_features(large_clip, end=0.1, preview=True)
    features.preview.write_bytes(features.preview.read_bytes()[:-100])
    assert extract_features(large_clip, end=0.1, preview=True).preview is None


def test_an_interrupted_preview_is_not_kept(cache_folder):
    key = preview_key("0" * 64, None, None, None)

    def interrupted():
        with PreviewWriter(key, (360, 640)) as writer:
            writer.add(YuvPicture.from_rgb(np.zeros((360, 640, 3), np.uint8)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert find_file(key, ".mp4") is None
    assert [path for path in cache_folder.rglob("*") if path.is_file()] == []


def test_a_cache_that_cannot_be_written_costs_the_preview_only(cache_folder):
    cache_folder.write_text("a file where the folder should be")
    with PreviewWriter(preview_key("0" * 64, None, None, None), (360, 640)) as writer:
        writer.add(YuvPicture.from_rgb(np.zeros((360, 640, 3), np.uint8)))
    assert writer.path is None


def test_reports_are_made_from_the_preview(large_clip, tmp_path):
    features = extract_features(large_clip, preview=True)
    a = make_video(tmp_path / "gone.mp4", 8, 30, 960, 540)
    a = dataclasses.replace(a, preview=features.preview)
    rows = np.arange(2, 7)
    write_side_by_side(make_alignment(a, a, rows, rows), tmp_path / "out.mp4")
    pictures = [batch.images for batch in read_frames(tmp_path / "out.mp4")]
    left = np.concatenate(pictures)[:, 26 : 26 + 360, 8 : 8 + 640]
    assert [picture_number(image) for image in left] == rows.tolist()


def test_a_preview_with_too_few_frames_to_play_is_passed_over(large_clip, tmp_path):
    features = extract_features(large_clip, frame_rate=10, preview=True)
    a = dataclasses.replace(make_video(large_clip, 8, 30, 960, 540), preview=features.preview)
    sparse = dataclasses.replace(a, frames=features.frames, times=features.times)
    write_side_by_side(make_alignment(sparse, sparse, [0, 1, 2], [0, 1, 2]), tmp_path / "out.mp4")
    pictures = np.concatenate([batch.images for batch in read_frames(tmp_path / "out.mp4")])
    left = pictures[:, 26 : 26 + 360, 8 : 8 + 640]
    assert [picture_number(image) for image in left] == list(range(7))
