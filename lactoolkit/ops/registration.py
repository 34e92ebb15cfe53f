"""Soft Smith-Waterman as operators of torch: what they compute, and how autograd goes through them.

Three operators stand between the public functions and the backends::

    sw_score          -> scores                                       nothing is kept
    sw_posterior      -> scores, match, d_open, d_extend              exact first derivatives
    sw_posterior_jvp  -> their rates of change along given tangents   the Hessian times a vector

The first derivatives are *outputs* of ``sw_posterior`` and are saved as such. A backward pass of the score is then a
product with tensors that autograd knows, and differentiating that product again arrives at ``sw_posterior`` with a
cotangent for the derivatives: because the Hessian is symmetric, this is one call of ``sw_posterior_jvp``.

On a CUDA device the product would move as many bytes as the kernels do. There, scores of plain tensors go another way:
the forward pass keeps what the kernels leave behind, and those of the backward pass are handed the upstream gradient.
Only a backward pass that is to be differentiated itself computes ``sw_posterior``.

The operators are defined with ``torch.library.Library`` and not with ``custom_op``, whose wrappers around the same
dispatcher cost more time per call than a small batch takes to align.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from lactoolkit.errors import BackendError
from lactoolkit.ops import backend_torch, validation
from lactoolkit.ops.eager import is_eager

logger = logging.getLogger(__name__)

_ARGUMENTS = (
    "Tensor similarity, Tensor gap_open, Tensor gap_extend, Tensor? lengths, "
    "float temperature, bool allow_empty, str backend"
)
_TANGENTS = "Tensor? tangent_similarity, Tensor? tangent_open, Tensor? tangent_extend"

_library = torch.library.Library("lactoolkit", "DEF")
for _schema in (
    f"sw_score({_ARGUMENTS}) -> Tensor",
    f"sw_posterior({_ARGUMENTS}) -> (Tensor, Tensor, Tensor, Tensor)",
    f"sw_posterior_jvp({_ARGUMENTS}, {_TANGENTS}) -> (Tensor, Tensor, Tensor, Tensor)",
):
    _library.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))

sw_score = torch.ops.lactoolkit.sw_score.default
sw_posterior = torch.ops.lactoolkit.sw_posterior.default
sw_posterior_jvp = torch.ops.lactoolkit.sw_posterior_jvp.default

_Four = tuple[Tensor, Tensor, Tensor, Tensor]


def load_backend(name: str, device: torch.device) -> ModuleType:
    """Return the module that computes on ``device``.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "torch"}
        Backend asked for.
    device : torch.device
        Where the similarity lies.

    Raises
    ------
    BackendError
        When that backend cannot run here, with the reason.
    """
    if name == "torch":
        return backend_torch
    if name == "auto":
        if device.type not in ("cpu", "cuda"):
            logger.debug("no kernels for device type %r: using the torch backend", device.type)
            return backend_torch
        try:
            return _load_kernels(device.type)
        except BackendError as error:
            logger.debug("falling back to the torch backend: %s", error)
            return backend_torch
    if name == "cuda" and not torch.cuda.is_available():
        raise BackendError("backend='cuda' needs a CUDA device and finds none; use backend='auto'")
    if name != device.type:
        raise BackendError(
            f"backend={name!r} cannot work on a similarity that is on {device}; "
            f"move it with .to({name!r}), or use backend='auto'"
        )
    return _load_kernels(name)


def _load_kernels(name: str) -> ModuleType:
    try:
        if name == "cpu":
            from lactoolkit.ops import backend_cpu

            return backend_cpu
        from lactoolkit.ops import backend_cuda

        return backend_cuda
    # Releases of numba-cuda that do not suit the installed NumPy fail with an AttributeError while they are imported.
    except (ImportError, AttributeError) as error:
        raise BackendError(
            f"the kernels of backend {name!r} do not load ({error}); install "
            f"{'numba' if name == 'cpu' else 'lactoolkit[cuda]'}, or use backend='torch'"
        ) from error


def _is_per_pair(penalty: Tensor) -> bool:
    return all(size == 1 for size in penalty.shape[-2:])


def _shape_penalties(similarity: Tensor, gap_open: Tensor, gap_extend: Tensor) -> tuple[Tensor, Tensor]:
    """Penalties as the backends take them: both (B, 1, 1) or both (B, N, M)."""
    shape = _penalty_shape(similarity, gap_open, gap_extend)
    return gap_open.expand(shape), gap_extend.expand(shape)


def _penalty_shape(similarity: Tensor, gap_open: Tensor, gap_extend: Tensor) -> tuple[int, ...]:
    if _is_per_pair(gap_open) and _is_per_pair(gap_extend):
        return similarity.shape[0], 1, 1
    return tuple(similarity.shape)


def _check(similarity: Tensor, gap_open: Tensor, gap_extend: Tensor, lengths: Tensor | None, allow_empty: bool) -> None:
    # Here and not in the public functions: an operator runs on real tensors also inside a compiled graph.
    if lengths is None or validation.values_are_checked(lengths.device):
        validation.check_lengths(lengths, similarity.shape[1], similarity.shape[2], allow_empty)
    if validation.values_are_checked(similarity.device):
        validation.check_table_values(similarity, gap_open, gap_extend)


def _score(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
    backend: str,
) -> Tensor:
    _check(similarity, gap_open, gap_extend, lengths, allow_empty)
    kernels = load_backend(backend, similarity.device)
    if similarity.numel() == 0:
        return similarity.new_zeros(similarity.shape[0])
    penalties = _shape_penalties(similarity, gap_open, gap_extend)
    return kernels.score(similarity, *penalties, lengths, temperature, allow_empty)


def _posterior(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
    backend: str,
) -> _Four:
    _check(similarity, gap_open, gap_extend, lengths, allow_empty)
    kernels = load_backend(backend, similarity.device)
    if similarity.numel() == 0:
        return _zeros(similarity, gap_open, gap_extend)
    penalties = _shape_penalties(similarity, gap_open, gap_extend)
    return kernels.posterior(similarity, *penalties, lengths, temperature, allow_empty)


def _posterior_jvp(
    similarity: Tensor,
    gap_open: Tensor,
    gap_extend: Tensor,
    lengths: Tensor | None,
    temperature: float,
    allow_empty: bool,
    backend: str,
    tangent_similarity: Tensor | None,
    tangent_open: Tensor | None,
    tangent_extend: Tensor | None,
) -> _Four:
    kernels = load_backend(backend, similarity.device)
    if similarity.numel() == 0:
        return _zeros(similarity, gap_open, gap_extend)
    penalties = _shape_penalties(similarity, gap_open, gap_extend)
    shapes = (similarity.shape, penalties[0].shape, penalties[1].shape)
    tangents = [
        similarity.new_zeros(shape) if tangent is None else tangent
        for tangent, shape in zip((tangent_similarity, tangent_open, tangent_extend), shapes, strict=True)
    ]
    return kernels.posterior_jvp(similarity, *penalties, lengths, temperature, allow_empty, *tangents)


def _zeros(similarity: Tensor, gap_open: Tensor, gap_extend: Tensor) -> _Four:
    shape = _penalty_shape(similarity, gap_open, gap_extend)
    return (
        similarity.new_zeros(similarity.shape[0]),
        similarity.new_zeros(similarity.shape),
        similarity.new_zeros(shape),
        similarity.new_zeros(shape),
    )


def _fake_score(similarity: Tensor, *_: Any) -> Tensor:
    return similarity.new_empty(similarity.shape[0])


def _fake_posterior(similarity: Tensor, gap_open: Tensor, gap_extend: Tensor, *_: Any) -> _Four:
    shape = _penalty_shape(similarity, gap_open, gap_extend)
    return (
        similarity.new_empty(similarity.shape[0]),
        similarity.new_empty(similarity.shape),
        similarity.new_empty(shape),
        similarity.new_empty(shape),
    )


def _run(operator: Any, compute: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Run an operator without recording it."""
    if is_eager(arguments[0]):
        return compute(*arguments)
    with torch._C._AutoDispatchBelowAutograd():
        return operator(*arguments)


