"""How often does lac compare find what was altered, and complain of correct videos? Prints a Markdown report.

    python benchmarks/deviations.py DATA > benchmarks/results/deviations.md

DATA/sim/TASK/ holds videos/*.mp4 and labels/*.json (core_start, core_end, distractor). Reference and correct videos are
`train` videos, the `val` videos are in question: as they are, and altered in the middle of the task. Alterations are
made to the features of the frames, before anything is computed over time.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lactoolkit import __version__, embed_video, extract_features
from lactoolkit.alignment.align import describe_video
from lactoolkit.alignment.deviations import KINDS, Spread, course_of
from lactoolkit.alignment.evidence import Evidence
from lactoolkit.alignment.hits import find_paths, make_hit
from lactoolkit.alignment.result import Alignment
from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.alignment.significance import Measurements
from lactoolkit.alignment.tables import similarity_table
from lactoolkit.features.embedding import frame_embeddings
from lactoolkit.features.hard_cuts import find_hard_cuts
from lactoolkit.features.video_embeddings import VideoEmbeddings

SETTINGS = AlignmentSettings()
TASKS = ("pick_place", "drawer_open", "hammer", "coffee_push")
NORMAL = (6, 15)
_UNKNOWN = Evidence(1.0, 1.0, Measurements(0, 0, 0, 0, 0, 1.0))


@dataclass(frozen=True)
class Source:
    video: VideoEmbeddings
    features: np.ndarray
    tap_sizes: tuple[int, ...]
    middle: int
    distracted: bool

    def altered(self, features: np.ndarray) -> VideoEmbeddings:
        """The video with other frames, at 30 frames per second."""
        frames = np.arange(len(features))
        values, cuts = frame_embeddings(features, self.tap_sizes), find_hard_cuts(features, self.tap_sizes, 30.0)
        return replace(self.video, values=values, frames=frames, times=frames / 30, cuts=cuts)


def main(data: Path) -> None:
    print(f"# Deviations\n\nlactoolkit {__version__}; `python benchmarks/deviations.py DATA`\n")
    print(
        "Share of videos with any stretch listed (p < 0.05), and with one where the alteration is (within 0.3 s). Of "
        "videos as they are, the first is that of false alarms. The correct videos differ in pace by a factor of two "
        "and pause for up to a third of a second themselves.\n"
    )
    print(f"| correct videos | camera | alteration | videos | any | at its place | {' | '.join(KINDS)} |")
    print("| --- |" + " --- |" * (5 + len(KINDS)))
    for number in NORMAL:
        for camera in ("camA", "camB"):
            report(data / "sim", camera, number)


def report(folder: Path, camera: str, number: int) -> None:
    found: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    kinds: dict[str, list[str]] = defaultdict(list)
    for task in tqdm(TASKS, desc=f"{camera}, {number} correct videos"):
        train = sorted((load(folder / task, episode, camera) for episode in range(16)), key=lambda one: one.distracted)
        reference, *correct = train[: number + 1]
        times = reference.video.times
        spread = Spread([course_of(align(reference.video, one.video)) for one in correct], times)
        stranger = load(folder / ("hammer" if task == "drawer_open" else "drawer_open"), 3, camera).features[20:50]
        for episode in range(16, 24):
            source = load(folder / task, episode, camera)
            plain = course_of(align(reference.video, source.video))
            place = times[np.nanargmin(np.abs(plain.times - source.middle / 30))]
            for name, video in alterations(source, stranger).items():
                listed = spread.deviations(course_of(align(reference.video, video)))
                there = any(
                    one.reference_start - 0.3 <= place <= one.reference_end + 0.3
                    or one.start - 0.3 <= source.middle / 30 <= one.end + 0.3
                    for one in listed
                )
                found[name].append((bool(listed), there))
                kinds[name] += [one.kind for one in listed]
    for name, each in found.items():
        some, there = np.mean(each, axis=0)
        place_cell = "" if name == "none" else f"{there:.2f}"
        counts = " | ".join(str(kinds[name].count(kind)) for kind in KINDS)
        print(f"| {number} | {camera} | {name} | {len(each)} | {some:.2f} | {place_cell} | {counts} |", flush=True)


def load(folder: Path, episode: int, camera: str) -> Source:
    name = f"{folder.name}_{episode:02d}_{camera}"
    about = json.loads((folder / "labels" / f"{name}.json").read_text())
    path = folder / "videos" / f"{name}.mp4"
    features = extract_features(path, preview=True)
    middle = (about["core_start"] + about["core_end"]) // 2
    video = embed_video(path, preview=True)
    return Source(video, features.values, features.tap_sizes, middle, about["distractor"] != "clean")


def alterations(source: Source, stranger: np.ndarray) -> dict[str, VideoEmbeddings]:
    m, n, old = source.middle, len(source.features), source.features
    orders = {
        "pause of 1 s": np.r_[0:m, np.full(30, m), m:n],
        "pause of 2 s": np.r_[0:m, np.full(60, m), m:n],
        "0.8 s at a third of the speed": np.r_[0 : m - 12, np.repeat(np.arange(m - 12, m + 12), 3), m + 12 : n],
        "0.7 s left out": np.r_[0 : m - 10, m + 10 : n],
        "1 s played backwards": np.r_[0 : m - 15, m + 15 : m - 15 : -1, m + 15 : n],
    }
    result = {"none": source.video, "1 s of another task": source.altered(np.concatenate([old[:m], stranger, old[m:]]))}
    return result | {name: source.altered(old[order]) for name, order in orders.items()}


def align(a: VideoEmbeddings, b: VideoEmbeddings) -> Alignment:
    """The three best hits of `align_embeddings`, without the comparison with chance that takes most of its time."""
    table = similarity_table(a.values, b.values, SETTINGS)
    paths = find_paths(table, a, b, 3)
    hits = [make_hit(path, table.at(path), np.ones(len(path)), _UNKNOWN, a, b) for path in paths]
    similarity, reduction = table.picture()
    return Alignment(describe_video(a), describe_video(b), similarity, tuple(hits), "", reduction)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
