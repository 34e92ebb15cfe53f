"""Bad input, checks of values, choice of backend, the layer."""

import logging
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

import lactoolkit
from lactoolkit import SoftSmithWaterman, alignment_posterior, soft_smith_waterman
from lactoolkit.errors import BackendError, LacToolkitError, ParameterError
from lactoolkit.ops import check_values, registration

TABLE = torch.zeros(2, 3, 4)
NAN, INFINITY = float("nan"), float("inf")


def with_value(value, place=(1, 2, 3)):
    table = TABLE.clone()
    table[place] = value
    return table


BAD_ARGUMENTS = {
    "similarity not a tensor": (([[1.0]], 1.0, 1.0), {}, r"similarity must be a torch tensor, not list"),
    "similarity of rank 1": ((torch.zeros(3), 1.0, 1.0), {}, r"similarity has shape \(3,\).*\(N, M\)"),
    "similarity of rank 4": ((torch.zeros(1, 2, 3, 4), 1.0, 1.0), {}, r"shape \(1, 2, 3, 4\).*\(B, N, M\)"),
    "integer similarity": ((torch.ones(3, 4, dtype=torch.int64), 1.0, 1.0), {}, r"torch.int64.*\.float\(\)"),
    "sparse similarity": ((TABLE[0].to_sparse(), 1.0, 1.0), {}, r"similarity has layout torch.sparse_coo.*to_dense"),
    "complex similarity": ((torch.ones(3, 4, dtype=torch.complex64), 1.0, 1.0), {}, r"torch.complex64"),
    "nan in similarity": ((with_value(NAN), 1.0, 1.0), {}, r"similarity holds nan at \(1, 2, 3\).*-inf"),
    "inf in similarity": ((with_value(INFINITY), 1.0, 1.0), {}, r"similarity holds inf at \(1, 2, 3\)"),
    "no cells": ((torch.zeros(2, 0, 4), 1.0, 1.0), {}, r"table of 0 x 4.*allow_empty=True"),
    "negative gap_open": ((TABLE, -0.5, 1.0), {}, r"gap_open is -0.5.*from 0 up"),
    "nan gap_extend": ((TABLE, 1.0, NAN), {}, r"gap_extend is nan"),
    "gap_open of another type": ((TABLE, "1", 1.0), {}, r"gap_open must be a number or a torch tensor, not str"),
    "gap_open as an array": ((TABLE, np.ones(2), 1.0), {}, r"gap_open must be .*not ndarray.*torch\.as_tensor"),
    "sparse gap_open": ((TABLE, TABLE[0].to_sparse(), 1.0), {}, r"gap_open has layout torch.sparse_coo.*to_dense"),
    "gap_open below all floats": ((TABLE, -(10**400), 1.0), {}, r"gap_open is -inf"),
    "negative value in gap_open": ((TABLE, with_value(-1.0), 1.0), {}, r"gap_open holds -1.0 at \(1, 2, 3\).*softplus"),
    "negative gap_open tensor": ((TABLE, torch.tensor(-1.0), 1.0), {}, r"gap_open holds -1.0;"),
    "nan in gap_extend": ((TABLE, 1.0, with_value(NAN)), {}, r"gap_extend holds nan at"),
    "integer gap_open": ((TABLE, torch.tensor(1), 1.0), {}, r"gap_open has dtype torch.int64.*\.float\(\)"),
    "gap_open of another batch": ((TABLE, torch.ones(3, 1, 1), 1.0), {}, r"shape \(3, 1, 1\).*\(2, 3, 4\)"),
    "gap_open per pair, flat": ((TABLE, torch.ones(2), 1.0), {}, r"shape \(2,\).*\(B, 1, 1\)"),
    "gap_open of higher rank": ((TABLE[0], torch.ones(1, 1, 1), 1.0), {}, r"gap_open has shape \(1, 1, 1\)"),
    "gap_open on another device": ((TABLE, torch.ones((), device="meta"), 1.0), {}, r"gap_open is on meta .*cpu.*\.to"),
    "zero temperature": ((TABLE, 1.0, 1.0, 0.0), {}, r"temperature is 0.0.*above 0"),
    "negative temperature": ((TABLE, 1.0, 1.0, -1.0), {}, r"temperature is -1.0"),
    "nan temperature": ((TABLE, 1.0, 1.0, NAN), {}, r"temperature is nan"),
    "infinite temperature": ((TABLE, 1.0, 1.0, INFINITY), {}, r"temperature is inf"),
    "temperature beyond all floats": ((TABLE, 1.0, 1.0, 10**400), {}, r"temperature is inf"),
    "temperature as text": ((TABLE, 1.0, 1.0, "1"), {}, r"temperature must be a Python number, not str"),
    "temperature as tensor": ((TABLE, 1.0, 1.0, torch.tensor(1.0)), {}, r"temperature must be a Python number"),
    "length above the table": ((TABLE, 1.0, 1.0), {"lengths": [(3, 4), (4, 4)]}, r"\(4, 4\).*1\.\.3 and 1\.\.4"),
    "length of zero": ((TABLE, 1.0, 1.0), {"lengths": [(0, 4), (3, 4)]}, r"pair 0 are \(0, 4\).*allow_empty=True"),
    "negative length": ((TABLE, 1.0, 1.0), {"lengths": [(3, -1), (3, 4)], "allow_empty": True}, r"\(3, -1\).*0\.\.4"),
    "too few lengths": ((TABLE, 1.0, 1.0), {"lengths": [(3, 4)]}, r"lengths have shape \(1, 2\).*\(2, 2\)"),
    "flat lengths": ((TABLE, 1.0, 1.0), {"lengths": [3, 4]}, r"lengths have shape \(2,\)"),
    "ragged lengths": ((TABLE, 1.0, 1.0), {"lengths": [(3, 4), (3,)]}, r"lengths must hold the pair \(n, m\)"),
    "fractional lengths": ((TABLE, 1.0, 1.0), {"lengths": torch.ones(2, 2)}, r"lengths have dtype torch.float32"),
    "lengths elsewhere": ((TABLE, 1.0, 1.0), {"lengths": torch.ones(2, 2, device="meta").int()}, r"are on meta"),
    "unknown backend": ((TABLE, 1.0, 1.0), {"backend": "numba"}, r"backend is 'numba'.*auto, cpu, cuda, torch"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
@pytest.mark.parametrize("function", [soft_smith_waterman, alignment_posterior])
def test_bad_arguments_are_named_with_value_and_remedy(function, case):
    arguments, options, message = BAD_ARGUMENTS[case]
    with pytest.raises(ParameterError, match=message):
        function(*arguments, **options)


def test_checks_also_run_inside_a_compiled_graph():
    torch.compiler.reset()
    compiled = torch.compile(lambda x: soft_smith_waterman(x, 1.0, 1.0), fullgraph=True, backend="aot_eager")
    compiled(TABLE)
    with pytest.raises(ParameterError, match="similarity holds nan"):
        compiled(with_value(NAN))


def test_minus_infinity_is_legal(lane):
    similarity = with_value(-INFINITY).to(lane.device)
    assert soft_smith_waterman(similarity, 1.0, 1.0, backend=lane.backend).isfinite().all()


def test_lengths_may_come_in_many_forms(lane):
    similarity = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).to(lane.device)
    wanted = [[3, 2], [2, 4]]
    forms = [wanted, tuple(map(tuple, wanted)), torch.tensor(wanted), torch.tensor(wanted, dtype=torch.int32)]
    forms.append(torch.tensor(wanted, device=lane.device))
    scores = [soft_smith_waterman(similarity, 1.0, 0.5, lengths=x, backend=lane.backend) for x in forms]
    assert all(torch.equal(x, scores[0]) for x in scores)
    for form in ([3, 2], [[3, 2]], torch.tensor([3, 2])):
        single = soft_smith_waterman(similarity[0], 1.0, 0.5, lengths=form, backend=lane.backend)
        assert single.shape == ()
        assert torch.equal(single, scores[0][0])


def test_numbers_may_be_of_any_kind(lane):
    similarity = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1)).to(lane.device)
    expected = soft_smith_waterman(similarity, 1.0, 0.5, 2.0, backend=lane.backend)
    numbers = (np.float32(1), np.float64(0.5), np.int64(2)), (1, Fraction(1, 2), 2), (True, np.float16(0.5), 2)
    for gap_open, gap_extend, temperature in numbers:
        score = soft_smith_waterman(similarity, gap_open, gap_extend, temperature, backend=lane.backend)
        assert torch.equal(score, expected)


