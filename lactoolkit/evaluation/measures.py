"""The measures of one method on the videos of one class, as statistics that can be bootstrapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lactoolkit.alignment.confidence import calibrated_confidence, tolerance_frames
from lactoolkit.alignment.hits import find_paths
from lactoolkit.alignment.settings import AlignmentSettings, default_settings
from lactoolkit.alignment.tables import similarity_table
from lactoolkit.evaluation.alignment_metrics import (
    BINS,
    boundary_errors,
    carried_agreement,
    confidence_bins,
    interval_overlap,
    linear_stretch,
    phase_agreement,
    phase_runs,
    right_pairs,
)
from lactoolkit.evaluation.frame_metrics import (
    TAU_STRIDE,
    NearestPhases,
    classify_phases,
    kendalls_tau,
    labelled_share,
    principal_components,
    progression_targets,
    regress_progression,
)
from lactoolkit.evaluation.statistics import CalibrationError, Determination, MeanOfRatios, Median, Statistic
from lactoolkit.evaluation.videos import LabelledVideo, comparable
from lactoolkit.models.registry import is_trained_identity

LABELLED_PERCENT = (10, 50, 100)
AP_AT = (5, 10, 15)
TOLERANCE = 3  # frames
ANY = "any"


class Key(NamedTuple):
    """What is measured, on which pairs and frames."""

    metric: str
    view: str = "all"
    frames: str = "whole"
    distractor: str = ANY


@dataclass(frozen=True)
class Measure:
    """A statistic and the group of each of its units, shape (U,), or of both sides of each, shape (U, 2)."""

    statistic: Statistic
    groups: np.ndarray


Measures = dict[Key, Measure]
Path = np.ndarray
Aligner = Callable[[LabelledVideo, LabelledVideo], tuple[Path, np.ndarray | None]]


def probe_measures(train: Sequence[LabelledVideo], val: Sequence[LabelledVideo], phase_count: int) -> Measures:
    """Phase classification and progression by linear probes on the labelled frames of the training videos.

    Parameters
    ----------
    train, val : sequence of LabelledVideo
        Videos of one class, cut to their cores.
    phase_count : int
        Number of phases.

    Returns
    -------
    Measures
    """
    measures: Measures = {}
    known, unseen = principal_components([video.values for video in train], [video.values for video in val])
    groups = np.array([video.group for video in val])
    for percent in LABELLED_PERCENT:
        labelled = labelled_share(len(train), percent / 100)
        predicted = classify_phases(known[:labelled], [video.phases for video in train[:labelled]], unseen)
        right, count = count_by_phase(list(zip([one.phases for one in val], predicted, strict=True)), phase_count)
        measures[Key(f"phase_accuracy_{percent}", frames="core")] = Measure(
            MeanOfRatios(right.sum(axis=1), count.sum(axis=1)), groups
        )
        measures[Key(f"phase_recall_{percent}", frames="core")] = Measure(MeanOfRatios(right, count), groups)
    train_kept, val_kept = same_order(train, val)
    if train_kept and val_kept:
        targets = [_targets(val[k]) for k in val_kept]
        predictions = regress_progression(
            [known[k][train[k].phases >= 0] for k in train_kept],
            [_targets(train[k]) for k in train_kept],
            [unseen[k][val[k].phases >= 0] for k in val_kept],
        )
        measures[Key("progression_r2", frames="core")] = Measure(determination(predictions, targets), groups[val_kept])
    return measures


def _targets(video: LabelledVideo) -> np.ndarray:
    return progression_targets(video.phases[video.phases >= 0])


def count_by_phase(pairs: Sequence[tuple[np.ndarray, np.ndarray]], phase_count: int) -> tuple[np.ndarray, np.ndarray]:
    """Right predictions and labelled frames by video and phase, shape (U, K) each, of (true, predicted) phases."""
    right = [np.bincount(true[(true >= 0) & (true == said)], minlength=phase_count) for true, said in pairs]
    count = [np.bincount(true[true >= 0], minlength=phase_count) for true, _ in pairs]
    return np.array(right), np.array(count)


def determination(predictions: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> Determination:
    """R^2 of predictions (T, K) of targets (T, K), one of each for every video."""
    errors = [one - true for one, true in zip(predictions, targets, strict=True)]
    return Determination(
        squared_error=np.array([(one**2).sum(axis=0) for one in errors]),
        count=np.array([len(true) for true in targets]),
        total=np.array([true.sum(axis=0) for true in targets]),
        squares=np.array([(true**2).sum(axis=0) for true in targets]),
    )


def same_order(train: Sequence[LabelledVideo], val: Sequence[LabelledVideo]) -> tuple[list[int], list[int]]:
    """Positions of the videos that pass the phases as most training videos do; progression needs one order."""
    orders = [[tuple(phase_runs(one.phases[one.phases >= 0])[0].tolist()) for one in part] for part in (train, val)]
    usual = Counter(orders[0]).most_common(1)[0][0]
    train_kept, val_kept = ([k for k, order in enumerate(part) if order == usual] for part in orders)
    return train_kept, val_kept


def neighbour_measures(videos: Sequence[LabelledVideo], view: str, frames: str) -> Measures:
    """Kendall's tau and retrieval precision by nearest neighbours (cosine) in the other videos.

    Queries are frames of the core; unrelated frames, where the videos have them, are candidates too, and always wrong.

    Parameters
    ----------
    videos : sequence of LabelledVideo
        Videos of one class.
    view, frames : str
        Which pairs count, and how the measures are to be called.

    Returns
    -------
    Measures
    """
    taus: list[float] = []
    groups: list[tuple[str, str]] = []
    precision: dict[int, list[np.ndarray]] = {at: [] for at in AP_AT}
    queried: list[str] = []
    for query in videos:
        others = [other for other in videos if comparable(query, other, view)]
        asked = np.flatnonzero(query.phases >= 0)
        if not others or not len(asked):
            continue
        ordered = np.flatnonzero(query.core)[::TAU_STRIDE]
        gallery = NearestPhases(len(asked), max(AP_AT))
        for other in others:
            similarity = query.values @ other.values.T
            taus.append(kendalls_tau(similarity[ordered]))
            gallery.add(similarity[asked], other.phases)
            groups.append((query.group, other.group))
        queried.append(query.group)
        for at in AP_AT:
            precision[at].append(gallery.precision(query.phases[asked], at))
    if not groups:
        return {}
    found, pairs = np.array(taus), np.array(groups)
    missing = np.isnan(found)
    known = np.where(missing, 0, found)
    measures: Measures = {
        Key("tau", view, frames): Measure(MeanOfRatios(known, np.ones(len(known))), pairs),
        Key("tau_nan_dropped", view, frames): Measure(MeanOfRatios(known, ~missing), pairs),
        Key("tau_nan_pairs", view, frames): Measure(Total(missing), pairs),
    }
    for at, shares in precision.items():
        sums, counts = np.array([one.sum() for one in shares]), np.array([len(one) for one in shares])
        measures[Key(f"ap_{at}", view, frames)] = Measure(MeanOfRatios(sums, counts), np.array(queried))
    return measures


@dataclass(frozen=True)
class Total:
    """Number of units for which something holds."""

    holds: np.ndarray

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Weighted number, (B,), for weights (B, U)."""
        return weights @ self.holds.astype(np.float64)


