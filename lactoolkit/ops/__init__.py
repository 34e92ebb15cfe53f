"""Differentiable torch functions over the kernels."""
