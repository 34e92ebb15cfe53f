"""How well are real videos aligned? Measures encoders on people before real cameras and prints a Markdown report.

    python benchmarks/real_videos.py DATA [ENCODER ...] [--trained RUNS] > benchmarks/results/real_videos.md

DATA/real/ holds walking_multiview/cam0?.mp4 (one walk before four synchronised cameras), grid_speech/*.mpg with
align/NAME.align (start, end and word, in thousandths of a frame), baseball_pitch/ and squat/ (events below). Encoders
are names or checkpoints; the default is lite0, without training. RUNS/FOLDER/best.pt, from `lac train DATA/real/FOLDER
-o RUNS/FOLDER`, is measured on the videos of that folder, from which it has learnt without labels. The alignment's
settings are the defaults.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lactoolkit import __version__, align_embeddings, embed_video, evaluate
from lactoolkit.evaluation import EvaluationResult
from lactoolkit.evaluation.alignment_metrics import linear_stretch
from lactoolkit.features.video_embeddings import VideoEmbeddings
from lactoolkit.video.datasets import VideoRecord
from lactoolkit.video.decoding import probe, read_frames
from lactoolkit.video.encoding import VideoWriter
from lactoolkit.video.labels import phase_labels, write_labels

# Frames of the walk (100) that a resampled video shows, one after the other.
WARPS = {
    "as it is": np.arange(100),
    "first half twice as fast": np.r_[0:50:2, 50:100],
    "pause of 20 frames": np.r_[0:45, np.full(20, 45), 45:100],
    "frames 25 to 84, slower at the end": np.r_[25:65, np.repeat(np.arange(65, 85), 2)],
}
SPEECH = ("command", "colour", "preposition", "letter", "digit", "adverb")
# First frames of the phases and the first frame behind the last one (None: the end of the video); +-2 frames, +-3 to 6.
PITCHES = {"videos7_1": (0, 19, 26, None), "videos7_2": (0, 25, 32, None), "videos7_3": (0, 25, 32, None)}
SQUATS = {"eti_squat_good": (3, 52, 79), "eti_squat_bad": (4, 33, 60)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoders", nargs="*", metavar="ENCODER")
    parser.add_argument("--trained", type=Path, metavar="RUNS")
    arguments = parser.parse_args()
    encoders, real = arguments.encoders or ["lite0"], arguments.data / "real"
    asked = " ".join(["DATA", *encoders, *(["--trained RUNS"] if arguments.trained else [])])

    def encoders_of(folder: str) -> dict[str, str]:
        """Name and encoder of all methods to measure on the videos of a folder."""
        trained = {"trained on them": str(arguments.trained / folder / "best.pt")} if arguments.trained else {}
        return {**{one: one for one in encoders}, **trained}

    print(f"# Real videos\n\nlactoolkit {__version__}; `python benchmarks/real_videos.py {asked}`\n")
    with tempfile.TemporaryDirectory() as folder:
        resampled = list(write_resampled(real / "walking_multiview", Path(folder)))
        report_walk(resampled, encoders_of("walking_multiview"))
    with tempfile.TemporaryDirectory() as folder:
        pitches, squats = real / "baseball_pitch", real / "squat"
        print_events_header()
        report_events(
            "speech, words", list(speech_records(real / "grid_speech", Path(folder))), encoders_of("grid_speech")
        )
        records = list(event_records(pitches, PITCHES, ("wind-up", "stride", "release"), Path(folder)))
        report_events("pitches, foot plant and release", records, encoders_of(pitches.name))
        records = list(event_records(squats, SQUATS, ("down", "up"), Path(folder)))
        report_events("squats, bottom", records, encoders_of(squats.name))


def write_resampled(source: Path, folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Camera, warp and file of every resampled walk."""
    cameras = sorted(source.glob("cam*.mp4"))
    for camera, (name, frames) in tqdm(list(itertools.product(cameras, WARPS.items())), desc="resampling"):
        if name == "as it is":
            yield camera.stem, name, camera
            continue
        info = probe(camera)
        height, width = info.height // 2, info.width // 2
        pictures = np.concatenate([batch.images for batch in read_frames(camera, size=(height, width))])
        path = folder / f"{camera.stem}_{len(frames)}_{frames[0]}.mp4"
        with VideoWriter(path, info.frame_rate, width, height) as writer:
            for frame in frames:
                writer.write(pictures[frame])
        yield camera.stem, name, path


