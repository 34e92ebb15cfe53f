import subprocess
import sys

import pytest

from lactoolkit.errors import MissingDependencyError
from lactoolkit.video import opencv


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (ImportError("libGL.so.1: cannot open shared object file"), "apt install libgl1.*opencv-python-headless"),
        (ModuleNotFoundError("No module named 'cv2'"), "pip install opencv-python-headless"),
    ],
)
def test_the_message_says_what_to_install(monkeypatch, error, remedy):
    def fail(name):
        raise error

    monkeypatch.setattr(opencv, "import_module", fail)
    with pytest.raises(MissingDependencyError, match=remedy) as caught:
        opencv.import_cv2()
    assert str(error) in str(caught.value)


def test_decoding_needs_neither_opencv_nor_torch():
    code = (
        "import sys, lactoolkit.video.decoding, lactoolkit.video.encoding; print({'cv2', 'torch'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
