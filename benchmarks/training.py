"""What a training step takes: time, the loss's share of it, memory, and how busy the card is.

    python benchmarks/training.py FOLDER [--case NAME ...] [--device cuda] [--steps N] [--videos N] [--set KEY=VALUE]

FOLDER holds videos of one process. Prints a Markdown table, a row for each case as soon as it is measured.

Blocks of steps with the loss take turns with blocks of a run in which the mean of the embeddings stands for it; the
difference of the medians is the loss, forward and backward. On a CPU, times are processor time, which other work hardly
touches. On a card, beside them: the time in which kernels ran (torch.profiler), that of the alignment kernels, and the
driver's word on the share of time in which the card was busy (NVML), over some seconds of steps in a row.

ResNet-50 gets random numbers for weights, so that the benchmark needs no download: they change no time.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from losses import processor
from torch import nn

from lactoolkit.losses.frame_loss import LossTerms
from lactoolkit.models.resnet import ResNet50
from lactoolkit.training.config import RunConfig, make_config
from lactoolkit.training.data import LoadedVideo, load_videos
from lactoolkit.training.distributed import Team
from lactoolkit.training.graphed_step import GraphedStep
from lactoolkit.training.run import TrainingRun
from lactoolkit.training.sources import training_sources

BLOCKS, WARM_UP, PROFILED = 4, 3, 5
WATCHED = 3.0  # seconds; NVML looks back over up to one
ALIGNMENT_KERNELS = "smith_waterman"  # in the names of the kernels
RANDOM_NUMBERS = "RANDOM"


# Presets and what is changed of them.
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "small": ("small", ()),
    "small without CUDA graph": ("small", ("training.cuda_graph=false",)),
    "paper, lite0": ("paper", ("features.encoder=lite0",)),
    "paper, ResNet-50 of random numbers": ("paper", (f"features.weights={RANDOM_NUMBERS}",)),
}
COLUMNS = (
    "step ms",
    "without loss ms",
    "loss",
    "kernels ms",
    "loss in kernels",
    "alignment kernels",
    "kernels / step",
    "busy (NVML)",
    "GiB",
    "CUDA graph",
)


class NoLoss(nn.Module):
    """Stands for a loss that costs nothing."""

    def forward(self, u: torch.Tensor, v: torch.Tensor, *_: object, **__: object) -> LossTerms:
        return LossTerms(u.mean() + v.mean(), {})

    def readings(self) -> dict[str, torch.Tensor]:
        return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--case", action="append", choices=list(CASES), help="all by default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=40, help="to time of each kind")
    parser.add_argument("--videos", type=int, help="the first so many of the folder; all by default")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    print(
        f"{datetime.date.today()}, {where}, torch {torch.__version__}, {torch.get_num_threads()} threads; "
        f"`python {shlex.join(['benchmarks/training.py', 'FOLDER', *sys.argv[2:]])}`\n\n"
        f"| | {' | '.join(COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 1)}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.pth"
        torch.save(random_resnet50(), weights)
        for name in arguments.case or CASES:
            preset, changes = CASES[name]
            settings = [one.replace(RANDOM_NUMBERS, str(weights)) for one in changes]
            # Steps without end, for the clips of the next are gathered while there is one.
            endless = ["training.epochs=0", "training.steps=1000000"]
            config = make_config(preset, assignments=[*settings, *arguments.set, *endless])
            videos = first_videos(arguments.folder, arguments.videos, config, device)
            cells = measure(videos, config, device, arguments.steps)
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def first_videos(folder: Path, count: int | None, config: RunConfig, device: torch.device) -> list[LoadedVideo]:
    """The first so many videos of a folder, all by default, as a run is given them."""
    return load_videos(
        training_sources(folder)[:count],
        config.data,
        config.features,
        config.augmentation,
        device=str(device),
        strict=True,
        progress=False,
    )[0]


def measure(videos: list[LoadedVideo], config: RunConfig, device: torch.device, steps: int) -> Sequence[str]:
    """Cells of a row."""
    whole = new_run(videos, config, device)
    for _ in range(WARM_UP):
        whole.take_step()
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    without = new_run(videos, config, device, NoLoss())
    times: dict[TrainingRun, list[float]] = {whole: [], without: []}
    for _ in range(BLOCKS):
        for run, found in times.items():
            for _ in range(WARM_UP):
                run.take_step()
            found.append(seconds_per_step(run, device, max(1, steps // BLOCKS)))
    step, rest = (1e3 * statistics.median(times[run]) for run in (whole, without))
    cells = [f"{step:.2f}", f"{rest:.2f}", f"{1 - rest / step:.1%}"]
    if device.type == "cuda":
        kernels, alignment = kernel_milliseconds(whole)
        kernels_rest, _ = kernel_milliseconds(without)
        cells += [f"{kernels:.2f}", share(kernels - kernels_rest, kernels), share(alignment, kernels)]
        is_recorded = isinstance(whole.gradients, GraphedStep) and whole.gradients.is_recorded
        cells += [share(kernels, step), busy(whole, device), f"{memory:.1f}", "yes" if is_recorded else "no"]
    else:
        cells += ["–"] * (len(COLUMNS) - len(cells))
    for run in times:
        run.feeder.close()
    return cells


def new_run(
    videos: list[LoadedVideo], config: RunConfig, device: torch.device, loss: nn.Module | None = None
) -> TrainingRun:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    run = TrainingRun(Team(0, 1, device), videos, config, None)
    if loss is not None:
        run.module.loss = loss  # type: ignore[assignment]
    return run


def seconds_per_step(run: TrainingRun, device: torch.device, steps: int) -> float:
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    for _ in range(steps):
        run.take_step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (clock() - started) / steps


def kernel_milliseconds(run: TrainingRun) -> tuple[float, float]:
    """Time of a step in which kernels (or copies) ran on the card, and that of the alignment kernels."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(PROFILED):
            run.take_step()
        torch.cuda.synchronize()
    on_card = [
        event
        for event in profile.events()
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation
    ]
    end, total, alignment = 0.0, 0.0, 0.0
    for event in sorted(on_card, key=lambda event: event.time_range.start):
        total += max(0.0, event.time_range.end - max(end, event.time_range.start))
        end = max(end, event.time_range.end)
        if ALIGNMENT_KERNELS in event.name:
            alignment += event.time_range.end - event.time_range.start
    return total / PROFILED / 1e3, alignment / PROFILED / 1e3


