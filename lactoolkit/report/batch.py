"""Many alignments in one folder: a report for each pair, a table of all, resumable."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from lactoolkit.alignment.many import PairJob, align_pairs, without_matrix
from lactoolkit.alignment.result import AlignedVideo, Alignment
from lactoolkit.errors import OutputError, VideoError
from lactoolkit.features.tally import Tally, noted_when_interrupted
from lactoolkit.features.video_embeddings import embedding_identity
from lactoolkit.report.alignment_json import alignment_document, dump_document, plain
from lactoolkit.report.bundle import write_report
from lactoolkit.report.exports import check_exports
from lactoolkit.report.grid_video import GridPanel, write_grid_video
from lactoolkit.report.playback import SMOOTH_RATE
from lactoolkit.video.csv_table import replacing_text
from lactoolkit.video.decoding import probe
from lactoolkit.video.digest import file_sha256
from lactoolkit.video.replacing_file import replacing_path

FORMAT_NAME = "lactoolkit-batch"
SUMMARY_COLUMNS = (
    *("name", "status", "verdict", "p_value", "a", "b", "start_a", "end_a", "start_b", "end_b"),
    *("pairs", "confidence", "pacing", "message"),
)
Status = Literal["done", "kept", "failed", "left"]


@dataclass(frozen=True)
class PairReport:
    """What is known about one pair of a batch.

    Parameters
    ----------
    job : PairJob
        The pair.
    status : {"done", "kept", "failed", "left"}
        Aligned now, found from an earlier run, could not be aligned, or not reached.
    document : dict or None
        Its alignment as :func:`lactoolkit.report.alignment_json.alignment_document` describes it, with pairs.
    message : str
        Why it failed.
    """

    job: PairJob
    status: Status
    document: dict[str, Any] | None = None
    message: str = ""

    def row(self) -> dict[str, Any]:
        """Its line in ``summary.csv``; times in seconds, None where there is nothing to say."""
        row: dict[str, Any] = dict.fromkeys(SUMMARY_COLUMNS)
        row |= {"name": self.job.name, "status": self.status, "a": str(self.job.a), "b": str(self.job.b)}
        row["message"] = self.message
        if self.document is not None:
            row |= {"verdict": self.document["verdict"], "p_value": self.document["p_value"]}
            if self.document["hits"]:
                hit = self.document["hits"][0]
                for side in ("a", "b"):
                    row |= {f"start_{side}": hit[side]["start"], f"end_{side}": hit[side]["end"]}
                row |= {"pairs": hit["pairs"], "confidence": hit["mean_confidence"], "pacing": hit["pacing"]}
        return row


def run_batch(
    jobs: Sequence[PairJob],
    out: str | Path | None = None,
    *,
    grid: bool = False,
    exports: Sequence[str] = (),
    sound: bool = False,
    html: bool = False,
    embed: bool = False,
    overwrite: bool = False,
    workers: int = 1,
    progress: bool = False,
    **options: Any,
) -> list[PairReport]:
    """Align many pairs and write a report of each; run again, it goes on where it was interrupted.

    ``out`` receives a folder for each pair, named after it, with the files of :func:`lactoolkit.write_report`;
    ``summary.csv``, one line for each pair, renewed after every pair; ``batch.json``, the same with what was asked for;
    and on request ``grid.mp4``, all videos on the clock of the reference.

    Parameters
    ----------
    jobs : sequence of PairJob
        The pairs.
    out : path, optional
        The folder; one of an interrupted or finished batch with the same options is continued: pairs whose report is
        there, of the same two files, are kept.
    grid : bool
        Whether to write ``grid.mp4``; all pairs have the same video A then.
    exports, sound, html, embed
        As for :func:`lactoolkit.write_report`.
    overwrite : bool
        Align all pairs anew, and allow ``out`` to be a batch with other options.
    workers : int
        Processes side by side.
    progress : bool
        Show a progress bar on stderr.
    **options
        Passed to :func:`lactoolkit.align_videos`: ``encoder``, ``frame_rate``, ``hits``, ...

    Returns
    -------
    list of PairReport
        In the order of the jobs.

    Raises
    ------
    OutputError
        If ``out`` is something else, was made with other options, or cannot be written.
    EncoderError, CheckpointError
        If the encoder cannot be used.
    ParameterError, MissingDependencyError
        If an export is unknown or needs a package that is not installed.
    """
    check_exports(exports)
    identity = embedding_identity(options.get("encoder", "lite0"), options.get("weights"))
    extra: dict[str, Any] = {"exports": list(exports), "sound": sound, "html": html, "embed": embed}
    asked = plain({**options, **extra, "encoder_identity": identity})
    reports: dict[str, PairReport] = {job.name: PairReport(job, "left") for job in jobs}
    folder = None if out is None else _open_batch(Path(out), asked, overwrite)
    if folder is not None and not overwrite:
        for job in jobs:
            kept = _read_report(folder / job.name, job)
            if kept is not None:
                reports[job.name] = PairReport(job, "kept", kept)
    waiting = [job for job in jobs if reports[job.name].status == "left"]
    finish = None if folder is None else partial(_write_pair, folder=folder, **extra)
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(waiting), desc="aligning", unit="pair", disable=not progress)
    if folder is not None:
        _write_summary(folder, asked, list(reports.values()))
    resumable = folder is not None or options.get("cache", True)
    # With one worker, the progress of a long video is worth seeing too.
    inner = progress and workers == 1
    run = align_pairs(waiting, workers=workers, finish=finish, progress=inner, **options)
    with noted_when_interrupted(lambda: tally_of(reports.values()), resumable=resumable):
        with closing(run), bar:
            for outcome in run:
                job = outcome.item
                if outcome.result is None:
                    reports[job.name] = PairReport(job, "failed", None, _one_line(outcome.error))
                else:
                    document = alignment_document(outcome.result, pairs=True)
                    reports[job.name] = PairReport(job, "kept" if outcome.kept else "done", document)
                bar.update()
                if folder is not None:
                    _write_summary(folder, asked, list(reports.values()))
        if folder is not None and grid:
            write_star_grid(list(reports.values()), folder / "grid.mp4", progress=progress)
    return list(reports.values())


def tally_of(reports: Iterable[PairReport]) -> Tally:
    """How many pairs are done, there already, failed and left."""
    found = list(reports)
    number = Counter(report.status for report in found)
    reasons = tuple(f"{report.job.name}: {report.message}" for report in found if report.status == "failed")
    return Tally("done", number["done"], number["kept"], number["failed"], number["left"], reasons)


def batch_document(reports: Sequence[PairReport]) -> dict[str, Any]:
    """Describe a batch by plain dictionaries, lists, strings and finite numbers: a row of the summary for each pair."""
    return plain({"format": FORMAT_NAME, "format_version": 1, "pairs": [report.row() for report in reports]})


def write_star_grid(reports: Sequence[PairReport], path: Path, *, progress: bool = False) -> None:
    """Write all videos of a star on the clock of their reference, from the first matched moment to the last.

    A video is dark where it shows nothing that matches. Nothing is written if no pair has a match.

    Parameters
    ----------
    reports : sequence of PairReport
        Pairs of one and the same video A.
    path : Path
        The file, replaced if it exists.
    progress : bool
        Whether to show a progress bar on stderr.
    """
    matched = [report for report in reports if report.document is not None and report.document["hits"]]
    if not matched:
        return
    lines = [(report, *_matched_times(report.document)) for report in matched if report.document is not None]
    start, end = min(float(times[0]) for _, times, _, _ in lines), max(float(times[-1]) for _, times, _, _ in lines)
    reference = _plain_video(matched[0].job.a)
    rate = min(max(reference.frame_rate, 10.0), SMOOTH_RATE)
    clock = start + np.arange(int((end - start) * rate + 1e-3) + 1) / rate  # times are rounded to microseconds
    panels = [GridPanel(reference, clock, np.ones(len(clock), bool), "reference")]
    for report, in_reference, in_video, confidence in lines:
        assert report.document is not None
        panels.append(
            GridPanel(
                _plain_video(report.job.b),
                np.interp(clock, in_reference, in_video),
                (clock >= in_reference[0] - 0.5 / rate) & (clock <= in_reference[-1] + 0.5 / rate),
                "" if report.document["verdict"] == "aligned" else report.document["verdict"],
                np.interp(clock, in_reference, confidence),
            )
        )
    with replacing_path(path) as temporary:
        write_grid_video(panels, clock, temporary, frame_rate=rate, progress=progress)


def _matched_times(document: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times in A, in B and confidences of the pairs of the chained hits, in time order."""
    chain = document["chain"]
    pairs = [pair for number in chain for pair in document["pairs"] if pair["hit"] == number]
    return tuple(np.array([pair[name] for pair in pairs], float) for name in ("time_a", "time_b", "confidence"))  # type: ignore[return-value]


