"""From results to the comparison document: means, paired differences, verdicts, curves and ranks."""

import math
import platform
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from locant._version import __version__
from locant.lab.match import MODES
from locant.lab.plan import TUNING_SEED, Experiment, Plan
from locant.lab.run import NUMERICS, Run
from locant.lab.statistics import Better, paired, ranks

CONFIDENCE = 0.95
Results = dict[str, dict[str, Any]]
"""Run id to result."""


def summarise(plan: Plan, rates: dict[tuple[str, str], float], results: Results,
              failed: Sequence[dict[str, Any]]) -> dict[str, Any]:  # fmt: skip
    """The comparison document: everything that the report and ``--json`` show."""
    settings = plan.settings
    runs = plan.runs(rates)
    made = [_experiment(plan, e, rates, results) for e in plan.experiments]
    text = next((e for e in made if e["metric"] == "bits_per_byte"), None)
    held, not_held = MODES[settings.match]
    return {
        "reference": settings.reference,
        "encodings": list(settings.encodings),
        "seeds": list(range(settings.seeds)),
        "matched": {"by": settings.match, "held": held, "not_held": not_held},
        "data": plan.experiments[0].summary if text else {"name": "none", "description": "synthetic tasks only"},
        "plan": _plan(plan),
        "versions": _versions(results),
        "notes": _notes(plan, made, results),
        "rows": (text or made[0])["rows"],
        "experiments": made,
        "runs": [_run(run, results) for run in [*plan.tuning(), *runs]],
        "failed": list(failed),
    }


def _experiment(plan: Plan, experiment: Experiment, rates: dict[tuple[str, str], float],
                results: Results) -> dict[str, Any]:  # fmt: skip
    settings, problem = plan.settings, experiment.problem
    found = {
        encoding: [
            results.get(plan.run(experiment, encoding, seed, rates[problem.name, encoding]).id)
            for seed in range(settings.seeds)
        ]
        for encoding in settings.encodings
    }
    better: Better = "lower" if problem.metric == "bits_per_byte" else "higher"
    assert settings.reference is not None
    base = _mean([r["value"] for r in found[settings.reference] if r])
    margin = settings.margin * (base or 0.0) if better == "lower" else settings.margin
    rows = [_row(plan, problem.name, problem.metric, better, encoding, found, margin) for encoding in found]
    return {
        "name": problem.name,
        "kind": "text" if better == "lower" else "task",
        "metric": problem.metric,
        "better": better,
        "chance": experiment.chance,
        "margin": margin,
        "description": experiment.description,
        "rows": rows,
        "curves": _curves(settings.batch * settings.context, settings.context, found),
        "ranks": _ranks(plan, experiment, better, found, rows, results),
    }


def _row(plan: Plan, name: str, metric: str, better: Better, encoding: str,
         found: dict[str, list[dict[str, Any] | None]], margin: float) -> dict[str, Any]:  # fmt: skip
    settings, model = plan.settings, plan.fitted[name, encoding]
    assert settings.reference is not None
    done = [r for r in found[encoding] if r]
    pairs = [(r, ref) for r, ref in zip(found[encoding], found[settings.reference], strict=True) if r and ref]
    row: dict[str, Any] = {
        "encoding": encoding,
        metric: _mean([r["value"] for r in done]),
        "per_seed": [r["value"] for r in done],
        "difference": None,
        "interval": None,
        "verdict": "reference" if encoding == settings.reference else "undecided",
        "more_seeds": None,
        "parameters": model.cost.parameters,
        "flops_per_token": model.cost.flops_per_token,
        "seconds": _mean([r["seconds"] for r in done]),
        "tokens_per_second": _mean([r["tokens_per_second"] for r in done]),
        "steps": plan.steps[name, encoding],
        "tokens": plan.steps[name, encoding] * settings.batch * settings.context,
        "width": model.width,
        "token_width": model.token_width,
        "position_width": model.position_width,
        "hidden": model.hidden,
        "learning_rate": done[0]["run"]["learning_rate"] if done else None,
        "attention": done[0]["attention"] if done else None,
        "by_length": [_length(plan, i, done) for i in range(len(settings.eval_lengths))],
    }
    if encoding == settings.reference:
        row["difference"] = 0.0
    elif pairs:
        verdict = paired([r["value"] - ref["value"] for r, ref in pairs], margin=margin, better=better,
                         comparisons=max(1, len(settings.encodings) - 1), confidence=CONFIDENCE)  # fmt: skip
        row |= {"difference": verdict.difference, "verdict": verdict.verdict, "more_seeds": verdict.more_seeds,
                "interval": list(verdict.interval) if verdict.interval else None}  # fmt: skip
    return row


def _length(plan: Plan, index: int, done: list[dict[str, Any]]) -> dict[str, Any]:
    length = plan.settings.eval_lengths[index]
    found = [r["by_length"][index] for r in done]
    values = [f["value"] for f in found if f["value"] is not None]
    note = next((f["note"] for f in found if f["note"]), None)
    return {"length": length, "times": length / plan.settings.context, "value": _mean(values), "per_seed": values,
            "note": note}  # fmt: skip


