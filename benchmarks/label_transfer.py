"""How right are labels carried over from other videos? Measures it on labelled videos and prints a Markdown report.

    python benchmarks/label_transfer.py DATA > benchmarks/results/label_transfer.md

DATA/sim/TASK/ holds videos/*.mp4 and labels/*.csv with *.json (episode, camera, split). Every `val` video is labelled
by others of the same task and camera, without training: by each other `val` video alone, by several of them, and by
`train` videos. Features are extracted on the first run and cached.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lactoolkit import __version__, embed_video
from lactoolkit.alignment.align import describe_video
from lactoolkit.alignment.confidence import tolerance_frames
from lactoolkit.alignment.evidence import Evidence
from lactoolkit.alignment.hits import find_paths, make_hit
from lactoolkit.alignment.result import Alignment
from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.alignment.significance import Measurements
from lactoolkit.alignment.tables import similarity_table
from lactoolkit.alignment.transfer import carry_frame_labels, carry_times
from lactoolkit.evaluation.alignment_metrics import linear_stretch, near_boundary, shared_boundaries
from lactoolkit.features.video_embeddings import VideoEmbeddings
from lactoolkit.video.labels import FrameLabels, read_labels

SETTINGS = AlignmentSettings()
TASKS = ("pick_place", "drawer_open", "hammer", "coffee_push")
NEAR = 3  # frames beside a boundary
_UNKNOWN = Evidence(1.0, 1.0, Measurements(0, 0, 0, 0, 0, 1.0))


@dataclass(frozen=True)
class Labelled:
    video: VideoEmbeddings
    labels: FrameLabels
    split: str


def main(data: Path) -> None:
    figures: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    said: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    moments: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for task in TASKS:
        for camera in ("camA", "camB"):
            videos = list(load(data / "sim" / task, camera))
            train = [one for one in videos if one.split == "train"]
            held_out = [one for one in videos if one.split == "val"]
            for target in held_out:
                others = [one for one in held_out if one is not target]
                pairs = {id(one): align(one.video, target.video) for one in (*others, *train)}
                cases = [("1 val video", [one]) for one in others]
                cases += [(f"{n} val videos", others[k : k + n]) for n in (3, 7) for k in range(0, 7 - n + 1, n)]
                cases += [(f"{n} train videos", train[k : k + n]) for n in (1, 3, 7, 16) for k in range(0, 17 - n, n)]
                for name, references in cases:
                    chosen = [pairs[id(one)] for one in references]
                    labels, sure = carry_frame_labels(chosen, [one.labels for one in references], len(target.labels))
                    figures[name, task].append(measure(labels.phases, target))
                    found = labels.phases >= 0
                    said[name].append((sure[found], (labels.phases == target.labels.phases)[found]))
                for one in others:
                    figures["linear stretch, 1 val video", task].append(measure(stretched(one, target), target))
                    report_moments(moments, pairs[id(one)], one, target)
    print(f"# Label transfer\n\nlactoolkit {__version__}; `python benchmarks/label_transfer.py DATA`\n")
    print_figures(figures)
    print_reliability(said)
    print_moments(moments)


def load(folder: Path, camera: str) -> Iterable[Labelled]:
    for path in sorted((folder / "labels").glob(f"*_{camera}.json")):
        about = json.loads(path.read_text())
        video = embed_video(folder / "videos" / f"{path.stem}.mp4", preview=True)
        yield Labelled(video, read_labels(path.with_suffix(".csv")), about["split"])


def align(a: VideoEmbeddings, b: VideoEmbeddings) -> Alignment:
    """The best hit of `align_embeddings`, without the comparison with chance that takes most of its time."""
    table = similarity_table(a.values, b.values, SETTINGS)
    (path,) = find_paths(table, a, b, 1)
    mass = table.posterior_near(path, [], tolerance_frames(30))
    hit = make_hit(path, table.at(path), mass, _UNKNOWN, a, b)
    return Alignment(describe_video(a), describe_video(b), np.zeros((1, 1), np.float32), (hit,))


def stretched(reference: Labelled, target: Labelled) -> np.ndarray:
    path = linear_stretch(len(reference.labels), len(target.labels))
    nearest = np.interp(np.arange(len(target.labels)), path[:, 1], path[:, 0]).round().astype(int)
    return reference.labels.phases[nearest]


def measure(phases: np.ndarray, target: Labelled) -> list[float]:
    """Share of right labels: of those given, and of the core's frames; each also away from boundaries."""
    right, given, core = phases == target.labels.phases, phases >= 0, target.labels.in_core
    clear = ~near_boundary(target.labels.phases, NEAR)
    shares = [right[chosen].mean() for chosen in (given, given & clear)]
    shares += [(right & given)[chosen].mean() for chosen in (core, core & clear)]
    return [*map(float, shares), float(given[core].mean())]


