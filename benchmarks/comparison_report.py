"""The report of `comparison.py`: one table row for each method, means over tasks and seeds with intervals."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VIEWS = ("same", "cross")
KEY = ("metric", "view", "frames", "distractor")
# Title, metric, frames, kind of unrelated frames, digits.
COLUMNS = (
    ("tau", "tau", "core", "any", 2),
    ("AP@5", "ap_5", "whole", "any", 3),
    ("agreement", "phase_agreement", "whole", "any", 3),
    ("every frame", "phase_agreement_carried", "whole", "any", 3),
    ("not near a boundary", "phase_agreement_inside", "whole", "any", 2),
    ("boundary error", "boundary_error", "whole", "any", 1),
    ("IoU", "core_iou", "whole", "any", 3),
)
FURTHER = (
    ("AP@10", "ap_10", "whole", "any", 2),
    ("AP@15", "ap_15", "whole", "any", 2),
    ("AP@5, cores", "ap_5", "core", "any", 2),
    ("agreement, cores", "phase_agreement", "core", "any", 2),
    ("mean of phases", "phase_agreement_phases", "whole", "any", 2),
    ("boundary error, median", "boundary_error_median", "whole", "any", 1),
    ("IoU, other task", "core_iou", "whole", "other_task", 2),
    ("IoU, same scene", "core_iou", "whole", "same_scene", 2),
    ("calibration error", "calibration_error", "whole", "any", 3),
)
PROBES = (
    ("phase accuracy, 10 %", "phase_accuracy_10"),
    ("50 %", "phase_accuracy_50"),
    ("100 % of labels", "phase_accuracy_100"),
    ("progression R²", "progression_r2"),
)
RANKED = ("tau", "AP@5", "agreement", "boundary error")
SMALLER_IS_BETTER = {"boundary error", "boundary error, median", "calibration error"}
UNTRAINED_ROWS = {
    "untrained lite0": "lite0",
    "untrained lite0-fine": "lite0-fine",
    "position only": "position only",
    "linear stretch": "linear stretch",
}

Column = tuple[str, str, str, str, int]


@dataclass(frozen=True)
class Figure:
    """A figure of one run, and its standard error over the draw of episodes."""

    value: float
    error: float


@dataclass(frozen=True)
class Cost:
    """What one training run took."""

    device: str
    parameters: int
    steps: int
    seconds: float
    cpu_seconds: float
    evaluation_seconds: float


Figures = dict[tuple[str, str, str, str], Figure]  # metric, view, frames, distractor
Runs = dict[str, dict[str, dict[int, Figures]]]  # method, task, seed


def write_report(folder: Path, groups: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Print the report of all runs in a folder as Markdown.

    Parameters
    ----------
    folder : Path
        Of the runs.
    groups : mapping
        Heading and methods of each part of the report, of which the first is compared with the others; methods that are
        in none make up another part.
    """
    runs, costs = read_runs(folder)
    known = {name for _, names in groups.values() for name in names}
    others = [*next(iter(groups.values()))[1][:1], *sorted(set(runs) - known - set(UNTRAINED_ROWS))]
    shown: set[str] = set()
    for title, names in (*groups.values(), ("Others", others)):
        trained = [name for name in names if name in runs]
        if not shown.issuperset(trained):
            write_part(title, trained, runs, costs)
            shown.update(trained)


def write_part(title: str, trained: Sequence[str], runs: Runs, costs: Mapping[str, Sequence[Cost]]) -> None:
    """Print the tables of one group of methods, untrained features below them."""
    rows = [*trained, *(name for name in UNTRAINED_ROWS if name in runs)]
    counts = {name: sum(map(len, runs[name].values())) for name in rows}
    print(f"\n## {title}\n\nSame / other camera; ± half of a 95 % interval.")
    for heading, columns in ((None, COLUMNS), ("Further figures", FURTHER)):
        print(f"\n### {heading}\n" if heading else "")
        print("| method | runs | " + " | ".join(column[0] for column in columns) + " |")
        print("| --- " * (2 + len(columns)) + "|")
        for name in rows:
            cells = [" / ".join(described(runs[name], column, view) for view in VIEWS) for column in columns]
            print(f"| {name} | {counts[name]} | {' | '.join(cells)} |")
    print("\n### Linear probes\n")
    print("| method | " + " | ".join(title for title, _ in PROBES) + " |\n| ---" + " | ---" * len(PROBES) + " |")
    for name in rows:
        cells = [described(runs[name], (title, metric, "core", "any", 2), "all") for title, metric in PROBES]
        print(f"| {name} | {' | '.join(cells)} |")
    compare(runs, trained, trained[0])
    by_task(runs, rows)
    write_costs({name: costs[name] for name in trained})


def write_costs(costs: Mapping[str, Sequence[Cost]]) -> None:
    """What a run of each method took."""
    titles = ("device", "parameters", "steps", "seconds to train", "of a processor", "seconds to measure")
    print("\n### Cost\n\nMedians over runs, of which as many shared the machine as it has room for.\n")
    print("| method | " + " | ".join(titles) + " |\n| ---" + " | ---" * len(titles) + " |")
    for name, found in costs.items():
        counted = [(one.parameters, one.steps, one.seconds, one.cpu_seconds, one.evaluation_seconds) for one in found]
        numbers = " | ".join(f"{value:.0f}" for value in np.median(counted, axis=0))
        print(f"| {name} | {', '.join(sorted({one.device for one in found}))} | {numbers} |")


