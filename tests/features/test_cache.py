"""The cache finds what it was given, whole or not at all, and never stands in the way."""

import errno
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from lactoolkit.errors import LacToolkitWarning
from lactoolkit.features.cache import cache_dir, cache_size, clear_cache, entry_key, load_entry, save_entry

ARRAYS = {
    "frames": np.arange(5),
    "values": np.linspace(-1, 1, 10, dtype=np.float16).reshape(5, 2),
    "damage": np.array(["größer als erwartet"]),
}
KEY = entry_key(video="a")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def assert_equal_arrays(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_what_is_saved_is_found():
    save_entry(KEY, **ARRAYS)
    assert_equal_arrays(load_entry(KEY), ARRAYS)
    assert load_entry(entry_key(video="b")) is None


def test_key_depends_on_every_part_but_not_on_their_order():
    keys = {entry_key(video="a", start=None), entry_key(video="a", start=0.0), entry_key(video="b", start=None)}
    assert len(keys) == 3
    assert entry_key(video="a", start=1.5) == entry_key(start=1.5, video="a")


@pytest.mark.parametrize("position", [0, 31, 32, 200, -100, -1])
def test_a_flipped_bit_counts_as_absent(folder, caplog, position):
    save_entry(KEY, **ARRAYS)
    (path,) = files(folder)
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)
    assert load_entry(KEY) is None
    assert f"{path} are damaged" in caplog.text


@pytest.mark.parametrize("length", [0, 10, 32, 300])
def test_a_cut_entry_counts_as_absent(folder, length):
    save_entry(KEY, **ARRAYS)
    (path,) = files(folder)
    path.write_bytes(path.read_bytes()[:length])
    assert load_entry(KEY) is None


def test_a_damaged_entry_is_replaced(folder):
    save_entry(KEY, **ARRAYS)
    files(folder)[0].write_bytes(b"damaged")
    save_entry(KEY, **ARRAYS)
    assert_equal_arrays(load_entry(KEY), ARRAYS)


def test_an_unreadable_entry_counts_as_absent(folder, caplog):
    save_entry(KEY, **ARRAYS)
    (path,) = files(folder)
    path.unlink()
    path.mkdir()
    assert load_entry(KEY) is None
    assert "cannot be read" in caplog.text


def test_a_cache_that_cannot_be_written_is_a_warning(folder):
    folder.write_text("a file where the folder should be")
    with pytest.warns(LacToolkitWarning, match="set LACTOOLKIT_CACHE to a writable folder"):
        save_entry(KEY, **ARRAYS)
    assert load_entry(KEY) is None


def test_a_full_disk_leaves_nothing_behind(folder, monkeypatch):
    class FullDisk:
        def __init__(self, *arguments, **options):
            self._real = real(*arguments, **options)
            self.name = self._real.name

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self._real.close()

        def write(self, content):
            self._real.write(content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

    real = tempfile.NamedTemporaryFile
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", FullDisk)
    with pytest.warns(LacToolkitWarning, match="No space left on device"):
        save_entry(KEY, **ARRAYS)
    assert files(folder) == []


def test_the_warning_comes_once_under_default_filters(folder):
    folder.write_text("")
    code = (
        "import numpy as np\n"
        "from lactoolkit.features.cache import save_entry\n"
        "for key in ('aa', 'bb'): save_entry(key, x=np.zeros(1))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.count("LacToolkitWarning") == 1


def test_size_and_clearing(folder):
    assert cache_size() == 0
    clear_cache()
    save_entry(KEY, **ARRAYS)
    save_entry(entry_key(video="b"), **ARRAYS)
    assert cache_size() == sum(path.stat().st_size for path in files(folder)) > 0
    clear_cache()
    assert cache_size() == 0
    assert load_entry(KEY) is None


def test_folder_follows_the_environment(folder, monkeypatch, tmp_path):
    assert cache_dir() == folder
    monkeypatch.delenv("LACTOOLKIT_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "lactoolkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "lactoolkit"
