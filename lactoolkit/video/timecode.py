"""Times in seconds written for people: ``0:07.267``, ``1:02:03.500``."""

from __future__ import annotations

import re

from lactoolkit.errors import ParameterError

_TIMECODE = re.compile(r"(?:(?:(?P<hours>\d+):)?(?P<minutes>\d+):)?(?P<seconds>\d+(?:\.\d*)?|\.\d+)")


def format_timecode(seconds: float) -> str:
    """Write a time as ``m:ss.mmm``, or ``h:mm:ss.mmm`` from one hour on.

    Parameters
    ----------
    seconds : float
        Time in seconds; negative times get a leading minus sign.

    Returns
    -------
    str
        The time, rounded to milliseconds.

    Examples
    --------
    >>> format_timecode(7.2666)
    '0:07.267'
    >>> format_timecode(3723.5)
    '1:02:03.500'
    """
    milliseconds = round(abs(seconds) * 1000)
    sign = "-" if seconds < 0 and milliseconds else ""
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{sign}{clock}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"


def parse_timecode(text: str) -> float:
    """Read a time written as seconds, ``m:ss`` or ``h:mm:ss``, each with or without a decimal fraction.

    Parameters
    ----------
    text : str
        The time, such as ``"62.5"``, ``"1:02.5"`` or ``"0:01:02.5"``.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ParameterError
        The text is none of these, or a field after a colon is 60 or more.

    Examples
    --------
    >>> parse_timecode("1:02.5")
    62.5
    """
    match = _TIMECODE.fullmatch(text.strip())
    if match:
        seconds = float(match["seconds"])
        minutes = int(match["minutes"] or 0)
        hours = int(match["hours"] or 0)
        if (match["minutes"] is None or seconds < 60) and (match["hours"] is None or minutes < 60):
            return hours * 3600 + minutes * 60 + seconds
    raise ParameterError(f"not a time: {text!r}; write seconds (62.5), m:ss (1:02.5) or h:mm:ss (0:01:02.5)")
