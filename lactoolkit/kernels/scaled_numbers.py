"""Scaled numbers ``mantissa * 2**exponent``: the bit operations, sums and products that the cells are made of.

A scaled number has a floating-point mantissa and an int32 exponent, so that it neither over- nor underflows.
Exponents are read, compared and applied with integer instructions. Zero has the exponent ``EMPTY``, which is below
that of every number that can occur. All functions take scalars and are inlined into ``@njit`` and ``@cuda.jit`` code.
"""

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, njit, types

# A call of an intrinsic lacks the typing context of its definition, which confuses type checkers.
intrinsic: Any = extending.intrinsic

EMPTY = np.int32(-(2**29))
"""Exponent of a number that is zero."""

MAX_WEIGHT_EXPONENT = np.int32(2**20)
"""exp(S/t) above 2**MAX_WEIGHT_EXPONENT becomes NaN; below 2**-MAX_WEIGHT_EXPONENT the pair is forbidden."""


def _width(float_type: Any) -> tuple[int, int]:
    return (32, 23) if float_type == types.float32 else (64, 52)


@intrinsic
def exponent_of(typing_context, value):
    """Exponent of a normal floating-point number; -127 or -1023 for zero, 128 or 1024 for NaN."""
    bits, mantissa_bits = _width(value)

    def build(context, builder, signature, arguments):
        integer = ir.IntType(bits)
        raw = builder.bitcast(arguments[0], integer)
        shifted = builder.lshr(raw, ir.Constant(integer, mantissa_bits))
        biased = builder.and_(shifted, ir.Constant(integer, 2 ** (bits - mantissa_bits - 1) - 1))
        bias = 2 ** (bits - mantissa_bits - 2) - 1
        unbiased = builder.sub(biased, ir.Constant(integer, bias))
        return unbiased if bits == 32 else builder.trunc(unbiased, ir.IntType(32))

    return types.int32(value), build


@intrinsic
def power_of_two(typing_context, exponent, like):
    """2**exponent in the floating-point type of ``like``; 0 below the smallest normal number, infinite above."""
    bits, mantissa_bits = _width(like)
    exponent_bits = bits - mantissa_bits - 1
    bias = 2 ** (exponent_bits - 1) - 1
    result = types.float32 if bits == 32 else types.float64

    def build(context, builder, signature, arguments):
        given = arguments[0]
        narrow = ir.IntType(32)
        if given.type.width > 32:
            given = builder.trunc(given, narrow)
        low, high = ir.Constant(narrow, -bias), ir.Constant(narrow, bias + 1)
        given = builder.select(builder.icmp_signed("<", given, low), low, given)
        given = builder.select(builder.icmp_signed(">", given, high), high, given)
        biased = builder.add(given, ir.Constant(narrow, bias))
        integer = ir.IntType(bits)
        raw = biased if bits == 32 else builder.zext(biased, integer)
        return builder.bitcast(builder.shl(raw, ir.Constant(integer, mantissa_bits)), context.get_value_type(result))

    return result(exponent, like), build


@intrinsic
def fraction_of_two(typing_context, exponent, like):
    """:func:`power_of_two` for an exponent that is at most 0, with fewer instructions."""
    bits, mantissa_bits = _width(like)
    bias = 2 ** (bits - mantissa_bits - 2) - 1
    result = types.float32 if bits == 32 else types.float64

    def build(context, builder, signature, arguments):
        given = arguments[0]
        narrow = ir.IntType(32)
        if given.type.width > 32:
            given = builder.trunc(given, narrow)
        biased = builder.add(given, ir.Constant(narrow, bias))
        none = ir.Constant(narrow, 0)
        biased = builder.select(builder.icmp_signed("<", biased, none), none, biased)
        integer = ir.IntType(bits)
        raw = biased if bits == 32 else builder.zext(biased, integer)
        return builder.bitcast(builder.shl(raw, ir.Constant(integer, mantissa_bits)), context.get_value_type(result))

    return result(exponent, like), build


