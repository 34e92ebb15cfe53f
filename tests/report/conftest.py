"""Fixtures of the exports: two clips, and one export alone in a folder."""

from fractions import Fraction

import numpy as np
import pytest
from report_alignments import make_alignment, make_video
from videos import render_video

from lactoolkit.report.exports import EXPORT_FORMATS, Export, write_exports
from lactoolkit.video.decoding import read_frames

# Frame rates, and timecodes of the first frame, a semicolon for drop-frame.
CLOCKS = [
    ("24000/1001", "01:00:00:00"),
    ("24", "00:00:10:00"),
    ("25", "10:00:00:00"),
    ("30000/1001", "00:59:59;20"),
    ("30000/1001", "01:00:00:00"),
    ("50", "01:00:00:00"),
    ("60000/1001", "00:59:59;50"),
    ("60000/1001", "01:00:00:00"),
]


@pytest.fixture
def pair(tmp_path):
    """Two clips of 90 numbered frames."""
    render_video(tmp_path / "a.mp4", count=90, rate=30)
    render_video(tmp_path / "b.mp4", count=90, rate=30)
    return make_video(tmp_path / "a.mp4", 90, 30, 96, 64), make_video(tmp_path / "b.mp4", 90, 30, 96, 64)


@pytest.fixture
def write(tmp_path):
    """Writes one export and gives the folder."""

    def write_one(alignment, name, *, sound=False):
        folder = tmp_path / "out"
        folder.mkdir()
        write_exports(Export(alignment, folder, sound=sound), [name])
        assert sorted(path.name for path in folder.iterdir()) == sorted(EXPORT_FORMATS[name].files)
        return folder

    return write_one


@pytest.fixture(params=CLOCKS, ids=" ".join)
def clock(request, tmp_path):
    """Rate, timecode of the first frame and its number, and an alignment of A with B, whose timecodes are the same.

    A's frames 10 to 199 go with B's from 30 on, A's next 40 have no counterpart, and its frames 240 to 439 go with
    every second one of B's from 220 on.
    """
    rate_text, timecode = request.param
    rate, ticks = Fraction(rate_text), range(0, 8 * Fraction(rate_text).denominator, Fraction(rate_text).denominator)
    for name in "ab":
        base = Fraction(1, rate.numerator)
        render_video(tmp_path / f"{name}.mov", list(ticks), rate=rate, time_base=base, timecode=timecode)
    a, b = (make_video(tmp_path / f"{name}.mov", 4000, float(rate)) for name in "ab")
    rows, columns = np.r_[10:200, 240:440], np.r_[30:220, 220:620:2]
    # By another library, which knows drop-frame.
    first = opentime().from_timecode(timecode, float(rate)).value
    return rate, timecode, int(first), make_alignment(a, b, rows, columns)


def opentime():
    return pytest.importorskip("opentimelineio").opentime


@pytest.fixture
def play():
    """Decodes all pictures of a video."""

    def decode(path):
        return np.concatenate([batch.images for batch in read_frames(path)])

    return decode