def _plain_video(path: Path) -> AlignedVideo:
    """A video as a report needs it to show its original pictures."""
    info = probe(path)
    none = np.zeros(0)
    return AlignedVideo(path, "", none.astype(np.int64), none, info.frame_rate, info.width, info.height)


def _write_pair(alignment: Alignment, job: PairJob, *, folder: Path, **extra: Any) -> Alignment:
    place = folder / job.name
    write_report(alignment, place, **extra, overwrite=place.exists())
    return without_matrix(alignment)


def _open_batch(folder: Path, asked: dict[str, Any], overwrite: bool) -> Path:
    """Make the folder of a batch, or check that it is one that may be continued."""
    folder = folder.resolve()
    if folder.exists():
        before = None
        with suppress(OSError, ValueError):
            before = json.loads((folder / "batch.json").read_text(encoding="utf-8"))
        if not isinstance(before, dict) or before.get("format") != FORMAT_NAME:
            raise OutputError(f"{folder}: exists already and is no batch of alignments; choose another name")
        if before.get("asked") != asked and not overwrite:
            changed = [
                key for key in sorted({*asked, *before.get("asked", {})}) if asked.get(key) != before["asked"].get(key)
            ]
            raise OutputError(
                f"{folder}: was made with other options ({', '.join(changed)}); repeat them to go on with it, choose "
                "another name, or align all pairs anew (--overwrite)"
            )
        return folder
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror}); choose another place") from error
    _write_summary(folder, asked, [])
    return folder


def _read_report(folder: Path, job: PairJob) -> dict[str, Any] | None:
    """The document of a pair that an earlier run has aligned; None if there is none or a video has changed."""
    try:
        document = json.loads((folder / "alignment.json").read_text(encoding="utf-8"))
        asked = [document["settings"][name] for name in ("start_a", "end_a", "start_b", "end_b")]
        same = all(document["inputs"][side]["sha256"] == file_sha256(getattr(job, side)) for side in ("a", "b"))
        if not same or asked != [job.start_a, job.end_a, job.start_b, job.end_b]:
            return None
        with open(folder / "pairs.csv", encoding="utf-8", newline="") as file:
            document["pairs"] = [
                {name: int(text) if name.startswith(("hit", "frame")) else float(text) for name, text in row.items()}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError, VideoError):
        return None
    return document


def _write_summary(folder: Path, asked: dict[str, Any], reports: Sequence[PairReport]) -> None:
    with replacing_text(folder / "summary.csv") as file:
        writer = csv.DictWriter(file, SUMMARY_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(plain([report.row() for report in reports]))
    with replacing_text(folder / "batch.json") as file:
        file.write(dump_document({**batch_document(reports), "asked": asked}))


def _one_line(message: str) -> str:
    return " ".join(message.split())
