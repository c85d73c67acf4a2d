"""Jobs in worker processes: order, progress, and what happens when one goes wrong."""

import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from lab.support_lab import a_run, text, timeless

from locant.lab.executors import Worker, _environment, _news, execute
from locant.lab.jobs import Event, Job, perform
from locant.lab.store import RunFolder, write_tensors
from locant.lab.train import train

SOURCE = {"kind": "text", "name": "words", "file": "words.pt"}
DEADLY = """
import os
import signal

from locant.encodings import PositionalEncoding

class Deadly(PositionalEncoding):
    def embed(self, tokens, positions):
        if not tokens.is_meta:
            {how}
        return tokens

def deadly(shape):
    return Deadly()
"""


@pytest.fixture
def out(tmp_path):
    problem = text()
    write_tensors(tmp_path / "out" / "data" / "words.pt", {"train": problem.train, "test": problem.held_out})
    return tmp_path / "out"


def job(out, encoding="none", builders=None, **changes):
    return Job(asdict(a_run(encoding, steps=25, **changes)), SOURCE, str(out), builders)


def told(events):
    return [(event.job.run["encoding"], event.job.run["seed"], event.kind, event.step) for event in events]


def test_a_job_in_this_process(out):
    events: list[Event] = []
    end = perform(job(out), events.append)
    assert told([*events, end]) == [("none", 0, "step", 10), ("none", 0, "step", 20), ("none", 0, "done", 25)]
    assert all(event.loss > 0 for event in events)
    assert end.result == RunFolder(out, a_run("none", steps=25)).result() | {"run": job(out).run}


def test_a_job_that_raises_is_told_in_one_line(out):
    assert perform(job(out, "rotory"), lambda event: None).error.startswith("ValueError: expected one of add, alibi")
    end = perform(job(out, learning_rate=1e30), lambda event: None)
    assert (end.kind, end.result) == ("failed", None)
    assert end.error.startswith("FloatingPointError: expected a finite loss, was: ")
    assert "\n" not in end.error
    gone = Job(job(out).run, {**SOURCE, "file": "no.pt"}, str(out))
    assert perform(gone, lambda event: None).error.startswith("FileNotFoundError: ")


def test_variables_are_set_back():
    os.environ.pop("LOCANT_TEST", None)
    with _environment(LOCANT_TEST="1", OMP_NUM_THREADS="7"):
        before = os.environ["LOCANT_TEST"], os.environ["OMP_NUM_THREADS"]
    assert before == ("1", "7")
    assert "LOCANT_TEST" not in os.environ
    assert os.environ.get("OMP_NUM_THREADS") != "7"


class Gone:
    """A process that has ended, for the tests of what is said of it."""

    pid = 77

    def __init__(self, exitcode):
        self.exitcode = exitcode

    def join(self):
        pass


@pytest.mark.parametrize(("error", "exitcode", "words"), [
    (EOFError, -9, "the worker process 77 was killed by signal 9 (SIGKILL)"),
    (OSError("got end of file during message"), -11, "the worker process 77 was killed by signal 11 (SIGSEGV)"),
    (ConnectionResetError, 3, "the worker process 77 ended with status 3"),
])  # fmt: skip
def test_the_end_of_a_worker(out, error, exitcode, words):
    class Pipe:
        def recv(self):
            raise error

    worker = Worker(Gone(exitcode), Pipe(), job(out))
    [event] = _news(worker)
    assert (event.kind, event.error) == ("failed", words)
    assert worker.job is None


@pytest.mark.slow
def test_one_worker_keeps_the_order_and_gives_the_numbers_of_this_process(out, tmp_path):
    jobs, events = [job(out, e, seed=s) for s in (1, 0) for e in ("rotary", "none")], []
    execute(jobs, 1, events.append)
    assert told(events) == [
        (encoding, seed, kind, step) for seed in (1, 0) for encoding in ("rotary", "none")
        for kind, step in (("step", 10), ("step", 20), ("done", 25))
    ]  # fmt: skip
    assert torch.get_num_threads() == 1
    for event in events:
        if event.kind == "done":
            here = train(a_run(event.job.run["encoding"], steps=25, seed=event.job.run["seed"]), text(), tmp_path)
            assert timeless(event.result) == timeless(here)
    assert not children()


@pytest.mark.slow
def test_a_worker_that_dies_takes_all_runs_of_its_job_along(out, tmp_path):
    path = tmp_path / "deadly.py"
    path.write_text(DEADLY.format(how="os._exit(3)"))
    runs = [asdict(a_run("deadly", seed=seed, attention="dense", stacking="stacked")) for seed in range(3)]
    events: list[Event] = []
    execute([Job(runs[0], SOURCE, str(out), str(path), more=tuple(runs[1:])), job(out)], 1, events.append)
    ends = [(event.job.run["encoding"], event.job.run["seed"], event.kind) for event in events if event.kind != "step"]
    assert ends == [("deadly", 0, "failed"), ("deadly", 1, "failed"), ("deadly", 2, "failed"), ("none", 0, "done")]


@pytest.mark.slow
def test_a_worker_that_dies_takes_only_its_own_job_along(out, tmp_path):
    jobs = [job(out, seed=0)]
    for seed, how in enumerate(("os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)", "1 / 0"), start=1):
        path = tmp_path / f"deadly{seed}.py"
        path.write_text(DEADLY.format(how=how))
        jobs.append(job(out, "deadly", str(path), seed=seed))
    events: list[Event] = []
    execute([*jobs, job(out, seed=4)], 1, events.append)
    ends = {event.job.run["seed"]: event for event in events if event.kind != "step"}
    assert {seed: event.kind for seed, event in ends.items()} == {0: "done", 1: "failed", 2: "failed", 3: "failed",
                                                                  4: "done"}  # fmt: skip
    assert "was killed by signal 9 (SIGKILL)" in ends[1].error
    assert "ended with status 3" in ends[2].error
    assert ends[3].error == "ZeroDivisionError: division by zero"
    assert not children()


@pytest.mark.slow
def test_who_listens_may_end_it_all(out):
    def listen(event):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        execute([job(out, seed=seed, eval_tokens=2048) for seed in range(20)], 2, listen)
    assert not children()
    assert time.monotonic() - started < 60
    assert not RunFolder(out, a_run("none", steps=25, seed=19)).path.exists()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGINT} == set()


def children() -> list[str]:
    """Workers of this process that are alive."""
    if sys.platform != "linux":
        return []
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command = stat.with_name("cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z" and "spawn_main" in command:
            found.append(command)
    return found
