"""Clips of training videos, gathered on the device step by step."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
import torch

from lactoolkit.models.registry import INPUT_SIZE
from lactoolkit.models.trained import FeatureReduction
from lactoolkit.training.config import RunConfig
from lactoolkit.training.data import MAPS, FeatureBank, LoadedVideo
from lactoolkit.training.distributed import Team
from lactoolkit.training.sampler import BatchSampler
from lactoolkit.video.augmentation import Augmentation, draw_augmentation

LOSS, AUGMENTATION, DROPOUT = range(3)  # streams of random numbers of a step; one of dropout for each process
_SHARE_OF_MEMORY = 1 / 8  # of the card, that pictures may take


@dataclass(frozen=True)
class Clips:
    """Two clips of each of some videos, on the device.

    Parameters
    ----------
    features : Tensor, shape (2, b, T, C, F), or (2, b, T, C, H, W, 3) for pictures
        Of this process's videos.
    positions, mask : Tensor, shape (2, B, T)
        Of the videos of all processes.
    classes : Tensor, shape (B,), or None
        Likewise; None where all videos of the run show the same process.
    augmentation : Augmentation or None
        For pictures, 2 b rows.
    own : slice
        Which of the B videos are this process's.
    """

    features: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    classes: torch.Tensor | None
    augmentation: Augmentation | None
    own: slice


class ClipFeeder:
    """Draws batches and gathers their clips.

    Pictures that do not fit on the card stay in main memory, and a thread gathers them.

    Parameters
    ----------
    videos : sequence of LoadedVideo
        The videos.
    classes : sequence of int
        Process of each.
    config : RunConfig
        Of the run.
    reduction : FeatureReduction or None
        Applied to features, once.
    team : Team
        This process takes its share of every batch.
    seed : int
        Chooses the batches.
    augment : bool
        Whether pictures are augmented.
    """

    def __init__(
        self,
        videos: Sequence[LoadedVideo],
        classes: Sequence[int],
        config: RunConfig,
        reduction: FeatureReduction | None,
        team: Team,
        *,
        seed: int,
        augment: bool,
    ) -> None:
        self.videos = videos
        self.sampler = BatchSampler(
            [len(video) for video in videos],
            classes,
            len(videos[0].views),
            config.training.batch,
            config.clips,
            seed,
        )
        self._classes = np.asarray(classes) if len(set(classes)) > 1 else None
        self._team = team
        self._augmentation = config.augmentation if augment and config.features.inputs == MAPS else None
        device = team.device
        if config.features.inputs == MAPS and device.type == "cuda":
            size = sum(video.views[0].nbytes for video in videos)
            if size > _SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]:
                device = torch.device("cpu")
        self._bank = FeatureBank(videos, reduction, config.model, device)
        self._pool = None if device == team.device else ThreadPoolExecutor(1)
        self._prepared: tuple[int, Clips | Future[Clips]] | None = None

    def names(self, step: int) -> str:
        """Files in the batch of a step."""
        return ", ".join(str(self.videos[k].path) for k in self.sampler.draw(step).videos)

    def prepare(self, step: int) -> None:
        """Begin to gather the clips of a step: to be called while the device is still busy with the step before."""
        if self._prepared is None or self._prepared[0] != step:
            clips = self._gather(step) if self._pool is None else self._pool.submit(self._gather, step)
            self._prepared = step, clips

    def clips(self, step: int) -> Clips:
        """This process's clips in the batch of a step."""
        self.prepare(step)
        assert self._prepared is not None
        (_, clips), self._prepared = self._prepared, None
        return clips if isinstance(clips, Clips) else clips.result()

    def close(self) -> None:
        """End the thread that gathers."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _gather(self, step: int) -> Clips:
        batch, device = self.sampler.draw(step), self._team.device
        videos, views, rows, mask = (
            _moved(part, self._bank.device) for part in (batch.videos, batch.views, batch.rows, batch.mask)
        )
        share = len(videos) // self._team.size
        own = slice(self._team.rank * share, (self._team.rank + 1) * share)
        features = self._bank.gather(videos[own].repeat(2), views[:, own].flatten(), rows[:, own].flatten(0, 1))
        augmentation = None
        if self._augmentation is not None:
            generator = torch.Generator().manual_seed(self.sampler.torch_seed(step, AUGMENTATION))
            drawn = draw_augmentation(2 * len(videos), INPUT_SIZE, generator, self._augmentation)
            mine = torch.arange(2 * len(videos)).view(2, -1)[:, own].flatten()
            rows_of = {one.name: getattr(drawn, one.name)[mine] for one in fields(drawn)}
            augmentation = Augmentation(**rows_of).to(device)
        return Clips(
            features.unflatten(0, (2, share)).to(device),
            rows.to(device).float(),
            mask.to(device),
            None if self._classes is None else _moved(self._classes[batch.videos], device),
            augmentation,
            own,
        )


def _moved(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """An array on the device, without waiting for what the device is busy with."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
