"""Exports: every file read back by the library or program it is for."""

import dataclasses
import importlib.util
import json
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_alignments import make_alignment, make_hit, make_video
from videos import picture_number, render_video

from lactoolkit.errors import LacToolkitWarning, MissingDependencyError, ParameterError
from lactoolkit.report.bundle import REPORT_FILES, check_output, write_report
from lactoolkit.report.exports import EXPORT_FORMATS, check_exports, write_exports
from lactoolkit.report.exports.retimed_videos import blend
from lactoolkit.video.decoding import probe, read_frames
from lactoolkit.video.pictures import YuvPicture

DOCUMENT = Path(__file__).parents[2] / "docs" / "exports.md"
NTSC = Fraction(30000, 1001)


@pytest.fixture
def clips(tmp_path):
    render_video(tmp_path / "a.mp4", count=90, rate=30)
    render_video(tmp_path / "b.mp4", count=90, rate=30)
    return make_video(tmp_path / "a.mp4", 90, 30, 96, 64), make_video(tmp_path / "b.mp4", 90, 30, 96, 64)


@pytest.fixture
def write(tmp_path):
    """Writes one export and gives the folder."""

    def write_one(alignment, name):
        folder = tmp_path / "out"
        folder.mkdir()
        write_exports(alignment, [name], folder)
        assert sorted(path.name for path in folder.iterdir()) == sorted(EXPORT_FORMATS[name].files)
        return folder

    return write_one


def play(path):
    return np.concatenate([batch.images for batch in read_frames(path)])


# The list of formats


def test_every_writer_exists_and_every_file_name_is_its_own():
    files = [name for entry in EXPORT_FORMATS.values() for name in entry.files]
    assert len(set(files)) == len(files)
    for entry in EXPORT_FORMATS.values():
        if entry.writer:
            assert callable(pkgutil.resolve_name(entry.writer))
        else:
            assert set(entry.files) <= set(REPORT_FILES)


def test_the_table_in_the_documentation_is_the_list():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [
        (entry.name, ", ".join(f"`{name}`" for name in entry.files), entry.description)
        for entry in EXPORT_FORMATS.values()
    ]


def test_all_of_them_in_one_report(clips, tmp_path):
    alignment = make_alignment(*clips, range(10, 40), range(20, 50))
    write_report(alignment, tmp_path / "out", exports=list(EXPORT_FORMATS))
    expected = sorted(name for entry in EXPORT_FORMATS.values() for name in entry.files)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == expected
    assert all(path.stat().st_size for path in (tmp_path / "out").iterdir())
    write_report(alignment, tmp_path / "out", exports=["ffmpeg"], overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*REPORT_FILES, "ffmpeg.sh"])


