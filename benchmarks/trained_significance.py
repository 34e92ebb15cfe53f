"""How often are unrelated videos called aligned by trained encoders, and how right is their confidence?

    python benchmarks/comparison.py DATA OUT --methods LAC --measure train
    python benchmarks/trained_significance.py DATA OUT --measure train --fit
    python benchmarks/trained_significance.py DATA OUT --measure val > benchmarks/results/trained_significance.md

Takes the encoder that `comparison.py` trained on each task (LAC, seed 0), and videos that none of them saw: with
`--measure train` episodes 10 to 15 (`--fit` prints the constants of alignment/significance.py and of
alignment/confidence.py), with `--measure val` episodes 16 to 23, and DATA/real/FOLDER.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from significance import LEVELS, report_fit
from sklearn.isotonic import IsotonicRegression
from tqdm import tqdm
from zero_training import TOLERANCE, reliability_bins

from lactoolkit import __version__, embed_video
from lactoolkit.alignment.confidence import calibrated_confidence
from lactoolkit.alignment.evidence import PairEvidence
from lactoolkit.alignment.hits import find_paths
from lactoolkit.alignment.settings import default_settings
from lactoolkit.alignment.significance import Measurements, chance_probability, evidence_index
from lactoolkit.alignment.tables import similarity_table
from lactoolkit.evaluation.alignment_metrics import right_pairs
from lactoolkit.features.video_embeddings import VideoEmbeddings
from lactoolkit.models.trained import TrainedEncoder, load_trained_encoder
from lactoolkit.video.labels import read_labels

EPISODES = {"train": range(10, 16), "val": range(16, 24)}
PAIRS = 50  # of each kind, for each encoder
OWN, OTHERS, REAL = "the encoder's task and another", "two other tasks", "the encoder's task and a real video"


@dataclass(frozen=True)
class Video:
    path: Path
    labels: Path | None = None
    episode: int = -1
    camera: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--measure", choices=("train", "val"), default="val")
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    tasks = {task.name: unseen(task, arguments.measure) for task in sorted((arguments.data / "sim").iterdir())}
    real = [Video(path) for path in sorted((arguments.data / "real").glob("*/*")) if path.suffix in (".mp4", ".mpg")]
    found: dict[str, list[Measurements]] = defaultdict(list)
    masses, rights = [], []
    for task in tqdm(tasks, disable=None):
        path = arguments.out / arguments.measure / "lac" / task / "seed0" / "run" / "best.pt"
        encoder = Encoder(load_trained_encoder(path, "cpu"))
        for kind, pairs in draw_pairs(task, tasks, real).items():
            for a, b in pairs:
                measurements, mass, right = encoder.measure(a, b)
                found[kind].append(measurements)
                if right is not None and kind.startswith("related"):
                    masses.append(mass)
                    rights.append(right)
    mass, right = np.concatenate(masses), np.concatenate(rights)
    print(f"# Trained encoders: better than chance, and how sure\n\nlactoolkit {__version__}; `{arguments.measure}`\n")
    print("Share of the pairs whose p-value lies below each level.\n")
    print("| pairs | number | " + " | ".join(f"p < {level:g}" for level in LEVELS) + " |")
    print("| --- " * (2 + len(LEVELS)) + "|")
    for kind, measured in found.items():
        p = np.array([chance_probability(evidence_index(one, trained=True), trained=True) for one in measured])
        print(f"| {kind} | {len(p)} | {' | '.join(f'{(p < level).mean():.2f}' for level in LEVELS)} |")
    header = " | ".join(f"{k / 10:.1f}-{(k + 1) / 10:.1f}" for k in range(10))
    print(f"\nShare of pairs of frames within {TOLERANCE} frames of the truth, by what the confidence said.\n")
    print(f"| {header} | expected calibration error |\n|" + " --- |" * 11)
    cells, error = reliability_bins(calibrated_confidence(mass, trained=True), right)
    print(f"| {' | '.join(cells)} | {error:.3f} |")
    if arguments.fit:
        unrelated = {("", kind, ""): measured for kind, measured in found.items() if kind.startswith("unrelated")}
        report_fit(unrelated, looks=False)
        fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(mass, right)
        knots = np.linspace(0, 1, 21)
        shares = [float(fit.predict(np.clip(np.linspace(k - 0.05, k + 0.05, 41), 0, 1)).mean()) for k in knots]
        print("\nIsotonic fit at posteriors 0, .05, ... 1:\n\n" + ", ".join(f"{share:.3f}" for share in shares))


def unseen(task: Path, measure: str) -> list[Video]:
    entries = json.loads((task / "index.json").read_text())["videos"]
    return [
        Video(
            task.parent / one["video"],
            task / "labels" / f"{one['id']}.csv",
            one["episode"],
            one["camera"],
        )
        for one in entries
        if one["episode"] in EPISODES[measure]
    ]


def draw_pairs(task: str, tasks: dict[str, list[Video]], real: list[Video]) -> dict[str, list[tuple[Video, Video]]]:
    rng = np.random.default_rng(0)
    own, others = tasks[task], [name for name in tasks if name != task]
    related = [(a, b) for a, b in itertools.combinations(own, 2) if a.episode != b.episode]
    chosen: dict[str, list[tuple[Video, Video]]] = defaultdict(list)
    for camera in ("same", "other"):
        of_camera = [(a, b) for a, b in related if (a.camera == b.camera) == (camera == "same")]
        chosen[f"related, {camera} camera"] = [of_camera[k] for k in rng.permutation(len(of_camera))[: PAIRS // 2]]

    def one(videos: list[Video]) -> Video:
        return videos[rng.integers(len(videos))]

    for _ in range(PAIRS):
        chosen[f"unrelated, {OWN}"].append((one(own), one(tasks[rng.choice(others)])))
        first, second = rng.choice(others, 2, replace=False)
        chosen[f"unrelated, {OTHERS}"].append((one(tasks[first]), one(tasks[second])))
        if real:
            chosen[f"unrelated, {REAL}"].append((one(own), one(real)))
    return chosen


class Encoder:
    """A trained encoder and what it made of the videos so far."""

    def __init__(self, encoder: TrainedEncoder) -> None:
        self._encoder = encoder
        self._known: dict[Path, VideoEmbeddings] = {}

    def _embed(self, video: Video) -> VideoEmbeddings:
        if video.path not in self._known:
            found = embed_video(video.path, self._encoder)
            # As `lac align` does it: 30 frames per second at most.
            fast = found.info.frame_rate > 36
            self._known[video.path] = embed_video(video.path, self._encoder, frame_rate=30.0) if fast else found
        return self._known[video.path]

    def measure(self, a: Video, b: Video) -> tuple[Measurements, np.ndarray, np.ndarray | None]:
        """Evidence of the best path, posterior near its pairs, and which of them are right."""
        one, two = self._embed(a), self._embed(b)
        settings = default_settings(one.encoder)
        table = similarity_table(one.values, two.values, settings)
        (path,) = find_paths(table, one, two, 1)
        mass = table.posterior_near(path, [], TOLERANCE)
        measurements = PairEvidence(table, one, two, settings, 30.0).of(path, float(mass.mean())).measurements
        right = None
        if a.labels is not None and b.labels is not None:
            known = read_labels(a.labels), read_labels(b.labels)
            phases, cores = [each.phases for each in known], [each.in_core for each in known]
            if len(known[0].phase_names) == len(known[1].phase_names):
                right = right_pairs(path.pairs, *phases, *cores, TOLERANCE)
        return measurements, mass, right


if __name__ == "__main__":
    main()
