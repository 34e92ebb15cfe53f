"""Forward and backward pass on the CPU against peers, in float32: cells per second, ratios, second order and memory.

Usage: ``python benchmarks/cpu_kernels.py [--results benchmarks/results/cpu_kernels.md] [--seconds 2]``, with the extra
``bench`` installed. A peer that is not installed is reported as missing.

All peers start from a table of costs or similarities and end with its gradient. Soft-DTW is a simpler recursion (one
state, no local ends, no gap penalties) and is listed because it is what is in use.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from lactoolkit import alignment_posterior, soft_smith_waterman

SIZES = [(2, 64), (32, 64), (8, 256), (1, 1024), (1, 4096)]
GAP_OPEN, GAP_EXTEND, TEMPERATURE = 1.0, 0.3, 1.0

Pass = Callable[[], object]
"""One forward and backward pass over a given batch."""


@numba.njit(inline="always")
def soft_maximum(a, b):
    top = max(a, b)
    if top == -np.inf:
        return top
    return top + np.log(np.exp(a - top) + np.exp(b - top))


@numba.njit(inline="always")
def soft_maximum_3(a, b, c):
    top = max(a, max(b, c))
    if top == -np.inf:
        return top
    return top + np.log(np.exp(a - top) + np.exp(b - top) + np.exp(c - top))


@numba.njit(parallel=True)
def log_domain_pass(s, o, e):
    """Soft Smith-Waterman as one would write it down: log domain, row by row, parallel over the batch; t = 1."""
    pairs, n, m = s.shape
    gradient = np.zeros_like(s)
    scores = np.empty(pairs, s.dtype)
    for b in numba.prange(pairs):
        low = s.dtype.type(-np.inf)
        match = np.full((n + 2, m + 2), low)
        gap_a = np.full((n + 2, m + 2), low)
        gap_b = np.full((n + 2, m + 2), low)
        total = low
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                inner = soft_maximum_3(match[i - 1, j - 1], gap_a[i - 1, j - 1], gap_b[i - 1, j - 1])
                match[i, j] = s[b, i - 1, j - 1] + soft_maximum(s.dtype.type(0), inner)
                gap_a[i, j] = soft_maximum(match[i, j - 1] - o, gap_a[i, j - 1] - e)
                gap_b[i, j] = soft_maximum_3(match[i - 1, j] - o, gap_a[i - 1, j] - o, gap_b[i - 1, j] - e)
                total = soft_maximum(total, match[i, j])
        scores[b] = total
        back_m = np.full((n + 2, m + 2), low)
        back_x = np.full((n + 2, m + 2), low)
        back_y = np.full((n + 2, m + 2), low)
        for i in range(n, 0, -1):
            for j in range(m, 0, -1):
                onward = low
                if i < n and j < m:
                    onward = s[b, i, j] + back_m[i + 1, j + 1]
                back_y[i, j] = soft_maximum(onward, back_y[i + 1, j] - e)
                turn = soft_maximum(onward, back_y[i + 1, j] - o)
                back_x[i, j] = soft_maximum(turn, back_x[i, j + 1] - e)
                back_m[i, j] = soft_maximum_3(s.dtype.type(0), turn, back_x[i, j + 1] - o)
                gradient[b, i - 1, j - 1] = np.exp(match[i, j] + back_m[i, j] - total)
    return scores, gradient


def ours(table: torch.Tensor) -> Pass:
    similarity = table.clone().requires_grad_()

    def run() -> object:
        similarity.grad = None
        soft_smith_waterman(similarity, GAP_OPEN, GAP_EXTEND, TEMPERATURE).sum().backward()
        return similarity.grad

    return run


def second_order(table: torch.Tensor) -> Pass:
    """Posteriors, and the gradient of a weighted sum of them."""
    similarity = table.clone().requires_grad_()
    weights = torch.rand(table.shape, generator=torch.Generator().manual_seed(0))

    def run() -> object:
        similarity.grad = None
        alignment_posterior(similarity, GAP_OPEN, GAP_EXTEND, TEMPERATURE).backward(weights)
        return similarity.grad

    return run


def log_domain(table: torch.Tensor) -> Pass:
    array = table.numpy()
    return lambda: log_domain_pass(array, np.float32(GAP_OPEN), np.float32(GAP_EXTEND))


def ddtw(table: torch.Tensor) -> Pass:
    loss = importlib.import_module("ddtw").SDTW(gamma=TEMPERATURE, backend="cpu_numba", normalization="none")
    costs = (table - table.min()).requires_grad_()

    def run() -> object:
        costs.grad = None
        loss(C=costs).sum().backward()
        return costs.grad

    return run


def tslearn(table: torch.Tensor) -> Pass:
    costs = (table - table.min()).requires_grad_()
    loss = importlib.import_module("tslearn.metrics").SoftDTWLossPyTorch(
        gamma=TEMPERATURE, normalize=False, dist_func=lambda x, y: costs
    )
    placeholder = torch.zeros(*table.shape[:2], 1)

    def run() -> object:
        costs.grad = None
        loss(placeholder, placeholder).sum().backward()
        return costs.grad

    return run


def smurf(table: torch.Tensor) -> Pass:
    """Smith-Waterman of Petti et al. 2023 in jax: rotated layout, one scan over the anti-diagonals, gradient by jax."""
    jax = importlib.import_module("jax")
    jnp = importlib.import_module("jax.numpy")
    low = -1e30

    def score(similarity):
        n, m = similarity.shape
        rows = jnp.arange(n)
        columns = jnp.arange(n + m - 1)[:, None] - rows
        inside = (columns >= 0) & (columns < m)
        rotated = jnp.where(inside, similarity[rows, jnp.clip(columns, 0, m - 1)], low)

        def soft(*terms):
            return jax.nn.logsumexp(jnp.stack(terms), axis=0)

        def down(states):
            return jnp.concatenate([jnp.full((3, 1), low), states[:, :-1]], axis=1)

        def step(carry, values):
            before, last = carry
            diagonal, up = down(before), down(last)
            match = values + soft(jnp.zeros(n), *diagonal)
            gap_a = soft(last[0] - GAP_OPEN, last[1] - GAP_EXTEND)
            gap_b = soft(up[0] - GAP_OPEN, up[1] - GAP_OPEN, up[2] - GAP_EXTEND)
            states = jnp.maximum(jnp.stack([match, gap_a, gap_b]), low)
            return (last, states), match

        empty = jnp.full((3, n), low)
        _, matches = jax.lax.scan(step, (empty, empty), rotated)
        return jax.nn.logsumexp(jnp.where(inside, matches, low))

    differentiate = jax.jit(jax.value_and_grad(lambda batch: jax.vmap(score)(batch).sum()))
    array = jnp.asarray(table.numpy())
    return lambda: jax.block_until_ready(differentiate(array))


PEERS: dict[str, tuple[Callable[[torch.Tensor], Pass], str | None]] = {
    "lactoolkit": (ours, None),
    "log-domain Numba": (log_domain, None),
    "ddtw cpu_numba soft-DTW": (ddtw, "ddtw"),
    "tslearn soft-DTW": (tslearn, "tslearn"),
    "jax SMURF": (smurf, "jax"),
}


def time_pass(run: Pass, seconds: float) -> tuple[float, float]:
    """Minimum and median seconds of a pass, the first one (compilation) left out."""
    run()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times), statistics.median(times)


def second_order_ratios(seconds: float) -> None:
    """Print how many times as long as a first-order pass a second-order one takes, by best and median times (JSON)."""
    ratios = []
    for pairs, length in SIZES:
        table = torch.randn(pairs, length, length, generator=torch.Generator().manual_seed(length))
        passes = ours(table), second_order(table)
        times: tuple[list[float], list[float]] = [], []
        for run in passes:
            run()
        while len(times[0]) < 3 or sum(map(sum, times)) < seconds:
            # In turn, so that other work on the machine slows down both.
            for run, taken in zip(passes, times, strict=True):
                start = time.perf_counter()
                run()
                taken.append(time.perf_counter() - start)
        ratios.append([of(times[1]) / of(times[0]) for of in (min, statistics.median)])
    print(json.dumps(ratios))


def bytes_per_cell(kind: str, pairs: int, length: int) -> None:
    """Print the peak memory of the first pass of its size, less input and gradient, for each cell."""
    prepare = {"first": ours, "second": second_order}[kind]
    # Load compiled code, and start the threads.
    prepare(torch.randn(2, 40, 40))()
    prepare(torch.randn(1, 200, 200))()
    run = prepare(torch.randn(pairs, length, length))
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = memory("VmRSS")
    run()
    cells = pairs * length**2
    # The weights of the second-order pass are its input, the gradient appears within the pass.
    print(json.dumps((memory("VmHWM") - before) / cells - 4))


def memory(field: str) -> int:
    """A figure of this process in bytes, as Linux counts it."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError(f"/proc/self/status has no {field}")
    return int(found[1]) * 1024


