"""What holds for every command: help, examples, exit statuses, one line for an error, and a quick start."""

import re
import signal
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from lactoolkit.cli import main
from lactoolkit.cli.tables import format_table
from lactoolkit.cli.translation import TranslatingGroup

import lactoolkit
from lactoolkit.errors import LacToolkitWarning, VideoError, VideoWarning

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_help_with_an_example_and_help_for_every_option(name):
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert re.search(rf"Examples?:\n +lac {name}", result.output)
    for parameter in main.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_is_in_the_readme(name):
    if not README.exists():
        pytest.skip("the README is not written yet")
    assert f"lac {name}" in README.read_text(encoding="utf-8")


def test_help_lists_all_commands_and_an_example():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert re.search(r"Example:\n +lac align", result.output)
    assert all(re.search(rf"^  {name} ", result.output, re.MULTILINE) for name in main.commands)
    assert "..." not in result.output.partition("Commands:")[2]  # nothing is cut off


def test_version():
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.output) == (0, f"lac {lactoolkit.__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["align", "--help"], ["extract", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    # click ends the process by SystemExit, so the question is asked at exit.
    program = (
        "import atexit, sys\n"
        "heavy = {'numpy', 'torch', 'numba', 'av', 'cv2', 'matplotlib', 'pandas', 'tqdm'}\n"
        "atexit.register(lambda: print('loaded:', sorted(heavy & set(sys.modules)), file=sys.stderr))\n"
        "from lactoolkit.cli import main\n"
        f"main({arguments!r}, prog_name='lac')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "loaded: []"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["align"],
        ["align", "a.mp4"],
        ["align", "a.mp4", "b.mp4", "--fps", "0"],
        ["align", "a.mp4", "b.mp4", "--device", "gpu"],
        ["align", "a.mp4", "b.mp4", "--start-a", "1:75"],
        ["align", "a.mp4", "b.mp4", "--end-b", "soon"],
        ["extract", "a.mp4"],
        ["extract", "-o", "store"],
        ["extract", "a.mp4", "-o", "store", "--frames", "png"],
        ["extract", "a.mp4", "-o", "store", "--workers", "0"],
        ["encoders", "--loud"],
    ],
)
def test_usage_errors(arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr


@pytest.fixture
def group():
    """A group with one command that does as it is told."""

    @click.group(cls=TranslatingGroup)
    def commands():
        pass

    def add(action):
        commands.command("act")(action)
        return CliRunner().invoke(commands, ["act"])

    return add


def test_an_error_becomes_one_line_and_status_1(group):
    def act():
        raise VideoError("a b.mp4: is\nempty; copy it again")

    result = group(act)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Error: a b.mp4: is empty; copy it again\n")


def test_running_out_of_memory_names_a_remedy(group):
    def act():
        raise MemoryError

    result = group(act)
    assert result.exit_code == 1
    assert "--fps" in result.stderr


def test_an_interruption_is_status_130_without_traceback(group):
    def act():
        raise KeyboardInterrupt

    result = group(act)
    assert result.exit_code == 130
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_bugs_keep_their_traceback(group):
    def act():
        raise ZeroDivisionError

    assert isinstance(group(act).exception, ZeroDivisionError)


def test_warnings_are_one_line_each_and_not_repeated(group):
    def act():
        for _ in range(2):
            warnings.warn("a.mp4: truncated;\ngoing on", VideoWarning, stacklevel=1)
        warnings.warn("something else", LacToolkitWarning, stacklevel=1)
        click.echo("result")

    result = group(act)
    assert result.exit_code == 0
    assert result.stdout == "result\n"
    assert result.stderr == "Warning: a.mp4: truncated; going on\nWarning: something else\n"


def test_a_broken_pipe_is_quiet():
    # More output than a pipe holds, to a reader that leaves at once.
    program = (
        "import click\n"
        "from lactoolkit.cli.translation import TranslatingGroup\n"
        "group = TranslatingGroup()\n"
        "group.command('act')(lambda: click.echo('line\\n' * 100_000))\n"
        "group(['act'])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


def run_act(body, *arguments):
    """Run a command of which this is the body, in a process that may be sent signals."""
    program = (
        "import os, pathlib, signal, sys, time\n"
        "from lactoolkit.cli.translation import TranslatingGroup\n"
        "group = TranslatingGroup()\n"
        "@group.command('act')\n"
        f"def act():\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        "group(['act'])\n"
    )
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.parametrize(("name", "status", "word"), [("SIGTERM", 143, "Terminated."), ("SIGINT", 130, "Interrupted.")])
def test_signals_unwind_the_stack(name, status, word, tmp_path):
    # What is temporary is removed by finally clauses: they must run, and to their end.
    body = f"""
        try:
            os.kill(os.getpid(), signal.{name})
            time.sleep(60)
        finally:
            time.sleep(2.5)
            pathlib.Path(sys.argv[1]).touch()
    """
    done = run_act(body, tmp_path / "cleaned")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"\n{word}\n")
    assert (tmp_path / "cleaned").exists()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this platform has no timers")
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_that_a_library_swallows_comes_again(name, status):
    body = f"""
        try:
            os.kill(os.getpid(), signal.{name})
            time.sleep(60)
        except BaseException:
            pass
        time.sleep(60)
    """
    assert run_act(body).returncode == status


def test_an_interruption_that_a_library_translates_is_one():
    body = """
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        except KeyboardInterrupt:
            raise ImportError("failed to import")
    """
    done = run_act(body)
    assert (done.returncode, done.stderr) == (130, "\nInterrupted.\n")


def test_an_ignored_ctrl_c_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which processes inherit
    try:
        done = run_act("os.kill(os.getpid(), signal.SIGINT); print('done')")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_tables_count_columns_as_terminals_do():
    table = format_table(["name", "n"], [["犬.mp4", "1"], ["a.mp4", "10"]], right=(1,))
    assert table.splitlines() == ["name     n", "犬.mp4   1", "a.mp4   10"]
