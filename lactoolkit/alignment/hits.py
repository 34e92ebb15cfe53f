"""From a path through the table to a hit: frames, times, confidence, gap runs."""

from __future__ import annotations

import numpy as np

from lactoolkit.alignment.confidence import calibrated_confidence
from lactoolkit.alignment.evidence import Evidence
from lactoolkit.alignment.result import GapRun, Hit
from lactoolkit.features.video_embeddings import VideoEmbeddings
from lactoolkit.kernels.path_decoding import LocalPath
from lactoolkit.models.registry import is_trained_identity


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
    videos = (a, b)
    gaps = []
    for gap in path.gaps:
        source = videos[gap.axis]
        first, last = gap.start, gap.stop - 1
        gaps.append(
            GapRun(
                video="a" if gap.axis == 0 else "b",
                first_frame=int(source.frames[first]),
                last_frame=int(source.frames[last]),
                first_time=float(source.times[first]),
                last_time=float(source.times[last]),
            )
        )
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
