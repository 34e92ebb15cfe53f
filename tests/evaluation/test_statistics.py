"""Statistics against NumPy and scikit-learn, the bootstrap against closed forms."""

import numpy as np
import pytest
from sklearn.metrics import r2_score, recall_score

from lactoolkit.evaluation.measures import count_by_phase, determination
from lactoolkit.evaluation.statistics import MeanOfRatios, Median, bootstrap_replicates, figure, interval


def test_weights_are_multiplicities():
    """A unit of weight 2 counts like two copies of it."""
    rng = np.random.default_rng(0)
    weights = np.array([[2.0, 0, 1, 3]])
    copies = [0, 0, 2, 3, 3, 3]
    numerator, denominator = rng.uniform(size=(2, 4, 3))
    expected = np.mean(numerator[copies].sum(axis=0) / denominator[copies].sum(axis=0))
    assert MeanOfRatios(numerator, denominator)(weights) == pytest.approx(expected)
    values, units = rng.normal(size=20), rng.integers(0, 4, 20)
    repeated = np.concatenate([values[units == k] for k in copies])
    assert Median(values, units)(weights) == pytest.approx(np.median(repeated))
    targets = [rng.normal(size=(7, 2)) for _ in range(4)]
    predictions = [one + rng.normal(size=one.shape) for one in targets]
    expected = r2_score(*(np.concatenate([part[k] for k in copies]) for part in (targets, predictions)))
    assert determination(predictions, targets)(weights) == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_median_is_numpys(count):
    values = np.random.default_rng(count).normal(size=count)
    assert figure(Median(values, np.zeros(count, int)), 1) == pytest.approx(np.median(values))


def test_mean_of_phases_is_the_macro_recall_of_scikit_learn():
    rng = np.random.default_rng(2)
    true, said = rng.integers(-1, 4, (2, 300))
    right, count = count_by_phase([(true[:100], said[:100]), (true[100:], said[100:])], 5)
    known = true >= 0
    expected = recall_score(true[known], said[known], labels=[0, 1, 2, 3], average="macro")
    assert figure(MeanOfRatios(right, count), 2) == pytest.approx(expected)
    accuracy = figure(MeanOfRatios(right.sum(axis=1), count.sum(axis=1)), 2)
    assert accuracy == pytest.approx((true == said)[known].mean())


def test_the_bootstrap_of_a_mean_has_its_standard_error():
    values = np.random.default_rng(3).normal(size=60)
    replicates = bootstrap_replicates(MeanOfRatios(values, np.ones(60)), np.arange(60), draws=20_000)
    assert replicates.std() == pytest.approx(values.std() / np.sqrt(60), rel=0.03)
    low, high = interval(replicates)
    assert low == pytest.approx(values.mean() - 1.96 * values.std() / np.sqrt(60), abs=0.02)
    assert high == pytest.approx(values.mean() + 1.96 * values.std() / np.sqrt(60), abs=0.02)


def test_pairs_of_one_video_come_and_go_together():
    """With values f(a) + f(b) over all pairs, the variance is that of a mean over videos, not over pairs."""
    count = 12
    of_video = np.random.default_rng(4).normal(size=count)
    pairs = np.array([(a, b) for a in range(count) for b in range(count) if a != b])
    values = of_video[pairs].sum(axis=1)
    replicates = bootstrap_replicates(MeanOfRatios(values, np.ones(len(values))), pairs, draws=20_000)
    # Twice the mean of the videos, nearly: pairs of a video with its own copy are left out.
    assert replicates.std() == pytest.approx(2 * of_video.std() / np.sqrt(count), rel=0.15)
    assert replicates.std() > 2 * values.std() / np.sqrt(len(values))


def test_groups_are_drawn_whole():
    values = np.array([0.0, 0, 0, 1, 1, 1, 0.5, 0.5, 0.5])
    replicates = bootstrap_replicates(MeanOfRatios(values, np.ones(9)), np.repeat(["x", "y", "z"], 3), draws=2000)
    sixths = np.round(replicates * 6)
    np.testing.assert_allclose(replicates * 6, sixths, atol=1e-12)
    assert set(sixths.astype(int)) == set(range(7))


def test_two_groups_allow_no_interval():
    replicates = bootstrap_replicates(MeanOfRatios(np.ones(4), np.ones(4)), np.array([0, 0, 1, 1]))
    assert np.isnan(replicates).all()
    assert np.isnan(interval(replicates)).all()


def test_the_same_seed_draws_the_same_groups():
    first, second = (MeanOfRatios(np.arange(5.0) * k, np.ones(5)) for k in (1, 2))
    groups = np.arange(5)
    np.testing.assert_allclose(2 * bootstrap_replicates(first, groups, 7), bootstrap_replicates(second, groups, 7))


def test_nothing_has_no_figure():
    assert np.isnan(figure(MeanOfRatios(np.zeros(0), np.zeros(0)), 0))
    assert np.isnan(figure(MeanOfRatios(np.zeros(2), np.zeros(2)), 2))
