"""`lac align` on videos of 10 to 60 minutes: time and peak memory as they grow, and how exact the pairs are.

    python benchmarks/long_videos.py > benchmarks/results/long_videos.md

Alignment is measured on *synthetic features*: small video files of the right length are rendered, and features that the
default encoder might have computed of them are put into the cache, so that truth is known and no network runs. Both
videos of a pair are equally long; their middle part (60 % of the first) shows the same process, in the second 1.25
times as fast, between unrelated parts. Extraction is measured on *decoded video*: rendered files of 640 x 360,
analysed at one frame a second with nothing in the cache.
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

import numpy as np

from lactoolkit.features.cache import entry_key, save_entry
from lactoolkit.models.registry import encoder_identity, encoder_spec
from lactoolkit.video.decoding import probe
from lactoolkit.video.digest import file_sha256
from lactoolkit.video.encoding import VideoWriter

RATE = 10
SHARED, SPEED = 0.6, 1.25
LATENT, NOISE = 48, 0.25
_CHUNK = 2000
COLUMNS = ["minutes each", "frames/s", "Mcells", "s", "CPU s", "load before", "peak MiB", "pairs"]
COLUMNS += ["within 1 frame", "worst, frames", "outside the process"]


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


def synthesise(folder: Path, minutes: int) -> np.ndarray:
    """Files a.mp4 and b.mp4 with features in the cache; the true frame of B for each frame of A, -1 for none."""
    count = 60 * minutes * RATE
    sizes = encoder_spec("lite0").tap_sizes
    world = np.random.default_rng(minutes)
    loading = world.normal(size=(LATENT, sum(sizes))).astype(np.float32)
    scene = world.normal(size=(2, sum(sizes))).astype(np.float32)
    shared_a = int(SHARED * count)
    shared_b = int(shared_a / SPEED)
    start_a, start_b = int(0.1 * count), int(0.4 * count)
    for k, (name, shared, start, step) in enumerate((("a", shared_a, start_a, 1.0), ("b", shared_b, start_b, SPEED))):
        path = folder / f"{name}.mp4"
        render(path, 60 * minutes, 64, 48, 10 * minutes + k)
        frames = len(probe_frames(path))
        rng = np.random.default_rng([minutes, k])
        rows = np.concatenate(
            [
                latent(start, rng),
                latent(shared, np.random.default_rng([minutes, 99]), step),
                latent(frames - start - shared, rng),
            ]
        )
        values = np.empty((frames, sum(sizes)), np.float16)
        for first in range(0, frames, _CHUNK):
            part = rows[first : first + _CHUNK].astype(np.float32) @ loading
            noise = rng.normal(size=part.shape).astype(np.float32)
            values[first : first + _CHUNK] = 3 * scene[k] + part / np.sqrt(LATENT) + NOISE * noise
        identity = encoder_identity("lite0")
        key = entry_key(video=file_sha256(path), encoder=identity, frame_rate=None, start=None, end=None)
        times = np.arange(frames) / RATE
        save_entry(key, frames=np.arange(frames), times=times, values=values, damage=np.array([], dtype=np.str_))
    truth = np.full(count, -1.0)
    truth[start_a : start_a + shared_a] = start_b + np.arange(shared_a) / SPEED
    return truth


def probe_frames(path: Path) -> range:
    return range(probe(path).frame_count or 0)


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


def in_own_process(task: str, folder: Path, minutes: int) -> list[float]:
    # A child's peak memory begins with that of the process that starts it: keep this one small.
    command = [sys.executable, __file__, "--task", task, "--folder", str(folder), "--minutes", str(minutes)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure_alignment(folder: Path, minutes: int) -> str:
    truth = np.array(in_own_process("synthesise", folder, minutes))
    load = os.getloadavg()[0]
    wall, processor, peak, text = run(folder, "align", "a.mp4", "b.mp4", "--quiet", "--json")
    document = json.loads(text)
    pairs = document["pairs"]
    a, b = (np.array([pair[key] for pair in pairs]) for key in ("frame_a", "frame_b"))
    off = np.abs(b - truth[a])[truth[a] >= 0]
    stray = int((truth[a] < 0).sum())
    rate = document["settings"]["frame_rate"]
    cells = (60 * minutes * rate) ** 2 / 1e6
    return (
        f"| {minutes} | {rate:.1f} | {cells:.0f} | {wall:.1f} | {processor:.1f} | {load:.1f} "
        f"| {peak:.0f} | {len(pairs)} | {(off <= 1).mean():.3f} | {off.max():.1f} | {stray} |"
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
        print(json.dumps(synthesise(options.folder, options.minutes).tolist()))
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
        for minutes in options.lengths:
            print(measure_alignment(folder, minutes), flush=True)
        print("\n## `lac extract --fps 1`, decoded video of 640 x 360, empty cache\n")
        print("| minutes | frames decoded | s | CPU s | load | peak MiB |\n|" + " --- |" * 6)
        for minutes in (options.lengths[0], options.lengths[-1]):
            print(measure_extraction(folder, minutes), flush=True)


if __name__ == "__main__":
    main()
