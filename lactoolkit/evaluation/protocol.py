"""The protocol over embeddings at hand: classes, pairs, cores, baselines, intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from lactoolkit.alignment.align import AlignmentSettings
from lactoolkit.errors import ManifestError
from lactoolkit.evaluation.alignment_metrics import BINS
from lactoolkit.evaluation.chance import (
    chance_alignment_measures,
    chance_probe_measures,
    chance_retrieval_measures,
)
from lactoolkit.evaluation.measures import (
    Aligner,
    Measures,
    align_by_embeddings,
    align_by_stretch,
    alignment_measures,
    neighbour_measures,
    probe_measures,
)
from lactoolkit.evaluation.result import EvaluationResult, Reliability, sorted_figures
from lactoolkit.evaluation.summary import summarise
from lactoolkit.evaluation.videos import LabelledVideo, draw_pairs, position_embeddings, views

POSITION = "position only"
STRETCH = "linear stretch"
CHANCE = "chance"


Plan = Mapping[str, Sequence[tuple[int, int]]]  # view -> positions of the videos to align


def evaluate_embeddings(
    methods: Mapping[str, tuple[Sequence[LabelledVideo], Sequence[LabelledVideo]]],
    *,
    pairs: int = 60,
    seed: int = 0,
    progress: bool = False,
    settings: AlignmentSettings | None = None,
    baselines: bool = True,
) -> EvaluationResult:
    """Measure embeddings that are at hand already.

    Parameters
    ----------
    methods : mapping of str to (train, measured)
        Label of each method and its labelled videos, the same ones for all methods; the first is the one evaluated.
        ``train`` may be empty. Position-only, linear stretch and chance are added, unless ``baselines`` is False.
    pairs, seed, progress, settings, baselines
        As in :func:`evaluate`.

    Returns
    -------
    EvaluationResult

    Raises
    ------
    ManifestError
        If no class has two independent videos to compare, or videos of one class have different phases.
    """
    method = next(iter(methods))
    classes, notes = _classes(*methods[method])
    measured: dict[str, dict[str, Measures]] = {name: {} for name in classes}
    bins: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros((3, BINS)))
    plans: dict[str, Plan] = {}
    there_are: dict[str, int] = defaultdict(int)
    with tqdm(desc="comparing", unit="pair", delay=1, leave=False, disable=not progress) as bar:
        for name in classes:
            train, val = (_of_class(part, name) for part in methods[method])
            plans[name] = {view: draw_pairs(val, view, pairs, seed) for view in views(val)}
            for view in plans[name]:
                there_are[view] += len(draw_pairs(val, view, len(val) ** 2))
            sides = {label: _Videos.of(*(_of_class(part, name) for part in parts)) for label, parts in methods.items()}
            if baselines:
                sides[POSITION] = _Videos.by_position(train, val)
            bar.reset(sum(map(len, plans[name].values())) * len(sides[method].compared) * (len(sides) + baselines))
            bar.set_description(f"comparing {name}".rstrip())
            align = align_by_embeddings(settings)
            for label, videos in sides.items():
                measured[name][label] = _probed(videos) | _neighbours(videos, plans[name])
                found, counted = _aligned(videos, plans[name], align, bar)
                measured[name][label] |= found
                for view, one in counted.items():
                    bins[label, view] += one
            if baselines:
                stretched, _ = _aligned(sides[method], plans[name], align_by_stretch, bar)
                measured[name][STRETCH] = {
                    key: one for key, one in stretched.items() if key.metric != "pairs_without_path"
                }
                measured[name][CHANCE] = _by_chance(sides[method], plans[name])
    labels = (*methods, POSITION, STRETCH, CHANCE) if baselines else tuple(methods)
    return EvaluationResult(
        labels,
        sorted_figures(summarise(measured, method, seed), classes, labels),
        tuple(Reliability(label, view, *counted) for (label, view), counted in bins.items() if counted[2].any()),
        {
            "seed": seed,
            "train_videos": len(methods[method][0]),
            "videos": len(methods[method][1]),
            "pairs_at_most": pairs,
            "pairs": dict(there_are),
            "pairs_aligned": {view: sum(len(plan.get(view, ())) for plan in plans.values()) for view in there_are},
        },
        tuple(notes),
    )


@dataclass(frozen=True)
class _Videos:
    """Videos of one class under one method: to learn from and to measure, whole and cut to their cores."""

    train_cores: list[LabelledVideo]
    whole: list[LabelledVideo]
    cores: list[LabelledVideo]

    @classmethod
    def of(cls, train: Sequence[LabelledVideo], val: Sequence[LabelledVideo]) -> _Videos:
        """Cores are cut out of the embeddings of whole videos: that is what an encoder is given."""
        return cls([one.cut_to_core() for one in train], list(val), [one.cut_to_core() for one in val])

    @classmethod
    def by_position(cls, train: Sequence[LabelledVideo], val: Sequence[LabelledVideo]) -> _Videos:
        """Position-only embeddings of the same; of a core, the position in the core: the strongest such baseline."""
        videos = cls.of(train, val)
        return cls(*([_by_position(one) for one in part] for part in (videos.train_cores, videos.whole, videos.cores)))

    @property
    def phase_count(self) -> int:
        return max(len(video.labels.phase_names) for video in (*self.train_cores, *self.whole))

    @property
    def compared(self) -> dict[str, list[LabelledVideo]]:
        """Whole videos, and the cores where they differ."""
        whole = {"whole": self.whole}
        return whole if all(video.core.all() for video in self.whole) else whole | {"core": self.cores}

    def pairs(self, plan: Plan) -> Iterator[tuple[str, str, list[tuple[LabelledVideo, LabelledVideo]]]]:
        """View, whole or core, and the pairs to align."""
        for view, chosen in plan.items():
            for frames, videos in self.compared.items():
                yield view, frames, [(videos[i], videos[j]) for i, j in chosen]


def _by_position(video: LabelledVideo) -> LabelledVideo:
    return video.with_values(position_embeddings(len(video)), POSITION)


def _probed(videos: _Videos) -> Measures:
    return probe_measures(videos.train_cores, videos.cores, videos.phase_count) if videos.train_cores else {}


def _neighbours(videos: _Videos, plan: Plan) -> Measures:
    measures: Measures = {}
    for view in plan:
        for frames, compared in videos.compared.items():
            measures |= neighbour_measures(compared, view, frames)
    return measures


def _aligned(videos: _Videos, plan: Plan, align: Aligner, bar: tqdm) -> tuple[Measures, dict[str, np.ndarray]]:
    measures: Measures = {}
    bins = {}
    for view, frames, pairs in videos.pairs(plan):
        found, counted = alignment_measures(pairs, align, view, frames, videos.phase_count, bar.update)
        measures |= found
        if frames == "whole" and counted is not None:
            bins[view] = counted
    return measures, bins


def _by_chance(videos: _Videos, plan: Plan) -> Measures:
    measures: Measures = {}
    if videos.train_cores:
        measures |= chance_probe_measures(videos.train_cores, videos.cores, videos.phase_count)
    for view, frames, pairs in videos.pairs(plan):
        measures |= chance_retrieval_measures(videos.compared[frames], view, frames)
        measures |= chance_alignment_measures(pairs, view, frames, videos.phase_count)
    return measures


def _of_class(videos: Sequence[LabelledVideo], name: str) -> list[LabelledVideo]:
    return [video for video in videos if video.record.class_name == name]


def _classes(train: Sequence[LabelledVideo], val: Sequence[LabelledVideo]) -> tuple[list[str], list[str]]:
    """Classes that can be measured, and notes on those that cannot."""
    names, notes = [], []
    for name in dict.fromkeys(video.record.class_name for video in val):
        known = _of_class([*train, *val], name)
        for video in known:
            here, there = video.labels.phase_names, known[0].labels.phase_names
            # A file that lacks the last phases names fewer.
            if any(one != other for one, other in zip(here, there, strict=False)):
                raise ManifestError(
                    f"{video.record.labels}: phases {', '.join(here)} differ from {', '.join(there)} in "
                    f"{known[0].record.labels}; videos of one class share their phases (the manifest's column class "
                    "tells classes apart)"
                )
        learnt = {int(k) for video in _of_class(train, name) for k in np.unique(video.phases)}
        for video in _of_class(val, name) if learnt else ():
            unknown = set(np.unique(video.phases).tolist()) - learnt - {-1}
            if unknown:
                phases = ", ".join(video.labels.phase_names[k] for k in sorted(unknown))
                notes.append(f"{video.record.path.name}: phase {phases} is in no training video and counts as wrong")
        groups = {video.group for video in _of_class(val, name)}
        if len(groups) < 2:
            notes.append(f"class {name or '(none)'} has {len(groups)} independent video to measure on and is left out")
        else:
            names.append(name)
    if not names:
        raise ManifestError(f"nothing to compare: {'; '.join(notes)}; measuring needs 2 labelled videos of a class")
    return names, notes
