"""What a worker is given and what it tells: a run or several, and the news of them; and how it is performed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

REPORT_EVERY = 10  # steps between two messages about progress
Tell = Callable[["Event"], None]


@dataclass(frozen=True)
class Job:
    """A run as a worker needs it: plain data, and where the results go.

    machine: choices for the process, by name. more: runs that are to be trained together with this one: its other
    seeds, or on another device than the processor the runs of other encodings, too.
    device: the very one, where there are several of the run's kind.
    """

    run: dict[str, Any]
    source: dict[str, str]
    out: str
    builders: str | None = None
    snapshots: int = 0
    machine: dict[str, Any] = field(default_factory=dict)
    more: tuple[dict[str, Any], ...] = ()
    device: str = "cpu"

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


def perform(job: Job, tell: Tell) -> Event:
    """Trains one job in this process and returns how it ended; an exception becomes a ``"failed"`` event.

    Of a job of several runs the end of the last one is returned, and the others are told. Runs that cannot be trained
    together are trained one after the other, and their records say why.
    """
    members = job.members()
    if len(members) == 1:
        return _alone(job, tell)
    last = len(members) - 1
    for index, end in enumerate(_together(job, members, tell) if job.device == "cpu" else _all(job, members, tell)):
        if index < last:
            tell(replace(end, last=False))
    return end


def _together(job: Job, members: Sequence[Job], tell: Tell) -> Iterator[Event]:
    """The ends of runs that differ in their seed."""
    from locant.lab.run import Run
    from locant.lab.together import train_together

    def progress(done: int, losses: list[float]) -> None:
        if done % REPORT_EVERY == 0:
            for member, loss in zip(members, losses, strict=True):
                tell(Event(member, "step", step=done, loss=loss))

    runs = [Run.from_dict(member.run) for member in members]
    try:
        given = _given(job)
        results = train_together(runs, given.pop("problem"), Path(job.out), progress=progress, **given)
    except (ValueError, FloatingPointError) as error:
        yield from _one_by_one(members, error, tell)
    except Exception as error:  # any failure of one job must leave the others alone
        yield from (_failed(member, error) for member in members)
    else:
        yield from (_done(member, result) for member, result in zip(members, results, strict=True))


def _all(job: Job, members: Sequence[Job], tell: Tell) -> Iterator[Event]:
    """The ends of runs that train side by side on a GPU, as they come; what failed there is then tried alone."""
    from locant.lab.run import Run
    from locant.lab.side_by_side import train_side_by_side

    runs = [Run.from_dict(member.run) for member in members]
    by_id = {run.id: member for run, member in zip(runs, members, strict=True)}
    failed: list[tuple[list[Job], Exception]] = []

    def progress(run: Run, done: int, loss: float) -> None:
        if done % REPORT_EVERY == 0:
            tell(Event(by_id[run.id], "step", step=done, loss=loss))

    try:
        given = _given(job)
        for some, found in train_side_by_side(runs, given.pop("problem"), Path(job.out), device=job.device,
                                              progress=progress, **given):  # fmt: skip
            mine = [by_id.pop(run.id) for run in some]
            if isinstance(found, Exception):
                failed.append((mine, found))
            else:
                yield from (_done(member, result) for member, result in zip(mine, found, strict=True))
    except Exception as error:  # any failure of one job must leave the others alone
        yield from (_failed(member, error) for member in by_id.values())
    for mine, why in failed:
        yield from _one_by_one(mine, why, tell)


def _one_by_one(members: Sequence[Job], error: Exception, tell: Tell) -> Iterator[Event]:
    """The ends of runs that could not be trained together for this reason."""
    why = {"stacked": 1, "alone": _line(error)}
    for member in members:
        yield _alone(replace(member, machine={**member.machine, **why}), tell)


def _alone(job: Job, tell: Tell) -> Event:
    from locant.lab.run import Run
    from locant.lab.train import train

    def progress(done: int, loss: float) -> None:
        if done % REPORT_EVERY == 0:
            tell(Event(job, "step", step=done, loss=loss))

    try:
        given = _given(job)
        result = train(Run.from_dict(job.run), given.pop("problem"), Path(job.out), progress=progress,
                       device=job.device, **given)  # fmt: skip
        return _done(job, result)
    except Exception as error:  # any failure of one run must leave the other runs alone
        return _failed(job, error)


def _given(job: Job) -> dict[str, Any]:
    """What every way to train takes."""
    from locant.lab.plan import load_builders, problem

    extra, _ = load_builders(Path(job.builders) if job.builders else None)
    return {"problem": problem(job.source, Path(job.out)), "extra": extra, "snapshots": job.snapshots,
            "machine": job.machine}  # fmt: skip


def _done(job: Job, result: dict[str, Any]) -> Event:
    return Event(job, "done", step=job.run["steps"], result=result)


def _failed(job: Job, error: Exception) -> Event:
    return Event(job, "failed", error=_line(error))


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
