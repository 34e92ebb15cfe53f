"""Check the CUDA kernels against float64 on the CPU and time them; needs a CUDA device.

    python benchmarks/cuda_kernels.py [compile] [check] [time] [--quick]

Prints the card, its measured copy bandwidth, the errors and the timings; without a word it does the last two.
"compile" fills numba's cache on disk first, with one process for each kernel.
"""

import itertools
import multiprocessing
import statistics
import sys
import time

import numpy as np
import torch

from lactoolkit.kernels import smith_waterman_cpu as cpu
from lactoolkit.kernels import smith_waterman_cuda as kernels
from lactoolkit.kernels.cuda_layout import Kind
from lactoolkit.ops import backend_cuda

TIMED = ((2, 64, 64), (32, 64, 64), (8, 256, 256), (512, 256, 256), (64, 1000, 1000), (1, 1024, 1024), (4, 4096, 4096))


def milliseconds(function, repeats=15):
    """Median over ``repeats`` runs of the time on the device."""
    for _ in range(3):
        function()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        function()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def wall_milliseconds(function, repeats=300):
    """Median time from call to finished result, host included."""
    for _ in range(5):
        function()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def milliseconds_in_a_row(function, steps=20):
    """Time of a step on the device when many follow each other without waiting, as in training."""

    def many():
        for _ in range(steps):
            function()

    return milliseconds(many, repeats=5) / steps


