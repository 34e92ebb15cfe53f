"""lac manifest."""

import pytest
from click.testing import CliRunner
from lactoolkit.cli import main
from lactoolkit.cli.manifest import LAYOUTS
from videos import render_video

from lactoolkit.video import layouts
from lactoolkit.video.datasets import read_video_manifest


def lac(*arguments):
    return CliRunner().invoke(main, ["manifest", *map(str, arguments)])


@pytest.fixture
def takes(tmp_path):
    (tmp_path / "takes" / "zwei Ü").mkdir(parents=True)
    render_video(tmp_path / "takes" / "a.mp4", count=4)
    render_video(tmp_path / "takes" / "zwei Ü" / "b, c.mp4", count=4)
    return tmp_path / "takes"


def test_a_folder_becomes_a_list(takes, tmp_path):
    seen = lac(takes)
    assert (seen.exit_code, seen.stderr) == (0, "")
    assert seen.stdout == "class   videos  labelled\n(none)       2         0\n\nAdd -o FILE.csv to write the list.\n"
    out = tmp_path / "takes.csv"
    written = lac(takes, "-o", out, "--check")
    assert (written.exit_code, written.stderr) == (0, "")
    assert f"Written to {out}\n\n2 videos checked, 0 problems\n" in written.stdout
    assert out.read_text(encoding="utf-8") == 'path\ntakes/a.mp4\n"takes/zwei Ü/b, c.mp4"\n'
    assert [record.path.name for record in read_video_manifest(out)] == ["a.mp4", "b, c.mp4"]

    again = lac(takes, "-o", out)
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    assert lac(takes, "-o", out, "--overwrite").exit_code == 0


def test_a_list_is_counted_and_checked(takes, tmp_path):
    (takes / "a.csv").write_text("frame,phase\n0,0\n")
    listed = tmp_path / "list.csv"
    listed.write_text("path,split,class,labels\ntakes/a.mp4,train,pour,takes/a.csv\n", encoding="utf-8")
    assert lac(listed).stdout == "class  train  videos  labelled\npour       1       1         1\n"
    checked = lac(listed, "--check")
    assert checked.exit_code == 1
    assert checked.stdout.endswith("1 video checked, 1 problem\n")
    assert checked.stderr.count("\n") == 1
    assert "labels for 1 frames, but the video has 4" in checked.stderr

    listed.write_text("path\ntakes/a.mp4\ntakes/none.mp4\n")
    missing = lac(listed)
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "list.csv, line 3: no such file" in missing.stderr


def test_help_names_every_layout():
    assert set(LAYOUTS) == set(layouts.LAYOUTS)
    text = lac("--help").stdout
    assert all(f"  {name} " in text for name in LAYOUTS)
