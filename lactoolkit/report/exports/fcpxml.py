"""`edit.fcpxml`: the alignment as a project of Final Cut Pro, which other editing programs read too."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

from lactoolkit.report.alignment_json import plain
from lactoolkit.report.edit import Edit
from lactoolkit.report.exports import Export
from lactoolkit.video.media_facts import MediaFacts

_VERSION = "1.10"
# Characters that XML has no way to write.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_fcpxml(export: Export) -> None:
    """Write ``edit.fcpxml``: A as the storyline and B connected to it, retimed to keep in step.

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
    root = ElementTree.Element("fcpxml", version=_VERSION)
    resources = ElementTree.SubElement(root, "resources")
    for letter, media, frames in (("a", edit.a, edit.a_frames), ("b", edit.b, edit.b_frames)):
        _add_resources(resources, letter, media, frames)
    event = ElementTree.SubElement(root, "event", name="lactoolkit")
    project = ElementTree.SubElement(event, "project", name=f"{_name(edit.a)} and {_name(edit.b)}")
    sequence = ElementTree.SubElement(
        project,
        "sequence",
        format="format-a",
        duration=_seconds(edit.length / edit.a.rate),
        tcStart="0s",
        tcFormat="DF" if edit.a.drop_frame else "NDF",
    )
    spine = ElementTree.SubElement(sequence, "spine")
    source = (edit.a.start_frame + edit.a_start) / edit.a.rate
    clip = ElementTree.SubElement(
        spine,
        "asset-clip",
        ref="asset-a",
        name=_name(edit.a),
        offset="0s",
        start=_seconds(source),
        duration=_seconds(edit.length / edit.a.rate),
        tcFormat="DF" if edit.a.drop_frame else "NDF",
    )
    _add_pieces(clip, edit, source)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    (export.folder / "edit.fcpxml").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{text}\n', encoding="utf-8"
    )


def _add_resources(resources: ElementTree.Element, letter: str, media: MediaFacts, frames: int) -> None:
    ElementTree.SubElement(
        resources,
        "format",
        id=f"format-{letter}",
        frameDuration=_seconds(1 / media.rate),
        width=str(media.width),
        height=str(media.height),
    )
    asset = ElementTree.SubElement(
        resources,
        "asset",
        id=f"asset-{letter}",
        name=_name(media),
        start=_seconds(media.start_frame / media.rate),
        duration=_seconds(frames / media.rate),
        hasVideo="1",
        format=f"format-{letter}",
    )
    if media.sound:
        asset.set("hasAudio", "1")
    ElementTree.SubElement(asset, "media-rep", kind="original-media", src=media.path.absolute().as_uri())


def _add_pieces(parent: ElementTree.Element, edit: Edit, source: Fraction) -> None:
    """Connect B's pieces to the clip of A; their places count on A's own clock."""
    media = edit.b
    origin = media.start_frame / media.rate
    for piece in edit.pieces:
        first = origin + piece.b_start
        start, duration = round(first * media.rate) / media.rate, piece.length / edit.a.rate
        clip = ElementTree.SubElement(
            parent,
            "asset-clip",
            ref="asset-b",
            name=_name(media),
            lane="1",
            offset=_seconds(source + piece.start / edit.a.rate),
            start=_seconds(start),
            duration=_seconds(duration),
            tcFormat="DF" if media.drop_frame else "NDF",
            srcEnable="video",
        )
        if media.rate != edit.a.rate:
            # Frames are dropped or doubled, never played at another speed.
            ElementTree.SubElement(clip, "conform-rate", scaleEnabled="0")
        if piece.b_length != duration:
            # A retimed clip has a clock of its own, from `start` on, which this translates into B's.
            curve = ElementTree.SubElement(clip, "timeMap")
            for time, value in ((start, first), (start + duration, first + piece.b_length)):
                ElementTree.SubElement(curve, "timept", time=_seconds(time), value=_seconds(value), interp="linear")


def _seconds(time: Fraction | float) -> str:
    """Write a time as the format wants it: a fraction of a second."""
    exact = Fraction(time).limit_denominator(720_000)
    return f"{exact.numerator}s" if exact.denominator == 1 else f"{exact.numerator}/{exact.denominator}s"


def _name(media: MediaFacts) -> str:
    return _NOT_XML.sub("\ufffd", plain(Path(media.path.name)))
