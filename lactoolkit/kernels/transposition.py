"""Transposed copies of small tiles in vector registers, between a table and its skewed form.

Copied one by one, numbers of a column lie so far apart that each costs a store of its own; a tile that is transposed in
registers takes one load and one store a row, and a fraction of a shuffle a number.
"""

from typing import Any

from llvmlite import ir
from numba import extending, types

# A call of an intrinsic lacks the typing context of its definition, which confuses type checkers.
intrinsic: Any = extending.intrinsic


def _edge(array_type: Any) -> int:
    """Rows and columns of a tile: one row fills a 512-bit register."""
    return 16 if array_type.dtype == types.float32 else 8


@intrinsic
def tile_edge(typing_context, array):
    """Rows and columns of the tiles of :func:`copy_transposed`: 16 of float32, 8 of float64; known to the compiler."""
    edge = _edge(array)

    def build(context, builder, signature, arguments):
        return context.get_constant(types.int64, edge)

    return types.int64(array), build


@intrinsic
def copy_transposed(typing_context, source, source_start, source_stride, target, target_start, target_stride, scale):
    """``target[target_start + j * target_stride + i] = scale * source[source_start + i * source_stride + j]``.

    For i and j below :func:`tile_edge`. Places count elements of the arrays' memory, which must be C-contiguous, of one
    type, and not overlap. Bounds are not checked.
    """
    edge = _edge(source)

    def build(context, builder, signature, arguments):
        from_array, from_start, from_stride, to_array, to_start, to_stride, factor = arguments
        element = context.get_value_type(signature.args[0].dtype)
        alignment = element.get_abi_size(context.target_data)
        vector = ir.VectorType(element, edge)
        index, lane = ir.IntType(64), ir.IntType(32)

        def place(array_type: Any, array: Any, start: Any, stride: Any, row: int) -> Any:
            data = context.make_array(array_type)(context, builder, array).data
            offset = builder.add(start, builder.mul(stride, ir.Constant(index, row)))
            return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())

        def shuffle(first: Any, second: Any, order: list[int]) -> Any:
            return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(lane, edge), order))

        rows = [
            builder.load(place(signature.args[0], from_array, from_start, from_stride, i), align=alignment)
            for i in range(edge)
        ]
        # Eklundh's transposition: swap the off-diagonal quarters of ever larger (here: smaller) blocks.
        half = edge // 2
        while half:
            swapped = list(rows)
            for i in range(edge):
                if not i & half:
                    low = [j if not j & half else edge + j - half for j in range(edge)]
                    high = [j + half if not j & half else edge + j for j in range(edge)]
                    swapped[i] = shuffle(rows[i], rows[i | half], low)
                    swapped[i | half] = shuffle(rows[i], rows[i | half], high)
            rows, half = swapped, half // 2
        factors = ir.Constant(vector, ir.Undefined)
        factors = builder.insert_element(factors, factor, ir.Constant(lane, 0))
        factors = shuffle(factors, factors, [0] * edge)
        for j in range(edge):
            to = place(signature.args[3], to_array, to_start, to_stride, j)
            builder.store(builder.fmul(rows[j], factors), to, align=alignment)
        return context.get_dummy_value()

    size = types.int64
    return types.void(source, size, size, target, size, size, source.dtype), build
