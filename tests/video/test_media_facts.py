"""Rates, start timecodes and sound of files."""

from fractions import Fraction

import pytest
from videos import render_video

from lactoolkit.errors import VideoWarning
from lactoolkit.video.media_facts import read_media_facts

NTSC = Fraction(30000, 1001)


def render_ntsc(path, count=30, **options):
    render_video(path, [1001 * k for k in range(count)], rate=NTSC, time_base=Fraction(1, 30000), **options)


def test_a_file_without_timecode_starts_at_zero(tmp_path):
    render_video(tmp_path / "a.mp4", rate=25, width=160, height=96, audio=True)
    facts = read_media_facts(tmp_path / "a.mp4")
    assert (facts.rate, facts.start_frame, facts.drop_frame) == (25, 0, False)
    assert (facts.width, facts.height, facts.sound, facts.first_time) == (160, 96, True, 0)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(
    ("timecode", "start", "drop_frame"), [("01:00:00;00", 107892, True), ("01:00:00:00", 108000, False)]
)
def test_start_timecode(timecode, start, drop_frame, suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    render_ntsc(path, timecode=timecode)
    facts = read_media_facts(path)
    assert (facts.rate, facts.start_frame, facts.drop_frame) == (NTSC, start, drop_frame)


def test_a_timecode_that_cannot_be_is_warned_about(tmp_path):
    path = tmp_path / "a.mkv"
    render_ntsc(path, timecode="99:99:99:99")
    with pytest.warns(VideoWarning, match=r"a\.mkv: its timecode '99:99:99:99' does not fit 29\.970"):
        assert read_media_facts(path).start_frame == 0


def test_tags_that_are_not_utf8(tmp_path):
    path = tmp_path / "a.mkv"
    render_ntsc(path, timecode="01:02:03:04")
    path.write_bytes(path.read_bytes().replace(b"01:02:03:04", b"caf\xe9 \xff\xfe...."))
    with pytest.warns(VideoWarning, match=r"its timecode 'caf\\udce9 \\udcff\\udcfe\.\.\.\.' does not fit") as warnings:
        assert read_media_facts(path).start_frame == 0
    assert str(warnings[0].message).isprintable()


def test_a_picture_that_begins_later_than_the_sound(tmp_path):
    render_video(tmp_path / "a.mp4", first_tick=6000, audio=True)
    assert read_media_facts(tmp_path / "a.mp4").first_time == pytest.approx(0.5, abs=0.03)
