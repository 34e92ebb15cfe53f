"""What the CUDA kernels need of a warp: neighbours, votes, messages between blocks.

In numba's simulator (``NUMBA_ENABLE_CUDASIM=1``), which has no warp operations, blocks run one after another and the
threads of a block meet at barriers: there the exchange between lanes is emulated.

Messages between blocks
-----------------------
A message is a word of the floating-point type. Its place is filled with ones beforehand, a bit pattern that no
arithmetic produces; the receiver reads until the pattern is gone. Each word thus says for itself whether it has
arrived, so neither flags nor fences are needed and a message costs one trip through the L2 cache.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, cuda, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from lactoolkit.kernels.scaled_numbers import (
    cast_like,
    exponent_as_float,
    float_as_exponent,
    is_double,
    power_of_two,
    weight_of,
)

SIMULATED = bool(config.ENABLE_CUDASIM)

device_function = cuda.jit(device=True) if SIMULATED else cuda.jit(device=True, forceinline=True)
"""Decorator of the functions that kernels are made of. They are typed once each and inlined by the compiler of PTX."""

LANES = 32
SEGMENT = 8
"""Steps between two checkpoints; also the columns of one message."""

_ALL = 0xFFFFFFFF
_SIGN = np.int32(-(2**31))


@njit(inline="always")
def word_of_exponent(exponent, like):
    """An exponent as a message word or a state word; never all ones."""
    return exponent_as_float(np.int32(np.int32(exponent) ^ _SIGN), like)


@njit(inline="always")
def exponent_of_word(word):
    """The exponent that :func:`word_of_exponent` stored."""
    return np.int32(float_as_exponent(word) ^ _SIGN)


@njit(inline="always")
def kept_exponent(exponent, like):
    """An exponent as a word that only the own warp reads."""
    return exponent_as_float(np.int32(exponent), like)


@njit(inline="always")
def exponent_of_kept(word):
    """The exponent that :func:`kept_exponent` stored."""
    return np.int32(float_as_exponent(word))


@njit(inline="always")
def scale_of(exponent, like):
    """2**exponent in the floating-point type of ``like``."""
    return power_of_two(np.int32(exponent), like)


if SIMULATED:
    _exchanged: list[Any] = [None] * LANES

    @cuda.jit(device=True)
    def bounded_weight(value, c0, c0_rest, c1, c2, c3, c4):
        """exp(value / t) as a number, and its logarithm to base 2; for numbers within the range of the type."""
        mantissa, exponent = weight_of(value, c0, c1, c2, c3, c4)
        return mantissa * scale_of(exponent, value), value * c0

    @cuda.jit(device=True)
    def synchronise_warp():
        """Wait for all lanes, and make their shared memory visible."""
        cuda.syncthreads()

    @cuda.jit(device=True)
    def shuffle_xor(value, mask):
        """The value of the lane whose number differs in the bits of ``mask``."""
        lane = cuda.threadIdx.x
        _exchanged[lane] = value
        cuda.syncthreads()
        result = _exchanged[lane ^ mask]
        cuda.syncthreads()
        return result

    @cuda.jit(device=True)
    def shuffle_up(value):
        """The value of the lane before; lane 0 keeps its own."""
        lane = cuda.threadIdx.x
        _exchanged[lane] = value
        cuda.syncthreads()
        result = _exchanged[max(lane - 1, 0)]
        cuda.syncthreads()
        return result

    @cuda.jit(device=True)
    def shuffle_down(value):
        """The value of the lane after; the last lane keeps its own."""
        lane = cuda.threadIdx.x
        _exchanged[lane] = value
        cuda.syncthreads()
        result = _exchanged[min(lane + 1, LANES - 1)]
        cuda.syncthreads()
        return result

    @cuda.jit(device=True)
    def shuffle_from(value, lane):
        """The value of a lane."""
        _exchanged[cuda.threadIdx.x] = value
        cuda.syncthreads()
        result = _exchanged[lane]
        cuda.syncthreads()
        return result

    @cuda.jit(device=True)
    def all_lanes(condition):
        """Whether a condition holds in all lanes."""
        _exchanged[cuda.threadIdx.x] = condition
        cuda.syncthreads()
        result = all(_exchanged)
        cuda.syncthreads()
        return result

    @cuda.jit(device=True)
    def read_word(array, index):
        """A word that another block may be about to write."""
        return array[index]

    @cuda.jit(device=True)
    def write_word(array, index, value):
        """Write a word that another block waits for."""
        array[index] = value

    @cuda.jit(device=True)
    def has_arrived(word):
        """Whether a word has been written. Earlier blocks have finished in the simulator, so it must have been."""
        if np.float64(word).view(np.int64) == -1:
            raise RuntimeError("a block waits for a word that no earlier block has written")
        return True

else:

    @njit(inline="always")
    def synchronise_warp():
        """Wait for all lanes, and make their shared memory visible."""
        cuda.syncwarp()

    @njit(inline="always")
    def shuffle_xor(value, mask):
        """The value of the lane whose number differs in the bits of ``mask``."""
        return cuda.shfl_xor_sync(_ALL, value, mask)

    @njit(inline="always")
    def shuffle_up(value):
        """The value of the lane before; lane 0 keeps its own."""
        return cuda.shfl_up_sync(_ALL, value, 1)

    @njit(inline="always")
    def shuffle_down(value):
        """The value of the lane after; the last lane keeps its own."""
        return cuda.shfl_down_sync(_ALL, value, 1)

    @njit(inline="always")
    def shuffle_from(value, lane):
        """The value of a lane."""
        return cuda.shfl_sync(_ALL, value, lane)

    @njit(inline="always")
    def all_lanes(condition):
        """Whether a condition holds in all lanes."""
        return cuda.all_sync(_ALL, condition)

    def _element(context, builder, array_type, array, index):
        structure = context.make_array(array_type)(context, builder, array)
        pointer = builder.gep(structure.data, [index])
        return builder.addrspacecast(pointer, ir.PointerType(pointer.type.pointee, 1))

    @intrinsic
    def read_word(typing_context, array, index):
        """A word that another block may be about to write."""
        width = array.dtype.bitwidth

        def build(context, builder, signature, arguments):
            pointer = _element(context, builder, array, *arguments)
            value = context.get_value_type(array.dtype)
            kind = ir.FunctionType(value, [pointer.type])
            constraint = f"={'f' if width == 32 else 'd'},l,~{{memory}}"
            code = ir.InlineAsm(kind, f"ld.relaxed.gpu.global.f{width} $0, [$1];", constraint, side_effect=True)
            return builder.call(code, [pointer])

        return array.dtype(array, types.int64), build

    @intrinsic
    def write_word(typing_context, array, index, value):
        """Write a word that another block waits for."""
        width = array.dtype.bitwidth

        def build(context, builder, signature, arguments):
            pointer = _element(context, builder, array, *arguments[:2])
            kind = ir.FunctionType(ir.VoidType(), [pointer.type, arguments[2].type])
            constraint = f"l,{'f' if width == 32 else 'd'},~{{memory}}"
            code = ir.InlineAsm(kind, f"st.relaxed.gpu.global.f{width} [$0], $1;", constraint, side_effect=True)
            builder.call(code, [pointer, arguments[2]])
            return context.get_dummy_value()

        return types.void(array, types.int64, array.dtype), build

    @intrinsic
    def _exponential_2(typing_context, value):
        """2**value by the special function unit, to within 2 units in the last place."""

        def build(context, builder, signature, arguments):
            kind = ir.FunctionType(ir.FloatType(), [ir.FloatType()])
            return builder.call(ir.InlineAsm(kind, "ex2.approx.ftz.f32 $0, $1;", "=f,f"), [arguments[0]])

        return types.float32(types.float32), build

    @njit(inline="always")
    def bounded_weight(value, c0, c0_rest, c1, c2, c3, c4):
        """exp(value / t) as a number, and its logarithm to base 2; for numbers within the range of the type."""
        octaves = value * c0
        if is_double(value):
            mantissa, exponent = weight_of(value, c0, c1, c2, c3, c4)
            return mantissa * scale_of(exponent, value), octaves
        rest = cuda.fma(value, c0_rest, cuda.fma(value, c0, -octaves))
        rounded = cast_like(_exponential_2(octaves), value)
        return cuda.fma(rounded, rest * cast_like(0.6931471805599453, value), rounded), octaves

    @intrinsic
    def has_arrived(typing_context, word):
        """Whether a word has been written: its bits are not all ones."""

        def build(context, builder, signature, arguments):
            integer = ir.IntType(word.bitwidth)
            return cgutils.is_not_null(builder, builder.not_(builder.bitcast(arguments[0], integer)))

        return types.boolean(word), build


@device_function
def receive(work, index):
    """Wait for a word."""
    word = read_word(work, index)
    while not has_arrived(word):
        word = read_word(work, index)
    return word
