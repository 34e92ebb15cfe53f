"""A training step recorded once as a CUDA graph and replayed from then on.

A step of a small network on clips of stored features is several hundred operations of a few microseconds each; a card
waits for Python to launch them most of the time. A graph launches them all at once.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from lactoolkit.training.config import RunConfig
from lactoolkit.training.data import MAPS
from lactoolkit.training.distributed import Team
from lactoolkit.training.feeder import Clips
from lactoolkit.training.step import GradientStep, Seeds, StepValues, own_generator

logger = logging.getLogger(__name__)

_WARM_UP = 3  # steps, in which kernels are compiled and libraries choose theirs


def why_not_graphed(config: RunConfig, team: Team, processes_shown: int) -> str:
    """Say why the steps of a run are not recorded; "" if they are.

    Parameters
    ----------
    config : RunConfig
        Of the run.
    team : Team
        The processes that train together.
    processes_shown : int
        Different processes that the videos show.
    """
    if not config.training.cuda_graph:
        return "training.cuda_graph is false"
    if team.device.type != "cuda":
        return f"{team.device} has none"
    if team.size > 1:
        return "processes that train together exchange gradients"
    if processes_shown > 1:
        return "how many pairs of one process a batch holds differs from step to step"
    if config.features.inputs == MAPS:
        return "pictures keep the card busy without"
    return ""


class GraphedStep:
    """The same as a :class:`GradientStep`, replayed: same arguments, same results, but for the order of additions.

    The first call records, after steps on its batch that leave weights and results alone; all calls, the first
    included, replay. So a run that is resumed computes what the uninterrupted one does. A step that cannot be recorded
    is launched operation by operation, then and ever after, with a warning in the log.

    Parameters
    ----------
    step : GradientStep
        The step; always with clips of one shape.
    """

    def __init__(self, step: GradientStep) -> None:
        self.step = step
        self._recorded: tuple[torch.cuda.CUDAGraph, Clips, StepValues] | None = None
        # Kept, for torch's allocator goes on to ask a graph that broke off.
        self._refused: torch.cuda.CUDAGraph | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether steps are replayed."""
        return self._recorded is not None

    def __call__(self, clips: Clips, seeds: Seeds) -> StepValues:
        """Gradients of the loss of the clips."""
        if self._recorded is None and self._refused is None:
            self._record(clips)
        if self._recorded is None:
            return self.step(clips, seeds)
        graph, held, values = self._recorded
        refill(held, clips)
        self.step.seed(seeds)
        graph.replay()
        return values

    def _record(self, clips: Clips) -> None:
        held = held_copy(clips)
        with torch.cuda.device(self.step.device):
            graph = torch.cuda.CUDAGraph()
            graph.register_generator_state(self.step.generator)
            here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
            aside.wait_stream(here)
            try:
                self._warm_up(held, aside)
                # Other threads may allocate meanwhile.
                with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
                    values = self.step.compute(held)
            except RuntimeError as error:
                reason = str(error).strip().partition("\n")[0]
                logger.warning("the training step is not recorded as a CUDA graph, which makes it slower: %s", reason)
                self._refused = graph
                self._clear_up(here)
            else:
                self._recorded = graph, held, values
            here.wait_stream(aside)

    def _clear_up(self, stream: torch.cuda.Stream) -> None:
        """Undo what torch leaves behind where a recording broke off: its stream, and generators amid a recording."""
        torch.cuda.set_stream(stream)
        for generator in (own_generator(self.step.device), self.step.generator):
            generator.graphsafe_set_state(generator.clone_state())

    def _warm_up(self, clips: Clips, aside: torch.cuda.Stream) -> None:
        """Compute steps beside torch's stream, as recording does; raise RuntimeError if one waits for the card."""
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                self.step.compute(clips)
            with _waiting_is_an_error():
                self.step.compute(clips)


def held_copy(clips: Clips) -> Clips:
    """Clips in memory of their own, that a graph can read from at every replay."""
    features, positions, mask = (tensor.clone() for tensor in _tensors(clips))
    return replace(clips, features=features, positions=positions, mask=mask)


def refill(held: Clips, clips: Clips) -> None:
    """Copy clips to where others of the same shape are held."""
    for tensor, new in zip(_tensors(held), _tensors(clips), strict=True):
        assert tensor.shape == new.shape
        tensor.copy_(new)


def _tensors(clips: Clips) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    assert clips.classes is None
    assert clips.augmentation is None
    return clips.features, clips.positions, clips.mask


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    # A step that waits would break off the recording, and leave torch's generators in the middle of it.
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
