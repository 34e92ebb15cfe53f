"""Clips of training videos, gathered on the device step by step."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields

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
    classes : Tensor, shape (B,)
        Likewise.
    augmentation : Augmentation or None
        For pictures, 2 b rows.
    own : slice
        Which of the B videos are this process's.
    """

    features: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    classes: torch.Tensor
    augmentation: Augmentation | None
    own: slice


class ClipFeeder:
    """Draws batches and gathers their clips.

    Pictures that do not fit on the card stay in main memory; those of the next step are then gathered while this one is
    computed.

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
        self._classes = classes
        self._team = team
        self._augmentation = config.augmentation if augment and config.features.inputs == MAPS else None
        device = team.device
        if config.features.inputs == MAPS and device.type == "cuda":
            size = sum(video.views[0].nbytes for video in videos)
            if size > _SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]:
                device = torch.device("cpu")
        self._bank = FeatureBank(videos, reduction, config.model, device)
        self._pool = None if device == team.device else ThreadPoolExecutor(1)
        self._next: tuple[int, Future[Clips]] | None = None

    def names(self, step: int) -> str:
        """Files in the batch of a step."""
        return ", ".join(str(self.videos[k].path) for k in self.sampler.draw(step).videos)

    def clips(self, step: int) -> Clips:
        """This process's clips in the batch of a step."""
        if self._pool is None:
            return self._gather(step)
        number, future = self._next or (-1, None)
        clips = future.result() if future is not None and number == step else self._gather(step)
        self._next = (step + 1, self._pool.submit(self._gather, step + 1))
        return clips

    def close(self) -> None:
        """End the thread that gathers."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _gather(self, step: int) -> Clips:
        batch, device = self.sampler.draw(step), self._team.device
        videos, views, rows, mask = (
            torch.from_numpy(part).to(self._bank.device) for part in (batch.videos, batch.views, batch.rows, batch.mask)
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
            torch.tensor([self._classes[k] for k in batch.videos], device=device),
            augmentation,
            own,
        )