@intrinsic
def exponent_as_float(typing_context, exponent, like):
    """An exponent in the clothes of a floating-point number of the type of ``like``, to be stored among mantissas."""
    bits, _ = _width(like)
    result = types.float32 if bits == 32 else types.float64

    def build(context, builder, signature, arguments):
        raw = arguments[0]
        if raw.type.width > bits:
            raw = builder.trunc(raw, ir.IntType(bits))
        elif raw.type.width < bits:
            raw = builder.sext(raw, ir.IntType(bits))
        return builder.bitcast(raw, context.get_value_type(result))

    return result(exponent, like), build


@intrinsic
def float_as_exponent(typing_context, value):
    """The exponent that :func:`exponent_as_float` stored."""
    bits, _ = _width(value)

    def build(context, builder, signature, arguments):
        raw = builder.bitcast(arguments[0], ir.IntType(bits))
        return raw if bits == 32 else builder.trunc(raw, ir.IntType(32))

    return types.int32(value), build


@intrinsic
def times_power_of_two(typing_context, value, rounded):
    """``value`` times 2**n, where adding :func:`rounding_number` to n gave ``rounded``; both must be normal numbers."""
    bits, mantissa_bits = _width(value)

    def build(context, builder, signature, arguments):
        integer = ir.IntType(bits)
        raw, shifted = (builder.bitcast(argument, integer) for argument in arguments)
        # All but n is shifted out.
        shifted = builder.shl(shifted, ir.Constant(integer, mantissa_bits))
        return builder.bitcast(builder.add(raw, shifted), context.get_value_type(value))

    return value(value, rounded), build


@intrinsic
def is_double(typing_context, value):
    """Whether the type is float64; a constant to the compiler."""
    constant = value != types.float32

    def build(context, builder, signature, arguments):
        return context.get_constant(types.boolean, constant)

    return types.boolean(value), build


@intrinsic
def cast_like(typing_context, value, like):
    """``value`` in the floating-point type of ``like``."""
    result = types.float32 if like == types.float32 else types.float64

    def build(context, builder, signature, arguments):
        return context.cast(builder, arguments[0], value, result)

    return result(value, like), build


@functools.lru_cache(maxsize=64)
def temperature_constants(temperature: float, dtype: Any) -> np.ndarray:
    """Constants that :func:`weight_of` needs to split ``exp(value / temperature)``.

    Parameters
    ----------
    temperature : float
        The temperature t; negative for penalties, ``exp(-value / t)``.
    dtype : numpy.dtype
        float32 or float64.

    Returns
    -------
    numpy.ndarray, (5,)
        ``1 / (t ln 2)``, ``t ln 2`` in three parts, of which the first two have so few bits that their product with an
        exponent is exact, and ``1 / t``.
    """
    step = temperature * float(np.log(2.0))
    few_bits = 10 if np.dtype(dtype) == np.float32 else 28
    scale = 2.0 ** (few_bits - np.frexp(step)[1])
    first = float(np.rint(step * scale)) / scale
    scale *= 2.0**few_bits
    second = float(np.rint((step - first) * scale)) / scale
    return np.array([1.0 / step, first, second, step - first - second, 1.0 / temperature], dtype=dtype)


