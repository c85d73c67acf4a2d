"""The comparison as tables for a terminal of any width, with or without colour."""

from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from locant.report import words
from locant.report.document import (
    Document,
    at_length,
    check,
    finite,
    footnotes,
    lengths,
    margin_of,
    metric_name,
    ranked,
)

STYLES = {"better": "green", "worse": "red", "equivalent": "blue", "undecided": "yellow", "reference": "bold"}
NAME = 18  # letters of a name that stay on one line before a table is split instead
Column = tuple[str, str, Callable[[Document], Text]]  # heading, alignment, cell of a row


def table(comparison: Document, console_width: int) -> list[Table]:
    """The result, cost and length columns of each experiment, best row first, in as few tables as the width allows.

    A name may wrap but is never cut short. The caption of an experiment's last table says what was matched, the seeds,
    the data and why a length is not defined.

    Raises:
        ValueError: for a width below 1 or a document that does not hold together.
    """
    if console_width < 1:
        raise ValueError(f"expected a console width of at least 1, was: {console_width}")
    check(comparison)
    return [built for item in comparison["experiments"] for built in _experiment(comparison, item, console_width)]


def _experiment(comparison: Document, experiment: Document, console_width: int) -> list[Table]:
    name = _name(comparison)
    groups = {"result": _result(experiment), "cost": _cost(), "length": _lengths(experiment)}
    parts: list[tuple[str, list[Column]]] = []
    for title, columns in groups.items():
        if parts and _width(_build(experiment, "", [name, *parts[-1][1], *columns])) <= console_width:
            parts[-1] = (f"{parts[-1][0]}, {title}", [*parts[-1][1], *columns])
        elif columns:
            parts.append((title, columns))
    tables = [_build(experiment, f"{experiment['name']}: {title}", [name, *columns]) for title, columns in parts]
    tables[-1].caption = _caption(comparison, experiment)
    return tables


def _width(built: Table) -> int:
    """The width at which numbers stand unbroken and names of up to NAME letters do, too."""
    console = Console(width=10_000, no_color=True)
    named = Table.grid()
    named.add_column()
    for cell in built.columns[0].cells:
        named.add_row(cell)
    return console.measure(built).maximum - max(0, console.measure(named).maximum - NAME)


def _build(experiment: Document, title: str, columns: list[Column]) -> Table:
    built = Table(title=_text(title), box=SIMPLE_HEAD, title_justify="left", caption_justify="left")
    for heading, side, _ in columns:
        justify: Any = side
        built.add_column(_text(heading), justify=justify, overflow="fold", no_wrap=side == "right")
    for row in ranked(experiment):
        built.add_row(*(cell(row) for _, _, cell in columns))
    return built


def _text(text: str, style: str = "") -> Text:
    return Text(words.ascii_only(text), style=style)


def _name(comparison: Document) -> Column:
    def name(row: Document) -> Text:
        return _text(row["encoding"], "bold" if row["encoding"] == comparison["reference"] else "")

    return ("encoding", "left", name)


def _result(experiment: Document) -> list[Column]:
    def difference(row: Document) -> Text:
        if row["verdict"] == "reference":
            return _text(words.MISSING)
        return _text(f"{words.signed(row['difference'])} {words.interval(row['interval'])}")

    return [
        (metric_name(experiment), "right", lambda row: _text(words.metric(row[experiment["metric"]]))),
        ("difference [interval]", "right", difference),
        ("verdict", "left", lambda row: _text(words.verdict(row), STYLES[row["verdict"]])),
    ]


def _cost() -> list[Column]:
    return [
        ("parameters", "right", lambda row: _text(words.compact(row["parameters"]))),
        ("FLOPs/token", "right", lambda row: _text(words.compact(row["flops_per_token"]))),
        ("seconds", "right", lambda row: _text(words.seconds(row["seconds"]))),
        ("tokens/s", "right", lambda row: _text(words.compact(row["tokens_per_second"]))),
    ]


def _lengths(experiment: Document) -> list[Column]:
    notes = footnotes(experiment)

    def column(length: int, times: float) -> Column:
        def cell(row: Document) -> Text:
            item = at_length(row, length)
            if item is None:
                return _text(words.MISSING)
            if finite(item["value"]):
                return _text(words.metric(item["value"]))
            return _text(f"n/d ({notes.index(item['note'] or 'no reason recorded') + 1})")

        return (f"{times:g}x: {length}", "right", cell)

    return [column(length, times) for length, times in lengths(experiment)]


def _caption(comparison: Document, experiment: Document) -> Text:
    matched, margin, plan = comparison["matched"], margin_of(comparison, experiment), comparison["plan"]
    seeds, data = comparison["seeds"], comparison["data"]
    lines = [
        f"Differences are against {comparison['reference']}; {experiment['better']} {metric_name(experiment)} is better"
        + ("." if margin is None else f"; margin ±{margin:g}."),
        f"Matched by {matched['by']}: the same {matched['held']}. Not matched: {matched['not_held']}.",
        f"Budget {words.plain(plan.get('budget'))}; {len(seeds)} seed{'' if len(seeds) == 1 else 's'} "
        f"({words.plain(seeds)}); data {' '.join([data['name'], data.get('hash', '')[:12]]).strip()}.",
    ]
    if experiment["chance"] is not None:
        lines.append(f"Chance: {words.metric(experiment['chance'])}.")
    if notes := footnotes(experiment):
        lines.append("n/d: not defined. " + " ".join(f"({i}) {note}." for i, note in enumerate(notes, start=1)))
    if failed := [item for item in comparison["failed"] if item["experiment"] == experiment["name"]]:
        lines.append(f"{len(failed)} run{'' if len(failed) == 1 else 's'} failed and left no number.")
    return _text("\n".join(lines))
