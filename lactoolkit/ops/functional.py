"""Differentiable local alignment: scores and posteriors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lactoolkit.ops import registration
from lactoolkit.ops.validation import (
    Lengths,
    Penalty,
    as_lengths,
    as_penalty,
    check_backend,
    check_similarity,
    check_temperature,
)


def soft_smith_waterman(
    similarity: Tensor,
    gap_open: Penalty,
    gap_extend: Penalty,
    temperature: float = 1.0,
    *,
    lengths: Lengths | None = None,
    allow_empty: bool = False,
    backend: str = "auto",
) -> Tensor:
    r"""Soft Smith-Waterman score: how well the best local alignments of two sequences score.

    The score is :math:`V = t \log \sum_\pi \exp(s_\pi / t)` over all local alignments :math:`\pi` with at least one
    matched pair. An alignment's score :math:`s_\pi` is the sum of the similarities of its matched pairs, less
    ``gap_open + (L - 1) * gap_extend`` for every run of ``L`` unmatched frames between them. As the temperature goes
    to zero it becomes the Smith-Waterman score with Gotoh's affine gaps. Differentiable twice in ``similarity``,
    ``gap_open`` and ``gap_extend``, in reverse and in forward mode; the derivatives are exact at every temperature.

    Parameters
    ----------
    similarity : Tensor, shape (N, M) or (B, N, M)
        Similarity of every frame of one sequence with every frame of the other; unrelated pairs should be negative.
        ``-inf`` forbids a pair. float16 and bfloat16 are computed in float32.
    gap_open, gap_extend : float or Tensor
        Penalties from 0 up, subtracted when a gap opens into a cell and when it extends into a cell. A tensor
        broadcasts to the shape of ``similarity`` ((B, 1, 1) is one per pair); its gradient has its own shape.
        They are converted to the similarity's dtype.
    temperature : float
        Positive; the lower, the closer to the single best alignment.
    lengths : integer Tensor or nested list, shape (B, 2), optional
        Rows and columns of each pair of a padded batch ((2,) for a single pair). What lies outside does not count, and
        does not change one bit of the result; it must still be free of NaN.
    allow_empty : bool
        Also count the empty alignment, of score 0. Then ``V >= 0``, ``exp(-V / temperature)`` is the probability that
        nothing aligns, and pairs of length zero are legal with score 0.
    backend : {"auto", "cpu", "cuda", "torch"}
        Kernels to use: Numba on the CPU, numba.cuda, or plain torch operations on any device. "auto" goes by the device
        of ``similarity`` and by what is installed, and logs at debug level when it falls back to "torch".

    Returns
    -------
    Tensor, shape (B,), or 0-d for an unbatched similarity
        Scores in the dtype of ``similarity``. -inf for a pair all of whose cells are forbidden.

    Raises
    ------
    ParameterError
        An argument has a wrong type, shape, device or value. NaN, negative penalties and lengths out of range are
        looked for on the CPU always, on other devices under :class:`lactoolkit.check_values`.
    BackendError
        The backend asked for cannot run here, or third derivatives are asked for.

    References
    ----------
    Smith & Waterman 1981; Gotoh 1982; Mensch & Blondel 2018 (derivatives); Petti et al. 2023; Oei et al. 2024.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit import soft_smith_waterman
    >>> similarity = torch.full((5, 6), -2.0)
    >>> similarity[1, 2] = similarity[2, 3] = similarity[3, 4] = 5.0   # three matches in a row
    >>> leaf = similarity.requires_grad_()
    >>> score = soft_smith_waterman(similarity, gap_open=2.0, gap_extend=1.0, temperature=0.2)
    >>> print(f"{score.item():.3f}")
    15.000
    >>> score.backward()
    >>> print(f"{similarity.grad[2, 3].item():.3f}")   # probability that this pair is matched
    1.000
    """
    table, arguments = _prepare(similarity, gap_open, gap_extend, temperature, lengths, allow_empty, backend)
    if _has_tangents(table, *arguments):
        scores = _score_forward(table, *arguments)
    else:
        scores = registration.score(table, *arguments)
    if similarity.dim() == 2:
        scores = scores.squeeze(0)
    return scores if scores.dtype == similarity.dtype else scores.to(similarity.dtype)


def alignment_posterior(
    similarity: Tensor,
    gap_open: Penalty,
    gap_extend: Penalty,
    temperature: float = 1.0,
    *,
    lengths: Lengths | None = None,
    allow_empty: bool = False,
    backend: str = "auto",
) -> Tensor:
    """Probability of each pair of frames to be matched, under the soft Smith-Waterman model.

    Local alignments are weighted by ``exp(score / temperature)``; the result is the total weight of those that match
    a pair, as a fraction of all. It equals the derivative of :func:`soft_smith_waterman` by ``similarity``, and is
    itself differentiable once in ``similarity``, ``gap_open`` and ``gap_extend`` (a Hessian-vector product).

    Parameters
    ----------
    similarity : Tensor, shape (N, M) or (B, N, M)
        See :func:`soft_smith_waterman`, also for the other arguments.
    gap_open, gap_extend : float or Tensor
        Gap penalties.
    temperature : float
        Positive.
    lengths : integer Tensor or nested list, shape (B, 2), optional
        Rows and columns of each pair of a padded batch.
    allow_empty : bool
        Also count the empty alignment.
    backend : {"auto", "cpu", "cuda", "torch"}
        Kernels to use.

    Returns
    -------
    Tensor, of the shape and dtype of ``similarity``
        Match posteriors between 0 and 1; each row and each column sums to at most 1. Zero outside ``lengths``.

    Raises
    ------
    ParameterError
        An argument has a wrong type, shape, device or value.
    BackendError
        The backend asked for cannot run here, or second derivatives of the posterior are asked for.

    Notes
    -----
    A derivative of the posterior is a covariance: the posterior of a pair times how much a sum of tangents (the
    upstream gradients of the posteriors along an alignment, over ``temperature``) is larger for alignments through this
    pair than for all. The kernels take the difference of the two sums, each rounded at every step; what all alignments
    have in common cancels, its rounding does not. For a posterior P and the expected sum A of the *absolute* tangents,
    the error of the derivative stays below ``(16 + sqrt(N + M)) u A P``, with u = 6e-8 in float32. In tables of
    thousands of rows whose tangents are of one sign this can be a thousandth of the largest derivative; float64, or
    ``backend="torch"``, which computes in float64, has no such limit.

    References
    ----------
    Mensch & Blondel 2018, Differentiable dynamic programming for structured prediction and attention.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit import alignment_posterior
    >>> similarity = 4.0 * torch.eye(4) - 2.0
    >>> posterior = alignment_posterior(similarity, gap_open=1.0, gap_extend=0.5, temperature=0.5)
    >>> print(f"{posterior[1, 1].item():.2f} {posterior[0, 3].item():.2f}")
    1.00 0.00
    """
    table, arguments = _prepare(similarity, gap_open, gap_extend, temperature, lengths, allow_empty, backend)
    if _has_tangents(table, *arguments):
        match = _posterior_forward(table, *arguments)
    else:
        match = registration.posterior(table, *arguments)[1]
    if similarity.dim() == 2:
        match = match.squeeze(0)
    return match if match.dtype == similarity.dtype else match.to(similarity.dtype)


def _prepare(
    similarity: Tensor,
    gap_open: Penalty,
    gap_extend: Penalty,
    temperature: float,
    lengths: Lengths | None,
    allow_empty: bool,
    backend: str,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor | None, float, bool, str]]:
    """Check types and shapes, and bring the arguments into the form that the operators take."""
    check_similarity(similarity)
    temperature = check_temperature(temperature)
    check_backend(backend)
    dtype = similarity.dtype if similarity.dtype in (torch.float32, torch.float64) else torch.float32
    penalties = (
        as_penalty("gap_open", gap_open, similarity, dtype),
        as_penalty("gap_extend", gap_extend, similarity, dtype),
    )
    checked_lengths = None if lengths is None else as_lengths(lengths, similarity)
    table = similarity if similarity.dim() == 3 else similarity.unsqueeze(0)
    if table.dtype != dtype:
        table = table.to(dtype)
    return table, (*penalties, checked_lengths, temperature, bool(allow_empty), backend)


def _has_tangents(*arguments: object) -> bool:
    """Whether forward-mode derivatives are wanted."""
    if forward_ad._current_level < 0:
        return False
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    return any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors)


def _score_forward(similarity: Tensor, gap_open: Tensor, gap_extend: Tensor, *settings: Any) -> Tensor:
    """Scores with their forward-mode derivative."""
    primals, tangents = zip(*map(forward_ad.unpack_dual, (similarity, gap_open, gap_extend)), strict=True)
    scores, *derivatives = registration.posterior(*primals, *settings)
    change = torch.zeros_like(scores)
    for derivative, tangent in zip(derivatives, tangents, strict=True):
        if tangent is not None:
            change = change + (derivative * tangent).sum((1, 2))
    return forward_ad.make_dual(scores, change)


def _posterior_forward(similarity: Tensor, gap_open: Tensor, gap_extend: Tensor, *settings: Any) -> Tensor:
    """Match posteriors with their forward-mode derivative, a product with the Hessian."""
    primals, tangents = zip(*map(forward_ad.unpack_dual, (similarity, gap_open, gap_extend)), strict=True)
    _, *derivatives = registration.posterior(*primals, *settings)
    directions = [
        None if tangent is None else tangent.expand(derivative.shape)
        for tangent, derivative in zip(tangents, derivatives, strict=True)
    ]
    change = registration.posterior_jvp(*primals, *settings, *directions)[1]
    return forward_ad.make_dual(derivatives[0], change)
