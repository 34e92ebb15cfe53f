"""How well does lac sync place recordings? Cuts videos of one event to known starts and prints a Markdown report.

    python benchmarks/synchronise.py DATA > benchmarks/results/synchronise.md

DATA/sim/TASK/videos/TASK_NN_camA.mp4 and camB.mp4 show one run from two cameras; DATA/real/walking_multiview/cam0?.mp4
one walk from four sides. Each recording is cut to a random start and end and encoded anew.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lactoolkit import __version__, read_frames, synchronise
from lactoolkit.video.decoding import probe
from lactoolkit.video.encoding import VideoWriter

TASKS = ("pick_place", "drawer_open", "hammer", "coffee_push")
EPISODES = range(16, 24)
WALKS = 5
CUT = 20  # frames at either end, at most


def main(data: Path) -> None:
    print(f"# Synchronisation\n\nlactoolkit {__version__}; `python benchmarks/synchronise.py DATA`\n")
    rng = np.random.default_rng(0)
    rows, choices, named = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        errors: list[float] = []
        sure: list[float] = []
        for task, episode in tqdm(list(itertools.product(TASKS, EPISODES)), desc="two cameras"):
            source = data / "sim" / task / "videos"
            cuts = [cut(source / f"{task}_{episode}_{camera}.mp4", folder, rng) for camera in ("camA", "camB")]
            synced = synchronise([path for path, _ in cuts], model="offset")
            errors += pair_errors([one.offset for one in synced.videos], [start for _, start in cuts], 30)
            sure += [float(one.confidence[0]) for one in synced.videos]
            choices.append(("two cameras", synchronise([path for path, _ in cuts]).model))
            other = source / f"{task}_{EPISODES[(episode + 1) % len(EPISODES)]}_camA.mp4"
            three = synchronise([*(path for path, _ in cuts), other], model="offset")
            named.append([bool(one.outlier) for one in three.videos])
            takes = [source / f"{task}_{episode}_camA.mp4", other]
            choices.append(("two takes", synchronise(takes).model))
        for task in TASKS:
            videos = [f"{task}_{episode}_{camera}.mp4" for episode in EPISODES[:4] for camera in ("camA", "camB")]
            several = synchronise([data / "sim" / task / "videos" / name for name in videos])
            choices.append(("four takes before two cameras each", several.model))
        rows.append(("simulated tasks, two cameras, 30 frames per second", errors, 30, np.mean(sure)))
        for count, frames in ((4, "all four"), (2, "two")):
            errors, sure = [], []
            for _ in tqdm(range(WALKS), desc="walk"):
                cameras = sorted((data / "real" / "walking_multiview").glob("cam*.mp4"))
                cuts = [cut(path, folder, rng) for path in cameras]
                for chosen in itertools.combinations(cuts, count):
                    synced = synchronise([path for path, _ in chosen], model="offset")
                    errors += pair_errors([one.offset for one in synced.videos], [start for _, start in chosen], 60)
                    sure += [float(one.confidence[0]) for one in synced.videos]
            rows.append((f"walk, {frames} of four cameras at once, 60 frames per second", errors, 60, np.mean(sure)))
    print("Error of the offset between two cameras, in frames.\n")
    print("| recordings | pairs | mean | median | largest | within 3 frames | within 0.1 s | mean confidence |")
    print("| --- |" + " --- |" * 7)
    for name, each, rate, confidence in rows:
        error = np.array(each)
        print(
            f"| {name} | {len(error)} | {error.mean():.2f} | {np.median(error):.2f} | {error.max():.1f} | "
            f"{(error <= 3).mean():.2f} | {(error <= 0.1 * rate).mean():.2f} | {confidence:.2f} |"
        )
    print("\n## Which model, and outliers\n")
    for kind, right in (
        ("two cameras", "offset"),
        ("two takes", "warp"),
        ("four takes before two cameras each", "warp"),
    ):
        shown = [model == right for name, model in choices if name == kind]
        print(f"- `--model auto` on {kind} of a task: {sum(shown)} of {len(shown)} by `{right}`.")
    flags = np.array(named)
    print(
        f"- Two cameras and another take: the take is named as an outlier in {flags[:, 2].sum()} of {len(flags)} sets, "
        f"a camera in {flags[:, :2].any(axis=1).sum()}."
    )


def cut(source: Path, folder: Path, rng: np.random.Generator) -> tuple[Path, float]:
    """A part of a video, encoded anew at 540 pixels of height at most; its start in seconds."""
    info = probe(source)
    scale = min(1.0, 540 / info.height)
    size = (round(info.height * scale / 2) * 2, round(info.width * scale / 2) * 2)
    images = np.concatenate([batch.images for batch in read_frames(source, size=size)])
    first, left_out = (int(one) for one in rng.integers(0, CUT + 1, 2))
    path = folder / f"{source.stem}_{rng.integers(1 << 40)}.mp4"
    with VideoWriter(path, info.frame_rate, size[1], size[0], quality=18) as writer:
        for image in images[first : len(images) - left_out]:
            writer.write(image)
    return path, first / info.frame_rate


def pair_errors(offsets: list[float], starts: list[float], rate: float) -> list[float]:
    """How far the offset of every pair is from the truth, in frames."""
    return [
        rate * abs((offsets[j] - offsets[i]) - (starts[j] - starts[i]))
        for i, j in itertools.combinations(range(len(starts)), 2)
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
