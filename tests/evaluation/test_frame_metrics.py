"""Probes, tau and retrieval against textbook values, SciPy and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import NearestNeighbors

from lactoolkit.evaluation.frame_metrics import (
    NearestPhases,
    classify_phases,
    kendalls_tau,
    labelled_share,
    principal_components,
    progression_targets,
    regress_progression,
)


def one_hot(order, count):
    return np.eye(count)[order]


def test_tau_by_the_definition():
    # Ranks 0 2 1 3: five of the six pairs agree, one does not.
    assert kendalls_tau(one_hot([0, 2, 1, 3], 4)) == pytest.approx((5 - 1) / 6)
    assert kendalls_tau(np.eye(6)) == pytest.approx(1)
    assert kendalls_tau(np.eye(6)[::-1]) == pytest.approx(-1)


def test_tau_with_ties_is_scipys_tau_b():
    order = np.random.default_rng(0).integers(0, 5, 20)
    assert kendalls_tau(one_hot(order, 5)) == pytest.approx(kendalltau(np.arange(20), order).statistic)


def test_collapsed_embeddings_have_no_tau():
    assert np.isnan(kendalls_tau(np.ones((5, 8))))
    assert np.isnan(kendalls_tau(np.ones((1, 8))))


def test_precision_over_a_growing_gallery_is_that_over_the_whole():
    rng = np.random.default_rng(1)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in rng.normal(size=(4, 30, 6))]
    phases = rng.integers(-1, 3, (4, 30))
    nearest = NearestPhases(30, 15)
    for values, labels in zip(unit[1:], phases[1:], strict=True):
        nearest.add(unit[0] @ values.T, labels)
    gallery, labels = np.concatenate(unit[1:]), phases[1:].ravel()
    found = NearestNeighbors(n_neighbors=15, metric="cosine").fit(gallery).kneighbors(unit[0])[1]
    for at in (5, 10, 15):
        expected = (labels[found[:, :at]] == phases[0][:, None]).mean(axis=1)
        np.testing.assert_allclose(nearest.precision(phases[0], at), expected)


def test_distractors_in_the_gallery_are_wrong():
    nearest = NearestPhases(1, 4)
    nearest.add(np.array([[0.9, 0.8, 0.1]]), np.array([2, -1, 2]))
    assert nearest.precision(np.array([2]), 2).tolist() == [0.5]
    assert nearest.precision(np.array([2]), 15).tolist() == [2 / 3]


def test_labelled_share():
    assert [labelled_share(32, fraction) for fraction in (0.1, 0.5, 1)] == [3, 16, 32]
    assert labelled_share(4, 0.1) == 1


def test_separable_phases_are_classified():
    rng = np.random.default_rng(2)
    centres = 3 * np.eye(3)
    phases = [np.repeat([-1, 0, 1, 2], 10) for _ in range(3)]
    videos = [centres[one] + 0.1 * rng.normal(size=(40, 3)) for one in phases]
    predicted = classify_phases(videos[:2], phases[:2], videos[2:])[0]
    assert (predicted[10:] == phases[2][10:]).all()


def test_one_labelled_phase_is_all_that_can_be_predicted():
    assert classify_phases([np.eye(4)], [np.array([-1, 2, 2, 2])], [np.eye(4)[:2]])[0].tolist() == [2, 2]


def test_progression_targets_by_hand():
    targets = progression_targets(np.array([0, 0, 0, 1]))
    # Phase 0 ends with frame 3, phase 1 with frame 4, the first behind it.
    np.testing.assert_allclose(targets, [[3 / 4, 1], [2 / 4, 3 / 4], [1 / 4, 2 / 4], [0, 1 / 4]])


def test_progression_is_read_off_a_linear_embedding():
    lengths = (20, 30, 25)
    targets = [progression_targets(np.repeat([0, 1], [length // 2, length - length // 2])) for length in lengths]
    videos = [np.stack([np.arange(n) / n, np.ones(n)], axis=1) for n in lengths]
    predicted = regress_progression(videos[:2], targets[:2], videos[2:])[0]
    expected = LinearRegression().fit(np.concatenate(videos[:2]), np.concatenate(targets[:2])).predict(videos[2])
    np.testing.assert_allclose(predicted, expected)
    np.testing.assert_allclose(predicted, targets[2], atol=0.03)


def test_long_embeddings_are_projected_onto_principal_components():
    rng = np.random.default_rng(3)
    train, other = [rng.normal(size=(40, 30)) for _ in range(2)], [rng.normal(size=(10, 30))]
    (first, second), (third,) = principal_components(train, other, 5)
    reference = PCA(5, svd_solver="full").fit(np.concatenate(train))
    for found, source in ((first, train[0]), (second, train[1]), (third, other[0])):
        np.testing.assert_allclose(np.abs(found), np.abs(reference.transform(source)), atol=1e-9)
    same = principal_components(train, other, 30)
    assert same[0][0] is train[0]
    assert same[1][0] is other[0]