def align_by_embeddings(settings: AlignmentSettings | None = None) -> Aligner:
    """Aligner by the embeddings of both videos: the best hit of :func:`lactoolkit.align_embeddings`.

    Without the comparison with chance, which takes most of its time and changes neither path nor confidence.
    """

    def align(a: LabelledVideo, b: LabelledVideo) -> tuple[Path, np.ndarray | None]:
        chosen = settings or default_settings(a.embeddings.encoder)
        table = similarity_table(a.values, b.values, chosen)
        paths = find_paths(table, a.embeddings, b.embeddings, 1)
        if not paths:
            return np.zeros((0, 2), np.int64), np.zeros(0)
        rows, columns = paths[0].pairs.T
        mass = table.posterior_near(paths[0], [], tolerance_frames(a.embeddings.rate))
        path = np.stack([a.embeddings.frames[rows], b.embeddings.frames[columns]], axis=1)
        return path, calibrated_confidence(mass, trained=is_trained_identity(a.embeddings.encoder))

    return align


def align_by_stretch(a: LabelledVideo, b: LabelledVideo) -> tuple[Path, np.ndarray | None]:
    """Aligner that maps the whole of one video evenly onto the whole of the other."""
    path = linear_stretch(len(a), len(b))
    return np.stack([a.embeddings.frames[path[:, 0]], b.embeddings.frames[path[:, 1]]], axis=1), None


