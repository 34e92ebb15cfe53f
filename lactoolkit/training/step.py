"""One step of training: pictures or features of clips in, loss and gradients out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import distributed, nn

from lactoolkit.losses.frame_loss import FrameLoss
from lactoolkit.models.map_backbone import MapBackbone
from lactoolkit.models.temporal import TemporalEncoder
from lactoolkit.training.distributed import gather
from lactoolkit.training.feeder import Clips
from lactoolkit.video.augmentation import Augmentation, apply_augmentation


class TrainingStep(nn.Module):
    """Networks and loss as one module, so that DistributedDataParallel averages the gradients of all of them."""

    def __init__(
        self, maps: MapBackbone | None, encoder: TemporalEncoder, loss: FrameLoss, precision: torch.dtype
    ) -> None:
        super().__init__()
        self.maps = maps
        self.encoder = encoder
        self.loss = loss
        self._precision = precision

    def forward(self, clips: Clips, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of the whole batch, and its parts; in evaluation of this process's clips."""
        u, v = (gather(one) if self.training else one for one in self.embed(clips, generator))
        terms = self.loss(u, v, *clips.positions, *clips.mask, clips.classes, generator=generator)
        total = terms.total
        if distributed.is_initialized():
            # DistributedDataParallel waits for every parameter's gradient, those a loss does not use included.
            total = total + 0 * sum(parameter.sum() for parameter in self.loss.parameters())
        return total, terms.parts

    def embed(self, clips: Clips, generator: torch.Generator) -> torch.Tensor:
        """Embeddings (2, b, T, D) of this process's clips."""
        features = clips.features
        mask, positions = clips.mask[:, clips.own], clips.positions[:, clips.own]
        with torch.autocast(features.device.type, self._precision, enabled=self._precision is not torch.float32):
            flat = features.flatten(0, 1)
            return self.encoder(
                flat if self.maps is None else self._maps_of(flat, clips.augmentation),
                mask.flatten(0, 1),
                positions.flatten(0, 1),
                generator=generator,
            ).unflatten(0, features.shape[:2])

    def _maps_of(self, pictures: torch.Tensor, augmentation: Augmentation | None) -> torch.Tensor:
        """Feature maps (n, T, C, F, h, w) of clips of pictures (n, T, C, H, W, 3), one augmentation for each clip."""
        assert self.maps is not None
        clips = pictures.flatten(1, 2).permute(0, 1, 4, 2, 3).float() / 255
        if augmentation is not None:
            with torch.autocast(pictures.device.type, enabled=False):
                clips = apply_augmentation(clips, augmentation)
        return self.maps(clips.flatten(0, 1)).unflatten(0, pictures.shape[:3])


class StepValues(NamedTuple):
    """What a step found, on the device: until the next step, which may use the same memory."""

    loss: torch.Tensor  # 0-d
    parts: dict[str, torch.Tensor]  # 0-d each
    gradient_norm: torch.Tensor  # 0-d, before the gradients were clipped


class Seeds(NamedTuple):
    """Where the random numbers of a step begin."""

    dropout: int  # of torch's own generators, for this process
    loss: int  # of the generator that the loss draws from


class GradientStep:
    """Leaves the clipped gradients of a batch's loss in the parameters, launching one operation after the other.

    Nothing in it waits for the device.

    Parameters
    ----------
    engine : Module
        The :class:`TrainingStep`, or DistributedDataParallel around it.
    clip_norm : float
        Longest gradient of all parameters together.
    device : torch.device
        Where the engine computes.
    """

    def __init__(self, engine: nn.Module, clip_norm: float, device: torch.device) -> None:
        self.device = device
        self.generator = torch.Generator(device)
        self._engine = engine
        self._clip_norm = clip_norm

    def __call__(self, clips: Clips, seeds: Seeds) -> StepValues:
        """Gradients of the loss of the clips."""
        self.seed(seeds)
        return self.compute(clips)

    def seed(self, seeds: Seeds) -> None:
        """Set the generators that the step draws from."""
        # Not torch.manual_seed, which looks at every kind of device there is and takes as long as launching a graph.
        own_generator(self.device).manual_seed(seeds.dropout)
        self.generator.manual_seed(seeds.loss)

    def compute(self, clips: Clips) -> StepValues:
        """The step from wherever the generators are."""
        self._engine.zero_grad(set_to_none=True)
        total, parts = self._engine(clips, self.generator)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self._engine.parameters(), self._clip_norm)
        return StepValues(total.detach(), parts, norm)


def own_generator(device: torch.device) -> torch.Generator:
    """torch's own generator for a device, from which dropout draws."""
    if device.type != "cuda":
        return torch.default_generator
    return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]


def read_numbers(values: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Numbers (0-d) that lie on a device, waiting for it once."""
    return dict(zip(values, torch.stack([value.detach().float() for value in values.values()]).tolist(), strict=True))
