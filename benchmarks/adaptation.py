"""Does fitting a head to the two videos of a pair alone, without labels, align them better? Prints a Markdown report.

    python benchmarks/adaptation.py DATA [--pairs N] [--steps N] > benchmarks/results/adaptation.md

DATA is laid out as for benchmarks/real_videos.py, with sim/TASK/ beside real/. For each pair a head is trained from
nothing on the cached lite0 features of the two videos, as `lac train` would, by each of several losses; then the pair
is aligned by what the head gives, and by head and untrained features side by side. Pairs of the simulated tasks come
from episodes 10 to 15, which are training videos.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from real_videos import PITCHES, SQUATS, words_of

from lactoolkit import AlignmentSettings, embed_video
from lactoolkit.alignment.settings import default_settings
from lactoolkit.alignment.tables import similarity_table
from lactoolkit.evaluation.alignment_metrics import boundary_errors, phase_agreement, warp_positions
from lactoolkit.models.registry import trained_identity
from lactoolkit.training.config import make_config
from lactoolkit.training.trainer import train
from lactoolkit.training.validation import alignment_score
from lactoolkit.video.labels import read_labels

TASKS = ("pick_place", "drawer_open", "hammer", "coffee_push")
EPISODES = range(10, 16)
WAYS = {
    "lac": (),
    "lac, contrast x 0.1": ("loss.contrastive_weight=0.1",),
    "scl": ("loss.name=scl",),
    "tcc": ("loss.name=tcc",),
    "lac, rate x 0.2": ("training.learning_rate=2e-4",),
}
UNTRAINED = default_settings("lite0")
TRAINED = default_settings(trained_identity("0" * 64))


Figures = defaultdict[tuple[str, str], defaultdict[str, list[float]]]


@dataclass(frozen=True)
class Pair:
    """Two videos, and what is true of them: the phases of all frames, or some moments as frames of both."""

    kind: str
    a: Path
    b: Path
    phases: tuple[np.ndarray, np.ndarray] | None = None
    moments: tuple[np.ndarray, np.ndarray] | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--pairs", type=int, default=2, help="of each task and each kind of cameras; and of real videos"
    )
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    torch.set_num_threads(1)
    errors: Figures = defaultdict(lambda: defaultdict(list))
    judged: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    seconds = []
    for pair in itertools.chain(
        simulated(options.data / "sim", options.pairs), real(options.data / "real", options.pairs)
    ):
        before = tuple(embed_video(path) for path in (pair.a, pair.b))
        worth = {"untrained": record(errors, pair, "untrained", [one.values for one in before], UNTRAINED)}
        for way, assignments in WAYS.items():
            start = time.process_time()
            heads = adapt(pair, options.steps, assignments)
            seconds.append(time.process_time() - start)
            both = [np.concatenate([one.values, head], 1) / np.sqrt(2) for one, head in zip(before, heads, strict=True)]
            worth[way] = record(errors, pair, way, heads, TRAINED)
            record(errors, pair, f"{way}, beside untrained", both, UNTRAINED)
            gate = alignment_score(*heads) > alignment_score(*(one.values for one in before))
            judged[way].append((gate, worth[way] > worth["untrained"]))
        print(f"{pair.a.stem} {pair.b.stem}", file=sys.stderr)
    report(errors, judged, float(np.mean(seconds)), options.steps)


def simulated(folder: Path, count: int) -> Iterator[Pair]:
    random = np.random.default_rng(0)
    for task in TASKS:
        same = [(a, b, camera, camera) for camera in ("A", "B") for a, b in itertools.combinations(EPISODES, 2)]
        cross = [(a, b, "A", "B") for a, b in itertools.permutations(EPISODES, 2)]
        for kind, pairs in (("robot, same camera", same), ("robot, other camera", cross)):
            for k in random.permutation(len(pairs))[:count]:
                a, b, *cameras = pairs[k]
                names = [f"{task}_{episode:02d}_cam{camera}" for episode, camera in zip((a, b), cameras, strict=True)]
                phases = tuple(read_labels(folder / task / "labels" / f"{name}.csv").phases for name in names)
                yield Pair(kind, *(folder / task / "videos" / f"{name}.mp4" for name in names), phases=phases)


def real(folder: Path, count: int) -> Iterator[Pair]:
    cameras = sorted((folder / "walking_multiview").glob("*.mp4"))
    frames = np.arange(100)
    for a, b in list(itertools.combinations(cameras, 2))[:count]:
        yield Pair("walk, other camera", a, b, moments=(frames, frames))
    clips = sorted((folder / "grid_speech").glob("*.mpg"))
    for k in range(count):
        a, b = clips[2 * k], clips[2 * k + 1]
        yield Pair("speech, words begin", a, b, moments=(word_starts(a), word_starts(b)))
    for kind, name, events in (("pitch", "baseball_pitch", PITCHES), ("squat", "squat", SQUATS)):
        for a, b in list(itertools.combinations(events, 2))[:count]:
            moments = [np.array([frame for frame in events[stem] if frame]) for stem in (a, b)]
            yield Pair(kind, *(folder / name / f"{stem}.mp4" for stem in (a, b)), moments=(moments[0], moments[1]))


def word_starts(path: Path) -> np.ndarray:
    return np.array([start for start, _ in words_of(path)])


def adapt(pair: Pair, steps: int, assignments: tuple[str, ...]) -> list[np.ndarray]:
    """Embeddings (T, 128) of both videos by a head trained on them."""
    fixed = (
        "features.encoder=lite0",
        "features.views=0",
        "features.untrained_weight=0",
        "data.held_out=0",
        "training.batch=2",
    )
    lengths = (f"training.steps={steps}", f"training.validate_every={steps}")
    config = make_config(assignments=[*fixed, *lengths, *assignments])
    with tempfile.TemporaryDirectory() as folder:
        trained = train([(pair.a, ""), (pair.b, "")], Path(folder) / "run", config, device="cpu")
        return [embed_video(path, trained.last, cache=False).values for path in (pair.a, pair.b)]


def record(errors: Figures, pair: Pair, method: str, values: list[np.ndarray], settings: AlignmentSettings) -> float:
    """Note the errors of one alignment; returns how right it is, whatever is known of the pair."""
    paths = similarity_table(*values, settings).best_paths(1)
    path = paths[0].pairs if paths else np.empty((0, 2), np.int64)
    figures = errors[pair.kind, method]
    if pair.moments is not None:
        known, true = pair.moments
        error = np.abs(warp_positions(known, path) - true).mean() if len(path) else float(len(values[1]))
        figures["error"].append(float(error))
        return -float(error)
    assert pair.phases is not None
    count = max(phases.max() for phases in pair.phases) + 1
    agreement = phase_agreement(path, *pair.phases, count)
    figures["agreement"].append(agreement.share)
    off = boundary_errors(path, *pair.phases)
    if off is not None:
        figures["error"].append(float(off.mean()))
    return figures["agreement"][-1]


def report(errors: Figures, judged: dict[str, list[tuple[bool, bool]]], seconds: float, steps: int) -> None:
    print("# Fitting a head to one pair of videos\n")
    print(
        f"`python benchmarks/adaptation.py DATA`, {date.today()}; {steps} steps, {seconds:.0f} s of one core a pair\n"
    )
    kinds = list(dict.fromkeys(kind for kind, _ in errors))
    methods = list(dict.fromkeys(method for _, method in errors))
    print("Error of phase boundaries or marked moments in frames, mean over pairs; in brackets, phase agreement.\n")
    pairs = [len(errors[kind, methods[0]]["error"]) for kind in kinds]
    print("| embeddings | " + " | ".join(f"{kind} ({count})" for kind, count in zip(kinds, pairs, strict=True)) + " |")
    print("| --- |" + " --- |" * len(kinds))
    for method in methods:
        cells = []
        for kind in kinds:
            figures = errors[kind, method]
            agreement = f" ({np.mean(figures['agreement']):.2f})" if figures["agreement"] else ""
            cells.append(f"{np.mean(figures['error']):.1f}{agreement}")
        print(f"| {method} | " + " | ".join(cells) + " |")
    print("\nKept: the pair, compared with itself played backwards, aligns better than by untrained features.\n")
    print("| head | pairs | better by the truth | kept | better among the kept |\n| --- | --- | --- | --- | --- |")
    for way, one in judged.items():
        kept = [better for gate, better in one if gate]
        better = f"{sum(kept)}" if kept else ""
        print(f"| {way} | {len(one)} | {sum(better for _, better in one)} | {len(kept)} | {better} |")


if __name__ == "__main__":
    main()
