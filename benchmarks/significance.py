"""How often are unrelated videos called aligned, and related ones not? Fits the chance model, and checks it elsewhere.

    python benchmarks/significance.py DATA > benchmarks/results/significance.md

DATA/sim/TASK/ holds videos/*.mp4 and labels/*.json (episode, camera, split); DATA/real/FOLDER/ holds other videos,
unrelated across folders. The constants of `lactoolkit/alignment/significance.py` come from the pairs marked "fit":
training videos of the simulated tasks and the folders in FIT. All others, marked "check", were not used.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lactoolkit import AlignmentSettings, __version__, embed_video
from lactoolkit.alignment import significance
from lactoolkit.alignment.confidence import tolerance_frames
from lactoolkit.alignment.evidence import PairEvidence
from lactoolkit.alignment.hits import find_paths
from lactoolkit.alignment.significance import Measurements, chance_probability, evidence_index
from lactoolkit.alignment.tables import similarity_table
from lactoolkit.features.video_embeddings import VideoEmbeddings

FIT = ("badminton", "grid_speech", "tennis_serve")
SETTINGS = AlignmentSettings()
TASK_PAIRS, FOLDER_PAIRS, MIXED_PAIRS = 400, 200, 80
PER_TASK, PER_FOLDER = 25, 40
LEVELS = (0.01, 0.05, 0.1, 0.2, 0.5)


def main(data: Path) -> None:
    groups = draw_groups(data)
    found = {name: [measure(*pair) for pair in tqdm(pairs, desc=name, disable=None)] for name, pairs in groups.items()}
    print(
        f"# Better than chance?\n\nlactoolkit {__version__}; `python benchmarks/significance.py DATA`\n\n"
        "Share of the pairs whose p-value lies below each level. Of unrelated pairs it should be at most the level,\n"
        'of related pairs as much as possible. The chance model was fitted on the unrelated pairs marked "fit".\n'
    )
    print("| pairs | set | number | " + " | ".join(f"p < {level:g}" for level in LEVELS) + " |")
    print("| --- " * (3 + len(LEVELS)) + "|")
    for name, measured in sorted(found.items(), key=lambda item: (item[0][0] != "unrelated", item[0][2])):
        p = np.array([chance_probability(evidence_index(one)) for one in measured])
        shares = " | ".join(f"{(p < level).mean():.2f}" for level in LEVELS)
        print(f"| {name[0]}: {name[1]} | {name[2]} | {len(p)} | {shares} |")
    report_fit({name: measured for name, measured in found.items() if name[0] == "unrelated" and name[2] == "fit"})


def draw_groups(data: Path) -> dict[tuple[str, str, str], list[tuple[Path, Path]]]:
    rng = np.random.default_rng(5)
    labels = {
        folder.parent / "videos" / f"{path.stem}.mp4": json.loads(path.read_text())
        for folder in sorted((data / "sim").glob("*/labels"))
        for path in sorted(folder.glob("*.json"))
    }
    real: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((data / "real").glob("*/*")):
        if path.suffix in (".mp4", ".mpg"):
            real[path.parent.name].append(path)

    def across(first: dict[str, list[Path]], second: dict[str, list[Path]], count: int) -> list[tuple[Path, Path]]:
        pairs: set[tuple[Path, Path]] = set()
        while len(pairs) < count:
            one, two = rng.choice(list(first)), rng.choice(list(second))
            if one != two:
                pairs.add((rng.choice(first[one]), rng.choice(second[two])))
        return sorted(pairs)

    groups = {}
    for split, use in (("train", "fit"), ("val", "check")):
        tasks: dict[str, list[Path]] = defaultdict(list)
        for path, label in labels.items():
            if label["split"] == split:
                tasks[path.parent.parent.name].append(path)
        folders = {name: videos for name, videos in real.items() if (name in FIT) == (use == "fit")}
        groups["unrelated", "two simulated tasks", use] = across(tasks, tasks, TASK_PAIRS)
        groups["unrelated", "two folders of real videos", use] = across(folders, folders, FOLDER_PAIRS)
        groups["unrelated", "a task and a real video", use] = across(tasks, folders, MIXED_PAIRS)
        for camera in ("same", "other"):
            pairs = []
            for videos in tasks.values():
                candidates = [
                    (a, b)
                    for a, b in itertools.combinations(videos, 2)
                    if labels[a]["episode"] != labels[b]["episode"]
                    and (labels[a]["camera"] == labels[b]["camera"]) == (camera == "same")
                ]
                pairs += [candidates[k] for k in rng.permutation(len(candidates))[:PER_TASK]]
            groups["related", f"one task, {camera} camera", use] = pairs
        for name, videos in folders.items():
            candidates = list(itertools.combinations(videos, 2))
            groups["related", name, use] = [candidates[k] for k in rng.permutation(len(candidates))[:PER_FOLDER]]
    return groups


@cache
def embedded(path: Path) -> VideoEmbeddings:
    video = embed_video(path)
    # As `lac align` does it: 30 frames per second at most.
    return embed_video(path, frame_rate=30.0) if video.info.frame_rate > 36 else video


def measure(a: Path, b: Path) -> Measurements:
    one, two = embedded(a), embedded(b)
    table = similarity_table(one.values, two.values, SETTINGS)
    (path,) = find_paths(table, one, two, 1)
    posterior = float(table.posterior_near(path, [], tolerance_frames(one.rate)).mean())
    return PairEvidence(table, one, two, SETTINGS, one.rate).of(path, posterior).measurements


def report_fit(unrelated: dict[tuple[str, str, str], list[Measurements]], *, looks: bool = True) -> None:
    """Fit the constants anew and print them; without looks, cosines and alikeness count for nothing."""
    everything = [one for measured in unrelated.values() for one in measured]
    weights = np.concatenate([np.full(len(measured), 1 / len(measured)) for measured in unrelated.values()])
    root = np.sqrt(weights)[:, None]
    alike = np.clip([one.alikeness for one in everything], *significance._ALIKENESS_RANGE)
    design = np.column_stack([np.ones(len(alike)), alike * looks])
    print("\n## The fit\n\nMean and spread of unrelated pairs by alikeness x; the model in use stands in the source.\n")
    print("| measurement | mean | spread |\n| --- | --- | --- |")
    index = {
        name: np.array(
            [looks * max((one.cosine - significance._LOOKS[0]) / significance._LOOKS[1], 0.0) for one in measured]
        )
        for name, measured in unrelated.items()
    }
    for name in significance.FRAME_FEATURES.mean:
        values = np.array([getattr(one, name) for one in everything])
        mean = np.linalg.lstsq(design * root, values * root[:, 0], rcond=None)[0]
        residuals = np.abs(values - design @ mean) * np.sqrt(np.pi / 2)
        spread = np.linalg.lstsq(design * root, residuals * root[:, 0], rcond=None)[0]
        print(f"| {name} | {mean[0]:.3f} + {mean[1]:.3f} x | {spread[0]:.3f} + {spread[1]:.3f} x |")
        z = (values - design @ mean) / (design @ spread)
        for group, part in zip(
            unrelated, np.split(z, np.cumsum([len(m) for m in unrelated.values()])[:-1]), strict=True
        ):
            index[group] = index[group] + part
    tail = significance._TAIL
    highest = np.max([np.quantile(values, 1 - tail) for values in index.values()], axis=0)
    print("\nUpper quantiles of the sum in that group where they are highest:\n")
    print("| tail | " + " | ".join(f"{level:g}" for level in tail) + " |\n| --- |" + " --- |" * len(tail))
    print("| sum | " + " | ".join(f"{value:.2f}" for value in highest) + " |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
