"""How well does alignment without training do? Measures it on labelled videos and prints a Markdown report.

    python benchmarks/zero_training.py DATA > benchmarks/results/zero_training.md

DATA/sim/TASK/ holds videos/*.mp4 and labels/*.json (labels per frame, -1 = background; core_start, core_end, episode,
camera, split, distractor_kind, phase_names); DATA/real/FOLDER/ holds other videos, unrelated across folders. Features
are extracted on the first run (about ten minutes on two cores) and cached.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.isotonic import IsotonicRegression

from lactoolkit import __version__, embed_video
from lactoolkit.alignment.confidence import calibrated_confidence
from lactoolkit.alignment.hits import find_paths
from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.alignment.tables import similarity_table
from lactoolkit.features.extraction import extract_features
from lactoolkit.kernels.path_decoding import LocalPath, best_local_path

SETTINGS = AlignmentSettings()
PLAIN_GAP = 0.2  # of 0.2 and 0.3 better for the plain recipe, on the training videos
PAIRS_PER_TASK = 20
TOLERANCE = 3  # frames


def main(data: Path) -> None:
    tasks = sorted(folder.name for folder in (data / "sim").iterdir() if folder.is_dir())
    labels = {task: load_labels(data / "sim" / task) for task in tasks}
    print(f"# Alignment without training\n\nlactoolkit {__version__}; `python benchmarks/zero_training.py DATA`\n")
    print("Pairs of different episodes of the same task; settings were chosen on the `train` videos only.\n")
    print("| recipe | split | camera | same phase | boundary error, frames | IoU | IoU other task | IoU same scene |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    reliability: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    for name, align in (("centred cosine, z-score over the table", by_centred_cosine), ("lactoolkit", by_lactoolkit)):
        for split, camera in itertools.product(("train", "val"), ("same", "other")):
            measured = []
            for a, b in pairs(labels, split, camera):
                path, mass = align(a["path"], b["path"])
                measured.append(measure(path.pairs, a, b))
                if mass is not None:
                    reliability[split].append((mass, right(path.pairs, a, b)))
            print(f"| {name} | {split} | {camera} | {' | '.join(summary(measured))} |", flush=True)
    report_reliability(reliability)


def load_labels(folder: Path) -> list[dict]:
    entries = []
    for path in sorted((folder / "labels").glob("*.json")):
        entry = json.loads(path.read_text())
        entry["labels"] = np.array(entry["labels"])
        entry["path"] = folder / "videos" / f"{path.stem}.mp4"
        entries.append(entry)
    return entries


def pairs(labels: dict[str, list[dict]], split: str, camera: str) -> list[tuple[dict, dict]]:
    rng = np.random.default_rng(0)
    chosen = []
    for entries in labels.values():
        candidates = [
            (a, b)
            for a, b in itertools.permutations([one for one in entries if one["split"] == split], 2)
            if a["episode"] < b["episode"] and (a["camera"] == b["camera"]) == (camera == "same")
        ]
        chosen += [candidates[k] for k in rng.permutation(len(candidates))[:PAIRS_PER_TASK]]
    return chosen


@cache
def taps(path: Path) -> tuple[np.ndarray, tuple[int, ...]]:
    features = extract_features(path)
    return features.values, features.tap_sizes


embedded = cache(embed_video)


def by_lactoolkit(a: Path, b: Path) -> tuple[LocalPath, np.ndarray | None]:
    table = similarity_table(embedded(a).values, embedded(b).values, SETTINGS)
    (path,) = find_paths(table, embedded(a), embedded(b), 1)
    return path, table.posterior_near(path, [], TOLERANCE)


def by_centred_cosine(a: Path, b: Path) -> tuple[LocalPath, np.ndarray | None]:
    """The plain recipe: per tap minus the video's mean, normalised; one z-score over the whole table."""
    sides = []
    for path in (a, b):
        values, sizes = taps(path)
        parts = [part - part.mean(0) for part in np.split(values, np.cumsum(sizes)[:-1], axis=1)]
        rows = np.concatenate([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts], axis=1)
        padded = np.concatenate([rows[:1], rows, rows[-1:]])
        rows = padded[:-2] / 4 + padded[1:-1] / 2 + padded[2:] / 4
        sides.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    cosine = sides[0] @ sides[1].T
    table = ((cosine - cosine.mean()) / cosine.std() - SETTINGS.margin).astype(np.float32)
    return best_local_path(table, PLAIN_GAP, PLAIN_GAP), None


