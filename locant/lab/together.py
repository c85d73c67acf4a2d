"""Trains a stack of runs to its end, with a record for each of them, and says which runs go together."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from locant.encodings import Builder
from locant.lab.problems import Problem
from locant.lab.run import Run
from locant.lab.stack import LARGEST, Stack, checkpoint
from locant.lab.store import RunFolder, write_json
from locant.lab.train import Training, finish
from locant.machine.arithmetic import computing


def groups(out: Path, runs: Sequence[Run]) -> list[list[Run]]:
    """Runs to be trained, those that differ in their seed only together, at most ``LARGEST`` of them.

    Of a group of which some are finished the others go alone, unless all of them stopped at a common checkpoint.
    """
    alike: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        alike.setdefault(tuple(value for name, value in vars(run).items() if name != "seed"), []).append(run)
    made = []
    for each in alike.values():
        for start in range(0, len(each), LARGEST):
            whole = each[start : start + LARGEST]
            missing = [run for run in whole if RunFolder(out, run).result() is None]
            if missing:
                made.append(whole if checkpoint(out, whole).exists() else missing)
    return made


def _step(stack: Stack) -> list[float]:
    try:
        return stack.step()
    except FloatingPointError:  # each goes its own way from the start
        stack.checkpoint.unlink(missing_ok=True)
        raise


def train_together(runs: Sequence[Run], problem: Problem, out: Path, *,
                   progress: Callable[[int, list[float]], None] = lambda done, losses: None,
                   checkpoint_seconds: float = 10.0, extra: dict[str, Builder] | None = None, snapshots: int = 0,
                   machine: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:  # fmt: skip
    """As ``train``, for runs that differ in their seed only; equal to it up to rounding, and to itself after a kill.

    Raises ValueError if they cannot be stacked, and FloatingPointError if one of them diverges; each of them can be
    trained alone then.
    """
    members = [Training(run, problem, RunFolder(out, run), extra) for run in runs]
    stack = begin(members, out, snapshots)
    saved, steps = time.monotonic(), stack.run.steps
    with computing(stack.run.gemm, stack.run.kernels):
        while stack.done < steps:
            losses = _step(stack)
            progress(stack.done, losses)
            for member, loss in zip(members, losses, strict=True):
                member.note(loss, snapshots)
            if time.monotonic() - saved > checkpoint_seconds and stack.done < steps:
                stack.save()
                saved = time.monotonic()
        return end(stack, machine or {})


def begin(members: list[Training], out: Path, snapshots: int) -> Stack:
    """The stack of the trainings, where its last checkpoint was or at the start. Raises ValueError as ``Stack``."""
    stack = Stack(members, out)
    for member in members:
        write_json(member.folder.path / "run.json", {"id": member.run.id, **asdict(member.run)})
    stack.resume()
    for member in members:
        member.begin(snapshots)
    return stack


def end(stack: Stack, machine: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Measures the trained models and records the results. machine: choices that the records are to name."""
    members = stack.members
    if len(members) > 1:
        stack.save()  # a kill while the results are written must not part them
    told = {**machine, "stacked": len(members)}
    results = [member.folder.result() or finish(member, told) for member in members]
    stack.checkpoint.unlink(missing_ok=True)
    return results
