"""The CPU kernels against enumeration and plain log-domain code, for both families of cells and many threads."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from reference import enumerated_score, plain_posterior

from lactoolkit.kernels import smith_waterman_cpu as kernel
from lactoolkit.kernels import smith_waterman_cpu_general as general
from lactoolkit.kernels import stripe_wavefront
from lactoolkit.kernels.scaled_numbers import MAX_WEIGHT_EXPONENT, temperature_constants
from lactoolkit.kernels.stripe_layout import CHUNK, LANES

DTYPES = [np.float32, np.float64]


def problem(pairs, n, m, *, per_cell=False, dtype=np.float64, scale=1.0, seed=0):
    random = np.random.default_rng(seed)
    shape = (pairs, n, m) if per_cell else (pairs, 1, 1)
    similarity = random.normal(scale=scale, size=(pairs, n, m))
    gap_open, gap_extend = random.uniform(0.5, 2, shape), random.uniform(0.1, 0.6, shape)
    arrays = tuple(np.ascontiguousarray(a, dtype) for a in (similarity, gap_open, gap_extend))
    return arrays, np.tile(np.array([n, m], np.int64), (pairs, 1))


def run_general(arrays, lengths, temperature, allow_empty=False, tangents=None):
    """All pairs through the kernels with one exponent a state."""
    dtype = arrays[0].dtype
    constants = temperature_constants(temperature, dtype), temperature_constants(-temperature, dtype)
    batch = (*arrays, lengths, *constants)
    totals = np.zeros((len(lengths), 4))
    results = tuple(np.zeros_like(a) for a in arrays)
    for b in range(len(lengths)):
        kernel._run_general(batch, tangents, allow_empty, b, totals, results)
    scores = temperature * (np.log(totals[:, 0]) + totals[:, 2] * np.log(2))
    return (scores if tangents is None else temperature * totals[:, 1] / totals[:, 0]), *results


def run_plain(arrays, lengths, temperature, allow_empty=False, dtype=np.float64):
    """What :func:`kernel.posterior` should return."""
    similarity, gap_open, gap_extend = arrays
    scores = np.zeros(len(lengths))
    results = tuple(np.zeros(a.shape) for a in arrays)
    for b, (n, m) in enumerate(lengths):
        penalties = [a[b, :n, :m] for a in (gap_open, gap_extend)]
        plain = plain_posterior(similarity[b, :n, :m], *penalties, temperature, allow_empty=allow_empty, dtype=dtype)
        scores[b] = plain.score
        results[0][b, :n, :m] = plain.match
        for result, derivative in ((results[1], plain.d_open), (results[2], plain.d_extend)):
            if result.shape[1:] == (1, 1):
                result[b] = derivative.sum(dtype=np.float64)
            else:
                result[b, :n, :m] = derivative
    return scores, *results


def assert_close(got, expected, tolerance):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))


@pytest.mark.parametrize("run", [kernel.posterior, run_general])
@pytest.mark.parametrize("per_cell", [False, True])
@pytest.mark.parametrize("allow_empty", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 0.8, 5.0])
def test_enumeration_of_all_alignments(run, per_cell, allow_empty, temperature):
    arrays, lengths = problem(1, 4, 5, per_cell=per_cell)
    random = np.random.default_rng(1)
    directions = tuple(random.normal(size=a.shape) for a in arrays)

    inputs = [torch.tensor(a[0], requires_grad=True) for a in arrays]
    score = enumerated_score(*inputs, temperature, allow_empty)
    gradients = torch.autograd.grad(score, inputs, create_graph=True)
    along = sum((g * torch.tensor(d[0])).sum() for g, d in zip(gradients, directions, strict=True))
    hessian = torch.autograd.grad(along, inputs)

    got = (
        run(*arrays, lengths, temperature, allow_empty)
        if run is kernel.posterior
        else run(arrays, lengths, temperature, allow_empty)
    )
    assert_close([a[0] for a in got], [score.item(), *(g.detach().numpy() for g in gradients)], 1e-12)
    if run is kernel.posterior:
        got = kernel.posterior_jvp(*arrays, lengths, temperature, allow_empty, *directions)
    else:
        got = run_general(arrays, lengths, temperature, allow_empty, directions)
    assert_close([a[0] for a in got], [along.item(), *(h.numpy() for h in hessian)], 1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_cell", [False, True])
@pytest.mark.parametrize(
    ("n", "m"),
    [(1, 1), (1, 9), (9, 1), (LANES, 3), (LANES - 1, CHUNK), (LANES + 1, 3 * CHUNK - LANES + 2), (150, 333)],
)
def test_plain_code(dtype, per_cell, n, m):
    arrays, lengths = problem(2, n, m, per_cell=per_cell, dtype=dtype)
    expected = run_plain(arrays, lengths, 0.7)
    tolerance = 1e-11 if dtype is np.float64 else 2e-6
    assert_close(kernel.posterior(*arrays, lengths, 0.7), expected, tolerance)
    np.testing.assert_array_equal(kernel.score(*arrays, lengths, 0.7), kernel.posterior(*arrays, lengths, 0.7)[0])


@pytest.mark.parametrize("per_cell", [False, True])
@pytest.mark.parametrize(("n", "m"), [(5, 7), (LANES + 3, CHUNK + 5), (130, 300)])
def test_derivatives_along_a_direction(per_cell, n, m):
    arrays, lengths = problem(2, n, m, per_cell=per_cell)
    random = np.random.default_rng(2)
    directions = tuple(random.normal(size=a.shape) for a in arrays)
    step = 1e-5
    after = kernel.posterior(*(a + step * d for a, d in zip(arrays, directions, strict=True)), lengths, 0.9)
    before = kernel.posterior(*(a - step * d for a, d in zip(arrays, directions, strict=True)), lengths, 0.9)
    expected = [(a - b) / (2 * step) for a, b in zip(after, before, strict=True)]
    assert_close(kernel.posterior_jvp(*arrays, lengths, 0.9, False, *directions), expected, 1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1023, 1024, 1025])
def test_long_tables_shared_by_threads(dtype, length):
    arrays, lengths = problem(1, length, length, dtype=dtype)
    got = kernel.posterior(*arrays, lengths, 1.0, threads=3)
    tolerance = 1e-10 if dtype is np.float64 else 5e-6
    assert_close(got, run_plain(arrays, lengths, 1.0), tolerance)


def test_float32_is_more_accurate_than_plain_float32():
    arrays, lengths = problem(1, 400, 400, dtype=np.float32, scale=3.0)
    truth = run_plain(arrays, lengths, 0.5)[1]
    plain = run_plain(arrays, lengths, 0.5, dtype=np.float32)[1]
    ours = kernel.posterior(*arrays, lengths, 0.5)[1]
    assert np.abs(ours - truth).max() <= 2 * np.abs(plain - truth).max()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_cell", [False, True])
@pytest.mark.parametrize(
    ("scale", "temperature"), [(1e4, 1.0), (10.0, 1e-3), (1.0, 1e-3), (1.0, 0.01), (1.0, 0.03), (1.0, 100.0)]
)
def test_extremes(dtype, per_cell, scale, temperature):
    arrays, lengths = problem(1, 40, 37, per_cell=per_cell, dtype=dtype, scale=scale)
    got = kernel.posterior(*arrays, lengths, temperature)
    # The reference divides by the temperature in float64: at 1e4 that costs it 12 digits of its 16.
    assert_close(got, run_plain(arrays, lengths, temperature), 1e-9 if dtype is np.float64 else 1e-5)


@pytest.mark.parametrize("shift", [-50.0, -5.0, 5.0, 50.0])
@pytest.mark.parametrize("penalties", [(2.0, 0.1), (60.0, 0.1), (0.1, 60.0), (0.0, 0.0), (700.0, 699.0), (1e5, 1e-3)])
def test_penalties_near_and_far_apart(shift, penalties):
    random = np.random.default_rng(3)
    similarity = random.normal(scale=20, size=(1, 45, 50)) + shift
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 1e-5)):
        arrays = (similarity.astype(dtype), *(np.full((1, 1, 1), p, dtype) for p in penalties))
        lengths = np.array([[45, 50]])
        assert_close(kernel.posterior(*arrays, lengths, 1.0), run_plain(arrays, lengths, 1.0), tolerance)


def test_a_gap_that_is_far_below_its_cell_and_wins_in_the_end():
    # A gap leads from (0, 0) to (1, 4) past a match at (0, 2) that alone is worth much more than the gap is by then.
    similarity = np.full((1, 2, 5), -1e3)
    similarity[0, 0, 0], similarity[0, 0, 2], similarity[0, 1, 4] = 5500.0, 1000.0, 5200.0
    similarity[0, 1, 3] = -np.inf
    for dtype in DTYPES:
        arrays = (similarity.astype(dtype), np.full((1, 1, 1), 5000.0, dtype), np.full((1, 1, 1), 0.1, dtype))
        score, match, d_open, d_extend = kernel.posterior(*arrays, np.array([[2, 5]]), 1.0)
        assert score[0] == pytest.approx(5500 - 5000 - 0.2 + 5200)
        assert match[0, 0, 0] == pytest.approx(1)
        assert match[0, 1, 4] == pytest.approx(1)
        assert d_open.item() == pytest.approx(-1)
        assert d_extend.item() == pytest.approx(-2)


@pytest.mark.parametrize("temperature", [1.0, 1e-3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_cell", [False, True])
def test_padding_does_not_change_a_bit(temperature, dtype, per_cell):
    arrays, _ = problem(4, 150, 200, per_cell=per_cell, dtype=dtype)
    lengths = np.array([[150, 200], [70, 200], [150, 1], [65, 129]])
    results = kernel.posterior(*arrays, lengths, temperature)
    tangents = kernel.posterior_jvp(*arrays, lengths, temperature, False, *arrays)
    poisoned = tuple(a.copy() for a in arrays)
    for b, (n, m) in enumerate(lengths):
        for a in poisoned if per_cell else poisoned[:1]:
            a[b, n:] = np.nan
            a[b, :, m:] = np.nan
    for a, b in zip(kernel.posterior(*poisoned, lengths, temperature), results, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(kernel.posterior_jvp(*poisoned, lengths, temperature, False, *poisoned), tangents, strict=True):
        np.testing.assert_array_equal(a, b)
    for b, (n, m) in enumerate(lengths):
        alone = tuple(np.ascontiguousarray(a[b : b + 1, :n, :m]) for a in arrays)
        for a, whole in zip(kernel.posterior(*alone, lengths[b : b + 1], temperature), results, strict=True):
            padded = np.zeros_like(whole[b])
            padded[tuple(slice(0, k) for k in a.shape[1:])] = a[0]
            np.testing.assert_array_equal(padded, whole[b])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_cell", [False, True])
@pytest.mark.parametrize(("n", "m"), [(5, 3), (20, 30), (33, 16), (LANES + 17, CHUNK + 1), (2 * LANES + 5, 300)])
def test_what_lies_in_the_workspace_does_not_matter(dtype, per_cell, n, m, monkeypatch):
    arrays, lengths = problem(2, n, m, per_cell=per_cell, dtype=dtype)
    results = []
    for rubbish in (0.0, np.nan):

        def workspace(size, dtype, rubbish=rubbish):
            return np.full(size, rubbish, dtype)

        monkeypatch.setattr(kernel, "thread_workspace", workspace)
        monkeypatch.setattr(stripe_wavefront, "thread_workspace", workspace)
        results.append(
            kernel.posterior(*arrays, lengths, 1.0, threads=2)
            + kernel.posterior_jvp(*arrays, lengths, 1.0, False, *arrays, threads=2)
        )
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all()


@pytest.mark.parametrize("per_cell", [False, True])
@pytest.mark.parametrize(("pairs", "n", "m"), [(7, 90, 130), (1, 380, 390), (2, 200, 700)])
def test_any_number_of_threads_gives_the_same_bits(per_cell, pairs, n, m):
    arrays, lengths = problem(pairs, n, m, per_cell=per_cell, dtype=np.float32)
    lengths[0] -= 5
    alone = kernel.posterior(*arrays, lengths, 1.0, threads=1)
    alone_tangents = kernel.posterior_jvp(*arrays, lengths, 1.0, False, *arrays, threads=1)
    for threads in (2, 3, 8):
        for a, b in zip(kernel.posterior(*arrays, lengths, 1.0, threads=threads), alone, strict=True):
            np.testing.assert_array_equal(a, b)
        got = kernel.posterior_jvp(*arrays, lengths, 1.0, False, *arrays, threads=threads)
        for a, b in zip(got, alone_tangents, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(kernel.score(*arrays, lengths, 1.0, threads=threads), alone[0])


def test_inputs_are_not_written_to():
    arrays, lengths = problem(2, 70, 80, per_cell=True)
    copies = [a.copy() for a in (*arrays, lengths)]
    kernel.posterior(*arrays, lengths, 1.0)
    kernel.posterior_jvp(*arrays, lengths, 1.0, False, *arrays)
    for a, b in zip((*arrays, lengths), copies, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("temperature", [1.0, 1e-3])
def test_forbidden_pairs(temperature):
    arrays, lengths = problem(2, 20, 30)
    arrays[0][0, 3:7] = -np.inf
    arrays[0][0, 9, :] = -np.inf
    arrays[0][1] = -np.inf
    score, match, d_open, d_extend = kernel.posterior(*arrays, lengths, temperature)
    assert_close(
        (score[:1], match[:1], d_open[:1], d_extend[:1]),
        run_plain(tuple(a[:1] for a in arrays), lengths[:1], temperature),
        1e-9,
    )
    assert score[1] == -np.inf
    assert not match[1].any()
    assert not d_open[1].any()
    assert kernel.score(*arrays, lengths, temperature, True)[1] == 0


@pytest.mark.parametrize("temperature", [1.0, 1e-3])
def test_empty_pairs(temperature):
    arrays, _ = problem(3, 6, 7)
    lengths = np.array([[0, 0], [0, 5], [6, 0]])
    score, *derivatives = kernel.posterior(*arrays, lengths, temperature, True)
    tangents, *changes = kernel.posterior_jvp(*arrays, lengths, temperature, True, *arrays)
    for result in (score, *derivatives, tangents, *changes):
        assert not result.any()
    empty = tuple(np.zeros((2, 0, 5)) if k == 0 else np.ones((2, 1, 1)) for k in range(3))
    assert not kernel.posterior(*empty, np.array([[0, 5], [0, 0]]), temperature, True)[0].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("argument", [0, 1, 2])
@pytest.mark.parametrize("temperature", [1.0, 1e-3])
def test_nan_gives_nan(dtype, argument, temperature):
    arrays, lengths = problem(3, 20, 30, per_cell=True, dtype=dtype)
    arrays[argument][1, 4, 5] = np.nan
    scores, match, *_ = kernel.posterior(*arrays, lengths, temperature)
    np.testing.assert_array_equal(np.isnan(scores), [False, True, False])
    assert np.isnan(match[1]).any()
    assert not np.isnan(match[[0, 2]]).any()
    assert np.isnan(kernel.score(*arrays, lengths, temperature)).tolist() == [False, True, False]


def test_similarities_beyond_all_reason_are_forbidden_or_refused():
    arrays, lengths = problem(1, 5, 6)
    arrays[0][0, 2] = -1e30
    masked = arrays[0].copy()
    masked[0, 2] = -np.inf
    assert_close(kernel.posterior(*arrays, lengths, 1.0), kernel.posterior(masked, *arrays[1:], lengths, 1.0), 1e-13)
    arrays[0][0, 2] = 2.0 * MAX_WEIGHT_EXPONENT
    for function in (kernel.score, kernel.posterior):
        with pytest.raises(kernel.RangeError):
            function(*arrays, lengths, 1.0)
    with pytest.raises(kernel.RangeError):
        kernel.posterior_jvp(*arrays, lengths, 1.0, False, *arrays)
    arrays[0][0, 2] = np.nan
    assert np.isnan(kernel.score(*arrays, lengths, 1.0))


def test_threads_may_call_at_the_same_time():
    arrays, lengths = problem(1, 300, 450, dtype=np.float32)
    expected = kernel.posterior(*arrays, lengths, 1.0)
    wrong = []

    def call():
        for _ in range(5):
            got = kernel.posterior(*arrays, lengths, 1.0, threads=4)
            if not all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True)):
                wrong.append(got)

    callers = [threading.Thread(target=call) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_works_in_a_forked_child():
    code = """
