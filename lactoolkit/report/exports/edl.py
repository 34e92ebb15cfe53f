"""CMX 3600 edit decision lists, one for each track: `edit_a.edl` and `edit_b.edl`."""

from __future__ import annotations

import unicodedata
from fractions import Fraction

from lactoolkit.report.edit import Edit
from lactoolkit.report.exports import Export
from lactoolkit.video.media_facts import MediaFacts
from lactoolkit.video.smpte import format_smpte

_HOUR = 3600  # seconds: where programmes begin on tape
_MOST_EVENTS = 999


def write_edl(export: Export) -> None:
    """Write ``edit_a.edl`` and ``edit_b.edl``, which put A and B onto the same record timecodes.

    Timecodes count at A's rate, drop-frame where A's own timecode is. A's list is one event; B's has one for each
    stretch of constant speed, with a motion effect (M2). CMX 3600 has no room for more than 999 events: the
    rest is left out, and the list says so.

    Parameters
    ----------
    export : Export
        What to write, and where; it has hits.

    Raises
    ------
    VideoError
        If an input can no longer be read.
    """
    edit = export.edit
    (export.folder / "edit_a.edl").write_text(_list_of_a(edit), encoding="utf-8")
    (export.folder / "edit_b.edl").write_text(_list_of_b(edit), encoding="utf-8")


def _list_of_a(edit: Edit) -> str:
    lines = _head(edit, edit.a)
    source = edit.a.start_frame + edit.a_start
    lines += _event(edit, 1, edit.a, source, edit.length, 0, edit.length)
    return "\n".join(lines) + "\n"


def _list_of_b(edit: Edit) -> str:
    lines = _head(edit, edit.b)
    # B's timecode begins at the same time of day, counted at A's rate.
    origin = round(edit.b.start_frame / Fraction(round(edit.b.rate)) * round(edit.a.rate))
    if edit.b.drop_frame or edit.a.drop_frame:
        origin = round(edit.b.start_frame / edit.b.rate * edit.a.rate)
    for number, piece in enumerate(edit.pieces[:_MOST_EVENTS], start=1):
        first = round(piece.b_start * edit.a.rate)
        length = round((piece.b_start + piece.b_length) * edit.a.rate) - first if piece.b_length else 0
        lines += _event(edit, number, edit.b, origin + first, length, piece.start, piece.length)
        if number == 1 and edit.b.rate != edit.a.rate:  # readers take a comment before any event for an error
            lines += [f"* SOURCE RATE {float(edit.b.rate):.3f} FPS, TIMECODES COUNT {float(edit.a.rate):.3f} FPS"]
    if len(edit.pieces) > _MOST_EVENTS:
        lines += [f"* {len(edit.pieces) - _MOST_EVENTS} MORE EVENTS DO NOT FIT INTO THIS FORMAT"]
    return "\n".join(lines) + "\n"


def _head(edit: Edit, media: MediaFacts) -> list[str]:
    title = _plain(media.path.stem)[:60] or "VIDEO"
    return [f"TITLE: {title}", f"FCM: {'DROP FRAME' if edit.a.drop_frame else 'NON-DROP FRAME'}"]


def _event(
    edit: Edit, number: int, media: MediaFacts, source: int, source_length: int, record: int, length: int
) -> list[str]:
    """The lines of an event; a source length of 0 is a still picture."""
    rate, drop_frame = edit.a.rate, edit.a.drop_frame

    def timecode(frame: int) -> str:
        return format_smpte(frame, rate, drop_frame=drop_frame)

    origin = round(_HOUR * rate)  # 01:00:00:00 of drop-frame timecode, an hour by the clock
    if not drop_frame:
        origin = _HOUR * round(rate)
    # One frame at least: readers take an empty source for an error.
    shown = timecode(source), timecode(source + max(source_length, 1))
    placed = timecode(origin + record), timecode(origin + record + length)
    lines = [f"{number:03d}  AX       V     C        {shown[0]} {shown[1]} {placed[0]} {placed[1]}"]
    if source_length != length:
        speed = float(rate) * source_length / length
        # Readers look for colons here, drop-frame or not, which the second line of the list says.
        lines += [f"M2   AX       {speed:05.1f}                {shown[0].replace(';', ':')}"]
    lines += [f"* FROM CLIP NAME: {_plain(media.path.name)}"]
    if source_length == 0:
        lines += ["* * FREEZE FRAME"]
    return lines


def _plain(text: str) -> str:
    """A name on one line, without characters that end it or cannot be written."""
    name = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(
        character if character.isprintable() else " " for character in unicodedata.normalize("NFC", name)
    ).strip()
