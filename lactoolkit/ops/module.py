"""Soft Smith-Waterman as a layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lactoolkit.errors import ParameterError
from lactoolkit.ops.functional import soft_smith_waterman
from lactoolkit.ops.validation import Lengths, check_backend, check_penalty, check_temperature


class SoftSmithWaterman(nn.Module):
    """Soft Smith-Waterman score with gap penalties of its own, fixed or learnt.

    Learnable penalties are kept positive by softplus. Minimising the score alone pushes them up without end: give the
    objective negatives or a target.

    Parameters
    ----------
    gap_open, gap_extend : float
        Penalties (at the start, when learnable); above zero when learnable.
    temperature : float
        Positive.
    learnable : bool
        Whether the two penalties are parameters.
    allow_empty : bool
        Also count the empty alignment, see :func:`lactoolkit.soft_smith_waterman`.
    backend : {"auto", "cpu", "cuda", "torch"}
        Kernels to use.

    Raises
    ------
    ParameterError
        A penalty is negative (or zero when learnable), the temperature is not positive or the backend is unknown.

    References
    ----------
    Oei et al. 2024, Self-supervised contrastive learning for videos using differentiable local alignment.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit import SoftSmithWaterman
    >>> layer = SoftSmithWaterman(gap_open=1.0, gap_extend=0.5, temperature=0.8, learnable=True)
    >>> scores = layer(torch.randn(2, 6, 7))
    >>> scores.sum().backward()
    >>> print(f"{layer.gap_open.item():.2f}", layer.raw_gap_open.grad is not None)
    1.00 True
    """

    def __init__(
        self,
        gap_open: float = 1.0,
        gap_extend: float = 1.0,
        temperature: float = 1.0,
        *,
        learnable: bool = False,
        allow_empty: bool = False,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.temperature = check_temperature(temperature)
        check_backend(backend)
        self.allow_empty = allow_empty
        self.backend = backend
        self.learnable = learnable
        for name, given in (("gap_open", gap_open), ("gap_extend", gap_extend)):
            value = check_penalty(name, given.item() if isinstance(given, Tensor) else given)
            if learnable and not 0 < value < math.inf:
                raise ParameterError(f"{name} is {value}; it must be finite and above 0 to be learnable")
            if learnable:
                # Inverse of softplus, written so that large penalties do not overflow.
                raw = value + math.log(-math.expm1(-value))
                self.register_parameter(f"raw_{name}", nn.Parameter(torch.tensor(raw)))
            else:
                self.register_buffer(f"fixed_{name}", torch.tensor(value))

    @property
    def gap_open(self) -> Tensor:
        """Penalty of the first frame of a gap, a 0-d tensor."""
        return self._penalty("gap_open")

    @property
    def gap_extend(self) -> Tensor:
        """Penalty of each further frame of a gap, a 0-d tensor."""
        return self._penalty("gap_extend")

    def _penalty(self, name: str) -> Tensor:
        if self.learnable:
            return nn.functional.softplus(self.get_parameter(f"raw_{name}"))
        return self.get_buffer(f"fixed_{name}")

    def forward(self, similarity: Tensor, lengths: Lengths | None = None) -> Tensor:
        """Scores (B,) of a batch (B, N, M), or a 0-d score of one pair (N, M)."""
        return soft_smith_waterman(
            similarity,
            self.gap_open,
            self.gap_extend,
            self.temperature,
            lengths=lengths,
            allow_empty=self.allow_empty,
            backend=self.backend,
        )

    def extra_repr(self) -> str:
        """Settings, shown by ``repr``."""
        return (
            f"gap_open={self.gap_open.item():.4g}, gap_extend={self.gap_extend.item():.4g}, "
            f"temperature={self.temperature}, learnable={self.learnable}"
        )
