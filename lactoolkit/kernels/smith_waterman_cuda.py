"""Soft Smith-Waterman on a CUDA device: score, posteriors and Hessian-vector products of a batch of tables.

:func:`score`, :func:`posterior` and :func:`posterior_jvp` compute what those of :mod:`smith_waterman_cpu` do;
:func:`sums` and :func:`gradients` are the two halves of a posterior, for a backward pass that comes later. They only
put kernels on a stream: nothing is allocated, nothing waits, so that they can be captured in a CUDA graph. Arguments
that they share:

similarity : (B, N, M) float32 or float64
    Similarity of every pair of positions; -inf forbids a pair.
gap_open, gap_extend : (B, 1, 1) or (B, N, M)
    Penalties, both of one shape. Those of all pairs may be shared.
lengths : (B, 2) int64, or None
    Lengths of each pair; None if all are N and M. With lengths, the outputs must be zero beforehand: only what lies
    inside the lengths is written.
temperature : float
    Positive.
allow_empty : bool
    Count the empty alignment, with score 0.
workspace : of :func:`workspace_words` words of the floating-point type
    Contents do not matter.
stream : int
    Handle of the CUDA stream.
device : int
    Number of the device, which must be the current one.

Arrays are given as :class:`DeviceArray` (NumPy arrays in numba's simulator), on that device and of one floating-point
type. At most the outputs and the workspace are written to.

Penalties of a pair that lie very far apart in units of the temperature need an exponent of their own for each state of
a cell. Which pairs these are is known on the device alone; so a second pair of kernels follows that does them, and
ends at once for all others.
"""

import functools
import math
from typing import Any

import numpy as np
from numba import float32, float64, int32, int64

from lactoolkit.kernels.cuda_launch import ArgumentRoom, CompiledKernel, DeviceArray, bind, fill_ones
from lactoolkit.kernels.cuda_layout import Kind, plan_layout
from lactoolkit.kernels.cuda_warp import LANES, SIMULATED
from lactoolkit.kernels.scaled_numbers import temperature_constants
from lactoolkit.kernels.smith_waterman_cuda_backward import make_backward
from lactoolkit.kernels.smith_waterman_cuda_forward import make_forward


def workspace_words(
    pairs: int, rows: int, columns: int, *, per_cell: bool, backward: bool = True, dual: bool = False
) -> int:
    """Words of the floating-point type that the workspace must have; without ``backward``, for :func:`score` alone."""
    return _layout(per_cell, dual, pairs, rows, columns, backward).size


def is_per_cell(gap_open: Any) -> bool:
    """Whether penalties are per cell; in a table of 1 x 1 they count as per pair."""
    return tuple(gap_open.shape[1:]) != (1, 1)


def score(
    similarity: Any,
    gap_open: Any,
    gap_extend: Any,
    lengths: Any,
    temperature: float,
    allow_empty: bool,
    scores: Any,
    workspace: Any,
    stream: int = 0,
    device: int = 0,
) -> None:
    """Write the scores (B,); see the module for the arguments."""
    call = Call(similarity, gap_open, gap_extend, None, lengths, temperature, allow_empty, workspace, device)
    call.sweep_forward(scores, stream, keep=False)


def sums(
    similarity: Any,
    gap_open: Any,
    gap_extend: Any,
    lengths: Any,
    temperature: float,
    allow_empty: bool,
    scores: Any,
    workspace: Any,
    stream: int = 0,
    device: int = 0,
) -> "Call":
    """Write the scores (B,), and leave in the workspace what :func:`gradients` needs."""
    call = Call(similarity, gap_open, gap_extend, None, lengths, temperature, allow_empty, workspace, device)
    call.sweep_forward(scores, stream, keep=True)
    return call


def gradients(
    call: "Call", factors: Any, match: Any, d_open: Any, d_extend: Any, stream: int = 0, *, again: bool = False
) -> None:
    """Write the derivatives of :func:`posterior`, times a factor (B,) for each pair, which may be one for all.

    ``call`` is what :func:`sums` returned; its arguments must still be as they were, and its workspace as it was left.
    ``d_open`` or ``d_extend`` of shape (1, 1, 1) gets the sum over all pairs. ``again`` if the workspace was used for
    this before.
    """
    call.sweep_backward((match, d_open, d_extend), stream, factors, clear=again)


