"""Edit lists, read back by OpenTimelineIO."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from report_alignments import make_alignment, make_video
from videos import render_video

NTSC = Fraction(30000, 1001)


def test_edl_through_opentimelineio(pair, write):
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_cmx3600_adapter")
    # Equal speed, ten frames of A alone, B twice as fast.
    rows = np.r_[10:20, 30:50]
    columns = np.r_[20:30, 30:70:2]
    folder = write(make_alignment(*pair, rows, columns), "edl")
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
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_cmx3600_adapter")
    (clip,) = otio.adapters.read_from_file(str(folder / "edit_b.edl"), rate=25).find_clips()
    assert clip.source_range.start_time.to_timecode() == "02:00:02:05"
    # Ten frames of 50 are five of 25; two seconds in.
    assert "02:00:02:05 02:00:06:05 01:00:00:00 01:00:04:00" in text


def test_names_cannot_add_lines_to_an_edl(pair, write, tmp_path):
    path = tmp_path / "x\n002  AX.mp4"
    pair[0].path.rename(path)
    alignment = make_alignment(dataclasses.replace(pair[0], path=path), pair[1], range(9), range(9))
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


def test_edl_at_every_rate_through_opentimelineio(clock, write):
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_cmx3600_adapter")
    rate, timecode, origin, alignment = clock
    folder = write(alignment, "edl")
    a, b = (otio.adapters.read_from_file(str(folder / f"edit_{name}.edl"), rate=float(rate)) for name in "ab")
    assert f"FCM: {'DROP' if ';' in timecode else 'NON-DROP'} FRAME" in (folder / "edit_a.edl").read_text()
    (clip,) = a.find_clips()
    assert (clip.source_range.start_time.value - origin, clip.duration().value) == (10, 430)
    first, still, fast = b.find_clips()
    assert [one.source_range.start_time.value - origin for one in (first, still, fast)] == [30, 219, 219]
    assert [one.duration().value for one in (first, still, fast)] == [189, 40, 201]
    assert isinstance(still.effects[0], otio.schema.FreezeFrame)
    # The format has room for a tenth of a frame per second.
    assert fast.effects[0].time_scalar == pytest.approx(401 / 201, abs=0.06 / float(rate) + 0.01)
