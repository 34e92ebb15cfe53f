"""Random problems for the tests of soft Smith-Waterman, and how results are compared with the oracles."""

from __future__ import annotations

import numpy as np
import reference
import torch

from lactoolkit import alignment_posterior, soft_smith_waterman

PENALTIES = ("float", "scalar", "per pair", "per cell")


def random_penalty(kind, batch, n, m, generator, dtype=torch.float64, low=0.2):
    """A penalty between ``low`` and ``low + 1``, broadcasting to (batch, n, m)."""
    shape = {"float": (), "scalar": (), "per pair": (batch, 1, 1), "per cell": (batch, n, m)}[kind]
    values = torch.rand(shape, generator=generator, dtype=dtype) + low
    return values.item() if kind == "float" else values


def random_problem(batch, n, m, kind="per cell", *, seed=0, dtype=torch.float64, scale=1.0):
    """Similarity (batch, n, m) of both signs and two penalties."""
    generator = torch.Generator().manual_seed(seed)
    similarity = scale * torch.randn(batch, n, m, generator=generator, dtype=dtype)
    gap_open, gap_extend = (random_penalty(kind, batch, n, m, generator, dtype) for _ in range(2))
    return similarity, gap_open, gap_extend


def first_order(similarity, gap_open, gap_extend, temperature, *, lane, **options):
    """Scores (B,), match posteriors and gradients of the summed score by two per-cell penalties, all on the CPU."""
    leaf = similarity.detach().to(lane.device).requires_grad_()
    penalties = [
        torch.as_tensor(p, dtype=leaf.dtype).to(lane.device).expand(leaf.shape).clone().requires_grad_()
        for p in (gap_open, gap_extend)
    ]
    scores = soft_smith_waterman(leaf, *penalties, temperature, backend=lane.backend, **options)
    gradients = torch.autograd.grad(scores.sum(), (leaf, *penalties))
    posterior = alignment_posterior(leaf.detach(), *penalties, temperature, backend=lane.backend, **options)
    assert torch.equal(posterior, gradients[0])
    return [x.detach().cpu() for x in (scores, *gradients)]


def plain_results(similarity, gap_open, gap_extend, temperature, *, lengths=None, allow_empty=False, dtype=np.float64):
    """What :func:`first_order` should give, by plain log-domain code of the given precision."""
    batch, n, m = similarity.shape
    tables = [
        torch.as_tensor(x, dtype=torch.float64).expand(similarity.shape).numpy()
        for x in (similarity, gap_open, gap_extend)
    ]
    scores = np.zeros(batch)
    outputs = np.zeros((3, batch, n, m))
    for b in range(batch):
        rows, columns = (n, m) if lengths is None else lengths[b]
        result = reference.plain_posterior(
            *(table[b, :rows, :columns] for table in tables), temperature, allow_empty=allow_empty, dtype=dtype
        )
        scores[b] = result.score
        for output, values in zip(outputs, result[1:], strict=True):
            output[b, :rows, :columns] = values
    return [torch.from_numpy(x) for x in (scores, *outputs)]


def assert_accurate(results, truths, plains, temperature):
    """Errors against float64 are at most twice those of plain code in the same precision, or a few roundings.

    A score is a logarithm in units of the temperature: it is not better than the rounding of ``temperature``.
    """
    for place, (result, truth, plain) in enumerate(zip(results, truths, plains, strict=True)):
        infinite = torch.isinf(truth)
        assert torch.equal(result.double()[infinite], truth[infinite])
        result, truth, plain = (x.double()[~infinite] for x in (result, truth, plain))
        if truth.numel():
            size = max(truth.abs().max().item(), temperature if place == 0 else 0.0)
            rounding = 4 * torch.finfo(results[0].dtype).eps * size
            allowed = 2 * (plain - truth).abs().max() + rounding
            assert (result - truth).abs().max() <= allowed
