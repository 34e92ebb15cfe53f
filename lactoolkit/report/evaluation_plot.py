"""`evaluation.png`: the main figures of an encoder beside its baselines, and how far its confidences can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch

from lactoolkit.figure_file import save_figure
from lactoolkit.report.text import COLOUR_A, COLOUR_B, printable, shorten

_PANELS = (
    ("phase_accuracy_100", "core", "any"),
    ("progression_r2", "core", "any"),
    ("tau", "core", "any"),
    ("ap_5", "whole", "any"),
    ("phase_agreement", "whole", "any"),
    ("phase_agreement_inside", "whole", "any"),
    ("boundary_error", "whole", "any"),
    ("core_iou", "whole", "any"),
)
_BASELINES = ("position only", "linear stretch", "chance")
_GREYS = ("#6e6e73", "#a5a5aa", "#d0d0d5")
_OTHERS = ("#{:02x}{:02x}{:02x}".format(*COLOUR_B), "#009e73", "#cc79a7")
_MAIN = "#{:02x}{:02x}{:02x}".format(*COLOUR_A)
_NAME_LENGTH = 40


def write_evaluation_plot(document: dict[str, Any], path: Path) -> None:
    """Draw the main figures, mean over classes, as bars with 95 % intervals, and the reliability curve.

    Parameters
    ----------
    document : dict
        The evaluation as plain data, from ``EvaluationResult.to_document()``.
    path : Path
        The PNG file, replaced if it exists.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    save_figure(lambda: _draw(document), path)


def _draw(document: dict[str, Any]) -> Figure:
    figures = {
        (one["metric"], one["frames"], one["distractor"], one["view"], one["method"]): one
        for one in document["figures"]
        if one["class_name"] == "mean"
    }
    methods = list(document["methods"])
    colours = _colours(document["method"], methods)
    figure = Figure(figsize=(12, 9.2), layout="constrained")
    places = figure.subplots(3, 3).ravel()
    for axes, (metric, frames, distractor) in zip(places, _PANELS, strict=False):
        chosen = {key[3:]: one for key, one in figures.items() if key[:3] == (metric, frames, distractor)}
        # Without unrelated frames in any video, the whole video is the core.
        if not chosen and frames == "core":
            chosen = {key[3:]: one for key, one in figures.items() if key[:3] == (metric, "whole", distractor)}
        _draw_bars(axes, document["metrics"][metric], frames if metric in ("tau",) else "", chosen, methods, colours)
    _draw_reliability(places[len(_PANELS)], document["reliability"], document["method"])
    handles = [Patch(color=colours[name], label=_printable(name)) for name in methods]
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    for text, name in zip(legend.get_texts(), methods, strict=True):
        text.set_fontproperties(FontProperties(fname=str(printable(name)[1]), size=9))
        text.set_parse_math(False)
    classes = document["classes"]
    over = f", mean of {len(classes)} classes" if len(classes) > 1 else ""
    settings = document["settings"]
    title, font = printable(f"{shorten(document['method'], _NAME_LENGTH)} on {settings['videos']} videos{over}")
    heading = figure.suptitle(title)
    heading.set_fontproperties(FontProperties(fname=str(font), size=12))
    heading.set_parse_math(False)
    return figure


def _colours(main: str, methods: list[str]) -> dict[str, str]:
    colours = {main: _MAIN, **dict(zip(_BASELINES, _GREYS, strict=True))}
    others = [name for name in methods if name not in colours]
    return colours | {name: _OTHERS[k % len(_OTHERS)] for k, name in enumerate(others)}


def _printable(name: str) -> str:
    return printable(shorten(name, _NAME_LENGTH))[0]


def _draw_bars(
    axes: Axes,
    metric: dict[str, str],
    frames: str,
    chosen: dict[tuple[str, str], dict[str, Any]],
    methods: list[str],
    colours: dict[str, str],
) -> None:
    better = {"higher": "higher is better", "lower": "lower is better"}.get(metric["better"], "")
    cut = ", cores" if frames == "core" else ""
    axes.set_title(f"{metric['title']}{cut}\n({better})", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    views = [view for view in ("all", "same", "cross") if any(key[0] == view for key in chosen)]
    shown = [name for name in methods if any(key[1] == name for key in chosen)]
    if not chosen:
        axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    width = 0.8 / len(shown)
    for rank, name in enumerate(shown):
        for place, view in enumerate(views):
            one = chosen.get((view, name))
            if one is None or one["value"] is None:
                continue
            x = place + (rank - (len(shown) - 1) / 2) * width
            axes.bar(x, one["value"], width * 0.9, color=colours[name])
            if one["low"] is not None:
                axes.plot([x, x], [one["low"], one["high"]], color="black", linewidth=1)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(range(len(views)), ["" if view == "all" else f"{view} view" for view in views])
    axes.set_xlim(-0.6, len(views) - 0.4)
    values = [one[key] for one in chosen.values() for key in ("value", "high") if one[key] is not None]
    if metric["better"] == "higher":
        lows = [one["value"] for one in chosen.values() if one["value"] is not None]
        axes.set_ylim(max(min(0.0, *lows, 0.0) * 1.1, -1.0), 1.0)
    elif values:
        axes.set_ylim(0, max(values) * 1.05)


def _draw_reliability(axes: Axes, curves: list[dict[str, Any]], method: str) -> None:
    axes.set_title("matched pairs within 3 frames of the truth,\nby their confidence (dashed: as said)", fontsize=9)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    for curve, style in zip([one for one in curves if one["method"] == method], ("-o", "-s", "-^"), strict=False):
        right, said, count = (np.array(curve[name]) for name in ("right", "said", "count"))
        # A handful of pairs make no share.
        kept = count >= 20
        colour = _MAIN if curve["view"] != "cross" else _OTHERS[0]
        label = "" if curve["view"] == "all" else f"{curve['view']} view"
        axes.plot(said[kept] / count[kept], right[kept] / count[kept], style, color=colour, markersize=4, label=label)
    if any(line.get_label() and not str(line.get_label()).startswith("_") for line in axes.get_lines()):
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.set_xlabel("confidence", fontsize=8)
    axes.set_ylabel("share that is right", fontsize=8)
