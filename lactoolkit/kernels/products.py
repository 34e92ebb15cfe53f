"""Matrix products inside kernel threads.

A BLAS starts threads of its own, and two of them on one core wait for each other; one product of a tile then takes ten
times as long. This product stays in the thread that asks for it, gives the same bits on every call and reaches
two thirds of the speed of OpenBLAS on one core.
"""

from numba import uint64

from lactoolkit.kernels.kernel_cache import compiled


@compiled(fastmath={"contract"})
def add_product(a, b, first, out, n, depth, columns):
    """Add ``a[:n, :depth] @ b[:depth, first:first + columns]`` to ``out[:n, :columns]``.

    Parameters
    ----------
    a, b, out : ndarray, two-dimensional
        b and out are C-contiguous, so that the compiler knows their rows to be; sizes are given apart from them.
    first, n, depth, columns : int
    """
    # Unsigned, so that no index can count from the end.
    offset = uint64(first)
    # Blocks of 4 x 4 elements of a: each vector of b and out that is loaded serves four multiply-adds.
    whole_rows, whole_depth = n - n % 4, depth - depth % 4
    for i in range(0, whole_rows, 4):
        out_0, out_1, out_2, out_3 = out[i], out[i + 1], out[i + 2], out[i + 3]
        for k in range(0, whole_depth, 4):
            b_0, b_1, b_2, b_3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            a_00, a_01, a_02, a_03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a_10, a_11, a_12, a_13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a_20, a_21, a_22, a_23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a_30, a_31, a_32, a_33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            for j in range(uint64(columns)):
                x_0, x_1, x_2, x_3 = b_0[offset + j], b_1[offset + j], b_2[offset + j], b_3[offset + j]
                out_0[j] = out_0[j] + a_00 * x_0 + a_01 * x_1 + a_02 * x_2 + a_03 * x_3
                out_1[j] = out_1[j] + a_10 * x_0 + a_11 * x_1 + a_12 * x_2 + a_13 * x_3
                out_2[j] = out_2[j] + a_20 * x_0 + a_21 * x_1 + a_22 * x_2 + a_23 * x_3
                out_3[j] = out_3[j] + a_30 * x_0 + a_31 * x_1 + a_32 * x_2 + a_33 * x_3
    for i in range(n):
        for k in range(whole_depth if i < whole_rows else 0, depth):
            scalar, b_k, out_i = a[i, k], b[k], out[i]
            for j in range(uint64(columns)):
                out_i[j] += scalar * b_k[offset + j]
