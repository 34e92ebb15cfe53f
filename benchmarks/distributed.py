"""One model trained by several processes with a share of the batch each, against one process with the whole batch.

    python benchmarks/distributed.py FOLDER [--preset paper] [--device cuda] [--steps N] [--set KEY=VALUE] ...

FOLDER holds videos of one process. Prints a Markdown table: the largest differences of what was learnt, and the time of
a step of both. Dropout, which every process draws for itself, is off, and all is computed in float32 without TF32
(unless --set training.precision=bfloat16), so that nothing but the order of additions differs; on a CPU, batch
normalisation (--preset paper) is each process's own, too. Adam makes much of rounding where a gradient is nothing else,
as that of a transformer's key biases, which change no embedding: so embeddings are compared beside weights.
"""

from __future__ import annotations

import argparse
import datetime
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from losses import processor
from training import first_videos

from lactoolkit.training.config import make_config
from lactoolkit.training.distributed import joined_team
from lactoolkit.training.run import TrainingRun

WARM_UP = 5  # steps that are not timed
SETTINGS = ("model.dropout=0", "training.epochs=0", "training.precision=float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--videos", type=int, help="the first so many of the folder; all by default")
    parser.add_argument("--member", type=Path, help=argparse.SUPPRESS)  # in a process of several: where to write
    arguments = parser.parse_args()
    assignments = [*SETTINGS, f"training.steps={arguments.steps}", *arguments.set]
    config = make_config(arguments.preset, assignments=assignments)
    torch.backends.cudnn.allow_tf32 = False
    with joined_team(arguments.device) as team:
        run = TrainingRun(team, first_videos(arguments.folder, arguments.videos, config, team.device), config, None)
        found = train(run)
        if arguments.member is not None and team.leads:
            torch.save(found, arguments.member)
    if arguments.member is None:
        with tempfile.TemporaryDirectory() as folder:
            report(arguments, run, found, train_in_processes(arguments, Path(folder) / "found.pt"))


def train(run: TrainingRun) -> dict[str, Any]:
    """Take all steps; losses, seconds of each step, and the weights."""
    losses, seconds = [], []
    while run.step < run.steps:
        started = time.perf_counter()
        losses.append(run.take_step()["loss"])
        seconds.append(time.perf_counter() - started)
    run.feeder.close()
    return {"losses": losses, "seconds": seconds[WARM_UP:], "weights": run.module.state_dict()}


def train_in_processes(arguments: argparse.Namespace, path: Path) -> dict[str, Any]:
    """The same by several processes; each reads the features that this one has left in the cache."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["torch.distributed.run", f"--nproc-per-node={arguments.processes}", "--master-addr=127.0.0.1"]
    command = [sys.executable, "-m", *launch, f"--master-port={port}", __file__, *sys.argv[1:], "--member", str(path)]
    subprocess.run(command, check=True)
    return torch.load(path, map_location=arguments.device, weights_only=True)


def report(arguments: argparse.Namespace, alone: TrainingRun, one: dict[str, Any], several: dict[str, Any]) -> None:
    weights = max((one["weights"][name] - value).abs().max().item() for name, value in several["weights"].items())
    embedded = [embed(alone, found["weights"]) for found in (one, several)]
    losses = max(abs(a - b) / abs(b) for a, b in zip(several["losses"], one["losses"], strict=True))
    device = alone.team.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    shares = f"{arguments.processes} processes with a share of the batch of {alone.feeder.sampler.batch} videos each"
    columns = "steps", "weights differ by", "embeddings by", "losses by (relative)", "step alone ms", "step together ms"
    cells = (
        str(alone.steps),
        f"{weights:.1e}",
        f"{(embedded[0] - embedded[1]).abs().max().item():.1e}",
        f"{losses:.1e}",
        *(f"{1e3 * statistics.median(found['seconds']):.2f}" for found in (one, several)),
    )
    print(
        f"{datetime.date.today()}, {where}, torch {torch.__version__}, {shares}; largest differences\n\n"
        f"| | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}\n"
        f"| {' '.join([arguments.preset, *arguments.set])} | {' | '.join(cells)} |",
        flush=True,
    )


def embed(run: TrainingRun, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """Embeddings of the clips of one batch."""
    run.module.load_state_dict(weights)
    run.module.eval()
    with torch.no_grad():
        return run.module.embed(run.held_out_feeder.clips(0), torch.Generator(run.team.device))


if __name__ == "__main__":
    main()
