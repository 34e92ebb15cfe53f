"""Wall time and peak memory of `lac align` as run by a user: two 10-second 1080p30 clips, all outputs, fresh processes.

    python benchmarks/align_command.py > benchmarks/results/align_command.md

The clips are the sample pair, enlarged, retimed and set before a moving texture, so that decoding costs what it does on
camera footage. A last run with nothing cached is split into stages, timed inside the process.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from lactoolkit import read_frames
from lactoolkit.video.encoding import VideoWriter

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
SECONDS, RATE, WIDTH, HEIGHT = 10, 30, 1920, 1080
RUNS = 3
STAGES = "--stages"  # this script's own child


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


def stages(folder: Path, out: str) -> dict[str, float]:
    """Wall seconds of each stage of one run, in the order of a run."""
    command = [sys.executable, str(Path(__file__).resolve()), STAGES, out]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def time_stages_here(out: str) -> None:
    """Align as the command does, with clocks around its stages, and print them as JSON."""
    imported = time.perf_counter()
    from lactoolkit.alignment import align
    from lactoolkit.report import bundle, side_by_side

    taken = {"imports of the package": time.perf_counter() - imported}
    for module, function, stage in (
        (align, "embed_video", "decoding and network"),
        (align, "align_embeddings", "alignment, significance, confidence"),
        (side_by_side, "write_side_by_side", "side_by_side.mp4"),
    ):
        setattr(module, function, _timed(getattr(module, function), taken, stage))
    start = time.perf_counter()
    bundle.write_report(align.align_videos("a.mp4", "b.mp4"), Path(out))
    taken["the rest (hashes, tables, plot)"] = time.perf_counter() - start - sum(list(taken.values())[1:])
    print(json.dumps(taken))


def _timed(function: Callable[..., object], taken: dict[str, float], stage: str) -> Callable[..., object]:
    def run_timed(*args: object, **options: object) -> object:
        start = time.perf_counter()
        try:
            return function(*args, **options)
        finally:
            taken[stage] = taken.get(stage, 0.0) + time.perf_counter() - start

    return run_timed


def main() -> None:
    if sys.argv[1:2] == [STAGES]:
        return time_stages_here(sys.argv[2])
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
        subprocess.run(["rm", "-rf", folder / "cache"], check=True)
        taken = stages(folder, "stages")
        peak = max(row[3] for row in rows)
    print("# `lac align` on two 10-second 1080p30 clips\n")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {date.today()}; Numba kernels compiled before\n")
    print("| features | wall s, median of 3 (each) | CPU s, median |\n| --- | --- | --- |")
    for cached in (False, True):
        walls = sorted(row[1] for row in rows if row[0] == cached)
        cpus = sorted(row[2] for row in rows if row[0] == cached)
        each = ", ".join(f"{wall:.1f}" for wall in walls)
        print(f"| {'cached' if cached else 'computed'} | {walls[RUNS // 2]:.1f} ({each}) | {cpus[RUNS // 2]:.1f} |")
    print(f"\nPeak memory of the largest run: {peak:.0f} MiB.\n")
    total = sum(taken.values())
    print("| stage, nothing cached | s | share |\n| --- | --- | --- |")
    for stage, seconds in taken.items():
        print(f"| {stage} | {seconds:.2f} | {100 * seconds / total:.0f} % |")


if __name__ == "__main__":
    main()
