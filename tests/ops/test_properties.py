"""Properties that hold for every problem: random shapes, lengths, penalties and temperatures."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ops_cases import PENALTIES, first_order, plain_results, random_penalty

from lactoolkit import alignment_posterior, soft_smith_waterman

common = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def problems(draw):
    """Similarity, two penalties, temperature and lengths."""
    batch, n, m = draw(st.integers(1, 3)), draw(st.integers(1, 40)), draw(st.integers(1, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([0.1, 1.0, 10.0, 1000.0]))
    similarity = scale * torch.randn(batch, n, m, generator=generator, dtype=torch.float64)
    if draw(st.booleans()):
        similarity[torch.rand(similarity.shape, generator=generator) < 0.2] = float("-inf")
    gaps = [scale * random_penalty(draw(st.sampled_from(PENALTIES)), batch, n, m, generator, low=0.0) for _ in range(2)]
    lengths = [(draw(st.integers(1, n)), draw(st.integers(1, m))) for _ in range(batch)]
    return similarity, *gaps, draw(st.sampled_from([0.05, 0.5, 1.0, 4.0])), lengths


@given(problem=problems(), allow_empty=st.booleans())
@common
def test_any_problem_is_solved_as_plain_code_solves_it(lane, problem, allow_empty):
    *tables, temperature, lengths = problem
    options = {"lengths": lengths, "allow_empty": allow_empty}
    results = first_order(*tables, temperature, lane=lane, **options)
    for result, truth in zip(results, plain_results(*tables, temperature, **options), strict=True):
        torch.testing.assert_close(result, truth, rtol=1e-9, atol=1e-9)


@given(problem=problems())
@common
def test_posteriors_are_probabilities(lane, problem):
    *tables, temperature, lengths = problem
    _, match, d_open, d_extend = first_order(*tables, temperature, lane=lane, lengths=lengths)
    assert match.min() >= 0
    assert max(match.sum(1).max(), match.sum(2).max()) <= 1 + 1e-9
    assert max(d_open.max(), d_extend.max()) <= 0
    # At least one pair is matched, unless none may be; a gap needs a match on both of its sides.
    matches = match.sum((1, 2))
    possible = torch.tensor([bool(s[:n, :m].isfinite().any()) for s, (n, m) in zip(tables[0], lengths, strict=True)])
    assert (matches[possible] >= 1 - 1e-9).all()
    assert (matches[~possible] == 0).all()
    assert (-d_open.sum((1, 2)) <= 2 * (matches - 1).clamp(min=0) + 1e-9).all()


@given(problem=problems())
@common
def test_exchanging_or_reversing_both_sequences_changes_nothing(lane, problem):
    similarity, _, _, temperature, _ = problem
    similarity = similarity.to(lane.device)
    arguments = (0.7, 0.3, temperature)
    score = soft_smith_waterman(similarity, *arguments, backend=lane.backend)
    posterior = alignment_posterior(similarity, *arguments, backend=lane.backend)
    for change in (lambda x: x.transpose(1, 2), lambda x: x.flip(1, 2)):
        other = soft_smith_waterman(change(similarity), *arguments, backend=lane.backend)
        torch.testing.assert_close(other, score, rtol=1e-10, atol=1e-10)
        other_posterior = alignment_posterior(change(similarity), *arguments, backend=lane.backend)
        torch.testing.assert_close(other_posterior, change(posterior), rtol=1e-8, atol=1e-10)


@given(problem=problems(), factor=st.sampled_from([0.25, 3.0]))
@common
def test_units_do_not_matter(lane, problem, factor):
    *tables, temperature, lengths = problem
    results = first_order(*tables, temperature, lane=lane, lengths=lengths)
    scaled = first_order(*(factor * x for x in tables), factor * temperature, lane=lane, lengths=lengths)
    torch.testing.assert_close(scaled[0], factor * results[0], rtol=1e-9, atol=1e-9)
    for value, expected in zip(scaled[1:], results[1:], strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-8, atol=1e-9)


@given(problem=problems())
@common
def test_the_score_is_the_expected_score_plus_entropy(lane, problem):
    # V = sum_pi p(pi) (score(pi) - t log p(pi)): the expected score is linear in the posteriors, the entropy is not
    # negative and at most the log of the number of alignments, the score of an all-zero table.
    *tables, temperature, lengths = problem
    scores, *gradients = first_order(*tables, temperature, lane=lane, lengths=lengths)
    terms = [
        (g * torch.as_tensor(x).nan_to_num(neginf=0.0)).sum((1, 2)) for g, x in zip(gradients, tables, strict=True)
    ]
    zeros = torch.zeros_like(tables[0]).to(lane.device)
    most = soft_smith_waterman(zeros, 0.0, 0.0, 1.0, lengths=lengths, backend=lane.backend).cpu()
    finite = scores.isfinite()
    entropy = ((scores - sum(terms)) / temperature)[finite]
    slack = 1e-8 * (1 + scores[finite].abs() / temperature)
    assert (entropy >= -slack).all()
    assert (entropy <= most[finite] + slack).all()


@pytest.mark.parametrize("size", [1, 2, 3, 10, 50])
def test_counting_alignments(lane, size):
    # All similarities and penalties zero: every alignment weighs 1, and there are C(2n, n) - 1 of them.
    zeros = torch.zeros(size, size, dtype=torch.float64, device=lane.device)
    score = soft_smith_waterman(zeros, 0.0, 0.0, backend=lane.backend)
    logarithms = np.log(np.arange(1, 2 * size + 1))
    expected = logarithms.sum() - 2 * logarithms[:size].sum()
    assert np.exp(score.item() - expected) == pytest.approx(1 - np.exp(-expected), rel=1e-10)
