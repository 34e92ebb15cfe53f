"""Second derivatives, and how the operators behave as citizens of torch."""

import pytest
import reference
import torch
from ops_cases import PENALTIES, random_problem
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from lactoolkit import alignment_posterior, soft_smith_waterman
from lactoolkit.errors import BackendError
from lactoolkit.ops import backend_cpu, registration

TEMPERATURES = (0.1, 0.8, 1.0, 5.0)
RAGGED = ((3, 4), (2, 3))
# torch itself warns so when forward mode is first used.
LOADS_DECOMPOSITIONS = pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")


def leaves_on(lane, tensors):
    return [torch.as_tensor(x, dtype=torch.float64).to(lane.device).requires_grad_() for x in tensors]


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("kind", PENALTIES[1:])
def test_gradcheck_and_gradgradcheck_of_the_score(lane, kind, temperature):
    upstream = torch.tensor([1.7, -0.6], dtype=torch.float64, device=lane.device)

    def weighted(similarity, gap_open, gap_extend):
        options = {"lengths": RAGGED, "backend": lane.backend}
        return upstream * soft_smith_waterman(similarity, gap_open, gap_extend, temperature, **options)

    leaves = leaves_on(lane, random_problem(2, 3, 4, kind, seed=20))
    assert gradcheck(weighted, leaves)
    assert gradgradcheck(weighted, leaves)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("allow_empty", [False, True])