def report_moments(
    moments: dict[str, list[tuple[float, float]]], pair: Alignment, reference: Labelled, target: Labelled
) -> None:
    """Boundaries carried over as moments: confidence and error in seconds, by where they lie on the path."""
    shared = shared_boundaries(reference.labels.phases, target.labels.phases)
    if shared is None:
        return
    times, sure = carry_times(pair, reference.video.times[shared[0]])
    hit = pair.hits[0]
    for time, confidence, frame, expected in zip(times, sure, *shared, strict=True):
        if np.isfinite(time):
            k = min(int(np.searchsorted(hit.frames_a, frame, side="right")) - 1, len(hit) - 2)
            on_pair = frame in hit.frames_a
            passed = max(np.diff(hit.times_a)[k], np.diff(hit.times_b)[k])
            where = "at a pair" if on_pair else "in a gap up to 0.2 s" if passed <= 0.2 else "in a longer gap"
            moments[where].append((float(confidence), abs(float(time - target.video.times[expected]))))


def print_figures(figures: dict[tuple[str, str], list[list[float]]]) -> None:
    print(
        f"Share of right phases, without training (lite0), same camera; mean over tasks, and `labels` of each task. "
        f"`labels`: of the frames that received one. `core`: of all frames of the process; one without a label is "
        f"wrong. `clear`: without the {NEAR} frames on either side of a true boundary. `covered`: frames of the "
        "process that received a label.\n"
    )
    print(f"| labelled by | labels | labels, clear | core | core, clear | covered | {' | '.join(TASKS)} |")
    print("| --- |" + " --- |" * (5 + len(TASKS)))
    for name in dict.fromkeys(name for name, _ in figures):
        by_task = [np.mean(figures[name, task], axis=0) for task in TASKS]
        cells = [f"{value:.3f}" for value in np.mean(by_task, axis=0)] + [f"{one[0]:.3f}" for one in by_task]
        print(f"| {name} | {' | '.join(cells)} |")


def print_reliability(said: dict[str, list[tuple[np.ndarray, np.ndarray]]]) -> None:
    print("\n## Confidence of labels\n\nShare of right labels (and their number) by what the confidence said.\n")
    edges = np.linspace(0, 1, 6)
    print(f"| labelled by | {' | '.join(f'{a:.1f}-{b:.1f}' for a, b in itertools.pairwise(edges))} |")
    print("| --- |" + " --- |" * 5)
    for name, parts in said.items():
        sure, right = (np.concatenate(one) for one in zip(*parts, strict=True))
        bins = np.minimum((sure * 5).astype(int), 4)
        cells = [f"{right[bins == k].mean():.2f} ({(bins == k).sum()})" if (bins == k).any() else "" for k in range(5)]
        print(f"| {name} | {' | '.join(cells)} |")


def print_moments(moments: dict[str, list[tuple[float, float]]]) -> None:
    print("\n## Moments\n\nPhase boundaries carried over as moments, by each other `val` video.\n")
    print("| where | number | mean confidence | within 0.1 s | mean error (s) | median |")
    print("| --- | --- | --- | --- | --- | --- |")
    for where, each in sorted(moments.items()):
        sure, error = np.array(each).T
        print(
            f"| {where} | {len(each)} | {sure.mean():.2f} | {(error <= 0.1).mean():.2f} | {error.mean():.3f} | "
            f"{np.median(error):.3f} |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
