"""`evaluate` and `lac evaluate` from a manifest: what is read, refused, printed and written; embeddings are made up."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from labelled_videos import NAMES, embed_content, make_embeddings, make_phases
from lactoolkit.cli import main
from PIL import Image

import lactoolkit.evaluation.manifest_evaluation
from lactoolkit.errors import ManifestError
from lactoolkit.evaluation import evaluate
from lactoolkit.video.datasets import VideoRecord, write_video_manifest
from lactoolkit.video.labels import FrameLabels, write_labels


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A manifest of 5 episodes to learn from and 4 to measure, from two views each, and what embeds its videos."""
    rng = np.random.default_rng(0)
    embedded = {}
    records = []
    for episode in range(9):
        around = (8, 5) if episode % 2 else (0, 0)
        phases = make_phases(rng.integers(6, 12, 3), *around)
        for view in ("left", "right"):
            video, labels = tmp_path / f"{episode}_{view}.mp4", tmp_path / f"{episode}_{view}.csv"
            video.touch()
            write_labels(FrameLabels(phases.astype(np.int64), NAMES, phases >= 0), labels)
            embedded[video] = make_embeddings(video, embed_content(phases, rng))
            split = "train" if episode < 5 else "val"
            kind = "other_task" if episode % 2 else "none"
            records.append(VideoRecord(video, split, "stack", labels, str(episode), view, kind))
    asked = []

    def embed_video(path, encoder, **options):
        asked.append((path.name, encoder))
        return embedded[path]

    monkeypatch.setattr(lactoolkit.evaluation.manifest_evaluation, "embed_video", embed_video)
    manifest = tmp_path / "takes.csv"
    write_video_manifest(records, manifest)
    return manifest, records, asked


def lac(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def test_tables_files_and_figures_say_the_same(data, tmp_path):
    manifest, _, asked = data
    out = tmp_path / "figures"
    printed = lac("mine", manifest, "-o", out, "--beside", "other")
    assert (printed.exit_code, printed.stderr) == (0, "")
    assert {encoder for _, encoder in asked} == {"mine", "other", "lite0"}
    assert sorted(path.name for path in out.iterdir()) == ["evaluation.csv", "evaluation.json", "evaluation.png"]
    table = pd.read_csv(out / "evaluation.csv", keep_default_na=False, na_values=[""])
    document = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert document["methods"] == ["mine", "other", "untrained lite0", "position only", "linear stretch", "chance"]
    assert len(table) == len(document["figures"])
    one = table[(table["metric"] == "ap_5") & (table["view"] == "cross") & (table["frames"] == "whole")]
    one = one[(one["method"] == "mine") & (one["class"] == "mean")].iloc[0]
    lines = printed.stdout.splitlines()
    assert lines[0].startswith("mine: measured on 8 videos, 10 more to learn from")
    assert lines[1] == "Pairs aligned: 12 same-view, 12 cross-view; 95 % intervals in brackets"
    row = next(k for k, line in enumerate(lines) if line.startswith("AP@5 "))
    assert f"cross  {one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]" in lines[row + 1]
    assert any(line.startswith("core IoU: other task") for line in lines)
    # No pair failed, which is said, too.
    failed = next(line for line in lines if line.startswith("pairs with NaN tau"))
    assert re.sub(r"\[.*?\]", "", failed.partition("same")[2]).split() == ["0"] * 4
    with Image.open(out / "evaluation.png") as picture:
        assert min(picture.size) > 600


def test_json_on_stdout_is_the_document(data):
    printed = lac("lite0", data[0], "--json", "--pairs", 3)
    document = json.loads(printed.stdout)
    assert document["settings"]["pairs_aligned"] == {"same": 3, "cross": 3}
    assert document["settings"]["pairs"] == {"same": 12, "cross": 12}
    assert "untrained lite0" not in document["methods"]
    assert "drawn from 12" in lac("lite0", data[0], "--pairs", 3).stdout


def test_an_existing_folder_is_refused_before_any_work(data, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.txt").touch()
    result = lac("lite0", data[0], "-o", tmp_path / "figures", "--overwrite")
    assert result.exit_code == 1
    assert "mine.txt" in result.stderr
    assert not data[2]


def test_bad_manifests_are_refused(data, tmp_path):
    manifest, records, _ = data
    unlabelled = [VideoRecord(one.path) for one in records]
    with pytest.raises(ManifestError, match=r"18 records: none of its 18 videos has labels"):
        evaluate("lite0", unlabelled)
    with pytest.raises(ManifestError, match=r"no labelled video in the split 'test'; there is train, val"):
        evaluate("lite0", manifest, split="test")
    with pytest.raises(ManifestError, match=r"1 independent video"):
        evaluate("lite0", records[-2:])
    result = lac("lite0", tmp_path / "none.csv")
    assert result.exit_code == 1
    assert "none.csv" in result.stderr


def rewrite(path, change):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows = change(rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_labels_that_do_not_fit_are_refused(data):
    _, records, _ = data
    path = records[-1].labels
    text = path.read_text()
    rewrite(path, lambda rows: rows[:-2])
    with pytest.raises(ManifestError, match=r"8_right.csv: has labels for \d+ frames, but .*8_right.mp4 has \d+"):
        evaluate("lite0", records)
    path.write_text(text)
    rewrite(path, lambda rows: [row | {"phase": -1} for row in rows])
    with pytest.raises(ManifestError, match=r"8_right.csv: every frame is background"):
        evaluate("lite0", records)
    path.write_text(text.replace("lift", "shake"))
    with pytest.raises(ManifestError, match=r"phases reach, shake, place differ from reach, lift, place"):
        evaluate("lite0", records)


def test_without_splits_everything_is_measured(data):
    records = [VideoRecord(one.path, "", "stack", one.labels, one.episode, one.view) for one in data[1]]
    result = evaluate("lite0", records, pairs=2)
    assert (result.settings["videos"], result.settings["train_videos"]) == (18, 0)
    assert np.isnan(result.value("phase_accuracy_100", frames="core"))
