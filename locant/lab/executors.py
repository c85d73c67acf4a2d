"""Runs in worker processes of one thread each: two such workers train faster than one process with two threads."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from locant.lab import interrupts
from locant.machine.allocator import keep_freed_memory

REPORT_EVERY = 10  # steps between two messages about progress
GRACE = 5.0  # seconds that a worker gets to leave


@dataclass(frozen=True)
class Job:
    """A run as a worker needs it: plain data, and where the results go.

    machine: choices for the process, by name. more: runs that are to be trained together with this one.
    """

    run: dict[str, Any]
    source: dict[str, str]
    out: str
    builders: str | None = None
    snapshots: int = 0
    machine: dict[str, Any] = field(default_factory=dict)
    more: tuple[dict[str, Any], ...] = ()

    def members(self) -> list["Job"]:
        """A job for each of the runs, alone."""
        return [replace(self, run=run, more=()) for run in (self.run, *self.more)]


@dataclass(frozen=True)
class Event:
    """News of a job: ``kind`` is ``"step"`` (steps done, loss), ``"done"`` (the result) or ``"failed"`` (the error).

    last: false for the end of a run while others of the same job go on.
    """

    job: Job
    kind: str
    step: int = 0
    loss: float = 0.0
    result: dict[str, Any] | None = None
    error: str = ""
    last: bool = True


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


def perform(job: Job, tell: Callable[[Event], None]) -> Event:
    """Trains one job in this process and returns how it ended; an exception becomes a ``"failed"`` event.

    Of a job of several runs the end of the last one is returned, and the others are told. Runs that cannot be trained
    together are trained one after the other, and their records say why.
    """
    members = job.members()
    if len(members) > 1:
        try:
            ends = _together(job, members, tell)
        except (ValueError, FloatingPointError) as error:
            why = {"stacked": 1, "alone": f"{type(error).__name__}: {error}"}
            alone = [replace(member, machine={**member.machine, **why}) for member in members]
            ends = (perform(member, tell) for member in alone)
        except Exception as error:  # any failure of one job must leave the others alone
            ends = (_failed(member, error) for member in members)
        last = len(members) - 1
        for index, end in enumerate(ends):
            if index < last:
                tell(replace(end, last=False))
        return end
    return _alone(job, tell)


def _together(job: Job, members: Sequence[Job], tell: Callable[[Event], None]) -> Iterator[Event]:
    from locant.lab.plan import load_builders, problem
    from locant.lab.run import Run
    from locant.lab.together import train_together

    def progress(done: int, losses: list[float]) -> None:
        if done % REPORT_EVERY == 0:
            for member, loss in zip(members, losses, strict=True):
                tell(Event(member, "step", step=done, loss=loss))

    extra, _ = load_builders(Path(job.builders) if job.builders else None)
    out, runs = Path(job.out), [Run.from_dict(member.run) for member in members]
    results = train_together(runs, problem(job.source, out), out, progress=progress, extra=extra,
                             snapshots=job.snapshots, machine=job.machine)  # fmt: skip
    return iter([Event(member, "done", step=member.run["steps"], result=result)
                 for member, result in zip(members, results, strict=True)])  # fmt: skip


def _failed(job: Job, error: Exception) -> Event:
    return Event(job, "failed", error=f"{type(error).__name__}: {' '.join(str(error).split())}")


def _alone(job: Job, tell: Callable[[Event], None]) -> Event:
    from locant.lab.plan import load_builders, problem
    from locant.lab.run import Run
    from locant.lab.train import train

    def progress(done: int, loss: float) -> None:
        if done % REPORT_EVERY == 0:
            tell(Event(job, "step", step=done, loss=loss))

    try:
        extra, _ = load_builders(Path(job.builders) if job.builders else None)
        out = Path(job.out)
        result = train(Run.from_dict(job.run), problem(job.source, out), out, progress=progress, extra=extra,
                       snapshots=job.snapshots, machine=job.machine)  # fmt: skip
        return Event(job, "done", step=job.run["steps"], result=result)
    except Exception as error:  # any failure of one run must leave the other runs alone
        return _failed(job, error)


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
