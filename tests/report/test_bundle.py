"""write_report: all files or none, and never at the cost of a user's own."""

import errno
import json
import os
import stat

import pytest
from report_alignments import make_alignment, make_video
from videos import render_video

from lactoolkit.errors import OutputError
from lactoolkit.report import side_by_side
from lactoolkit.report.bundle import REPORT_FILES, check_output, write_report


@pytest.fixture
def alignment(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    render_video(source / "a.mp4", count=8)
    video = make_video(source / "a.mp4", 8, 30, 96, 64)
    return make_alignment(video, video, range(8), range(8))


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_four_files_in_a_new_folder(alignment, tmp_path):
    out = tmp_path / "new" / "deep" / "result"
    assert write_report(alignment, out) == out
    assert listing(out) == sorted(REPORT_FILES)
    assert listing(out.parent) == ["result"]
    assert all((out / name).stat().st_size > 0 for name in REPORT_FILES)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(out.stat().st_mode) == 0o777 & ~mask


def test_a_report_that_is_there_is_not_replaced_unasked(alignment, tmp_path):
    out = tmp_path / "result"
    write_report(alignment, out)
    (out / "pairs.csv").write_text("old")
    with pytest.raises(OutputError, match=r"result: exists already.*overwrite"):
        write_report(alignment, out)
    assert (out / "pairs.csv").read_text() == "old"


def test_overwrite_replaces_a_report(alignment, tmp_path):
    out = tmp_path / "result"
    write_report(alignment, out)
    (out / "pairs.csv").write_text("old")
    write_report(alignment, out, overwrite=True)
    assert (out / "pairs.csv").read_text().startswith("hit,")
    assert listing(tmp_path) == ["result", "source"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_empty_folder_is_filled(alignment, tmp_path, overwrite):
    (tmp_path / "result").mkdir()
    write_report(alignment, tmp_path / "result", overwrite=overwrite)
    assert listing(tmp_path / "result") == sorted(REPORT_FILES)


@pytest.mark.parametrize("content", [{"notes.txt": "mine"}, {"pairs.csv": "mine"}, {"alignment.json": "[1]"}])
def test_overwrite_never_removes_what_lac_did_not_write(content, alignment, tmp_path):
    out = tmp_path / "result"
    out.mkdir()
    for name, text in content.items():
        (out / name).write_text(text)
    for overwrite in (True, False):  # nobody is told to pass --overwrite where it does not help
        with pytest.raises(OutputError, match="not replaced"):
            write_report(alignment, out, overwrite=overwrite)
    assert {path.name: path.read_text() for path in out.iterdir()} == content


def test_a_report_with_a_users_note_in_it_is_kept(alignment, tmp_path):
    out = tmp_path / "result"
    write_report(alignment, out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        check_output(out, overwrite=True)


def test_a_file_is_never_replaced(tmp_path):
    (tmp_path / "result").write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        check_output(tmp_path / "result", overwrite=True)
    with pytest.raises(OutputError, match="is a file"):
        check_output(tmp_path / "result" / "inside")


def test_unwritable_parent_is_refused(tmp_path, monkeypatch):
    # Root may write anywhere, so the answer of the system is put in its mouth.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="not writable"):
        check_output(tmp_path / "result")


def test_a_link_is_followed(alignment, tmp_path):
    target = tmp_path / "target"
    write_report(alignment, target)
    (tmp_path / "link").symlink_to(target)
    write_report(alignment, tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert listing(target) == sorted(REPORT_FILES)


@pytest.mark.parametrize(
    ("raised", "seen", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OutputError, "disk is full"),
        (OSError(errno.EACCES, "Permission denied"), OutputError, "Permission denied"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (SystemExit(143), SystemExit, "143"),
    ],
)
def test_whatever_happens_nothing_is_left(raised, seen, message, alignment, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr(side_by_side, "write_side_by_side", fail)
    with pytest.raises(seen, match=message):
        write_report(alignment, tmp_path / "new" / "result")
    assert listing(tmp_path) == ["source"]


def test_a_failed_overwrite_keeps_the_old_report(alignment, tmp_path, monkeypatch):
    out = tmp_path / "result"
    write_report(alignment, out)
    before = {name: (out / name).read_bytes() for name in REPORT_FILES}

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(side_by_side, "write_side_by_side", fail)
    with pytest.raises(OutputError):
        write_report(alignment, out, overwrite=True)
    assert {name: (out / name).read_bytes() for name in REPORT_FILES} == before
    assert listing(tmp_path) == ["result", "source"]


def test_full_disk_while_encoding_names_the_folder_the_user_gave(alignment, tmp_path, monkeypatch):
    def fail(alignment, path, **_):
        raise OutputError(f"{path}: the disk is full; free some space or write somewhere else")

    monkeypatch.setattr(side_by_side, "write_side_by_side", fail)
    out = tmp_path / "result"
    with pytest.raises(OutputError) as caught:
        write_report(alignment, out)
    assert str(caught.value).startswith(f"{out}/side_by_side.mp4: the disk is full")


def test_somebody_else_creates_the_folder_meanwhile(alignment, tmp_path, monkeypatch):
    out = tmp_path / "result"

    def create(alignment, path, **_):
        out.mkdir()
        (out / "theirs.txt").write_text("keep")

    monkeypatch.setattr(side_by_side, "write_side_by_side", create)
    with pytest.raises(OutputError, match=r"theirs\.txt.*is not replaced"):
        write_report(alignment, out)
    assert listing(out) == ["theirs.txt"]
    assert listing(tmp_path) == ["result", "source"]


def test_the_json_names_the_input(alignment, tmp_path):
    write_report(alignment, tmp_path / "result")
    document = json.loads((tmp_path / "result" / "alignment.json").read_text())
    assert document["inputs"]["a"]["path"] == str(alignment.a.path)
    assert document["inputs"]["a"]["size_bytes"] == alignment.a.path.stat().st_size
