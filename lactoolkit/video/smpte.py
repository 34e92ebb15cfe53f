"""SMPTE timecode: numbers of frames written as hours, minutes, seconds and frames, with and without drop-frame."""

from __future__ import annotations

import re
from fractions import Fraction

from lactoolkit.errors import ParameterError

# The rates of film, television and cameras; others are taken as they are.
STANDARD_RATES = (
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(48),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(60),
    Fraction(100),
    Fraction(120000, 1001),
    Fraction(120),
)
_SAME = 2e-4  # relative; 29.97 and 30 are five times as far apart
_TRIMMED = 0.02  # relative; 24 and 25 are twice as far apart

_TIMECODE = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})([:;.,])(\d{2,3})")


def standard_rate(frame_rate: float) -> Fraction:
    """Exact rate that a measured or rounded one stands for.

    Parameters
    ----------
    frame_rate : float
        Frames per second, such as 29.97.

    Returns
    -------
    Fraction
        The standard rate within 0.02 %, else the fraction next to the given rate with a denominator of at most 1001.

    Examples
    --------
    >>> standard_rate(29.97)
    Fraction(30000, 1001)
    """
    nearest = min(STANDARD_RATES, key=lambda rate: abs(float(rate) - frame_rate))
    if abs(float(nearest) - frame_rate) <= _SAME * frame_rate:
        return nearest
    return Fraction(frame_rate).limit_denominator(1001)


def counted_rate(average: float, spacing: float | None) -> Fraction:
    """Rate at which editing programs count the frames of a file.

    The average is off where a file was trimmed and its last frame lasts longer or shorter than the others: 60.44
    instead of 59.94 in two seconds.

    Parameters
    ----------
    average : float
        Frames per second over the whole file.
    spacing : float, optional
        Rate of which all timestamps are multiples, where that is known.

    Returns
    -------
    Fraction
        The standard rate that the average stands for, else the one by which frames are spaced, if there is one within
        2 % of the average, else the average.

    Examples
    --------
    >>> counted_rate(60.44, 59.94)
    Fraction(60000, 1001)
    """
    rate = standard_rate(average)
    if rate in STANDARD_RATES or spacing is None or abs(spacing - average) > _TRIMMED * average:
        return rate
    spaced = standard_rate(spacing)
    return spaced if spaced in STANDARD_RATES else rate


def format_smpte(frame: int, rate: Fraction, *, drop_frame: bool = False) -> str:
    """Write a number of frames as a timecode.

    Parameters
    ----------
    frame : int
        Frames since 00:00:00:00; from 24 hours on, the timecode begins again.
    rate : Fraction
        Frames per second. Timecode counts whole frames: 29.97 like 30.
    drop_frame : bool
        Whether the first two numbers (of 59.94: four) of every minute but the tenth are left out, so that the timecode
        of 29.97 keeps up with the clock.

    Returns
    -------
    str
        ``hh:mm:ss:ff``, with a semicolon before the frames when drop-frame.

    Raises
    ------
    ParameterError
        Drop-frame at a rate that has none.

    References
    ----------
    SMPTE ST 12-1.

    Examples
    --------
    >>> format_smpte(1800, Fraction(30000, 1001), drop_frame=True)
    '00:01:00;02'
    """
    nominal = round(rate)
    if drop_frame:
        dropped = _dropped_numbers(rate)
        per_ten_minutes = nominal * 600 - 9 * dropped
        tens, rest = divmod(frame, per_ten_minutes)
        # The first minute of ten is complete.
        minutes = max(rest - dropped, 0) // (nominal * 60 - dropped)
        frame += dropped * (9 * tens + minutes)
    frame %= nominal * 86_400
    seconds, frames = divmod(frame, nominal)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{clock}{';' if drop_frame else ':'}{frames:0{len(str(nominal - 1))}d}"


def parse_smpte(text: str, rate: Fraction) -> tuple[int, bool]:
    """Read a timecode.

    Parameters
    ----------
    text : str
        ``hh:mm:ss:ff``; with ``;``, ``,`` or ``.`` before the frames it is drop-frame.
    rate : Fraction
        Frames per second.

    Returns
    -------
    frame : int
        Frames since 00:00:00:00.
    drop_frame : bool
        Whether it is drop-frame.

    Raises
    ------
    ParameterError
        The text is no timecode of this rate.
    """
    match = _TIMECODE.fullmatch(text.strip())
    nominal = round(rate)
    if match:
        hours, minutes, seconds, frames = (int(match[k]) for k in (1, 2, 3, 5))
        drop_frame = match[4] != ":"
        total_minutes = hours * 60 + minutes
        if minutes < 60 and seconds < 60 and frames < nominal:
            frame = (total_minutes * 60 + seconds) * nominal + frames
            if not drop_frame:
                return frame, False
            dropped = _dropped_numbers(rate)
            if seconds or frames >= dropped or minutes % 10 == 0:
                return frame - dropped * (total_minutes - total_minutes // 10), True
    raise ParameterError(f"not a timecode at {float(rate):.3f} frames per second: {text!r}; write hh:mm:ss:ff")


def has_drop_frame(rate: Fraction) -> bool:
    """Whether there is drop-frame timecode at a rate: 29.97 and its multiples."""
    return rate.denominator == 1001 and rate.numerator % 30_000 == 0


def _dropped_numbers(rate: Fraction) -> int:
    """Numbers left out at the start of a minute."""
    if not has_drop_frame(rate):
        raise ParameterError(f"there is no drop-frame timecode at {float(rate):.3f} frames per second")
    return rate.numerator // 15_000