def report_walk(videos: list[tuple[str, str, Path]], encoders: dict[str, str]) -> None:
    print("## One walk, four cameras, known resamplings\n")
    print(
        "A video of one camera against a resampled one: by how many frames of the original's 60 per second a matched "
        "pair is off, mean and median over pairs; the share within 3 frames; how much of what both show is matched.\n"
    )
    print("| camera | resampling | method | mean error | median | within 3 | matched |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    measured: set[tuple[str, str, str]] = set()
    for name, encoder in encoders.items():
        embedded = {(camera, warp): embed_video(path, encoder) for camera, warp, path in tqdm(videos, desc=name)}
        cameras = sorted({camera for camera, _, _ in videos})
        for (kind, same), warp in itertools.product((("same", True), ("other", False)), WARPS):
            if same and warp == "as it is":
                continue
            pairs = [(a, b) for a, b in itertools.product(cameras, repeat=2) if (a == b) == same]
            for method in (name, "linear stretch"):
                if (kind, warp, method) in measured:
                    continue
                measured.add((kind, warp, method))
                errors, matched = [], []
                for a, b in pairs:
                    path = match(embedded[a, "as it is"], embedded[b, warp], method)
                    errors.append(np.abs(path[:, 0] - WARPS[warp][path[:, 1]]))
                    shown = np.unique(WARPS[warp])
                    matched.append(np.isin(shown, path[:, 0]).mean())
                joined = np.concatenate(errors)
                print(
                    f"| {kind} | {warp} | {method} | {joined.mean():.1f} | {np.median(joined):.1f} | "
                    f"{(joined <= 3).mean():.2f} | {np.mean(matched):.2f} |",
                    flush=True,
                )


def match(a: VideoEmbeddings, b: VideoEmbeddings, method: str) -> np.ndarray:
    if method == "linear stretch":
        return linear_stretch(len(a), len(b))
    hit = align_embeddings(a, b).hits[0]
    return np.stack([hit.frames_a, hit.frames_b], axis=1)


def speech_records(source: Path, folder: Path) -> Iterator[VideoRecord]:
    """The six words of every sentence, in one order always; silence is background."""
    for path in sorted(source.glob("*.mpg")):
        phases = np.full(count_frames(path), -1)
        for word, (start, end) in enumerate(words_of(path)):
            phases[start:end] = word
        yield labelled(path, phases, SPEECH, folder, "speech")


def words_of(path: Path) -> list[tuple[int, int]]:
    """First frame of each word of a sentence, and the first frame behind it."""
    lines = [line.split() for line in (path.parent / "align" / f"{path.stem}.align").read_text().splitlines()]
    return [
        (round(int(start) / 1000), round(int(end) / 1000)) for start, end, word in lines if word not in ("sil", "sp")
    ]


def event_records(
    source: Path, events: dict[str, tuple[int | None, ...]], names: tuple[str, ...], folder: Path
) -> Iterator[VideoRecord]:
    for stem, marks in events.items():
        path = source / f"{stem}.mp4"
        phases = np.full(count_frames(path), -1)
        for phase, (start, end) in enumerate(itertools.pairwise(marks)):
            phases[start:end] = phase
        yield labelled(path, phases, names, folder, source.name)


def count_frames(path: Path) -> int:
    return int(embed_video(path).frames[-1]) + 1


def labelled(path: Path, phases: np.ndarray, names: tuple[str, ...], folder: Path, class_name: str) -> VideoRecord:
    labels = folder / f"{path.stem}.csv"
    write_labels(phase_labels(phases.tolist(), names), labels)
    return VideoRecord(path, "", class_name, labels)


def print_events_header() -> None:
    print("\n## Events and words\n")
    print(
        "Measured as by `lac evaluate` (`docs/evaluation.md`), tau on cores; errors in native frames; "
        "phases are the words of a sentence, or lie between events. Brackets: 95 % bootstrap intervals over videos, "
        "where there are 3 or more.\n"
    )
    print(
        "| videos | pairs | method | tau | agreement, cores | agreement | AP@5 | boundary error | median | core IoU |"
    )
    print("| --- |" + " --- |" * 9)


def report_events(name: str, records: list[VideoRecord], encoders: dict[str, str]) -> None:
    shown: set[str] = set()
    for title, encoder in encoders.items():
        result = evaluate(encoder, records, pairs=100, progress=True)
        for method in result.methods:
            if method in shown or method == "untrained lite0":
                continue
            shown.add(method)
            columns = ("phase_agreement", "ap_5", "boundary_error", "boundary_error_median", "core_iou")
            cells = [cell(result, one, "core", method) for one in ("tau", "phase_agreement")]
            cells += [cell(result, one, "whole", method) for one in columns]
            pairs = result.settings["pairs_aligned"]["all"]
            shown_as = title if method == result.method else method
            print(f"| {name} ({len(records)}) | {pairs} | {shown_as} | {' | '.join(cells)} |", flush=True)


def cell(result: EvaluationResult, metric: str, frames: str, method: str) -> str:
    """A figure and its interval; without any background in the videos, the whole is the core."""
    found = {
        one.frames: one
        for one in result.figures
        if (one.metric, one.method, one.class_name, one.distractor) == (metric, method, "mean", "any")
    }
    one = found.get(frames, found.get("whole"))
    if one is None:
        return ""
    digits = 1 if metric.startswith("boundary") else 2
    return f"{one.value:.{digits}f}" + (f" [{one.low:.{digits}f}, {one.high:.{digits}f}]" if one.low == one.low else "")


if __name__ == "__main__":
    main()
