"""`lac sync`: all videos of a set on one clock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .notices import compilation_notice, finished_pairs_noted, report_failures
from .options import embedding_options, report_options, video_path, wants_progress, workers_option
from .tables import format_table

if TYPE_CHECKING:
    from lactoolkit.alignment.synchronise import Synchronisation


@click.command(short_help="Put several cameras or takes on one clock.")
@click.argument("videos", nargs=-1, required=True, type=video_path(), metavar="FOLDER|VIDEO...")
@report_options("lac sync")
@click.option(
    "--model",
    type=click.Choice(["auto", "offset", "warp"]),
    default="auto",
    show_default=True,
    help="offset: cameras at one event, each a constant time apart. warp: takes of one process at any speed.",
)
@workers_option("Pairs to align at once (warp).")
@embedding_options
def sync(
    videos: tuple[Path, ...],
    out: Path | None,
    as_json: bool,
    quiet: bool,
    overwrite: bool,
    model: str,
    workers: int,
    **embedding: Any,
) -> None:
    """Put all videos on one clock: several cameras at one event, or several takes of one process.

    Compares all with all. Cameras at one event (they may stand on different sides) get a constant offset each, from
    what is seen and from what moves when; takes of a process are aligned with the one that matches all others best.
    Prints where each video starts and ends on the clock, how sure that is, and which do not belong to the others. With
    -o, FOLDER receives sync.csv, sync.json (with who covers which part of the clock), coverage.png and grid.mp4
    (36 videos at most).

    Videos that cannot be read are named and left out (exit status 1). Run the same command again to go on after an
    interruption: features and finished alignments are kept in the cache.

    \b
    Examples:
      lac sync cameras/ -o synced
      lac sync take1.mp4 take2.mp4 take3.mp4 --model warp --workers 2 -o takes
    """
    progress = wants_progress(quiet)
    if out is not None:
        from lactoolkit.report.synchronisation import check_sync_output

        check_sync_output(out, overwrite=overwrite)
    from lactoolkit.alignment.synchronise import synchronise

    with compilation_notice(progress):
        result = synchronise(videos, model=model, workers=workers, progress=progress, **embedding)  # type: ignore[arg-type]  # click has checked the choice
    if out is not None:
        from lactoolkit.report.synchronisation import write_synchronisation

        with finished_pairs_noted(embedding["cache"] and result.model == "warp"):
            write_synchronisation(result, out, overwrite=overwrite, progress=progress)
    if as_json:
        from lactoolkit.report.alignment_json import dump_document
        from lactoolkit.report.synchronisation import sync_document

        click.echo(dump_document(sync_document(result)), nl=False)
    else:
        click.echo("\n\n".join(_describe(result, out, quiet)))
    report_failures(result.failed)


def _describe(result: Synchronisation, out: Path | None, quiet: bool) -> list[str]:
    from lactoolkit.report.synchronisation import SYNC_FILES, sync_rows
    from lactoolkit.report.text import distinct_names
    from lactoolkit.video.timecode import format_timecode

    names = [click.format_filename(name) for name in distinct_names(one.video.path for one in result.videos)]
    reference = names[result.reference]
    headline = {
        "offset": "Cameras at one event, or takes at the same pace: a constant offset each.",
        "warp": f"Takes at different speeds: the clock is that of {reference}.",
    }[result.model]
    rows = []
    for name, row in zip(names, sync_rows(result), strict=True):
        cells = [name]
        cells += ["" if row[key] is None else format_timecode(row[key]) for key in ("clock_start", "clock_end")]
        cells.append("" if row["confidence"] is None or row["outlier"] else f"{row['confidence']:.2f}")
        cells.append(f"outlier: {row['outlier']}" if row["outlier"] else "reference" if row["reference"] else "")
        rows.append(cells)
    paragraphs = [headline, format_table(["video", "from", "to", "confidence", ""], rows, right=(1, 2, 3))]
    if result.cycle_error == result.cycle_error:
        paragraphs.append(f"Going round over three pairs misses by {result.cycle_error:.3f} s (median).")
    if out is not None:
        paragraphs.append(f"Written to {click.format_filename(out)}: {', '.join(SYNC_FILES)}")
    elif not quiet:
        paragraphs.append("Add -o FOLDER for tables, a picture of who covers what, and a video of all in step.")
    return paragraphs
