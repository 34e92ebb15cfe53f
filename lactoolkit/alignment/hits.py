"""From a path through the table to a hit: frames, times, confidence, gap runs."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from lactoolkit.alignment.confidence import calibrated_confidence
from lactoolkit.alignment.evidence import Evidence
from lactoolkit.alignment.result import AlignedVideo, Alignment, GapRun, Hit
from lactoolkit.alignment.shots import within_shots
from lactoolkit.alignment.tables import SimilarityTable
from lactoolkit.features.video_embeddings import VideoEmbeddings
from lactoolkit.kernels.path_decoding import LocalPath
from lactoolkit.models.registry import is_trained_identity


def find_paths(table: SimilarityTable, a: VideoEmbeddings, b: VideoEmbeddings, count: int) -> list[LocalPath]:
    """Paths of the best hits: the best of the table, within the shots of both videos.

    Parameters
    ----------
    table : SimilarityTable
        Similarity of both videos.
    a, b : VideoEmbeddings
        The videos.
    count : int
        How many paths at most.

    Returns
    -------
    list of LocalPath
        By falling score.
    """
    cuts_a, cuts_b = (np.searchsorted(video.frames, video.cuts) for video in (a, b))
    cost = table.settings.cut_cost * a.rate
    return [within_shots(path, table.at(path), cuts_a, cuts_b, cost) for path in table.best_paths(count)]


def make_hit(
    path: LocalPath,
    similarity: np.ndarray,
    posterior_mass: np.ndarray,
    evidence: Evidence,
    a: VideoEmbeddings,
    b: VideoEmbeddings,
) -> Hit:
    """Describe a path in frames and times of both videos.

    Parameters
    ----------
    path : LocalPath
        With L pairs, at least one.
    similarity : ndarray, shape (L,)
        Calibrated similarity of each pair.
    posterior_mass : ndarray, shape (L,)
        Posterior probability near each pair, from :func:`lactoolkit.alignment.confidence.posterior_near`.
    evidence : Evidence
        How the path compares with chance.
    a, b : VideoEmbeddings
        The videos.

    Returns
    -------
    Hit
    """
    rows, columns = path.pairs.T
    gaps = [_gap_run((a, b), gap.axis, gap.start, gap.stop) for gap in path.gaps]
    return Hit(
        rows=rows,
        columns=columns,
        frames_a=a.frames[rows],
        frames_b=b.frames[columns],
        times_a=a.times[rows],
        times_b=b.times[columns],
        similarity=similarity,
        confidence=calibrated_confidence(posterior_mass, trained=is_trained_identity(a.encoder)),
        score=path.score,
        p_value=evidence.p_value,
        e_value=evidence.e_value,
        gaps=tuple(gaps),
    )


def join_chain(alignment: Alignment) -> Alignment:
    """Take the hits that follow each other in both videos for one; what lies between two of them becomes gap runs.

    Parameters
    ----------
    alignment : Alignment
        With any number of hits.

    Returns
    -------
    Alignment
        With the same matrix and, if there was any hit, one; its p-value and e-value are those of the best.
    """
    chained = [alignment.hits[position] for position in alignment.chain]
    if not chained:
        return alignment
    videos = (alignment.a, alignment.b)
    gaps: list[GapRun] = []
    for before, after in itertools.pairwise([None, *chained]):
        assert after is not None
        if before is not None:
            # Frames of B first, then those of A, as within a hit.
            for axis, name in ((1, "columns"), (0, "rows")):
                start, stop = int(getattr(before, name)[-1]) + 1, int(getattr(after, name)[0])
                gaps += [_gap_run(videos, axis, start, stop)] if stop > start else []
        gaps += after.gaps
    joined = {
        name: np.concatenate([getattr(hit, name) for hit in chained])
        for name in ("rows", "columns", "frames_a", "frames_b", "times_a", "times_b", "similarity", "confidence")
    }
    best = alignment.hits[0]
    hit = Hit(
        **joined,
        score=sum(one.score for one in chained),
        p_value=best.p_value,
        e_value=best.e_value,
        gaps=tuple(gaps),
    )
    return replace(alignment, hits=(hit,))


def _gap_run(
    videos: tuple[VideoEmbeddings | AlignedVideo, VideoEmbeddings | AlignedVideo], axis: int, start: int, stop: int
) -> GapRun:
    """The run from one analysed frame to before another one of video A (axis 0) or B."""
    source, last = videos[axis], stop - 1
    return GapRun(
        video="a" if axis == 0 else "b",
        first_frame=int(source.frames[start]),
        last_frame=int(source.frames[last]),
        first_time=float(source.times[start]),
        last_time=float(source.times[last]),
    )
