"""Kills, Ctrl-C and full disks at any moment: the same command then ends with the very same numbers."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
from cli.support_cli import LINUX, SMALL, alive, family, finish, lines, recorded, start, started, wait_until, workers
from lab.support_lab import a_run, text, text_file, timeless

from locant.lab.store import RunFolder
from locant.lab.train import train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LINUX, reason="finds processes through /proc and relies on parent-death signals"),
]
RUNS = 8


def command(data, out, *more):
    return ["compare", *SMALL, "--encodings", "none", "rotary", "--budget", "64k", "--data", data, "--out", out,
            "--workers", "1", *more]  # fmt: skip


def completed(data, out, *more):
    """The document after the command ran to its end."""
    code, _, told = finish(start(command(data, out, *more)))
    assert code == 0, told
    assert len(recorded(out)) == RUNS
    return json.loads((out / "comparison.json").read_text())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return text_file(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a command that nobody disturbs, once `undisturbed` has filled it."""
    return tmp_path_factory.mktemp("whole") / "out"


@pytest.fixture(scope="module")
def undisturbed(data, whole):
    """What such a command gives."""
    return completed(data, whole)


def sizes(folder):
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file()]


def clean(out):
    """Whether nothing half-written is left."""
    return not [path for path in out.rglob("*") if ".part" in path.name or path.name == "checkpoint.pt"]


def test_kill_9_at_random_moments(data, undisturbed, tmp_path):
    draw, out, before = random.Random(20), tmp_path / "out", {}
    for goal in (0, 2, 5):
        process = start(command(data, out, "--workers", "2"))
        assert wait_until(lambda goal=goal: len(started(out)) > goal, process)
        time.sleep(draw.uniform(0, 0.6))
        children = family(process.pid)
        process.kill()
        finish(process)
        end = time.monotonic() + 2
        while (left := [child for child in children if alive(child)]) and time.monotonic() < end:
            time.sleep(0.02)
        assert not left, f"{left} outlived the killed parent"
        assert children
        results = recorded(out)
        assert before.items() <= results.items(), "a recorded result was lost or changed"
        before = results
    assert len(before) < RUNS, "expected the kills to hit, was: a finished comparison"
    assert timeless(completed(data, out)) == timeless(undisturbed)
    assert before.items() <= recorded(out).items()
    assert clean(out)


SCRIPT = """
import sys
from pathlib import Path
import torch
from lab.support_lab import a_run, text
from locant.lab.train import train
torch.set_num_threads(1)
train(a_run({encoding!r}, steps=400, curve_points=8), text(), Path(sys.argv[1]), checkpoint_seconds=0.0)
"""


def test_kill_9_while_checkpoints_are_written(tmp_path):
    """A checkpoint after every step, so that most kills hit the writing of one."""
    encoding = "beside(learned) + rotary"
    run = a_run(encoding, steps=400, curve_points=8)
    whole = train(run, text(), tmp_path / "whole")
    folder, draw = RunFolder(tmp_path / "killed", run), random.Random(encoding)
    path = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    for kill in (True, True, True, False):
        before = folder.checkpoint.stat().st_mtime_ns if folder.checkpoint.exists() else 0
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(encoding=encoding), str(tmp_path / "killed")], env=path
        )
        if kill:
            moved = lambda before=before: folder.checkpoint.exists() and folder.checkpoint.stat().st_mtime_ns > before  # noqa: E731
            assert wait_until(moved, process)
            time.sleep(draw.uniform(0, 0.15))
            process.kill()
        assert process.wait(120) == (-signal.SIGKILL if kill else 0)
    assert timeless(folder.result()) == timeless(json.loads(json.dumps(whole)))
    assert folder.metrics.read_text() == RunFolder(tmp_path / "whole", run).metrics.read_text()


def test_a_killed_worker(data, undisturbed, tmp_path):
    out = tmp_path / "out"
    process = start(command(data, out))
    assert wait_until(lambda: recorded(out), process)
    [worker] = workers(process.pid)
    os.kill(worker, signal.SIGKILL)
    code, printed, told = finish(process)
    assert code == 1
    [line] = [line for line in lines(printed + told) if "SIGKILL" in line]
    assert f"failed. the worker process {worker} was killed by signal 9 (SIGKILL)" in line
    assert lines(told) == ["locant: 1 run failed; the same command tries again"]
    assert len(recorded(out)) == RUNS - 1
    document = json.loads((out / "comparison.json").read_text())
    assert [run["status"] for run in document["runs"]].count("failed") == 1
    assert timeless(completed(data, out)) == timeless(undisturbed)
    assert clean(out)


def test_ctrl_c(data, undisturbed, tmp_path):
    """While workers are being started, and later while they train."""
    out, before = tmp_path / "out", {}
    # A worker that still imports its first modules does not yet ignore the signal by itself.
    moments = [(workers, 0.06), (workers, 0.13), (lambda pid: recorded(out), 0)]
    for reached, delay in moments:
        process = start(command(data, out, "--workers", "2"))
        assert wait_until(lambda reached=reached, pid=process.pid: reached(pid), process)
        time.sleep(delay)
        children = family(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        code, _, told = finish(process)
        assert code == 130
        assert lines(told) == ["locant: interrupted; what was finished is recorded, and the same command continues"]
        assert wait_until(lambda children=children: not [child for child in children if alive(child)], timeout=5)
        assert before.items() <= recorded(out).items()
        before = recorded(out)
    assert 0 < len(before) < RUNS
    assert timeless(completed(data, out)) == timeless(undisturbed)
    assert before.items() <= recorded(out).items()


def test_a_full_disk(data, undisturbed, whole, tmp_path):
    """A small file system that fills up while the runs are recorded, and is then made larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    pages = [sum(-(-size // 4096) for size in sizes(whole / part)) for part in ("data", "runs")]
    room = pages[0] + pages[1] // 2  # about half of the runs find room
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={4 * room}k", "locant-test", disk], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small file system was refused; the limit on the size of files is tested instead")
    try:
        out = disk / "out"
        code, printed, told = finish(start(command(data, out)))
        assert code == 2
        [line] = lines(told)
        assert "No space left on device" in line
        assert line.startswith("locant: ")
        assert all("No space left on device" in line for line in lines(printed) if "failed" in line)
        assert "Traceback" not in printed + told
        before = recorded(out)
        assert 0 < len(before) < RUNS
        assert clean(out)
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        assert timeless(completed(data, out)) == timeless(undisturbed)
        assert before.items() <= recorded(out).items()
    finally:
        subprocess.run(["umount", disk], check=True)


def limited(data, out, size):
    """The command where no file may become larger than so many bytes."""
    return start(command(data, out), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))


def test_no_room_for_the_data(data, tmp_path):
    code, printed, told = finish(limited(data, tmp_path / "out", 4_000))
    assert (code, printed) == (2, "")
    assert lines(told) == ["locant: [Errno 27] File too large"]
    assert not (tmp_path / "out").exists()


def test_no_room_for_the_report(data, undisturbed, whole, tmp_path):
    out = tmp_path / "out"
    room = max(sizes(whole / "runs") + sizes(whole / "data")) + 8_000
    assert room < (whole / "report.html").stat().st_size
    code, _, told = finish(limited(data, out, room))
    assert code == 2
    assert lines(told) == ["locant: [Errno 27] File too large"]
    before = recorded(out)
    assert len(before) == RUNS
    assert timeless(completed(data, out)) == timeless(undisturbed)
    assert before == recorded(out)
