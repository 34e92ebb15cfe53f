"""Which threads an encoder runs in."""

import threading
from types import SimpleNamespace

import pytest
import torch

from lactoolkit.features.network_pool import NetworkPool


def encoder_on(device):
    return SimpleNamespace(mean=SimpleNamespace(device=torch.device(device)))


def where(encoder):
    return encoder, threading.get_ident(), torch.is_inference_mode_enabled()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_jobs_get_the_encoder_and_no_gradients(device):
    encoder = encoder_on(device)
    with NetworkPool(lambda: encoder) as pool:
        results = [future.result() for future in [pool.submit(where) for _ in range(20)]]
    for found, thread, is_inference in results:
        assert found is encoder
        assert thread != threading.get_ident()
        assert is_inference


def test_on_a_card_one_thread_outlasts_the_video():
    threads = set()
    for _ in range(2):
        with NetworkPool(lambda: encoder_on("cuda")) as pool:
            threads |= {result.result()[1] for result in [pool.submit(where) for _ in range(20)]}
    assert len(threads) == 1


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_errors_reach_the_caller(device):
    def fail(_):
        raise ZeroDivisionError("no")

    with NetworkPool(lambda: encoder_on(device)) as pool, pytest.raises(ZeroDivisionError, match="no"):
        pool.submit(fail).result()
