"""The command line in this process, and as a process of its own that can be killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SMALL = ["--width", "16", "--heads", "2", "--layers", "1", "--context", "16", "--batch", "4", "--eval-tokens", "256",
         "--curve-points", "4", "--task", "copy", "--seeds", "2", "--attention", "fused", "--gemm", "plain",
         "--allocator", "plain", "--kernels", "native"]  # fmt: skip
LINUX = sys.platform == "linux"


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def start(arguments: Sequence[object], **options) -> subprocess.Popen:
    """`python -m locant ...` in a session of its own, so that a signal to its group hits nobody else."""
    command = [sys.executable, "-m", "locant", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                            start_new_session=True, **options)  # fmt: skip


def finish(process: subprocess.Popen, timeout: float = 120) -> tuple[int, str, str]:
    """Exit status, stdout and stderr. A process that hangs is killed with all its workers and fails the test."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err


def wait_until(condition: Callable[[], object], process: subprocess.Popen | None = None, timeout: float = 90) -> bool:
    """Whether the condition came true before the process ended."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.005)
    raise AssertionError("expected a condition to come true, was: nothing for too long")


def recorded(out: Path) -> dict[str, dict]:
    """The results in a folder, by run; fails if one of them cannot be read."""
    return {path.parent.name: json.loads(path.read_text()) for path in out.glob("runs/*/result.json")}


def started(out: Path) -> list[Path]:
    return list(out.glob("runs/*/run.json"))


def family(pid: int) -> dict[int, str]:
    """Living descendants of a process: id to command line. Linux."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if fields[0] not in "ZX":
            parents[int(folder.name)] = int(fields[1])
    found, wanted = {}, {pid}
    while wanted:
        wanted = {child for child, parent in parents.items() if parent in wanted}
        found |= {child: commands[child] for child in wanted}
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def workers(pid: int) -> list[int]:
    return [child for child, command in family(pid).items() if "spawn_main" in command]
