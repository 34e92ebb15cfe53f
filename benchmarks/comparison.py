"""Losses compared on labelled videos: trains every method on every task and seed, measures it, and writes a report.

    python benchmarks/comparison.py DATA OUT --device cpu --processes 16
    python benchmarks/comparison.py DATA OUT --report > benchmarks/results/comparison.md

DATA/sim/TASK/ holds videos, labels and index.json (`video`, `id`, `split`, `episode`, `camera`, `distractor_kind` of
each). Every method has the same encoder, features, videos and number of steps (the preset small); losses have the
settings of their papers, and embeddings are what was learnt alone, but for LAC. Training sees no labels. OUT receives
one folder for each run; runs that are there already are not repeated, and several commands may work on one OUT at the
same time, on several devices. `--measure train` learns from training episodes 0 to 9 and measures on 10 to 15: for
choosing settings without a look at `val`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparison_report import write_report

SEEDS = (0, 1, 2)
LEARNED_EPISODES = 10  # of the training episodes, with --measure train
CARDS = "cuda"

LAC = "LAC"
BASELINES = ("SCL", "TCN", "TCC", "LAV", "GTA")
# As the papers have it: without the frame encoder's own features beside what was learnt.
ALONE = "features.untrained_weight=0"
METHODS: dict[str, list[str]] = {
    LAC: [],
    **{name: [f"loss.name={name.lower()}", ALONE] for name in BASELINES},
}
# What is left out or exchanged in LAC, and the other losses with what the preset sets beside the learnt part. SCL with
# that is LAC without its alignment term.
ABLATIONS: dict[str, list[str]] = {
    "LAC, learnt part alone": [ALONE],
    **{f"{name}, untrained features beside": [f"loss.name={name.lower()}"] for name in BASELINES},
    "LAC, alignment term alone": ["loss.contrastive_weight=0"],
    "LAC, score within videos": ["loss.pairs=within"],
    "LAC, Fenchel-Young within videos": ["loss.pairs=within", "loss.objective=fenchel_young"],
    "LAC, posterior within videos": ["loss.pairs=within", "loss.objective=posterior"],
    "LAC, gaps by position": ["loss.gaps=position"],
    "LAC, gaps by context": ["loss.gaps=context"],
    "LAC, temperature 0.2": ["loss.temperature=0.2"],
    "LAC, temperature 2": ["loss.temperature=2.0"],
    "LAC, no augmented copies": ["features.views=0"],
    "LAC, coarse features, no copies": ["features.encoder=lite0", "features.views=0"],
    "LAC, positions from a random offset": ["model.position_code=random_offset"],
    "SCL, positions from a random offset": ["loss.name=scl", "model.position_code=random_offset"],
}
UNTRAINED = "untrained"


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
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="all by default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of every run")
    parser.add_argument("--variant", nargs="+", default=[], metavar=("NAME", "KEY=VALUE"), action="append")
    parser.add_argument("--measure", choices=("val", "train"), default="val")
    parser.add_argument("--report", action="store_true", help="print the report of what is in OUT, run nothing")
    arguments = parser.parse_args()
    if arguments.report:
        write_report(arguments.out / arguments.measure, [*METHODS, *ABLATIONS], LAC)
        return
    known = {**METHODS, **ABLATIONS, **{name: options for name, *options in arguments.variant}}
    chosen = arguments.methods or [UNTRAINED, *METHODS, *ABLATIONS]
    if unknown := [name for name in chosen if name not in known and name != UNTRAINED]:
        parser.error(f"no method {unknown[0]!r}; there are {', '.join([UNTRAINED, *known])}")
    tasks = arguments.tasks or sorted(one.parent.name for one in (arguments.data / "sim").glob("*/index.json"))
    jobs = [
        Job(
            name,
            tuple([*arguments.set, *known.get(name, ())]),
            task,
            seed,
            arguments.data,
            arguments.out,
            arguments.measure,
        )
        for name in chosen
        for seed in (arguments.seeds if name != UNTRAINED else (0,))
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
        work = [pool.submit(compile_kernels, sorted({job.options for job in jobs}))]
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
    _device = f"cuda:{number % torch.cuda.device_count()}" if device == CARDS else device


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


def compile_kernels(all_options: list[tuple[str, ...]]) -> None:
    """Compute every loss and one alignment once, on noise."""
    import torch

    from lactoolkit.alignment.settings import AlignmentSettings
    from lactoolkit.alignment.tables import similarity_table
    from lactoolkit.losses.registry import make_loss
    from lactoolkit.training.config import make_config

    torch.manual_seed(0)
    for options in all_options:
        config = make_config(assignments=options)
        u, v = torch.nn.functional.normalize(torch.randn(2, 3, 16, config.model.output_size), dim=-1)
        u.requires_grad_()
        positions, real = torch.arange(16.0).expand(3, 16), torch.ones(3, 16, dtype=torch.bool)
        make_loss(config.loss_name, config.loss)(u, v, positions, positions, real, real).total.backward()
    table = similarity_table(u[0].detach().numpy(), v[0].numpy(), AlignmentSettings())
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
    return {**found.to_document(), "device": _device, "line": f"{time.perf_counter() - started:.0f} s"}


def train_and_measure(job: Job) -> dict[str, Any]:
    from lactoolkit.evaluation import evaluate
    from lactoolkit.training.config import make_config
    from lactoolkit.training.trainer import train

    config = make_config(assignments=[*job.options, f"training.seed={job.seed}"])
    labelled = records(job)
    sources = [(record.path, record.class_name) for record in labelled if record.split == "train"]
    started, started_cpu = time.perf_counter(), time.process_time()
    trained = train(sources, job.folder / "run", config, device=_device, resume=True)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    found = evaluate(trained.best, labelled, device=_device, baselines=False)
    evaluation = time.perf_counter() - started - seconds
    return {
        **found.to_document(),
        "device": _device,
        "training_seconds": seconds,
        "training_cpu_seconds": cpu_seconds,
        "best_step": trained.best_step,
        "steps": trained.steps,
        "line": f"{seconds:.0f} s to train ({cpu_seconds:.0f} s of processor time), {evaluation:.0f} s to measure",
    }


if __name__ == "__main__":
    main()
