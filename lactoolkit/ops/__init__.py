"""Differentiable torch functions over the kernels."""

from lactoolkit.ops.functional import alignment_posterior, soft_smith_waterman
from lactoolkit.ops.module import SoftSmithWaterman
from lactoolkit.ops.validation import check_values

__all__ = ["SoftSmithWaterman", "alignment_posterior", "check_values", "soft_smith_waterman"]