def overlap(first: int, last: int, entry: dict) -> float:
    start, end = entry["core_start"], entry["core_end"]
    common = max(0, min(last + 1, end) - max(first, start))
    return common / (max(last + 1, end) - min(first, start))


def boundaries(entry: dict) -> list[int]:
    return [int(np.flatnonzero(entry["labels"] == k)[0]) for k in range(1, len(entry["phase_names"]))]


def measure(found: np.ndarray, a: dict, b: dict) -> dict[str, list[float]]:
    in_a, in_b = a["labels"][found[:, 0]], b["labels"][found[:, 1]]
    result: dict[str, list[float]] = {"phase": [float(((in_a == in_b) & (in_a >= 0)).mean())]}
    errors = []
    for source, target, one in ((a, b, found), (b, a, found[:, ::-1])):
        for position, expected in zip(boundaries(source), boundaries(target), strict=True):
            beyond = min(position - one[0, 0], 0) + max(position - one[-1, 0], 0)
            errors.append(abs(np.interp(position, one[:, 0], one[:, 1]) + beyond - expected))
    result["boundary"] = [float(np.mean(errors))]
    for axis, entry in enumerate((a, b)):
        value = overlap(found[0, axis], found[-1, axis], entry)
        result.setdefault("all", []).append(value)
        result.setdefault(entry["distractor_kind"], []).append(value)
    return result


def summary(measured: list[dict[str, list[float]]]) -> list[str]:
    joined = {
        key: [v for one in measured for v in one.get(key, [])]
        for key in ("phase", "boundary", "all", "other_task", "same_scene")
    }
    return [f"{np.mean(values):.{1 if key == 'boundary' else 2}f}" for key, values in joined.items()]


def right(found: np.ndarray, a: dict, b: dict) -> np.ndarray:
    """Whether each pair lies within the tolerance of the truth: phase boundaries, linear in between."""
    verdict = np.zeros(len(found), bool)
    for source, target, one in ((a, b, found), (b, a, found[:, ::-1])):
        knots = [[e["core_start"], *boundaries(e), e["core_end"] - 1] for e in (source, target)]
        expected = np.interp(one[:, 0], *knots, left=np.inf, right=np.inf)
        verdict |= np.abs(expected - one[:, 1]) <= TOLERANCE
    return verdict


def report_reliability(reliability: dict[str, list[tuple[np.ndarray, np.ndarray]]]) -> None:
    print(f"\n## Confidence\n\nShare of pairs within {TOLERANCE} frames of the truth, by what the confidence said.\n")
    header = " | ".join(f"{k / 10:.1f}-{(k + 1) / 10:.1f}" for k in range(10))
    print(f"| split | {header} | expected calibration error | of the posterior as it is |\n| --- |" + " --- |" * 12)
    joined = {
        split: tuple(np.concatenate(one) for one in zip(*both, strict=True)) for split, both in reliability.items()
    }
    for split, (mass, was) in joined.items():
        cells, error = reliability_bins(calibrated_confidence(mass), was)
        print(f"| {split} | {' | '.join(cells)} | {error:.3f} | {reliability_bins(mass, was)[1]:.3f} |")
    mass, was = joined["train"]
    knots = np.linspace(0, 1, 21)
    fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(mass, was)
    # Bins wide enough that the curve between the knots is no noise.
    shares = [float(fit.predict(np.clip(np.linspace(k - 0.05, k + 0.05, 41), 0, 1)).mean()) for k in knots]
    print("\nIsotonic fit on `train` at posteriors 0, .05, ... 1 (`alignment/confidence.py` has it):\n")
    print(", ".join(f"{share:.3f}" for share in shares))


def reliability_bins(said: np.ndarray, was: np.ndarray) -> tuple[list[str], float]:
    bins = np.minimum((said * 10).astype(int), 9)
    cells, error = [], 0.0
    for k in range(10):
        inside = bins == k
        cells.append(f"{was[inside].mean():.2f} ({inside.sum()})" if inside.any() else "")
        error += abs(was[inside].mean() - said[inside].mean()) * inside.mean() if inside.any() else 0
    return cells, error


if __name__ == "__main__":
    main(Path(sys.argv[1]))
