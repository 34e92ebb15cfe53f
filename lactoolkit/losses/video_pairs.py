"""Pairs of different videos, and partners that are wrong on purpose."""

from __future__ import annotations

import torch
from torch import Tensor

from lactoolkit.errors import ParameterError
from lactoolkit.losses.frame_loss import Views


def different_videos(
    views: Views, classes: Tensor | None, most: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Pairs to compare the first view of one video with the second view of another of the same process.

    Returns
    -------
    tuple of two int64 Tensors, shape (P,)
        Numbers of the videos, at most ``most`` pairs drawn at random; none when all videos show different processes.

    Raises
    ------
    ParameterError
        The batch holds a single video.
    """
    if len(views.u) == 1:
        raise ParameterError(
            "the batch holds one video, and this loss compares different videos of a process: give at least 2 a batch"
        )
    return same_process_pairs(len(views.u), classes, most, views.u.device, generator)


def same_process_pairs(
    batch: int, classes: Tensor | None, most: int, device: torch.device, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Ordered pairs of different videos of one process, at most ``most`` drawn at random: two index tensors (P,)."""
    numbers = torch.arange(batch * (batch - 1), device=device)
    if classes is not None:
        first, second = _ordered_pairs(numbers, batch)
        numbers = numbers[classes.to(device)[first] == classes.to(device)[second]]
    if len(numbers) > most:
        numbers = numbers[torch.randperm(len(numbers), device=device, generator=generator)[:most]]
    return _ordered_pairs(numbers, batch)


def _ordered_pairs(numbers: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """The pairs of different videos, counted through: the first video, and the second."""
    first, rank = numbers // (batch - 1), numbers % (batch - 1)
    # Leaving out the diagonal: the k-th partner of video i is k, or k + 1 from i on.
    return first, rank + (rank >= first)


def other_process_partners(first: Tensor, classes: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """A random video of another process for each video of ``first``: indices (P,), and where there is one (P,) bool."""
    classes = classes.to(first.device)
    differs = classes[first].unsqueeze(1) != classes
    # A weight that never wins against a real one keeps rows without any from being an error.
    weights = differs.to(torch.float32).clamp(min=1e-20)
    return torch.multinomial(weights, 1, generator=generator).squeeze(1), differs.any(1)


def reversed_order(lengths: Tensor, size: int) -> Tensor:
    """Frame numbers (P, size) that turn the real frames of each sequence back to front; padding stays behind."""
    frames = torch.arange(size, device=lengths.device)
    return torch.where(frames < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - frames, frames)


def shuffled_blocks(lengths: Tensor, size: int, blocks: int, generator: torch.Generator | None) -> Tensor:
    """Frame numbers (P, size) that shuffle each sequence's real frames in ``blocks`` runs of about equal length."""
    frames = torch.arange(size, device=lengths.device)
    block = (frames * blocks // lengths.clamp(min=1).unsqueeze(1)).clamp(max=blocks - 1)
    places = torch.rand(len(lengths), blocks, device=lengths.device, generator=generator).argsort(1)
    padding = (frames >= lengths.unsqueeze(1)) * (blocks * size)
    return (places.gather(1, block) * size + frames + padding).argsort(1)
