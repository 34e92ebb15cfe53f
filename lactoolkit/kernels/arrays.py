"""Arrays from what users pass."""

from typing import Any

import numpy as np

from lactoolkit.errors import ParameterError


def as_array(name: str, value: Any) -> np.ndarray:
    """Return an array, also from a tensor of torch that requires a gradient, lies on another device or is bfloat16.

    Raises
    ------
    ParameterError
        When there is no array in it.
    """
    # Torch is not imported here; whoever passes a tensor has done so.
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if value.is_floating_point() and value.element_size() < 4:
            value = value.float()
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(f"{name} is not an array of numbers: {error}") from error