@pytest.mark.parametrize("penalty", [1e39, 10**400, float("inf")])
def test_a_penalty_beyond_the_range_of_the_type_forbids_gaps(lane, penalty):
    similarity = torch.full((3, 4), -100.0)
    similarity[0, 0] = similarity[1, 2] = 5.0
    score = soft_smith_waterman(similarity.to(lane.device), penalty, penalty, 0.1, backend=lane.backend)
    assert score.item() == pytest.approx(5.0 + 0.1 * np.log(2))


def test_check_values_is_a_switch_and_a_context():
    device = torch.device("meta")
    checked = registration.validation.values_are_checked
    assert checked(torch.device("cpu"))
    assert not checked(device)
    with lactoolkit.ops.check_values(True):
        assert checked(device)
        with check_values(False):
            assert not checked(device)
        assert checked(device)
    assert not checked(device)
    check_values(True)
    assert checked(device)
    check_values(False)
    assert not checked(device)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("backend", ["cuda", "torch"])
def test_on_cuda_nan_in_gives_nan_out_unless_values_are_checked(backend):
    similarity = with_value(NAN).cuda().requires_grad_()
    scores = soft_smith_waterman(similarity, 1.0, 1.0, backend=backend)
    scores.sum().backward()
    assert scores.isnan().tolist() == [False, True]
    with check_values(True), pytest.raises(ParameterError, match="similarity holds nan"):
        soft_smith_waterman(similarity, 1.0, 1.0, backend=backend)
    lengths = torch.tensor([[9, 1], [1, 1]]).cuda()
    with check_values(True), pytest.raises(ParameterError, match="lengths of pair 0"):
        soft_smith_waterman(TABLE.cuda(), 1.0, 1.0, lengths=lengths, backend=backend)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("backend", ["cuda", "torch"])
