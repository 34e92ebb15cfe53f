"""`lac align` of more than two videos: a star around a reference, or pairs from a list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .notices import compilation_notice
from .options import Command, workers_option
from .tables import format_table

if TYPE_CHECKING:
    from lactoolkit.alignment.many import PairJob
    from lactoolkit.report.batch import PairReport

_NOT_ALIGNED = 3


def many_videos_options(command: Command) -> Command:
    """Add ``--pairs`` and ``--workers``."""
    pairs = click.option(
        "--pairs",
        "pair_list",
        type=click.Path(path_type=Path),
        metavar="FILE.csv",
        help="Align the pairs of a list with the columns a,b (and name,start_a,end_a,start_b,end_b if wanted).",
    )
    workers = workers_option("Pairs to align at once, if there are several.")
    return pairs(workers(command))


def align_many(
    jobs: Sequence[PairJob],
    out: Path | None,
    *,
    grid: bool,
    as_json: bool,
    quiet: bool,
    fail_on_none: bool,
    progress: bool,
    **options: Any,
) -> None:
    """Align the pairs, print a table, and exit with 1 if any failed."""
    from lactoolkit.report.batch import batch_document, run_batch

    with compilation_notice(progress):
        reports = run_batch(
            jobs,
            out,
            grid=grid,
            progress=progress,
            **options,
        )
    if as_json:
        from lactoolkit.report.alignment_json import dump_document

        click.echo(dump_document(batch_document(reports)), nl=False)
    else:
        click.echo("\n\n".join(_describe(reports, out, grid, quiet)))
    for report in reports:
        if report.status == "failed":
            click.echo(f"Error: {report.job.name}: {report.message}", err=True)
    if any(report.status == "failed" for report in reports):
        raise click.exceptions.Exit(1)
    if fail_on_none and not all(report.row()["verdict"] == "aligned" for report in reports):
        raise click.exceptions.Exit(_NOT_ALIGNED)


def _describe(reports: Sequence[PairReport], out: Path | None, grid: bool, quiet: bool) -> list[str]:
    from lactoolkit.report.batch import tally_of

    paragraphs = [_table(reports), str(tally_of(reports))]
    if out is not None:
        files = ["summary.csv", "batch.json", *(["grid.mp4"] if grid and (out / "grid.mp4").exists() else [])]
        if any(report.document is not None for report in reports):
            files.append("a folder for each pair")
        paragraphs.append(f"Written to {click.format_filename(out)}: {', '.join(files)}")
    elif not quiet:
        paragraphs.append("Add -o FOLDER for a report of each pair and a video of all in step.")
    return paragraphs


def _table(reports: Sequence[PairReport]) -> str:
    from lactoolkit.video.timecode import format_timecode

    rows = []
    for report in reports:
        row = report.row()
        spans = ["", ""]
        if row["start_a"] is not None:
            spans = [
                f"{format_timecode(row[f'start_{side}'])} - {format_timecode(row[f'end_{side}'])}"
                for side in ("a", "b")
            ]
        figures = ["" if row[key] is None else f"{row[key]:.2g}" for key in ("p_value", "confidence", "pacing")]
        rows.append([report.job.name, row["verdict"] or report.status, *spans, *figures])
    return format_table(["", "match", "A", "B", "p", "confidence", "pacing"], rows, right=(2, 3, 4, 5, 6))
