"""The main job: plan, train what is missing, and say what came out."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from locant.lab.executors import execute
from locant.lab.jobs import Event, Job
from locant.lab.plan import Plan, make
from locant.lab.records import export
from locant.lab.run import Run
from locant.lab.settings import Settings
from locant.lab.settle import settle
from locant.lab.store import RunFolder, clear_partials, open_results, write_atomically, write_json
from locant.lab.summary import Results, summarise
from locant.lab.together import groups
from locant.machine import devices


class Watcher(Protocol):
    """Whoever shows how a comparison comes along."""

    def planned(self, plan: Plan, runs: Sequence[Run], found: Results) -> None:
        """The next ``runs`` are about to start, of which ``found`` were there already."""

    def happened(self, event: Event) -> None:
        """A worker made a step, ended a run, or failed."""


class Silent:
    """Shows nothing."""

    def planned(self, plan: Plan, runs: Sequence[Run], found: Results) -> None: ...

    def happened(self, event: Event) -> None: ...


def compare(settings: Settings, watcher: Watcher | None = None) -> dict[str, Any]:
    """Trains what is missing in ``settings.out`` and returns the comparison document.

    Writes ``report.html``, ``report.md``, ``comparison.json``, ``records.parquet`` and ``measurements.parquet`` there.
    Runs that failed are listed under ``failed`` and are tried again the next time. Raises ValueError for what cannot
    be trained as asked, before anything is trained; then a folder that was made for it is removed.
    """
    from locant.report import markdown, write

    watcher, settings = watcher or Silent(), settings.checked()
    new = open_results(settings.out)
    with _alone(settings.out):
        clear_partials(settings.out)
        try:
            plan = make(settings, settle(settings))
        except (ValueError, OSError):
            if new:
                shutil.rmtree(settings.out)
            raise
        found, failed = _train(plan, plan.tuning(), watcher)
        rates = choose_rates(plan, found)
        more, broken = _train(plan, plan.runs(rates), watcher)
        results = {**found, **more}
        document = summarise(plan, rates, results, [*failed, *broken])
        write_json(settings.out / "comparison.json", document)
        export(settings.out, results)
        write(document, settings.out / "report.html")
        text = markdown(document)
        write_atomically(settings.out / "report.md", lambda partial: partial.write_text(text, encoding="utf-8"))
    return document


def _train(plan: Plan, runs: Sequence[Run], watcher: Watcher) -> tuple[Results, list[dict[str, Any]]]:
    """Results of all runs by id, trained where missing, and those that failed."""
    settings, choices, results, failed = plan.settings, plan.settled.choices, {}, []
    for run in runs:
        if (result := RunFolder(settings.out, run).result()) is not None:
            results[run.id] = result
    watcher.planned(plan, runs, dict(results))
    sources = {experiment.problem.name: experiment.source for experiment in plan.experiments}
    builders = str(settings.builders) if settings.builders else None
    ordered = longest_first(plan, runs)
    jobs = [
        # runs that choose a learning rate are of no further interest
        Job(asdict(run), sources[run.problem], str(settings.out), builders, settings.snapshots * (run.part == "test"),
            {"allocator": choices.allocator, "workers": choices.workers, **plan.settled.machine()},
            tuple(asdict(other) for other in more), plan.settled.device)
        for run, *more in _shared_out(plan, ordered, results)
    ]  # fmt: skip

    def listen(event: Event) -> None:
        if event.kind == "done" and event.result is not None:
            results[event.result["id"]] = event.result
        elif event.kind == "failed":
            run = event.job.run
            failed.append({"encoding": run["encoding"], "experiment": run["problem"], "seed": run["seed"],
                           "error": event.error})  # fmt: skip
        watcher.happened(event)

    if jobs:
        execute(jobs, choices.workers, listen)
    return {run.id: results[run.id] for run in runs if run.id in results}, failed


def _shared_out(plan: Plan, ordered: Sequence[Run], results: Results) -> list[list[Run]]:
    """The runs of each job: one; if they are stacked, those that differ in the seed; on a GPU all of a problem."""
    out, settled = plan.settings.out, plan.settled
    if settled.stacking != "stacked":
        return [[run] for run in ordered if run.id not in results]
    stacks = groups(out, ordered)
    if devices.kind(settled.device) == devices.PROCESSOR:
        return stacks
    problems = {stack[0].problem: list[Run]() for stack in stacks}
    for stack in stacks:
        problems[stack[0].problem] += stack
    return list(problems.values())


def longest_first(plan: Plan, runs: Sequence[Run]) -> list[Run]:
    """Seed by seed, and within a seed those of most FLOPs first, so that no worker is left alone with a long one."""

    def order(run: Run) -> tuple[int, float]:
        return run.seed, -run.tokens * plan.fitted[run.problem, run.encoding].cost.flops_per_token

    return sorted(runs, key=order)


def choose_rates(plan: Plan, results: Results) -> dict[tuple[str, str], float]:
    """The learning rate of every (problem, encoding): the only one, or the best on the dev part.

    Of rates whose tuning run failed none is taken, unless all of them failed; then the first is.
    """
    rates = {(e.problem.name, encoding): plan.settings.learning_rates[0]
             for e in plan.experiments for encoding in plan.settings.encodings}  # fmt: skip
    scores: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for run in plan.tuning():
        if run.id in results:
            sign = 1 if results[run.id]["metric"] == "bits_per_byte" else -1
            score = (sign * results[run.id]["value"], run.learning_rate)
            scores.setdefault((run.problem, run.encoding), []).append(score)
    return rates | {key: min(tried)[1] for key, tried in scores.items()}


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Holds the folder for this process, where the system has locks. Raises ValueError if another one holds it."""
    try:
        import fcntl
    except ImportError:  # not on Windows; there, starting two at once is the user's care
        yield
        return
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"expected a folder that no other comparison writes to, was: {out}, in use") from None
        yield
