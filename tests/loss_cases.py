"""Batches for the losses."""

import torch
from torch.nn import functional

SIZE = 16  # dimensions of the embeddings


def make_batch(seed=0, batch=4, frames=10, size=SIZE, dtype=torch.float64, requires_grad=False):
    """Arguments of a loss: embeddings, increasing positions, and masks of which some frames at the end are false."""
    generator = torch.Generator().manual_seed(seed)
    u, v = functional.normalize(torch.randn(2, batch, frames, size, generator=generator, dtype=dtype), dim=-1)
    positions = (torch.rand(2, batch, frames, generator=generator, dtype=dtype) * 2 + 0.1).cumsum(-1)
    lengths = torch.randint(frames // 2, frames + 1, (2, batch, 1), generator=generator)
    masks = torch.arange(frames) < lengths
    u.requires_grad_(requires_grad)
    v.requires_grad_(requires_grad)
    return [u, v, *positions, *masks]
