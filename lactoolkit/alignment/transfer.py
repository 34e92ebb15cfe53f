"""Labels of one or several videos carried over to another one, along their alignments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lactoolkit.alignment.many import RANGES, PairJob, align_all
from lactoolkit.alignment.result import AlignedVideo, Alignment, Hit
from lactoolkit.errors import ManifestError, ParameterError, VideoError
from lactoolkit.features.process_pool import FailedVideo, joined_reasons
from lactoolkit.video.decoding import VideoInfo, probe
from lactoolkit.video.intervals import NamedInterval, read_annotation
from lactoolkit.video.labels import BACKGROUND, FrameLabels, check_own_labels

_TOLERANCE = 0.1  # seconds: what the confidence of a pair is about
# How votes of several references count: chosen on the training videos of four simulated tasks. A reference twice as
# confident counts eight times; one that leaves a frame out votes for no label as if its confidence were .46.
_POWER = 3
_NO_LABEL = 0.1
# Share of right labels by the support they have, on the same videos: from one reference, and from three or more.
_SUPPORT = np.array([0.0, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 1.0])
_RIGHT_OF_ONE = np.array([0.42, 0.44, 0.49, 0.59, 0.70, 0.785, 0.84, 0.90, 0.96, 0.98])
_RIGHT_OF_SEVERAL = np.array([0.35, 0.40, 0.52, 0.60, 0.75, 0.87, 0.945, 0.98, 0.995, 1.0])


@dataclass(frozen=True)
class TransferredLabels:
    """Frame labels that a video received.

    Parameters
    ----------
    labels : FrameLabels
        Phase of each of its T native frames; -1 where the references show nothing that matches, or background.
    confidence : ndarray, shape (T,), float32
        Confidence of each label; 0 where there is none.
    alignments : tuple of Alignment
        Each reference against the video, without the matrix.
    used : tuple of bool
        Which of them counted; see :func:`transfer_labels`.
    failed : tuple of FailedVideo
        References that were left out because they cannot be read.
    """

    labels: FrameLabels
    confidence: np.ndarray
    alignments: tuple[Alignment, ...]
    used: tuple[bool, ...]
    failed: tuple[FailedVideo, ...] = ()

    @property
    def significant(self) -> bool:
        """Whether a reference that counted matches better than chance."""
        return _significant(self.alignments, self.used)


@dataclass(frozen=True)
class TransferredInterval:
    """A named stretch or moment that a video received.

    Parameters
    ----------
    name : str
        Its name.
    start, end : float or None
        Seconds from the start of the video; None where the references do not match there, and as end of a moment.
    start_confidence, end_confidence : float or None
        Confidence of each.
    """

    name: str
    start: float | None
    end: float | None
    start_confidence: float | None
    end_confidence: float | None


@dataclass(frozen=True)
class TransferredIntervals:
    """Named stretches and moments that a video received, in the order of the references' file."""

    intervals: tuple[TransferredInterval, ...]
    alignments: tuple[Alignment, ...]
    used: tuple[bool, ...]
    failed: tuple[FailedVideo, ...] = ()

    @property
    def significant(self) -> bool:
        """Whether a reference that counted matches better than chance."""
        return _significant(self.alignments, self.used)


