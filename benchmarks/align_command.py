"""Wall time and peak memory of `lac align` as run by a user: two 10-second 1080p30 clips, all outputs, fresh processes.

    python benchmarks/align_command.py > benchmarks/results/align_command.md

The clips are the sample pair, enlarged, retimed and set before a moving texture, so that decoding costs what it does on
camera footage.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

from lactoolkit import read_frames
from lactoolkit.video.encoding import VideoWriter

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
SECONDS, RATE, WIDTH, HEIGHT = 10, 30, 1920, 1080
RUNS = 3


def render(source: Path, target: Path, seed: int) -> None:
    import cv2

    images = np.concatenate([batch.images for batch in read_frames(source)])
    texture = np.random.default_rng(seed).integers(0, 60, (HEIGHT, WIDTH + 4 * SECONDS * RATE, 3), dtype=np.uint8)
    texture = cv2.GaussianBlur(texture, (5, 5), 0)
    count = SECONDS * RATE
    with VideoWriter(target, RATE, WIDTH, HEIGHT) as writer:
        for k in range(count):
            frame = texture[:, 4 * k : 4 * k + WIDTH].copy()
            frame[:, 420:1500] = cv2.resize(images[k * len(images) // count], (HEIGHT, HEIGHT))
            writer.write(frame)


def run(folder: Path, out: str) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak MiB of one run."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "lactoolkit.cli", "align", "a.mp4", "b.mp4", "-o", out, "--quiet"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command} failed with status {status}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["LACTOOLKIT_CACHE"] = str(folder / "cache")
        for stem, sample, seed in (("a", "hammer_slow", 0), ("b", "hammer_fast", 1)):
            # In a process of its own: a child's peak memory begins with that of the process that starts it.
            job = (SAMPLES / f"{sample}.mp4", folder / f"{stem}.mp4", seed)
            renderer = multiprocessing.get_context("spawn").Process(target=render, args=job)
            renderer.start()
            renderer.join()
        run(folder, "compile")
        rows = []
        for k in range(RUNS):
            for cached in (False, True):
                if not cached:
                    subprocess.run(["rm", "-rf", folder / "cache"], check=True)
                rows.append((cached, *run(folder, f"out{k}{cached}")))
        peak = max(row[3] for row in rows)
    print("# `lac align` on two 10-second 1080p30 clips\n")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {date.today()}; Numba kernels compiled before\n")
    print("| features | wall s, median of 3 (each) | CPU s, median |\n| --- | --- | --- |")
    for cached in (False, True):
        walls = sorted(row[1] for row in rows if row[0] == cached)
        cpus = sorted(row[2] for row in rows if row[0] == cached)
        each = ", ".join(f"{wall:.1f}" for wall in walls)
        print(f"| {'cached' if cached else 'computed'} | {walls[RUNS // 2]:.1f} ({each}) | {cpus[RUNS // 2]:.1f} |")
    print(f"\nPeak memory of the largest run: {peak:.0f} MiB.")


if __name__ == "__main__":
    main()