import os, sys
import numpy as np
from lactoolkit.kernels import smith_waterman_cpu as kernel
arrays = np.ones((4, 100, 110), np.float32), np.ones((4, 1, 1), np.float32), np.ones((4, 1, 1), np.float32)
lengths = np.tile([100, 110], (4, 1))
expected = kernel.score(*arrays, lengths, 1.0, threads=2)
child = os.fork()
if child == 0:
    os._exit(0 if (kernel.score(*arrays, lengths, 1.0, threads=2) == expected).all() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=120, check=False).returncode == 0


def test_blocks_of_rows_do_not_show():
    arrays, lengths = problem(1, 2 * general.BLOCK_ROWS + 5, 9)
    assert_close(run_general(arrays, lengths, 1.0), kernel.posterior(*arrays, lengths, 1.0), 1e-12)


@pytest.mark.parametrize("per_cell", [False, True])
def test_kept_tapes_give_the_same_bits_as_those_filled_again(per_cell, monkeypatch):
    arrays, lengths = problem(2, 2 * LANES + 20, 250, per_cell=per_cell)
    results = []
    for kept in (2**30, 0):
        for name in ("KEPT_BYTES", "KEPT_BYTES_PER_CELL", "KEPT_BYTES_ALWAYS"):
            monkeypatch.setattr(kernel, name, kept)
        results.append(
            kernel.posterior(*arrays, lengths, 1.0) + kernel.posterior_jvp(*arrays, lengths, 1.0, False, *arrays)
        )
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
