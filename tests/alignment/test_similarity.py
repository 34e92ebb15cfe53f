from dataclasses import replace

import numpy as np
import pytest
from synthetic_embeddings import embeddings, smooth_frames

from lactoolkit import align_embeddings
from lactoolkit.alignment import similarity as module
from lactoolkit.alignment.settings import AlignmentSettings, default_settings
from lactoolkit.alignment.similarity import calibrated_similarity
from lactoolkit.errors import ParameterError
from lactoolkit.models.registry import encoder_identity, trained_identity


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def whitened_cosine(u, v):
    """Plain form: (covariance + ridge)^(-1/2) applied to the rows, cosines between them."""
    frames = np.concatenate([u, v]).astype(np.float64)
    covariance = frames.T @ frames / len(frames)
    energy, axes = np.linalg.eigh(covariance)
    ridge = 0.05 * np.trace(covariance)
    white = frames @ axes / np.sqrt(np.maximum(energy, 0) + ridge) @ axes.T
    white /= np.linalg.norm(white, axis=1, keepdims=True)
    return white[: len(u)] @ white[len(u) :].T


def test_equals_the_plain_form():
    rng = np.random.default_rng(0)
    u, v = unit(rng.normal(size=(12, 30))), unit(rng.normal(size=(9, 30)))
    cosine = whitened_cosine(u, v)
    rows = (cosine - cosine.mean(1, keepdims=True)) / cosine.std(1, keepdims=True)
    columns = (cosine - cosine.mean(0)) / cosine.std(0)
    np.testing.assert_allclose(calibrated_similarity(u, v, 0.5), (rows + columns) / 2 - 0.5, atol=1e-4)


def test_against_the_whole_table_it_is_one_z_score():
    rng = np.random.default_rng(3)
    u, v = unit(rng.normal(size=(12, 30))), unit(rng.normal(size=(9, 30)))
    cosine = whitened_cosine(u, v)
    expected = (cosine - cosine.mean()) / cosine.std() - 1.25
    np.testing.assert_allclose(calibrated_similarity(u, v, 1.25, "table"), expected, atol=1e-4)


def test_a_frame_like_no_other_has_no_match_in_the_table_but_one_in_its_own_line():
    rng = np.random.default_rng(4)
    shared = rng.normal(size=(40, 50))
    stranger = rng.normal(size=(20, 50))
    u = unit(np.concatenate([shared + 0.2 * rng.normal(size=shared.shape), stranger]))
    v = unit(shared + 0.2 * rng.normal(size=shared.shape))
    best = {kind: calibrated_similarity(u, v, 0, kind)[40:].max(axis=1).mean() for kind in ("lines", "table")}
    assert best["table"] < best["lines"] - 0.2


def test_settings_follow_the_encoder():
    checkpoint = trained_identity("0" * 64)
    assert default_settings(encoder_identity("lite0")) == AlignmentSettings()
    assert default_settings(checkpoint).background == "table"
    rng = np.random.default_rng(5)
    a, b = (embeddings(smooth_frames(rng, count)) for count in (30, 40))
    trained = [replace(one, encoder=checkpoint) for one in (a, b)]
    assert align_embeddings(a, b).settings["background"] == "lines"
    found = align_embeddings(*trained)
    np.testing.assert_array_equal(
        found.similarity, calibrated_similarity(a.values, b.values, found.settings["margin"], "table")
    )
    with pytest.raises(ParameterError, match=r"'rows'.*lines, table"):
        AlignmentSettings(background="rows")


def test_random_pairs_score_below_zero_and_true_pairs_above():
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(40, 50))
    u, v = unit(shared + 0.3 * rng.normal(size=shared.shape)), unit(shared + 0.3 * rng.normal(size=shared.shape))
    similarity = calibrated_similarity(u, v, 0.75)
    true = np.eye(40, dtype=bool)
    assert similarity[true].min() > 0
    assert similarity[~true].mean() == pytest.approx(-0.75, abs=0.2)


def test_basis_of_fewer_frames_changes_little(monkeypatch):
    rng = np.random.default_rng(2)
    walk = np.cumsum(rng.normal(size=(200, 8)), axis=0) @ rng.normal(size=(8, 40))
    u, v = unit(walk[:100]), unit(walk[100:])
    whole = calibrated_similarity(u, v, 0.75)
    monkeypatch.setattr(module, "_BASIS_FRAMES", 100)
    assert np.corrcoef(whole.ravel(), calibrated_similarity(u, v, 0.75).ravel())[0, 1] > 0.99
