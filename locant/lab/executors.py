"""Runs in worker processes of one thread each: two such workers train faster than one process with two threads."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from locant.lab import interrupts
from locant.lab.jobs import Event, Job, perform
from locant.machine.allocator import keep_freed_memory

GRACE = 5.0  # seconds that a worker gets to leave


@dataclass
class Worker:
    """A process, our end of the pipe to it, and the job that it has."""

    process: SpawnProcess
    pipe: Connection
    job: Job | None = None


def execute(jobs: Sequence[Job], workers: int, listen: Callable[[Event], None]) -> None:
    """Runs the jobs in their order on ``workers`` processes and tells ``listen`` of everything that happens.

    A job that fails, or whose process is killed, is reported as failed and the others go on. An exception in
    ``listen``, such as Ctrl-C, ends the workers; their last checkpoints stay.
    """
    waiting, team = deque(jobs), list[Worker]()
    try:
        while len(team) < min(workers, len(jobs)):
            team.append(_hire())
        while waiting or any(worker.job for worker in team):
            interrupts.check()
            for index, worker in enumerate(team):
                if worker.job is None and waiting:
                    if not worker.process.is_alive():
                        team[index] = worker = _hire()
                    worker.job = waiting.popleft()
                    with suppress(OSError):  # if it has just died, its end is the news below
                        worker.pipe.send(worker.job)
            busy = [worker for worker in team if worker.job]
            ready = wait([worker.pipe for worker in busy] + [worker.process.sentinel for worker in busy])
            for worker in busy:
                if worker.pipe in ready or worker.process.sentinel in ready:
                    for event in _news(worker):
                        listen(event)
    finally:
        for worker in team:
            worker.process.terminate()
        for worker in team:
            worker.process.join(GRACE)


def _hire() -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, os.getpid()), daemon=True)
    with _environment(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1"), _interrupts_blocked():
        process.start()
    theirs.close()  # so that the end of the process ends the pipe
    return Worker(process, ours)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Variables that a child inherits and that are read while its libraries load."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A child inherits the block, so that Ctrl-C cannot hit it before it has come to ignore it; ours is lifted."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started later, by the child's own start, it would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _news(worker: Worker) -> Iterator[Event]:
    """The next message of a worker, or the news that it is gone."""
    assert worker.job is not None
    try:
        event: Event = worker.pipe.recv()
    except (EOFError, OSError):  # the end, possibly in the middle of a message
        worker.process.join()
        code = worker.process.exitcode or 0
        how = (
            f"was killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"ended with status {code}"
        )
        for job in worker.job.members():
            yield Event(job, "failed", error=f"the worker process {worker.process.pid} {how}")
        worker.job = None
        return
    if event.kind in ("done", "failed") and event.last:
        worker.job = None
    yield event


def work(pipe: Connection, parent: int) -> None:
    """What a worker does: take a job, train it, tell, and again, until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _die_with(parent)
    import torch

    import locant.lab.plan
    import locant.lab.train  # noqa: F401  what the first job needs

    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            return
        torch.set_num_threads(job.run["threads"])  # a part of the numerics: sums are split by thread
        if job.machine.get("allocator") == "raised":
            keep_freed_memory()
        pipe.send(perform(job, lambda event: _tell(pipe, event, parent)))


def _tell(pipe: Connection, event: Event, parent: int) -> None:
    if os.getppid() != parent:  # nobody listens any more, and another process may have taken over the run
        os._exit(1)
    pipe.send(event)


def _die_with(parent: int) -> None:
    """Asks Linux to kill this process when its parent dies; elsewhere ``_tell`` notices a little later."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
