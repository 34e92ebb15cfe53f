"""pairs.csv and alignment.json."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from report_alignments import make_alignment, make_video

from lactoolkit.report.alignment_json import alignment_document, dump_document, write_alignment_json
from lactoolkit.report.pairs_csv import write_pairs_csv


@pytest.fixture
def alignment():
    # A at 30, B at 25 frames a second; B's frames 9 to 11 and A's frame 10 have no partner.
    a, b = make_video(Path("dir/left.mp4"), 40, 30), make_video(Path("dir/rechts Ü 犬.mp4"), 30, 25, 1080, 1920)
    return make_alignment(a, b, [5, 6, 7, 8, 9, 11, 12], [5, 6, 7, 8, 12, 13, 14])


def test_pairs_csv_has_the_promised_columns_and_one_row_a_pair(alignment, tmp_path):
    write_pairs_csv(alignment, tmp_path / "pairs.csv")
    with (tmp_path / "pairs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["hit", "frame_a", "time_a", "frame_b", "time_b", "similarity", "confidence"]
    assert [(row["hit"], row["frame_a"], row["frame_b"]) for row in rows] == [
        ("1", str(i), str(j)) for i, j in zip([5, 6, 7, 8, 9, 11, 12], [5, 6, 7, 8, 12, 13, 14], strict=True)
    ]
    # Fixed decimals, in every row.
    assert rows[5]["time_a"] == f"{11 / 30:.6f}"
    assert rows[5]["time_b"] == f"{13 / 25:.6f}"
    assert all(len(row[name].split(".")[1]) == 4 for row in rows for name in ("similarity", "confidence"))


def test_pairs_csv_without_hits_is_a_header(alignment, tmp_path):
    write_pairs_csv(dataclasses.replace(alignment, hits=()), tmp_path / "pairs.csv")
    assert (tmp_path / "pairs.csv").read_text() == "hit,frame_a,time_a,frame_b,time_b,similarity,confidence\n"


def test_json_describes_inputs_hit_and_gaps(alignment, tmp_path):
    write_alignment_json(alignment, tmp_path / "alignment.json")
    document = json.loads((tmp_path / "alignment.json").read_text(encoding="utf-8"))
    assert document["format"] == "lactoolkit-alignment"
    assert document["format_version"] == 2
    assert document["verdict"] == "aligned"
    assert document["inputs"]["b"]["path"] == "dir/rechts Ü 犬.mp4"
    assert document["inputs"]["b"]["size_bytes"] is None  # there is no such file
    assert (document["inputs"]["b"]["width"], document["inputs"]["b"]["height"]) == (1080, 1920)
    assert document["inputs"]["a"]["frame_rate"] == 30
    assert document["settings"] == {"encoder": "lite0", "frame_rate": None, "gap_open": 1.0}
    (hit,) = document["hits"]
    assert hit["a"] == {
        "first_frame": 5,
        "last_frame": 12,
        "start": 0.166667,
        "end": 0.4,
        "start_timecode": "0:00.167",
        "end_timecode": "0:00.400",
    }
    assert hit["pairs"] == 7
    # 9 frames of B at 25 a second in 7 frames of A at 30.
    assert hit["pacing"] == pytest.approx((9 / 25) / (7 / 30), abs=1e-6)
    assert [(gap["meaning"], gap["first_frame"], gap["last_frame"]) for gap in hit["gaps"]] == [
        ("skipped in A", 9, 11),
        ("extra in A", 10, 10),
    ]
    assert (hit["role"], document["chain"], hit["p_value"], hit["e_value"]) == ("chain", [1], 0.01, 0.02)
    # All pairs lie within a quarter of a second of each other: one slope, that of the whole.
    slope = np.std(np.array([5, 6, 7, 8, 12, 13, 14]) / 25) / np.std(np.array([5, 6, 7, 8, 9, 11, 12]) / 30)
    assert [point["ratio"] for point in hit["speed_ratio"]] == pytest.approx([slope] * 7, abs=1e-6)
    assert "pairs" not in document


def test_json_with_pairs_holds_every_row_of_the_table(alignment):
    pairs = alignment_document(alignment, pairs=True)["pairs"]
    assert [pair["frame_b"] for pair in pairs] == [5, 6, 7, 8, 12, 13, 14]
    assert pairs[4]["time_b"] == pytest.approx(12 / 25)
    assert pairs[0]["hit"] == 1


def test_json_knows_no_nan(alignment):
    single = dataclasses.replace(
        alignment.hits[0],
        **{
            name: getattr(alignment.hits[0], name)[:1]
            for name in ("rows", "columns", "frames_a", "frames_b", "times_a", "times_b", "similarity", "confidence")
        },
        gaps=(),
        p_value=math.inf,
    )
    settings = {"nan": math.nan, "array": np.array([1.5, np.nan]), "count": np.int64(3), "path": Path("x")}
    odd = dataclasses.replace(alignment, hits=(single,), settings=settings)
    document = json.loads(dump_document(alignment_document(odd)), parse_constant=pytest.fail)
    assert document["hits"][0]["pacing"] is None
    assert document["hits"][0]["p_value"] is None
    assert document["settings"] == {"nan": None, "array": [1.5, None], "count": 3, "path": "x"}


def test_json_survives_names_that_are_no_unicode(alignment):
    broken = dataclasses.replace(alignment, a=dataclasses.replace(alignment.a, path=Path("clip_\udcff.mp4")))
    text = dump_document(alignment_document(broken))
    assert json.loads(text.encode("utf-8"))["inputs"]["a"]["path"] == "clip_\ufffd.mp4"


@pytest.mark.parametrize(
    ("p_value", "verdict"),
    [(0.049, "aligned"), (0.05, "weak"), (0.199, "weak"), (0.2, "not alignable"), (None, "not alignable")],
)
def test_verdict(alignment, p_value, verdict):
    hits = () if p_value is None else (dataclasses.replace(alignment.hits[0], p_value=p_value),)
    document = alignment_document(dataclasses.replace(alignment, hits=hits))
    assert document["verdict"] == verdict
    assert document["p_value"] == p_value
    assert document["significant"] == (verdict == "aligned")
