"""From settings to runs: which trainings a comparison consists of, and the budget of each."""

import json
import runpy
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from locant.encodings import Builder
from locant.lab import corpora
from locant.lab.budget import Budget
from locant.lab.match import Fitted, Size, fit
from locant.lab.problems import Problem, Synthetic, Text, task
from locant.lab.run import Run, canonical_json
from locant.lab.settings import Settings
from locant.lab.settle import Settled, settle
from locant.lab.store import RunFolder, write_json, write_tensors
from locant.lab.train import Training
from locant.machine.arithmetic import computing

TUNING_SEED = 1_000_000  # learning rates are chosen on a seed that no comparison uses
TIMED_STEPS = 8


@dataclass(frozen=True)
class Experiment:
    """One problem of the comparison: ``source`` is what a worker process needs to make it again."""

    problem: Problem
    data: str
    source: dict[str, str]
    description: str
    chance: float | None
    summary: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """All that a comparison will train. ``runs(rates)`` lists it, once learning rates are chosen."""

    settings: Settings
    experiments: tuple[Experiment, ...]
    fitted: dict[tuple[str, str], Fitted]
    steps: dict[tuple[str, str], int]
    builders: str
    settled: Settled

    def run(self, experiment: Experiment, encoding: str, seed: int, rate: float, part: str = "test") -> Run:
        settings, key = self.settings, (experiment.problem.name, encoding)
        model = self.fitted[key]
        return Run(
            encoding=encoding, problem=experiment.problem.name, data=experiment.data, seed=seed, width=model.width,
            heads=settings.heads, layers=settings.layers, hidden=model.hidden, columns=_columns(settings),
            context=settings.context, batch=settings.batch, steps=self.steps[key], learning_rate=rate,
            weight_decay=settings.weight_decay, eval_lengths=settings.eval_lengths, eval_tokens=settings.eval_tokens,
            curve_points=settings.curve_points, part=part, builders=self.builders, **self.settled.fields()
        )  # fmt: skip

    def tuning(self) -> list[Run]:
        """Runs that choose the learning rate; none if there is nothing to choose."""
        if len(self.settings.learning_rates) == 1:
            return []
        return [
            replace(self.run(experiment, encoding, TUNING_SEED, rate, "dev"), eval_lengths=(self.settings.context,))
            for experiment in self.experiments for encoding in self.settings.encodings
            for rate in self.settings.learning_rates
        ]  # fmt: skip

    def runs(self, rates: dict[tuple[str, str], float]) -> list[Run]:
        """The runs that are compared, block by block: a seed is complete before the next begins."""
        return [
            self.run(experiment, encoding, seed, rates[experiment.problem.name, encoding])
            for seed in range(self.settings.seeds) for experiment in self.experiments
            for encoding in self.settings.encodings
        ]  # fmt: skip


