"""What the page and the terminal tables read out of a comparison document, and its check."""

import math
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]
VERDICTS = ("reference", "better", "equivalent", "undecided", "worse")
METRICS = {"bits_per_byte": "bits per byte", "accuracy": "accuracy"}


def check(comparison: Document) -> None:
    """Refuse a document that would make a wrong page.

    Raises:
        ValueError: for an unknown reference, encoding, verdict or direction, or a misplaced verdict of `reference`.
    """
    encodings = comparison["encodings"]
    if comparison["reference"] not in encodings:
        raise ValueError(f"expected a reference among {', '.join(encodings)}, was: {comparison['reference']}")
    for experiment in comparison["experiments"]:
        if experiment["better"] not in ("lower", "higher"):
            raise ValueError(f"expected better to be lower or higher, was: {experiment['better']}")
        for row in experiment["rows"]:
            if row["encoding"] not in encodings:
                raise ValueError(f"expected a row of {', '.join(encodings)}, was: {row['encoding']}")
            if row["verdict"] not in VERDICTS:
                raise ValueError(f"expected a verdict of {', '.join(VERDICTS)}, was: {row['verdict']}")
            if (row["verdict"] == "reference") != (row["encoding"] == comparison["reference"]):
                raise ValueError(
                    f"expected the verdict reference for {comparison['reference']} alone, "
                    f"was: {row['verdict']} for {row['encoding']}"
                )


def finite(value: Any) -> bool:
    """Whether a field holds a number that can be drawn."""
    return value is not None and math.isfinite(value)


def metric_name(experiment: Document) -> str:
    """The metric in plain words, such as `bits per byte`."""
    return METRICS.get(experiment["metric"], experiment["metric"].replace("_", " "))


def amount(experiment: Document, text: str) -> str:
    """A number with the metric as its unit: `0.02 bits per byte`, `0.02 in accuracy`."""
    return f"{text}{' in' if experiment['metric'] == 'accuracy' else ''} {metric_name(experiment)}"


def margin_of(comparison: Document, experiment: Document) -> float | None:
    """The equivalence margin in units of the metric: the experiment's own, else the plan's."""
    margin = experiment.get("margin", comparison["plan"].get("margin"))
    return None if margin is None else float(margin)


def ranked(experiment: Document) -> list[Document]:
    """Rows from best to worst by the metric; rows without a number come last."""
    sign = 1 if experiment["better"] == "lower" else -1

    def key(row: Document) -> tuple[bool, float]:
        value = row[experiment["metric"]]
        return (False, sign * value) if finite(value) else (True, 0.0)

    return sorted(experiment["rows"], key=key)


def lengths(experiment: Document) -> list[tuple[int, float]]:
    """Every evaluated length with its multiple of the training length, in ascending order."""
    return sorted({(item["length"], item["times"]) for row in experiment["rows"] for item in row["by_length"]})


def at_length(row: Document, length: int) -> Document | None:
    """The row's evaluation at one length, None if it was not evaluated there."""
    return next((item for item in row["by_length"] if item["length"] == length), None)


def footnotes(experiment: Document) -> list[str]:
    """The reasons why lengths are not defined, each once, in the order of the ranked rows; numbered from 1."""
    notes: dict[str, None] = {}
    for row in ranked(experiment):
        for item in row["by_length"]:
            if not finite(item["value"]):
                notes[item["note"] or "no reason recorded"] = None
    return list(notes)


def by_seed(comparison: Document, experiment: Document, row: Document) -> dict[int, float]:
    """The metric of each seed of a row; empty where it is not known which value belongs to which seed.

    With as many values as seeds they are in the order of the seeds; after failures the finished runs say which is
    missing.
    """
    values, seeds = row["per_seed"], list(comparison["seeds"])
    if len(values) != len(seeds):
        mine = (row["encoding"], experiment["name"])
        runs = [run for run in comparison["runs"] if (run["encoding"], run["experiment"]) == mine]
        done = {run["seed"] for run in runs if run["status"] == "done"}
        seeds = [seed for seed in seeds if seed in done]  # runs that chose a learning rate have a seed of their own
    if len(values) != len(seeds):
        return {}
    return {seed: value for seed, value in zip(seeds, values, strict=True) if finite(value)}


def seed_differences(comparison: Document, experiment: Document) -> dict[str, dict[int, float]]:
    """For each encoding but the reference: the paired difference of every seed that finished under both."""
    values = {row["encoding"]: by_seed(comparison, experiment, row) for row in experiment["rows"]}
    base = values.get(comparison["reference"], {})
    return {
        name: {seed: value - base[seed] for seed, value in mine.items() if seed in base}
        for name, mine in values.items()
        if name != comparison["reference"]
    }
