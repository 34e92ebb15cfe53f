import pytest
from hypothesis import given
from hypothesis import strategies as st

from lactoolkit.errors import ParameterError
from lactoolkit.video.timecode import format_timecode, parse_timecode


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00.000"),
        (7.2666, "0:07.267"),
        (59.9994, "0:59.999"),
        (59.9996, "1:00.000"),
        (3599.9999, "1:00:00.000"),
        (3723.5, "1:02:03.500"),
        (360000, "100:00:00.000"),
        (-1.5, "-0:01.500"),
        (-0.0001, "0:00.000"),
    ],
)
def test_format(seconds, text):
    assert format_timecode(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("62.5", 62.5), ("1:02.5", 62.5), ("0:01:02.5", 62.5), ("7", 7), (".5", 0.5), ("90:00", 5400), (" 3. ", 3)],
)
def test_parse(text, seconds):
    assert parse_timecode(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "1:60", "1:60:00", "-3", "1:2:3:4", "1e3", "nan", "1.5:00", "٣:٠٠x"])
def test_parse_refuses(text):
    with pytest.raises(ParameterError, match="not a time"):
        parse_timecode(text)


@given(st.integers(0, 10**9))
def test_round_trip_to_the_millisecond(milliseconds):
    assert parse_timecode(format_timecode(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-6)