def test_unknown_names_and_missing_packages_are_said_before_anything_is_written(tmp_path, monkeypatch):
    with pytest.raises(ParameterError, match="'avi' is unknown; choose from csv, json"):
        check_output(tmp_path / "out", exports=["csv", "avi"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, package in (("parquet", "pyarrow"), ("otio", "opentimelineio")):
        with pytest.raises(
            MissingDependencyError, match=rf"'{name}' needs the package {package}; .*lactoolkit\[export\]"
        ):
            check_output(tmp_path / "out", exports=[name])
    check_exports(["npz", "edl", "fcpxml"])


def test_without_a_match_what_needs_one_is_left_out(clips, tmp_path):
    with pytest.warns(LacToolkitWarning, match="nothing to write for overlay, warped, edl, otio, fcpxml, ffmpeg"):
        write_report(make_alignment(*clips, [], []), tmp_path / "out", exports=list(EXPORT_FORMATS))
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {*REPORT_FILES, "alignment.npz", "pairs.parquet", "similarity.svg", "side_by_side.gif"}
    assert len(pd.read_parquet(tmp_path / "out" / "pairs.parquet")) == 0
    with np.load(tmp_path / "out" / "alignment.npz") as arrays:
        assert arrays["frame_a"].shape == (0,)


# Tables and pictures


def test_npz(clips, write):
    alignment = make_alignment(*clips, range(10, 40), range(20, 50))
    with np.load(write(alignment, "npz") / "alignment.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["frame_a"], np.arange(10, 40))
        np.testing.assert_array_equal(arrays["frame_b"], np.arange(20, 50))
        np.testing.assert_array_equal(arrays["similarity_matrix"], alignment.similarity)
        np.testing.assert_array_equal(arrays["times_b"], alignment.b.times)
        assert arrays["reduction"].tolist() == [1, 1]
        assert (arrays["hit"] == 1).all()


def test_parquet(clips, write):
    alignment = make_alignment(*clips, range(10, 40), range(20, 50))
    table = pd.read_parquet(write(alignment, "parquet") / "pairs.parquet")
    pd.testing.assert_frame_equal(table, alignment.to_dataframe())


def test_svg_is_the_picture_with_its_colours(clips, write):
    root = ElementTree.parse(write(make_alignment(*clips, range(10, 40), range(20, 50)), "svg") / "similarity.svg")
    assert root.getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert root.findall(".//{http://www.w3.org/2000/svg}image")


def test_gif_plays_like_the_video(clips, tmp_path):
    write_report(make_alignment(*clips, range(10, 60), range(20, 70)), tmp_path / "out", exports=["gif"])
    video = play(tmp_path / "out" / "side_by_side.mp4")
    with Image.open(tmp_path / "out" / "side_by_side.gif") as image:
        assert (image.width, image.height) == (video.shape[2], video.shape[1])
        assert abs(image.n_frames - 12.5 * len(video) / 30) <= 1
        for number in (0, 5, 15):
            image.seek(number)
            assert image.info["duration"] == 80
            shown = np.asarray(image.convert("RGB")).astype(float)
            nearest = min(np.abs(shown - video[k]).mean() for k in range(round(2.4 * number), round(2.4 * number) + 3))
            assert nearest < 6


# Videos on A's clock


def test_warped_shows_b_as_fast_as_a(clips, write):
    # B twice as fast; then ten frames that A has alone; then ten frames that B has alone.
    rows = np.r_[0:10, 20:40]
    columns = np.r_[0:20:2, 19:29, 39:49]
    numbers = [
        picture_number(image) for image in play(write(make_alignment(*clips, rows, columns), "warped") / "warped.mp4")
    ]
    assert numbers == [*range(0, 20, 2), *[18] * 10, *range(19, 29), *range(39, 49)]


def test_warped_is_black_between_hits_and_starts_late_in_long_files(clips, write):
    alignment = make_alignment(*clips, range(40, 50), range(30, 40))
    later = make_hit(*clips, range(60, 70), range(70, 80), alignment.similarity)
    alignment = dataclasses.replace(alignment, hits=(alignment.hits[0], dataclasses.replace(later, score=5.0)))
    images = play(write(alignment, "warped") / "warped.mp4")
    assert [picture_number(image) for image in images[:10]] == list(range(30, 40))
    assert images[10:20].max() < 16
    assert [picture_number(image) for image in images[20:]] == list(range(70, 80))


def test_overlay_is_half_of_either(tmp_path, write):
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


# Edit lists


def test_edl_through_opentimelineio(clips, write):
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_cmx3600_adapter")
    # Equal speed, ten frames of A alone, B twice as fast.
    rows = np.r_[10:20, 30:50]
    columns = np.r_[20:30, 30:70:2]
    folder = write(make_alignment(*clips, rows, columns), "edl")
    a, b = (otio.adapters.read_from_file(str(folder / f"edit_{name}.edl"), rate=30) for name in "ab")
    (clip,) = a.find_clips()
    assert (clip.name, clip.source_range.start_time.value, clip.duration().value) == ("a.mp4", 10, 40)
    assert a.tracks[0].source_range.start_time.value == -108000 or a.global_start_time.value == 108000
    first, still, fast = b.find_clips()
    assert (first.source_range.start_time.value, first.duration().value, len(first.effects)) == (20, 9, 0)
    # B stands at its frame 29 for A's frames 19 to 28, and is at frame 30 with A.
    assert (still.source_range.start_time.value, still.duration().value) == (29, 10)
    assert isinstance(still.effects[0], otio.schema.FreezeFrame)
    assert (fast.source_range.start_time.value, fast.duration().value) == (29, 21)
    assert fast.effects[0].time_scalar == pytest.approx(2, abs=0.1)


def test_edl_counts_drop_frame_from_the_start_timecode(tmp_path, write):
    base = Fraction(1, 30000)
    for name, timecode in (("a.mov", "00:59:59;28"), ("b.mov", "10:00:00;00")):
        render_video(tmp_path / name, [1001 * k for k in range(8)], rate=NTSC, time_base=base, timecode=timecode)
    a, b = (make_video(tmp_path / name, 4000, float(NTSC)) for name in ("a.mov", "b.mov"))
    folder = write(make_alignment(a, b, range(4, 1804), range(0, 1800)), "edl")
    lines = (folder / "edit_a.edl").read_text().splitlines()
    assert lines[:2] == ["TITLE: a", "FCM: DROP FRAME"]
    # 00:59:59;28 and four frames is 01:00:00;02; 1800 frames later it is a minute later, and ;00 and ;01 do not exist.
    assert lines[2].split() == ["001", "AX", "V", "C", "01:00:00;02", "01:01:00;04", "01:00:00;00", "01:01:00;02"]
    assert lines[3] == "* FROM CLIP NAME: a.mov"
    lines = (folder / "edit_b.edl").read_text().splitlines()
    assert lines[2].split() == ["001", "AX", "V", "C", "10:00:00;00", "10:01:00;02", "01:00:00;00", "01:01:00;02"]


def test_edl_of_another_rate_says_so(tmp_path, write):
    render_video(tmp_path / "a.mov", count=8, rate=25, timecode="01:00:00:00")
    render_video(tmp_path / "b.mov", count=8, rate=50, timecode="02:00:00:10")
    a, b = make_video(tmp_path / "a.mov", 200, 25), make_video(tmp_path / "b.mov", 400, 50)
    folder = write(make_alignment(a, b, range(50, 150), range(100, 300, 2)), "edl")
    text = (folder / "edit_b.edl").read_text()
    assert "* SOURCE RATE 50.000 FPS, TIMECODES COUNT 25.000 FPS" in text
    # Ten frames of 50 are five of 25; two seconds in.
    assert "02:00:02:05 02:00:06:05 01:00:00:00 01:00:04:00" in text


def test_names_cannot_add_lines_to_an_edl(clips, write, tmp_path):
    path = tmp_path / "x\n002  AX.mp4"
    clips[0].path.rename(path)
    alignment = make_alignment(dataclasses.replace(clips[0], path=path), clips[1], range(9), range(9))
    text = (write(alignment, "edl") / "edit_a.edl").read_text()
    assert len(text.splitlines()) == 4
    assert "* FROM CLIP NAME: x 002  AX.mp4" in text


def test_otio_holds_b_where_the_path_has_it(tmp_path, write):
    otio = pytest.importorskip("opentimelineio")
    render_video(tmp_path / "a b.mov", count=8, rate=30, timecode="01:00:00:00")
    render_video(tmp_path / "b.mov", count=8, rate=25, timecode="00:00:10:00")
    a, b = make_video(tmp_path / "a b.mov", 300, 30), make_video(tmp_path / "b.mov", 300, 25)
    # 0.2 s of A beside 0.2 s of B, then A alone for two seconds, then B at twice the speed.
    rows = np.r_[np.arange(30, 90, 6), np.arange(150, 210, 3)]
    columns = np.r_[np.arange(50, 100, 5), np.arange(100, 200, 5)]
    timeline = otio.adapters.read_from_file(str(write(make_alignment(a, b, rows, columns), "otio") / "edit.otio"))
    track_a, track_b = timeline.tracks
    (clip,) = track_a
    assert clip.source_range.start_time == otio.opentime.RationalTime(108030, 30)
    assert clip.media_reference.target_url == (tmp_path / "a b.mov").as_uri()
    assert clip.media_reference.available_range.start_time.value == 108000
    assert track_a.duration().to_seconds() == track_b.duration().to_seconds() == pytest.approx(178 / 30)
    for row, column in zip(rows, columns, strict=True):
        moment = otio.opentime.RationalTime(row - 30 + 0.01, 30)
        child = track_b.child_at_time(moment)
        inside = (moment - track_b.range_of_child(child).start_time).to_seconds()
        speeds = [effect.time_scalar for effect in child.effects]
        shown = child.source_range.start_time.to_seconds() + inside * (speeds[0] if speeds else 1.0)
        assert shown - 10 == pytest.approx(column / 25, abs=0.14)
    assert any(isinstance(effect, otio.schema.FreezeFrame) for child in track_b for effect in child.effects)


# The parts of Apple's FCPXML 1.10 document type that are used: required attributes, all attributes, children in order.
FCPXML = {
    "fcpxml": ({"version"}, set(), r"(import-options )?(resources )?((library )?|(event )*|(project )*)"),
    "resources": (set(), set(), r"((asset|format|effect|media) )*"),
    "format": ({"id"}, {"name", "frameDuration", "fieldOrder", "width", "height", "paspH", "paspV", "colorSpace"}, ""),
    "asset": (
        {"id"},
        {"name", "uid", "start", "duration", "hasVideo", "format", "hasAudio", "videoSources", "audioSources"},
        r"(media-rep )+(metadata )?",
    ),
    "media-rep": ({"src"}, {"kind", "sig", "suggestedFilename"}, r"(bookmark )?"),
    "event": (set(), {"name", "uid"}, r"((asset-clip|clip|project|ref-clip) )*"),
    "project": (set(), {"name", "uid", "id", "modDate"}, r"sequence "),
    "sequence": (
        {"format"},
        {"duration", "tcStart", "tcFormat", "audioLayout", "audioRate"},
        r"(note )?spine (metadata )?",
    ),
    "spine": (set(), {"lane", "offset", "name", "format"}, r"((asset-clip|clip|gap|title|transition) )*"),
    "asset-clip": (
        {"ref"},
        {"lane", "offset", "name", "start", "duration", "enabled", "srcEnable", "format", "tcStart", "tcFormat"},
        r"(note )?(conform-rate )?(timeMap )?(asset-clip )*(marker )*",
    ),
    "conform-rate": (set(), {"scaleEnabled", "srcFrameRate", "frameSampling"}, ""),
    "timeMap": (set(), {"frameSampling", "preservesPitch"}, r"(timept )+"),
    "timept": ({"time", "value"}, {"interp", "inTime", "outTime"}, ""),
}


def seconds(text):
    return Fraction(re.fullmatch(r"(\d+(?:/\d+)?)s", text)[1])


def read_fcpxml(path):
    assert path.read_text(encoding="utf-8").startswith('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n')
    root = ElementTree.parse(path).getroot()
    identifiers = {element.get("id") for element in root.iter() if element.get("id")}
    for element in root.iter():
        required, optional, children = FCPXML[element.tag]
        assert required <= set(element.attrib) <= required | optional, element.tag
        assert re.fullmatch(children, "".join(f"{child.tag} " for child in element)), element.tag
        for reference in ("ref",) + (("format",) if element.tag in ("asset", "sequence") else ()):
            assert element.get(reference, None) in identifiers | {None}
    return root


def test_fcpxml_has_the_published_structure_and_the_right_times(tmp_path, write):
    base = Fraction(1, 30000)
    render_video(
        tmp_path / "a&b <1>.mov", [1001 * k for k in range(8)], rate=NTSC, time_base=base, timecode="01:00:00;00"
    )
    render_video(tmp_path / "b.mov", count=8, rate=25, timecode="00:00:10:00", audio=True)
    a, b = make_video(tmp_path / "a&b <1>.mov", 900, float(NTSC)), make_video(tmp_path / "b.mov", 900, 25)
    rows = np.r_[np.arange(30, 90, 6), np.arange(150, 210, 3)]
    columns = np.r_[np.arange(50, 100, 5), np.arange(100, 200, 5)]
    root = read_fcpxml(write(make_alignment(a, b, rows, columns), "fcpxml") / "edit.fcpxml")
    sequence = root.find("event/project/sequence")
    assert sequence.get("tcFormat") == "DF"
    main = sequence.find("spine/asset-clip")
    frame = Fraction(1001, 30000)
    assert seconds(main.get("start")) == (107892 + 30) * frame
    assert seconds(main.get("duration")) == seconds(sequence.get("duration")) == 178 * frame
    assert root.find("resources/format").get("frameDuration") == "1001/30000s"
    assert [rep.get("src") for rep in root.iter("media-rep")] == [video.path.as_uri() for video in (a, b)]
    assert [asset.get("hasAudio") for asset in root.iter("asset")] == [None, "1"]
    pieces = []
    for clip in main:
        offset, duration = seconds(clip.get("offset")) - seconds(main.get("start")), seconds(clip.get("duration"))
        assert (offset / frame).denominator == (duration / frame).denominator == 1  # on whole frames of the sequence
        points = [(seconds(point.get("time")), seconds(point.get("value"))) for point in clip.iter("timept")]
        start = seconds(clip.get("start"))
        pieces.append((offset, duration, points or [(start, start), (start + duration, start + duration)], start))
        assert clip.find("conform-rate").get("scaleEnabled") == "0"
    for row, column in zip(rows, columns, strict=True):
        moment = (row - 30) * frame
        offset, _, points, start = next(piece for piece in pieces if piece[0] <= moment < piece[0] + piece[1])
        shown = np.interp(
            float(moment - offset + start), *map(np.array, zip(*[map(float, p) for p in points], strict=True))
        )
        assert shown - 10 == pytest.approx(column / 25, abs=0.14)


def test_characters_that_xml_cannot_hold(clips, write, tmp_path):
    path = tmp_path / "a\x01\x1b.mp4"
    clips[0].path.rename(path)
    alignment = make_alignment(dataclasses.replace(clips[0], path=path), clips[1], range(9), range(9))
    root = read_fcpxml(write(alignment, "fcpxml") / "edit.fcpxml")
    assert root.find("resources/asset").get("name") == "a\ufffd\ufffd.mp4"


# ffmpeg


def commands(script):
    lines = [
        line for line in script.read_text(encoding="utf-8").splitlines() if line and not line.startswith(("#", "set"))
    ]
    return [shlex.split(line) for line in lines]


def test_ffmpeg_commands_name_start_and_length(clips, write):
    script = write(make_alignment(*clips, range(15, 45), range(30, 60)), "ffmpeg") / "ffmpeg.sh"
    assert os.access(script, os.X_OK)
    a, b = commands(script)
    assert a == [
        "ffmpeg",
        "-n",
        "-ss",
        "0.500000",
        "-i",
        str(clips[0].path),
        "-t",
        "1.000000",
        "-c",
        "copy",
        "matched_a.mp4",
    ]
    assert b == [
        "ffmpeg",
        "-n",
        "-ss",
        "1.000000",
        "-i",
        str(clips[1].path),
        "-t",
        "1.000000",
        "-c",
        "copy",
        "matched_b.mp4",
    ]
    text = script.read_text()
    assert "keyframe" in text
    assert "-itsoffset -0.500000" in text


def test_ffmpeg_cuts_what_matches(tmp_path, write):
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs the program ffmpeg")
    name = 'it\'s $(touch hacked) `x` "q"\ntouch hacked #.mp4'
    # Every frame is a keyframe, so the cut is exact; sound begins half a second before the picture.
    render_video(tmp_path / name, count=60, rate=30, gop=1, b_frames=0, first_tick=6000, audio=True)
    video = make_video(tmp_path / name, 60, 30, 96, 64)
    script = write(make_alignment(video, video, range(12, 40), range(20, 48)), "ffmpeg") / "ffmpeg.sh"
    cut = tmp_path / "cut"
    cut.mkdir()
    done = subprocess.run(["sh", script], cwd=cut, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in cut.iterdir()) == ["matched_a.mp4", "matched_b.mp4"]
    for letter, first in (("a", 12), ("b", 20)):
        numbers = [picture_number(image) for image in play(cut / f"matched_{letter}.mp4")]
        assert numbers == list(range(first, first + 28))


def test_several_hits_are_cut_one_by_one(clips, write):
    alignment = make_alignment(*clips, range(0, 20), range(0, 20))
    again = make_hit(*clips, range(0, 20), range(50, 70), alignment.similarity)
    script = write(dataclasses.replace(alignment, hits=(alignment.hits[0], again)), "ffmpeg") / "ffmpeg.sh"
    assert [command[-1] for command in commands(script)] == [
        "matched_a_1.mp4",
        "matched_b_1.mp4",
        "matched_a_2.mp4",
        "matched_b_2.mp4",
    ]


def test_alignment_json_is_not_changed_by_exports(clips, tmp_path):
    write_report(make_alignment(*clips, range(9), range(9)), tmp_path / "out", exports=["edl"])
    document = json.loads((tmp_path / "out" / "alignment.json").read_text(encoding="utf-8"))
    assert document["format"] == "lactoolkit-alignment"
