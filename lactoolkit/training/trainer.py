"""The training loop."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from lactoolkit.errors import TrainingError
from lactoolkit.losses.frame_loss import FrameLoss
from lactoolkit.losses.registry import make_loss
from lactoolkit.models.checkpoint_file import write_checkpoint
from lactoolkit.models.temporal import TemporalEncoder
from lactoolkit.models.trained import FeatureReduction, encoder_content, restore_modules
from lactoolkit.training.config import RunConfig
from lactoolkit.training.data import FeatureBank, LoadedVideo, content_digest, fit_reduction, hold_out, load_videos
from lactoolkit.training.distributed import Team, gather, joined_team
from lactoolkit.training.logs import RunLog
from lactoolkit.training.run_folder import BEST, LAST, check_same_run, open_run, provenance, write_config
from lactoolkit.training.sampler import Batch, BatchSampler
from lactoolkit.training.validation import Validation, validate


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
        Videos that were learned from, validated on, left out because they could not be read.
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
    content = open_run(folder, resume=resume, overwrite=overwrite) if team.leads else None
    content = team.share(content)
    videos, skipped = load_videos(sources, config.features, device=str(team.device), strict=strict, progress=progress)
    if content is not None:
        check_same_run(content, config, content_digest(videos), folder)
    elif team.leads:
        write_config(config, folder)
    run = _Run(team, videos, config, content)
    with torch.random.fork_rng(devices=[team.device] if team.device.type == "cuda" else []):
        run.train(folder, progress)
    return TrainingResult(
        best=folder / BEST,
        last=folder / LAST,
        best_step=run.best_step,
        best_score=run.best_score,
        steps=run.steps,
        videos=len(run.training),
        held_out=0 if run.training is run.held_out else len(run.held_out),
        skipped=skipped,
    )


class _Step(nn.Module):
    """Encoder and loss as one module, so that DistributedDataParallel averages the gradients of both."""

    def __init__(self, encoder: TemporalEncoder, loss: FrameLoss, precision: torch.dtype) -> None:
        super().__init__()
        self.encoder = encoder
        self.loss = loss
        self._precision = precision

    def forward(
        self,
        features: torch.Tensor,
        own: dict[str, torch.Tensor],
        everyone: dict[str, torch.Tensor],
        generator: torch.Generator,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of the whole batch from this process's clips (2, b, T, C, F)."""
        with torch.autocast(features.device.type, self._precision, enabled=self._precision is not torch.float32):
            embedded = self.encoder(
                features.flatten(0, 1),
                own["mask"].flatten(0, 1),
                own["positions"].flatten(0, 1),
                generator=generator,
            ).unflatten(0, features.shape[:2])
        u, v = gather(embedded[0]), gather(embedded[1])
        positions, mask = everyone["positions"], everyone["mask"]
        terms = self.loss(u, v, positions[0], positions[1], mask[0], mask[1], everyone["classes"], generator=generator)
        # DistributedDataParallel waits for every parameter's gradient, those a loss does not use included.
        unused = sum(parameter.sum() for parameter in self.loss.parameters())
        return terms.total + 0 * unused, terms.parts