def alignment_measures(
    pairs: Sequence[tuple[LabelledVideo, LabelledVideo]],
    align: Aligner,
    view: str,
    frames: str,
    phase_count: int,
    advance: Callable[[], object] = lambda: None,
) -> tuple[Measures, np.ndarray | None]:
    """Align pairs and compare the paths with the labels.

    Parameters
    ----------
    pairs : sequence of (LabelledVideo, LabelledVideo)
        Videos to align.
    align : callable
        Gives the matched native frames of a pair, shape (L, 2), and their confidences, shape (L,), or None.
    view, frames : str
        How the measures are to be called; with ``"core"``, the pairs were cut to their cores and intervals say nothing.
    phase_count : int
        Number of phases.
    advance : callable
        Called after each pair.

    Returns
    -------
    measures : Measures
    bins : ndarray, shape (3, BINS), or None
        Right pairs of frames, sum of confidences and number by confidence, over all pairs of videos.
    """
    agreements, carried, errors, bins, empty = [], [], [], [], []
    overlaps: list[_Side] = []
    for a, b in pairs:
        path, confidence = align(a, b)
        phases_a, phases_b = a.labels.phases, b.labels.phases
        agreements.append(phase_agreement(path, phases_a, phases_b, phase_count, TOLERANCE))
        carried.append(carried_agreement(path, phases_a, phases_b))
        errors.append(boundary_errors(path, phases_a, phases_b))
        overlaps += list(_overlaps(path, (a, b), len(overlaps) // 2))
        empty.append(not len(path))
        if confidence is not None:
            right = right_pairs(path, phases_a, phases_b, a.labels.in_core, b.labels.in_core, TOLERANCE)
            bins.append(np.zeros((3, BINS)) if right is None else confidence_bins(confidence, right))
        advance()
    if not pairs:
        return {}, None
    groups = np.array([(a.group, b.group) for a, b in pairs])
    ones = np.ones(len(pairs))
    inside = np.array([one.share_inside for one in agreements])
    measures: Measures = {
        Key("phase_agreement", view, frames): Measure(
            MeanOfRatios(np.array([one.share for one in agreements]), ones), groups
        ),
        Key("phase_agreement_carried", view, frames): Measure(MeanOfRatios(np.array(carried), ones), groups),
        Key("phase_agreement_inside", view, frames): Measure(
            MeanOfRatios(np.nan_to_num(inside), ~np.isnan(inside)), groups
        ),
        Key("phase_agreement_phases", view, frames): Measure(
            MeanOfRatios(np.array([one.agreeing for one in agreements]), np.array([one.matched for one in agreements])),
            groups,
        ),
        Key("pairs_without_path", view, frames): Measure(Total(np.array(empty)), groups),
    }
    measures |= boundary_measures(errors, groups, view, frames)
    if frames == "whole":
        measures |= _overlap_measures(overlaps, pairs, view)
        if bins:
            stacked = np.array(bins)
            measures[Key("calibration_error", view)] = Measure(
                CalibrationError(stacked[:, 0], stacked[:, 1], stacked[:, 2]), groups
            )
    return measures, np.sum(bins, axis=0) if bins else None


def boundary_measures(errors: Sequence[np.ndarray | None], groups: np.ndarray, view: str, frames: str) -> Measures:
    """Mean and median over the boundaries of all pairs whose phases come in one order."""
    kept = [k for k, one in enumerate(errors) if one is not None and len(one)]
    if not kept:
        return {}
    values = [np.asarray(errors[k]) for k in kept]
    sums, counts = np.array([one.sum() for one in values]), np.array([len(one) for one in values])
    return {
        Key("boundary_error", view, frames): Measure(MeanOfRatios(sums, counts), groups[kept]),
        Key("boundary_error_median", view, frames): Measure(
            Median(np.concatenate(values), np.repeat(np.arange(len(kept)), counts)), groups[kept]
        ),
    }


class _Side(NamedTuple):
    pair: int
    distractor: str
    values: tuple[float, float, float]


def _overlaps(path: Path, videos: tuple[LabelledVideo, LabelledVideo], pair: int) -> Iterator[_Side]:
    for side, video in enumerate(videos):
        first, last = (int(path[0, side]), int(path[-1, side])) if len(path) else (0, -1)
        overlap = interval_overlap(first, last, video.labels.in_core)
        yield _Side(pair, video.distractor, (overlap.iou, overlap.precision, overlap.recall))


def _overlap_measures(
    sides: Sequence[_Side], pairs: Sequence[tuple[LabelledVideo, LabelledVideo]], view: str
) -> Measures:
    """Overlap by kind of distractor of the video itself, whatever its partner has."""
    measures: Measures = {}
    kinds = sorted({side.distractor for side in sides})
    for kind in [ANY, *kinds] if len(kinds) > 1 else [ANY]:
        chosen = [side for side in sides if kind in (ANY, side.distractor)]
        groups = np.array([(pairs[side.pair][0].group, pairs[side.pair][1].group) for side in chosen])
        for position, metric in enumerate(("core_iou", "core_precision", "core_recall")):
            values = np.array([side.values[position] for side in chosen])
            measures[Key(metric, view, "whole", kind)] = Measure(MeanOfRatios(values, np.ones(len(values))), groups)
    return measures
