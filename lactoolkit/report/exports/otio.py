"""`edit.otio`: the alignment as a timeline of OpenTimelineIO."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import opentimelineio as otio

from lactoolkit.report.alignment_json import plain
from lactoolkit.report.edit import EditPiece
from lactoolkit.report.exports import Export
from lactoolkit.video.media_facts import MediaFacts


def write_otio(export: Export) -> None:
    """Write ``edit.otio``: A on one track, and on another one B at the speeds that keep it in step with A.

    Parameters
    ----------
    export : Export
        What to write, and where; it has hits.

    Raises
    ------
    VideoError
        If an input can no longer be read.
    """
    alignment, edit = export.alignment, export.edit
    timeline = otio.schema.Timeline(name=f"{_name(edit.a)} and {_name(edit.b)}")
    timeline.global_start_time = _time(0, edit.a.rate)
    track_a = otio.schema.Track(name="A", kind=otio.schema.TrackKind.Video)
    track_b = otio.schema.Track(name="B", kind=otio.schema.TrackKind.Video)
    timeline.tracks.extend([track_a, track_b])
    track_a.append(
        otio.schema.Clip(
            name=_name(edit.a),
            media_reference=_reference(edit.a, edit.a_frames),
            source_range=otio.opentime.TimeRange(
                _time(edit.a.start_frame + edit.a_start, edit.a.rate), _time(edit.length, edit.a.rate)
            ),
        )
    )
    end = 0
    for piece in edit.pieces:
        if piece.start > end:
            track_b.append(otio.schema.Gap(duration=_time(piece.start - end, edit.a.rate)))
        track_b.append(_clip(piece, edit.b, edit.b_frames, edit.a.rate))
        end = piece.start + piece.length
    timeline.metadata["lactoolkit"] = {
        "verdict": alignment.verdict,
        "p_value": alignment.hits[0].p_value,
        "mean_confidence": [alignment.hits[position].mean_confidence for position in alignment.chain],
    }
    otio.adapters.write_to_file(timeline, str(export.folder / "edit.otio"), adapter_name="otio_json")


def _clip(piece: EditPiece, media: MediaFacts, frames: int, rate: Fraction) -> otio.schema.Clip:
    clip = otio.schema.Clip(
        name=_name(media),
        media_reference=_reference(media, frames),
        source_range=otio.opentime.TimeRange(
            _time(media.start_frame + round(piece.b_start * media.rate), media.rate), _time(piece.length, rate)
        ),
    )
    speed = piece.speed(rate)
    if speed == 0:
        clip.effects.append(otio.schema.FreezeFrame())
    elif speed != 1:
        clip.effects.append(otio.schema.LinearTimeWarp(time_scalar=float(speed)))
    return clip


def _reference(media: MediaFacts, frames: int) -> otio.schema.ExternalReference:
    return otio.schema.ExternalReference(
        target_url=media.path.absolute().as_uri(),
        available_range=otio.opentime.TimeRange(_time(media.start_frame, media.rate), _time(frames, media.rate)),
    )


def _time(frames: int, rate: Fraction) -> otio.opentime.RationalTime:
    return otio.opentime.RationalTime(frames, float(rate))


def _name(media: MediaFacts) -> str:
    return plain(Path(media.path.name))