class _Run:
    """A run in memory: data, networks, optimiser, and how far it is."""

    def __init__(
        self, team: Team, videos: list[LoadedVideo], config: RunConfig, content: Mapping[str, Any] | None
    ) -> None:
        options = config.training
        self.team = team
        self.config = config
        self.data_digest = content_digest(videos)
        self.training, self.held_out = hold_out(videos, config.data.held_out, options.seed)
        names = sorted({video.class_name for video in videos})
        classes = [names.index(video.class_name) for video in self.training]
        self.sampler = BatchSampler(
            [len(video) for video in self.training],
            classes,
            len(self.training[0].views),
            options.batch,
            config.clips,
            options.seed,
        )
        if self.sampler.batch % team.size:
            raise TrainingError(
                f"training.batch: {self.sampler.batch} videos cannot be shared by {team.size} processes alike; "
                "choose a multiple of their number"
            )
        self.steps = options.epochs * self.sampler.batches_per_epoch if options.epochs else options.steps
        self.classes = torch.tensor(classes, device=team.device)
        self.held_out_classes = [names.index(video.class_name) for video in self.held_out]
        self.step, self.best_step, self.best_score = 0, 0, -math.inf

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            if content is None:
                reduction = fit_reduction(self.training, config.features.components, options.seed)
                size = self.training[0].views[0].shape[1] if reduction is None else reduction.components.shape[1]
                encoder = TemporalEncoder(config.model, size)
            else:
                encoder, reduction = restore_modules(content["encoder"], str(LAST))
            loss = make_loss(config.loss_name, config.loss)
        # All processes learn from the first one's projection: fits on different processors differ in the last bits.
        reduction = team.share(reduction)
        self.reduction: FeatureReduction | None = None if reduction is None else reduction.to(team.device)
        self.bank = FeatureBank(self.training, self.reduction, config.model, team.device)
        self.held_out_features = [self._reduced(video) for video in self.held_out]
        on_cuda = team.device.type == "cuda"
        bfloat16 = options.precision == "bfloat16" or (options.precision == "auto" and on_cuda)
        self.module = _Step(encoder, loss, torch.bfloat16 if bfloat16 else torch.float32).to(team.device)
        self.optimiser = torch.optim.Adam(
            [
                {
                    "params": list(self.module.encoder.parameters()),
                    "lr": options.learning_rate,
                    "weight_decay": options.weight_decay,
                },
                *self.module.loss.parameter_groups(options.learning_rate),
            ]
        )
        self.base_rates = [group["lr"] for group in self.optimiser.param_groups]
        if content is not None:
            state = content["training"]
            self.module.loss.load_state_dict(state["loss"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.best_step, self.best_score = state["step"], state["best_step"], state["best_score"]
        self.engine: nn.Module = self.module
        if team.size > 1:
            if on_cuda:
                self.module = nn.SyncBatchNorm.convert_sync_batchnorm(self.module)
            self.engine = DistributedDataParallel(self.module, device_ids=[team.device] if on_cuda else None)

    def train(self, folder: Path, progress: bool) -> None:
        """Take all remaining steps, with checkpoints and logs in the folder."""
        log = RunLog(folder, self.step) if self.team.leads else None
        every = self.config.training.validate_every
        bar = tqdm(total=self.steps, initial=self.step, unit="step", disable=not progress, dynamic_ncols=True)
        with bar, _finish_step_first() as stop:
            while self.step < self.steps:
                started = time.perf_counter()
                values = self._take_step()
                values["seconds"] = time.perf_counter() - started
                due = self.step % every == 0 or self.step == self.steps
                validation = self._validate() if due and self.team.leads else None
                if log is not None:
                    log.add(self.step, values, None if validation is None else validation.score)
                    if validation is not None:
                        log.plot(validation)
                        self._keep(folder, validation)
                    bar.set_postfix_str(_summary(values, self.best_score), refresh=False)
                    bar.update()
                if self.team.any(stop()):
                    if log is not None:
                        self._write_last(folder)
                    break
        if log is not None:
            log.close()
        self.team.wait()

    def _take_step(self) -> dict[str, float]:
        """One step of the optimiser; values for the log."""
        options = self.config.training
        batch = self.sampler.draw(self.step)
        torch.manual_seed(self.sampler.torch_seed(self.step, 1 + self.team.rank))
        # The loss is computed by every process alike, so what it draws must be alike too.
        generator = torch.Generator(self.team.device)
        generator.manual_seed(self.sampler.torch_seed(self.step))
        rate = self._rate_factor()
        for group, base in zip(self.optimiser.param_groups, self.base_rates, strict=True):
            group["lr"] = base * rate
        features, own, everyone = self._on_device(batch)
        total, parts = self.engine(features, own, everyone, generator)
        loss = float(total.detach())
        self._check_finite("loss", loss, batch)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = float(nn.utils.clip_grad_norm_(self.module.parameters(), options.clip_norm))
        self._check_finite("gradient", norm, batch)
        self.optimiser.step()
        self.step += 1
        values = {name: float(part.detach().float().mean()) for name, part in parts.items()}
        values.update(self.module.loss.readings())
        return {"loss": loss, **values, "gradient_norm": norm, "learning_rate": options.learning_rate * rate}

    def _check_finite(self, what: str, value: float, batch: Batch) -> None:
        """Stop before numbers that are none reach the weights."""
        if math.isfinite(value):
            return
        names = ", ".join(str(self.training[k].path) for k in batch.videos)
        raise TrainingError(
            f"the {what} of step {self.step + 1} is {value} for the batch {names}; the checkpoints written before are "
            f"intact. Try a lower training.learning_rate ({self.config.training.learning_rate:g})"
        )

    def _rate_factor(self) -> float:
        """Linear warm-up, then a cosine down to 0 (Loshchilov and Hutter 2017, one period)."""
        warm_up = min(self.config.training.warm_up, self.steps // 2)
        if self.step < warm_up:
            return (self.step + 1) / (warm_up + 1)
        return 0.5 + 0.5 * math.cos(math.pi * (self.step - warm_up) / (self.steps - warm_up))

    def _on_device(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """This process's features, what describes them, and what describes the whole batch."""
        device = self.team.device
        videos, views, rows, mask = (
            torch.from_numpy(part).to(device) for part in (batch.videos, batch.views, batch.rows, batch.mask)
        )
        share = len(videos) // self.team.size
        mine = slice(self.team.rank * share, (self.team.rank + 1) * share)
        everyone = {"positions": rows.float(), "mask": mask, "classes": self.classes[videos]}
        own = {"positions": everyone["positions"][:, mine], "mask": mask[:, mine]}
        features = self.bank.gather(
            videos[mine].repeat(2), views[:, mine].flatten(), rows[:, mine].flatten(0, 1)
        ).unflatten(0, (2, share))
        return features, own, everyone

    def _reduced(self, video: LoadedVideo) -> torch.Tensor:
        values = torch.from_numpy(video.views[0]).to(self.team.device)
        return values if self.reduction is None else self.reduction(values)

    def _validate(self) -> Validation:
        return validate(self.module.encoder, self.held_out_features, self.held_out_classes)

    def _keep(self, folder: Path, validation: Validation) -> None:
        """Write the checkpoints that are due after a validation."""
        # First the best: killed in between, the run goes on from an older last.pt and finds the same best again.
        if validation.score > self.best_score:
            self.best_step, self.best_score = self.step, validation.score
            write_checkpoint(self._content(), folder / BEST)
        self._write_last(folder)

    def _write_last(self, folder: Path) -> None:
        state = {
            "step": self.step,
            "best_step": self.best_step,
            "best_score": self.best_score,
            "data": self.data_digest,
            "loss": self.module.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            # Batches, dropout and losses draw from generators seeded by these two numbers at every step.
            "generators": {"seed": self.config.training.seed, "step": self.step},
        }
        write_checkpoint({**self._content(), "training": state}, folder / LAST)

    def _content(self) -> dict[str, Any]:
        features = self.config.features
        return {
            "versions": provenance(),
            "config": self.config.tables(),
            "step": self.step,
            "encoder": encoder_content(
                self.module.encoder,
                self.reduction,
                backbone=features.encoder,
                weights=features.weights,
                inputs=features.inputs,
            ),
        }


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
