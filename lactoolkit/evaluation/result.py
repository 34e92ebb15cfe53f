"""What an evaluation found: figures with intervals, per class and mean, for the encoder and the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

FORMAT_NAME = "lactoolkit-evaluation"
MEAN = "mean"
COLUMNS = (
    "class",
    "metric",
    "view",
    "frames",
    "distractor",
    "method",
    "value",
    "low",
    "high",
    "difference_low",
    "difference_high",
    "units",
    "groups",
)


@dataclass(frozen=True)
class Metric:
    """A measure: its title for readers, which way is better, and how many decimals mean something."""

    title: str
    better: Literal["higher", "lower", ""]
    digits: int = 2
    over_classes: Literal["mean", "sum"] = "mean"


METRICS: dict[str, Metric] = {
    "phase_accuracy_10": Metric("phase accuracy, 10 % of the labels", "higher"),
    "phase_accuracy_50": Metric("phase accuracy, 50 % of the labels", "higher"),
    "phase_accuracy_100": Metric("phase accuracy, 100 % of the labels", "higher"),
    "phase_recall_10": Metric("phase accuracy, mean of phases, 10 % of the labels", "higher"),
    "phase_recall_50": Metric("phase accuracy, mean of phases, 50 % of the labels", "higher"),
    "phase_recall_100": Metric("phase accuracy, mean of phases, 100 % of the labels", "higher"),
    "progression_r2": Metric("phase progression R²", "higher"),
    "tau": Metric("Kendall's tau, NaN counted as 0", "higher"),
    "tau_nan_dropped": Metric("Kendall's tau, NaN pairs dropped", "higher"),
    "tau_nan_pairs": Metric("pairs with NaN tau", "lower", 0, "sum"),
    "ap_5": Metric("AP@5", "higher"),
    "ap_10": Metric("AP@10", "higher"),
    "ap_15": Metric("AP@15", "higher"),
    "phase_agreement": Metric("phase agreement", "higher"),
    "phase_agreement_carried": Metric("phase agreement, every frame", "higher"),
    "phase_agreement_inside": Metric("phase agreement, not near a boundary", "higher"),
    "phase_agreement_phases": Metric("phase agreement, mean of phases", "higher"),
    "boundary_error": Metric("boundary error, mean (frames)", "lower", 1),
    "boundary_error_median": Metric("boundary error, median (frames)", "lower", 1),
    "core_iou": Metric("core IoU", "higher"),
    "core_precision": Metric("core precision", "higher"),
    "core_recall": Metric("core recall", "higher"),
    "calibration_error": Metric("calibration error of confidence", "lower"),
    "pairs_without_path": Metric("pairs without any alignment", "lower", 0, "sum"),
}


@dataclass(frozen=True)
class Figure:
    """One figure of one method.

    Parameters
    ----------
    class_name : str
        Class of the videos, or ``"mean"`` over classes.
    metric : str
        A key of :data:`METRICS`.
    view : str
        ``"same"`` or ``"cross"`` view, or ``"all"``.
    frames : str
        ``"core"``: unrelated frames are cut off beforehand; ``"whole"``: they are there.
    distractor : str
        Kind of unrelated frames in the videos it is measured on, or ``"any"``.
    method : str
        The encoder's label or the name of a baseline.
    value, low, high : float
        The figure and its 95 % interval; NaN where there is none.
    difference_low, difference_high : float
        95 % interval of the evaluated encoder's figure less this one, measured on the same videos.
    units : int
        Videos or pairs it is measured on.
    groups : int
        Independent recordings among them.
    """

    class_name: str
    metric: str
    view: str
    frames: str
    distractor: str
    method: str
    value: float
    low: float
    high: float
    difference_low: float
    difference_high: float
    units: int
    groups: int

    @property
    def differs(self) -> bool:
        """Whether the evaluated encoder's figure differs from this one more than the draw of videos explains."""
        return self.difference_low > 0 or self.difference_high < 0


@dataclass(frozen=True)
class Reliability:
    """How often confidences were right, by bins of confidence; pooled over classes.

    Parameters
    ----------
    method, view : str
        As in :class:`Figure`.
    right, said, count : ndarray, shape (bins,)
        Right pairs, sum of confidences and number of pairs in each bin from 0 to 1.
    """

    method: str
    view: str
    right: np.ndarray
    said: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class EvaluationResult:
    """All figures of an evaluation.

    Parameters
    ----------
    methods : tuple of str
        Label of the evaluated encoder, then the baselines.
    figures : tuple of Figure
        Ordered by class, metric, view, frames, distractor and method.
    reliability : tuple of Reliability
        Of the methods that give confidences.
    settings : dict
        Encoder identity, manifest, split, seed, numbers of videos and pairs, ...; JSON-ready.
    notes : tuple of str
        What was left out and why.
    """

    methods: tuple[str, ...]
    figures: tuple[Figure, ...]
    reliability: tuple[Reliability, ...] = ()
    settings: dict[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, without the mean."""
        return tuple(dict.fromkeys(figure.class_name for figure in self.figures if figure.class_name != MEAN))

    @property
    def method(self) -> str:
        """Label of the evaluated encoder."""
        return self.methods[0]

    def value(
        self,
        metric: str,
        *,
        view: str = "all",
        frames: str = "whole",
        distractor: str = "any",
        method: str | None = None,
        class_name: str = MEAN,
    ) -> float:
        """Look up one figure; NaN if it was not measured."""
        wanted = (class_name, metric, view, frames, distractor, method or self.method)
        for one in self.figures:
            if (one.class_name, one.metric, one.view, one.frames, one.distractor, one.method) == wanted:
                return one.value
        return float("nan")

    def to_dataframe(self) -> pd.DataFrame:
        """All figures, one row each, with the columns of ``evaluation.csv``."""
        table = pd.DataFrame([asdict(one) for one in self.figures]).rename(columns={"class_name": "class"})
        return table[list(COLUMNS)]

    def to_document(self) -> dict[str, Any]:
        """Everything, JSON-ready (NaN as null)."""
        return {
            "format": FORMAT_NAME,
            "format_version": 1,
            "method": self.method,
            "methods": list(self.methods),
            "classes": list(self.classes),
            "settings": self.settings,
            "notes": list(self.notes),
            "metrics": {name: asdict(metric) for name, metric in METRICS.items()},
            "figures": [{name: _plain(value) for name, value in asdict(one).items()} for one in self.figures],
            "reliability": [
                {
                    "method": one.method,
                    "view": one.view,
                    "right": one.right.tolist(),
                    "said": one.said.tolist(),
                    "count": one.count.tolist(),
                }
                for one in self.reliability
            ],
        }


def sorted_figures(figures: Sequence[Figure], classes: Sequence[str], methods: Sequence[str]) -> tuple[Figure, ...]:
    """Figures in the order in which they are listed: the mean first, metrics as in :data:`METRICS`."""
    class_rank = {name: rank for rank, name in enumerate([MEAN, *classes])}
    method_rank = {name: rank for rank, name in enumerate(methods)}
    metric_rank = {name: rank for rank, name in enumerate(METRICS)}
    view_rank = {"all": 0, "same": 1, "cross": 2}

    def key(one: Figure) -> tuple[int, int, int, str, str, int]:
        return (
            class_rank[one.class_name],
            metric_rank[one.metric],
            view_rank[one.view],
            one.frames,
            "" if one.distractor == "any" else one.distractor,
            method_rank[one.method],
        )

    return tuple(sorted(figures, key=key))


def _plain(value: object) -> object:
    return None if isinstance(value, float) and np.isnan(value) else value
