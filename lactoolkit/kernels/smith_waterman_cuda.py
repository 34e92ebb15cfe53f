"""Soft Smith-Waterman on a CUDA device: score, posteriors and Hessian-vector products of a batch of tables.

The three functions compute what those of :mod:`smith_waterman_cpu` do. They only put kernels on a stream: nothing is
allocated, nothing waits, so that they can be captured in a CUDA graph. Arguments that they share:

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

from lactoolkit.kernels.cuda_launch import ArgumentRoom, CompiledKernel, DeviceArray, fill_ones
from lactoolkit.kernels.cuda_layout import Kind, plan_layout
from lactoolkit.kernels.cuda_warp import LANES, SIMULATED
from lactoolkit.kernels.scaled_numbers import temperature_constants
from lactoolkit.kernels.smith_waterman_cuda_backward import make_backward
from lactoolkit.kernels.smith_waterman_cuda_forward import make_forward


def workspace_words(
    pairs: int, rows: int, columns: int, *, per_cell: bool, backward: bool = True, dual: bool = False
) -> int:
    """Words of the floating-point type that the workspace must have."""
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
    call = _Call(similarity, gap_open, gap_extend, None, lengths, temperature, allow_empty, workspace, stream, device)
    call.run(scores, None)


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
    call = _Call(similarity, gap_open, gap_extend, None, lengths, temperature, allow_empty, workspace, stream, device)
    call.run(scores, (match, d_open, d_extend))


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
    call = _Call(
        similarity, gap_open, gap_extend, tangents, lengths, temperature, allow_empty, workspace, stream, device
    )  # fmt: skip
    call.run(scores, (match, d_open, d_extend))


@functools.cache
def _kinds(per_cell: bool, dual: bool) -> list[Kind]:
    return [Kind(per_cell, dual, False), Kind(per_cell, True, True)]


@functools.lru_cache(maxsize=64)
def _constants(temperature: float, dtype: str) -> list[float]:
    """What :func:`weight_of` needs, and what its first number lacks of 1 / (t ln 2)."""
    constants = [float(value) for value in temperature_constants(temperature, dtype)]
    return [*constants, 1.0 / (temperature * math.log(2.0)) - constants[0]]


_layout = functools.lru_cache(maxsize=256)(lambda per_cell, dual, *sizes: plan_layout(_kinds(per_cell, dual), *sizes))


@functools.cache
def signature(direction: str, itemsize: int) -> tuple[Any, ...]:
    """Types of the arguments of a kernel, the same for all kinds."""
    array, longs, ints = (float32 if itemsize == 4 else float64)[::1], int64[::1], int32[::1]
    if direction == "forward":
        return *(array,) * 6, longs, array, array, ints, *(int64,) * 13, *(float64,) * 7
    return *(array,) * 6, longs, *(array,) * 4, ints, *(int64,) * 12, *(float64,) * 6


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


class _Call:
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
        stream: int,
        device: int,
    ) -> None:
        self.shape = _, rows, columns = similarity.shape
        self.per_cell = is_per_cell(gap_open)
        self.stream, self.device = stream, device
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
        if SIMULATED:
            self.counters = self.workspace.view(np.int32)
        else:
            self.counters = DeviceArray(workspace.address, workspace.size * (self.itemsize // 4), 4)
        self.constants = _constants(self.temperature, f"f{self.itemsize}")

    def run(self, scores: Any, outputs: tuple[Any, Any, Any] | None) -> None:
        pairs, rows, columns = self.shape
        layout = _layout(self.per_cell, self.dual, pairs, rows, columns, outputs is not None)
        fill_ones(self.workspace, layout.cleared * (self.itemsize // 4), self.stream)
        packed = {
            "forward": _room("forward", self.itemsize).pack([
                *self.inputs, self.lengths, _flat(scores), self.workspace, self.counters, *self.shape, *self.steps,
                layout.summaries, layout.finals, layout.forward_messages, layout.checkpoints, self.ragged,
                self.allow_empty, int(outputs is not None), int(self.dual), self.temperature, *self.constants,
            ]),
        }  # fmt: skip
        if outputs is not None:
            packed["backward"] = _room("backward", self.itemsize).pack([
                *self.inputs, self.lengths, *map(_flat, outputs), self.workspace, self.counters, *self.shape,
                *self.steps, layout.partials, layout.finals, layout.forward_messages, layout.backward_messages,
                layout.checkpoints, self.ragged, int(self.dual), *self.constants,
            ])  # fmt: skip
        stripes = pairs * -(-rows // LANES)
        # Both kinds use the same places: the first has done with them when the second begins.
        for kind in _kinds(self.per_cell, self.dual):
            for direction, arguments in packed.items():
                kernel = compiled(direction, kind, self.itemsize)
                kernel.launch(pairs if kind.wide else stripes, arguments, self.stream, self.device)


def _flat(array: Any) -> Any:
    return np.ascontiguousarray(array).reshape(-1) if SIMULATED else array


def _is_shared(gap: Any) -> bool:
    """Whether one penalty, or one table of them, serves all pairs."""
    return gap.strides[0] == 0 if SIMULATED else gap.is_shared