def transfer_labels(
    references: str | Path | Sequence[str | Path],
    video: str | Path,
    labels: str | Path | Sequence[str | Path],
    *,
    workers: int = 1,
    progress: bool = False,
    **options: Any,
) -> TransferredLabels | TransferredIntervals:
    """Carry labels of one or several videos over to another video of the same process.

    Every reference is aligned with the video. Frames and moments outside the matched stretch receive nothing. Where a
    reference passes frames that have no counterpart, positions are interpolated, at a lower confidence. Several
    references vote, each with its confidence; those that are "not alignable" count only if all of them are.

    Parameters
    ----------
    references : path, or sequence of paths
        Videos that are labelled.
    video : path
        The video to label.
    labels : path, or sequence of paths
        A file for each reference, all of one kind: labels of every frame (``frame,phase,phase_name``; see
        :func:`lactoolkit.video.labels.read_labels`) or stretches and moments (``start,end,name``; see
        :func:`lactoolkit.video.intervals.read_intervals`).
    workers : int
        Labelled videos to align at once, in processes of their own.
    progress : bool
        Show progress bars on stderr.
    **options
        Passed to :func:`lactoolkit.align_videos`: ``encoder``, ``frame_rate``, ``device``, ...

    Returns
    -------
    TransferredLabels or TransferredIntervals
        By the kind of the files.

    Raises
    ------
    ParameterError
        There is not one file of labels for each reference, or files of both kinds.
    ManifestError
        A file of labels is wrong, or does not fit its video or the other files.
    VideoError
        The video, or every reference, cannot be read; references that cannot be read are left out.

    Examples
    --------
    >>> from lactoolkit import transfer_labels
    >>> moved = transfer_labels("a.mp4", "b.mp4", "a.csv")  # doctest: +SKIP
    >>> moved.labels.phases, moved.confidence  # doctest: +SKIP
    """
    sources = [references] if isinstance(references, str | Path) else list(references)
    files = [Path(one) for one in ([labels] if isinstance(labels, str | Path) else labels)]
    if not sources or len(files) != len(sources):
        raise ParameterError(
            f"{len(files)} file(s) of labels for {len(sources)} labelled video(s); give one for each, in the same order"
        )
    read = [read_annotation(file) for file in files]
    frames = [one for one in read if isinstance(one, FrameLabels)]
    intervals = [one for one in read if not isinstance(one, FrameLabels)]
    if frames and intervals:
        raise ParameterError("labels of frames and of intervals cannot be mixed; give files of one kind")
    names = _common_names(files, frames)
    info = probe(video)  # if it cannot be read, that is said once
    ranges = {name: options.pop(name) for name in RANGES if name in options}
    jobs = [PairJob(str(number), Path(source), Path(video), **ranges) for number, source in enumerate(sources)]
    outcomes = align_all(jobs, workers=workers, progress=progress, **options)
    alignments = [outcome.result for outcome in outcomes if outcome.result is not None]
    readable = tuple(outcome.result is not None for outcome in outcomes)
    failed = tuple(FailedVideo.of(one.item.a, one.error) for one in outcomes if one.result is None)
    if not alignments:
        raise VideoError(joined_reasons(failed))
    used = _which_count(alignments)
    if not frames:
        carried = carry_intervals(_kept(alignments, used), _kept(_kept(intervals, readable), used))
        return TransferredIntervals(tuple(carried), tuple(alignments), used, failed)
    files, frames = _kept(files, readable), _kept(frames, readable)
    for file, known, alignment in zip(files, frames, alignments, strict=True):
        if len(known) <= int(alignment.a.frames[-1]):
            raise ManifestError(
                f"{file}: has labels for {len(known)} frames, but {alignment.a.path} has at least "
                f"{int(alignment.a.frames[-1]) + 1}; label every frame of the file, from 0 on"
            )
        check_own_labels(file, known, alignment.a.path)
    count = _frame_count(info, alignments[0].b)
    chosen = [FrameLabels(one.phases, names, one.in_core) for one in frames]
    moved, confidence = carry_frame_labels(_kept(alignments, used), _kept(chosen, used), count)
    return TransferredLabels(moved, confidence, tuple(alignments), used, failed)


def _frame_count(info: VideoInfo, video: AlignedVideo) -> int:
    """Number of native frames: as the container counts them, unless an edit list, which cuts the length, hides some."""
    seen = int(video.frames[-1]) + 1
    claimed = max(info.frame_count or 0, seen)
    step = int(np.diff(video.frames).max(initial=1))
    if info.duration is None or (info.duration - float(video.times[-1])) * info.frame_rate > step + 1:
        return claimed  # a range was analysed, or the file is damaged
    return int(np.clip(claimed, seen, max(round(info.duration * info.frame_rate), seen)))


