"""Checks of the arguments of the differentiable functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from types import TracebackType

import torch
from torch import Tensor

from lactoolkit.errors import ParameterError
from lactoolkit.kernels import batches
from lactoolkit.ops.eager import scalar_like

Penalty = float | Tensor
Lengths = Tensor | Sequence[Sequence[int]] | Sequence[int]

BACKENDS = ("auto", "cpu", "cuda", "torch")

PARALLEL_NUMBERS = 2**15
"""From so many numbers on torch works with several threads, which then get in the way of the kernels' own."""

_check_device_values = False


class check_values:
    """Switch on (or off) the checks of values that would make a CUDA device wait.

    NaN, negative penalties and lengths out of range are always errors on the CPU, where looking is cheap. On a
    CUDA device looking means waiting for it, so values are checked there only while this switch is on; otherwise NaN in
    gives NaN out.

    Parameters
    ----------
    enabled : bool
        Whether to check. The switch acts at once, for all threads; as a context manager it is put back at the end.

    Examples
    --------
    >>> import torch, lactoolkit
    >>> from lactoolkit.ops import check_values
    >>> with check_values(True):
    ...     score = lactoolkit.soft_smith_waterman(torch.eye(3), 1.0, 0.5)
    """

    def __init__(self, enabled: bool = True) -> None:
        global _check_device_values
        self._before = _check_device_values
        _check_device_values = bool(enabled)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _check_device_values
        _check_device_values = self._before


def values_are_checked(device: torch.device) -> bool:
    """Whether values on this device are looked at."""
    return device.type == "cpu" or _check_device_values


def check_similarity(similarity: Tensor) -> None:
    """Check type and rank of the similarity.

    Raises
    ------
    ParameterError
        When it is not a floating-point tensor of shape (N, M) or (B, N, M).
    """
    if not isinstance(similarity, Tensor):
        raise ParameterError(
            f"similarity must be a torch tensor, not {type(similarity).__name__}; wrap it with torch.as_tensor(...)"
        )
    if similarity.layout is not torch.strided:
        raise ParameterError(f"similarity has layout {similarity.layout}; make it dense with .to_dense()")
    if not similarity.is_floating_point():
        raise ParameterError(f"similarity has dtype {similarity.dtype}; convert it to floating point with .float()")
    if similarity.dim() not in (2, 3):
        raise ParameterError(
            f"similarity has shape {tuple(similarity.shape)}; it must be (N, M) for one pair or (B, N, M) for a batch"
        )


def check_temperature(temperature: float) -> float:
    """Return the temperature as a Python float.

    Raises
    ------
    ParameterError
        When it is not a finite number above zero.
    """
    if not isinstance(temperature, (int, float, Real)):
        raise ParameterError(
            f"temperature must be a Python number, not {type(temperature).__name__}; it is not differentiated"
        )
    value = _as_float(temperature)
    if not 0.0 < value < math.inf:
        raise ParameterError(f"temperature is {value}; it must be finite and above 0 (1.0 is a good start)")
    return value


def check_backend(backend: str) -> None:
    """Check that a backend of this name exists; whether it can run here shows when it is used.

    Raises
    ------
    ParameterError
        When there is none.
    """
    if backend not in BACKENDS:
        raise ParameterError(f"backend is {backend!r}; choose one of {', '.join(BACKENDS)}")


def check_penalty(name: str, penalty: float) -> float:
    """Return a gap penalty that is a number as a Python float; one beyond its range is infinite.

    Raises
    ------
    ParameterError
        When it is no number from zero up.
    """
    if not isinstance(penalty, (int, float, Real)):
        raise ParameterError(
            f"{name} must be a number or a torch tensor, not {type(penalty).__name__}; "
            "give a number from 0 up, or wrap an array with torch.as_tensor(...)"
        )
    value = _as_float(penalty)
    if not value >= 0:
        raise ParameterError(f"{name} is {value}; penalties are subtracted, so give a number from 0 up")
    return value


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        # Of an integer; other numbers beyond the range are infinite by themselves.
        return math.inf if number > 0 else -math.inf


