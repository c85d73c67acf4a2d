"""The comparison as one self-contained HTML page: no network, no scripts."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from locant.report import words
from locant.report.answer import Name, answer
from locant.report.document import (
    Document,
    at_length,
    by_seed,
    check,
    finite,
    footnotes,
    lengths,
    margin_of,
    metric_name,
    ranked,
)
from locant.report.figures import Grid, figures
from locant.report.template import environment, replace_file

TRAINED = ("parameters", "learning_rate", "steps", "tokens", "width", "token_width", "position_width", "hidden")


def write(comparison: dict[str, Any], path: Path) -> None:
    """Write the page to `path` in one move: a reader sees the old page or the new one, never a part.

    Raises:
        ValueError: for a document that does not hold together.
        OSError: where the folder cannot be written to.
    """
    replace_file(Path(path), render(comparison))


def render(comparison: Document) -> str:
    """The page as text. The same document gives the same page, byte for byte.

    Raises:
        ValueError: for a document that does not hold together.
    """
    check(comparison)
    made = environment(words=words, finite=finite, at_length=at_length, tuned=_tuned)
    made.tests["name"] = lambda part: isinstance(part, Name)
    return made.get_template("page.html.j2").render(
        comparison=comparison,
        answer=answer(comparison),
        comparisons=max(1, len(comparison["encodings"]) - 1),
        confidence=float(comparison["plan"].get("confidence", 0.95)),
        sections=[_section(comparison, item, f"e{i}") for i, item in enumerate(comparison["experiments"], start=1)],
    )


def _tuned(run: Document) -> str:
    """What sets a run apart that only chose the learning rate."""
    if run.get("part") != "dev":
        return ""
    return f", learning rate {words.plain(run['learning_rate'])} tried on the dev part"


def _section(comparison: Document, experiment: Document, prefix: str) -> Mapping[str, Any]:
    return {
        "id": prefix,
        "experiment": experiment,
        "unit": metric_name(experiment),
        "margin": margin_of(comparison, experiment),
        "rows": ranked(experiment),
        "lengths": lengths(experiment),
        "notes": footnotes(experiment),
        "trained": _trained(comparison, experiment),
        "figures": figures(comparison, experiment, prefix),
        "ranks": _ranks(experiment),
        "moved": _moved(experiment),
    }


def _trained(comparison: Document, experiment: Document) -> Grid:
    """What each encoding was trained with, and the metric of every seed."""
    seeds = list(comparison["seeds"])
    fields = [field for field in TRAINED if any(field in row for row in experiment["rows"])]
    rows = []
    for row in ranked(experiment):
        values = by_seed(comparison, experiment, row)
        known = [words.metric(values.get(seed)) for seed in seeds]
        if not values and row["per_seed"]:  # which seed is which is not recorded, so the numbers stand together
            known = [", ".join(words.metric(value) for value in row["per_seed"])] + [words.MISSING] * (len(seeds) - 1)
        settings = [row.get(field) for field in fields]
        texts = [words.grouped(value) if isinstance(value, int) else words.plain(value) for value in settings]
        rows.append([row["encoding"], *known, *texts])
    return Grid(["encoding", *(f"seed {seed}" for seed in seeds), *map(words.label, fields)], rows)


def _ranks(experiment: Document) -> Grid | None:
    """The place of each encoding at every recorded point, in the order of the result table."""
    if not experiment["ranks"]:
        return None
    place = partial(_place, experiment)
    names = [row["encoding"] for row in ranked(experiment)]
    return Grid(
        ["encoding", *(point["at"] for point in experiment["ranks"])],
        [[name, *(place(index, name) for index in range(len(experiment["ranks"])))] for name in names],
    )


def _place(experiment: Document, index: int, name: str) -> str:
    order = experiment["ranks"][index]["order"]
    return str(order.index(name) + 1) if name in order else words.MISSING


def _moved(experiment: Document) -> list[str]:
    """Encodings that do not keep their place, in the order of the result table."""
    points = range(len(experiment["ranks"]))
    names = [row["encoding"] for row in ranked(experiment)]
    return [name for name in names if len({_place(experiment, index, name) for index in points}) > 1]
