"""Milliseconds a frame of the default encoder, by precision and batch size, and how well decoding and network overlap.

    python benchmarks/encoder.py [VIDEO] [--threads N] > benchmarks/results/encoder.md

Combinations take turns, and the fastest turn counts: other work on the machine disturbs all alike. CPU time is the
processor time of all threads, which other work hardly touches.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from pathlib import Path

import numpy as np
import torch

from lactoolkit.features.extraction import extract_features
from lactoolkit.models.encoders import FrameEncoder, load_encoder
from lactoolkit.video.decoding import read_frames

BATCH_SIZES = (1, 8, 32)
TURNS = 4
FRAMES_PER_TURN = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, help="also measure decoding, network and both together on this")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"# Encoder\n\n{datetime.date.today()}, {processor()}, {arguments.threads} threads, torch {torch.__version__}; "
        "`python benchmarks/encoder.py [VIDEO]`\n"
    )
    encoders = {precision: load_encoder(device="cpu", precision=precision) for precision in ("float32", "bfloat16")}
    print_precisions(encoders)
    print_agreement(encoders)
    if arguments.video:
        print_overlap(arguments.video)


def print_precisions(encoders: dict[str, FrameEncoder]) -> None:
    images = random_pictures(max(BATCH_SIZES))
    wall: dict[tuple[str, int], float] = {}
    processor_time: dict[tuple[str, int], float] = {}
    for turn in range(TURNS + 1):
        for precision, encoder in encoders.items():
            for size in BATCH_SIZES:
                repeats = 1 if turn == 0 else max(1, FRAMES_PER_TURN // size)  # the first turn only warms up
                start, start_cpu = time.perf_counter(), time.process_time()
                with torch.inference_mode():
                    for _ in range(repeats):
                        encoder(images[:size])
                key, count = (precision, size), repeats * size
                if turn > 0:
                    wall[key] = min(wall.get(key, np.inf), (time.perf_counter() - start) / count)
                    used = (time.process_time() - start_cpu) / count
                    processor_time[key] = min(processor_time.get(key, np.inf), used)
    print("| precision | batch size | ms a frame | CPU ms a frame |\n| --- | --- | --- | --- |")
    for (precision, size), seconds in wall.items():
        print(f"| {precision} | {size} | {seconds * 1e3:.1f} | {processor_time[precision, size] * 1e3:.1f} |")


def print_agreement(encoders: dict[str, FrameEncoder]) -> None:
    images = random_pictures(16)
    with torch.inference_mode():
        exact, rounded = (encoders[precision](images) for precision in ("float32", "bfloat16"))
    cosine = torch.nn.functional.cosine_similarity(exact, rounded)
    print(f"\nCosine of bfloat16 with float32 on random pictures: at least {cosine.min():.5f}.")


def print_overlap(video: Path) -> None:
    best = [np.inf] * 3
    encoder = load_encoder(device="cpu")
    count = 0
    for _ in range(3):
        start = time.perf_counter()
        images = [batch.images for batch in read_frames(video, size=encoder.input_size, batch_size=8)]
        best[0] = min(best[0], time.perf_counter() - start)
        start = time.perf_counter()
        with torch.inference_mode():
            for batch in images:
                encoder(torch.from_numpy(batch))
        best[1] = min(best[1], time.perf_counter() - start)
        start = time.perf_counter()
        count = len(extract_features(video, encoder, cache=False).frames)
        best[2] = min(best[2], time.perf_counter() - start)
    print(
        f"\n{count} frames: decoding alone {best[0]:.2f} s, network alone {best[1]:.2f} s, both together "
        f"{best[2]:.2f} s ({(best[0] + best[1]) / best[2]:.2f} times as fast as one after the other)."
    )


def random_pictures(count: int) -> torch.Tensor:
    coarse = np.random.default_rng(0).integers(0, 256, (count, 14, 14, 3), dtype=np.uint8)
    return torch.from_numpy(coarse.repeat(16, axis=1).repeat(16, axis=2))


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


if __name__ == "__main__":
    main()