def posterior(
    similarity: Any,
    gap_open: Any,
    gap_extend: Any,
    lengths: Any,
    temperature: float,
    allow_empty: bool,
    scores: Any,
    match: Any,
    d_open: Any,
    d_extend: Any,
    workspace: Any,
    stream: int = 0,
    device: int = 0,
) -> None:
    """Write the scores (B,) and their exact derivatives; see the module for the arguments.

    ``match`` (B, N, M) gets the posterior probability of each match; ``d_open`` and ``d_extend``, in the shape of the
    penalties, get negative expected counts.
    """
    call = Call(similarity, gap_open, gap_extend, None, lengths, temperature, allow_empty, workspace, device)
    call.sweep_forward(scores, stream, keep=True)
    call.sweep_backward((match, d_open, d_extend), stream)


def posterior_jvp(
    similarity: Any,
    gap_open: Any,
    gap_extend: Any,
    lengths: Any,
    temperature: float,
    allow_empty: bool,
    tangent_similarity: Any,
    tangent_open: Any,
    tangent_extend: Any,
    scores: Any,
    match: Any,
    d_open: Any,
    d_extend: Any,
    workspace: Any,
    stream: int = 0,
    device: int = 0,
) -> None:
    """Write the derivative of all results of :func:`posterior` along a direction.

    The tangents are shaped like the arguments they belong to, the outputs like those of :func:`posterior`. Since the
    Hessian is symmetric, the last three are the Hessian of the score times the tangents.
    """
    tangents = (tangent_similarity, tangent_open, tangent_extend)
    call = Call(
        similarity, gap_open, gap_extend, tangents, lengths, temperature, allow_empty, workspace, device
    )  # fmt: skip
    call.sweep_forward(scores, stream, keep=True)
    call.sweep_backward((match, d_open, d_extend), stream)


@functools.cache
def _kinds(per_cell: bool, dual: bool) -> tuple[Kind, Kind]:
    return Kind(per_cell, dual, False), Kind(per_cell, True, True)


@functools.lru_cache(maxsize=64)
def _constants(temperature: float, dtype: str) -> list[float]:
    """What :func:`weight_of` needs, and what its first number lacks of 1 / (t ln 2)."""
    constants = [float(value) for value in temperature_constants(temperature, dtype)]
    return [*constants, 1.0 / (temperature * math.log(2.0)) - constants[0]]


_layout = functools.lru_cache(maxsize=256)(lambda per_cell, dual, *sizes: plan_layout(*_kinds(per_cell, dual), *sizes))


@functools.cache
def signature(direction: str, itemsize: int) -> tuple[Any, ...]:
    """Types of the arguments of a kernel, the same for all kinds."""
    array, longs, ints = (float32 if itemsize == 4 else float64)[::1], int64[::1], int32[::1]
    if direction == "forward":
        return *(array,) * 6, longs, array, array, ints, *(int64,) * 14, *(float64,) * 7
    return *(array,) * 6, longs, *(array,) * 5, ints, *(int64,) * 19, *(float64,) * 6


def source(direction: str, kind: Kind, itemsize: int) -> tuple[Any, tuple[Any, ...]]:
    """The Python function of a kernel and the types of its arguments."""
    make = make_forward if direction == "forward" else make_backward
    return make(kind, np.float32 if itemsize == 4 else np.float64), signature(direction, itemsize)


@functools.cache
def _room(direction: str, itemsize: int) -> ArgumentRoom:
    return ArgumentRoom(signature(direction, itemsize))


@functools.cache
def compiled(direction: str, kind: Kind, itemsize: int) -> CompiledKernel:
    """The kernel of one kind for one floating-point type."""
    words = [word for word, is_so in kind._asdict().items() if is_so]
    name = "_".join(["soft_smith_waterman", direction, *words, f"float{8 * itemsize}"])
    # 16 warps on a multiprocessor instead of 12 to 15: 3 % faster on an H200. For the other kinds it would be too few.
    options = {"max_registers": 128} if itemsize == 4 and not any(kind) else {}
    return CompiledKernel(name, *source(direction, kind, itemsize), **options)