def _columns(settings: Settings) -> int:
    return max(2, settings.width // 8 * 2) if settings.columns is None else settings.columns


def load_builders(path: Path | None) -> tuple[dict[str, Builder], str]:
    """The encodings in a user's file, and the hash of the file. Raises ValueError if it fails or has none."""
    if path is None:
        return {}, ""
    if not path.is_file():
        raise ValueError(f"expected a Python file of builders, was: {path}")
    try:
        names = runpy.run_path(str(path))
    except Exception as error:  # whatever the user's code raises
        raise ValueError(f"expected a Python file that runs, was: {path}, {type(error).__name__}: {error}") from error
    found = {name: value for name, value in names.items()
             if callable(value) and getattr(value, "__code__", None) and not name.startswith("_")
             and value.__code__.co_varnames[:1] == ("shape",)}  # fmt: skip
    if not found:
        raise ValueError(f"expected functions whose first argument is `shape` in {path}, was: none")
    return found, sha256(path.read_bytes()).hexdigest()


def experiments(settings: Settings, out: Path) -> tuple[Experiment, ...]:
    """Loads the text and the tasks. Raises ValueError if one cannot be had or is too short for the windows."""
    made = []
    if settings.data != "none":
        corpus = corpora.load(settings.data, cache=out / "data")
        corpus.require(max(settings.eval_lengths))
        path = out / "data" / f"{corpus.hash[:20]}.pt"
        if not path.exists():
            parts = {"train": corpus.train, "test": corpus.test}
            write_tensors(path, parts)
        text = Text(corpus.name, corpus.train, corpus.test)
        if len(settings.learning_rates) > 1 and len(text.dev) <= settings.context:
            wanted = f"expected at least {settings.context + 1} bytes to choose learning rates on in {corpus.name}"
            raise ValueError(f"{wanted}, was: {len(text.dev)}")
        source = {"kind": "text", "name": corpus.name, "file": path.name}
        made.append(Experiment(text, corpus.hash, source, corpus.description, None, corpus.summary()))
    for name in settings.task:
        chosen = task(name, settings.context, *settings.eval_lengths)
        source = {"kind": "task", "name": name, "context": str(settings.context)}
        summary = {"name": name, "description": chosen.description}
        chance = chosen.chance(settings.context)
        made.append(Experiment(Synthetic(chosen), repr(chosen), source, chosen.description, chance, summary))
    return tuple(made)


def problem(source: dict[str, str], out: Path) -> Problem:
    """Makes a problem again from ``Experiment.source``, in another process."""
    if source["kind"] == "task":
        return Synthetic(task(source["name"], int(source["context"])))
    parts = torch.load(out / "data" / source["file"], weights_only=True)
    return Text(source["name"], parts["train"], parts["test"])


def make(settings: Settings, settled: Settled | None = None) -> Plan:
    """The plan of a comparison. Raises ValueError for whatever cannot be trained as asked, before anything is."""
    out, extra = settings.out, load_builders(settings.builders)
    size = Size(settings.width, settings.heads, settings.layers, _columns(settings), settings.context, settings.batch)
    budget, found = Budget.parse(settings.budget), experiments(settings, out)
    assert settings.reference is not None
    fitted: dict[tuple[str, str], Fitted] = {}
    for experiment in found:
        name, vocabulary = experiment.problem.name, experiment.problem.vocabulary
        target = fit(settings.reference, settings.match, size, vocabulary, extra=extra[0]).cost
        for encoding in settings.encodings:
            goal = None if encoding == settings.reference else target
            fitted[name, encoding] = fit(encoding, settings.match, size, vocabulary, goal, extra[0])
    plan = Plan(settings, found, fitted, {}, extra[1], settled or settle(settings))
    known = _timings(plan, extra[0]) if budget.unit == "seconds" else {}
    for key, model in fitted.items():
        plan.steps[key] = budget.steps(tokens_per_step=settings.batch * settings.context,
                                       flops_per_token=model.cost.flops_per_token,
                                       seconds_per_step=known.get(key))  # fmt: skip
    return plan


def _timings(plan: Plan, extra: dict[str, Builder]) -> dict[tuple[str, str], float]:
    """Seconds per step of every model, measured once and kept, so that the same command means the same runs."""
    settings, timings = plan.settings, {}
    for experiment in plan.experiments:
        for encoding in settings.encodings:
            key = (experiment.problem.name, encoding)
            plan.steps[key] = TIMED_STEPS
            run = plan.run(experiment, encoding, TUNING_SEED, settings.learning_rates[0])
            path = settings.out / "timings" / f"{sha256(canonical_json(run.id).encode()).hexdigest()[:20]}.json"
            if not path.exists():
                write_json(path, {"encoding": encoding, "seconds_per_step": _time(run, experiment, plan, extra)})
            timings[key] = json.loads(path.read_text())["seconds_per_step"]
    return timings


def _time(run: Run, experiment: Experiment, plan: Plan, extra: dict[str, Builder]) -> float:
    threads = torch.get_num_threads()
    torch.set_num_threads(run.threads)  # as the workers train
    try:
        folder = RunFolder(plan.settings.out, run)
        training = Training(run, experiment.problem, folder, extra, plan.settled.device)
        with computing(run.gemm, run.kernels):
            training.step()  # the first step allocates
            started = time.perf_counter()
            for _ in range(TIMED_STEPS - 1):
                training.step()
            return (time.perf_counter() - started) / (TIMED_STEPS - 1)
    finally:
        torch.set_num_threads(threads)
