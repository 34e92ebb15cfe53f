"""Compiling is noticed, loading what was compiled before is not."""

import subprocess
import sys

CODE = """
import numba
from lactoolkit.kernels.compilation import watch_compilation

@numba.njit(cache=True)
def double(x):
    return 2 * x

with watch_compilation(lambda: print("began"), lambda seconds: print("ended", seconds > 0)):
    print(double(4))
"""


def test_only_the_first_process_is_told(tmp_path, monkeypatch):
    (tmp_path / "doubling.py").write_text(CODE)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    runs = [
        subprocess.run([sys.executable, "doubling.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [run.stdout.split() for run in runs] == [["began", "8", "ended", "True"], ["8"]]
