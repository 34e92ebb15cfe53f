"""From measures to figures: values, bootstrap intervals, means over classes, differences from the evaluated encoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lactoolkit.evaluation.measures import Key, Measure, Measures
from lactoolkit.evaluation.result import MEAN, METRICS, Figure
from lactoolkit.evaluation.statistics import bootstrap_replicates, figure, interval

_NONE = (float("nan"), float("nan"))


@dataclass(frozen=True)
class _Estimate:
    """A value, its bootstrap replicates, and on how many units and groups they rest."""

    value: float
    replicates: np.ndarray
    units: int
    groups: int

    @classmethod
    def of(cls, measure: Measure, seed: int) -> _Estimate:
        units, groups = len(measure.groups), len(np.unique(measure.groups))
        replicates = bootstrap_replicates(measure.statistic, measure.groups, seed)
        return cls(figure(measure.statistic, units), replicates, units, groups)


def summarise(measured: Mapping[str, Mapping[str, Measures]], method: str, seed: int) -> list[Figure]:
    """Figures of all classes, and over classes.

    Classes are resampled independently of each other; within a class all methods see the same draws, so that the
    interval of their difference is that of paired measurements.

    Parameters
    ----------
    measured : mapping of class to mapping of method to Measures
        What was measured.
    method : str
        The evaluated encoder's label, which the others are compared with.
    seed : int
        Of the bootstrap.

    Returns
    -------
    list of Figure
        In no particular order.
    """
    estimates: dict[str, dict[str, dict[Key, _Estimate]]] = {
        name: {
            label: {key: _Estimate.of(measure, seed + number) for key, measure in measures.items()}
            for label, measures in methods.items()
        }
        for number, (name, methods) in enumerate(measured.items())
    }
    estimates[MEAN] = _over_classes(estimates)
    return [
        _figure(name, key, label, one, methods[method].get(key) if label != method else None)
        for name, methods in estimates.items()
        for label, found in methods.items()
        for key, one in found.items()
    ]


def _over_classes(estimates: Mapping[str, Mapping[str, Mapping[Key, _Estimate]]]) -> dict[str, dict[Key, _Estimate]]:
    parts: dict[str, dict[Key, list[_Estimate]]] = defaultdict(lambda: defaultdict(list))
    for methods in estimates.values():
        for label, found in methods.items():
            for key, one in found.items():
                parts[label][key].append(one)
    return {label: {key: _joined(key, ones) for key, ones in found.items()} for label, found in parts.items()}


def _joined(key: Key, parts: list[_Estimate]) -> _Estimate:
    combine = np.sum if METRICS[key.metric].over_classes == "sum" else np.mean
    return _Estimate(
        float(combine([one.value for one in parts])),
        combine([one.replicates for one in parts], axis=0),
        sum(one.units for one in parts),
        sum(one.groups for one in parts),
    )


def _figure(name: str, key: Key, label: str, one: _Estimate, main: _Estimate | None) -> Figure:
    # How many pairs fail is a count of this very set: resampled, it would answer no question.
    counted = METRICS[key.metric].over_classes == "sum"
    low, high = _NONE if counted else interval(one.replicates)
    # The same units, or it is no paired comparison.
    paired = main is not None and not counted and (main.units, main.groups) == (one.units, one.groups)
    difference = interval(main.replicates - one.replicates) if main is not None and paired else _NONE
    return Figure(
        class_name=name,
        metric=key.metric,
        view=key.view,
        frames=key.frames,
        distractor=key.distractor,
        method=label,
        value=one.value,
        low=low,
        high=high,
        difference_low=difference[0],
        difference_high=difference[1],
        units=one.units,
        groups=one.groups,
    )