def in_process(*arguments: object) -> Any:
    """What this script prints with these arguments, in a process of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure(name: str, seconds: float) -> None:
    """Print the times of one peer at all sizes, a JSON list."""
    times = []
    for pairs, length in SIZES:
        table = torch.randn(pairs, length, length, generator=torch.Generator().manual_seed(length))
        times.append(time_pass(PEERS[name][0](table), seconds))
        print(f"{name}, {pairs} x {length}^2: {times[-1][0] * 1e3:.3f} ms", file=sys.stderr, flush=True)
    print(json.dumps(times))


def processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="write the table into this Markdown file")
    parser.add_argument("--seconds", type=float, default=2.0, help="measure each peer at each size for so long")
    parser.add_argument("--peer", choices=PEERS, help="measure one peer and print its times as JSON")
    parser.add_argument("--second-order", action="store_true", help="print the ratios of second-order passes as JSON")
    parser.add_argument("--memory", nargs=3, metavar=("KIND", "PAIRS", "LENGTH"), help="print bytes a cell as JSON")
    options = parser.parse_args()
    if options.peer:
        measure(options.peer, options.seconds)
        return
    if options.second_order:
        second_order_ratios(options.seconds)
        return
    if options.memory:
        kind, pairs, length = options.memory
        bytes_per_cell(kind, int(pairs), int(length))
        return

    load = os.getloadavg()[0]
    versions = [f"numba {numba.__version__}", f"torch {torch.__version__}"]
    speeds: dict[str, list[tuple[float, float]]] = {}
    for name, (_, package) in PEERS.items():
        try:
            versions += [f"{package} {metadata.version(package)}"] if package else []
        except metadata.PackageNotFoundError:
            print(f"{name}: {package} is not installed", file=sys.stderr)
            continue
        # A process each: threads of one library that wait by spinning would slow down the next.
        times = in_process("--peer", name, "--seconds", options.seconds)
        speeds[name] = [
            (b * n * n / best / 1e6, b * n * n / median / 1e6)
            for (b, n), (best, median) in zip(SIZES, times, strict=True)
        ]
    second = in_process("--second-order", "--seconds", options.seconds)
    # Smaller ones find enough memory that earlier passes left.
    large = [size for size in SIZES if size[0] * size[1] ** 2 >= 2**19]
    used = {kind: {size: in_process("--memory", kind, *size) for size in large} for kind in ("first", "second")}

    title = "Millions of cells per second, forward + backward, float32: best (median)"
    lines = [
        "# Soft Smith-Waterman on the CPU",
        "",
        f"{processor()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"{', '.join(versions)}; {datetime.date.today().isoformat()}; load average before: {load:.2f}.",
        "",
        f"{title}. In the lower table, how many times as fast lactoolkit is, by best times.",
        "",
    ]
    header = "| | " + " | ".join(f"{b} x {n}²" for b, n in SIZES) + " |"
    rule = "| --- |" + " --- |" * len(SIZES)
    lines += [header, rule]
    for name in PEERS:
        cells_shown = [f"{best:.3g} ({median:.3g})" for best, median in speeds.get(name, [])] or ["missing"] * len(
            SIZES
        )
        lines.append(f"| {name} | " + " | ".join(cells_shown) + " |")
    lines += ["", header, rule]
    for name in PEERS:
        if name != "lactoolkit":
            ratios = [a[0] / b[0] for a, b in zip(speeds["lactoolkit"], speeds.get(name, []), strict=False)]
            shown = [f"{r:.3g}" for r in ratios] or ["missing"] * len(SIZES)
            lines.append(f"| {name} | " + " | ".join(shown) + " |")
    lines += [
        "",
        "Second order: posteriors and the gradient of a weighted sum of them. Memory: peak beyond input and gradient.",
        "",
    ]
    lines += [header, rule]
    lines.append("| time / first order | " + " | ".join(f"{best:.2g} ({median:.2g})" for best, median in second) + " |")
    for kind, values in used.items():
        cells = [f"{values[size]:.1f}" if size in values else "" for size in SIZES]
        lines.append(f"| bytes a cell, {kind} order | " + " | ".join(cells) + " |")
    lines.append("")
    text = "\n".join(lines)
    print(text)
    if options.results:
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
