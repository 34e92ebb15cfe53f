"""Lists of videos: CSV files, folders, simulated tasks."""

import json
import os

import pytest

from lactoolkit.errors import ManifestError, VideoError
from lactoolkit.video.datasets import VideoRecord, read_video_manifest, write_video_manifest
from lactoolkit.video.folders import find_videos
from lactoolkit.video.indexed_layout import read_indexed_folder


@pytest.fixture
def folder(tmp_path):
    """A folder with files of awkward names; what they hold does not matter here."""
    for name in ("a.mp4", "with space, comma.mp4", "日本 ü.mp4", " lead.mp4", "sub/b.mp4", "a.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"video")
    return tmp_path


def manifest(folder, text, encoding="utf-8"):
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_all_columns(folder):
    path = manifest(
        folder,
        "path,split,class,labels,episode,view,distractor\n"
        "a.mp4,train,pour,a.csv,03,left,none\n"
        f"{folder / 'sub' / 'b.mp4'},,,,,,\n",
    )
    assert read_video_manifest(path) == [
        VideoRecord(folder / "a.mp4", "train", "pour", folder / "a.csv", "03", "left", "none"),
        VideoRecord(folder / "sub" / "b.mp4"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_names_encodings_and_line_ends(folder, encoding, end):
    text = end.join(["path , split", '"with space, comma.mp4", val', "日本 ü.mp4", "", " lead.mp4,test", " a.mp4 ", ""])
    records = read_video_manifest(manifest(folder, text, encoding))
    assert [(record.path.name, record.split) for record in records] == [
        ("with space, comma.mp4", "val"),
        ("日本 ü.mp4", ""),
        (" lead.mp4", "test"),
        ("a.mp4", ""),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\n", "lists no videos"),
        ("video\na.mp4\n", "line 1: no column 'path'"),
        ("path;split\na.mp4;train\n", "separated by commas"),
        ("path,label\na.mp4,a.csv\n", "line 1: unknown column 'label'; did you mean 'labels'"),
        ("path,split,split\na.mp4,train,val\n", "line 1: the column 'split' stands twice"),
        ("path\na.mp4\nno.mp4\nnone.mp4\n", "line 3: no such file: "),
        ("path\na.mp4\nno.mp4\nnone.mp4\n", "no.mp4 (and 1 more files); paths are relative"),
        ("path,labels\na.mp4,no.csv\n", "line 2: no such file: "),
        ("path,split\na.mp4,Training\n", "line 2: unknown split 'Training'; did you mean 'train'"),
        ("path,split\na.mp4,7\n", "line 2: unknown split '7'; write train, val, test or nothing"),
        ("path,split\n,train\n", "line 2: no path"),
        ("path\na.mp4\nsub/b.mp4\nsub/../a.mp4\n", "line 4: "),
        ("path\na.mp4\nsub/b.mp4\nsub/../a.mp4\n", "is listed in line 2 already"),
        ("path,split\nwith space, comma.mp4,val\n", "line 2: 3 fields where the header names 2"),
    ],
)
def test_errors_name_the_line(folder, text, message):
    path = manifest(folder, text)
    with pytest.raises(ManifestError) as caught:
        read_video_manifest(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_video_is_no_list(folder):
    with pytest.raises(ManifestError, match="this is one video; name a folder"):
        read_video_manifest(folder / "a.mp4")
    with pytest.raises(ManifestError, match="no such file"):
        read_video_manifest(folder / "absent.csv")


def test_a_folder_is_all_its_videos(folder):
    names = [record.path.relative_to(folder).as_posix() for record in read_video_manifest(folder)]
    assert names == sorted([" lead.mp4", "a.mp4", "sub/b.mp4", "with space, comma.mp4", "日本 ü.mp4"])
    (folder / "empty").mkdir()
    with pytest.raises(VideoError, match="no videos in this folder"):
        read_video_manifest(folder / "empty")


def test_what_is_written_is_read_back_and_moves_with_its_folder(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "far.mp4"
    elsewhere.write_bytes(b"video")
    records = [
        VideoRecord(folder / "with space, comma.mp4", "train", 'the "best"', folder / "a.csv"),
        VideoRecord(folder / " lead.mp4", "val", "pour", view="left"),
        VideoRecord(elsewhere, "test"),
    ]
    write_video_manifest(records, folder / "out.csv")
    assert read_video_manifest(folder / "out.csv") == records
    assert "episode" not in (folder / "out.csv").read_text(encoding="utf-8")
    moved = folder.rename(folder.with_name("moved"))
    again = read_video_manifest(moved / "out.csv")
    assert [record.path for record in again] == [moved / records[0].path.name, moved / " lead.mp4", elsewhere]


def test_relative_records_from_another_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder / "sub")
    write_video_manifest([VideoRecord(type(folder)("../a.mp4"))], "../out.csv")
    assert (folder / "out.csv").read_text() == "path\na.mp4\n"


@pytest.mark.skipif(os.name == "nt", reason="file names are Unicode on Windows")
def test_names_outside_unicode_are_refused_when_writing(folder):
    from lactoolkit.errors import OutputError

    with pytest.raises(OutputError, match="not valid Unicode"):
        write_video_manifest([VideoRecord(folder / os.fsdecode(b"\xff.mp4"))], folder / "out.csv")
    assert not (folder / "out.csv").exists()
    assert not list(folder.glob(".out*"))


def test_find_videos_keeps_order_and_drops_doubles(tmp_path, monkeypatch):
    for name in ("b.mp4", "a.MOV", "deep/c.mkv", "note.txt", ".hidden.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in find_videos(["b.mp4", "."])] == ["b.mp4", "a.MOV", "deep/c.mkv"]
    with pytest.raises(VideoError, match="no video"):
        find_videos([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match="no videos in this folder"):
        find_videos(["empty"])


def test_find_videos_passes_over_results_and_hidden_folders(tmp_path):
    for name in ("take.mp4", "out/grid.mp4", "out/take/overlay.mp4", ".unfinished/warped.mp4", "labels/take.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "out" / "batch.json").write_text('{\n  "format": "lactoolkit-batch",\n  "pairs": []\n}\n')
    (tmp_path / "labels" / "take.json").write_text('{"format": "other", "labels": []}')
    assert find_videos([tmp_path]) == [tmp_path / "labels" / "take.mp4", tmp_path / "take.mp4"]
    # Named itself, it is searched.
    assert [path.name for path in find_videos([tmp_path / "out"])] == ["grid.mp4", "overlay.mp4"]


def simulated(folder, task, episodes):
    entries = []
    for episode in episodes:
        for camera in ("camA", "camB"):
            name = f"{task}_{episode:02d}_{camera}"
            (folder / task / "videos").mkdir(parents=True, exist_ok=True)
            (folder / task / "labels").mkdir(exist_ok=True)
            (folder / task / "videos" / f"{name}.mp4").write_bytes(name.encode())
            (folder / task / "labels" / f"{name}.csv").write_text("frame,phase\n0,0\n")
            entries.append(
                {
                    "id": name,
                    "task": task,
                    "episode": episode,
                    "split": "train" if episode < 2 else "val",
                    "camera": camera,
                    "video": f"{task}/videos/{name}.mp4",
                    "distractor_kind": "none",
                }
            )
    (folder / task / "index.json").write_text(json.dumps({"task": task, "videos": entries}))


def test_simulated_tasks(tmp_path):
    simulated(tmp_path, "lift", [0, 2])
    simulated(tmp_path, "push", [1])
    records = read_indexed_folder(tmp_path)
    assert len(records) == 6
    assert records == read_indexed_folder(tmp_path / "lift") + read_indexed_folder(tmp_path / "push")
    folder = tmp_path / "lift"
    assert records[2] == VideoRecord(
        folder / "videos" / "lift_02_camA.mp4",
        "val",
        "lift",
        folder / "labels" / "lift_02_camA.csv",
        episode="02",
        view="camA",
        distractor="none",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "not an index"), ("{", "not an index"), ('{"videos": [{"id": "x"}]}', "entry 0 of 'videos' is incomplete")],
)
def test_damaged_index(tmp_path, content, message):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(ManifestError, match=message):
        read_indexed_folder(tmp_path)


def test_index_of_absent_videos(tmp_path):
    simulated(tmp_path, "lift", [0])
    (tmp_path / "lift" / "videos" / "lift_00_camB.mp4").unlink()
    with pytest.raises(ManifestError, match=r"lift_00_camB\.mp4, which is not there"):
        read_indexed_folder(tmp_path)
    with pytest.raises(ManifestError, match=r"no index\.json"):
        read_indexed_folder(tmp_path / "lift" / "videos")
