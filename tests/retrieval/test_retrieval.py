"""Retrieval over made-up embeddings: what is found, what the index keeps, what is refused."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from labelled_videos import make_embeddings
from lactoolkit.cli import main
from PIL import Image
from videos import picture_number, render_video

from lactoolkit.errors import IndexFileError, LacToolkitWarning, ParameterError, VideoError
from lactoolkit.report.contact_sheet import SheetFrame, write_contact_sheet
from lactoolkit.retrieval import FrameIndex, retrieve_frames, search
from lactoolkit.retrieval.low_rank import few_directions
from lactoolkit.video.digest import file_sha256


def circle(angles):
    """Unit embeddings whose cosine is that of the difference of their angles in degrees."""
    radians = np.deg2rad(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Three files that stand for videos at 10 frames per second, one frame every 3 degrees from another angle each."""
    embedded = []
    angles = {"query": 0, "first": 30, "second": -9}

    def embed_video(path, encoder, *, frame_rate=None, **options):
        embedded.append(path.name)
        text = path.read_text()
        if text.split()[0] not in angles:
            raise VideoError(f"{path}: no video")
        values = circle(angles[text.split()[0]] + 3 * np.arange(40))
        result = make_embeddings(path, values, frame_rate=10)
        object.__setattr__(result, "sha256", file_sha256(path))
        object.__setattr__(result, "encoder", str(encoder))
        return result

    monkeypatch.setattr(search, "embed_video", embed_video)
    for name in angles:
        (tmp_path / f"{name}.mp4").write_text(name)
    return tmp_path, embedded


def test_the_nearest_frame_of_each_neighbourhood(clips):
    folder, _ = clips
    # Frame 20 of the query is at 60 degrees: so is frame 10 of the first, frame 23 of the second.
    answer = retrieve_frames(folder / "query.mp4", [folder], frame=20, count=4)
    assert (answer.query.frame, answer.query.time, answer.searched) == (20, 2.0, 2)
    places = [(one.path.name, one.frame) for one in answer.found]
    assert set(places[:2]) == {("first.mp4", 10), ("second.mp4", 23)}
    # Then those half a second, 5 frames, away: 15 degrees.
    assert {frame - (10 if name == "first.mp4" else 23) for name, frame in places[2:]} <= {-5, 5}
    similarity = [one.similarity for one in answer.found]
    np.testing.assert_allclose(similarity, [1, 1, np.cos(np.deg2rad(15)), np.cos(np.deg2rad(15))], atol=1e-6)


def test_neighbours_come_too_when_asked_for(clips):
    folder, _ = clips
    answer = retrieve_frames(folder / "query.mp4", [folder / "first.mp4"], time=2.0, count=3, apart=0)
    assert {one.frame for one in answer.found} == {9, 10, 11}
    assert answer.found[0].frame == 10


def test_the_query_is_left_out_under_any_name(clips):
    folder, _ = clips
    (folder / "copy.mp4").write_text("query")
    answer = retrieve_frames(folder / "query.mp4", [folder], frame=20, count=100)
    assert {one.path.name for one in answer.found} == {"first.mp4", "second.mp4"}
    with pytest.raises(ParameterError, match="nothing to search"):
        retrieve_frames(folder / "query.mp4", [folder / "copy.mp4"], frame=20)


def test_an_index_embeds_each_content_once(clips):
    folder, embedded = clips
    index = folder / "index.npz"
    first = retrieve_frames(folder / "query.mp4", [folder / "first.mp4"], frame=20, index=index)
    assert first.embedded == 1
    embedded.clear()
    retrieve_frames(folder / "query.mp4", [folder / "first.mp4", folder / "second.mp4"], frame=20, index=index)
    assert embedded == ["query.mp4", "second.mp4"]
    embedded.clear()
    # Everything in the index, under a new name of one file, without a second look at the pictures.
    (folder / "first.mp4").rename(folder / "renamed.mp4")
    both = [folder / "renamed.mp4", folder / "second.mp4"]
    answer = retrieve_frames(folder / "query.mp4", both, frame=20, index=index, count=2)
    assert embedded == ["query.mp4"]
    assert {one.path.name for one in answer.found} == {"renamed.mp4", "second.mp4"}
    np.testing.assert_allclose([one.similarity for one in answer.found], 1, atol=2e-3)  # half precision


def test_a_file_with_new_content_is_embedded_anew(clips):
    folder, embedded = clips
    index = folder / "index.npz"
    retrieve_frames(folder / "query.mp4", [folder / "first.mp4", folder / "second.mp4"], frame=20, index=index)
    (folder / "first.mp4").write_text("second again")
    embedded.clear()
    answer = retrieve_frames(folder / "query.mp4", frame=20, index=index, count=2)
    assert embedded == ["query.mp4", "first.mp4"]
    assert [one.frame for one in answer.found] == [23, 23]
    assert len(FrameIndex.load(index).videos) == 2


