"""What README shows runs as it stands."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from lactoolkit.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_example_runs(code, monkeypatch, tmp_path):
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path))
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})


def test_first_command_finds_what_readme_shows(monkeypatch, tmp_path):
    install, command = blocks("sh")[0].split(" && ")
    assert install == "pip install -c constraints.txt ."
    words = shlex.split(command)
    assert words[:2] == ["lac", "align"]
    words[words.index("-o") + 1] = str(tmp_path / "out")
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(main, words[1:])
    assert result.exit_code == 0, result.output
    assert "better than chance (p" in result.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "alignment.json",
        "pairs.csv",
        "side_by_side.mp4",
        "similarity.png",
    ]


def test_second_command_is_what_ci_runs():
    assert blocks("sh")[1].strip() in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_command_is_in_readme():
    for name in main.commands:
        assert f"`lac {name}" in README
