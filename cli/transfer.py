"""`lac transfer`: labels of one video, or of several, carried over to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .notices import compilation_notice, report_failures
from .options import embedding_options, overwrite_option, quiet_option, video_path, wants_progress, workers_option
from .tables import format_table

if TYPE_CHECKING:
    from lactoolkit.alignment.transfer import TransferredIntervals, TransferredLabels

_NOT_ALIGNED = 3


@click.command(short_help="Carry labels of one video over to another.")
@click.argument("references", nargs=-1, required=True, type=video_path(), metavar="A...")
@click.argument("video", type=video_path(), metavar="B")
@click.option(
    "--labels",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Labels of A: frame,phase,phase_name or start,end,name. Once for each A, in the same order.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE.csv", help="Write the labels of B.")
@workers_option("Labelled videos to align at once.")
@embedding_options
@click.option("--fail-on-none", is_flag=True, help="Exit with status 3 unless B matches an A better than chance.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@quiet_option
@overwrite_option("FILE.csv")
def transfer(
    references: tuple[Path, ...],
    video: Path,
    labels: tuple[Path, ...],
    out: Path | None,
    workers: int,
    fail_on_none: bool,
    as_json: bool,
    quiet: bool,
    overwrite: bool,
    **embedding: Any,
) -> None:
    """Carry labels of video A over to video B of the same process, with a confidence.

    Each A is aligned with B; what A's labels say of a frame or a moment holds for its partner. Labels are those of all
    frames (columns frame,phase,phase_name), or stretches and moments (start,end,name; times in seconds or m:ss; no
    end: a moment). What lies outside the match stays unlabelled. Several labelled videos vote and give better labels
    than one: name them all before B. With -o, FILE.csv has the same form, with a confidence for every label.

    Labelled videos that cannot be read are named and left out (exit status 1). Run the same command again to go on
    after an interruption: finished alignments are kept in the cache.

    \b
    Examples:
      lac transfer labelled.mp4 new.mp4 --labels labelled.csv -o new.csv
      lac transfer one.mp4 two.mp4 new.mp4 --labels one.csv --labels two.csv -o new.csv
    """
    if len(labels) != len(references):
        raise click.UsageError(
            f"{len(labels)} --labels for {len(references)} labelled videos; give one for each, in the same order"
        )
    if out is not None:
        from lactoolkit.video.replacing_file import check_file

        check_file(out, ".csv", overwrite=overwrite, inputs=labels)
    from lactoolkit.alignment.transfer import transfer_labels
    from lactoolkit.report.transferred_labels import transfer_document, write_transferred_labels

    progress = wants_progress(quiet)
    with compilation_notice(progress):
        result = transfer_labels(references, video, labels, workers=workers, progress=progress, **embedding)
    if out is not None:
        write_transferred_labels(result, out)
    if as_json:
        from lactoolkit.report.alignment_json import dump_document

        click.echo(dump_document(transfer_document(result)), nl=False)
    else:
        click.echo("\n\n".join(_describe(result, out, quiet)))
    report_failures(result.failed)
    if fail_on_none and not result.significant:
        raise click.exceptions.Exit(_NOT_ALIGNED)


def _describe(result: TransferredLabels | TransferredIntervals, out: Path | None, quiet: bool) -> list[str]:
    from lactoolkit.alignment.transfer import TransferredLabels
    from lactoolkit.report.text import distinct_names

    rows = []
    names = distinct_names(one.a.path for one in result.alignments)
    for name, one, used in zip(names, result.alignments, result.used, strict=True):
        chance = f"{one.hits[0].p_value:.2g}" if one.hits else "1"
        rows.append([click.format_filename(name), one.verdict + ("" if used else ", left out"), chance])
    paragraphs = [format_table(["labelled video", "match with B", "p"], rows, right=(2,))]
    paragraphs.append(_frame_table(result) if isinstance(result, TransferredLabels) else _interval_table(result))
    if out is not None:
        paragraphs.append(f"Written to {click.format_filename(out)}")
    elif not quiet:
        paragraphs.append("Add -o FILE.csv for the labels as a file.")
    return paragraphs


def _frame_table(result: TransferredLabels) -> str:
    from lactoolkit.report.transferred_labels import label_segments

    rows = [
        [str(one["phase"]), one["name"], str(one["first_frame"]), str(one["last_frame"]), f"{one['confidence']:.2f}"]
        for one in label_segments(result)
    ]
    missing = int((result.labels.phases < 0).sum())
    table = format_table(["phase", "name", "first frame", "last frame", "confidence"], rows, right=(0, 2, 3, 4))
    return f"{table}\n{missing} of {len(result.labels)} frames of B have no label."


def _interval_table(result: TransferredIntervals) -> str:
    from lactoolkit.video.timecode import format_timecode

    rows = []
    for one in result.intervals:
        cells = [one.name]
        for time, sure in ((one.start, one.start_confidence), (one.end, one.end_confidence)):
            cells += ["" if time is None else format_timecode(time), "" if sure is None else f"{sure:.2f}"]
        rows.append(cells)
    missing = sum(one.start is None for one in result.intervals)
    table = format_table(["name", "start", "confidence", "end", "confidence"], rows, right=(1, 2, 3, 4))
    return f"{table}\n{missing} of {len(result.intervals)} begin outside the match." if missing else table