class _ScoreFunction(torch.autograd.Function):
    """sw_score of a backend that computes the derivatives when they are asked for, times the upstream gradient."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        similarity, gap_open, gap_extend, lengths, temperature, allow_empty, backend = arguments
        _check(similarity, gap_open, gap_extend, lengths, allow_empty)
        ctx.kernels = load_backend(backend, similarity.device)
        ctx.settings = temperature, allow_empty, backend
        penalties = _shape_penalties(similarity, gap_open, gap_extend)
        # The call does not hold its tensors: what autograd has saved it lets go when the graph is done with.
        scores, ctx.call, tensors = ctx.kernels.sums(similarity, *penalties, lengths, temperature, allow_empty)
        ctx.save_for_backward(similarity, gap_open, gap_extend, lengths, *tensors)
        is_per_pair = penalties[0].shape[1:] == (1, 1)
        ctx.shared = tuple(is_per_pair and (gap.dim() < 3 or gap.shape[0] == 1) for gap in (gap_open, gap_extend))
        ctx.is_used = False
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        similarity, gap_open, gap_extend, lengths, *tensors = ctx.saved_tensors
        inputs = (similarity, gap_open, gap_extend)
        # A gradient that is itself to be differentiated, or one of a batch of gradients.
        if torch.is_grad_enabled() or not is_eager(gradients[0]):
            _, *derivatives = posterior(*inputs, lengths, *ctx.settings)
            derivatives = [gradients[0].view(-1, 1, 1) * derivative for derivative in derivatives]
        else:
            derivatives = ctx.kernels.gradients(ctx.call, tensors, gradients[0], shared=ctx.shared, again=ctx.is_used)
            ctx.is_used = True
        found = [_reduce(derivatives[k], inputs[k]) if ctx.needs_input_grad[k] else None for k in range(len(inputs))]
        return *found, None, None, None, None


class _PosteriorFunction(torch.autograd.Function):
    """sw_posterior with its derivative."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> _Four:
        scores, match, d_open, d_extend = _run(sw_posterior, _posterior, arguments)
        ctx.set_materialize_grads(False)
        ctx.settings = arguments[4:]
        ctx.save_for_backward(*arguments[:4], match, d_open, d_extend)
        return scores, match, d_open, d_extend

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        grad_scores, *tangents = gradients
        similarity, gap_open, gap_extend, lengths, *first_order = ctx.saved_tensors
        inputs = (similarity, gap_open, gap_extend)
        wanted = [k for k in range(3) if ctx.needs_input_grad[k]]
        results: list[Tensor | None] = [None] * 7
        if grad_scores is not None:
            for k in wanted:
                results[k] = _reduce(_scale(first_order[k], grad_scores, ctx.settings[-1]), inputs[k])
        if any(tangent is not None for tangent in tangents):
            _, *second_order = posterior_jvp(*inputs, lengths, *ctx.settings, *tangents)
            for k in wanted:
                term, first = _reduce(second_order[k], inputs[k]), results[k]
                results[k] = term if first is None else first + term
        return tuple(results)