def test_works_on_a_side_stream(backend):
    similarity = torch.randn(4, 50, 60, device="cuda")
    soft_smith_waterman(similarity, 1.0, 0.5, backend=backend)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        # The input is ready only after a long wait on this very stream.
        late = torch.zeros_like(similarity)
        torch.cuda._sleep(200_000_000)
        late.copy_(similarity)
        scores = soft_smith_waterman(late.requires_grad_(), 1.0, 0.5, backend=backend)
        (gradient,) = torch.autograd.grad(scores.sum(), late)
    torch.cuda.synchronize()
    expected = similarity.cpu().requires_grad_()
    expected_scores = soft_smith_waterman(expected, 1.0, 0.5)
    torch.testing.assert_close(scores.cpu(), expected_scores, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient.cpu(), torch.autograd.grad(expected_scores.sum(), expected)[0])


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices")
@pytest.mark.parametrize("backend", ["cuda", "torch"])
def test_works_on_another_than_the_current_device(backend):
    similarity = torch.randn(2, 40, 30, device="cuda:1")
    scores = soft_smith_waterman(similarity, 1.0, 0.5, backend=backend)
    assert scores.device == similarity.device
    assert torch.cuda.current_device() == 0
    torch.testing.assert_close(scores.cpu(), soft_smith_waterman(similarity.cpu(), 1.0, 0.5), rtol=1e-5, atol=1e-5)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_replays_as_a_cuda_graph():
    similarity = torch.randn(2, 64, 64, device="cuda", requires_grad=True)

    def step():
        return torch.autograd.grad(soft_smith_waterman(similarity, 1.0, 0.5, backend="cuda").sum(), similarity)[0]

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gradient = step()
    with torch.no_grad():
        similarity.copy_(torch.randn(2, 64, 64, device="cuda"))
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(gradient, step())


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_cuda_without_a_device_says_what_to_use():
    with pytest.raises(BackendError, match=r"backend='cuda' needs a CUDA device .*backend='auto'"):
        soft_smith_waterman(TABLE, 1.0, 1.0, backend="cuda")


