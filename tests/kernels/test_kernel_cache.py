"""The cache of compiled kernels: what an upgrade or two processes at once must not do to it."""

import shutil
import subprocess
import sys

import pytest

from lactoolkit.kernels import kernel_cache

USER = """
from kernels.kernel_cache import compiled
from kernels.sizes import SIZE

@compiled
def twice_size(x):
    return 2 * SIZE + 0 * x
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the decorator in a package with a kernel that takes a constant from another module."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    shutil.copy(kernel_cache.__file__, folder)
    (folder / "__init__.py").touch()
    (folder / "user.py").write_text(USER)
    (folder / "sizes.py").write_text("SIZE = 4\n")

    def call(*arguments):
        code = (
            f"from kernels.user import twice_size as f; print(*map(f, {arguments}), sum(f.stats.cache_hits.values()))"
        )
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()

    def files():
        return sorted(path.name for path in (folder / "__pycache__").glob("user.*.nbc"))

    return folder, call, files


def test_a_kernel_is_compiled_again_when_another_module_changes(package):
    folder, call, files = package
    assert call(1) == ["8", "0"]
    before = files()
    # Of another length: Python takes a file of equal length, written in the same second, for the one it has compiled.
    (folder / "sizes.py").write_text("SIZE = 5  # not 4\n")
    assert call(1) == ["10", "0"]
    assert len(before) == len(files()) == 1
    assert before != files()


def test_each_signature_has_a_file_of_its_own(package):
    _, call, files = package
    assert call(1, 1.0) == ["8", "8.0", "0"]
    assert call(1, 1.0) == ["8", "8.0", "2"]
    assert len(files()) == 2


def test_a_file_that_belongs_to_another_key_is_not_used(tmp_path):
    store = kernel_cache._KernelFiles(tmp_path, "kernel")
    store.save("float32", 32)
    store._path("float32").rename(store._path("float64"))
    assert store.load("float64") is None
    assert store.load("float32") is None


def test_each_version_of_python_has_files_of_its_own(tmp_path, monkeypatch):
    store = kernel_cache._KernelFiles(tmp_path, "kernel")
    store.save("float32", "older")
    with monkeypatch.context() as patch:
        patch.setattr(sys.implementation, "cache_tag", "cpython-399")
        assert store.load("float32") is None
        store.save("float32", "newer")
        assert store.load("float32") == "newer"
    assert store.load("float32") == "older"


def test_a_folder_without_space_or_rights_costs_only_time(tmp_path, monkeypatch, caplog):
    store = kernel_cache._KernelFiles(tmp_path / "missing", "kernel")
    with caplog.at_level("DEBUG", "lactoolkit"):
        store.save("float32", 32)
    assert "compiled kernel kernel is not kept" in caplog.text
    assert store.load("float32") is None