def carry_frame_labels(
    alignments: Sequence[Alignment], labels: Sequence[FrameLabels], frame_count: int
) -> tuple[FrameLabels, np.ndarray]:
    """Label the frames of video B of alignments by the labels of their videos A.

    Parameters
    ----------
    alignments : sequence of Alignment
        References against one and the same video, at least one.
    labels : sequence of FrameLabels
        Labels of the references, with the same phase names.
    frame_count : int
        Number T of native frames of the video.

    Returns
    -------
    labels : FrameLabels
        Of the video.
    confidence : ndarray, shape (T,), float32
        How often labels with so much support are right; 0 where there is no label. Support is the sum of the votes for
        the label, each times its confidence, over all votes.
    """
    names = labels[0].phase_names
    votes = np.zeros((frame_count, len(names) + 1))  # the last column: no label
    sure = np.zeros((frame_count, len(names)))
    core = np.zeros(frame_count)
    for alignment, known in zip(alignments, labels, strict=True):
        phases, in_core, confidence = _labels_of_one(alignment, known, frame_count)
        weight = np.where(np.isnan(confidence), _NO_LABEL, confidence**_POWER)
        votes[np.arange(frame_count), phases] += weight
        core += np.where(in_core, weight, -weight)
        labelled = np.flatnonzero(phases != BACKGROUND)
        sure[labelled, phases[labelled]] += weight[labelled] * confidence[labelled]
    winner = votes.argmax(axis=1)
    has_label = winner < len(names)
    result = np.zeros(frame_count, np.float32)
    rows = np.flatnonzero(has_label)
    support = sure[rows, winner[rows]] / np.maximum(votes[rows].sum(axis=1), 1e-9)
    several = min((len(alignments) - 1) / 2, 1.0)
    result[rows] = np.interp(support, _SUPPORT, (1 - several) * _RIGHT_OF_ONE + several * _RIGHT_OF_SEVERAL)
    phases = np.where(has_label, winner, BACKGROUND).astype(np.int64)
    return FrameLabels(phases, names, has_label | (core > 0)), result


def carry_intervals(
    alignments: Sequence[Alignment], intervals: Sequence[Sequence[NamedInterval]]
) -> list[TransferredInterval]:
    """Carry stretches and moments over from the videos A of alignments to their common video B.

    Parameters
    ----------
    alignments : sequence of Alignment
        References against one and the same video, at least one.
    intervals : sequence of sequences of NamedInterval
        Those of each reference. The k-th of one name in one reference is the k-th of that name in the others.

    Returns
    -------
    list of TransferredInterval
        In the order of the first reference that has them.
    """
    found: dict[tuple[str, int], list[tuple[np.ndarray, np.ndarray]]] = {}
    for alignment, known in zip(alignments, intervals, strict=True):
        moments = np.array([[one.start, np.nan if one.end is None else one.end] for one in known], float)
        times, confidence = carry_times(alignment, moments.ravel())
        seen: dict[str, int] = {}
        for one, moved, sure in zip(known, times.reshape(-1, 2), confidence.reshape(-1, 2), strict=True):
            number = seen[one.name] = seen.get(one.name, 0) + 1
            found.setdefault((one.name, number), []).append((moved, sure))
    result = []
    for (name, _), each in found.items():
        moved, sure = np.array([one[0] for one in each]), np.array([one[1] for one in each])
        start, end = (_agree(moved[:, side], sure[:, side]) for side in (0, 1))
        result.append(TransferredInterval(name, start[0], end[0], start[1], end[1]))
    return result


