"""Numerical kernels: NumPy or device arrays in, arrays out; never torch."""
