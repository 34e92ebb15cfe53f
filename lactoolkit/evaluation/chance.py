"""What blind guessing reaches on the same videos, in closed form: the floor of every measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lactoolkit.evaluation.alignment_metrics import chance_boundary_errors
from lactoolkit.evaluation.frame_metrics import labelled_share, progression_targets
from lactoolkit.evaluation.measures import (
    AP_AT,
    LABELLED_PERCENT,
    Key,
    Measure,
    Measures,
    boundary_measures,
    count_by_phase,
    determination,
    same_order,
)
from lactoolkit.evaluation.statistics import MeanOfRatios
from lactoolkit.evaluation.videos import LabelledVideo, comparable


def chance_probe_measures(train: Sequence[LabelledVideo], val: Sequence[LabelledVideo], phase_count: int) -> Measures:
    """The most frequent phase of the labelled frames, and the constant that fits progression best."""
    measures: Measures = {}
    groups = np.array([video.group for video in val])
    for percent in LABELLED_PERCENT:
        labelled = np.concatenate([one.phases for one in train[: labelled_share(len(train), percent / 100)]])
        usual = int(np.bincount(labelled[labelled >= 0], minlength=phase_count).argmax())
        right, count = count_by_phase([(video.phases, np.full(len(video), usual)) for video in val], phase_count)
        measures[Key(f"phase_accuracy_{percent}", frames="core")] = Measure(
            MeanOfRatios(right.sum(axis=1), count.sum(axis=1)), groups
        )
        measures[Key(f"phase_recall_{percent}", frames="core")] = Measure(MeanOfRatios(right, count), groups)
    kept = same_order(train, val)
    if all(kept):
        known, targets = (
            [progression_targets(part[k].phases[part[k].phases >= 0]) for k in chosen]
            for part, chosen in zip((train, val), kept, strict=True)
        )
        constant = np.concatenate(known).mean(axis=0)
        guesses = [np.broadcast_to(constant, one.shape) for one in targets]
        measures[Key("progression_r2", frames="core")] = Measure(determination(guesses, targets), groups[kept[1]])
    return measures


def chance_retrieval_measures(videos: Sequence[LabelledVideo], view: str, frames: str) -> Measures:
    """Expected precision of frames drawn at random from the gallery."""
    sums, counts, groups = [], [], []
    for query in videos:
        others = [other.phases for other in videos if comparable(query, other, view)]
        asked = query.phases[query.phases >= 0]
        if not others or not len(asked):
            continue
        gallery = np.concatenate(others)
        share = np.bincount(gallery[gallery >= 0], minlength=int(asked.max()) + 1) / len(gallery)
        sums.append(share[asked].sum())
        counts.append(len(asked))
        groups.append(query.group)
    if not groups:
        return {}
    expected = Measure(MeanOfRatios(np.array(sums), np.array(counts)), np.array(groups))
    return {Key(f"ap_{at}", view, frames): expected for at in AP_AT}


def chance_alignment_measures(
    pairs: Sequence[tuple[LabelledVideo, LabelledVideo]], view: str, frames: str, phase_count: int
) -> Measures:
    """Agreement of frames matched at random, and the error of boundaries put anywhere."""
    if not pairs:
        return {}
    shares = []
    for pair in pairs:
        a, b = (np.bincount(one.phases[one.phases >= 0], minlength=phase_count) / len(one) for one in pair)
        shares.append(float(a @ b))
    groups = np.array([(a.group, b.group) for a, b in pairs])
    errors = [chance_boundary_errors(a.labels.phases, b.labels.phases) for a, b in pairs]
    agreement = Measure(MeanOfRatios(np.array(shares), np.ones(len(shares))), groups)
    return {Key("phase_agreement", view, frames): agreement} | boundary_measures(errors, groups, view, frames)
