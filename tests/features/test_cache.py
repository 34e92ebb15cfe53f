"""The cache finds what it was given, whole or not at all, and never stands in the way."""

import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from lactoolkit.errors import LacToolkitWarning, ParameterError
from lactoolkit.features import cache
from lactoolkit.features.cache import (
    NewFile,
    cache_dir,
    cache_limit,
    cache_size,
    clear_cache,
    entry_key,
    find_file,
    load_entry,
    save_entry,
)

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


@pytest.fixture
def no_space():
    """No file may grow beyond 20 bytes: the system refuses the rest, as on a full disk."""
    resource = pytest.importorskip("resource", reason="needs POSIX limits")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


def test_a_full_disk_leaves_nothing_behind(folder, no_space):
    with pytest.warns(LacToolkitWarning, match="File too large"), no_space():
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


def keep(key, suffix, content):
    file = NewFile(key, suffix)
    file.temporary.write_bytes(content)
    return file.keep()


def test_files_are_found_by_key_and_ending_and_only_when_whole():
    path = keep(KEY, ".mp4", b"pictures")
    assert find_file(KEY, ".mp4") == path
    assert path.read_bytes() == b"pictures"
    assert find_file(KEY, ".png") is None
    assert find_file(entry_key(video="b"), ".mp4") is None
    path.write_bytes(b"picturez")
    assert find_file(KEY, ".mp4") is None


def test_a_discarded_file_leaves_nothing(folder):
    file = NewFile(KEY, ".mp4")
    file.temporary.write_bytes(b"half")
    file.discard()
    assert files(folder) == []


def test_what_was_used_longest_ago_goes_first(folder, monkeypatch):
    keys = [entry_key(video=letter) for letter in "abc"]
    for age, key in enumerate(keys):
        os.utime(keep(key, ".mp4", bytes(400)), times=(age, age))
    assert find_file(keys[0], ".mp4") is not None  # used just now
    monkeypatch.setenv("LACTOOLKIT_CACHE_GB", "1.3e-6")
    keep(entry_key(video="d"), ".mp4", bytes(400))
    assert [find_file(key, ".mp4") is not None for key in keys] == [True, False, True]
    assert cache_size() == 1200


def test_many_small_entries_keep_the_limit_and_are_seldom_looked_through(folder, monkeypatch):
    scans = []
    entries = cache._entries
    monkeypatch.setattr(cache, "_entries", lambda: scans.append(0) or entries())
    monkeypatch.setenv("LACTOOLKIT_CACHE_GB", "1e-3")
    for number in range(400):
        keep(entry_key(video=number), ".mp4", bytes(4000))
    assert 1_000_000 - 4000 < cache_size() <= 1_010_000
    assert len(scans) - 1 <= 400 / 2


def test_leftovers_of_killed_processes_go_after_a_day(folder):
    old, young = NewFile(KEY, ".mp4").temporary, NewFile(KEY, ".mp4").temporary
    os.utime(old, times=(1, 1))
    save_entry(KEY, **ARRAYS)
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize("value", ["much", "-1", "nan"])
def test_a_limit_that_is_no_number_is_named(monkeypatch, value):
    monkeypatch.setenv("LACTOOLKIT_CACHE_GB", value)
    with pytest.raises(ParameterError, match=f"LACTOOLKIT_CACHE_GB is '{value}'"):
        cache_limit()


def test_processes_that_save_the_same_entry_at_once_agree(folder):
    code = (
        "import numpy as np\n"
        "from lactoolkit.features.cache import entry_key, load_entry, save_entry\n"
        "key = entry_key(video='a')\n"
        "for k in range(40):\n"
        "    save_entry(key, x=np.arange(20000))\n"
        "    found = load_entry(key)\n"
        "    assert found is not None and (found['x'] == np.arange(20000)).all()\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0]
    assert len(files(folder)) == 1


def test_folder_follows_the_environment(folder, monkeypatch, tmp_path):
    assert cache_dir() == folder
    monkeypatch.delenv("LACTOOLKIT_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "lactoolkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "lactoolkit"
