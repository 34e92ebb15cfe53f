"""Losses compared on labelled videos: trains every method on every task and seed, measures it, and writes a report.

    python benchmarks/comparison.py DATA OUT --device cpu --processes 16
    python benchmarks/comparison.py DATA OUT --report > report.md

DATA/sim/TASK/ holds videos, labels and index.json (`video`, `id`, `split`, `episode`, `camera`, `distractor_kind` of
each). Within a group (`small`, `large`, `ablations`) every method has the same encoder, features, videos and number of
steps, those of the preset small but for what `comparison_methods.py` says; losses have the settings of their papers,
and embeddings are what was learnt alone, but for LAC. Training sees no labels. OUT receives one folder for each run;
runs that are there already are not repeated, and several commands may work on one OUT at the same time, on several
devices. `--measure train` learns from training episodes 0 to 9 and measures on 10 to 15: for choosing settings without
a look at `val`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
import os
import re
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparison_methods import GROUPS, METHODS, UNTRAINED
from comparison_report import write_report

SEEDS = (0, 1, 2)
LEARNED_EPISODES = 10  # of the training episodes, with --measure train
CARDS = "cuda"


@dataclass(frozen=True)
class Job:
    """One method on one task, trained from one seed."""

    method: str
    options: tuple[str, ...]
    task: str
    seed: int
    data: Path
    out: Path
    measure: str
    discard: bool

    @property
    def folder(self) -> Path:
        name = re.sub(r"[^a-z0-9.]+", "-", self.method.lower())
        return self.out / self.measure / name / self.task / f"seed{self.seed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda: processes take turns on all cards")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time, each with one thread")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="all by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, metavar="N")
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="NAME",
        default=[UNTRAINED, *GROUPS],
        help=f"methods or groups ({', '.join(GROUPS)}), in the order in which to run them; all by default",
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of every run")
    parser.add_argument("--variant", nargs="+", default=[], metavar=("NAME", "KEY=VALUE"), action="append")
    parser.add_argument("--measure", choices=("val", "train"), default="val")
    parser.add_argument("--discard", action="store_true", help="delete the checkpoints of a run once it is measured")
    parser.add_argument("--report", action="store_true", help="print the report of what is in OUT, run nothing")
    arguments = parser.parse_args()
    if arguments.report:
        write_report(arguments.out / arguments.measure, GROUPS)
        return
    known = {UNTRAINED: [], **METHODS, **{name: options for name, *options in arguments.variant}}
    chosen = [GROUPS[name][1] if name in GROUPS else [name] for name in arguments.methods]
    if unknown := [name for names in chosen for name in names if name not in known]:
        parser.error(f"no method {unknown[0]!r}; there are {', '.join([*GROUPS, *known])}")
    tasks = arguments.tasks or sorted(one.parent.name for one in (arguments.data / "sim").glob("*/index.json"))
    # Of a group every method with the first seed, then with the second: what is there when time is up can be compared.
    runs = dict.fromkeys(
        (name, seed if name != UNTRAINED else 0) for names in chosen for seed in arguments.seeds for name in names
    )
    jobs = [
        Job(
            name,
            (*arguments.set, *known[name]),
            task,
            seed,
            arguments.data,
            arguments.out,
            arguments.measure,
            arguments.discard,
        )
        for name, seed in runs
        for task in tasks
    ]
    sys.exit(1 if run_all(jobs, arguments.device, arguments.processes) else 0)


def run_all(jobs: list[Job], device: str, processes: int) -> int:
    """Run all jobs in processes of one thread each; number of those that failed."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    context = multiprocessing.get_context("spawn")
    failed = 0
    with ProcessPoolExecutor(processes, context, start_process, (device, context.Value("i", 0))) as pool:
        started = time.perf_counter()
        # Compiled once, here, instead of by every process at the same moment.
        work = [pool.submit(compile_alignment)]
        work += [pool.submit(compile_loss, options) for options in different_losses(jobs)]
        work += [pool.submit(extract, *one) for one in features_needed(jobs)]
        for done in as_completed(work):
            done.result()
        print(f"features and kernels: {time.perf_counter() - started:.0f} s", flush=True)
        pending = {pool.submit(run, job): job for job in jobs}
        for number, done in enumerate(as_completed(pending), start=1):
            job = pending[done]
            # One run that fails must not end all others; its error is told, and the command fails at its end.
            error = done.exception()
            failed += error is not None
            line = done.result() if error is None else "FAILED\n" + "".join(traceback.format_exception(error))
            print(f"{number}/{len(jobs)} {job.method}, {job.task}, seed {job.seed}: {line}", flush=True)
    print(f"all: {time.perf_counter() - started:.0f} s", flush=True)
    return failed


_device = "cpu"


def start_process(device: str, counter: Any) -> None:
    """Settle on a device: with several cards, processes take them in turn."""
    global _device
    import torch

    torch.set_num_threads(1)
    with counter.get_lock():
        number = counter.value
        counter.value += 1
    if device == CARDS:
        device = f"{CARDS}:{number % torch.cuda.device_count()}"
        torch.cuda.set_device(device)
    _device = device


def records(job: Job) -> list[Any]:
    """Labelled videos of the job's task, split as asked for."""
    from lactoolkit.video.datasets import VideoRecord

    folder = job.data / "sim" / job.task
    found = []
    for entry in json.loads((folder / "index.json").read_text())["videos"]:
        split = entry["split"]
        if job.measure == "train":
            if split != "train":
                continue
            split = "train" if entry["episode"] < LEARNED_EPISODES else "val"
        found.append(
            VideoRecord(
                job.data / "sim" / entry["video"],
                split,
                job.task,
                folder / "labels" / f"{entry['id']}.csv",
                str(entry["episode"]),
                entry["camera"],
                entry["distractor_kind"],
            )
        )
    return found