def as_penalty(name: str, penalty: Penalty, similarity: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a gap penalty as a tensor of the dtype computed in, on the similarity's device, in its own shape.

    Raises
    ------
    ParameterError
        When it is neither a number from zero up nor a floating-point tensor on the similarity's device that
        broadcasts to the similarity's shape.
    """
    if not isinstance(penalty, Tensor):
        value = check_penalty(name, penalty)
        # Beyond the range of the type a penalty forbids the gap, as it does when a tensor of it is converted.
        value = value if value <= torch.finfo(dtype).max else math.inf
        return scalar_like(value, dtype, similarity)
    if penalty.layout is not torch.strided:
        raise ParameterError(f"{name} has layout {penalty.layout}; make it dense with .to_dense()")
    if not penalty.is_floating_point():
        raise ParameterError(f"{name} has dtype {penalty.dtype}; convert it to floating point with .float()")
    if penalty.device != similarity.device:
        raise ParameterError(
            f"{name} is on {penalty.device} but similarity is on {similarity.device}; "
            "move it with .to(similarity.device)"
        )
    shape, table = penalty.shape, similarity.shape
    if len(shape) > len(table) or any(
        size not in (1, wanted) for size, wanted in zip(reversed(shape), reversed(table), strict=False)
    ):
        raise ParameterError(
            f"{name} has shape {tuple(shape)}, which does not broadcast to the similarity's {tuple(table)}"
            f"{'; one penalty per pair has shape (B, 1, 1)' if len(shape) == 1 else ''}"
        )
    return penalty if penalty.dtype == dtype else penalty.to(dtype)


def as_lengths(lengths: Lengths, similarity: Tensor) -> Tensor:
    """Return lengths as an int64 tensor (B, 2) on the similarity's device.

    Raises
    ------
    ParameterError
        When they are not integers of shape (B, 2), or (2,) for a single pair.
    """
    try:
        tensor = lengths if isinstance(lengths, Tensor) else torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(f"lengths must hold the pair (n, m) for each pair of the batch: {error}") from error
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ParameterError(f"lengths have dtype {tensor.dtype}; give integers, for instance with .long()")
    batch = similarity.shape[0] if similarity.dim() == 3 else 1
    if similarity.dim() == 2 and tensor.shape == (2,):
        tensor = tensor.unsqueeze(0)
    if tuple(tensor.shape) != (batch, 2):
        raise ParameterError(
            f"lengths have shape {tuple(tensor.shape)}; for a similarity of shape {tuple(similarity.shape)} "
            f"give ({batch}, 2): the number of rows and columns of each pair"
        )
    # Lengths usually come from a data loader on the CPU, like those of torch's pack_padded_sequence.
    if tensor.device != similarity.device and tensor.device.type != "cpu":
        raise ParameterError(
            f"lengths are on {tensor.device} but similarity is on {similarity.device}; "
            "move them with .to(similarity.device)"
        )
    return tensor.to(similarity.device, torch.int64)


def check_lengths(lengths: Tensor | None, rows: int, columns: int, allow_empty: bool) -> None:
    """Check the lengths (B, 2) against a table of ``rows`` x ``columns``.

    Raises
    ------
    ParameterError
        When one lies outside 1 to the size of the table (0 is allowed with ``allow_empty``).
    """
    least = 0 if allow_empty else 1
    remedy = "" if allow_empty else "; pass allow_empty=True to give empty pairs the score 0"
    if lengths is None:
        if min(rows, columns) < least:
            raise ParameterError(f"similarity is a table of {rows} x {columns} without any pair of frames{remedy}")
        return
    for pair, (n, m) in enumerate(lengths.tolist()):
        if not (least <= n <= rows and least <= m <= columns):
            raise ParameterError(
                f"lengths of pair {pair} are ({n}, {m}); they must lie within {least}..{rows} and {least}..{columns}"
                f"{remedy if min(n, m) == 0 else ''}"
            )


def check_table_values(similarity: Tensor, gap_open: Tensor, gap_extend: Tensor) -> None:
    """Check the numbers in the tables: no NaN, no +inf in the similarity, no negative penalty.

    Raises
    ------
    ParameterError
        Naming the first offending value.
    """
    if similarity.numel() and not _is_below_infinity(similarity):
        place, value = _first(similarity, ~(similarity < math.inf))
        raise ParameterError(
            f"similarity holds {value} at {place}; use finite numbers, or -inf for pairs that must not be matched"
        )
    for name, penalty in (("gap_open", gap_open), ("gap_extend", gap_extend)):
        count = penalty.numel()
        if count and not (penalty if count == 1 else penalty.amin()).item() >= 0:
            place, value = _first(penalty, ~(penalty >= 0))
            raise ParameterError(
                f"{name} holds {value}{f' at {place}' if place else ''}; penalties are subtracted, so keep them "
                "from 0 up (torch.nn.functional.softplus keeps learnt ones positive)"
            )


def _is_below_infinity(table: Tensor) -> bool:
    if table.numel() >= PARALLEL_NUMBERS and table.device.type == "cpu" and table.is_contiguous():
        return batches.is_below_infinity(table.detach().numpy())
    # One reduction: amax and amin hand NaN through, and every comparison with NaN is false.
    return table.amax().item() < math.inf


def _first(table: Tensor, wrong: Tensor) -> tuple[tuple[int, ...], float]:
    place = tuple(int(index) for index in wrong.nonzero()[0])
    return place, float(table[place])
