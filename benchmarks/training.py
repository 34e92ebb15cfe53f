"""What a training step takes: time, the loss's share of it, memory, and how busy the card is.

    python benchmarks/training.py FOLDER [--preset paper] [--set KEY=VALUE] [--device cuda] [--steps N]

FOLDER holds videos of one process. Blocks of steps with the loss take turns with blocks in which the mean of the
embeddings stands for it; the difference of the medians is the loss, forward and backward. On a CPU, times are processor
time, which other work hardly touches. How busy a card is, the driver says (NVML: share of time in which a kernel ran).
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from lactoolkit.losses.frame_loss import LossTerms
from lactoolkit.training.config import make_config
from lactoolkit.training.data import load_videos
from lactoolkit.training.distributed import Team
from lactoolkit.training.run import TrainingRun
from lactoolkit.training.sources import training_sources

BLOCKS, WARM_UP = 4, 5


class NoLoss(nn.Module):
    """Stands for a loss that costs nothing."""

    def forward(self, u: torch.Tensor, v: torch.Tensor, *_: object, **__: object) -> LossTerms:
        total = u.mean() + v.mean()
        return LossTerms(total, {})

    def readings(self) -> dict[str, float]:
        return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=40, help="to time of each kind")
    arguments = parser.parse_args()
    config = make_config(arguments.preset, assignments=arguments.set)
    device = torch.device(arguments.device)
    videos, _ = load_videos(
        training_sources(arguments.folder),
        config.data,
        config.features,
        config.augmentation,
        device=str(device),
        strict=True,
        progress=False,
    )
    run = TrainingRun(Team(0, 1, device), videos, config, None)
    kinds = {"whole": run.module.loss, "without": NoLoss()}
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    busy: list[float] = []
    for block in range(BLOCKS + 1):
        for kind, loss in kinds.items():
            run.module.loss = loss  # type: ignore[assignment]
            for _ in range(WARM_UP):
                run.take_step()
            watch = kind == "whole" and block and device.type == "cuda"
            with Watch(device, busy if watch else None):
                for _ in range(arguments.steps // BLOCKS if block else 1):
                    taken = timed(run.take_step, device)
                    times[kind] += [taken] if block else []
    whole, without = (statistics.median(times[kind]) for kind in ("whole", "without"))
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    memory = f", {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB" if device.type == "cuda" else ""
    shown = f", card busy {statistics.mean(busy):.0f} % of the time" if busy else ""
    print(
        f"{arguments.preset} {' '.join(arguments.set)}, {card}: step {whole * 1e3:.1f} ms, loss "
        f"{(whole - without) * 1e3:.1f} ms = {1 - without / whole:.1%}{memory}{shown}",
        flush=True,
    )
    run.feeder.close()


def timed(step: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        started = time.process_time()
        step()
        return time.process_time() - started
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    step()
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


class Watch:
    """Samples how busy a card is while the block runs."""

    def __init__(self, device: torch.device, samples: list[float] | None) -> None:
        self._device, self._samples, self._over = device, samples, threading.Event()

    def __enter__(self) -> None:
        if self._samples is not None:
            self._thread = threading.Thread(target=self._sample)
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._samples is not None:
            self._over.set()
            self._thread.join()

    def _sample(self) -> None:
        assert self._samples is not None
        while not self._over.wait(0.1):
            self._samples.append(torch.cuda.utilization(self._device))


if __name__ == "__main__":
    main()
