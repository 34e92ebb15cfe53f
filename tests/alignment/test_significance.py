import math

import pytest

from lactoolkit.alignment.significance import chance_probability


@pytest.mark.parametrize(
    ("score", "backwards", "cosine", "expected"),
    [
        (math.exp(1.411), 1, 0, 0.1),  # the 95th percentile of order among unrelated pairs, doubled for two looks
        (1, 1, 0.284, 0.1),  # that of looks
        (1, 1, 0, 1),
        (1, 2, 0.01, 1),
        (1e9, 1, 0.9, 0.001),
        (0, 1, 0.9, 1),
        (-1, -1, 0.9, 1),
    ],
)
def test_table_values(score, backwards, cosine, expected):
    assert chance_probability(score, backwards, cosine) == pytest.approx(expected, rel=1e-6)


def test_stronger_evidence_is_never_less_significant():
    by_order = [chance_probability(math.exp(x / 10), 1, 0) for x in range(40)]
    by_looks = [chance_probability(1, 1, x / 40) for x in range(40)]
    assert by_order == sorted(by_order, reverse=True)
    assert by_looks == sorted(by_looks, reverse=True)
