"""Float32 that is float32: by default, CUDA cards round the inputs of convolutions to 10 bits (TF32)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside = 0
_setting_before: bool | str


@contextmanager
def full_float32_convolutions() -> Iterator[None]:
    """Compute convolutions of float32 in full on CUDA, so that features are those of a CPU and may share its cache.

    The setting belongs to the process: it is changed when the first thread comes in, put back when the last one leaves.
    """
    global _inside, _setting_before
    with _lock:
        if _inside == 0:
            _setting_before = _exchange_setting("ieee" if _has_names() else False)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _exchange_setting(_setting_before)


def _has_names() -> bool:
    # torch 2.9 replaced the switch, and refuses to read the old one where the new one has been used.
    return hasattr(torch.backends.cudnn, "conv")


def _exchange_setting(value: bool | str) -> bool | str:
    """Set what convolutions of float32 may do on CUDA; return what was set before."""
    convolutions = getattr(torch.backends.cudnn, "conv", None)
    holder, name = (convolutions, "fp32_precision") if convolutions else (torch.backends.cudnn, "allow_tf32")
    before: bool | str = getattr(holder, name)
    setattr(holder, name, value)
    return before