def print_ceilings():
    source = torch.randn(1 << 30, device="cuda")
    target = torch.empty_like(source)
    duration = milliseconds(lambda: target.copy_(source))
    print(f"card {torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"copy bandwidth {2 * source.nbytes / duration / 1e9:.2f} TB/s (bytes read and written)")


def make_case(generator, pairs, rows, columns, per_cell, opening, extension, scale=1.5):
    similarity = generator.normal(size=(pairs, rows, columns)) * scale
    shape = similarity.shape if per_cell else (pairs, 1, 1)
    jitter = generator.uniform(0.8, 1.2, (2, *shape))
    return [a.astype(np.float32).astype(np.float64) for a in (similarity, opening * jitter[0], extension * jitter[1])]


def rounding_of_products(arguments, tangents, dtype):
    """What rounding may do to each result of ``posterior_jvp``: see the notes of ``alignment_posterior``."""
    temperature = arguments[4]
    _, *counts = cpu.posterior(*arguments)
    travelled = sum((np.abs(c) * np.abs(t)).sum((1, 2)) for c, t in zip(counts, tangents, strict=True)) / temperature
    steps = 16 + np.sqrt(sum(arguments[0].shape[1:]))
    change = np.finfo(str(dtype)[6:]).eps / 2 * steps * travelled.max()
    matched = np.abs(counts[0]).max()
    return temperature * change, *(change * max(np.abs(count).max(), matched) for count in counts)


def check(name, arrays, temperature, dtype, lengths=None, allow_empty=False, tangents=None):
    """Print the largest error of each result relative to its largest value, and whether two runs agree to the bit."""
    pairs, rows, columns = arrays[0].shape
    full = np.tile(np.array([[rows, columns]]), (pairs, 1)) if lengths is None else np.array(lengths)
    tensors = [torch.tensor(a, dtype=dtype, device="cuda") for a in arrays]
    on_device = None if lengths is None else torch.tensor(full, device="cuda")
    arguments = (*tensors, on_device, temperature, allow_empty)
    reference_arguments = (*arrays, full.astype(np.int64), temperature, allow_empty)
    if tangents is None:
        reference = cpu.posterior(*reference_arguments)
        results = [backend_cuda.posterior(*arguments) for _ in range(2)]
        scores = backend_cuda.score(*arguments)
    else:
        reference = cpu.posterior_jvp(*reference_arguments, *tangents)
        directions = [torch.tensor(a, dtype=dtype, device="cuda") for a in tangents]
        results = [backend_cuda.posterior_jvp(*arguments, *directions) for _ in range(2)]
        scores = results[0][0]
    same = all(torch.equal(a, b) for a, b in zip(*results, strict=True)) and torch.equal(scores, results[0][0])
    errors, limits = [], []
    allowed = None if tangents is None else rounding_of_products(reference_arguments, tangents, dtype)
    for k, (result, truth) in enumerate(zip(results[0], reference, strict=True)):
        found = result.double().cpu().numpy()
        if k == 0:
            same = same and np.array_equal(np.isinf(found), np.isinf(truth))
            found, truth = found[np.isfinite(truth)], truth[np.isfinite(truth)]
        largest = np.abs(truth).max(initial=0)
        largest = largest if largest > 0 else 1.0
        errors.append(np.abs(found - truth).max(initial=0) / largest)
        limits.append((2e-5 if dtype == torch.float32 else 1e-10) if allowed is None else allowed[k] / largest)
    verdict = "ok" if same and all(e < limit for e, limit in zip(errors, limits, strict=True)) else "WRONG"
    numbers = " ".join(f"{error:.1e}" for error in errors)
    if allowed is not None:
        numbers += f" (allowed {' '.join(f'{limit:.0e}' for limit in limits)})"
    kind = "jvp" if tangents is not None else "posterior"
    print(f"{verdict:5} {name:34} {str(dtype)[6:]} {kind:9} {numbers} same bits: {same}", flush=True)


def check_all(quick):
    generator = np.random.default_rng(7)
    sizes = [(1, 1, 1), (3, 1, 40), (3, 40, 1), (5, 31, 33), (3, 32, 32), (7, 100, 300), (2, 300, 70)]
    if not quick:
        sizes += [(2, 1023, 1025), (1, 1024, 1024), (1, 1025, 1023), (600, 64, 64), (1, 4097, 4097), (1, 33, 9000)]
    for dtype in (torch.float32,) if quick else (torch.float32, torch.float64):
        for size in sizes:
            for per_cell in (False, True):
                arrays = make_case(generator, *size, per_cell, 1.5, 0.4)
                tangents = [generator.normal(size=a.shape) for a in arrays]
                name = f"{size} {'cell' if per_cell else 'pair'}"
                check(name, arrays, 0.8, dtype)
                check(name, arrays, 0.8, dtype, tangents=tangents)
        arrays = make_case(generator, 4, 90, 110, False, 1.5, 0.4)
        tangents = [generator.normal(size=a.shape) for a in arrays]
        lengths = [[90, 110], [1, 1], [33, 110], [0, 5]]
        check("ragged, empty allowed", arrays, 0.8, dtype, lengths, True)
        check("ragged, empty allowed", arrays, 0.8, dtype, lengths, True, tangents)
        for temperature in (0.1, 0.02, 1e-3, 1e-4, 5.0, 50.0):
            for per_cell in (False, True):
                arrays = make_case(generator, 2, 90, 110, per_cell, 1.5, 0.4)
                name = f"t = {temperature} {'cell' if per_cell else 'pair'}"
                check(name, arrays, temperature, dtype)
                if temperature >= 0.1:
                    check(name, arrays, temperature, dtype, tangents=[generator.normal(size=a.shape) for a in arrays])
        arrays = make_case(generator, 2, 90, 110, False, 1.5, 0.4)
        arrays[0] -= 20
        arrays[0][0, ::3] = -np.inf
        arrays[0][1] = -np.inf
        check("negative and forbidden", arrays, 1.0, dtype)


def time_all(quick):
    def sweep(kind, dtype=torch.float32):
        print(f"\n{kind}, {dtype}: ms (Gcells/s)")
        for size in TIMED:
            if kind == "jvp" and size[0] * size[1] * size[2] > 70e6:
                continue
            pairs = size[0]
            similarity = torch.randn(size, device="cuda", dtype=dtype)
            shape = size if kind == "per cell" else (pairs, 1, 1)
            gap_open, gap_extend = torch.full((2, *shape), 1.5, device="cuda", dtype=dtype)
            arguments = (similarity, gap_open, gap_extend, None, 1.0, False)
            cells = similarity.numel()

            def shown(duration, cells=cells):
                return f"{duration:8.3f} ({cells / duration / 1e6:6.1f})"

            forward = milliseconds(lambda a=arguments: backend_cuda.score(*a))
            both = milliseconds(lambda a=arguments: backend_cuda.posterior(*a))
            line = f"{size!s:18} score {shown(forward)}  posterior {shown(both)}"
            if kind != "per cell":
                tangents = [torch.randn_like(a) for a in arguments[:3]]
                dual = milliseconds(lambda a=arguments, t=tangents: backend_cuda.posterior_jvp(*a, *t))
                line += f"  jvp {shown(dual)} = {dual / both:.1f} x"
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                backend_cuda.posterior(*arguments)
            line += f"  graph {shown(milliseconds(graph.replay))}"
            print(line, flush=True)

    sweep("per pair")
    time_public()
    if not quick:
        sweep("per cell")
        sweep("per pair", torch.float64)


def time_public():
    from lactoolkit.ops.functional import soft_smith_waterman

    print("\npublic function, forward + backward, float32:")
    print("ms alone on the device clock, ms alone on the wall clock, ms of a step in a row, Gcells/s in a row")
    print("*nothing*: an autograd.Function that computes nothing, of the same tensors: what torch itself takes")
    for size in TIMED:
        similarity = torch.randn(size, device="cuda", requires_grad=True)
        penalties = [torch.tensor(value, device="cuda", requires_grad=True) for value in (1.5, 0.4)]

        def step(similarity=similarity, penalties=penalties):
            soft_smith_waterman(similarity, *penalties).sum().backward()
            similarity.grad = penalties[0].grad = penalties[1].grad = None

        def plain(similarity=similarity):
            torch.autograd.grad(soft_smith_waterman(similarity, 1.5, 0.4).sum(), similarity)

        def nothing(similarity=similarity, penalties=penalties):
            Nothing.apply(similarity, *penalties).sum().backward()
            similarity.grad = penalties[0].grad = penalties[1].grad = None

        line = f"{size!s:18}"
        for name, function in (("learnt penalties", step), ("fixed penalties", plain), ("nothing", nothing)):
            alone, wall, row = milliseconds(function), wall_milliseconds(function), milliseconds_in_a_row(function)
            line += f"  {name} {alone:7.3f} {wall:7.3f} {row:7.3f} {similarity.numel() / row / 1e6:6.1f}"
        print(line, flush=True)


class Nothing(torch.autograd.Function):
    """Scores and gradients that nobody computes, of the shapes and with the saved tensors of the real ones."""

    @staticmethod
    def forward(ctx, similarity, gap_open, gap_extend):
        workspace = similarity.new_empty(similarity.numel())
        ctx.save_for_backward(similarity, gap_open, gap_extend, workspace)
        return similarity.new_empty(similarity.shape[0])

    @staticmethod
    def backward(ctx, gradient):
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])


def kinds():
    return [Kind(cell, *other) for cell in (False, True) for other in ((False, False), (True, False), (True, True))]


def compile_kernel(job):
    direction, kind, itemsize = job
    torch.cuda.init()
    torch.zeros(1, device="cuda")
    start = time.perf_counter()
    kernel = kernels.compiled(direction, kind, itemsize)
    kernel.prepare(0)
    return f"{direction:8} {kind} float{8 * itemsize}: {kernel.resources()}, {time.perf_counter() - start:.1f} s"


def compile_all(quick):
    jobs = list(itertools.product(("backward", "forward"), kinds(), (4,) if quick else (4, 8)))
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(len(jobs)) as pool:
        for line in pool.imap(compile_kernel, jobs, chunksize=1):
            print(line, flush=True)
    print(f"all kernels in {time.perf_counter() - start:.1f} s")


def main():
    words = set(sys.argv[1:])
    print_ceilings()
    quick = "--quick" in words
    if "compile" in words:
        compile_all(quick)
    if "time" in words or not words - {"--quick"}:
        time_all(quick)
    if "check" in words or not words - {"--quick"}:
        check_all(quick)


if __name__ == "__main__":
    main()
