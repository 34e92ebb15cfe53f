"""Which files may be written: nothing that is something else is replaced."""

import os

import pytest

from lactoolkit.errors import OutputError
from lactoolkit.video.replacing_file import check_file


def test_a_new_name_and_a_file_of_the_kind_are_fine(tmp_path):
    check_file(tmp_path / "new" / "a.txt", ".csv")
    (tmp_path / "a.CSV").touch()
    check_file(tmp_path / "a.CSV", ".csv", overwrite=True, inputs=[tmp_path / "other.csv"])


@pytest.mark.parametrize(
    ("name", "overwrite", "message"),
    [
        ("a.csv", False, "exists already.*--overwrite"),
        ("video.mp4", True, r"does not end with \.csv"),
        ("labels.csv", True, "is read here"),
        ("folder.csv", True, "is a folder"),
        ("video.mp4/a.csv", False, "is a file; choose another place"),
    ],
)
def test_what_may_not_be_written(name, overwrite, message, tmp_path):
    for existing in ("a.csv", "video.mp4", "labels.csv"):
        (tmp_path / existing).touch()
    (tmp_path / "folder.csv").mkdir()
    os.symlink(tmp_path / "labels.csv", tmp_path / "same.csv")
    with pytest.raises(OutputError, match=message):
        check_file(tmp_path / name, ".csv", overwrite=overwrite, inputs=[tmp_path / "same.csv"])
