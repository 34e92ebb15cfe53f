"""One step of training as a module: pictures or features of clips in, loss out."""

from __future__ import annotations

import torch
from torch import nn

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
        features = clips.features
        mask, positions = clips.mask[:, clips.own], clips.positions[:, clips.own]
        with torch.autocast(features.device.type, self._precision, enabled=self._precision is not torch.float32):
            flat = features.flatten(0, 1)
            embedded = self.encoder(
                flat if self.maps is None else self._maps_of(flat, clips.augmentation),
                mask.flatten(0, 1),
                positions.flatten(0, 1),
                generator=generator,
            ).unflatten(0, features.shape[:2])
        u, v = (gather(one) if self.training else one for one in embedded)
        terms = self.loss(u, v, *clips.positions, *clips.mask, clips.classes, generator=generator)
        # DistributedDataParallel waits for every parameter's gradient, those a loss does not use included.
        unused = sum(parameter.sum() for parameter in self.loss.parameters())
        return terms.total + 0 * unused, terms.parts

    def _maps_of(self, pictures: torch.Tensor, augmentation: Augmentation | None) -> torch.Tensor:
        """Feature maps (n, T, C, F, h, w) of clips of pictures (n, T, C, H, W, 3), one augmentation for each clip."""
        assert self.maps is not None
        clips = pictures.flatten(1, 2).permute(0, 1, 4, 2, 3).float() / 255
        if augmentation is not None:
            with torch.autocast(pictures.device.type, enabled=False):
                clips = apply_augmentation(clips, augmentation)
        return self.maps(clips.flatten(0, 1)).unflatten(0, pictures.shape[:3])
