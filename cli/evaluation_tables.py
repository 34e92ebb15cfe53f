"""The figures of an evaluation as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .tables import format_table

if TYPE_CHECKING:
    from lactoolkit.evaluation.result import EvaluationResult, Figure

_HEADER_LENGTH = 24
_VIEWS = ("all", "same", "cross")
_SECTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "embeddings of frames": (
        ("phase_accuracy_10", "core"),
        ("phase_accuracy_50", "core"),
        ("phase_accuracy_100", "core"),
        ("phase_recall_10", "core"),
        ("phase_recall_50", "core"),
        ("phase_recall_100", "core"),
        ("progression_r2", "core"),
        ("tau", "core"),
        ("tau_nan_pairs", "core"),
        ("tau_nan_dropped", "core"),
        ("ap_5", "core"),
        ("ap_5", "whole"),
        ("ap_10", "whole"),
        ("ap_15", "whole"),
    ),
    "alignments of pairs": (
        ("phase_agreement", "core"),
        ("phase_agreement", "whole"),
        ("phase_agreement_carried", "whole"),
        ("phase_agreement_inside", "whole"),
        ("phase_agreement_phases", "whole"),
        ("boundary_error", "core"),
        ("boundary_error", "whole"),
        ("boundary_error_median", "whole"),
        ("core_iou", "whole"),
        ("core_precision", "whole"),
        ("core_recall", "whole"),
        ("calibration_error", "whole"),
        ("pairs_without_path", "whole"),
    ),
}
_BY_CLASS = {
    ("phase_accuracy_100", "core"): "accuracy",
    ("tau", "core"): "tau",
    ("ap_5", "whole"): "AP@5",
    ("phase_agreement", "whole"): "agreement",
    ("boundary_error", "whole"): "boundary",
    ("core_iou", "whole"): "IoU",
}
# Rows that say nothing while nothing failed.
_FAILURES = {
    "tau_nan_dropped": "tau_nan_pairs",
    "pairs_without_path": "pairs_without_path",
}


class _Row(NamedTuple):
    metric: str
    frames: str
    distractor: str
    view: str


def describe_evaluation(result: EvaluationResult) -> list[str]:
    """Lay out an evaluation: what was measured, the encoder beside the baselines, and its figures for every class.

    Parameters
    ----------
    result : EvaluationResult
        The evaluation.

    Returns
    -------
    list of str
        Paragraphs.
    """
    from lactoolkit.evaluation.result import MEAN

    figures = {
        (_Row(one.metric, one.frames, one.distractor, one.view), one.class_name, one.method): one
        for one in result.figures
    }
    rows = {key[0] for key in figures if key[1] == MEAN}
    paragraphs = [_heading(result)]
    for title, wanted in _SECTIONS.items():
        shown = [row for metric, frames in wanted for row in _rows(metric, frames, rows) if _matters(row, result)]
        if not shown:
            continue
        lines = []
        for k, row in enumerate(shown):
            cells = [figures.get((row, MEAN, method)) for method in result.methods]
            name = _title(row, rows) if not k or shown[k - 1][:3] != row[:3] else ""
            view = "" if row.view == "all" else row.view
            lines.append([name, view, _cell(cells[0], interval=True), *map(_cell, cells[1:])])
        header = [title, "view", *map(_short, result.methods)]
        filled = [k for k in range(len(header)) if any(line[k] for line in lines)]
        cut = [[line[k] for k in filled] for line in (header, *lines)]
        first_baseline = sum(k < 3 for k in filled)
        paragraphs.append(format_table(cut[0], cut[1:], right=range(first_baseline, len(filled))))
    if any(one.differs for one in result.figures):
        paragraphs.append(
            f"* {_short(result.method)} differs on the same videos: the 95 % interval of the difference excludes 0."
        )
    if len(result.classes) > 1:
        columns = {
            row: f"{title} {'' if row.view == 'all' else row.view}".rstrip()
            for (metric, frames), title in _BY_CLASS.items()
            for row in _rows(metric, frames, rows)
            if row.distractor == "any"
        }
        lines = [
            [name, *(_cell(figures.get((row, name, result.method))) for row in columns)] for name in result.classes
        ]
        paragraphs.append(format_table(["class", *columns.values()], lines, right=range(1, len(columns) + 1)))
    return paragraphs


def _heading(result: EvaluationResult) -> str:
    settings = result.settings
    there_are, aligned = settings["pairs"], settings["pairs_aligned"]
    assert isinstance(there_are, dict)
    assert isinstance(aligned, dict)
    classes = f" of {len(result.classes)} classes (figures are means over classes)" if len(result.classes) > 1 else ""
    drawn = ", ".join(
        f"{aligned[view]} {'' if view == 'all' else f'{view}-view '}"
        f"{f'drawn from {count}' if aligned[view] < count else ''}".rstrip()
        for view, count in there_are.items()
    )
    more = f", {settings['train_videos']} more to learn from" if settings["train_videos"] else ""
    intervals = "95 % intervals in brackets" if any(one.low == one.low for one in result.figures) else "no intervals"
    return (
        f"{_short(result.method)}: measured on {settings['videos']} videos{classes}{more}\n"
        f"Pairs aligned: {drawn}; {intervals}"
    )


def _rows(metric: str, frames: str, rows: set[_Row]) -> list[_Row]:
    """Rows of a measure: of the core where the videos hold more than that, else of whole videos."""
    found = sorted(
        (row for row in rows if row[:2] == (metric, frames) and (row.distractor == "any" or metric == "core_iou")),
        key=lambda row: ("" if row.distractor == "any" else row.distractor, _VIEWS.index(row.view)),
    )
    listed = any((metric, "whole") in section for section in _SECTIONS.values())
    return found if found or frames == "whole" or listed else _rows(metric, "whole", rows)


def _matters(row: _Row, result: EvaluationResult) -> bool:
    counted = _FAILURES.get(row.metric)
    return counted is None or any(one.metric == counted and one.value > 0 for one in result.figures)


def _title(row: _Row, rows: set[_Row]) -> str:
    from lactoolkit.evaluation.result import METRICS

    title = METRICS[row.metric].title
    if row.frames == "core" and row._replace(frames="whole") in rows:
        title += ", cores"
    kind = {"none": "no unrelated frames"}.get(row.distractor, row.distractor.replace("_", " "))
    return title if row.distractor == "any" else f"{title}: {kind}"


def _cell(one: Figure | None, interval: bool = False) -> str:
    from lactoolkit.evaluation.result import METRICS

    if one is None or one.value != one.value:
        return ""
    digits = METRICS[one.metric].digits
    value = f"{one.value:.{digits}f}"
    if interval:
        return value + (f" [{one.low:.{digits}f}, {one.high:.{digits}f}]" if one.low == one.low else "")
    return value + ("*" if one.differs else " ")


def _short(name: str) -> str:
    return name if len(name) <= _HEADER_LENGTH else "…" + name[1 - _HEADER_LENGTH :]
