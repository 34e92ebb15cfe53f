"""The list of exports, and all of them in a report."""

import importlib.util
import json
import pkgutil
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_alignments import make_alignment

from lactoolkit.errors import LacToolkitWarning, MissingDependencyError, ParameterError
from lactoolkit.report.bundle import REPORT_FILES, check_output, write_report
from lactoolkit.report.exports import EXPORT_FORMATS, check_exports

DOCUMENT = Path(__file__).parents[2] / "docs" / "exports.md"


def test_every_writer_exists_and_every_file_name_is_its_own():
    files = [name for entry in EXPORT_FORMATS.values() for name in entry.files]
    assert len(set(files)) == len(files)
    for entry in EXPORT_FORMATS.values():
        if entry.writer:
            assert callable(pkgutil.resolve_name(entry.writer))
        else:
            assert set(entry.files) <= set(REPORT_FILES)


def test_the_table_in_the_documentation_is_the_list():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [
        (entry.name, ", ".join(f"`{name}`" for name in entry.files), entry.description)
        for entry in EXPORT_FORMATS.values()
    ]


def test_all_of_them_in_one_report(pair, tmp_path):
    alignment = make_alignment(*pair, range(10, 40), range(20, 50))
    write_report(alignment, tmp_path / "out", exports=list(EXPORT_FORMATS))
    expected = sorted(name for entry in EXPORT_FORMATS.values() for name in entry.files)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == expected
    assert all(path.stat().st_size for path in (tmp_path / "out").iterdir())
    write_report(alignment, tmp_path / "out", exports=["ffmpeg"], overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*REPORT_FILES, "ffmpeg.sh"])


def test_unknown_names_and_missing_packages_are_said_before_anything_is_written(tmp_path, monkeypatch):
    with pytest.raises(ParameterError, match="'avi' is unknown; choose from csv, json"):
        check_output(tmp_path / "out", exports=["csv", "avi"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, package in (("parquet", "pyarrow"), ("otio", "opentimelineio")):
        with pytest.raises(
            MissingDependencyError, match=rf"'{name}' needs the package {package}; .*lactoolkit\[export\]"
        ):
            check_output(tmp_path / "out", exports=[name])
    check_exports(["npz", "edl", "fcpxml"])


def test_without_a_match_what_needs_one_is_left_out(pair, tmp_path):
    with pytest.warns(LacToolkitWarning, match="nothing to write for overlay, warped, edl, otio, fcpxml, ffmpeg"):
        write_report(make_alignment(*pair, [], []), tmp_path / "out", exports=list(EXPORT_FORMATS))
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {*REPORT_FILES, "alignment.npz", "pairs.parquet", "similarity.svg", "side_by_side.gif"}
    assert len(pd.read_parquet(tmp_path / "out" / "pairs.parquet")) == 0
    with np.load(tmp_path / "out" / "alignment.npz") as arrays:
        assert arrays["frame_a"].shape == (0,)


def test_alignment_json_is_not_changed_by_exports(pair, tmp_path):
    write_report(make_alignment(*pair, range(9), range(9)), tmp_path / "out", exports=["edl"])
    document = json.loads((tmp_path / "out" / "alignment.json").read_text(encoding="utf-8"))
    assert document["format"] == "lactoolkit-alignment"
