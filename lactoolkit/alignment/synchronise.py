"""All videos of a set on one clock: recordings of one event by constant offsets, takes of one process by a star."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from tqdm import tqdm

from lactoolkit.alignment.align import describe_video, package_versions
from lactoolkit.alignment.many import PairJob, align_all
from lactoolkit.alignment.offsets import (
    LagScores,
    Offsets,
    Recording,
    largest_event,
    motion_curve,
    score_lags,
    solve_offsets,
)
from lactoolkit.alignment.result import AlignedVideo, Alignment
from lactoolkit.alignment.transfer import carry_times, reversed_alignment
from lactoolkit.errors import ParameterError, VideoError
from lactoolkit.features.extraction import extract_features
from lactoolkit.features.process_pool import FailedVideo, Outcome, joined_reasons, read_and_failed, run_items
from lactoolkit.features.tally import gather
from lactoolkit.features.video_embeddings import VideoEmbeddings, embed_video
from lactoolkit.video.decoding import probe
from lactoolkit.video.folders import find_videos

Model = Literal["offset", "warp"]
Result = TypeVar("Result")
_MAX_RATE = 60.0
_MOST_FRAMES = 40_000  # of one recording; four hours and more are analysed at fewer frames per second
_CLOCK_RATE = 30.0
# Correlation of motion that two recordings of one event reach: .69 and more for nine of ten pairs of cameras (simulated
# tasks, a walk); takes of one task reach .67 for one pair in four.
_SAME_EVENT = 0.67
_PLACED = 0.5  # least confidence of a placed recording


@dataclass(frozen=True)
class SyncedVideo:
    """One video on the common clock.

    Parameters
    ----------
    video : AlignedVideo
        The video.
    clock : ndarray, shape (K,), float64
        Moments of the common clock at which it is known what the video shows, in seconds, increasing.
    times : ndarray, shape (K,), float64
        The moments of the video that belong to them, in seconds, never decreasing.
    confidence : ndarray, shape (K,), float64
        How sure each is: the probability that it is right within 0.1 s.
    outlier : str
        Why the video does not belong to the others; "" if it does.
    """

    video: AlignedVideo
    clock: np.ndarray
    times: np.ndarray
    confidence: np.ndarray
    outlier: str = ""

    @property
    def offset(self) -> float:
        """When it starts on the clock, in seconds: where its clock stood at the first known moment."""
        return float(self.clock[0] - self.times[0]) if len(self.clock) else float("nan")


@dataclass(frozen=True)
class Synchronisation:
    """Videos on one clock.

    Parameters
    ----------
    videos : tuple of SyncedVideo
        In the order given.
    model : {"offset", "warp"}
        Recordings of one event at the same speed, or takes of one process at any speed.
    reference : int
        Position of the video that fits the others best: under ``"warp"``, the clock is its own.
    cycle_error : float
        Median over triples of videos of how far going round over the pairs misses where it began, in seconds; NaN for
        fewer than three.
    settings, versions : dict
        What determines the result, JSON-ready.
    failed : tuple of FailedVideo
        Videos that were left out because they cannot be read.
    """

    videos: tuple[SyncedVideo, ...]
    model: Model
    reference: int
    cycle_error: float
    settings: dict[str, object] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    failed: tuple[FailedVideo, ...] = ()

    @property
    def coverage(self) -> list[tuple[float, float, tuple[int, ...]]]:
        """Stretches of the clock and which videos show them: start and end in seconds, positions; outliers left out."""
        inside = [k for k, one in enumerate(self.videos) if len(one.clock) and not one.outlier]
        spans = {k: (float(self.videos[k].clock[0]), float(self.videos[k].clock[-1])) for k in inside}
        edges = sorted({edge for span in spans.values() for edge in span})
        stretches = []
        for start, end in itertools.pairwise(edges):
            shown = tuple(k for k in inside if spans[k][0] <= start and spans[k][1] >= end)
            stretches.append((start, end, shown))
        return stretches


def synchronise(
    inputs: Sequence[str | Path],
    *,
    model: Literal["auto", "offset", "warp"] = "auto",
    workers: int = 1,
    progress: bool = False,
    **options: Any,
) -> Synchronisation:
    """Put all videos on one clock.

    ``"offset"`` is for recordings of one event by several cameras that run at the same speed: each video gets one
    constant offset, from the similarity of frames and from what moves when (which cameras on different sides see
    alike), for all pairs together. ``"warp"`` is for takes of one process at any speed: all pairs are aligned, the
    video that matches the others best is the reference, and its alignment with every other video is made consistent
    with those by way of third videos.

    Parameters
    ----------
    inputs : sequence of paths
        Videos, and folders that are searched for videos.
    model : {"auto", "offset", "warp"}
        ``"auto"`` takes constant offsets if the motion of more than half of the videos is alike.
    workers : int
        Processes side by side.
    progress : bool
        Show progress bars on stderr.
    **options
        ``encoder``, ``weights``, ``frame_rate``, ``device`` and ``cache``, as for :func:`lactoolkit.align_videos`.

    Returns
    -------
    Synchronisation

    Raises
    ------
    ParameterError
        There are fewer than two videos, or the model is unknown.
    VideoError
        Fewer than two of the videos can be read; others that cannot be read are left out.

    Examples
    --------
    >>> from lactoolkit import synchronise
    >>> synced = synchronise(["camera1.mp4", "camera2.mp4", "camera3.mp4"])  # doctest: +SKIP
    >>> [one.offset for one in synced.videos]  # doctest: +SKIP
    [0.0, 1.72, 0.31]
    """
    paths = find_videos(inputs)
    if len(paths) < 2:
        probe(paths[0])  # a misspelt folder is no video at all
        raise ParameterError(f"{paths[0]}: one video alone; name two or more to synchronise")
    if model not in ("auto", "offset", "warp"):
        raise ParameterError(f"model (--model) is {model!r}; choose auto, offset or warp")
    failed: tuple[FailedVideo, ...] = ()
    if model != "warp":
        synced = _by_offsets(paths, progress, options)
        failed = synced.failed
        belonging = sum(not one.outlier for one in synced.videos)
        if model == "offset" or 2 * belonging > len(synced.videos):
            return synced
        paths = [one.video.path for one in synced.videos]
    synced = _by_star(paths, workers, progress, options)
    return replace(synced, failed=(*failed, *synced.failed))


def _readable(outcomes: Iterable[Outcome[Path, Result]]) -> tuple[dict[Path, Result], list[FailedVideo]]:
    """Results of the videos that could be read, at least two, and the other videos."""
    found, failed = read_and_failed(outcomes)
    if len(found) < 2:
        reasons = joined_reasons(failed)
        raise VideoError(f"{reasons}; two videos or more are needed" if found else reasons)
    return found, failed


def _by_offsets(paths: Sequence[Path], progress: bool, options: dict[str, Any]) -> Synchronisation:
    probed, failed = _readable(run_items(probe, paths))
    infos = list(probed.values())
    rate = min(*(info.frame_rate for info in infos), _MAX_RATE)
    rate = min(rate, options.get("frame_rate") or rate, _MOST_FRAMES / max(info.duration or 1.0 for info in infos))
    shared = {name: value for name, value in options.items() if name in ("device", "cache")}

    def record(path: Path) -> tuple[VideoEmbeddings, Recording]:
        wanted = None if probed[path].frame_rate <= 1.05 * rate else rate
        video = embed_video(
            path,
            options.get("encoder", "lite0"),
            weights=options.get("weights"),
            frame_rate=wanted,
            preview=True,
            progress=progress,
            **shared,
        )
        features = extract_features(path, frame_rate=wanted, preview=True, progress=progress, **shared)
        return video, _on_grid(video, features.values, rate)

    bar = tqdm(total=len(probed), desc="reading", unit="video", delay=1, disable=not progress)
    run = run_items(record, list(probed))
    read = gather(run, len(probed), "read", bar=bar, resumable=options.get("cache", True))
    recorded, damaged = _readable(read)
    videos, recordings = (list(each) for each in zip(*recorded.values(), strict=True))
    pairs = list(itertools.combinations(range(len(videos)), 2))
    shown = tqdm(pairs, desc="comparing", unit="pair", delay=1, disable=not progress)
    scores = {(i, j): score_lags(recordings[i], recordings[j], rate) for i, j in shown}
    found = solve_offsets(recordings, scores)
    members = largest_event(found.likeness, _SAME_EVENT)
    if 1 < members.sum() < len(videos):
        found = _placed_without_others(found, members, recordings, scores)
    outliers = [_why_outlier(one, sure) for one, sure in zip(members, found.confidence, strict=True)]
    first = min((start for start, why in zip(found.starts, outliers, strict=True) if not why), default=0.0)
    synced = []
    for k, video in enumerate(videos):
        start = float(found.starts[k] - first) / rate - float(video.times[0])
        ends = np.array([video.times[0], video.times[-1]])
        sure = np.full(2, found.confidence[k])
        synced.append(SyncedVideo(describe_video(video), start + ends, ends, sure, outliers[k]))
    # Compared with those of the event alone; where there is none, with all.
    compared = members if members.any() else np.ones(len(videos), bool)
    weight = np.where(compared, found.pair_confidence[:, compared].sum(axis=1), -1.0)
    return Synchronisation(
        videos=tuple(synced),
        model="offset",
        reference=int(weight.argmax()),
        cycle_error=found.cycle_error / rate,
        settings={**_plain_options(options), "model": "offset", "frame_rate": rate},
        versions=package_versions(),
        failed=(*failed, *damaged),
    )


def _on_grid(video: VideoEmbeddings, features: np.ndarray, rate: float) -> Recording:
    """Frames of a video at regular times: those nearest to each tick."""
    ticks = np.arange(int((video.times[-1] - video.times[0]) * rate + 1e-6) + 1) / rate + video.times[0]
    right = np.clip(np.searchsorted(video.times, ticks), 1, len(video.times) - 1)
    nearer = (ticks - video.times[right - 1]) <= (video.times[right] - ticks)
    chosen = right - nearer
    return Recording(video.values[chosen], motion_curve(features[chosen], rate))


def _placed_without_others(
    found: Offsets, members: np.ndarray, recordings: Sequence[Recording], pairs: dict[tuple[int, int], LagScores]
) -> Offsets:
    """The recordings of one event placed by themselves, others left where they are: those have no say in it."""
    chosen: list[int] = np.flatnonzero(members).tolist()
    own = {(i, j): pairs[chosen[i], chosen[j]] for i, j in itertools.combinations(range(len(chosen)), 2)}
    alone = solve_offsets([recordings[k] for k in chosen], own)
    starts, confidence = found.starts.copy(), found.confidence.copy()
    starts[chosen] = alone.starts + starts[chosen].mean() - alone.starts.mean()
    confidence[chosen] = alone.confidence
    return replace(found, starts=starts, confidence=confidence, cycle_error=alone.cycle_error)


def _why_outlier(member: bool, confidence: float) -> str:
    if not member:
        return "what moves in it moves at other times than in the others"
    if confidence < _PLACED:
        return "fits in several places"
    return ""


def _by_star(paths: Sequence[Path], workers: int, progress: bool, options: dict[str, Any]) -> Synchronisation:
    found, failed = _align_all(paths, workers, progress, options)
    paths = [path for path in paths if path not in {one.path for one in failed}]
    alignments: dict[tuple[int, int], Alignment] = {}
    for i, j in itertools.combinations(range(len(paths)), 2):
        alignments[i, j] = found[paths[i], paths[j]]
        alignments[j, i] = reversed_alignment(alignments[i, j])
    evidence = np.zeros(len(paths))
    for (i, _), one in alignments.items():
        evidence[i] += (1 - one.hits[0].p_value) * one.hits[0].mean_confidence if one.hits else 0
    reference = int(evidence.argmax())
    own = alignments[reference, (reference + 1) % len(paths)].a
    ticks = np.arange(int((own.times[-1] - own.times[0]) * _CLOCK_RATE + 1e-6) + 1) / _CLOCK_RATE + own.times[0]
    synced = []
    for k in range(len(paths)):
        if k == reference:
            synced.append(SyncedVideo(own, ticks, ticks, np.ones(len(ticks))))
            continue
        times, confidence = _consistent_times(alignments, reference, k, len(paths), ticks)
        known = np.isfinite(times)
        direct = alignments[reference, k]
        why = "" if direct.verdict != "not alignable" else "matches the reference no better than chance"
        synced.append(SyncedVideo(direct.b, ticks[known], times[known], confidence[known], why))
    return Synchronisation(
        videos=tuple(synced),
        model="warp",
        reference=reference,
        cycle_error=_cycle_error(alignments, len(paths)),
        settings={**_plain_options(options), "model": "warp"},
        versions=package_versions(),
        failed=tuple(failed),
    )


def _align_all(
    paths: Sequence[Path], workers: int, progress: bool, options: dict[str, Any]
) -> tuple[dict[tuple[Path, Path], Alignment], list[FailedVideo]]:
    """Align every pair; a video of which no pair could be aligned cannot be read."""
    jobs = [PairJob(f"{a} {b}", a, b) for a, b in itertools.combinations(paths, 2)]
    outcomes = align_all(jobs, workers=workers, progress=progress, **options)
    found = {(one.item.a, one.item.b): one.result for one in outcomes if one.result is not None}
    errors = [one for one in outcomes if one.result is None]
    read = {path for pair in found for path in pair}
    # Beside a video that can be read, the error is the other one's.
    reasons = {path: one.error for one in errors for path in (one.item.a, one.item.b) if path not in read}
    reasons |= {
        bad: one.error
        for one in errors
        for bad, good in ((one.item.a, one.item.b), (one.item.b, one.item.a))
        if bad not in read and good in read
    }
    for one in errors:
        if not found or {one.item.a, one.item.b} <= read:
            raise VideoError(one.error)
    return found, [FailedVideo.of(path, reasons[path]) for path in paths if path in reasons]


def _consistent_times(
    alignments: dict[tuple[int, int], Alignment], reference: int, k: int, count: int, ticks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What video k shows at each tick of the reference: weighted median of the direct way and those by third videos."""
    times, sure = [], []
    ways = [(reference, k)] + [(reference, m, k) for m in range(count) if m not in (reference, k)]
    for way in ways:
        if any(alignments[step].verdict == "not alignable" for step in itertools.pairwise(way)) and len(way) > 2:
            continue
        moved, confidence = ticks, np.ones(len(ticks))
        for step in itertools.pairwise(way):
            moved, one = carry_times(alignments[step], moved)
            confidence = confidence * one
        times.append(moved)
        sure.append(np.nan_to_num(confidence))
    stack, weight = np.array(times), np.array(sure)
    result, certain = np.full(len(ticks), np.nan), np.zeros(len(ticks))
    known = np.flatnonzero(np.isfinite(stack[0]))  # where the video itself is matched
    if len(known):
        first, last = known[0], known[-1] + 1
        order = np.argsort(stack[:, first:last], axis=0)
        passed = np.cumsum(np.take_along_axis(weight[:, first:last], order, 0), axis=0)
        middle = (passed >= passed[-1] / 2).argmax(axis=0)
        chosen = np.take_along_axis(order, middle[None], 0)[0]
        columns = np.arange(first, last)
        result[first:last] = np.maximum.accumulate(stack[chosen, columns])
        near = np.abs(stack[:, first:last] - result[first:last]) <= 0.1
        certain[first:last] = np.where(near, weight[:, first:last], 0).max(axis=0)
    return result, certain


def _cycle_error(alignments: dict[tuple[int, int], Alignment], count: int) -> float:
    errors = []
    for i, j, k in itertools.combinations(range(count), 3):
        if any(not alignments[pair].hits for pair in ((i, j), (j, k), (k, i))):
            continue
        begun = alignments[i, j].hits[0].times_a
        times = begun
        for pair in ((i, j), (j, k), (k, i)):
            times, _ = carry_times(alignments[pair], times)
        around = np.abs(times - begun)
        if np.isfinite(around).any():
            errors.append(float(np.nanmedian(around)))
    return float(np.median(errors)) if errors else float("nan")


def _plain_options(options: dict[str, Any]) -> dict[str, object]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
