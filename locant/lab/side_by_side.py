"""All encodings of a problem at once on one GPU: a stack of seeds for each, every stack on a stream of its own.

One process orders the steps of all stacks, some of each in turn. While it writes down what one of them has done, the
GPU works for the others.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from locant.encodings import Builder
from locant.lab.graph import Record
from locant.lab.problems import Kept, Problem
from locant.lab.resident import Resident
from locant.lab.run import Run
from locant.lab.store import RunFolder
from locant.lab.together import begin, end, groups
from locant.lab.train import LOG_EVERY, Training, finite
from locant.machine.arithmetic import computing

Told = Callable[[Run, int, float], None]
Ends = Iterator[tuple[list[Run], list[dict[str, Any]] | Exception]]
"""Runs that were trained together, with their results, or with why they have none."""
AT_ONCE = 32  # stacks, as so many streams PyTorch has
AHEAD = 4 * LOG_EVERY  # steps by which one encoding may be ahead of another before a batch is made again


class Lane:
    """One stack on its way, on a stream of its own. To be used inside of ``here``."""

    def __init__(self, runs: list[Run], device: torch.device, progress: Told, snapshots: int) -> None:
        self.runs, self.progress, self.snapshots = runs, progress, snapshots
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.saved, self.spent = time.monotonic(), 0.0

    def here(self) -> AbstractContextManager[object]:
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def begin(self, members: list[Training], out: Path, record: Record | None) -> None:
        self.stack = begin(members, out, self.snapshots)
        self.resident = Resident(self.stack, record)

    @property
    def done(self) -> bool:
        return self.stack.done >= self.stack.run.steps

    def order(self) -> None:
        began, first = time.perf_counter(), self.stack.members[0]
        self.resident.order(first.pause(self.snapshots) - first.done)
        self.spent = time.perf_counter() - began

    def read(self, checkpoint_seconds: float) -> None:
        """Waits for what was ordered and writes it down. The time of these steps is that of ordering and waiting.

        Raises FloatingPointError if a loss is not finite.
        """
        began = time.perf_counter()
        losses = self.resident.read()
        self.stack.count(len(losses), self.spent + time.perf_counter() - began)
        for index, each in enumerate(losses):
            for value in each:
                finite(value, self.stack.done - len(losses) + index + 1)
        for member, value in zip(self.stack.members, losses[-1], strict=True):
            member.note(value, self.snapshots)
            self.progress(member.run, member.done, value)
        if not self.done and time.monotonic() - self.saved > checkpoint_seconds:
            self.stack.save()
            self.saved = time.monotonic()


def train_side_by_side(runs: Sequence[Run], problem: Problem, out: Path, *, device: str,
                       progress: Told = lambda run, done, loss: None, checkpoint_seconds: float = 10.0,
                       extra: dict[str, Builder] | None = None, snapshots: int = 0,
                       machine: Mapping[str, Any] | None = None, record: Record | None = None) -> Ends:  # fmt: skip
    """As ``train_together``, for all groups of seeds among the runs of one problem at once.

    Yields the runs of a group with their results as soon as they are there; or with the exception that ended them,
    while the others go on. Each of those can be trained alone then. record: of a step; a CUDA graph unless given.
    """
    where, told = torch.device(device), dict(machine or {})
    shared = Kept(problem, AHEAD * len({run.seed for run in runs}))  # equal seeds see equal batches
    waiting = deque(groups(out, runs))
    ready: deque[Lane] = deque()

    def prepare(lane: Lane) -> list[dict[str, Any]] | None:
        members = [Training(run, shared, RunFolder(out, run), extra, device) for run in lane.runs]
        lane.begin(members, out, record)
        if not lane.done:
            lane.order()
        return None

    def go_on(lane: Lane) -> list[dict[str, Any]] | None:
        if not lane.done:
            lane.read(checkpoint_seconds)
        if lane.done:
            return end(lane.stack, {**told, "steps": lane.resident.how})
        lane.order()
        return None

    with computing(runs[0].gemm, runs[0].kernels):
        while waiting or ready:
            if waiting and len(ready) < AT_ONCE:
                lane = Lane(waiting.popleft(), where, progress, snapshots)
                failure, results = _inside(lane, prepare)
            else:
                lane = ready.popleft()
                failure, results = _inside(lane, go_on)
            if failure is None and results is None:
                ready.append(lane)
            else:
                yield lane.runs, results if failure is None else failure


def _inside(lane: Lane, what: Callable[[Lane], Any]) -> tuple[Exception | None, Any]:
    """What comes of it on the lane's stream, or the exception: any failure of one group must leave the others alone."""
    try:
        with lane.here():
            return None, what(lane)
    except Exception as error:
        if isinstance(error, FloatingPointError):
            lane.stack.checkpoint.unlink(missing_ok=True)  # each goes its own way from the start
        error.__cause__ = error.__context__ = None  # with their tracebacks, which hold all that is on the device
        return error.with_traceback(None), None
