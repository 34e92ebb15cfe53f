"""The encoder on a CUDA card gives the numbers that its identity promises, whatever torch's settings are."""

import threading

import numpy as np
import pytest
import torch

from lactoolkit.models.encoders import load_encoder
from lactoolkit.models.exactness import _exchange_setting, _has_names, full_float32_convolutions

TF32, FULL = ("tf32", "ieee") if _has_names() else (True, False)


@pytest.fixture
def rounding():
    """Convolutions are set to TF32, as by default."""
    before = _exchange_setting(TF32)
    yield
    _exchange_setting(before)


def current_setting():
    value = _exchange_setting(TF32)
    _exchange_setting(value)
    return value


def test_setting_is_changed_inside_and_put_back(rounding):
    with full_float32_convolutions():
        assert current_setting() == FULL
        with full_float32_convolutions():
            pass
        assert current_setting() == FULL
    assert current_setting() == TF32


def test_setting_is_put_back_when_the_last_thread_leaves(rounding):
    entered, leave = threading.Event(), threading.Event()

    def stay():
        with full_float32_convolutions():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=stay)
    with full_float32_convolutions():
        thread.start()
        entered.wait()
    assert current_setting() == FULL
    leave.set()
    thread.join()
    assert current_setting() == TF32


def pictures(count):
    coarse = np.random.default_rng(0).integers(0, 256, (count, 14, 14, 3), dtype=np.uint8)
    return torch.from_numpy(coarse.repeat(16, axis=1).repeat(16, axis=2))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["lite0", "lite0-fine"])
def test_float32_on_a_card_is_float32_on_a_cpu(rounding, name):
    on_cpu, on_card = (load_encoder(name, device=device, precision="float32") for device in ("cpu", "cuda"))
    assert on_cpu.identity == on_card.identity
    with torch.inference_mode():
        expected, found = on_cpu(pictures(8)), on_card(pictures(8)).cpu()
    # TF32 is off by some 1e-3, float32 by the order of its sums alone.
    assert torch.linalg.norm(found - expected) < 1e-4 * torch.linalg.norm(expected)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bfloat16_on_a_card_points_where_float32_does():
    exact = load_encoder("lite0", device="cpu", precision="float32")
    rounded = load_encoder("lite0", device="cuda", precision="bfloat16")
    assert exact.identity != rounded.identity
    with torch.inference_mode():
        cosine = torch.nn.functional.cosine_similarity(exact(pictures(8)), rounded(pictures(8)).cpu())
    assert cosine.min() > 0.995
