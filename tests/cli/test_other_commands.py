"""lac extract, encoders and doctor."""

import json
import re
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from lactoolkit.cli import main
from videos import render_video

from lactoolkit.features.cache import cache_size, entry_key, save_entry
from lactoolkit.models.registry import available_encoders
from lactoolkit.report import diagnostics


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(folder))
    return folder


def lac(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_extract_reports_done_skipped_and_failed(tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("one.mp4", "zwei Ü.mp4"):
        render_video(clips / name, count=5)
    store = tmp_path / "store"
    first = lac("extract", clips, "-o", store, "--no-features", "--size", 32)
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == f"{store}: 2 extracted, 0 there already, 0 failed\n"
    assert len(list(store.rglob("*.jpg"))) == 10

    (clips / "three.mp4").write_text("no video")
    second = lac("extract", clips, "-o", store, "--no-features", "--size", 32)
    assert second.exit_code == 1
    assert second.stdout == f"{store}: 0 extracted, 2 there already, 1 failed\n"
    assert second.stderr.startswith("Error: ")
    assert second.stderr.count("\n") == 1
    assert "three.mp4" in second.stderr


def test_extract_arrays(tmp_path):
    render_video(tmp_path / "a.mp4", count=5)
    result = lac("extract", tmp_path / "a.mp4", "-o", tmp_path / "store", "--no-features", "--frames", "array")
    assert result.exit_code == 0
    assert len(list((tmp_path / "store").rglob("frames.npy"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", "none", "--no-features"], "nothing to extract"),
        (["--encoder", "unknown"], "unknown"),
    ],
)
def test_extract_refuses(arguments, message, tmp_path):
    render_video(tmp_path / "a.mp4", count=5)
    result = lac("extract", tmp_path / "a.mp4", "-o", tmp_path / "store", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr


def test_extract_of_a_folder_without_videos(tmp_path):
    (tmp_path / "empty").mkdir()
    result = lac("extract", tmp_path / "empty", "-o", tmp_path / "store")
    assert result.exit_code == 1
    assert "empty" in result.stderr


def test_encoders_are_listed_with_what_to_do():
    result = lac("encoders")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    for encoder in available_encoders():
        (line,) = [line for line in lines if line.startswith(f"{encoder.name} ")]
        assert line.split()[1] == ("yes" if encoder.ready else "no")
        assert encoder.ready or encoder.remedy in result.stdout


def test_doctor_finds_this_installation_healthy(cache):
    result = lac("doctor")
    assert result.exit_code == 0, result.stdout
    assert "failed" not in result.stdout
    assert str(cache) in result.stdout
    for encoder in available_encoders():
        state = "ready" if encoder.ready else "not ready; `lac encoders` says what to do"
        assert re.search(rf"^encoder {encoder.name} +{state}$", result.stdout, re.MULTILINE)
    for backend in ("cpu on cpu", "torch on cpu", "best local path"):
        assert any(line.startswith("passed") and backend in line for line in result.stdout.splitlines())


def test_doctor_json(cache):
    result = lac("doctor", "--json")
    assert result.exit_code == 0
    findings = json.loads(result.stdout)
    assert findings["healthy"]
    assert findings["cache"] == {"path": str(cache), "size_bytes": 0, "limit_bytes": 10_000_000_000}
    assert findings["packages"]["numpy"]
    assert {"usable", "state"} <= set(findings["numba_cuda"])


def test_the_cache_can_be_cleared(cache):
    save_entry(entry_key(video="a"), values=np.zeros(250_000))
    result = lac("doctor", "--clear-cache")
    assert result.exit_code == 0
    assert result.stdout == f"{cache}: 2.0 MB deleted\n"
    assert cache_size() == 0


def test_doctor_fails_when_a_kernel_computes_wrongly(monkeypatch):
    import lactoolkit.ops

    right = lactoolkit.ops.soft_smith_waterman

    def slightly_wrong(*arguments, backend="auto", **options):
        return right(*arguments, backend=backend, **options) + (1e-3 if backend == "torch" else 0)

    monkeypatch.setattr(lactoolkit.ops, "soft_smith_waterman", slightly_wrong)
    result = lac("doctor")
    assert result.exit_code == 1
    wrong = [line for line in result.stdout.splitlines() if line.startswith("failed")]
    assert len(wrong) == 2
    assert all("torch on cpu" in line for line in wrong)


def test_doctor_tells_when_numba_cuda_loads_but_cannot_compile(monkeypatch):
    pytest.importorskip("numba.cuda", reason="numba brings its CUDA target along or not")
    monkeypatch.setitem(sys.modules, "numba.cuda.cudaimpl", None)
    monkeypatch.setattr(diagnostics, "_version", lambda package: "0.1")
    findings = diagnostics.describe_numba_cuda()
    assert not findings["usable"]
    assert "does not fit numpy" in findings["state"]


def test_doctor_tells_when_numba_cuda_does_not_fit_numpy(monkeypatch):
    numba_cuda = pytest.importorskip("numba.cuda", reason="numba brings its CUDA target along or not")

    def break_down():
        raise AttributeError("module 'numpy' has no attribute 'row_stack'")

    monkeypatch.setattr(numba_cuda, "is_available", break_down)
    monkeypatch.setattr(diagnostics, "_version", lambda package: "0.1")
    findings = diagnostics.describe_numba_cuda()
    assert not findings["usable"]
    assert "does not fit numpy" in findings["state"]
