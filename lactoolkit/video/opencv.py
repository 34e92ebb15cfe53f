"""The one place that imports OpenCV."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from lactoolkit.errors import MissingDependencyError


def import_cv2() -> ModuleType:
    """Import OpenCV on first use.

    Slim systems and containers lack the graphics libraries that the wheel ``opencv-python`` links to.

    Returns
    -------
    module
        ``cv2``.

    Raises
    ------
    MissingDependencyError
        OpenCV is not installed, or a system library that it needs is missing.
    """
    try:
        return import_module("cv2")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"OpenCV is not installed ({error}); install it with `pip install opencv-python-headless`"
        ) from error
    except ImportError as error:
        raise MissingDependencyError(
            f"OpenCV does not load ({error}); a system library is missing. Install it (Debian, Ubuntu: "
            "`apt install libgl1 libglib2.0-0`), or take the package that needs none: "
            "`pip uninstall opencv-python && pip install opencv-python-headless`"
        ) from error
