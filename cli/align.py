"""`lac align`: two videos in, matching frames out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .align_many import align_many, many_videos_options
from .notices import compilation_notice
from .options import (
    TIME,
    check_viewer_options,
    embedding_options,
    export_epilog,
    export_option,
    report_options,
    video_path,
    wants_progress,
)
from .tables import format_table

if TYPE_CHECKING:
    from lactoolkit.alignment.many import PairJob
    from lactoolkit.alignment.result import Alignment, Hit
    from lactoolkit.video.intervals import NamedInterval
    from lactoolkit.video.labels import FrameLabels

_SAMPLES = 10
_GAPS, _GAP_SECONDS = 5, 0.5  # gaps printed at most, and their least length
_NOT_ALIGNED = 3  # exit status of --fail-on-none


@click.command(epilog=export_epilog(), short_help="Match the frames of two videos, or of many with one.")
@click.argument("videos", nargs=-1, type=video_path(), metavar="A B [MORE...]")
@report_options("lac align")
@embedding_options
@click.option("--start-a", type=TIME, help="Leave out what comes before this time in A (62.5 or 1:02.5).")
@click.option("--end-a", type=TIME, help="Leave out what comes from this time on in A.")
@click.option("--start-b", type=TIME, help="Leave out what comes before this time in B.")
@click.option("--end-b", type=TIME, help="Leave out what comes from this time on in B.")
@click.option(
    "--hits",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="K",
    help="Look for the K best stretches: repetitions, and parts in another order.",
)
@export_option
@click.option("--audio", "sound", is_flag=True, help="Give the exports warped and overlay, on A's clock, A's sound.")
@click.option("--html", is_flag=True, help="Add viewer.html, a page that plays both videos in step (needs -o).")
@click.option("--embed", is_flag=True, help="Put the videos into viewer.html, to pass it on as one file.")
@click.option(
    "--labels-a", type=click.Path(path_type=Path), metavar="FILE.csv", help="Labels of A to show in viewer.html."
)
@click.option(
    "--labels-b", type=click.Path(path_type=Path), metavar="FILE.csv", help="Labels of B to show in viewer.html."
)
@many_videos_options
@click.option("--fail-on-none", is_flag=True, help="Exit with status 3 unless the verdict is `aligned`.")
def align(
    videos: tuple[Path, ...],
    out: Path | None,
    as_json: bool,
    quiet: bool,
    overwrite: bool,
    start_a: float | None,
    end_a: float | None,
    start_b: float | None,
    end_b: float | None,
    hits: int,
    exports: tuple[str, ...],
    sound: bool,
    html: bool,
    embed: bool,
    labels_a: Path | None,
    labels_b: Path | None,
    pair_list: Path | None,
    workers: int,
    fail_on_none: bool,
    **embedding: Any,
) -> None:
    """Find the stretch of video A that matches a stretch of video B, frame by frame.

    A and B show the same process, such as two golf swings or two runs of a robot, at any speed and with anything
    before and after it. Prints where the match lies, and whether it is better than chance: aligned (p < 0.05), weak
    (p < 0.2) or not alignable. With -o, FOLDER receives pairs.csv (matched frames),
    alignment.json (everything else), similarity.png and side_by_side.mp4 (both videos playing in step); with --html
    also viewer.html, a page to open in a browser: both videos in step, the similarity map, confidence and lists.

    More than two videos are all aligned with the first: FOLDER receives such a folder for each, summary.csv and
    grid.mp4, all of them (36 at most) on the clock of the first. With --pairs, the pairs of a list are aligned. Run the
    same command again to go on after an interruption.

    \b
    Examples:
      lac align first_swing.mp4 second_swing.mp4
      lac align first_swing.mp4 second_swing.mp4 -o swings --start-b 1:02.5
      lac align one_squat.mp4 set_of_ten.mp4 --hits 10
      lac align reference.mp4 take1.mp4 take2.mp4 take3.mp4 -o takes --workers 2
      lac align --pairs pairs.csv -o results
      lac align first_swing.mp4 second_swing.mp4 -o swings --html --export overlay,otio
    """
    if exports and out is None:
        raise click.UsageError("--export needs -o FOLDER, the folder to write into.")
    if sound and not {"warped", "overlay"} & set(exports):
        raise click.UsageError("--audio goes with --export warped or --export overlay: it gives them A's sound.")
    check_viewer_options(html, embed, out)
    if (labels_a or labels_b) and not html:
        raise click.UsageError("--labels-a and --labels-b go with --html: viewer.html shows them.")
    progress = wants_progress(quiet)
    if pair_list is not None or len(videos) > 2:
        if labels_a or labels_b:
            raise click.UsageError("--labels-a and --labels-b are for two videos.")
        jobs = _jobs(videos, pair_list, start_a, end_a, start_b, end_b)
        align_many(
            jobs,
            out,
            grid=pair_list is None,
            as_json=as_json,
            quiet=quiet,
            fail_on_none=fail_on_none,
            exports=exports,
            sound=sound,
            html=html,
            embed=embed,
            overwrite=overwrite,
            workers=workers,
            progress=progress,
            hits=hits,
            **embedding,
        )
        return
    if len(videos) != 2:
        raise click.UsageError("name two videos or more, or a list of pairs (--pairs)")
    a, b = videos
    if out is not None:
        from lactoolkit.report.bundle import check_output

        check_output(out, exports=exports, overwrite=overwrite)
    labels = _read_labels(labels_a, a), _read_labels(labels_b, b)
    from lactoolkit.alignment.align import align_videos

    with compilation_notice(progress):
        alignment = align_videos(
            a,
            b,
            start_a=start_a,
            end_a=end_a,
            start_b=start_b,
            end_b=end_b,
            progress=progress,
            hits=hits,
            **embedding,
        )
    if out is not None:
        from lactoolkit.report.bundle import write_report

        write_report(
            alignment,
            out,
            exports=exports,
            sound=sound,
            html=html,
            embed=embed,
            labels=labels,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        from lactoolkit.report.alignment_json import alignment_document, dump_document

        click.echo(dump_document(alignment_document(alignment, pairs=True)), nl=False)
    else:
        click.echo("\n\n".join(_describe(alignment, out, quiet)))
    if fail_on_none and not alignment.significant:
        raise click.exceptions.Exit(_NOT_ALIGNED)


def _read_labels(path: Path | None, video: Path) -> FrameLabels | list[NamedInterval]:
    if path is None:
        return []
    from lactoolkit.video.intervals import read_annotation
    from lactoolkit.video.labels import FrameLabels, check_own_labels

    labels = read_annotation(path)
    if isinstance(labels, FrameLabels):
        check_own_labels(path, labels, video)
    return labels


def _jobs(
    videos: tuple[Path, ...],
    pair_list: Path | None,
    start_a: float | None,
    end_a: float | None,
    start_b: float | None,
    end_b: float | None,
) -> list[PairJob]:
    from lactoolkit.alignment.many import read_pairs, star_jobs
    from lactoolkit.video.decoding import probe

    if pair_list is None:
        if start_b is not None or end_b is not None:
            raise click.UsageError("--start-b and --end-b are for two videos; with more, list them (--pairs)")
        probe(videos[0])  # if the reference cannot be read, that is said once
        return star_jobs(videos[0], videos[1:], start=start_a, end=end_a)
    if videos:
        raise click.UsageError("name videos or give a list of pairs (--pairs), not both")
    if any(time is not None for time in (start_a, end_a, start_b, end_b)):
        raise click.UsageError("with --pairs, ranges are columns of the list: start_a, end_a, start_b, end_b")
    return read_pairs(pair_list)


def _describe(alignment: Alignment, out: Path | None, quiet: bool) -> list[str]:
    """Paragraphs for the reader."""
    paragraphs = [_verdict(alignment)]
    if len(alignment.hits) > 1:
        paragraphs += [_hit_table(alignment), _chain_line(alignment)]
    elif alignment.hits:
        paragraphs += [_interval_table(alignment), _summary(alignment.hits[0])]
        if out is None:
            paragraphs.append(_sample_table(alignment.hits[0]))
    if out is not None:
        from lactoolkit.report.bundle import report_listing

        paragraphs.append(f"Written to {click.format_filename(out)}: {', '.join(report_listing(out))}")
    elif not quiet:
        paragraphs.append("Add -o FOLDER for all pairs, a picture and a video of both playing in step.")
    return paragraphs


def _verdict(alignment: Alignment) -> str:
    if not alignment.hits:
        verdict = "Not alignable: no match found."
    else:
        chance = f"p = {alignment.hits[0].p_value:.2g}"
        verdict = {
            "aligned": f"Aligned: A and B match, better than chance ({chance}).",
            "weak": f"Weak: A and B may match, but chance does as well ({chance}).",
            "not alignable": f"Not alignable: no match better than chance ({chance}). "
            "The best candidate, for inspection only:",
        }[alignment.verdict]
    return f"{verdict}\nNote: {alignment.note}" if alignment.note else verdict


def _hit_table(alignment: Alignment) -> str:
    from lactoolkit.video.timecode import format_timecode

    rows = []
    for number, (hit, role) in enumerate(zip(alignment.hits, alignment.roles, strict=True), start=1):
        spans = [
            f"{format_timecode(float(times[0]))} - {format_timecode(float(times[-1]))}"
            for times in (hit.times_a, hit.times_b)
        ]
        figures = [f"{hit.mean_confidence:.2f}", f"{hit.pacing:.2f}", f"{hit.p_value:.2g}", _about(hit.e_value)]
        rows.append([str(number), *spans, str(len(hit)), *figures, "" if role == "chain" else role])
    header = ["hit", "A", "B", "pairs", "confidence", "pacing", "p", "by chance", ""]
    return format_table(header, rows, right=(0, 3, 4, 5, 6, 7))


def _about(number: float) -> str:
    """One significant digit, without an exponent from 1 to a hundred thousand."""
    return f"{float(f'{number:.1g}'):g}"


def _chain_line(alignment: Alignment) -> str:
    numbers = ", ".join(str(position + 1) for position in alignment.chain)
    return (
        f"In one order in both videos: hit{'s' if len(alignment.chain) > 1 else ''} {numbers}. "
        '"By chance": how many hits as high to expect when blocks of frames are shuffled.'
    )


def _interval_table(alignment: Alignment) -> str:
    from lactoolkit.report.text import distinct_names
    from lactoolkit.video.timecode import format_timecode

    hit = alignment.hits[0]
    rows = []
    names = distinct_names((alignment.a.path, alignment.b.path))
    for letter, name, times, frames in (
        ("A", names[0], hit.times_a, hit.frames_a),
        ("B", names[1], hit.times_b, hit.frames_b),
    ):
        rows.append(
            [
                letter,
                format_timecode(float(times[0])),
                str(frames[0]),
                format_timecode(float(times[-1])),
                str(frames[-1]),
                f"{times[-1] - times[0]:.3f} s",
                click.format_filename(name),
            ]
        )
    return format_table(["", "start", "frame", "end", "frame", "length", "video"], rows, right=(1, 2, 3, 4, 5))


def _summary(hit: Hit) -> str:
    pairs = "1 matched pair" if len(hit) == 1 else f"{len(hit)} matched pairs"
    # A single pair takes no time, so it has no pacing.
    pacing = f"\nPacing {hit.pacing:.2f}: B takes {hit.pacing:.2f} s for each second of A" if len(hit) > 1 else ""
    return f"{pairs}, mean confidence {hit.mean_confidence:.2f}{pacing}{_gap_lines(hit)}"


def _gap_lines(hit: Hit) -> str:
    """The longest runs of frames without a counterpart, in the order of time; short ones are a matter of pace."""
    from lactoolkit.video.timecode import format_timecode

    long = [gap for gap in hit.gaps if gap.last_time - gap.first_time >= _GAP_SECONDS]
    longest = sorted(long, key=lambda gap: gap.first_time - gap.last_time)[:_GAPS]
    return "".join(
        f"\nOnly in {gap.video.upper()}: {format_timecode(gap.first_time)} - {format_timecode(gap.last_time)}"
        for gap in long
        if gap in longest
    )


def _sample_table(hit: Hit) -> str:
    from lactoolkit.video.timecode import format_timecode

    count = min(_SAMPLES, len(hit))
    positions = [round(k * (len(hit) - 1) / max(count - 1, 1)) for k in range(count)]
    rows = [
        [
            format_timecode(float(hit.times_a[k])),
            str(hit.frames_a[k]),
            format_timecode(float(hit.times_b[k])),
            str(hit.frames_b[k]),
            f"{hit.confidence[k]:.2f}",
        ]
        for k in positions
    ]
    return format_table(["A time", "frame", "B time", "frame", "confidence"], rows, right=range(5))