def _curves(tokens_per_step: int, context: int, found: dict[str, list[dict[str, Any] | None]]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    lengths: list[dict[str, Any]] = []
    positions: list[dict[str, Any]] = []
    for encoding, each in found.items():
        done = [r for r in each if r]
        for points in zip(*[r["curve"] for r in done], strict=True):
            step = points[0]["step"]
            spread = _spread([p["value"] for p in points])
            steps.append({"encoding": encoding, "step": step, "tokens": step * tokens_per_step, **spread})
        for rows in zip(*[r["by_length"] for r in done], strict=True):
            if rows[0]["value"] is None:
                continue
            lengths.append({"encoding": encoding, "length": rows[0]["length"], **_spread([r["value"] for r in rows])})
            for position, values in zip(rows[0]["positions"], zip(*[r["by_position"] for r in rows], strict=True),
                                        strict=True):  # fmt: skip
                if None not in values:
                    positions.append({"encoding": encoding, "length": rows[0]["length"], "position": position,
                                      "value": _mean(list(values))})  # fmt: skip
    return {"step": steps, "position": positions, "length": lengths}


def _ranks(plan: Plan, experiment: Experiment, better: Better, found: dict[str, list[dict[str, Any] | None]],
           rows: list[dict[str, Any]], results: Results) -> list[dict[str, Any]]:  # fmt: skip
    """Orders of the encodings: along the training, at the end, and at each learning rate that was tried."""
    made = []
    for share, words in ((1 / 4, "1/4 of the training"), (1 / 2, "1/2 of the training")):
        values = {e: [p["value"] for r in each if r
                      for p in r["curve"] if p["step"] == round(share * r["run"]["steps"])]
                  for e, each in found.items()}  # fmt: skip
        made.append((words, {e: sum(v) / len(v) for e, v in values.items() if v}))
    name = experiment.problem.name
    made.append(("the end of the training", {r["encoding"]: _mean(r["per_seed"]) for r in rows if r["per_seed"]}))
    tried: dict[float, dict[str, float]] = defaultdict(dict)
    for run in plan.tuning():
        if run.problem == name and run.id in results:
            tried[run.learning_rate][run.encoding] = results[run.id]["value"]
    made += [(f"learning rate {rate:g} (one seed, dev part)", values) for rate, values in sorted(tried.items())]
    return [{"at": words, "order": ranks(values, better)} for words, values in made if len(values) > 1]


def _notes(plan: Plan, experiments: list[dict[str, Any]], results: Results) -> list[str]:
    notes = []
    for experiment in experiments:
        orders = {r["at"]: r["order"] for r in experiment["ranks"]}
        end = orders.get("the end of the training")
        moved = [at for at, order in orders.items() if end and set(order) == set(end) and order != end]
        if moved:
            notes.append(
                f"On {experiment['name']} the order of the encodings is another at {_join(moved)} than at the end: "
                "a longer or shorter training, or another learning rate, may change who wins."
            )
    rates = plan.settings.learning_rates
    if len(rates) == 1:
        notes.append(f"The learning rate was not tuned: {rates[0]:g} for every encoding. The order depends on it.")
    else:
        grid = ", ".join(f"{rate:g}" for rate in rates)
        notes.append(f"Each encoding has the best of the learning rates {grid}, chosen on seed {TUNING_SEED} and on "
                     "text that is neither trained nor tested on.")  # fmt: skip
    if plan.settings.seeds < 5:
        notes.append(f"{plan.settings.seeds} seeds explore; take 8 or more (--seeds 8) before you claim.")
    if len({r["torch"] for r in results.values()}) > 1:
        notes.append("The runs were made with different versions of torch; their last digits may differ for that.")
    return notes


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _plan(plan: Plan) -> dict[str, Any]:
    settings, steps = plan.settings, sorted(set(plan.steps.values()))
    return {
        "width": settings.width, "heads": settings.heads, "layers": settings.layers, "context": settings.context,
        "batch": settings.batch, "match": settings.match, "budget": settings.budget,
        "steps": str(steps[0]) if len(steps) == 1 else f"{steps[0]} to {steps[-1]}",
        "learning_rates": list(settings.learning_rates), "weight_decay": settings.weight_decay,
        "optimiser": "AdamW, beta 0.9 and 0.98, 10 % warm-up, then a half cosine to 0, gradients clipped at norm 1",
        "eval_lengths": list(settings.eval_lengths), "eval_tokens": settings.eval_tokens,
        "margin": settings.margin, "confidence": CONFIDENCE, "choices": plan.settled.numerics(),
        "correction": f"Bonferroni over {max(1, len(settings.encodings) - 1)} comparisons",
    }  # fmt: skip


def _versions(results: Results) -> dict[str, Any]:
    return {
        "locant": __version__,
        "numerics": NUMERICS,
        "torch": ", ".join(sorted({r["torch"] for r in results.values()})) or "none",
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
    }


def _run(run: Run, results: Results) -> dict[str, Any]:
    result = results.get(run.id)
    return {"id": run.id, "encoding": run.encoding, "experiment": run.problem, "seed": run.seed, "part": run.part,
            "learning_rate": run.learning_rate, "status": "done" if result else "failed",
            "final": result["value"] if result else None}  # fmt: skip


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"value": sum(values) / len(values), "low": min(values), "high": max(values)}


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
