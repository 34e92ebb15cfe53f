"""Lanes: every test of the differentiable functions runs over all backends that this machine has."""

from dataclasses import dataclass

import pytest
import torch

_NEEDS_CUDA = (pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))


@dataclass(frozen=True)
class Lane:
    backend: str
    device: str


LANES = {
    "cpu": pytest.param(Lane("cpu", "cpu"), id="cpu"),
    "torch": pytest.param(Lane("torch", "cpu"), id="torch"),
    "cuda": pytest.param(Lane("cuda", "cuda"), id="cuda", marks=_NEEDS_CUDA),
    "torch-cuda": pytest.param(Lane("torch", "cuda"), id="torch-cuda", marks=_NEEDS_CUDA),
}


@pytest.fixture(params=LANES.values())
def lane(request):
    return request.param


@pytest.fixture(params=[LANES["cpu"], LANES["cuda"]])
def kernel_lane(request):
    """Lanes with kernels, for tables that the plain torch backend has no memory for."""
    return request.param


@pytest.fixture(params=[LANES["cpu"], LANES["torch"]])
def host_lane(request):
    """Lanes on the CPU."""
    return request.param