def carry_times(alignment: Alignment, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Carry moments of video A over to video B along the best hit.

    Parameters
    ----------
    alignment : Alignment
        Its best hit counts.
    times : ndarray, shape (K,), float64
        Seconds in A; NaN stays NaN.

    Returns
    -------
    times : ndarray, shape (K,), float64
        Seconds in B, linear between matched pairs; NaN outside the hit (more than 0.1 s away from it).
    confidence : ndarray, shape (K,), float64
        Probability that the true moment is within 0.1 s. Between pairs that pass frames without a counterpart, that of
        the less confident of them, times the share of the passed stretch that 0.1 s to either side cover.
    """
    moved, confidence = np.full(len(times), np.nan), np.full(len(times), np.nan)
    if not alignment.hits:
        return moved, confidence
    hit = alignment.hits[0]
    inside = (times >= hit.times_a[0] - _TOLERANCE) & (times <= hit.times_a[-1] + _TOLERANCE)
    wanted = times[inside]
    beyond = np.minimum(wanted - hit.times_a[0], 0) + np.maximum(wanted - hit.times_a[-1], 0)
    end = float(alignment.b.times[-1])
    moved[inside] = np.clip(np.interp(wanted, hit.times_a, hit.times_b) + beyond, 0, max(end, float(hit.times_b[-1])))
    before = np.clip(np.searchsorted(hit.times_a, wanted, side="right") - 1, 0, len(hit) - 1)
    exact = (wanted <= hit.times_a[0]) | (wanted >= hit.times_a[-1]) | (wanted == hit.times_a[before])
    smooth = np.interp(wanted, hit.times_a, hit.confidence)
    confidence[inside] = np.where(exact, smooth, np.minimum(smooth, _inside_gap(hit)[np.minimum(before, len(hit) - 2)]))
    return moved, confidence


def reversed_alignment(alignment: Alignment) -> Alignment:
    """The same alignment with A and B in each other's place, without its gap runs."""
    hits = tuple(
        replace(
            hit,
            rows=hit.columns,
            columns=hit.rows,
            frames_a=hit.frames_b,
            frames_b=hit.frames_a,
            times_a=hit.times_b,
            times_b=hit.times_a,
            gaps=(),
        )
        for hit in alignment.hits
    )
    return replace(alignment, a=alignment.b, b=alignment.a, hits=hits, similarity=alignment.similarity.T)


def _inside_gap(hit: Hit) -> np.ndarray:
    """Confidence of a position between each pair and the next, shape (L - 1,), or (1,) for a hit of one pair.

    Infinite where nothing is passed, so that the interpolated confidence of the pairs counts.
    """
    if len(hit) == 1:
        return np.full(1, np.inf)
    skips = (np.diff(hit.rows) > 1) | (np.diff(hit.columns) > 1)
    passed = np.maximum(np.diff(hit.times_a), np.diff(hit.times_b))
    least = np.minimum(hit.confidence[:-1], hit.confidence[1:])
    return np.where(skips, least * np.minimum(1, 2 * _TOLERANCE / np.maximum(passed, 1e-9)), np.inf)


def _labels_of_one(
    alignment: Alignment, known: FrameLabels, frame_count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Phase, core and confidence of every native frame of B, each (T,); confidence NaN outside the hit."""
    phases = np.full(frame_count, BACKGROUND)
    core, confidence = np.zeros(frame_count, bool), np.full(frame_count, np.nan)
    if not alignment.hits:
        return phases, core, confidence
    hit = alignment.hits[0]
    frames = np.arange(hit.frames_b[0], hit.frames_b[-1] + 1)
    partner = np.floor(np.interp(frames, hit.frames_b, hit.frames_a) + 0.5).astype(int)
    phases[frames], core[frames] = known.phases[partner], known.in_core[partner]
    confidence[frames] = np.interp(frames, hit.frames_b, hit.confidence)
    before = np.searchsorted(hit.frames_b, frames, side="right") - 1
    between = np.flatnonzero(hit.frames_b[before] < frames)
    # What lies between two frames of one phase is of that phase, wherever exactly its partner is.
    first, last = known.phases[hit.frames_a[before[between]]], known.phases[hit.frames_a[before[between] + 1]]
    doubtful = between[first != last]
    limit = _inside_gap(hit)[before[doubtful]] if len(doubtful) else np.zeros(0)
    confidence[frames[doubtful]] = np.minimum(confidence[frames[doubtful]], limit)
    return phases, core, confidence


def _agree(times: np.ndarray, confidence: np.ndarray) -> tuple[float | None, float | None]:
    """Weighted median of one moment as several references have it, and the confidence in it."""
    weight = np.where(np.isfinite(times), np.nan_to_num(confidence) ** _POWER, 0.0)
    missing = _NO_LABEL * np.isnan(times).sum()
    if weight.sum() <= (missing if len(times) > 1 else 0):
        return None, None
    order = np.argsort(times)
    passed = np.cumsum(weight[order])
    median = float(times[order][np.searchsorted(passed, passed[-1] / 2)])
    near = np.abs(times - median) <= _TOLERANCE
    return median, float((weight * np.nan_to_num(confidence))[near].sum() / (weight.sum() + missing))


def _which_count(alignments: Sequence[Alignment]) -> tuple[bool, ...]:
    good = tuple(one.verdict != "not alignable" for one in alignments)
    return good if any(good) else (True,) * len(alignments)


def _kept(items: Sequence[Any], used: tuple[bool, ...]) -> list[Any]:
    return [one for one, use in zip(items, used, strict=True) if use]


def _significant(alignments: Sequence[Alignment], used: Sequence[bool]) -> bool:
    return any(one.significant for one, use in zip(alignments, used, strict=True) if use)


def _common_names(files: Sequence[Path], labels: Sequence[FrameLabels]) -> tuple[str, ...]:
    """Names of all phases; references may lack the last ones."""
    if not labels:
        return ()
    longest = max((one.phase_names for one in labels), key=len)
    for file, one in zip(files, labels, strict=True):
        for phase, (name, other) in enumerate(zip(one.phase_names, longest, strict=False)):
            if name != other:
                raise ManifestError(
                    f"{file}: phase {phase} is called {name!r} here and {other!r} in another file of labels; "
                    "number the phases of all labelled videos alike"
                )
    return longest
