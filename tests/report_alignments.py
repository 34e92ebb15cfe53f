"""Alignments whose path is known because it was laid down by hand."""

import numpy as np

from lactoolkit.alignment.result import AlignedVideo, Alignment, GapRun, Hit


def make_video(path, frames, rate, width=64, height=48, sha256="0" * 64):
    numbers = np.arange(frames, dtype=np.int64)
    return AlignedVideo(path, sha256, numbers, numbers / rate, float(rate), width, height)


def make_hit(a, b, rows, columns, similarity, *, p_value=0.01):
    """The hit through the given positions; everything skipped in between becomes gap runs."""
    rows, columns = np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)
    gaps = []
    for k in range(len(rows) - 1):
        # As the alignment orders them: frames of B first, then those of A.
        for name, video, before, after in (("b", b, columns[k], columns[k + 1]), ("a", a, rows[k], rows[k + 1])):
            if after > before + 1:
                first, last = before + 1, after - 1
                gaps.append(
                    GapRun(
                        name,
                        int(video.frames[first]),
                        int(video.frames[last]),
                        float(video.times[first]),
                        float(video.times[last]),
                    )
                )
    values = similarity[rows, columns]
    return Hit(
        rows=rows,
        columns=columns,
        frames_a=a.frames[rows],
        frames_b=b.frames[columns],
        times_a=a.times[rows],
        times_b=b.times[columns],
        similarity=values,
        confidence=(1 / (1 + np.exp(-values))).astype(np.float32),
        score=float(values.sum()),
        p_value=p_value,
        e_value=0.02,
        gaps=tuple(gaps),
    )


def make_alignment(a, b, rows, columns, *, note="", p_value=0.01, seed=0):
    """Noise below zero with a bright band along the given path."""
    rng = np.random.default_rng(seed)
    similarity = rng.normal(-1.5, 1.0, (len(a.frames), len(b.frames))).astype(np.float32)
    rows, columns = np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)
    for offset in range(-3, 4):
        near = columns + offset
        inside = (near >= 0) & (near < len(b.frames))
        similarity[rows[inside], near[inside]] += 4.0 * np.exp(-(offset**2) / 4)
    hits = (make_hit(a, b, rows, columns, similarity, p_value=p_value),) if len(rows) else ()
    settings = {"encoder": "lite0", "frame_rate": None, "gap_open": 1.0}
    return Alignment(a, b, similarity, hits, note, (1, 1), settings, {"lactoolkit": "0.1.0"})
