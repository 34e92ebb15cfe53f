"""Milliseconds that each loss takes forward and backward, beside a training step of the default small encoder.

    python benchmarks/losses.py [--threads N] > benchmarks/results/losses.md

The rows take turns, and the fastest turn counts: other work on the machine disturbs all alike. Processor time is that
of all threads, which other work hardly touches.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from lactoolkit.losses.lac import LACConfig
from lactoolkit.losses.registry import LOSSES, make_loss
from lactoolkit.models.temporal import TemporalEncoder, TemporalEncoderConfig

BATCHES = (6, 2)
FRAMES = 64
SIZE = 128
TURNS = 8
VARIANTS: dict[str, tuple[str, LACConfig | None]] = {
    **{name: (name, None) for name in LOSSES if name != "lac"},
    "lac (across videos, score)": ("lac", None),
    "lac, alignment term alone": ("lac", LACConfig(contrastive_weight=0.0)),
    "lac, gaps by position": ("lac", LACConfig(gaps="position")),
    "lac, gaps by context": ("lac", LACConfig(gaps="context")),
    "lac (within videos, score)": ("lac", LACConfig(pairs="within")),
    "lac (within, fenchel_young)": ("lac", LACConfig(objective="fenchel_young", pairs="within")),
    "lac (within, posterior)": ("lac", LACConfig(objective="posterior", pairs="within")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"# Losses\n\n{datetime.date.today()}, {processor()}, {arguments.threads} threads, torch {torch.__version__}; "
        "`python benchmarks/losses.py`"
    )
    for size in BATCHES:
        print_table(size)


def print_table(size: int) -> None:
    step = encoder_step(size)
    rows = {"encoder step": step, **{name: loss_step(size, *variant) for name, variant in VARIANTS.items()}}
    wall = dict.fromkeys(rows, np.inf)
    processor_time = dict.fromkeys(rows, np.inf)
    for turn in range(TURNS + 2):
        for name, run in rows.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run()
            if turn >= 2:  # the first turns compile and warm up
                wall[name] = min(wall[name], time.perf_counter() - start)
                processor_time[name] = min(processor_time[name], time.process_time() - start_cpu)
    base = processor_time["encoder step"]
    print(f"\n## {size} videos, T = {FRAMES}, {SIZE} dimensions\n")
    print("| | ms | ms of processor time | share of a training step (processor time) |\n| --- | --- | --- | --- |")
    for name in rows:
        share = "" if name == "encoder step" else f"{processor_time[name] / (base + processor_time[name]):.0%}"
        print(f"| {name} | {wall[name] * 1e3:.1f} | {processor_time[name] * 1e3:.1f} | {share} |")


def encoder_step(size: int) -> Callable[[], None]:
    """Forward, backward and Adam of the default temporal encoder on the pooled features of both views."""
    encoder = TemporalEncoder(TemporalEncoderConfig(), input_size=256)
    features = torch.randn(2 * size, FRAMES, 3, 256)  # a frame and its two neighbours
    optimiser = torch.optim.AdamW(encoder.parameters())

    def run() -> None:
        optimiser.zero_grad()
        encoder(features).sum().backward()
        optimiser.step()

    return run


def loss_step(size: int, name: str, config: LACConfig | None) -> Callable[[], None]:
    torch.manual_seed(0)
    loss = make_loss(name, config)
    u, v = functional.normalize(torch.randn(2, size, FRAMES, SIZE), dim=-1)
    u.requires_grad_()
    v.requires_grad_()
    positions = torch.rand(2, size, FRAMES).sort(2).values * 1.5 * FRAMES
    real = torch.ones(size, FRAMES, dtype=torch.bool)

    def run() -> None:
        loss(u, v, *positions, real, real).total.backward()

    return run


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


if __name__ == "__main__":
    main()
