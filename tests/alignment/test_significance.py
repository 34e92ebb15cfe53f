"""The chance model against enumeration and simulation, and the verdict on what is known to be related or not."""

import itertools

import numpy as np
import pytest
from synthetic_embeddings import embeddings, smooth_frames

from lactoolkit import align_embeddings
from lactoolkit.alignment import significance
from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.alignment.significance import (
    ChanceModel,
    Measurements,
    block_orders,
    chance_probability,
    evidence_index,
)
from lactoolkit.kernels.shuffled_scores import shuffled_scores


def test_shuffled_orders_keep_blocks_together():
    orders = block_orders(100, 8)
    assert len(orders) >= 20
    for order in orders:
        assert sorted(order) == list(range(100))
        assert (np.diff(order) != 1).sum() <= 100 / 8 + 1
    assert len({tuple(order) for order in orders}) == len(orders)


def test_expected_hits_follow_the_gumbel_distribution(monkeypatch):
    """Scores of other shuffles than those of the fit exceed their quantiles as often as the model expects."""
    rng = np.random.default_rng(4)
    table = (rng.normal(size=(150, 150)) - 0.75).astype(np.float32)
    settings = AlignmentSettings()
    gaps = settings.gap_open, settings.gap_extend
    model = ChanceModel(table, 0.0, settings, 30.0)
    monkeypatch.setattr(significance, "_SEED", 1)
    monkeypatch.setattr(significance, "_DRAWS", 200)
    orders = block_orders(150, 16)
    scores = np.concatenate([shuffled_scores(one, orders, *gaps) for one in (table, table.T)])
    for level in (0.5, 0.2, 0.1):
        expected = model.measure(float(np.quantile(scores, 1 - level)), 0.5, 0.0).e_value
        assert 1 - np.exp(-expected) == pytest.approx(level, rel=0.5)


def test_a_hit_that_was_sought_in_more_cells_is_expected_as_often_more():
    """So many independent tables of one distribution have so many times as many hits above a score."""
    rng = np.random.default_rng(6)
    table = (rng.normal(size=(120, 90)) - 0.75).astype(np.float32)
    model = ChanceModel(table, 0.0, AlignmentSettings(), 30.0)
    one, many = (model.measure(60.0, 0.5, 0.0, searched) for searched in (1.0, 25.0))
    assert many.e_value == pytest.approx(25 * one.e_value)
    assert many.order < one.order
    assert many.reversal < one.reversal


def test_more_evidence_is_never_less_significant():
    base = {"reversal": 0.5, "order": 1.0, "posterior": 0.5, "cosine": 0.2, "alikeness": 0.2, "e_value": 1.0}
    for name, step in itertools.product(("reversal", "order", "posterior", "cosine"), (0.1, 1.0, 10.0)):
        more = {**base, name: base[name] + step}
        assert evidence_index(Measurements(**more)) >= evidence_index(Measurements(**base))
    p = [chance_probability(x / 10) for x in range(-100, 200)]
    assert p == sorted(p, reverse=True)
    assert (p[0], p[-1]) == (1.0, significance._SMALLEST)
    assert chance_probability(-np.inf) == 1.0


def test_trained_encoders_have_figures_of_their_own():
    measured = {"order": 3.9, "posterior": 0.5, "cosine": 0.5, "alikeness": 0.9, "e_value": 0.01}
    strong, weak = (Measurements(reversal=reversal, **measured) for reversal in (2.5, 0.3))
    p = [chance_probability(evidence_index(one, trained=True), trained=True) for one in (strong, weak)]
    assert p[0] < 0.05 < 0.2 < p[1]
    # Their cosines prove nothing, whatever the scale.
    alike = Measurements(**{**strong.__dict__, "cosine": 0.99})
    assert evidence_index(alike, trained=True) == evidence_index(strong, trained=True)


def test_alike_scenes_need_more_evidence():
    measured = {"reversal": 1.5, "order": 3.0, "posterior": 0.5, "cosine": 0.1, "e_value": 1.0}
    p = [chance_probability(evidence_index(Measurements(**measured, alikeness=x))) for x in (0.05, 0.15, 0.3)]
    assert p == sorted(p)
    # Of an encoder whose cosines mean something else, looks prove nothing.
    alike = Measurements(**{**measured, "cosine": 0.9}, alikeness=0.9)
    assert evidence_index(alike, looks=False) < evidence_index(alike)


def test_a_process_and_its_repetition_are_aligned_and_noise_is_not():
    rng = np.random.default_rng(5)
    process = smooth_frames(rng, 60)
    related = [
        embeddings(np.concatenate([smooth_frames(rng, 20), process, smooth_frames(rng, 20)]), rng) for _ in range(2)
    ]
    assert align_embeddings(*related).verdict == "aligned"
    unrelated = [
        align_embeddings(embeddings(smooth_frames(rng, 100)), embeddings(smooth_frames(rng, 90))) for _ in range(20)
    ]
    assert sum(one.significant for one in unrelated) <= 1


def test_swapping_the_videos_changes_nothing():
    rng = np.random.default_rng(6)
    a, b = embeddings(smooth_frames(rng, 50)), embeddings(smooth_frames(rng, 70))
    one, two = align_embeddings(a, b).hits[0], align_embeddings(b, a).hits[0]
    assert one.p_value == pytest.approx(two.p_value, rel=1e-3)
    assert one.e_value == pytest.approx(two.e_value, rel=1e-2)