def read_runs(folder: Path) -> tuple[Runs, dict[str, list[Cost]]]:
    """All figures, and what the training runs of each method took."""
    runs: Runs = defaultdict(lambda: defaultdict(dict))
    costs: dict[str, list[Cost]] = defaultdict(list)
    for path in sorted(folder.glob("*/*/seed*/evaluation.json")):
        document = json.loads(path.read_text())
        untrained = "training_seconds" not in document
        if not untrained:
            costs[document["method_name"]].append(
                Cost(
                    document["device"],
                    document["parameters"],
                    document["steps"],
                    document["training_seconds"],
                    document["training_cpu_seconds"],
                    document["evaluation_seconds"],
                )
            )
        names = UNTRAINED_ROWS if untrained else {document["method_name"]: document["method"]}
        for name, label in names.items():
            figures = {
                (one["metric"], one["view"], one["frames"], one["distractor"]): Figure(
                    one["value"], standard_error(one)
                )
                for one in document["figures"]
                if one["class_name"] != "mean" and one["method"] == label and one["value"] is not None
            }
            runs[name][document["task"]][document["seed"]] = figures
    return runs, costs


def standard_error(figure: dict) -> float:
    return math.nan if figure["low"] is None else (figure["high"] - figure["low"]) / (2 * 1.96)


def estimate(by_task: dict[str, dict[int, Figures]], column: Column, view: str) -> Figure | None:
    """Mean over tasks of the mean over seeds, and its standard error.

    Seeds share their episodes, so the error that comes from the draw of episodes is that of one seed (their mean);
    tasks are independent of each other. To it comes the spread of the seeds' means over tasks.
    """
    key = (column[1], view, *column[2:4])
    values = {task: [one[key] for one in seeds.values() if key in one] for task, seeds in by_task.items()}
    if not all(values.values()):
        return None
    mean = float(np.mean([np.mean([one.value for one in found]) for found in values.values()]))
    episodes = sum(np.mean([one.error for one in found]) ** 2 for found in values.values()) / len(values) ** 2
    per_seed = np.array([[one.value for one in found] for found in values.values()], dtype=object)
    seeds = 0.0
    if per_seed.ndim == 2 and per_seed.shape[1] > 1:
        seeds = float(np.var(per_seed.astype(float).mean(axis=0), ddof=1)) / per_seed.shape[1]
    return Figure(mean, math.sqrt(episodes + seeds))


def described(by_task: dict[str, dict[int, Figures]], column: Column, view: str) -> str:
    found = estimate(by_task, column, view)
    if found is None:
        return ""
    interval = "" if math.isnan(found.error) else f" ± {1.96 * found.error:.{column[4]}f}"
    return f"{found.value:.{column[4]}f}{interval}"


def compare(runs: Runs, trained: Sequence[str], main: str) -> None:
    """How often, and by how much, the main method is ahead of the others on the same task, seed and camera."""
    columns = [column for column in COLUMNS if column[0] in RANKED]
    print(f"\n### {main} against the others\n")
    print(
        f"Mean of ({main} less the other) over the same tasks, seeds and cameras, and in how many of them {main} is "
        "better. *Rank*: mean over the four figures, means of both cameras, of the place among all rows (1 is best).\n"
    )
    print("| method | rank | " + " | ".join(column[0] for column in columns) + " |\n| ---" + " | ---" * 5 + " |")
    ranks = mean_ranks(runs, trained, columns)
    for name in trained:
        cells = []
        for column in columns:
            differences = paired(runs[main], runs[name], column)
            sign = -1 if column[0] in SMALLER_IS_BETTER else 1
            ahead = sum(sign * one > 0 for one in differences)
            cells.append(f"{np.mean(differences):+.{column[4]}f} ({ahead} of {len(differences)})")
        print(f"| {name} | {ranks[name]:.1f} | {' | '.join(cells) if name != main else ' | '.join([''] * 4)} |")


def paired(one: dict[str, dict[int, Figures]], other: dict[str, dict[int, Figures]], column: Column) -> list[float]:
    keys = [(column[1], view, *column[2:4]) for view in VIEWS]
    return [
        one[task][seed][key].value - figures[key].value
        for task, seeds in other.items()
        for seed, figures in seeds.items()
        for key in keys
        if seed in one.get(task, {}) and key in figures and key in one[task][seed]
    ]


def mean_ranks(runs: Runs, trained: Sequence[str], columns: Sequence[Column]) -> dict[str, float]:
    places: dict[str, list[int]] = defaultdict(list)
    for column in columns:
        means = {}
        for name in trained:
            found = [estimate(runs[name], column, view) for view in VIEWS]
            means[name] = float(np.mean([math.nan if one is None else one.value for one in found]))
        ordered = sorted(trained, key=lambda name: means[name], reverse=column[0] not in SMALLER_IS_BETTER)
        for place, name in enumerate(ordered, start=1):
            places[name].append(place)
    return {name: float(np.mean(found)) for name, found in places.items()}


def by_task(runs: Runs, rows: Sequence[str]) -> None:
    """The main figures of each task, means over seeds."""
    tasks = sorted({task for name in rows for task in runs[name]})
    print("\n### By task\n\nAP@5, agreement, boundary error; same / other camera, means over seeds.\n")
    print("| method | " + " | ".join(tasks) + " |\n| ---" + " | ---" * len(tasks) + " |")
    columns = [column for column in COLUMNS if column[0] in RANKED[1:]]
    for name in rows:
        cells = []
        for task in tasks:
            alone = {task: runs[name][task]} if task in runs[name] else {}
            parts = []
            for column in columns:
                found = [estimate(alone, column, view) if alone else None for view in VIEWS]
                parts.append("/".join("" if one is None else f"{one.value:.{min(column[4], 2)}f}" for one in found))
            cells.append(" ".join(parts))
        print(f"| {name} | {' | '.join(cells)} |")