class Call:
    """Arguments of the kernels in the form in which they are launched."""

    def __init__(
        self,
        similarity: Any,
        gap_open: Any,
        gap_extend: Any,
        tangents: tuple[Any, Any, Any] | None,
        lengths: Any,
        temperature: float,
        allow_empty: bool,
        workspace: Any,
        device: int,
    ) -> None:
        self.shape = _, rows, columns = similarity.shape
        self.per_cell = is_per_cell(gap_open)
        self.device = device
        self.temperature, self.allow_empty = float(temperature), int(allow_empty)
        table = _flat(similarity)
        step = rows * columns if self.per_cell else 1
        self.steps = [0 if _is_shared(gap) else step for gap in (gap_open, gap_extend)]
        self.dual = tangents is not None
        others = [table] * 3 if tangents is None else [_flat(tangent) for tangent in tangents]
        self.ragged = int(lengths is not None)
        if lengths is None:
            self.lengths = np.zeros(1, np.int64) if SIMULATED else DeviceArray(table.address, 1, 8)
        else:
            self.lengths = _flat(lengths)
        self.inputs = [table, _flat(gap_open), _flat(gap_extend), *others]
        self.workspace = _flat(workspace)
        self.itemsize = table.itemsize
        self.words = self.itemsize // 4  # of 4 bytes
        if SIMULATED:
            self.counters = self.workspace.view(np.int32)
        else:
            self.counters = DeviceArray(workspace.address, workspace.size * self.words, 4)
        self.constants = _constants(self.temperature, f"f{self.itemsize}")

    def sweep_forward(self, scores: Any, stream: int, keep: bool) -> None:
        """Put the forward kernels on a stream; ``keep`` what the backward kernels need."""
        bind(self.device)
        layout = _layout(self.per_cell, self.dual, *self.shape, keep)
        cleared = layout.cleared if keep else layout.cleared_forward
        fill_ones(self.workspace, 0, cleared * self.words, stream)
        arrays = [*self.inputs, self.lengths, _flat(scores), self.workspace, self.counters]
        self._launch("forward", stream, arrays, [
            *self.shape, *self.steps, layout.summaries, layout.finals, layout.forward_messages,
            layout.wide_forward_messages, layout.checkpoints, self.ragged, self.allow_empty, int(keep), int(self.dual),
            self.temperature, *self.constants,
        ])  # fmt: skip

    def sweep_backward(
        self, outputs: tuple[Any, Any, Any], stream: int, factors: Any = None, clear: bool = False
    ) -> None:
        """Put the backward kernels on a stream, after :meth:`sweep_forward`; ``clear`` if not for the first time."""
        bind(self.device)
        layout = _layout(self.per_cell, self.dual, *self.shape, True)
        if clear:
            first = layout.cleared_forward
            fill_ones(self.workspace, first * self.words, (layout.cleared - first) * self.words, stream)
        factor_stride = -1 if factors is None else 0 if _is_shared(factors) else 1
        match, d_open, d_extend = map(_flat, outputs)
        sums = [int(not self.per_cell and output.size < self.shape[0]) for output in (d_open, d_extend)]
        factors = self.inputs[0] if factors is None else _flat(factors)
        arrays = [*self.inputs, self.lengths, factors, match, d_open, d_extend, self.workspace, self.counters]
        self._launch("backward", stream, arrays, [
            *self.shape, *self.steps, factor_stride, layout.cleared_forward * self.words, layout.partials,
            layout.finals, layout.pair_derivatives, layout.forward_messages, layout.wide_forward_messages,
            layout.backward_messages, layout.wide_backward_messages, layout.checkpoints, self.ragged, *sums,
            int(self.dual), *self.constants,
        ])  # fmt: skip

    def _launch(self, direction: str, stream: int, arrays: list[Any], numbers: list[Any]) -> None:
        pairs, rows, _ = self.shape
        packed = _room(direction, self.itemsize).pack(arrays, numbers)
        for kind in _kinds(self.per_cell, self.dual):
            blocks = pairs if kind.wide else pairs * -(-rows // LANES)
            compiled(direction, kind, self.itemsize).launch(blocks, packed, stream, self.device)


def _flat(array: Any) -> Any:
    return np.ascontiguousarray(array).reshape(-1) if SIMULATED else array


def _is_shared(gap: Any) -> bool:
    """Whether one penalty, or one table of them, serves all pairs."""
    return gap.strides[0] == 0 if SIMULATED else gap.is_shared