@njit(inline="always")
def exponential(x):
    """exp(x) for abs(x) <= 0.35, to the last bit or so, from multiplications and additions alone."""
    if is_double(x):
        tail = 1.0 / 479001600.0
        tail = tail * x + 1.0 / 39916800.0
        tail = tail * x + 1.0 / 3628800.0
        tail = tail * x + 1.0 / 362880.0
        tail = tail * x + 1.0 / 40320.0
        tail = tail * x + 1.0 / 5040.0
        tail = tail * x + 1.0 / 720.0
        tail = tail * x + 1.0 / 120.0
        tail = tail * x + 1.0 / 24.0
        tail = tail * x + 1.0 / 6.0
        tail = tail * x + 0.5
        return cast_like((x * x) * tail + x + 1.0, x)
    short = np.float32(1.0 / 5040.0)
    short = short * x + np.float32(1.0 / 720.0)
    short = short * x + np.float32(1.0 / 120.0)
    short = short * x + np.float32(1.0 / 24.0)
    short = short * x + np.float32(1.0 / 6.0)
    short = short * x + np.float32(0.5)
    return cast_like((x * x) * short + x + np.float32(1.0), x)


@njit(inline="always")
def rounding_number(like):
    """Adding and subtracting it rounds small numbers to whole ones."""
    return cast_like(6755399441055744.0, like) if is_double(like) else cast_like(12582912.0, like)


@njit(inline="always")
def weight_of(value, per_octave, octave_1, octave_2, octave_3, per_unit):
    """exp(value / t) as mantissa and exponent, from the five numbers of :func:`temperature_constants`.

    The argument is reduced to less than half an octave without rounding, so that the relative error does not grow
    with abs(value / t). -inf gives zero; NaN gives NaN.
    """
    limit = cast_like(MAX_WEIGHT_EXPONENT, value)
    octaves = value * per_octave
    bounded = min(max(octaves, -limit), limit)
    # NaN must reach neither the conversion to an integer nor the exponents of its neighbours
    bounded = bounded if bounded == bounded else cast_like(0.0, value)
    rounding = rounding_number(value)
    whole = (bounded + rounding) - rounding
    exponent = np.int32(whole)
    rest = ((value - whole * octave_1) - whole * octave_2) - whole * octave_3
    mantissa = exponential(rest * per_unit)
    mantissa = mantissa if octaves < limit else cast_like(np.nan, value)
    if octaves <= -limit:
        return cast_like(0.0, value), EMPTY
    return mantissa, exponent


@njit(inline="always")
def bounded_weight(value, lowest, per_octave, octave_1, octave_2, per_unit):
    """:func:`weight_of` as one number, for values from ``lowest`` up (below: zero) and weights well within the type.

    ``octave_2`` is the sum of the second and third part of t ln 2.
    """
    bounded = max(value, lowest)
    rounded = bounded * per_octave + rounding_number(value)
    whole = rounded - rounding_number(value)
    rest = (bounded - whole * octave_1) - whole * octave_2
    weight = times_power_of_two(exponential(rest * per_unit), rounded)
    return weight if value >= lowest else cast_like(0.0, value)


@njit(inline="always")
def normalised(first, second, third, exponent):
    """Factor that brings the largest of three mantissas into [1, 2), and the exponent that makes up for it."""
    top = max(max(first, second), third)
    shift = exponent_of(top)
    return power_of_two(-shift, top), (np.int32(exponent + shift) if top != 0 else EMPTY)


@njit(inline="always")
def scaled_sum(first, first_tangent, first_exponent, second, second_tangent, second_exponent):
    """Sum of two scaled numbers."""
    exponent = max(first_exponent, second_exponent)
    first_scale = fraction_of_two(np.int32(first_exponent - exponent), first)
    second_scale = fraction_of_two(np.int32(second_exponent - exponent), first)
    total = first * first_scale + second * second_scale
    tangent = first_tangent * first_scale + second_tangent * second_scale
    factor, exponent = normalised(total, total, total, exponent)
    return total * factor, tangent * factor, exponent


@njit(inline="always")
def scaled_product(value, tangent, exponent, weight, weight_exponent, weight_rate):
    """A scaled number times a weight whose logarithmic derivative is ``weight_rate``."""
    total = value * weight
    change = (tangent + weight_rate * value) * weight
    factor, exponent = normalised(total, total, total, np.int32(exponent + weight_exponent))
    return total * factor, change * factor, exponent
