"""`lac doctor`: is everything in place, and does it compute rightly?"""

from __future__ import annotations

import json
from typing import Any

import click

from .notices import compilation_notice
from .options import wants_progress
from .tables import format_table


@click.command(short_help="Check the installation; empty the cache.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--clear-cache", is_flag=True, help="Delete the features that were kept, and do nothing else.")
def doctor(as_json: bool, clear_cache: bool) -> None:
    """Show versions, CPU, GPU and cache, and test every kernel against sums over all alignments.

    Exits with status 1 if a kernel computes wrongly. Put the output into every bug report.

    Features are kept in the cache, so that a second run on a video is quick. It takes 10 GB at most, or as many as the
    environment variable LACTOOLKIT_CACHE_GB says; what was used longest ago goes first. LACTOOLKIT_CACHE names another
    folder for it.

    \b
    Examples:
      lac doctor
      lac doctor --clear-cache
    """
    if clear_cache:
        click.echo(_clear_cache())
        return
    from lactoolkit.report.diagnostics import diagnose

    with compilation_notice(wants_progress(quiet=False)):
        findings = diagnose()
    click.echo(json.dumps(findings, indent=2, ensure_ascii=False) if as_json else "\n\n".join(_describe(findings)))
    if not findings["healthy"]:
        click.get_current_context().exit(1)


def _clear_cache() -> str:
    from lactoolkit.features.cache import cache_dir, cache_size, clear_cache

    size = cache_size()
    clear_cache()
    return f"{cache_dir()}: {size / 1e6:.1f} MB deleted"


def _describe(findings: dict[str, Any]) -> list[str]:
    cpu, cache = findings["cpu"], findings["cache"]
    packages = [[name, version or "not installed"] for name, version in findings["packages"].items()]
    cards = [
        f"{card['name']}, {card['memory_bytes'] / 2**30:.0f} GiB, compute capability {card['compute_capability']}"
        for card in findings["gpu"]
    ]
    machine = [
        ["Python", f"{findings['python']} on {findings['platform']}"],
        ["CPU", f"{cpu['name']} ({', '.join(cpu['features']) or 'no vector features known'})"],
        [
            "threads",
            f"{cpu['usable_cores']} cores; torch uses {cpu['torch_threads']}, the kernels {cpu['kernel_threads']}",
        ],
        ["GPU", "; ".join(cards) or "none that torch can use"],
        ["Numba CUDA", findings["numba_cuda"]["state"]],
        ["OpenCV", findings["opencv"]],
        ["cache", f"{cache['path']} ({cache['size_bytes'] / 1e6:.1f} MB of {cache['limit_bytes'] / 1e6:.0f} MB)"],
        *(
            [f"encoder {name}", state if state == "ready" else "not ready; `lac encoders` says what to do"]
            for name, state in findings["encoders"].items()
        ),
    ]
    tests = [[test["status"], test["backend"], test["detail"]] for test in findings["self_tests"]]
    return [
        format_table(["package", "version"], packages),
        format_table(["machine", ""], machine),
        format_table(["self-test", "kernel", ""], tests),
        "All self-tests that can run here passed." if findings["healthy"] else "A SELF-TEST FAILED: results are wrong.",
    ]
