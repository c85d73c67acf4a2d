"""A comparison as it comes along: a live table on a terminal, a line per finished run elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from locant.lab.jobs import Event
from locant.lab.plan import TUNING_SEED, Plan
from locant.lab.run import Run
from locant.lab.summary import Results

UNITS = {"bits_per_byte": "bits/byte", "accuracy": "accuracy"}
REDRAW_SECONDS = 0.25
LINES = 8  # of runs in progress: on a GPU all encodings are


class Display:
    """Watches a comparison. Use as a context manager, so that the terminal is left in order."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console
        )  # fmt: skip
        self.live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self.values: dict[tuple[str, str], list[float]] = {}
        self.columns: list[str] = []
        self.encodings: list[str] = []
        self.working: dict[str, str] = {}
        self.steps: dict[str, int] = {}
        self.finished = self.total = 0
        self.drawn = 0.0

    def __enter__(self) -> Self:
        if self.live:
            self.console.print("preparing the text and the plan", highlight=False)
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        if self.live:
            self.live.stop()

    def planned(self, plan: Plan, runs: Sequence[Run], found: Results) -> None:
        if not runs:
            return
        what = "learning rates" if runs[0].seed == TUNING_SEED else "training"
        self.columns = [experiment.problem.name for experiment in plan.experiments]
        self.encodings = list(plan.settings.encodings)
        self.values, self.steps, self.working = {}, {}, {}
        self.total, self.finished = len(runs), len(found)
        for result in found.values():
            self._note(result["run"], result["value"])
        already = f", {len(found)} of them recorded already" if found else ""
        self.console.print(f"{what}: {len(runs)} runs{already}; results in {plan.settings.out}", highlight=False)
        for task in self.progress.task_ids:
            self.progress.remove_task(task)
        self.task = self.progress.add_task(what, total=sum(run.steps for run in runs))
        self.base = sum(run.steps for run in runs if run.id in found)
        self._draw(force=True)

    def happened(self, event: Event) -> None:
        run = event.job.run
        who = f"{run['problem']}, {run['encoding']}, seed {run['seed']}"
        key = f"{who}, rate {run['learning_rate']}"
        self.steps[key] = run["steps"] if event.kind == "done" else event.step
        if event.kind == "step":
            self.working[key] = f"{who}: step {event.step} of {run['steps']}, training loss {event.loss:.3f}"
        else:
            self.finished += 1
            self.working.pop(key, None)
            self._end(event, who)
        self._draw(force=event.kind != "step")

    def _end(self, event: Event, who: str) -> None:
        count = f"{self.finished}/{self.total}"
        if event.kind == "failed":
            self.console.print(f"{count} {who}: failed. {event.error}", style="red", highlight=False, soft_wrap=True)
        elif event.result is not None:
            self._note(event.job.run, event.result["value"])
            if not self.live:
                value, seconds = event.result["value"], event.result["seconds"]
                words = f"{value:.4f} {UNITS[event.result['metric']]}, {seconds:.1f} s"
                self.console.print(f"{count} {who}: {words}", highlight=False, soft_wrap=True)

    def _note(self, run: dict, value: float) -> None:
        self.values.setdefault((run["encoding"], run["problem"]), []).append(value)

    def _draw(self, *, force: bool) -> None:
        if self.live is None or (not force and time.monotonic() - self.drawn < REDRAW_SECONDS):
            return
        self.drawn = time.monotonic()
        self.progress.update(self.task, completed=self.base + sum(self.steps.values()))
        table = Table(box=None, pad_edge=False)
        table.add_column("mean so far")
        for column in self.columns:
            table.add_column(column, justify="right")
        for encoding in self.encodings:
            cells = [self.values.get((encoding, column), []) for column in self.columns]
            table.add_row(encoding, *[f"{sum(c) / len(c):.3f} ({len(c)})" if c else "" for c in cells])
        lines = list(self.working.values())
        more = [f"and {len(lines) - LINES} more"] if len(lines) > LINES else []
        self.live.update(Group(table, self.progress, *lines[:LINES], *more), refresh=True)
