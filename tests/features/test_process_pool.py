"""Working on many items in this and in other processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pool_work
import pytest
from pool_work import half, slow

from lactoolkit.errors import EncoderError, ParameterError, VideoWarning
from lactoolkit.features.process_pool import run_items


def wait_until(condition):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < 30
        time.sleep(0.02)


def group_exists(number):
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2])
def test_one_bad_item_stops_no_other(workers):
    with pytest.warns(VideoWarning, match="six"):
        outcomes = {one.item: one for one in run_items(half, [4, 3, 6], workers)}
    assert {item: one.result for item, one in outcomes.items()} == {4: 2, 3: None, 6: 3}
    assert outcomes[3].error == "3 is odd"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("item", "error"), [(100, ZeroDivisionError), (200, EncoderError)])
def test_bugs_and_what_fails_every_item_stop_everything(item, error, workers):
    with pytest.raises(error):
        list(run_items(half, [item, 2], workers))


def test_closing_ends_what_is_at_work_and_cleans_up(tmp_path):
    before = set(multiprocessing.active_children())
    run = run_items(partial(slow, folder=tmp_path), [0, 1, 2, 3], 2)
    assert next(run).result not in (None, os.getpid())
    wait_until((tmp_path / "begun_1").exists)
    run.close()
    # Not join(): where the pool's own thread has just waited for the process, it returns at once.
    wait_until(lambda: not set(multiprocessing.active_children()) - before)
    assert (tmp_path / "unwound_1").exists()
    assert not (tmp_path / "begun_3").exists()


def test_ended_processes_that_showed_progress_leave_no_semaphores(tmp_path):
    # Python's own watch over semaphores speaks up when the main process has ended.
    program = (
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from pool_work import slow_with_bar\n"
        "from lactoolkit.features.process_pool import run_items\n"
        f"run = run_items(partial(slow_with_bar, folder=Path({str(tmp_path)!r})), [0, 1, 2], 2)\n"
        "next(run)\n"
        "run.close()\n"
    )
    search = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (tmp_path / "begun_1").exists()
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_workers_end_with_the_process_that_started_them(tmp_path):
    program = (
        "import sys\nfrom functools import partial\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(pool_work.__file__).parent)!r})\n"
        "from pool_work import slow\nfrom lactoolkit.features.process_pool import run_items\n"
        "list(run_items(partial(slow, folder=Path(sys.argv[1])), [1, 2], 2))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        wait_until(lambda: len(list(tmp_path.glob("begun_*"))) == 2)
        process.kill()
        process.wait()
        wait_until(lambda: len(list(tmp_path.glob("unwound_*"))) == 2)
        wait_until(lambda: not group_exists(process.pid))
    finally:
        if group_exists(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


def test_no_workers():
    with pytest.raises(ParameterError, match="--workers"):
        next(run_items(half, [2], 0))
