"""Similarities computed tile by tile against the same table in memory."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_embeddings import embeddings, smooth_frames

from lactoolkit import align_embeddings
from lactoolkit.alignment import similarity, tables
from lactoolkit.alignment.settings import BACKGROUNDS
from lactoolkit.alignment.similarity import calibrated_embeddings, calibrated_similarity
from lactoolkit.features import embedding
from lactoolkit.features.embedding import LongEmbeddings, frame_embeddings


@pytest.mark.parametrize(("lengths", "width"), [((70, 90), 64), ((250, 200), 400)])  # 400: more than are compared
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_inner_products_are_the_calibrated_similarity(background, lengths, width):
    rng = np.random.default_rng(0)
    u, v = (embeddings(smooth_frames(rng, count, width)).values for count in lengths)
    x, y = calibrated_embeddings(u, v, 0.75, background)
    np.testing.assert_allclose(x @ y.T, calibrated_similarity(u, v, 0.75, background), atol=1e-4)


def test_long_pairs_have_the_same_hits(monkeypatch):
    rng = np.random.default_rng(1)
    process = smooth_frames(rng, 60)
    parts = [smooth_frames(rng, count) for count in (150, 80, 120, 90, 70)]
    a = embeddings(np.concatenate([parts[0], process, parts[1]]), rng)
    b = embeddings(np.concatenate([parts[2], process, parts[3], process, parts[4]]), rng)
    stored = align_embeddings(a, b, hits=2)
    monkeypatch.setattr(tables, "_LARGEST_TABLE", 0)
    monkeypatch.setattr(tables, "_SHOWN", 100)
    tiled = align_embeddings(a, b, hits=2)
    for one, two in zip(stored.hits, tiled.hits, strict=True):
        np.testing.assert_array_equal(two.rows, one.rows)
        np.testing.assert_array_equal(two.columns, one.columns)
        np.testing.assert_allclose(two.similarity, one.similarity, atol=1e-3)
        np.testing.assert_allclose(two.confidence, one.confidence, atol=0.01)
    step_a, step_b = tiled.reduction
    assert max(tiled.similarity.shape) <= 100
    np.testing.assert_allclose(
        tiled.similarity[3, 5],
        stored.similarity[3 * step_a : 4 * step_a, 5 * step_b : 6 * step_b].mean(),
        atol=1e-3,
    )


def test_features_of_long_videos_give_the_hits_of_short_ones(monkeypatch):
    """Embeddings computed on demand, compared tile by tile, against all of them in memory."""
    rng = np.random.default_rng(2)
    process = smooth_frames(rng, 80)
    taps = [np.concatenate([smooth_frames(rng, n), process, smooth_frames(rng, m)]) for n, m in ((90, 40), (30, 110))]
    taps = [(rows + 0.03 * rng.normal(size=rows.shape)).astype(np.float16) for rows in taps]
    videos = [embeddings(rows) for rows in taps]
    stored = [replace(video, values=frame_embeddings(rows, (40, 24))) for video, rows in zip(videos, taps, strict=True)]
    direct = align_embeddings(*stored)
    monkeypatch.setattr(tables, "_LARGEST_TABLE", 0)
    monkeypatch.setattr(similarity, "_CHUNK", 50)
    monkeypatch.setattr(embedding, "_CHUNK", 50)
    long = [replace(video, values=LongEmbeddings(rows, (40, 24))) for video, rows in zip(videos, taps, strict=True)]
    (one,), (two,) = direct.hits, align_embeddings(*long).hits
    np.testing.assert_array_equal(two.frames_a, one.frames_a)
    np.testing.assert_array_equal(two.frames_b, one.frames_b)
    np.testing.assert_allclose(two.confidence, one.confidence, atol=0.01)
    assert two.p_value == pytest.approx(one.p_value, rel=0.1)
    # The truth: frame 90 + k of A shows what frame 30 + k of B does.
    assert np.median(np.abs((one.frames_a - 90) - (one.frames_b - 30))) == 0


@pytest.mark.parametrize("largest_table", [tables._LARGEST_TABLE, 0])
def test_what_two_long_recordings_share_is_found_without_the_rest(largest_table, monkeypatch):
    """Chance grows along the whole of two long recordings, so that they are held to stricter settings."""
    monkeypatch.setattr(tables, "_LARGEST_TABLE", largest_table)
    rng = np.random.default_rng(3)
    process = smooth_frames(rng, 250)
    a = embeddings(np.concatenate([smooth_frames(rng, 500), process, smooth_frames(rng, 450)]), rng)
    b = embeddings(np.concatenate([smooth_frames(rng, 250), process, smooth_frames(rng, 700)]), rng)
    alignment = align_embeddings(a, b)
    (hit,) = alignment.hits
    assert alignment.significant
    np.testing.assert_allclose([hit.rows[0], hit.rows[-1]], [500, 749], atol=3)
    np.testing.assert_allclose([hit.columns[0], hit.columns[-1]], [250, 499], atol=3)
    assert (hit.rows - hit.columns == 250).mean() > 0.95
