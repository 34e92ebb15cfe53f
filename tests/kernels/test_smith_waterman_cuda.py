"""The CUDA kernels on three lanes: numba's simulator, PTX without a card, and a card.

NUMBA_ENABLE_CUDASIM=1 pytest tests/kernels/test_smith_waterman_cuda.py     the simulator
pytest -m ptx tests/kernels/test_smith_waterman_cuda.py                     type checks and PTX
pytest -m cuda tests/kernels/test_smith_waterman_cuda.py                    a card
"""

import types

import numpy as np
import pytest
import torch
from reference import plain_posterior

cuda = pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")

from lactoolkit.kernels import smith_waterman_cpu as cpu  # noqa: E402
from lactoolkit.kernels import smith_waterman_cuda as kernels  # noqa: E402
from lactoolkit.kernels.cuda_layout import LARGEST_STATE, Kind, plan_layout  # noqa: E402
from lactoolkit.kernels.cuda_warp import LANES, SEGMENT, SIMULATED  # noqa: E402

in_simulator = pytest.mark.skipif(not SIMULATED, reason="needs numba's simulator: NUMBA_ENABLE_CUDASIM=1")
on_card = [
    pytest.mark.cuda,
    pytest.mark.skipif(SIMULATED or not torch.cuda.is_available(), reason="needs a CUDA device"),
]
KINDS = [
    Kind(cell, dual, wide) for cell in (False, True) for dual, wide in ((False, False), (True, False), (True, True))
]


def make_problem(seed, pairs, rows, columns, per_cell, opening=1.5, extension=0.4):
    generator = np.random.default_rng(seed)
    similarity = 1.5 * generator.normal(size=(pairs, rows, columns))
    shape = similarity.shape if per_cell else (pairs, 1, 1)
    return similarity, opening * generator.uniform(0.8, 1.2, shape), extension * generator.uniform(0.8, 1.2, shape)


