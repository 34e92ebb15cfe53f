"""Several processes that train one model: torchrun's environment, gathering embeddings, one process that writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed

from lactoolkit.errors import LacToolkitError
from lactoolkit.models.encoders import choose_device

Result = TypeVar("Result")


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Parameters
    ----------
    rank, size : int
        Number of this process, and how many there are.
    device : torch.device
        Where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, value: Any) -> Any:
        """Give every process the first one's value."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device if self.device.type == "cuda" else None)
        return box[0]

    def lead(self, action: Callable[[], Result]) -> Result:
        """Let the first process act, and give every process its result, or raise there what it raised."""
        outcome: Result | LacToolkitError | None = None
        if self.leads:
            try:
                outcome = action()
            except LacToolkitError as error:
                outcome = error
        outcome = self.share(outcome)
        if isinstance(outcome, LacToolkitError):
            raise outcome
        return outcome

    def any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        if self.size == 1:
            return here
        flag = torch.tensor(int(here), device=self.device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()


def leads_its_team() -> bool:
    """Whether this process is the first of those that torchrun started, or alone."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined_team(device: str) -> Iterator[Team]:
    """Join the processes that torchrun started; alone where it started none.

    Parameters
    ----------
    device : str
        As for :func:`lactoolkit.load_encoder`; "auto" and "cuda" give every process of a machine a card of its own.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(0, 1, choose_device(device))
        return
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    on_cards = device != "cpu" and torch.cuda.is_available()
    chosen = choose_device(f"cuda:{local_rank}" if on_cards and device in ("auto", "cuda") else device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Team(distributed.get_rank(), size, chosen)
    finally:
        distributed.destroy_process_group()


class _Gather(torch.autograd.Function):
    """Concatenate the tensors of all processes along the first axis.

    Every process computes the same loss from the result, so the gradient of its own part needs no exchange; times the
    number of processes, because DistributedDataParallel then averages over them.
    """

    @staticmethod
    def forward(context: Any, part: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(part) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.chunk(distributed.get_world_size())[distributed.get_rank()] * distributed.get_world_size()


def gather(part: torch.Tensor) -> torch.Tensor:
    """Tensors (b, ...) of all processes, in order, as one tensor (B, ...) through which gradients flow back."""
    if not distributed.is_initialized():
        return part
    return _Gather.apply(part)