def busy(run: TrainingRun, device: torch.device) -> str:
    """Share of time in which a kernel ran, as the driver has it."""
    if find_spec("pynvml") is None:
        return "–"
    samples: list[int] = []
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(0.2):
            samples.append(torch.cuda.utilization(device))

    thread = threading.Thread(target=sample)
    thread.start()
    end = time.perf_counter() + WATCHED
    while time.perf_counter() < end:
        run.take_step()
    is_over.set()
    thread.join()
    return f"{statistics.mean(samples[len(samples) // 2 :]):.0f}%"


def share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def random_resnet50() -> dict[str, torch.Tensor]:
    """A state with torchvision's key names, of numbers that keep the maps finite."""
    state: dict[str, torch.Tensor] = {}
    for name, convolution in ResNet50().named_modules():
        if not isinstance(convolution, nn.Conv2d):
            continue
        size, channels = convolution.weight[0].numel(), len(convolution.weight)
        state[f"{name}.weight"] = torch.randn(convolution.weight.shape) * (2 / size) ** 0.5
        norm = name[:-1] + "1" if name.endswith("downsample.0") else name.replace("conv", "bn")
        for part, value in (("weight", 0.5), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            state[f"{norm}.{part}"] = torch.full((channels,), value)
    return state


if __name__ == "__main__":
    main()
