"""Timecode against published values and OpenTimelineIO's arithmetic."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lactoolkit.errors import ParameterError
from lactoolkit.video.smpte import counted_rate, format_smpte, parse_smpte, standard_rate

NTSC, NTSC_60, FILM = Fraction(30000, 1001), Fraction(60000, 1001), Fraction(24000, 1001)

# SMPTE ST 12-1: numbers 0 and 1 are left out at the start of each minute but every tenth.
KNOWN = [
    (0, NTSC, True, "00:00:00;00"),
    (1799, NTSC, True, "00:00:59;29"),
    (1800, NTSC, True, "00:01:00;02"),
    (3597, NTSC, True, "00:01:59;29"),
    (3598, NTSC, True, "00:02:00;02"),
    (17981, NTSC, True, "00:09:59;29"),
    (17982, NTSC, True, "00:10:00;00"),
    (107892, NTSC, True, "01:00:00;00"),
    (2589407, NTSC, True, "23:59:59;29"),
    (3599, NTSC_60, True, "00:00:59;59"),
    (3600, NTSC_60, True, "00:01:00;04"),
    (215784, NTSC_60, True, "01:00:00;00"),
    (1800, NTSC, False, "00:01:00:00"),
    (108000, NTSC, False, "01:00:00:00"),
    (86400, FILM, False, "01:00:00:00"),
    (90025, Fraction(25), False, "01:00:01:00"),
    (119, Fraction(120), False, "00:00:00:119"),
]


@pytest.mark.parametrize(("frame", "rate", "drop_frame", "text"), KNOWN)
def test_known_values(frame, rate, drop_frame, text):
    assert format_smpte(frame, rate, drop_frame=drop_frame) == text
    assert parse_smpte(text, rate) == (frame, drop_frame)


def test_a_day_is_over_after_24_hours():
    assert format_smpte(2589408, NTSC, drop_frame=True) == "00:00:00;00"
    assert format_smpte(24 * 3600 * 25 + 7, Fraction(25)) == "00:00:00:07"


@given(st.integers(0, 2589407))
def test_drop_frame_as_opentimelineio_counts(frame):
    opentime = pytest.importorskip("opentimelineio").opentime
    for rate, factor in ((NTSC, 1), (NTSC_60, 2)):
        time = opentime.RationalTime(frame * factor, float(rate))
        text = opentime.to_timecode(time, float(rate), True)
        assert format_smpte(frame * factor, rate, drop_frame=True) == text
        assert parse_smpte(text, rate) == (frame * factor, True)


@pytest.mark.parametrize(
    ("measured", "exact"),
    [
        (29.97, NTSC),
        (29.97003, NTSC),
        (30.0, 30),
        (23.976, FILM),
        (59.94006, NTSC_60),
        (25, 25),
        (12.5, Fraction(25, 2)),
    ],
)
def test_standard_rates(measured, exact):
    assert standard_rate(measured) == exact


@pytest.mark.parametrize(
    ("average", "spacing", "rate"),
    [
        # Two seconds of 59.94 and 30 without the length of the last frame.
        (105 / (104 / 59.94), 59.94, NTSC_60),
        (67 / (66 / 30 + 1e-3), 30, 30),
        (29.9417, 30, 30),  # a last frame of 1.8
        (29.97, 30, NTSC),  # timestamps in milliseconds hide the difference
        (29.97, None, NTSC),
        (27.3, 30, Fraction(273, 10)),  # a phone that slows down in the dark
        (27.3, 90000, Fraction(273, 10)),
        (12.5, 12.5, Fraction(25, 2)),
    ],
)
def test_trimmed_files_are_counted_by_the_spacing_of_their_frames(average, spacing, rate):
    assert counted_rate(average, spacing) == rate


@pytest.mark.parametrize("text", ["00:01:00;00", "00:01:00;01", "0:00", "01:60:00:00", "00:00:00:30", "x"])
def test_what_is_no_timecode_is_refused(text):
    with pytest.raises(ParameterError, match=r"not a timecode at 29\.970"):
        parse_smpte(text, NTSC)


def test_no_drop_frame_at_other_rates():
    with pytest.raises(ParameterError, match=r"no drop-frame timecode at 25\.000"):
        format_smpte(1, Fraction(25), drop_frame=True)