def _scale(derivatives: Tensor, factors: Tensor, backend: str) -> Tensor:
    """Derivatives (B, N, M) times one factor for each pair, without torch's threads where ours can do it."""
    is_plain = is_eager(factors) and not torch.is_grad_enabled() and derivatives.is_contiguous()
    if is_plain and derivatives.device.type == "cpu" and derivatives.numel() >= validation.PARALLEL_NUMBERS:
        kernels = load_backend(backend, derivatives.device)
        if kernels is not backend_torch:
            return kernels.scale(derivatives, factors)
    return factors.view(-1, 1, 1) * derivatives


def _reduce(gradient: Tensor, argument: Tensor) -> Tensor:
    if gradient.shape == argument.shape:
        return gradient
    # A sum over nothing but dimensions of size 1 is a copy.
    return gradient.view_as(argument) if gradient.numel() == argument.numel() else gradient.sum_to_size(argument.shape)


class _PosteriorJvpFunction(torch.autograd.Function):
    """sw_posterior_jvp, the end of the road."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> _Four:
        return _run(sw_posterior_jvp, _posterior_jvp, arguments)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        raise BackendError(
            "third derivatives of soft Smith-Waterman are not available; "
            "detach what does not need them, or leave out create_graph=True on the second backward pass"
        )


def _needs_grad(arguments: tuple[Any, ...]) -> bool:
    return torch.is_grad_enabled() and any(
        isinstance(argument, Tensor) and argument.requires_grad for argument in arguments
    )


def _score_autograd(*arguments: Any) -> Tensor:
    if not _needs_grad(arguments):
        return _run(sw_score, _score, arguments)
    similarity, backend = arguments[0], arguments[-1]
    if similarity.numel() and is_eager(similarity) and hasattr(load_backend(backend, similarity.device), "gradients"):
        return _ScoreFunction.apply(*arguments)
    return _PosteriorFunction.apply(*arguments)[0]


def _posterior_autograd(*arguments: Any) -> _Four:
    if _needs_grad(arguments):
        return _PosteriorFunction.apply(*arguments)
    return _run(sw_posterior, _posterior, arguments)


def _posterior_jvp_autograd(*arguments: Any) -> _Four:
    if _needs_grad(arguments):
        return _PosteriorJvpFunction.apply(*arguments)
    return _run(sw_posterior_jvp, _posterior_jvp, arguments)


def score(*arguments: Any) -> Tensor:
    """``sw_score``, by the shortest way."""
    return (_score_autograd if is_eager(arguments[0]) else sw_score)(*arguments)


def posterior(*arguments: Any) -> _Four:
    """``sw_posterior``, by the shortest way."""
    return (_posterior_autograd if is_eager(arguments[0]) else sw_posterior)(*arguments)


def posterior_jvp(*arguments: Any) -> _Four:
    """``sw_posterior_jvp``, by the shortest way."""
    return (_posterior_jvp_autograd if is_eager(arguments[0]) else sw_posterior_jvp)(*arguments)


for _name, _compute, _fake, _autograd in (
    ("sw_score", _score, _fake_score, _score_autograd),
    ("sw_posterior", _posterior, _fake_posterior, _posterior_autograd),
    ("sw_posterior_jvp", _posterior_jvp, _fake_posterior, _posterior_jvp_autograd),
):
    _library.impl(_name, _compute, "CompositeExplicitAutograd")
    _library.impl(_name, _autograd, "Autograd")
    torch.library.register_fake(f"lactoolkit::{_name}", _fake, lib=_library)
