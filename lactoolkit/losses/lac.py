"""LAC: local alignment + contrast (Oei et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lactoolkit.errors import ParameterError
from lactoolkit.losses.frame_loss import FrameLoss, Views, masked_mean
from lactoolkit.losses.gap_penalties import PARAMETERISATIONS, make_gaps, softplus_inverse
from lactoolkit.losses.known_alignment import known_alignment
from lactoolkit.losses.scl import FLOOR, SCLConfig, gaussian_contrast, gaussian_exponents, within_reach
from lactoolkit.losses.video_pairs import (
    different_videos,
    other_process_partners,
    reversed_order,
    shuffled_blocks,
)
from lactoolkit.ops import alignment_posterior, soft_smith_waterman

OBJECTIVES = ("score", "fenchel_young", "posterior")
PAIRS = ("cross", "within")
# Added to posteriors under a logarithm, so that a pair that nearly no alignment matches still has a gradient.
_LEAST_POSTERIOR = 1e-4


@dataclass(frozen=True)
class LACConfig:
    """Settings of :class:`LACLoss`.

    The defaults are those that did best on videos held out of the training videos of three simulated robot tasks.

    Parameters
    ----------
    objective : {"score", "fenchel_young", "posterior"}
        What the local alignment term asks for.
    pairs : {"cross", "within"}
        Align views of different videos of a process, or the two views of each video. Only ``"score"`` can do without
        known times, that is across videos.
    gaps : {"scalar", "position", "context"}
        Parameterisation of the gap penalties.
    contrastive_weight, alignment_weight : float
        Weights of the two terms, from 0 up; a term of weight 0 is not computed.
    temperature : float
        Of the soft Smith-Waterman.
    gap_open, gap_extend : float
        Where the gap penalties start.
    scale, offset : float
        Where the similarity ``scale * (cosine - background - offset)`` starts; the offset stays above 0.
    scale_limit : float
        The scale stays below this.
    score_temperature : float
        Divides scores per frame before true order and wrong partners compete.
    shuffles : int
        Wrong partners with shuffled blocks, for each pair.
    shuffle_blocks : int
        Into how many runs of frames they are cut.
    most_pairs : int
        Pairs of different videos per batch; more than that are sampled.
    own_learning_rate : float
        For gap penalties, scale and offset.
    embedding_size : int
        Dimensions of the embeddings; matters for ``gaps="context"`` alone.
    variance, contrastive_temperature, reach : float
        Of the contrastive term, see :class:`lactoolkit.losses.scl.SCLConfig`.
    """

    objective: str = "score"
    pairs: str = "cross"
    gaps: str = "scalar"
    contrastive_weight: float = 1.0
    alignment_weight: float = 1.0
    temperature: float = 0.8
    gap_open: float = 1.0
    gap_extend: float = 1.0
    scale: float = 8.0
    offset: float = 0.3
    scale_limit: float = 20.0
    score_temperature: float = 3.0
    shuffles: int = 4
    shuffle_blocks: int = 8
    most_pairs: int = 16
    own_learning_rate: float = 0.1
    embedding_size: int = 128
    variance: float = 10.0
    contrastive_temperature: float = 0.1
    reach: float = 3.0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("objective", self.objective, OBJECTIVES),
            ("pairs", self.pairs, PAIRS),
            ("gaps", self.gaps, PARAMETERISATIONS),
        ):
            if value not in known:
                raise ParameterError(f"{name} is {value!r}; choose one of {', '.join(known)}")
        if self.pairs == "cross" and self.objective != "score":
            raise ParameterError(
                f'objective {self.objective!r} needs the known times of two views of one video: set pairs to "within", '
                'or objective to "score"'
            )
        for name in (
            "temperature",
            "score_temperature",
            "own_learning_rate",
            "scale_limit",
            "scale",
            "offset",
            "gap_open",
            "gap_extend",
            "variance",
            "contrastive_temperature",
            "reach",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be finite and above 0")
        if not self.scale < self.scale_limit:
            raise ParameterError(f"scale is {self.scale}; it must start below scale_limit, {self.scale_limit}")
        for name in ("contrastive_weight", "alignment_weight"):
            if not getattr(self, name) >= 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be at least 0")
        if self.contrastive_weight == 0 and self.alignment_weight == 0:
            raise ParameterError("contrastive_weight and alignment_weight are both 0; leave one above")
        for name, least in (("shuffles", 0), ("shuffle_blocks", 2), ("most_pairs", 1), ("embedding_size", 1)):
            if getattr(self, name) < least:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be at least {least}")

    @property
    def contrastive(self) -> SCLConfig:
        """Settings of the contrastive term."""
        return SCLConfig(self.variance, self.contrastive_temperature, self.reach)


class LACLoss(FrameLoss):
    r"""Gaussian-weighted contrastive loss plus a local alignment loss on the exact soft Smith-Waterman.

    The contrastive term is :class:`lactoolkit.losses.scl.SCLLoss`. The alignment term works on the similarity
    :math:`S = a (\cos - b - c)`. The background b is the mean cosine of all frame pairs of the tables to align, and a
    constant to the gradient; :math:`0 < a <` ``scale_limit`` and :math:`c > 0` are learnt. So random pairs of frames
    score below zero on average whatever is learnt; a free offset drifts to where the best local alignment is the whole
    video. V is the soft Smith-Waterman score, which counts the empty alignment of score 0, P its derivative by S, the
    match posteriors.

    - ``score``: V divided by the length of the shorter sequence competes in a softmax (of temperature
      ``score_temperature``) against the scores of the same pair with one partner back to front, of ``shuffles`` pairs
      with one partner shuffled in blocks and, where classes are given, of a pair with a video of another process; the
      loss is the cross-entropy. Partners are different videos of the process, or the other view (``pairs``).
    - ``fenchel_young``: V(S) less the score of the known alignment, gaps included, per matched frame. That is minus the
      temperature times the log-likelihood of the known alignment, with the gradient P less the known matches.
    - ``posterior``: cross-entropy between the Gaussian target of the known times and P, in both directions.

    Gap penalties stay above 0 by softplus. Deviations from the paper, whose published code minimises -V of the two
    views alone: its loss has no equilibrium in penalties and similarity, so every objective here has a target or
    negatives; its similarity 1 / distance is never negative; its penalties are a table tied to one clip length.

    A batch without a pair of different videos of one process leaves the alignment term out (0); a batch of one video is
    an error with ``pairs="cross"``.

    Parameters
    ----------
    config : LACConfig, optional
        Settings.

    References
    ----------
    Oei, Gomaa, Feit, Belo 2024, Self-Supervised Contrastive Learning for Videos using Differentiable Local Alignment;
    Blondel, Martins, Niculae 2020, Learning with Fenchel-Young losses.

    Examples
    --------
    >>> import torch
    >>> from lactoolkit.losses.lac import LACLoss
    >>> u, v = torch.nn.functional.normalize(torch.randn(2, 3, 20, 8), dim=-1)
    >>> positions, real = torch.arange(20.0).expand(3, 20), torch.ones(3, 20, dtype=torch.bool)
    >>> terms = LACLoss()(u, v, positions, positions, real, real)
    >>> list(terms.parts)
    ['contrastive', 'alignment']
    """

    def __init__(self, config: LACConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LACConfig()
        self.weights = {"contrastive": config.contrastive_weight, "alignment": config.alignment_weight}
        self.weights = {name: weight for name, weight in self.weights.items() if weight > 0}
        if "alignment" in self.weights:
            share = config.scale / config.scale_limit
            self.raw_scale = nn.Parameter(torch.tensor(math.log(share / (1 - share))))
            self.raw_offset = nn.Parameter(torch.tensor(softplus_inverse(config.offset)))
            self.gaps = make_gaps(config.gaps, config.gap_open, config.gap_extend, config.embedding_size)

    @property
    def scale(self) -> Tensor:
        """The similarity's scale a, 0-d."""
        return self.config.scale_limit * torch.sigmoid(self.raw_scale)

    @property
    def offset(self) -> Tensor:
        """How far above the background c a similarity of 0 lies, in cosines, 0-d."""
        return nn.functional.softplus(self.raw_offset)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """One group, of the learning rate ``own_learning_rate`` whatever the encoder's, without weight decay."""
        groups = super().parameter_groups(learning_rate)
        return [{**group, "lr": self.config.own_learning_rate} for group in groups]

    def readings(self) -> dict[str, Tensor]:
        """Scale and offset of the similarity, and the mean gap penalties (those of a frame of zeros, by context)."""
        if "alignment" not in self.weights:
            return {}
        with torch.no_grad():
            raw = nn.functional.softplus(self.gaps.get_parameter("raw")).flatten(
                1 if self.config.gaps == "position" else 0
            )
            gap_open, gap_extend = raw.mean(1) if raw.dim() == 2 else raw
            return {"scale": self.scale, "offset": self.offset, "gap_open": gap_open, "gap_extend": gap_extend}

    def terms(self, views: Views, classes: Tensor | None, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The parts ``contrastive`` and ``alignment``, as far as their weights are above 0."""
        parts = {}
        if "contrastive" in self.weights:
            parts["contrastive"] = gaussian_contrast(views, self.config.contrastive)
        if "alignment" in self.weights:
            objective = {"score": self._score, "fenchel_young": self._fenchel_young, "posterior": self._posterior}
            parts["alignment"] = objective[self.config.objective](views, classes, generator)
        return parts

    def _similarity(self, cosines: Tensor, background: Tensor) -> Tensor:
        return self.scale.to(cosines.dtype) * (cosines - (background + self.offset.to(cosines.dtype)))

    def _own_similarity(self, u: Tensor, v: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Similarity of pairs (P, N, M), and their background, 0-d."""
        cosines = u @ v.mT
        background = self._background(cosines, lengths)
        return self._similarity(cosines, background), background

    def _background(self, cosines: Tensor, lengths: Tensor) -> Tensor:
        # With its gradient, the loss would also push all pairs of frames apart, which is the contrastive term's part.
        # Embeddings behind the lengths are zeros, and so are their cosines.
        return cosines.detach().sum() / lengths.prod(1).sum().clamp(min=1)

    def _score(self, views: Views, classes: Tensor | None, generator: torch.Generator | None) -> Tensor:
        config = self.config
        first: Tensor
        second: Tensor
        if config.pairs == "within":
            first = second = torch.arange(len(views.u), device=views.u.device)
        else:
            first, second = different_videos(views, classes, config.most_pairs, generator)
        u, v = views.u[first], views.v[second]
        lengths = torch.stack([views.lengths_u[first], views.lengths_v[second]], 1)
        similarity, background = self._own_similarity(u, v, lengths)
        gap_open, gap_extend = self.gaps(u, v, lengths)

        # The true order first, then the wrong ones, all at once: on a GPU, every operation more costs its launch.
        partner, size = lengths[:, 1], v.shape[1]
        orders = [torch.arange(size, device=v.device).expand(len(v), -1), reversed_order(partner, size)]
        orders.append(shuffled_blocks(partner.repeat(config.shuffles), size, config.shuffle_blocks, generator))
        candidates = 2 + config.shuffles
        order = torch.cat(orders).view(candidates, len(v), size)
        tables = _reordered(similarity, order)
        if config.gaps == "context":
            gap_open, gap_extend = _reordered(gap_open, order), _reordered(gap_extend, order)
        elif config.gaps == "position":
            gap_open, gap_extend = gap_open.repeat(candidates, 1, 1), gap_extend.repeat(candidates, 1, 1)
        all_lengths = lengths.repeat(candidates, 1)
        exists: Tensor | None = None
        if classes is not None and bool((classes != classes[0]).any()):
            other, exists = other_process_partners(first, classes, generator)
            w = views.v[other]
            lengths_w = torch.stack([lengths[:, 0], views.lengths_v[other]], 1)
            tables = torch.cat([tables, self._similarity(u @ w.mT, background)])
            if config.gaps != "scalar":
                open_w, extend_w = self.gaps(u, w, lengths_w)
                gap_open, gap_extend = torch.cat([gap_open, open_w]), torch.cat([gap_extend, extend_w])
            all_lengths = torch.cat([all_lengths, lengths_w])
            exists &= lengths_w.amin(1) > 0

        scores = soft_smith_waterman(
            tables, gap_open, gap_extend, config.temperature, lengths=all_lengths, allow_empty=True
        )
        logits = scores / (all_lengths.amin(1).clamp(min=1) * config.score_temperature)
        if exists is not None:
            own = candidates * len(v)
            logits = torch.cat([logits[:own], logits[own:].masked_fill(~exists, FLOOR)])
            candidates += 1
        logits = logits.view(candidates, len(v))
        return masked_mean(-torch.log_softmax(logits, 0)[0], lengths.amin(1) > 0)

    def _fenchel_young(self, views: Views, classes: Tensor | None, generator: torch.Generator | None) -> Tensor:
        lengths = torch.stack([views.lengths_u, views.lengths_v], 1)
        similarity, _ = self._own_similarity(views.u, views.v, lengths)
        gap_open, gap_extend = self.gaps(views.u, views.v, lengths)
        known = known_alignment(views, math.sqrt(self.config.variance))
        score = soft_smith_waterman(
            similarity, gap_open, gap_extend, self.config.temperature, lengths=lengths, allow_empty=True
        )
        known_score = known.matched * similarity - known.opened * gap_open - known.extended * gap_extend
        excess = score - known_score.sum((1, 2))
        return masked_mean(excess / known.matched.sum((1, 2)).clamp(min=1), lengths.amin(1) > 0)

    def _posterior(self, views: Views, classes: Tensor | None, generator: torch.Generator | None) -> Tensor:
        config = self.config
        lengths = torch.stack([views.lengths_u, views.lengths_v], 1)
        gap_open, gap_extend = self.gaps(views.u, views.v, lengths)
        posterior = alignment_posterior(
            self._own_similarity(views.u, views.v, lengths)[0],
            gap_open,
            gap_extend,
            config.temperature,
            lengths=lengths,
            allow_empty=True,
        )
        log_posterior = torch.log(posterior + _LEAST_POSTERIOR)
        outside = ~views.table
        exponents = gaussian_exponents(views, config.variance)
        values, counted = [], []
        for dim in (2, 1):
            target = torch.softmax(exponents, dim).masked_fill(outside, 0.0)
            values.append(-(target * log_posterior).sum(dim))
            counted.append(within_reach(exponents, dim, config.reach))
        return masked_mean(torch.cat(values, 1), torch.cat(counted, 1))


def _reordered(table: Tensor, orders: Tensor) -> Tensor:
    """Columns of tables (P, N, M) in K orders, (K, P, M): (K P, N, M)."""
    shape = (*orders.shape[:2], *table.shape[1:])
    return table.expand(shape).gather(3, orders.unsqueeze(2).expand(shape)).flatten(0, 1)
