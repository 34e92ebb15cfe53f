"""A training run in memory: what a step, a validation and a checkpoint are."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lactoolkit.errors import CheckpointError, ParameterError, TrainingError
from lactoolkit.losses.registry import make_loss
from lactoolkit.models.checkpoint_file import write_checkpoint
from lactoolkit.models.map_backbone import MapBackbone, embed_frames
from lactoolkit.models.temporal import TemporalEncoder
from lactoolkit.models.trained import FeatureReduction, encoder_content, restore_modules
from lactoolkit.training.config import RunConfig
from lactoolkit.training.data import MAPS, LoadedVideo, content_digest, fit_reduction
from lactoolkit.training.distributed import Team
from lactoolkit.training.feeder import DROPOUT, LOSS, ClipFeeder
from lactoolkit.training.graphed_step import GraphedStep, why_not_graphed
from lactoolkit.training.held_out import hold_out
from lactoolkit.training.run_folder import BEST, LAST, provenance
from lactoolkit.training.step import GradientStep, Seeds, TrainingStep, read_numbers
from lactoolkit.training.validation import Validation, validate_alignments

logger = logging.getLogger(__name__)

_VALIDATION_BATCHES = 4
_PICTURES = 16  # frames that go through the backbone at once when whole videos are embedded


class TrainingRun:
    """A run in memory: data, networks, optimiser, and how far it is.

    Parameters
    ----------
    team : Team
        The processes that train together.
    videos : list of LoadedVideo
        To learn from and to validate on.
    config : RunConfig
        Everything else.
    content : mapping or None
        Checkpoint to go on from.
    """

    def __init__(
        self, team: Team, videos: list[LoadedVideo], config: RunConfig, content: Mapping[str, Any] | None
    ) -> None:
        options = config.training
        self.team = team
        self.config = config
        self.data_digest = content_digest(videos)
        self.training, self.held_out = hold_out(videos, config.data.held_out, options.seed)
        names = sorted({video.class_name for video in videos})
        self.held_out_classes = [names.index(video.class_name) for video in self.held_out]
        self.step, self.best_step, self.best_score = 0, 0, -math.inf

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            if content is None:
                maps, reduction, size = self._new_inputs()
                encoder = TemporalEncoder(config.model, size)
            else:
                encoder, reduction, maps = restore_modules(content["encoder"], str(LAST))
            loss = make_loss(config.loss_name, config.loss)
        # All processes learn from the first one's projection: fits on different processors differ in the last bits.
        reduction = team.share(reduction)
        self.reduction: FeatureReduction | None = None if reduction is None else reduction.to(team.device)
        self.feeder = ClipFeeder(
            self.training,
            [names.index(video.class_name) for video in self.training],
            config,
            self.reduction,
            team,
            seed=options.seed,
            augment=True,
        )
        self.held_out_feeder = ClipFeeder(
            self.held_out,
            self.held_out_classes,
            config,
            self.reduction,
            Team(0, 1, team.device),
            seed=options.seed + 1,
            augment=False,
        )
        sampler = self.feeder.sampler
        if sampler.batch % team.size:
            raise TrainingError(
                f"training.batch: {sampler.batch} videos cannot be shared by {team.size} processes alike; "
                "choose a multiple of their number"
            )
        self.steps = options.epochs * sampler.batches_per_epoch if options.epochs else options.steps
        on_cuda = team.device.type == "cuda"
        bfloat16 = options.precision == "bfloat16" or (options.precision == "auto" and on_cuda)
        self.module = TrainingStep(maps, encoder, loss, torch.bfloat16 if bfloat16 else torch.float32).to(team.device)
        unfrozen = []
        if config.features.unfreeze and maps is not None:
            rate = options.learning_rate * options.unfrozen_rate
            unfrozen = [{"params": list(maps.trained.parameters()), "lr": rate, "weight_decay": options.weight_decay}]
        self.optimiser = torch.optim.Adam(
            [
                {
                    "params": list(self.module.encoder.parameters()),
                    "lr": options.learning_rate,
                    "weight_decay": options.weight_decay,
                },
                *unfrozen,
                *self.module.loss.parameter_groups(options.learning_rate),
            ],
            fused=on_cuda or None,  # one launch in place of a dozen; None: torch's choice
        )
        self.base_rates = [group["lr"] for group in self.optimiser.param_groups]
        if content is not None:
            try:
                self._restore(content["training"])
            except (KeyError, TypeError, RuntimeError, ValueError) as error:
                raise CheckpointError(
                    f"checkpoint {LAST}: its training state is not whole ({error!r}); start anew with --overwrite"
                ) from error
        self.engine: nn.Module = self.module
        if team.size > 1:
            if on_cuda:
                self.module = nn.SyncBatchNorm.convert_sync_batchnorm(self.module)
            self.engine = DistributedDataParallel(self.module, device_ids=[team.device] if on_cuda else None)
        step = GradientStep(self.engine, options.clip_norm, team.device)
        self.gradients: GradientStep | GraphedStep = step
        reason = why_not_graphed(config, team, len(names))
        logger.debug("CUDA graph of the step: %s", reason or "yes")
        if not reason:
            self.gradients = GraphedStep(step)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.module.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best_step, self.best_score = state["step"], state["best_step"], state["best_score"]

    @property
    def has_held_out(self) -> bool:
        """Whether it is validated on videos that it does not learn from."""
        return self.held_out is not self.training

    def take_step(self) -> dict[str, float]:
        """One step of the optimiser; values for the log."""
        options = self.config.training
        sampler = self.feeder.sampler
        rate = self._rate_factor()
        for group, base in zip(self.optimiser.param_groups, self.base_rates, strict=True):
            group["lr"] = base * rate
        # The loss is computed by every process alike, so what it draws must be alike too; dropout must not.
        seeds = Seeds(
            dropout=sampler.torch_seed(self.step, DROPOUT + self.team.rank), loss=sampler.torch_seed(self.step, LOSS)
        )
        try:
            found = self.gradients(self.feeder.clips(self.step), seeds)
        except ParameterError as error:  # the kernels refuse embeddings that are no numbers
            raise self._stopped(f"the loss of step {self.step + 1} cannot be computed ({error})", self.step) from error
        self.optimiser.step()
        # A card is still busy with the step here: looking at its numbers, which waits for it, comes last.
        if self.step + 1 < self.steps:
            self.feeder.prepare(self.step + 1)
        values = read_numbers(
            {"loss": found.loss, **found.parts, **self.module.loss.readings(), "gradient_norm": found.gradient_norm}
        )
        for name, what in (("loss", "loss"), ("gradient_norm", "gradient")):
            self._check_finite(what, values[name])
        self.step += 1
        return {**values, "learning_rate": options.learning_rate * rate}

    def _check_finite(self, what: str, value: float) -> None:
        """Stop before weights that are no numbers reach a checkpoint."""
        if not math.isfinite(value):
            raise self._stopped(f"the {what} of step {self.step + 1} is {value}", self.step)

    def _stopped(self, why: str, step: int) -> TrainingError:
        return TrainingError(
            f"{why} for the batch {self.feeder.names(step)}; the checkpoints written before are intact. Try a "
            f"lower training.learning_rate ({self.config.training.learning_rate:g})"
        )

    def _rate_factor(self) -> float:
        """Linear warm-up, then a cosine down to 0 (Loshchilov and Hutter 2017, one period)."""
        warm_up = min(self.config.training.warm_up, self.steps // 2)
        if self.step < warm_up:
            return (self.step + 1) / (warm_up + 1)
        return 0.5 + 0.5 * math.cos(math.pi * (self.step - warm_up) / (self.steps - warm_up))

    def _new_inputs(self) -> tuple[MapBackbone | None, FeatureReduction | None, int]:
        """What turns stored pictures or features into the encoder's input, and the size of that."""
        features = self.config.features
        if features.inputs == MAPS:
            maps = MapBackbone(features.encoder, features.weights, features.unfreeze)
            return maps, None, maps.channels
        reduction = fit_reduction(self.training, features.components, self.config.training.seed, self.team.device)
        return None, reduction, self.training[0].views[0].shape[1] if reduction is None else reduction.size

    def validate(self) -> Validation:
        """Loss on clips of the held-out videos, the same at every validation, and how well whole videos align.

        Raises
        ------
        TrainingError
            If embeddings or loss are no numbers.
        """
        try:
            validation = self._validate()
        except ParameterError as error:  # the kernels refuse embeddings that are no numbers
            why = f"the weights after step {self.step} cannot be validated ({error})"
            raise self._stopped(why, self.step - 1) from error
        if not math.isfinite(validation.loss):
            raise self._stopped(f"the validation loss after step {self.step} is {validation.loss}", self.step - 1)
        return validation

    def _validate(self) -> Validation:
        self.module.eval()
        losses = []
        with torch.no_grad():
            for number in range(_VALIDATION_BATCHES):
                generator = torch.Generator(self.team.device)
                generator.manual_seed(self.held_out_feeder.sampler.torch_seed(number, LOSS))
                losses.append(float(self.module(self.held_out_feeder.clips(number), generator)[0]))
            embedded = [self._embed(video).cpu().numpy() for video in self.held_out]
        self.module.train()
        return validate_alignments(embedded, self.held_out_classes, sum(losses) / len(losses))

    def _embed(self, video: LoadedVideo) -> torch.Tensor:
        values = torch.from_numpy(video.views[0])
        if self.module.maps is not None:
            return embed_frames(self.module.maps, self.module.encoder, values.split(_PICTURES))
        values = values.to(self.team.device).float()
        return self.module.encoder.embed_video(values if self.reduction is None else self.reduction(values))

    def keep(self, folder: Path, validation: Validation) -> None:
        """Write the checkpoints that are due after a validation, the best one if it is."""
        # First the best: killed in between, the run goes on from an older last.pt and finds the same best again.
        score = validation.score if self.config.training.select == "alignment" else -validation.loss
        if score > self.best_score:
            self.best_step, self.best_score = self.step, score
            write_checkpoint(self._content(), folder / BEST)
        self.write_last(folder)

    def write_last(self, folder: Path) -> None:
        """Write the checkpoint to go on from."""
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
                self.module.maps,
                backbone=features.encoder,
                weights=features.weights,
                inputs=features.inputs,
                unfreeze=features.unfreeze,
                untrained_weight=features.untrained_weight,
            ),
        }