def test_files_that_are_gone_are_left_out_with_a_warning(clips):
    folder, _ = clips
    index = folder / "index.npz"
    retrieve_frames(folder / "query.mp4", [folder / "first.mp4", folder / "second.mp4"], frame=20, index=index)
    (folder / "first.mp4").unlink()
    with pytest.warns(LacToolkitWarning, match=r"first.mp4: in the index, but not there any more"):
        answer = retrieve_frames(folder / "query.mp4", frame=20, index=index)
    assert {one.path.name for one in answer.found} == {"second.mp4"}


def test_videos_that_cannot_be_read_are_named_and_left_out(clips):
    folder, _ = clips
    damaged, gone = folder / "damaged.mp4", folder / "gone.mp4"
    damaged.write_text("damaged")
    answer = retrieve_frames(folder / "query.mp4", [folder, gone], frame=20, count=2, index=folder / "index.npz")
    assert {(one.path.name, one.frame) for one in answer.found} == {("first.mp4", 10), ("second.mp4", 23)}
    assert answer.searched == 2
    assert [one.path for one in answer.failed] == [damaged, gone]
    assert answer.failed[0].message == f"{damaged}: no video"
    assert answer.failed[1].message.startswith(f"{gone}: no such file")
    known = FrameIndex.load(folder / "index.npz")
    assert {one.path.name for one in known.videos} == {"query.mp4", "first.mp4", "second.mp4"}
    with pytest.raises(VideoError, match=r"damaged.mp4: no video; .*gone.mp4: no such file"):
        retrieve_frames(folder / "query.mp4", [damaged, gone], frame=20)


def unit_rows(rng, count, spread):
    rows = rng.normal(size=(count, len(spread))) * spread
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("count", [60, 3000])
def test_few_directions_hold_nearly_all_of_a_video(count):
    rng = np.random.default_rng(0)
    video = unit_rows(rng, count, 0.8 ** np.arange(400))
    video[30] = np.eye(400)[200]  # of another kind, which the mean does not notice
    video[33] = 0  # nothing tells it from the video's mean
    coordinates, basis = (part.astype(np.float32) for part in few_directions(video))
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=2e-3)
    assert len(basis) < 30
    lost = np.square(video).sum(axis=1) - np.square(coordinates).sum(axis=1)
    assert lost.mean() < 0.02
    assert lost[30] < 0.12
    query = unit_rows(rng, 50, 0.8 ** np.arange(400)).T
    error = coordinates @ (basis @ query) - video @ query
    assert error.std() < 0.02
    assert np.abs(error).max() < 0.1


def test_an_index_is_small_and_finds_the_same(clips, monkeypatch):
    folder, _ = clips
    rng = np.random.default_rng(0)
    moments = unit_rows(rng, 40, 0.8 ** np.arange(4000))

    def embed_video(path, encoder, **options):
        values = moments + 0.2 * unit_rows(rng, 40, 0.8 ** np.arange(4000))
        result = make_embeddings(path, values / np.linalg.norm(values, axis=1, keepdims=True), frame_rate=10)
        object.__setattr__(result, "sha256", file_sha256(path))
        object.__setattr__(result, "encoder", str(encoder))
        return result

    monkeypatch.setattr(search, "embed_video", embed_video)
    index = folder / "index.npz"
    plain = retrieve_frames(folder / "query.mp4", [folder], frame=20, count=2)
    with_index = [
        retrieve_frames(folder / "query.mp4", videos, frame=20, count=2, index=index) for videos in ([folder], [])
    ]
    for answer in (plain, *with_index):
        assert {(one.path.name, one.frame) for one in answer.found} == {("first.mp4", 20), ("second.mp4", 20)}
        assert all(one.similarity > 0.9 for one in answer.found)
    assert index.stat().st_size < 0.7 * 3 * 40 * 4000 * 2  # the embeddings of three videos in half precision


def test_without_videos_there_must_be_an_index(clips):
    folder, embedded = clips
    with pytest.raises(IndexFileError, match=r"none.npz: no such index; name the videos to search"):
        retrieve_frames(folder / "query.mp4", frame=20, index=folder / "none.npz")
    assert not (folder / "none.npz").exists()
    assert embedded == []