def test_gradcheck_of_the_posterior(lane, allow_empty, temperature):
    def posterior(similarity, gap_open, gap_extend):
        options = {"lengths": RAGGED, "allow_empty": allow_empty, "backend": lane.backend}
        return alignment_posterior(similarity, gap_open, gap_extend, temperature, **options)

    similarity, gap_open, _ = random_problem(2, 3, 4, seed=21)
    per_pair = torch.tensor([0.4, 0.9], dtype=torch.float64).view(2, 1, 1)
    assert gradcheck(posterior, leaves_on(lane, (similarity, gap_open, per_pair)))


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("allow_empty", [False, True])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 4), (5, 3), (1, 5)])
def test_hessian_products_equal_those_of_the_sum_over_all_alignments(lane, n, m, allow_empty, temperature):
    problem = random_problem(1, n, m, seed=22)
    directions = random_problem(1, n, m, seed=23)

    def product(score, leaves):
        gradients = torch.autograd.grad(score, leaves, create_graph=True)
        along = sum((g * d.to(g.device)).sum() for g, d in zip(gradients, directions, strict=True))
        if not along.requires_grad:
            return [torch.zeros_like(x).cpu() for x in leaves]
        products = torch.autograd.grad(along, leaves, allow_unused=True, materialize_grads=True)
        return [x.cpu().view(n, m) for x in products]

    leaves = leaves_on(lane, problem)
    truth_leaves = [x[0].clone().requires_grad_() for x in problem]
    expected = product(reference.enumerated_score(*truth_leaves, temperature, allow_empty), truth_leaves)
    score = soft_smith_waterman(*leaves, temperature, allow_empty=allow_empty, backend=lane.backend)
    for value, truth in zip(product(score.sum(), leaves), expected, strict=True):
        torch.testing.assert_close(value, truth.view(n, m), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", [(2, 65, 40), (1, 20, 130)])
def test_float32_hessian_products_are_as_good_as_the_precision(lane, shape):
    problem = random_problem(*shape, "per pair", seed=24)
    direction = random_problem(*shape, seed=25)[0].to(lane.device)
    results = []
    for dtype in (torch.float32, torch.float64):
        leaves = [x.float().to(lane.device, dtype).requires_grad_() for x in problem]
        posterior = alignment_posterior(*leaves, 0.8, backend=lane.backend)
        results.append(torch.autograd.grad((posterior * direction.to(dtype)).sum(), leaves))
    for single, double in zip(*results, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-5 * double.abs().max().item())


@pytest.mark.parametrize("common", [0.0, 3.0, 300.0])
def test_rounding_of_hessian_products_grows_with_what_the_tangents_have_in_common(kernel_lane, common):
    # The rounding error that the notes of alignment_posterior allow: of sums of tangents, not of what is left of them.
    problem = random_problem(2, 150, 170, "per pair", seed=33)
    tangents = [x.float() + common for x in random_problem(2, 150, 170, "per pair", seed=34)]
    results = []
    for dtype in (torch.float32, torch.float64):
        leaves = [x.float().to(kernel_lane.device, dtype).requires_grad_() for x in problem]
        score = soft_smith_waterman(*leaves, 0.8, backend=kernel_lane.backend).sum()
        gradients = torch.autograd.grad(score, leaves, create_graph=True)
        along = sum((g * t.to(g.device, dtype)).sum() for g, t in zip(gradients, tangents, strict=True))
        results.append([x.double().cpu() for x in torch.autograd.grad(along, leaves)])
    counts = [g.detach().abs().cpu() for g in gradients]
    travelled = sum((c * t.double().abs()).sum((1, 2)) for c, t in zip(counts, tangents, strict=True)) / 0.8
    allowed = (16 + (150 + 170) ** 0.5) * 2**-24 * travelled.view(2, 1, 1)
    for single, double, count in zip(*results, counts, strict=True):
        assert ((single - double).abs() <= allowed * count.amax((1, 2), keepdim=True)).all()
    if common == 0.0:
        assert (results[0][0] - results[1][0]).abs().max() <= 1e-4 * results[1][0].abs().max()


def test_a_loss_on_score_gradient_and_posterior_together(lane):
    def loss(similarity, gap_open, gap_extend):
        arguments = (similarity, gap_open, gap_extend, 0.8)
        score = soft_smith_waterman(*arguments, backend=lane.backend).square().sum()
        slopes = torch.autograd.grad(score, (gap_open, gap_extend), create_graph=True)
        posterior = alignment_posterior(*arguments, backend=lane.backend)
        return score + slopes[0].square().sum() + slopes[1].sum() + posterior.square().sum()

    assert gradcheck(loss, leaves_on(lane, random_problem(2, 3, 3, "scalar", seed=26)))


@LOADS_DECOMPOSITIONS
@pytest.mark.parametrize("kind", ["scalar", "per pair", "per cell"])
@pytest.mark.parametrize("function", [soft_smith_waterman, alignment_posterior])
def test_forward_mode_gives_the_slopes_that_differences_give(lane, function, kind):
    problem = [torch.as_tensor(x).to(lane.device) for x in random_problem(2, 3, 4, kind, seed=36)]
    directions = [torch.as_tensor(x).to(lane.device) for x in random_problem(2, 3, 4, kind, seed=37)]

    def along(*tensors):
        return function(*tensors, 0.8, lengths=RAGGED, backend=lane.backend)

    step = 1e-6
    ahead, behind = (along(*(x + s * d for x, d in zip(problem, directions, strict=True))) for s in (step, -step))
    expected = (ahead - behind) / (2 * step)
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(x, d) for x, d in zip(problem, directions, strict=True)]
        tangent = forward_ad.unpack_dual(along(*duals)).tangent
        only_one = forward_ad.unpack_dual(along(problem[0], duals[1], problem[2])).tangent
    torch.testing.assert_close(tangent, expected, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(torch.func.jvp(along, tuple(problem), tuple(directions))[1], tangent)
    zeros = [torch.zeros_like(x) for x in directions]
    torch.testing.assert_close(only_one, torch.func.jvp(along, tuple(problem), (zeros[0], directions[1], zeros[2]))[1])


@LOADS_DECOMPOSITIONS
def test_reverse_mode_goes_through_forward_mode_of_the_score(lane):
    similarity, direction = (random_problem(1, 4, 5, seed=seed)[0].to(lane.device) for seed in (38, 39))

    def score(table):
        return soft_smith_waterman(table, 0.7, 0.3, 0.9, backend=lane.backend).sum()

    leaf = similarity.clone().requires_grad_()
    with forward_ad.dual_level():
        slope = forward_ad.unpack_dual(score(forward_ad.make_dual(leaf, direction))).tangent
        (product,) = torch.autograd.grad(slope, leaf)
    (gradient,) = torch.autograd.grad(score(leaf), leaf, create_graph=True)
    torch.testing.assert_close(product, torch.autograd.grad((gradient * direction).sum(), leaf)[0])


def test_third_derivatives_say_that_they_are_not_available(lane):
    (leaf,) = leaves_on(lane, [random_problem(1, 3, 3, seed=27)[0]])
    loss = alignment_posterior(leaf, 1.0, 0.5, backend=lane.backend).square().sum()
    (gradient,) = torch.autograd.grad(loss, leaf, create_graph=True)
    with pytest.raises(BackendError, match="third derivatives"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("kind", ["scalar", "per pair", "per cell", "row", "column"])
def test_penalty_gradients_come_back_in_the_shape_of_the_penalty(lane, kind):
    shape = {"scalar": (), "per pair": (2, 1, 1), "per cell": (2, 3, 4), "row": (4,), "column": (1, 3, 1)}[kind]
    similarity, _, _ = random_problem(2, 3, 4, seed=28)
    leaf, penalty = leaves_on(lane, (similarity, torch.full(shape, 0.6)))
    full = penalty.detach().expand(2, 3, 4).clone().requires_grad_()
    for function in (soft_smith_waterman, alignment_posterior):
        results = []
        for gap in (penalty, full):
            value = function(leaf, gap, 0.3, 0.9, backend=lane.backend).square().sum()
            results.append(torch.autograd.grad(value, gap)[0])
        assert results[0].shape == shape
        torch.testing.assert_close(results[0], results[1].sum_to_size(shape))


def test_only_the_gradients_asked_for_are_returned(lane):
    similarity, gap_open, gap_extend = (x.to(lane.device) for x in random_problem(2, 3, 4, seed=29))
    gap_open.requires_grad_()
    for function in (soft_smith_waterman, alignment_posterior):
        (gradient,) = torch.autograd.grad(function(similarity, gap_open, gap_extend).square().sum(), gap_open)
        assert gradient.shape == gap_open.shape
        assert gradient.abs().sum() > 0


class LateBackend:
    """The CPU kernels with derivatives that are computed when they are asked for, as those of a CUDA device are."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        return getattr(backend_cpu, name)

    def sums(self, *arguments):
        similarity, gap_open, gap_extend, lengths, *settings = arguments
        return backend_cpu.score(*arguments), settings, (similarity, gap_open, gap_extend, lengths)

    def gradients(self, settings, tensors, factors, *, shared, again):
        self.asked.append(again)
        values = [factors.view(-1, 1, 1) * x for x in backend_cpu.posterior(*tensors, *settings)[1:]]
        return values[0], *(x.sum((0, 1, 2), True) if one else x for x, one in zip(values[1:], shared, strict=True))


@pytest.mark.parametrize("shapes", [((2, 1, 1), (2, 5, 4)), ((), (1, 1, 1)), ((), (2, 1, 1)), ((5, 4), ())])
def test_late_derivatives_are_those_of_the_posterior(shapes, monkeypatch):
    upstream = torch.tensor([1.7, -0.6], dtype=torch.float64)
    similarity = random_problem(2, 5, 4, seed=36)[0].requires_grad_()
    penalties = [torch.full(shape, value, dtype=torch.float64) for shape, value in zip(shapes, (1.5, 0.4), strict=True)]
    leaves = [similarity, penalties[0].requires_grad_(), penalties[1]]

    def derivatives(create_graph):
        scores = soft_smith_waterman(*leaves, 0.8, lengths=[[5, 4], [2, 3]])
        first = torch.autograd.grad(scores, leaves[:2], upstream, create_graph=create_graph, retain_graph=True)
        if not create_graph:
            assert all(
                torch.equal(x, y) for x, y in zip(first, torch.autograd.grad(scores, leaves[:2], upstream), strict=True)
            )
            return first
        return [*first, *torch.autograd.grad(sum(x.square().sum() for x in first), leaves[:2])]

    expected = derivatives(False), derivatives(True)
    backend = LateBackend()
    monkeypatch.setattr(registration, "load_backend", lambda name, device: backend)
    for create_graph, values in zip((False, True), expected, strict=True):
        for value, late in zip(values, derivatives(create_graph), strict=True):
            torch.testing.assert_close(late, value, rtol=1e-14, atol=1e-15)
    assert backend.asked == [False, True]
    scores = soft_smith_waterman(*leaves, 0.8, lengths=[[5, 4], [2, 3]])
    batched = torch.autograd.grad(scores, leaves[:2], torch.stack((upstream, -upstream)), is_grads_batched=True)
    assert backend.asked == [False, True]
    for value, both in zip(expected[0], batched, strict=True):
        torch.testing.assert_close(both, torch.stack((value, -value)), rtol=1e-14, atol=1e-15)


# The larger table is scaled by the kernels' threads on a CPU.
@pytest.mark.parametrize("size", [(6, 5), (130, 130)])
def test_a_batch_of_gradients_is_one_gradient_after_the_other(lane, size):
    similarity, gap_open, gap_extend = random_problem(2, *size, seed=38)
    leaves = leaves_on(lane, (similarity, gap_open[:1, :1, :1], gap_extend))
    scores = soft_smith_waterman(*leaves, 0.8, backend=lane.backend)
    upstreams = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, -0.5]], dtype=torch.float64, device=lane.device)
    batched = torch.autograd.grad(scores, leaves, upstreams, is_grads_batched=True, retain_graph=True)
    for row, upstream in enumerate(upstreams):
        for together, alone in zip(
            batched, torch.autograd.grad(scores, leaves, upstream, retain_graph=True), strict=True
        ):
            torch.testing.assert_close(together[row], alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(2, 1, 1), ()])
def test_backward_twice_gives_twice_the_gradient(lane, shape):
    similarity, gap_open, gap_extend = random_problem(2, 40, 33, seed=37)
    penalties = [gap[0, 0, 0].expand(shape).clone() for gap in (gap_open, gap_extend)]
    leaves = leaves_on(lane, (similarity, *penalties))
    loss = soft_smith_waterman(*leaves, 0.8, backend=lane.backend) @ torch.tensor([2.0, -1.0]).double().to(lane.device)
    loss.backward(retain_graph=True)
    once = [leaf.grad.clone() for leaf in leaves]
    loss.backward()
    for leaf, gradient in zip(leaves, once, strict=True):
        assert torch.equal(leaf.grad, 2 * gradient)


def operator_arguments(lane, kind, lengths, dtype=torch.float64):
    tensors = [torch.as_tensor(x, dtype=dtype) for x in random_problem(2, 3, 4, kind, seed=30)]
    leaves = [x.to(lane.device).requires_grad_() for x in tensors]
    sizes = None if lengths is None else torch.tensor(lengths, device=lane.device)
    return (*leaves, sizes, 0.8, False, lane.backend)


@pytest.mark.parametrize("kind", ["scalar", "per cell"])
@pytest.mark.parametrize("lengths", [None, RAGGED])
def test_opcheck(lane, kind, lengths):
    arguments = operator_arguments(lane, kind, lengths)
    for operator in (registration.sw_score, registration.sw_posterior):
        torch.library.opcheck(operator, arguments)
    table = torch.ones_like(arguments[0])
    gap = torch.ones(2, 1, 1, dtype=table.dtype, device=table.device) if kind == "scalar" else table
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    for tangents in ((table, gap, gap), (table, None, None)):
        torch.library.opcheck(registration.sw_posterior_jvp, (*arguments, *tangents), test_utils=checks)


# torch itself warns so while it loads its compiler, in releases before 2.12.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.* is deprecated:DeprecationWarning")
@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_compiles_without_a_graph_break(lane, dynamic, dtype):
    lengths = torch.tensor([[5, 6], [2, 6]], device=lane.device)

    def loss(u, v, gap_open):
        similarity = u @ v.transpose(1, 2)
        options = {"lengths": lengths, "allow_empty": True, "backend": lane.backend}
        score = soft_smith_waterman(similarity, gap_open, 0.5, 0.8, **options)
        single = soft_smith_waterman(similarity[0], gap_open, 0.5, backend=lane.backend)
        posterior = alignment_posterior(similarity, gap_open, gap_open, 0.8, **options)
        return score.square().sum() + single + (posterior.float().square()).sum()

    generator = torch.Generator().manual_seed(31)
    shapes = ((2, 5, 8), (2, 6, 8), ())
    leaves = [torch.rand(shape, generator=generator).to(lane.device, dtype).requires_grad_() for shape in shapes]
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    values = [function(*leaves) for function in (loss, compiled)]
    torch.testing.assert_close(values[0], values[1])
    gradients = [torch.autograd.grad(value, leaves) for value in values]
    for eager, traced in zip(*gradients, strict=True):
        torch.testing.assert_close(eager, traced)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(lane, dtype):
    similarity = random_problem(2, 9, 7, seed=32)[0].to(lane.device, dtype).requires_grad_()
    single = similarity.detach().float().requires_grad_()
    for function in (soft_smith_waterman, alignment_posterior):
        half_value = function(similarity, 0.5, 0.25, 0.8, backend=lane.backend)
        value = function(single, 0.5, 0.25, 0.8, backend=lane.backend)
        assert half_value.dtype == dtype
        assert torch.equal(half_value, value.to(dtype))
        upstream = torch.ones_like(half_value)
        half_gradient = torch.autograd.grad(half_value, similarity, upstream)[0]
        assert torch.equal(half_gradient, torch.autograd.grad(value, single, upstream.float())[0].to(dtype))


def test_works_under_autocast(lane):
    u, v = (x.float().to(lane.device).requires_grad_() for x in random_problem(2, 6, 8, seed=33)[:2])
    penalty = torch.tensor(0.5, device=lane.device, requires_grad=True)
    with torch.autocast(lane.device, torch.bfloat16):
        similarity = u @ v.transpose(1, 2)
        score = soft_smith_waterman(similarity, penalty, 0.25, backend=lane.backend)
        loss = score.float().sum() + alignment_posterior(similarity, penalty, 0.25, backend=lane.backend).sum()
    assert similarity.dtype == score.dtype == torch.bfloat16
    loss.backward()
    assert u.grad.dtype == penalty.grad.dtype == torch.float32
    assert all(bool(x.grad.isfinite().all()) for x in (u, v, penalty))


def test_the_similarity_decides_the_precision(lane):
    similarity = random_problem(1, 4, 4, seed=34)[0][0].float().to(lane.device)
    penalty = torch.tensor(0.5, dtype=torch.float64, device=lane.device, requires_grad=True)
    score = soft_smith_waterman(similarity, penalty, 0.2, backend=lane.backend)
    assert score.dtype == torch.float32
    assert score.shape == ()
    score.backward()
    assert penalty.grad.dtype == torch.float64


def test_gradients_agree_between_backends(lane):
    problem = random_problem(2, 40, 33, seed=35)
    results = []
    for backend, device in (("torch", "cpu"), (lane.backend, lane.device)):
        leaves = [x.to(device).requires_grad_() for x in problem]
        posterior = alignment_posterior(*leaves, 0.8, backend=backend)
        results.append([x.cpu() for x in torch.autograd.grad(posterior.square().sum(), leaves)])
    for expected, value in zip(*results, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
