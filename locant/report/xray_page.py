"""An x-ray as one self-contained HTML page: no network, no scripts. Reads a document; imports no model."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from locant.report import words
from locant.report.document import Document, finite
from locant.report.figures import Figure, Grid
from locant.report.svg import both_themes
from locant.report.template import environment, replace_file
from locant.report.xray_charts import KINDS

FAMILIES = {
    "M1": "Read gain: how much of position each module reads, against what is there",
    "M2": "Overlap of token and position space, against chance",
    "M3": "What the sum loses",
    "M4": "Position in the hidden states, by layer",
    "M5": "Shift test: is position a fixed push, or does it change with context?",
    "M6": "What attention logits are made of",
    "M7": "Guards and baselines",
    "M8": "Words that you named",
    "M9": "Which tokens mean something else elsewhere",
    "M10": "Purity of declared position columns",
    "M11": "Anatomy of the position table",
    "M12": "Position that a linear probe finds, by layer",
    "M13": "Over training",
    "T3": "Further measures from the literature",
}


def write_xray(document: Document, path: Path) -> None:
    """Writes the page in one move. Raises ValueError for a document without claims, metrics or figures."""
    replace_file(path, render_xray(document))


def render_xray(document: Document) -> str:
    """The page as text; the same document gives the same page.

    Raises ValueError if a figure is of an unknown kind, or a part of the document is missing.
    """
    missing = [key for key in ("model", "claims", "metrics", "figures", "facts", "versions") if key not in document]
    if missing:
        raise ValueError(f"expected an x-ray with {', '.join(missing)}, was: without")
    made = environment(words=words, number=number, bounds=bounds, prose=prose)
    return made.get_template("xray.html.j2").render(
        xray=document,
        claims=[{**claim, "rows": claim_rows(document, claim)} for claim in document["claims"]],
        figures=[drawn(figure) for figure in document["figures"]],
        families=families(document["metrics"]),
    )


def number(value: float | None) -> str:
    """A metric to four significant places, whatever its size: 0.0407, 12.35, 1.2e−07."""
    if value is None or not finite(value):
        return words.MISSING
    return f"{value:.4g}".replace("-", "−")


def bounds(interval: Sequence[float] | None) -> str:
    return words.MISSING if interval is None else f"[{number(interval[0])}, {number(interval[1])}]"


def prose(text: str) -> Markup:
    """Text in which what stands between backquotes is set as code."""
    text = re.sub(r"\[[^\]]*\]", lambda match: match[0].replace(" ", "\u00a0"), text.replace(" %", "\u00a0%"))
    text = text.replace("% [", "%\u00a0[")  # a number, its sign and its interval stay on one line
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def claim_rows(document: Document, claim: Document) -> list[list[str]]:
    """The numbers that a claim's sentence rests on."""
    known = document["metrics"]
    return [row(name, known[name]) for name in claim["metrics"] if name in known]


def row(name: str, metric: Mapping[str, Any]) -> list[str]:
    return [name, number(metric["value"]), number(metric["baseline"]), bounds(metric["interval"]),
            words.grouped(metric["n"]), metric["note"]]  # fmt: skip


def families(metrics: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All metrics by their definition's id, in the order of the ids."""
    found: dict[str, list[list[str]]] = {}
    for name, metric in metrics.items():
        found.setdefault(name.partition(".")[0], []).append(row(name, metric))
    order = [*FAMILIES, *(key for key in found if key not in FAMILIES)]
    return [{"id": key, "title": FAMILIES.get(key, key), "rows": found[key]} for key in order if key in found]


def drawn(figure: Document) -> Figure:
    """A figure of the document in both themes, with every drawn number in a table."""
    if figure["kind"] not in KINDS:
        raise ValueError(f"expected a figure of {', '.join(KINDS)}, was: {figure['kind']}")
    draw = partial(KINDS[figure["kind"]], figure)
    drawing = both_themes(draw, f"x-{figure['id']}", figure["title"], figure["caption"])
    return Figure(figure["title"], drawing, figure["caption"], [grid(figure)])


def grid(figure: Document) -> Grid:
    """The numbers of a figure: a row for each x (or row of a map), a column for each series (or column of a map)."""
    down, across = ("y", "x") if figure["kind"] == "heat" else ("x", "series")
    names = list(dict.fromkeys(str(point[across]) for point in figure["points"]))
    rows = list(dict.fromkeys(point[down] for point in figure["points"]))
    rows = sorted(rows) if figure["kind"] == "lines" else rows
    cells = {(point[down], str(point[across])): _cell(point) for point in figure["points"]}
    head = figure["y_title"] if figure["kind"] == "heat" else figure["x"]
    heads = [f"{figure['x']} {name}" for name in names] if figure["kind"] == "heat" else names
    return Grid([head, *heads], [[str(at), *(cells.get((at, name), words.MISSING) for name in names)] for at in rows])


def _cell(point: Mapping[str, Any]) -> str:
    low, high = point.get("low"), point.get("high")
    known = low is not None and high is not None
    return f"{number(point['value'])} ({number(low)} to {number(high)})" if known else number(point["value"])