def test_an_index_of_another_encoder_or_rate_is_refused(clips):
    folder, _ = clips
    index = folder / "index.npz"
    arguments = (folder / "query.mp4", [folder / "first.mp4"])
    retrieve_frames(*arguments, frame=20, index=index)
    with pytest.raises(IndexFileError, match=r"index.npz: was made with another encoder \(lite0\)"):
        retrieve_frames(*arguments, frame=20, index=index, encoder="other")
    with pytest.raises(IndexFileError, match="was made with every frame"):
        retrieve_frames(*arguments, frame=20, index=index, frame_rate=5)


@pytest.mark.parametrize("content", [b"", b"PK nothing of the kind", b"{}"])
def test_damaged_indices_are_refused_and_stay(clips, content):
    folder, _ = clips
    index = folder / "index.npz"
    index.write_bytes(content)
    with pytest.raises(IndexFileError, match=r"index.npz: (is no index|cannot be read)"):
        retrieve_frames(folder / "query.mp4", [folder / "first.mp4"], frame=20, index=index)
    assert index.read_bytes() == content


def test_a_truncated_index_is_refused(clips):
    folder, _ = clips
    index = folder / "index.npz"
    retrieve_frames(folder / "query.mp4", [folder / "first.mp4"], frame=20, index=index)
    index.write_bytes(index.read_bytes()[:-200])
    with pytest.raises(IndexFileError, match=r"index.npz: is no index"):
        retrieve_frames(folder / "query.mp4", frame=20, index=index)


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        ({"frame": 40}, "frame 40 is outside .*query.mp4, which has frames 0 to 39"),
        ({"frame": -1}, "frame -1 is outside"),
        ({"time": 4.2}, r"time 4.2 s is outside .*, which ends at 3.900 s"),
        ({}, "give either frame"),
        ({"frame": 1, "time": 1.0}, "give either frame"),
        ({"frame": 1, "count": 0}, "count must be at least 1"),
    ],
)
def test_moments_outside_the_query_are_refused(clips, moment, message):
    folder, _ = clips
    with pytest.raises(ParameterError, match=message):
        retrieve_frames(folder / "query.mp4", [folder / "first.mp4"], **moment)


def lac(*arguments):
    return CliRunner().invoke(main, ["retrieve", *map(str, arguments)])


def test_command_prints_a_table_or_json(clips):
    folder, _ = clips
    result = lac(folder / "query.mp4", "--frame", 20, folder / "first.mp4", "-k", 1, "--index", folder / "i.npz")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].endswith("query.mp4 in 1 video:")
    assert lines[3].split() == ["1", "1.000", "0:01.000", "10", str(folder / "first.mp4")]
    assert "Embedded 1 of them" in result.stdout
    result = lac(folder / "query.mp4", "--frame", 20, folder / "first.mp4", folder / "gone.mp4")
    assert result.exit_code == 1
    assert lines[3] in result.stdout
    assert result.stderr.startswith(f"Error: {folder / 'gone.mp4'}: no such file")
    found = json.loads(lac(folder / "query.mp4", "--time", "0:02", "--index", folder / "i.npz", "--json").stdout)
    assert found["found"][0] == {
        "video": str(folder / "first.mp4"),
        "frame": 10,
        "time": 1.0,
        "cosine": pytest.approx(1, abs=2e-3),
    }


def test_command_usage(clips):
    folder, _ = clips
    assert lac(folder / "query.mp4", folder / "first.mp4").exit_code == 2
    assert lac(folder / "query.mp4", "--frame", 3).exit_code == 2
    result = lac(folder / "query.mp4", "--frame", 3, folder / "first.mp4", "-o", folder / "sheet.jpg")
    assert result.exit_code == 2
    assert "sheet.jpg: the picture is a PNG file" in result.stderr
    (folder / "sheet.png").touch()
    result = lac(folder / "query.mp4", "--frame", 3, folder / "first.mp4", "-o", folder / "sheet.png")
    assert result.exit_code == 1
    assert "sheet.png: exists already" in result.stderr


def test_the_contact_sheet_shows_the_right_frames(tmp_path):
    paths = [tmp_path / "a $x$ Ж.mp4", tmp_path / "b.mp4"]
    for path in paths:
        render_video(path, count=40, width=256, height=144)
    wanted = [(0, 7), (1, 0), (1, 39), (0, 20), (1, 31), (0, 33), (1, 12)]
    frames = [SheetFrame(paths[video], frame, frame / 30, "0.50") for video, frame in wanted]
    write_contact_sheet(frames, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        sheet = np.asarray(picture)
    for number, (_, frame) in enumerate(wanted):
        row, column = divmod(number, 5)
        left, top = 10 + 266 * column, 10 + row * (144 + 60)
        assert picture_number(sheet[top : top + 144, left : left + 256]) == frame
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["sheet.png", *(path.name for path in paths)])
