"""The training loop."""

from __future__ import annotations

import math
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from lactoolkit.errors import LacToolkitWarning
from lactoolkit.training.config import RunConfig
from lactoolkit.training.data import content_digest, load_videos
from lactoolkit.training.distributed import Team, joined_team
from lactoolkit.training.logs import RunLog
from lactoolkit.training.run import TrainingRun
from lactoolkit.training.run_folder import BEST, LAST, begin_run, check_same_run, open_run


@dataclass(frozen=True)
class TrainingResult:
    """What a run gave.

    Parameters
    ----------
    best, last : Path
        The checkpoints.
    best_step : int
        Step of the best one.
    best_score : float
        Its validation score (with ``select = "loss"``: the negative loss).
    steps : int
        Steps in all.
    videos, held_out, skipped : int
        Videos that were learned from, validated on (0: on those learned from), left out because they could not be read.
    """

    best: Path
    last: Path
    best_step: int
    best_score: float
    steps: int
    videos: int
    held_out: int
    skipped: int


def train(
    sources: Sequence[tuple[Path, str]],
    folder: str | Path,
    config: RunConfig,
    *,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    strict: bool = False,
    progress: bool = False,
) -> TrainingResult:
    """Learn frame embeddings from videos of the same process, without labels.

    Under torchrun, all processes share one batch, and the result is that of one process with the same batch.

    Parameters
    ----------
    sources : sequence of (Path, str)
        Videos and the names of the processes they show ("" for all the same).
    folder : path
        The run's folder: receives ``best.pt``, ``last.pt``, ``config.toml``, ``log.csv`` and ``progress.png``.
    config : RunConfig
        From :func:`lactoolkit.training.config.make_config`.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    resume, overwrite : bool
        Go on with the run that is in the folder, or replace it.
    strict : bool
        Whether a video that cannot be decoded is an error; else it is left out with a warning.
    progress : bool
        Whether to show progress bars on stderr.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TrainingError
        If there are too few videos, or the loss is no number.
    OutputError
        If the folder is taken or cannot be written to.
    CheckpointError
        If the run to resume is damaged.
    """
    folder = Path(folder)
    with joined_team(device) as team:
        return _train_in_team(team, sources, folder, config, resume, overwrite, strict, progress and team.leads)


def _train_in_team(
    team: Team,
    sources: Sequence[tuple[Path, str]],
    folder: Path,
    config: RunConfig,
    resume: bool,
    overwrite: bool,
    strict: bool,
    progress: bool,
) -> TrainingResult:
    if config.model.position_code == "sinusoidal" and team.leads:
        warnings.warn(
            "model.position_code = sinusoidal: embeddings may tell the number of a frame instead of what it shows; any "
            "two videos then seem to align, and p-values do not notice. Compare with position only (lac evaluate)",
            LacToolkitWarning,
            stacklevel=3,
        )
    content = team.lead(lambda: open_run(folder, resume=resume, overwrite=overwrite))
    with warnings.catch_warnings():
        if not team.leads:  # the first process says the same
            warnings.simplefilter("ignore", LacToolkitWarning)
        videos, skipped = load_videos(
            sources,
            config.data,
            config.features,
            config.augmentation,
            device=str(team.device),
            strict=strict,
            progress=progress,
        )
    if content is not None:
        check_same_run(content, config, content_digest(videos), folder)
    run = TrainingRun(team, videos, config, content)
    if content is None and team.leads:  # not before: a run that could not begin leaves everything as it was
        begin_run(config, folder)
    with torch.random.fork_rng(devices=[team.device] if team.device.type == "cuda" else []):
        _loop(run, folder, progress)
    best_step, best_score = team.share((run.best_step, run.best_score))  # only the first process validates
    return TrainingResult(
        best=folder / BEST,
        last=folder / LAST,
        best_step=best_step,
        best_score=best_score,
        steps=run.steps,
        videos=len(run.training),
        held_out=len(run.held_out) if run.has_held_out else 0,
        skipped=skipped,
    )


def _loop(run: TrainingRun, folder: Path, progress: bool) -> None:
    """Take all remaining steps, with checkpoints and logs in the folder."""
    log = RunLog(folder, run.step) if run.team.leads else None
    every = run.config.training.validate_every
    kept = run.step
    bar = tqdm(total=run.steps, initial=run.step, unit="step", disable=not progress, dynamic_ncols=True)
    try:
        with bar, _finish_step_first() as stop:
            while run.step < run.steps:
                started = time.perf_counter()
                values = run.take_step()
                values["seconds"] = time.perf_counter() - started
                due = run.step % every == 0 or run.step == run.steps
                validation = run.validate() if due and run.team.leads else None
                if log is not None:
                    log.add(run.step, values, validation)
                    if validation is not None:
                        log.plot(validation, are_held_out=run.has_held_out)
                        run.keep(folder, validation)
                        kept = run.step
                    bar.set_postfix_str(_summary(values, run.best_score), refresh=False)
                    bar.update()
                if run.team.any(stop()):
                    if log is not None:
                        run.write_last(folder)
                        kept = run.step
                    break
    except (KeyboardInterrupt, SystemExit) as interruption:
        if log is not None:
            interruption.add_note(f"{kept} of {run.steps} steps are kept; the same command goes on with --resume.")
        raise
    finally:
        run.feeder.close()
        if log is not None:
            log.close()
    run.team.wait()


def _summary(values: dict[str, float], best: float) -> str:
    """What the progress bar says."""
    shown = {"loss": values["loss"], **{name: value for name, value in values.items() if "gap" in name}}
    text = ", ".join(f"{name} {value:.3g}" for name, value in shown.items())
    return text if best == -math.inf else f"{text}, best {best:.3f}"


@contextmanager
def _finish_step_first() -> Iterator[Any]:
    """Let Ctrl-C and SIGTERM wait for the end of a step, where a checkpoint can be written; a second Ctrl-C does not.

    Gives a function that says whether to stop; the signal is passed on when the block ends.
    """
    if threading.current_thread() is not threading.main_thread():  # Python hands signals to the main thread only
        yield lambda: False
        return
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
