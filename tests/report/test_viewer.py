"""viewer.html as a file: what it holds and what it refers to. What it does in a browser is tested there."""

import base64
import dataclasses
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_alignments import make_alignment, make_video
from videos import render_video

from lactoolkit.errors import ParameterError, VideoError
from lactoolkit.report.bundle import REPORT_FILES, write_report
from lactoolkit.report.viewer import sources
from lactoolkit.report.viewer.page import script_json, write_viewer
from lactoolkit.video.decoding import probe
from lactoolkit.video.intervals import NamedInterval
from lactoolkit.video.labels import phase_labels


def page_data(page):
    """What the page shows of its only pair, and where its videos are."""
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    (view,) = data["views"]
    for video in view["videos"]:
        video |= data["media"][video["media"]]
    return view


@pytest.fixture
def alignment(tmp_path):
    render_video(tmp_path / "a.mp4", count=40)
    video = make_video(tmp_path / "a.mp4", 40, 30, 96, 64)
    return make_alignment(video, video, range(30), range(5, 35))


def test_the_report_holds_the_page_on_request(alignment, tmp_path):
    write_report(alignment, tmp_path / "out", html=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*REPORT_FILES, "viewer.html"])
    data = page_data((tmp_path / "out" / "viewer.html").read_text(encoding="utf-8"))
    assert [video["url"] for video in data["videos"]] == ["../a.mp4", "../a.mp4"]
    np.testing.assert_allclose(data["hits"][0]["a"], np.arange(30) / 30, atol=1e-6)
    np.testing.assert_allclose(data["hits"][0]["b"], np.arange(5, 35) / 30, atol=1e-6)
    # A later report without the page takes the place of this one, page included.
    write_report(alignment, tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(REPORT_FILES)


def test_videos_of_one_name_are_told_apart_by_their_folders(tmp_path):
    videos = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        render_video(tmp_path / folder / "a.mp4", count=10)
        videos.append(make_video(tmp_path / folder / "a.mp4", 10, 30, 96, 64))
    write_viewer(make_alignment(*videos, range(9), range(9)), tmp_path)
    view = page_data((tmp_path / "viewer.html").read_text(encoding="utf-8"))
    assert [video["name"] for video in view["videos"]] == ["one/a.mp4", "two/a.mp4"]
    assert view["title"] == "one/a.mp4 and two/a.mp4"


def test_nothing_is_loaded_from_anywhere(alignment, tmp_path):
    write_viewer(alignment, tmp_path)
    page = (tmp_path / "viewer.html").read_text(encoding="utf-8")
    assert not re.findall(r"https?://", page)
    assert "default-src &#x27;none&#x27;" in page
    assert not re.findall(r"\{\{\w+\}\}", page)


@pytest.mark.parametrize("name", ["a b#?%41.mp4", "Übung: Ж'\"<&>.mp4", os.fsdecode(b"latin-1 \xfc.mp4")])
def test_any_file_name_survives_as_a_relative_path(name, alignment, tmp_path):
    path = tmp_path / "in put" / name
    path.parent.mkdir()
    (tmp_path / "a.mp4").rename(path)
    video = dataclasses.replace(alignment.a, path=path)
    (tmp_path / "out").mkdir()
    write_viewer(dataclasses.replace(alignment, a=video, b=video), tmp_path / "out")
    url = page_data((tmp_path / "out" / "viewer.html").read_text(encoding="utf-8"))["videos"][0]["url"]
    assert re.fullmatch(r"[\w.~/%-]+", url, re.ASCII)
    assert unquote_to_bytes(url) == b"../in put/" + os.fsencode(name)


def test_a_relative_input_is_found_from_the_folder(alignment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video = dataclasses.replace(alignment.a, path=Path("a.mp4"))
    write_report(dataclasses.replace(alignment, a=video, b=video), "deep/er/out", html=True)
    page = (tmp_path / "deep" / "er" / "out" / "viewer.html").read_text(encoding="utf-8")
    assert page_data(page)["videos"][0]["url"] == "../../../a.mp4"


@given(st.text() | st.lists(st.text()))
def test_data_cannot_end_its_script_element(value):
    text = script_json({"value": value})
    assert json.loads(text) == {"value": value}
    assert not set("<>&") & set(text)
    assert text.isascii()


def test_long_videos_keep_the_page_small(tmp_path):
    render_video(tmp_path / "a.mp4", count=3)
    video = make_video(tmp_path / "a.mp4", 3000, 2, 96, 64)
    write_viewer(make_alignment(video, video, range(3000), range(3000)), tmp_path)
    page = (tmp_path / "viewer.html").read_text(encoding="utf-8")
    data = page_data(page)
    assert data["matrix"]["extent_a"] == pytest.approx([-0.25, 1499.75], abs=0.01)
    assert len(data["matrix"]["picture"]) < 600_000
    assert len(page) < 1_000_000


def test_too_long_to_be_embedded_is_said_with_a_remedy(alignment, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_LARGEST_EMBEDDED", 100)
    monkeypatch.setattr(sources, "_LARGEST_PAGE", 100)
    with pytest.raises(ParameterError, match=r"a\.mp4: too long to be embedded.*--embed"):
        write_report(alignment, tmp_path / "out", html=True, embed=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_a_large_video_is_embedded_as_a_smaller_copy(alignment, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_LARGEST_EMBEDDED", 100)
    monkeypatch.setattr(sources, "_EMBEDDED_COPY_PIXELS", 48 * 32)
    write_viewer(alignment, tmp_path, embed=True)
    data = page_data((tmp_path / "viewer.html").read_text(encoding="utf-8"))
    (tmp_path / "copy.mp4").write_bytes(base64.b64decode(data["videos"][0]["data"]))
    info = probe(tmp_path / "copy.mp4")
    assert (info.width, info.height, info.frame_count) == (48, 32, 40)


def test_labels_of_frames_become_stretches_of_time(alignment, tmp_path):
    phases = [-1] * 3 + [0] * 10 + [1] * 5 + [-1] * 2 + [1] * 20
    labels = (phase_labels(phases, ["reach", "lift"]), [NamedInterval("click", 0.5), NamedInterval("all", 0.0, 2.0)])
    write_report(alignment, tmp_path / "out", html=True, labels=labels)
    a, b = page_data((tmp_path / "out" / "viewer.html").read_text(encoding="utf-8"))["videos"]
    expected = [("reach", 3, 13), ("lift", 13, 18), ("lift", 20, 40)]
    assert [name for _, _, name in a["labels"]] == [name for name, _, _ in expected]
    times = [[start, end] for start, end, _ in a["labels"]]
    np.testing.assert_allclose(times, [[start / 30, end / 30] for _, start, end in expected], atol=1e-6)
    assert b["labels"] == [[0.0, 2.0, "all"], [0.5, None, "click"]]


def test_a_video_that_is_gone_is_named(alignment, tmp_path):
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(VideoError, match=r"a\.mp4: no such file"):
        write_viewer(alignment, tmp_path)
