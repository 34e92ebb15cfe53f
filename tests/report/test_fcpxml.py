"""FCPXML: structure and times."""

import dataclasses
import re
from fractions import Fraction
from xml.etree import ElementTree

import numpy as np
import pytest
from report_alignments import make_alignment, make_video
from videos import render_video

NTSC = Fraction(30000, 1001)


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


def test_characters_that_xml_cannot_hold(pair, write, tmp_path):
    path = tmp_path / "a\x01\x1b.mp4"
    pair[0].path.rename(path)
    alignment = make_alignment(dataclasses.replace(pair[0], path=path), pair[1], range(9), range(9))
    root = read_fcpxml(write(alignment, "fcpxml") / "edit.fcpxml")
    assert root.find("resources/asset").get("name") == "a\ufffd\ufffd.mp4"


def test_fcpxml_at_every_rate_through_opentimelineio(clock, write):
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_fcpx_xml_adapter")
    rate, timecode, origin, alignment = clock
    path = write(alignment, "fcpxml") / "edit.fcpxml"
    assert read_fcpxml(path).find("event/project/sequence").get("tcFormat") == ("DF" if ";" in timecode else "NDF")
    (timeline,) = otio.adapters.read_from_file(str(path))
    track_a, track_b = timeline.video_tracks()
    clips = [*track_a.find_clips(), *track_b.find_clips()]
    starts = [clip.source_range.start_time.to_seconds() for clip in clips]
    # That reader counts whole frames per second, rounded down.
    frame = 1 / int(rate) + 1e-6
    np.testing.assert_allclose(starts, [(origin + k) / float(rate) for k in (10, 30, 219, 219)], atol=frame)
    lengths = [clip.duration().to_seconds() for clip in clips]
    np.testing.assert_allclose(lengths, [k / float(rate) for k in (430, 189, 40, 201)], atol=frame)
    if rate.denominator == 1:  # places on the track it sums up of clips that it has rounded
        places = [clip.range_in_parent().start_time.to_seconds() for clip in track_b.find_clips()]
        np.testing.assert_allclose(places, [k / float(rate) for k in (0, 189, 229)], atol=frame)
