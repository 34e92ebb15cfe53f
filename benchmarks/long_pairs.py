"""Time and peak memory of aligning long embeddings, each measurement in a process of its own.

Usage: ``python benchmarks/long_pairs.py [--lengths 4500 9000 18000 36000] [--repeat 3] [--results FILE]``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

FEATURES = 128
PENALTIES = {"gap_open": 4.0, "gap_extend": 1.0}
SIMILARITY = {"scale": 10.0, "offset": 0.3}
TASKS = {
    "path": "hard best path",
    "score": "soft score",
    "gradients": "soft score and all gradients",
}


def related_embeddings(length):
    """Unit vectors; the middle half of v shows noisy vectors of u, at a pace that skips and lingers."""
    import numpy as np

    random = np.random.default_rng(length)
    u, v = random.standard_normal((2, length, FEATURES), dtype=np.float32)
    first, last = length // 4, 3 * length // 4
    rows = length // 8 + np.cumsum(random.choice([0, 1, 1, 1, 2], size=last - first))
    v[first:last] = u[rows] + 0.7 * random.standard_normal((last - first, FEATURES), dtype=np.float32)
    for x in (u, v):
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    return u, v, rows


def peak_memory():
    """High-water mark of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
    raise SystemExit("/proc/self/status has no VmHWM: run this on Linux")


def measure(task, length, repeat):
    """Print seconds of the fastest run, peak bytes before and after, and a check of the result, as JSON."""
    if task == "path":
        from lactoolkit.kernels.long_pairs import best_local_path_embeddings as align

        def run(u, v):
            return align(u, v, **PENALTIES, **SIMILARITY)
    else:
        import torch

        from lactoolkit.ops.long_pairs import soft_smith_waterman_embeddings as align

        def run(u, v):
            u, v = (torch.from_numpy(x).requires_grad_(task == "gradients") for x in (u, v))
            score = align(u, v, **PENALTIES, **SIMILARITY)
            if task == "gradients":
                score.backward()
            return score, u.grad

    u, v, rows = related_embeddings(length)
    run(u[:300], v[:300])
    before = peak_memory()
    seconds, processor_seconds = [], []
    for _ in range(repeat):
        start, processor_start = time.perf_counter(), time.process_time()
        result = run(u, v)
        seconds.append(time.perf_counter() - start)
        processor_seconds.append(time.process_time() - processor_start)
    outcome = {"seconds": min(seconds), "processor_seconds": min(processor_seconds)}
    outcome |= {"before": before, "peak": peak_memory()}
    if task == "path":
        first = length // 4
        i, j = result.pairs.T
        inside = (j >= first) & (j < first + len(rows))
        outcome["score"] = result.score
        outcome["pairs"] = len(result)
        outcome["true_pairs"] = int((rows[j[inside] - first] == i[inside]).sum())
        outcome["distinct_true_rows"] = len(set(rows.tolist()))
    else:
        outcome["score"] = float(result[0].detach())
    print(json.dumps(outcome))


def compare_with_table(length):
    """Print largest differences from the functions that store the table, as JSON."""
    import torch

    from lactoolkit import best_local_path, soft_smith_waterman
    from lactoolkit.kernels.long_pairs import best_local_path_embeddings
    from lactoolkit.ops.long_pairs import soft_smith_waterman_embeddings

    u, v, _ = related_embeddings(length)
    path = best_local_path_embeddings(u, v, **PENALTIES, **SIMILARITY)
    table = SIMILARITY["scale"] * (u.astype("f8") @ v.T.astype("f8") - SIMILARITY["offset"])
    stored = best_local_path(table, **PENALTIES)
    exact = [torch.from_numpy(x.astype("f8")).requires_grad_() for x in (u, v)]
    ours = [torch.from_numpy(x).requires_grad_() for x in (u, v)]
    similarity = SIMILARITY["scale"] * (exact[0] @ exact[1].T - SIMILARITY["offset"])
    soft_stored = soft_smith_waterman(similarity, **PENALTIES)
    soft_stored.backward()
    soft = soft_smith_waterman_embeddings(*ours, **PENALTIES, **SIMILARITY)
    soft.backward()
    differences = [float((a.grad - b.grad).abs().max() / b.grad.abs().max()) for a, b in zip(ours, exact, strict=True)]
    print(
        json.dumps(
            {
                "same_pairs": path.pairs.tolist() == stored.pairs.tolist(),
                "score": abs(path.score / stored.score - 1),
                "soft": abs(soft.item() / soft_stored.item() - 1),
                "gradient": max(differences),
            }
        )
    )


def in_own_process(*arguments):
    """Run this file again with the arguments and return the JSON that it prints."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def processor():
    """Model of the processor as the system names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def report(lengths, repeat):
    """Measure everything and return the results page."""
    check = in_own_process("--compare", lengths[0])
    lines = [
        "# Long pairs",
        "",
        f"`python benchmarks/long_pairs.py`, {datetime.date.today()}, {processor()}, "
        f"{len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}. Two embeddings of the same length "
        f"with {FEATURES} features in float32, fastest of {repeat} runs, each row in a fresh process, compilation not "
        "included. Other programs ran at the same time: the load is the number of runnable threads when the row began, "
        "and the seconds of all cores are those that the process itself got. Peak memory is that of the whole process; "
        "the column before it says what the process held before (interpreter, libraries, embeddings, compiled code).",
        "",
    ]
    for task, title in TASKS.items():
        lines += [
            f"## {title.capitalize()}",
            "",
            "| length | seconds | seconds of all cores | load | Mcells/s "
            "| before, MiB | peak, MiB | table in float32, MiB | score |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        found = {}
        for length in lengths:
            load = os.getloadavg()[0]
            found = in_own_process("--task", task, "--lengths", length, "--repeat", repeat)
            seconds = found["seconds"]
            before, peak, table = (size / 2**20 for size in (found["before"], found["peak"], 4 * length**2))
            lines.append(
                f"| {length} x {length} | {seconds:.2f} | {found['processor_seconds']:.2f} | {load:.1f} "
                f"| {length**2 / seconds / 1e6:.0f} "
                f"| {before:.0f} | {peak:.0f} | {table:.0f} | {found['score']:.1f} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
        lines.append("")
        if task == "path":
            lines += [
                f"At {lengths[-1]}, the path has {found['pairs']} pairs, of which {found['true_pairs']} are planted "
                f"ones, out of at most {found['distinct_true_rows']} (a row that lingers can be matched once).",
                "",
            ]
    lines += [
        f"## Against the stored table, {lengths[0]} x {lengths[0]}",
        "",
        f"Hard path: {'the same pairs' if check['same_pairs'] else 'OTHER PAIRS'}, score within {check['score']:.1e} "
        f"(relative) of `best_local_path` over the float64 table. Soft score within {check['soft']:.1e}, gradients "
        f"within {check['gradient']:.1e} of their largest element, of float64 `soft_smith_waterman` over the table.",
        "",
    ]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[4500, 9000, 18000, 36000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--results", type=Path, help="write the page here instead of printing it")
    parser.add_argument("--task", choices=TASKS, help="one measurement, as JSON")
    parser.add_argument("--compare", type=int, metavar="LENGTH", help="differences from the stored table, as JSON")
    arguments = parser.parse_args()
    if arguments.compare:
        compare_with_table(arguments.compare)
    elif arguments.task:
        measure(arguments.task, arguments.lengths[0], arguments.repeat)
    else:
        page = report(arguments.lengths, arguments.repeat)
        if arguments.results:
            arguments.results.write_text(page)
        else:
            print(page)


if __name__ == "__main__":
    main()
