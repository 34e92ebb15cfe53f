"""`lac align` on videos of 10 to 60 minutes: time and peak memory as they grow, and how exact the pairs are.

    python benchmarks/long_videos.py > benchmarks/results/long_videos.md

Alignment is measured on *synthetic features*: small video files of the right length are rendered, and features that the
default encoder might have computed of them are put into the cache, so that truth is known and no network runs. Both
videos of a pair are equally long; their middle part (60 % of the first) shows the same process, in the second 1.25
times as fast, between unrelated parts. Of two more files of two minutes, one shows 80 s of the process between
unrelated parts, one nothing of it. Extraction is measured on *decoded video*: rendered files of 640 x 360, analysed at
one frame a second with nothing in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from lactoolkit.features.cache import entry_key, save_entry
from lactoolkit.models.registry import encoder_identity, encoder_spec
from lactoolkit.video.decoding import probe
from lactoolkit.video.digest import file_sha256
from lactoolkit.video.encoding import VideoWriter

RATE = 10
SHARED, SPEED = 0.6, 1.25
LATENT, NOISE = 48, 0.25
CLIP, CLIP_SHARED = 120 * RATE, 80 * RATE
_CHUNK = 2000
COLUMNS = ["minutes each", "frames/s", "Mcells", "s", "CPU s", "load before", "peak MiB", "pairs"]
COLUMNS += ["within 1 frame", "worst, frames", "outside the process"]
CLIP_COLUMNS = ["minutes", "video", "s", "CPU s", "load before", "peak MiB", "verdict", "p of both hits", "confidence"]
CLIP_COLUMNS += ["pairs", "within 1 frame", "worst, frames", "outside the process"]


def render(path: Path, seconds: int, width: int, height: int, seed: int) -> None:
    """A bar that moves before a texture, so that every frame differs."""
    texture = np.random.default_rng(seed).integers(0, 255, (height, 2 * width, 3), dtype=np.uint8)
    with VideoWriter(path, RATE, width, height) as writer:
        for k in range(seconds * RATE):
            shift = k % width
            frame = texture[:, shift : shift + width].copy()
            bar = 7 * k % (width - 8)
            frame[:, bar : bar + 8] = (k // 256 % 256, k % 256, 128)
            writer.write(frame)


def latent(count: int, rng: np.random.Generator, step: float = 1.0) -> np.ndarray:
    """Positions (count, LATENT) along a smooth random curve, read off every ``step`` frames."""
    knots = rng.normal(size=(int(count * step / 5) + 3, LATENT))
    place = np.arange(count) * step / 5
    low = place.astype(int)
    part = ((1 - np.cos(np.pi * (place - low))) / 2)[:, None]
    return (1 - part) * knots[low] + part * knots[low + 1]


def keep(path: Path, rows: np.ndarray, scene: np.ndarray, loading: np.ndarray, rng: np.random.Generator) -> None:
    """Render a small file and put features that follow the given positions into the cache."""
    render(path, len(rows) // RATE, 64, 48, int(rng.integers(2**31)))
    frames = probe(path).frame_count
    if frames != len(rows):
        raise SystemExit(f"{path} has {frames} frames instead of {len(rows)}")
    values = np.empty((frames, len(scene)), np.float16)
    for first in range(0, frames, _CHUNK):
        part = rows[first : first + _CHUNK].astype(np.float32) @ loading
        noise = rng.normal(size=part.shape).astype(np.float32)
        values[first : first + _CHUNK] = 3 * scene + part / np.sqrt(LATENT) + NOISE * noise
    identity = encoder_identity("lite0")
    key = entry_key(video=file_sha256(path), encoder=identity, frame_rate=None, start=None, end=None)
    times = np.arange(frames) / RATE
    save_entry(key, frames=np.arange(frames), times=times, values=values, damage=np.array([], dtype=np.str_))


def synthesise(folder: Path, minutes: int) -> dict[str, list[float]]:
    """Files a, b, clip and other, with features in the cache; for each frame of A the true one of B and of the clip.

    -1 stands for none. The clip lasts two minutes, of which 80 s show the process as B does; other shows nothing of it.
    """
    count = 60 * minutes * RATE
    sizes = encoder_spec("lite0").tap_sizes
    world = np.random.default_rng(minutes)
    loading = world.normal(size=(LATENT, sum(sizes))).astype(np.float32)
    scenes = world.normal(size=(4, sum(sizes))).astype(np.float32)
    shared_a = int(SHARED * count)
    shared_b = int(shared_a / SPEED)
    start_a, start_b = int(0.1 * count), int(0.4 * count)
    process = latent(shared_b, np.random.default_rng([minutes, 99]), SPEED)
    taken = slice(shared_b // 2, shared_b // 2 + CLIP_SHARED)
    around = (CLIP - CLIP_SHARED) // 2
    parts = {
        "a": (start_a, latent(shared_a, np.random.default_rng([minutes, 99])), count - start_a - shared_a),
        "b": (start_b, process, count - start_b - shared_b),
        "clip": (around, process[taken], around),
        "other": (CLIP, process[:0], 0),
    }
    for k, (name, (before, shown, after)) in enumerate(parts.items()):
        rng = np.random.default_rng([minutes, k])
        rows = np.concatenate([latent(before, rng), shown, latent(after, rng)])
        keep(folder / f"{name}.mp4", rows, scenes[k], loading, rng)
    in_b, in_clip = np.full(count, -1.0), np.full(count, -1.0)
    in_b[start_a : start_a + shared_a] = start_b + np.arange(shared_a) / SPEED
    places = in_b - start_b - taken.start
    shows = (in_b >= 0) & (places >= 0) & (places <= CLIP_SHARED - 1)
    in_clip[shows] = around + places[shows]
    return {"b": in_b.tolist(), "clip": in_clip.tolist()}


def run(folder: Path, *arguments: str) -> tuple[float, float, float, str]:
    """Wall seconds, processor seconds, peak MiB and output of ``lac``."""
    start = time.perf_counter()
    with open(folder / "out.json", "w") as out:
        process = subprocess.Popen([sys.executable, "-m", "lactoolkit.cli", *arguments], cwd=folder, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"lac {' '.join(arguments)} failed with status {status}")
    seconds = time.perf_counter() - start
    text = (folder / "out.json").read_text()
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def in_own_process(task: str, folder: Path, minutes: int) -> Any:
    # A child's peak memory begins with that of the process that starts it: keep this one small.
    command = [sys.executable, __file__, "--task", task, "--folder", str(folder), "--minutes", str(minutes)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure_alignment(folder: Path, minutes: int, truth: np.ndarray) -> str:
    load = os.getloadavg()[0]
    wall, processor, peak, text = run(folder, "align", "a.mp4", "b.mp4", "--quiet", "--json")
    document = json.loads(text)
    rate = document["settings"]["frame_rate"]
    cells = (60 * minutes * rate) ** 2 / 1e6
    return (
        f"| {minutes} | {rate:.1f} | {cells:.0f} | {wall:.1f} | {processor:.1f} | {load:.1f} "
        f"| {peak:.0f} | {judge(document, truth)} |"
    )


def judge(document: dict[str, Any], truth: np.ndarray) -> str:
    """How many pairs of the first hit there are, how many are within one frame, the worst, and those of no truth."""
    pairs = [pair for pair in document["pairs"] if pair["hit"] == 1]
    a, b = (np.array([pair[key] for pair in pairs]) for key in ("frame_a", "frame_b"))
    off = np.abs(b - truth[a])[truth[a] >= 0]
    within, worst = (f"{(off <= 1).mean():.3f}", f"{off.max():.1f}") if len(off) else ("-", "-")
    return f"{len(pairs)} | {within} | {worst} | {int((truth[a] < 0).sum())}"


def measure_clip(folder: Path, minutes: int, name: str, truth: np.ndarray) -> str:
    load = os.getloadavg()[0]
    wall, processor, peak, text = run(folder, "align", "a.mp4", f"{name}.mp4", "--hits", "2", "--quiet", "--json")
    document = json.loads(text)
    hits = document["hits"]
    chances = ", ".join(f"{hit['p_value']:.2g}" for hit in hits)
    return (
        f"| {minutes} | {name} | {wall:.1f} | {processor:.1f} | {load:.1f} | {peak:.0f} "
        f"| {document['verdict']} | {chances} | {hits[0]['mean_confidence']:.2f} | {judge(document, truth)} |"
    )


def measure_extraction(folder: Path, minutes: int) -> str:
    in_own_process("render", folder, minutes)
    load = os.getloadavg()[0]
    wall, processor, peak, _ = run(folder, "extract", "decoded.mp4", "-o", f"store{minutes}", "--fps", "1", "--quiet")
    return f"| {minutes} | {60 * minutes * RATE} | {wall:.1f} | {processor:.1f} | {load:.1f} | {peak:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 20, 40, 60], help="minutes")
    parser.add_argument("--task", choices=("synthesise", "render"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--minutes", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task == "synthesise":
        print(json.dumps(synthesise(options.folder, options.minutes)))
        return
    if options.task == "render":
        render(options.folder / "decoded.mp4", 60 * options.minutes, 640, 360, 1)
        print("[]")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["LACTOOLKIT_CACHE"] = str(folder / "cache")
        print("# Long videos\n")
        print(f"`python benchmarks/long_videos.py`, {platform.machine()}, {os.cpu_count()} cores, {date.today()}.\n")
        print("## `lac align`, features in the cache (synthetic), all of the command, in a fresh process\n")
        print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
        clips: list[str] = []
        for minutes in options.lengths:
            truth = {name: np.array(one) for name, one in in_own_process("synthesise", folder, minutes).items()}
            print(measure_alignment(folder, minutes, truth["b"]), flush=True)
            clips.append(measure_clip(folder, minutes, "clip", truth["clip"]))
            clips.append(measure_clip(folder, minutes, "other", np.full(len(truth["clip"]), -1.0)))
        print("\n## `lac align --hits 2`: two minutes to be found in the first video\n")
        print(f"| {' | '.join(CLIP_COLUMNS)} |\n|{' --- |' * len(CLIP_COLUMNS)}")
        print(*clips, sep="\n", flush=True)
        print("\n## `lac extract --fps 1`, decoded video of 640 x 360, empty cache\n")
        print("| minutes | frames decoded | s | CPU s | load | peak MiB |\n|" + " --- |" * 6)
        for minutes in sorted({options.lengths[0], options.lengths[-1]}):
            print(measure_extraction(folder, minutes), flush=True)


if __name__ == "__main__":
    main()