def make_uneven_problem(seed, rows, columns):
    """Tame cells beside columns of huge numbers, forbidden cells, and a corner where sums soon leave their range.

    They grow by 2**20 a step, which is much in float32, and by 2**200, which is much in float64.
    """
    similarity, gap_open, gap_extend = make_problem(seed, 1, rows, columns, False)
    similarity[:, :, columns // 3 : columns // 3 + 3] *= 200
    similarity[:, rows // 2 :, 3 * columns // 4 :] = 10.0
    similarity[:, 3 * rows // 4 :, 7 * columns // 8 :] = 100.0
    similarity[:, 1, ::3] = -np.inf
    return similarity, gap_open, gap_extend


def bounded_segments(workspace, pairs, rows, columns):
    """For each stripe and segment, whether it was done with one exponent a lane."""
    kind = Kind(False, False, False)
    layout = plan_layout(kind, Kind(False, True, True), pairs, rows, columns, keep=True)
    states = workspace[layout.checkpoints :].view(np.int64)
    stripes, segments = pairs * -(-rows // LANES), -(-(columns + LANES) // SEGMENT)
    states = states.reshape(stripes, segments * LARGEST_STATE * LANES)[:, : segments * kind.state * LANES]
    flags = states.reshape(stripes, segments, kind.state, LANES)[:, :, 5] & 1
    assert (flags == flags[..., :1]).all()
    return flags[..., 0] == 1


def simulate(problem, lengths, temperature, tangents=None):
    similarity, gap_open, _ = problem
    per_cell = kernels.is_per_cell(gap_open)
    outputs = [np.zeros(len(similarity)), *(np.zeros_like(array) for array in problem)]
    words = kernels.workspace_words(*similarity.shape, per_cell=per_cell, dual=tangents is not None)
    workspace = np.full(words, 7.25)
    if tangents is None:
        kernels.posterior(*problem, lengths, temperature, False, *outputs, workspace)
    else:
        kernels.posterior_jvp(*problem, lengths, temperature, False, *tangents, *outputs, workspace)
    return outputs, workspace


@in_simulator
@pytest.mark.parametrize(("per_cell", "temperature"), [(False, 0.7), (True, 0.7), (False, 1e-3)])
def test_simulated_posterior_is_that_of_the_plain_recursion(per_cell, temperature):
    # Two stripes of rows; at 1e-3 each state needs its own exponent.
    problem = make_problem(1, 2, 33, 2, per_cell)
    sizes = np.array([[33, 2], [5, 1]])
    (scores, match, d_open, d_extend), workspace = simulate(problem, sizes, temperature)
    if not per_cell and temperature == 0.7:
        # The second pair has no second stripe.
        assert bounded_segments(workspace, 2, 33, 2)[:3].all()
    for b, (n, m) in enumerate(sizes):
        penalties = [gap[b, :n, :m] if per_cell else gap[b] for gap in problem[1:]]
        truth = plain_posterior(problem[0][b, :n, :m], *penalties, temperature)
        np.testing.assert_allclose(scores[b], truth.score, rtol=1e-12)
        np.testing.assert_allclose(match[b, :n, :m], truth.match, atol=1e-12)
        assert match[b].sum() == pytest.approx(match[b, :n, :m].sum(), abs=0)
        if not per_cell:
            np.testing.assert_allclose(d_open[b].item(), truth.d_open.sum(), atol=1e-12)
            np.testing.assert_allclose(d_extend[b].item(), truth.d_extend.sum(), atol=1e-12)
        else:
            np.testing.assert_allclose(d_open[b, :n, :m], truth.d_open, atol=1e-12)
            np.testing.assert_allclose(d_extend[b, :n, :m], truth.d_extend, atol=1e-12)


@in_simulator
# Sums that leave their range are found out at the end of the segment.
@pytest.mark.filterwarnings("ignore:.*encountered in scalar:RuntimeWarning")
def test_simulated_segments_of_both_kinds_take_turns():
    problem = make_uneven_problem(7, 33, 24)
    (score, match, d_open, d_extend), workspace = simulate(problem, None, 0.7)
    flags = bounded_segments(workspace, 1, 33, 24)
    assert flags.any()
    assert not flags.all()
    truth = plain_posterior(*(array[0] for array in problem), 0.7)
    np.testing.assert_allclose(score[0], truth.score, rtol=1e-12)
    np.testing.assert_allclose(match[0], truth.match, atol=1e-12)
    np.testing.assert_allclose(d_open.item(), truth.d_open.sum(), atol=1e-11)
    np.testing.assert_allclose(d_extend.item(), truth.d_extend.sum(), atol=1e-11)


@in_simulator
@pytest.mark.parametrize("per_cell", [False, True])
def test_simulated_jvp_is_the_difference_of_posteriors(per_cell):
    problem = make_problem(2, 1, 33, 2, per_cell)
    generator = np.random.default_rng(3)
    tangents = [generator.normal(size=array.shape) for array in problem]
    changes, _ = simulate(problem, None, 0.9, tangents)
    size = 1e-5
    after, before = (
        cpu.posterior(*(a + sign * size * t for a, t in zip(problem, tangents, strict=True)), np.array([[33, 2]]), 0.9)
        for sign in (1, -1)
    )
    for change, high, low in zip(changes, after, before, strict=True):
        np.testing.assert_allclose(change, (high - low) / (2 * size), atol=1e-8)


@in_simulator
def test_simulated_gradients_are_posteriors_times_factors_and_can_be_had_again():
    # The second pair's penalties lie so far apart that each of its states needs an exponent of its own.
    problem = make_problem(9, 2, 33, 2, False)
    problem[1][1] *= 900.0
    similarity = problem[0]
    (scores, *derivatives), _ = simulate(problem, None, 0.7)
    workspace = np.full(kernels.workspace_words(*similarity.shape, per_cell=False), 7.25)
    again = np.zeros(2)
    call = kernels.sums(*problem, None, 0.7, False, again, workspace)
    np.testing.assert_array_equal(again, scores)
    for turn, factors in enumerate((np.array([2.0, -0.5]), np.broadcast_to(4.0, 2))):
        # Powers of two: no rounding. The second time, derivatives by the penalties are summed over the pairs.
        truth = [derivative * factors.reshape(-1, 1, 1) for derivative in derivatives]
        if turn:
            truth[1:] = [one.sum(keepdims=True) for one in truth[1:]]
        results = [np.zeros_like(array) for array in truth]
        kernels.gradients(call, factors, *results, again=turn > 0)
        for result, expected in zip(results, truth, strict=True):
            np.testing.assert_array_equal(result, expected)


@pytest.mark.ptx
@pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_kernels_compile_without_a_card(kind, dtype, monkeypatch):
    from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

    try:
        load_nvidia_dynamic_lib("nvrtc")
        load_nvidia_dynamic_lib("nvvm")
    except DynamicLibNotFoundError:
        pytest.skip("needs NVRTC and NVVM: pip install numba-cuda[cu13]")
    # numba asks the current device how to compile device functions; there may be none.
    monkeypatch.setattr(
        "numba.cuda.dispatcher.get_current_device", lambda: types.SimpleNamespace(compute_capability=(9, 0))
    )
    for direction in ("forward", "backward"):
        function, signature = kernels.source(direction, kind, np.dtype(dtype).itemsize)
        ptx, _ = cuda.compile_ptx(function, signature, cc=(9, 0))
        assert ".visible .entry" in ptx
        # A register array that is indexed at run time would lie in local memory.
        assert ".local" not in ptx


def test_layout_holds_all_that_the_kernels_write():
    layout = plan_layout(Kind(False, False, False), Kind(False, True, True), pairs=3, rows=33, columns=9, keep=True)
    assert layout.checkpoints < layout.size
    assert layout.cleared == layout.finals
    # 3 pairs of 2 stripes; 41 steps are 6 segments of 32 lanes with at most 12 words.
    assert layout.size - layout.checkpoints == 3 * 2 * 6 * 32 * 12


@pytest.mark.skipif(SIMULATED, reason="the simulator takes NumPy arrays")
def test_kernels_are_shown_contiguous_memory():
    from lactoolkit.ops import backend_cuda

    similarity, penalty = torch.rand(4, 6, 5).transpose(1, 2), torch.rand(1, 1, 1).expand(4, 1, 1)
    table = torch.rand(5, 6).expand(4, 5, 6)
    lengths = torch.ones(2, 4, dtype=torch.int64).T
    inputs = backend_cuda._contiguous(similarity, penalty, table, lengths)
    for tensor, original in zip(inputs, (similarity, penalty, table, lengths), strict=True):
        assert torch.equal(tensor, original)
        assert (tensor[0] if tensor.stride(0) == 0 else tensor).is_contiguous()
    views = backend_cuda._input_views(inputs)
    assert [view.address for view in views] == [tensor.data_ptr() for tensor in inputs]
    assert [view.is_shared for view in views] == [False, True, True, False]


class TestOnACard:
    pytestmark = on_card

    @pytest.mark.parametrize(
        "size", [(3, 40, 1), (2, 31, 33), (5, 100, 300), (1, 1023, 1025), (1, 1025, 1024), (1, 33, 4097)]
    )
    @pytest.mark.parametrize("per_cell", [False, True])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_posterior_is_that_of_the_cpu(self, size, per_cell, dtype):
        from lactoolkit.ops import backend_cuda

        problem = make_problem(4, *size, per_cell)
        problem = [array.astype(np.float32).astype(np.float64) for array in problem]
        sizes = np.tile(np.array([size[1:]]), (size[0], 1))
        tensors = [torch.tensor(array, dtype=dtype, device="cuda") for array in problem]
        truth = cpu.posterior(*problem, sizes, 0.8)
        results = backend_cuda.posterior(*tensors, None, 0.8, False)
        again = backend_cuda.posterior(*tensors, None, 0.8, False)
        for result, repeated, expected in zip(results, again, truth, strict=True):
            assert torch.equal(result, repeated)
            scale = np.abs(expected).max()
            tolerance = 5e-6 if dtype == torch.float32 else 1e-12
            np.testing.assert_allclose(result.double().cpu().numpy(), expected, atol=tolerance * scale)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("size", [(40, 50), (64, 300), (130, 70)])
    def test_segments_of_both_kinds_take_turns(self, size, dtype):
        from lactoolkit.ops import backend_cuda

        problem = [
            np.concatenate(x) for x in zip(*(make_uneven_problem(seed, *size) for seed in range(8)), strict=True)
        ]
        problem = [array.astype(np.float32).astype(np.float64) for array in problem]
        problem[0][4:] += 30 * np.sin(np.arange(size[1]) / 9)
        truth = cpu.posterior(*problem, np.tile(np.array([size]), (8, 1)), 0.7)
        results = backend_cuda.posterior(
            *(torch.tensor(x, dtype=dtype, device="cuda") for x in problem), None, 0.7, False
        )
        for result, expected in zip(results, truth, strict=True):
            tolerance = 5e-6 if dtype == torch.float32 else 1e-12
            np.testing.assert_allclose(result.double().cpu().numpy(), expected, atol=tolerance * np.abs(expected).max())

    @pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs a second CUDA device")
    def test_second_device_gives_the_same_bits(self):
        from lactoolkit import alignment_posterior, soft_smith_waterman

        results = []
        for device in ("cuda:0", "cuda:1"):
            problem = make_problem(8, 3, 70, 90, False)
            leaves = [torch.tensor(x, dtype=torch.float32, device=device, requires_grad=True) for x in problem]
            scores = soft_smith_waterman(*leaves, 0.8)
            gradients = torch.autograd.grad(scores.sum(), leaves)
            second = torch.autograd.grad(alignment_posterior(*leaves, 0.8).square().sum(), leaves)
            assert all(x.device == torch.device(device) for x in (scores, *gradients, *second))
            results.append([x.cpu() for x in (scores.detach(), *gradients, *second)])
        assert torch.cuda.current_device() == 0
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))

    def test_graph_and_stream(self):
        from lactoolkit.ops import backend_cuda

        problem = [torch.tensor(a, dtype=torch.float32, device="cuda") for a in make_problem(5, 2, 64, 64, False)]
        truth = backend_cuda.posterior(*problem, None, 1.0, False)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            aside = backend_cuda.posterior(*problem, None, 1.0, False)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = backend_cuda.posterior(*problem, None, 1.0, False)
        for tensor in captured:
            tensor.fill_(7.0)
        graph.replay()
        torch.cuda.synchronize()
        for expected, other, replayed in zip(truth, aside, captured, strict=True):
            assert torch.equal(expected, other)
            assert torch.equal(expected, replayed)

    def test_nan_gives_nan_and_no_hang(self):
        from lactoolkit.ops import backend_cuda

        problem = [torch.tensor(a, dtype=torch.float32, device="cuda") for a in make_problem(6, 1, 70, 50, False)]
        problem[0][0, 3, 4] = float("nan")
        assert backend_cuda.score(*problem, None, 1.0, False).isnan().all()
