"""Segments with one exponent a lane: where they are used, and that they agree with one exponent a state."""

import numpy as np
import pytest

from lactoolkit.kernels import smith_waterman_cpu as kernel
from lactoolkit.kernels import stripe_bounded_sweeps as bounded
from lactoolkit.kernels import stripe_layout as layout
from lactoolkit.kernels import stripe_passes as passes
from lactoolkit.kernels.scaled_numbers import temperature_constants

DTYPES = [np.float32, np.float64]
# The largest value over the temperature for which they are used; the lowest is 5 times as far below zero.
HIGH = {np.float32: 8.3, np.float64: 69.0}


def problem(kind, n, m, dtype, seed=0):
    """A table, in units of the temperature."""
    random = np.random.default_rng(seed)
    high = HIGH[dtype]
    table = random.normal(size=(n, m))
    if kind == "near the limits":
        table = random.uniform(-1, 0.99, (n, m)) * high
    elif kind == "growing everywhere":
        table = random.uniform(0.9, 0.99, (n, m)) * high
    elif kind == "tiny everywhere":
        table = random.uniform(-4.9, -3, (n, m)) * high
    elif kind == "diagonal":
        table = np.full((n, m), -4.5 * high)
        np.fill_diagonal(table, 0.99 * high)
    elif kind == "steps":
        # Bands of matches with gaps between them
        table = np.full((n, m), -1.0) * high / 2
        table[(np.arange(n)[:, None] // 7 - np.arange(m) // 5) % 3 == 0] = high * 0.9
    elif kind == "mostly forbidden":
        table[random.random((n, m)) < 0.8] = -np.inf
    elif kind == "large after small":
        table = random.uniform(-4, -2, (n, m)) * high
        table[n // 2 :] = random.uniform(0.5, 0.99, (n - n // 2, m)) * high
    elif kind == "small after large":
        table = random.uniform(-4, -2, (n, m)) * high
        table[: n // 2] = random.uniform(0.5, 0.99, (n // 2, m)) * high
    elif kind == "one row of matches":
        table = np.full((n, m), -np.inf)
        table[n // 2] = 0.9 * high
    return table


KINDS = (
    "random", "near the limits", "growing everywhere", "tiny everywhere", "diagonal", "steps",
    "mostly forbidden", "large after small", "small after large", "one row of matches",
)  # fmt: skip


def as_batch(table, gap_open, gap_extend, temperature, dtype):
    arrays = (temperature * table[None], np.full((1, 1, 1), temperature * gap_open))
    arrays = (*arrays, np.full((1, 1, 1), temperature * gap_extend))
    lengths = np.array([table.shape], np.int64)
    return *(np.ascontiguousarray(a, dtype) for a in arrays), lengths


def general_posterior(batch, temperature, allow_empty):
    """By the kernels with one exponent a state, in float64."""
    *arrays, lengths = batch
    arrays = [a.astype(np.float64) for a in arrays]
    constants = (temperature_constants(t, np.dtype(np.float64)) for t in (temperature, -temperature))
    totals = np.zeros((1, 4))
    results = tuple(np.zeros_like(a) for a in arrays)
    kernel._run_general((*arrays, lengths, *constants), None, allow_empty, 0, totals, results)
    return temperature * (np.log(totals[:, 0]) + totals[:, 2] * np.log(2)), *results


def is_tame(batch, temperature):
    constants = (temperature_constants(t, batch[0].dtype) for t in (temperature, -temperature))
    return passes.pair_of((*batch, *constants), 0)[1][3]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("gap_open", "gap_extend"), [(1.0, 0.3), (0.0, 0.0), (5.0, 0.1), (0.2, 4.9)])
def test_one_exponent_a_lane_and_one_a_state_agree(dtype, kind, gap_open, gap_extend):
    for seed, (n, m) in enumerate([(5, 9), (64, 64), (129, 70), (140, 31), (17, 200), (128, 128)]):
        temperature = (0.3, 1.0)[seed % 2]
        batch = as_batch(problem(kind, n, m, dtype, seed), gap_open, gap_extend, temperature, dtype)
        assert is_tame(batch, temperature)
        for allow_empty in (False, True):
            truth = general_posterior(batch, temperature, allow_empty)
            found = kernel.posterior(*batch, temperature, allow_empty)
            tolerance = 5e-6 if dtype == np.float32 else 1e-12
            for value, expected in zip(found, truth, strict=True):
                allowed = tolerance * max(1.0, np.abs(expected).max(), temperature)
                np.testing.assert_allclose(value, expected, rtol=0, atol=allowed)
            assert np.array_equal(kernel.score(*batch, temperature, allow_empty), found[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_wild_tables_are_told_from_tame_ones(dtype):
    high = HIGH[dtype]
    table = np.zeros((20, 30))
    gaps = {"gap_open": 1.0, "gap_extend": 0.5, "temperature": 0.5, "dtype": dtype}

    def is_tame_with(value, **changes):
        table[3, 4] = value
        return is_tame(as_batch(table, **(gaps | changes)), 0.5)

    assert all(is_tame_with(value) for value in (0.0, high, -4.9 * high, -np.inf))
    assert not any(is_tame_with(value) for value in (1.1 * high, -5.1 * high, np.nan, np.inf))
    limit = high / 1.6
    assert is_tame_with(0.0, gap_open=0.99 * limit)
    assert not any(is_tame_with(0.0, gap_extend=value) for value in (1.01 * limit, np.inf))


@pytest.mark.parametrize(("m", "start", "stop"), [(1, 0, 64), (40, 0, 64), (47, 0, 64), (100, 64, 128), (9, 64, 100)])
def test_segments_are_found_again_on_the_way_back(m, start, stop):
    bounds = [start]
    while bounds[-1] < stop:
        bounds.append(bounded.segment_stop(bounds[-1], stop, m))
        # The same lanes are swept at all steps of a segment.
        lanes = {layout.active_lanes(d, m, layout.LANES) for d in range(bounds[-2], bounds[-1])}
        assert len(lanes) == 1
        assert bounds[-1] - bounds[-2] <= bounded.SEGMENT
    back = [stop]
    while back[-1] > start:
        back.append(bounded.segment_start(back[-1], start, m))
    assert back[::-1] == bounds


def forward_marks(batch, temperature):
    """Which segments of the first stripe were swept with one exponent a lane, and the tape."""
    constants = [temperature_constants(t, batch[0].dtype) for t in (temperature, -temperature)]
    table, arithmetic, _ = passes.pair_of((*batch, *constants), 0)
    n, m = (int(x) for x in batch[3][0])
    chunks = layout.count_chunks(n, m)
    tape = np.zeros(passes.tape_size(n, m, chunks, None), batch[0].dtype)
    stripes = layout.count_stripes(n)
    passes.forward_group(
        table, arithmetic, None, 0, 0, chunks, tape, passes.new_gaps(table, arithmetic, None, chunks),
        passes.new_edges(n, m, None, batch[0]), passes.new_checkpoints(stripes, 1, None, batch[0]),
        np.empty((stripes, chunks, 3)), False,
    )  # fmt: skip
    starts = range(0, layout.count_steps(n, m), bounded.SEGMENT)
    return [bounded.is_bounded_segment(tape, d) for d in starts]


def test_numbers_that_leave_the_range_are_swept_again():
    tame = as_batch(problem("random", 100, 120, np.float32), 1.0, 0.3, 1.0, np.float32)
    assert all(forward_marks(tame, 1.0))
    fast = as_batch(problem("diagonal", 100, 120, np.float32), 0.1, 0.1, 1.0, np.float32)
    marks = forward_marks(fast, 1.0)
    assert any(marks)
    assert not all(marks)


def test_a_pair_without_any_alignment_has_no_derivatives():
    table = np.full((40, 50), -np.inf)
    for dtype in DTYPES:
        score, *derivatives = kernel.posterior(*as_batch(table, 1.0, 0.3, 1.0, dtype), 1.0)
        assert score == -np.inf
        assert not any(d.any() for d in derivatives)