def test_kernels_of_another_device_are_refused():
    with pytest.raises(LacToolkitError, match=r"backend='cpu' cannot work .* on meta.*\.to\('cpu'\)"):
        registration.load_backend("cpu", torch.device("meta"))
    assert registration.load_backend("auto", torch.device("meta")).__name__.endswith("backend_torch")


def test_auto_falls_back_and_says_why(monkeypatch, caplog):
    expected = soft_smith_waterman(TABLE, 1.0, 1.0, backend="torch")
    monkeypatch.setitem(sys.modules, "lactoolkit.ops.backend_cpu", None)
    monkeypatch.delattr(lactoolkit.ops, "backend_cpu", raising=False)
    with caplog.at_level(logging.DEBUG, "lactoolkit"):
        assert torch.equal(soft_smith_waterman(TABLE, 1.0, 1.0), expected)
    assert "falling back to the torch backend" in caplog.text
    with pytest.raises(BackendError, match=r"backend 'cpu' do not load .*numba.*backend='torch'"):
        soft_smith_waterman(TABLE, 1.0, 1.0, backend="cpu")


def test_the_layer_learns_positive_penalties(lane):
    layer = SoftSmithWaterman(1.5, 0.25, 0.8, learnable=True, allow_empty=True, backend=lane.backend).to(lane.device)
    assert layer.gap_open.item() == pytest.approx(1.5)
    assert layer.gap_extend.item() == pytest.approx(0.25)
    similarity = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1)).to(lane.device)
    scores = layer(similarity, lengths=[(5, 6), (4, 3)])
    expected = soft_smith_waterman(
        similarity,
        softplus(layer.raw_gap_open),
        softplus(layer.raw_gap_extend),
        0.8,
        lengths=[(5, 6), (4, 3)],
        allow_empty=True,
        backend=lane.backend,
    )
    assert torch.equal(scores, expected)
    optimizer = torch.optim.SGD(layer.parameters(), lr=100.0)
    scores.sum().backward()
    optimizer.step()
    assert layer.gap_open > 0
    assert layer.gap_extend > 0
    assert layer(similarity[0]).shape == ()


def test_the_layer_keeps_its_penalties_in_its_state():
    fixed = SoftSmithWaterman(2.0, 0.0)
    assert list(fixed.parameters()) == []
    other = SoftSmithWaterman(1.0, 1.0)
    other.load_state_dict(fixed.state_dict())
    assert (other.gap_open.item(), other.gap_extend.item()) == (2.0, 0.0)
    assert repr(SoftSmithWaterman(30.0, 0.5, learnable=True)) == (
        "SoftSmithWaterman(gap_open=30, gap_extend=0.5, temperature=1.0, learnable=True)"
    )


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((-1.0,), {}, "gap_open is -1.0; .*from 0 up"),
        ((1.0, "1"), {}, "gap_extend must be a number .*not str"),
        ((1.0, 0.0), {"learnable": True}, "gap_extend is 0.0; it must be finite and above 0"),
        ((1.0, 1.0, 0.0), {}, "temperature is 0.0"),
        ((1.0, 1.0, 1.0), {"backend": "gpu"}, "backend is 'gpu'"),
    ],
)
def test_the_layer_refuses_bad_settings(arguments, options, message):
    with pytest.raises(ParameterError, match=message):
        SoftSmithWaterman(*arguments, **options)