def features_needed(jobs: list[Job]) -> list[tuple[Path, str, int]]:
    """Video, encoder and number of augmented copies, for all videos of all jobs."""
    from lactoolkit.training.config import make_config

    needed: dict[tuple[Path, str], int] = {}
    for job in jobs:
        if job.method == UNTRAINED:
            wanted = {"lite0": 0, "lite0-fine": 0}
        else:
            features = make_config(assignments=job.options).features
            wanted = {features.encoder: features.views}
        for record in records(job):
            for encoder, views in wanted.items():
                key = (record.path, encoder)
                needed[key] = max(needed.get(key, 0), views if record.split == "train" else 0)
    return [(path, encoder, views) for (path, encoder), views in needed.items()]


_encoders: dict[str, Any] = {}


def extract(path: Path, encoder: str, views: int) -> None:
    """Fill the cache with the features of one video and of its augmented copies."""
    from lactoolkit.features.extraction import extract_features
    from lactoolkit.features.views import extract_feature_views
    from lactoolkit.models.encoders import load_encoder

    if encoder not in _encoders:
        _encoders[encoder] = load_encoder(encoder, device=_device)
    extract_features(path, _encoders[encoder])
    if views:
        extract_feature_views(path, _encoders[encoder], views=views)


def different_losses(jobs: list[Job]) -> list[tuple[str, ...]]:
    """Options of one job for each loss and its settings."""
    from lactoolkit.training.config import make_config

    found: dict[str, tuple[str, ...]] = {}
    for job in jobs:
        if job.method != UNTRAINED:
            config = make_config(assignments=job.options)
            found.setdefault(f"{config.loss_name} {config.loss}", job.options)
    return list(found.values())


def compile_loss(options: tuple[str, ...]) -> None:
    """Compute a loss once with gradients and once without, on noise in the shape of a batch."""
    import torch

    from lactoolkit.losses.registry import make_loss
    from lactoolkit.training.config import make_config

    config = make_config(assignments=options)
    batch, frames = config.training.batch, config.clips.frames
    torch.manual_seed(0)
    noise = torch.randn(2, batch, frames, config.model.output_size, device=_device)
    u, v = torch.nn.functional.normalize(noise, dim=-1)
    positions = torch.arange(frames, device=_device).float().expand(batch, frames)
    real = torch.ones_like(positions, dtype=torch.bool)
    loss = make_loss(config.loss_name, config.loss).to(_device)
    with torch.no_grad():
        loss(u, v, positions, positions, real, real)
    loss(u.requires_grad_(), v, positions, positions, real, real).total.backward()


def compile_alignment() -> None:
    """Align noise once."""
    import numpy as np

    from lactoolkit.alignment.settings import AlignmentSettings
    from lactoolkit.alignment.tables import similarity_table

    u, v = np.random.default_rng(0).normal(size=(2, 16, 8)).astype(np.float32)
    table = similarity_table(u, v, AlignmentSettings())
    for path in table.best_paths(1):
        table.posterior_near(path, [], 3)


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether no other process is working in this folder; the system ends a claim with the process that made it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "claim", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def run(job: Job) -> str:
    """Train and measure, unless that is done already; a line about it."""
    with claimed(job.folder) as mine:
        result = job.folder / "evaluation.json"
        if not mine:
            return "another process is at it"
        if result.exists():
            return "done before"
        document = measure_untrained(job) if job.method == UNTRAINED else train_and_measure(job)
        unfinished = result.with_suffix(".part")
        unfinished.write_text(json.dumps({**document, "method_name": job.method, "task": job.task, "seed": job.seed}))
        os.replace(unfinished, result)
        return document["line"]


def measure_untrained(job: Job) -> dict[str, Any]:
    from lactoolkit.evaluation import evaluate

    started = time.perf_counter()
    found = evaluate("lite0", records(job), beside=["lite0-fine"], device=_device)
    return {**found.to_document(), "device": device_name(), "line": f"{time.perf_counter() - started:.0f} s"}


def train_and_measure(job: Job) -> dict[str, Any]:
    from lactoolkit.evaluation import evaluate
    from lactoolkit.models.trained import load_trained_encoder
    from lactoolkit.training.config import make_config
    from lactoolkit.training.trainer import train

    config = make_config(assignments=[*job.options, f"training.seed={job.seed}"])
    labelled = records(job)
    sources = [(record.path, record.class_name) for record in labelled if record.split == "train"]
    folder = job.folder / "run"
    started, started_cpu = time.perf_counter(), time.process_time()
    trained = train(sources, folder, config, device=_device, resume=True)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    encoder = load_trained_encoder(trained.best, _device)
    found = evaluate(encoder, labelled, baselines=False)
    evaluation = time.perf_counter() - started - seconds
    if job.discard:
        shutil.rmtree(folder)
    return {
        **found.to_document(),
        "device": device_name(),
        "parameters": sum(parameter.numel() for parameter in encoder.temporal.parameters()),
        "training_seconds": seconds,
        "training_cpu_seconds": cpu_seconds,
        "evaluation_seconds": evaluation,
        "best_step": trained.best_step,
        "steps": trained.steps,
        "line": f"{seconds:.0f} s to train ({cpu_seconds:.0f} s of processor time), {evaluation:.0f} s to measure",
    }


def device_name() -> str:
    """The model of the card, or cpu."""
    import torch

    return torch.cuda.get_device_name(_device) if _device.startswith(CARDS) else _device


if __name__ == "__main__":
    main()
