"""`lac repeats`: how often a process repeats in one video, and when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import TIME, embedding_options, report_options, video_path, wants_progress
from .tables import format_table

if TYPE_CHECKING:
    from lactoolkit.alignment.repeats import Repetitions


@click.command(short_help="Count the repetitions in one video.")
@click.argument("video", type=video_path())
@report_options("lac repeats")
@embedding_options
@click.option("--start", type=TIME, help="Leave out what comes before this time (62.5 or 1:02.5).")
@click.option("--end", type=TIME, help="Leave out what comes from this time on.")
def repeats(
    video: Path,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    overwrite: bool,
    start: float | None,
    end: float | None,
    **embedding: Any,
) -> None:
    """Count the repetitions of a process in VIDEO and say when each begins and ends.

    The video is aligned with itself. With -o, FOLDER receives repetitions.csv, repetitions.json and repetitions.png
    (the video against itself, and the period over time).

    \b
    Examples:
      lac repeats squats.mp4
      lac repeats squats.mp4 -o squats --start 10 --end 1:30
    """
    if out is not None:
        from lactoolkit.report.repetitions import check_repetitions_output

        check_repetitions_output(out, overwrite=overwrite)
    from lactoolkit.alignment.repeats import find_repetitions

    result = find_repetitions(
        video,
        start=start,
        end=end,
        progress=wants_progress(quiet),
        **embedding,
    )
    if out is not None:
        from lactoolkit.report.repetitions import write_repetitions

        write_repetitions(result, out, overwrite=overwrite)
    if as_json:
        from lactoolkit.report.alignment_json import dump_document
        from lactoolkit.report.repetitions import repetitions_document

        click.echo(dump_document(repetitions_document(result)), nl=False)
        return
    click.echo("\n\n".join(_describe(result, out, quiet)))


def _describe(result: Repetitions, out: Path | None, quiet: bool) -> list[str]:
    if len(result):
        noun = "repetition" if len(result) == 1 else "repetitions"
        paragraphs = [f"{len(result)} {noun}, one each {result.period:.2f} s.", _table(result)]
    else:
        paragraphs = ["No repetition found: no process comes twice in this video."]
    if out is not None:
        from lactoolkit.report.repetitions import REPETITION_FILES

        paragraphs.append(f"Written to {click.format_filename(out)}: {', '.join(REPETITION_FILES)}")
    elif not quiet:
        paragraphs.append("Add -o FOLDER for a table and a picture.")
    return paragraphs


def _table(result: Repetitions) -> str:
    from lactoolkit.video.timecode import format_timecode

    several = result.repetitions[-1].series > 1
    rows = [
        [
            str(number),
            *([str(one.series)] if several else []),
            format_timecode(one.start_time),
            str(one.start_frame),
            format_timecode(one.end_time),
            str(one.end_frame),
            f"{one.seconds:.2f} s",
            f"{one.confidence:.2f}",
        ]
        for number, one in enumerate(result.repetitions, start=1)
    ]
    header = ["repetition", *(["series"] if several else []), "start", "frame", "end", "frame", "length", "confidence"]
    return format_table(header, rows, right=range(len(header)))
