"""Figures with what goes under them: the axes in words, and every drawn number in a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from locant.report import charts, words
from locant.report.document import Document, finite, lengths, margin_of, metric_name, ranked, seed_differences
from locant.report.style import Theme
from locant.report.svg import both_themes

SKIPPED = (
    0.1  # share of training left out at the left of the loss curve, where it falls too steeply to tell lines apart
)


@dataclass(frozen=True)
class Grid:
    """A table of text; the first column names the row."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A drawing in both themes, its caption and its numbers."""

    title: str
    drawing: Markup
    caption: str
    grids: Sequence[Grid]


def figures(comparison: Document, experiment: Document, prefix: str) -> list[Figure]:
    """Every figure the experiment has numbers for; `prefix` keeps identifiers apart on the page."""
    drawn = [
        _forest(comparison, experiment, f"{prefix}-differences"),
        _steps(comparison, experiment, f"{prefix}-steps"),
        _positions(comparison, experiment, f"{prefix}-positions"),
        _lengths(comparison, experiment, f"{prefix}-lengths"),
    ]
    return [figure for figure in drawn if figure is not None]


def _forest(comparison: Document, experiment: Document, identifier: str) -> Figure | None:
    rows = [row for row in ranked(experiment) if row["verdict"] != "reference"]
    if not any(finite(row["difference"]) for row in rows):
        return None
    seeds, differences = list(comparison["seeds"]), seed_differences(comparison, experiment)
    margin, unit = margin_of(comparison, experiment), metric_name(experiment)
    caption = (
        f"One row for each encoding. Across: its {unit} minus that of {comparison['reference']} with the same seed, so "
        f"the upright line at zero is no difference and "
        f"{'left' if experiment['better'] == 'lower' else 'right'} is better. "
        "Diamond: mean over seeds. Small circles above it: single seeds. "
    )
    if any(row["interval"] for row in rows):
        caption += f"Bar: paired t interval, widened for {_comparisons(comparison)}. "
    else:
        caption += "No bars: one seed gives no interval. "
    if margin:
        caption += f"Shaded: the margin of ±{margin:g}, inside which a difference counts as equivalent."
    grid = Grid(
        ["encoding", "mean difference", "interval", "verdict", *(f"seed {seed}" for seed in seeds)],
        [
            [row["encoding"], words.signed(row["difference"]), words.interval(row["interval"]), words.verdict(row)]
            + [words.signed(differences[row["encoding"]].get(seed)) for seed in seeds]
            for row in rows
        ],
    )
    title = f"Difference from {comparison['reference']} on {experiment['name']}"
    return _figure(identifier, title, caption, [grid], lambda theme: charts.forest(comparison, experiment, theme))


def _comparisons(comparison: Document) -> str:
    count = len(comparison["encodings"]) - 1
    return f"{count} comparison{'' if count == 1 else 's'}"


def _steps(comparison: Document, experiment: Document, identifier: str) -> Figure | None:
    recorded = [{**point, "x": point["tokens"]} for point in experiment["curves"]["step"] if finite(point["value"])]
    if not recorded:
        return None
    end = max(point["x"] for point in recorded)
    shown = [point for point in recorded if point["x"] >= SKIPPED * end]
    caption = (
        f"Across: tokens seen in training. Up: {metric_name(experiment)} on held-out data, mean over seeds; the pale "
        "band reaches from the lowest to the highest seed."
    )
    if len(shown) < len(recorded):
        caption += " The first tenth of training is left out of the figure but not of the table."
    steps = {point["x"]: point["step"] for point in recorded}
    grid = _by_encoding(comparison, recorded, "tokens", lambda x: f"{words.grouped(x)} (step {steps[x]})")
    title = f"{metric_name(experiment)} during training on {experiment['name']}"
    return _figure(
        identifier,
        title,
        caption,
        [grid],
        lambda theme: charts.curve(comparison, experiment, theme, shown, "tokens seen in training"),
    )


def _positions(comparison: Document, experiment: Document, identifier: str) -> Figure | None:
    recorded = [
        {**point, "x": point["position"] + 1} for point in experiment["curves"]["position"] if finite(point["value"])
    ]
    if not recorded:
        return None
    longest = {name: max(p["length"] for p in recorded if p["encoding"] == name) for name in _names(recorded)}
    shown = [point for point in recorded if point["length"] == longest[point["encoding"]]]
    sizes = sorted({point["length"] for point in recorded})
    trained = next((length for length, times in lengths(experiment) if times == 1), None)
    rule = trained if trained is not None and max(sizes) > trained else None
    caption = (
        f"Across: position in the window, the first being 1, on a scale that doubles. Up: {metric_name(experiment)} at "
        "that position, mean over seeds. "
    )
    if len(sizes) > 1:
        caption += "Each line is taken from the longest window in which the encoding is defined. "
    if rule is not None:
        caption += f"The dashed upright is the length of {rule} used in training."
    grids = [
        _by_encoding(
            comparison, [p for p in recorded if p["length"] == size], f"position, window of {size}", words.grouped
        )
        for size in sizes
    ]
    title = f"{metric_name(experiment)} by position in the window on {experiment['name']}"
    return _figure(
        identifier,
        title,
        caption,
        grids,
        lambda theme: charts.curve(
            comparison, experiment, theme, shown, "position in the window", scale="log", rule=rule
        ),
    )


def _lengths(comparison: Document, experiment: Document, identifier: str) -> Figure | None:
    recorded = [{**point, "x": point["length"]} for point in experiment["curves"]["length"] if finite(point["value"])]
    ticks = sorted({point["x"] for point in recorded})
    if len(ticks) < 2:  # one length is no curve; its numbers are in the result table
        return None
    caption = (
        f"Across: length of the evaluated window, on a scale that doubles; {ticks[0]} is the shortest. "
        f"Up: {metric_name(experiment)}, mean over seeds; the bar reaches from the lowest to the highest seed. "
        "A line that ends early is not defined for longer windows."
    )
    seeds = Grid(
        [
            "encoding",
            "length",
            *(f"seed {index + 1} of {len(comparison['seeds'])}" for index in _seed_columns(experiment)),
        ],
        [
            [row["encoding"], words.grouped(item["length"]), *(words.metric(value) for value in item["per_seed"])]
            + [words.MISSING] * (len(_seed_columns(experiment)) - len(item["per_seed"]))
            for row in ranked(experiment)
            for item in row["by_length"]
        ],
    )
    title = f"{metric_name(experiment)} by evaluated length on {experiment['name']}"
    return _figure(
        identifier,
        title,
        caption,
        [_by_encoding(comparison, recorded, "length", words.grouped), seeds],
        lambda theme: charts.curve(
            comparison,
            experiment,
            theme,
            recorded,
            "length of the evaluated window",
            scale="log",
            ticks=ticks,
            marked=True,
        ),
    )


def _seed_columns(experiment: Document) -> range:
    return range(max((len(item["per_seed"]) for row in experiment["rows"] for item in row["by_length"]), default=0))


def _names(points: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(point["encoding"] for point in points))


def _by_encoding(
    comparison: Document, points: Sequence[Mapping[str, Any]], x_name: str, x_text: Callable[[Any], str]
) -> Grid:
    """Rows over x, one column for each encoding in the order of the plan."""
    names = [name for name in comparison["encodings"] if name in _names(points)]
    cells = {(point["x"], point["encoding"]): _cell(point) for point in points}
    return Grid(
        [x_name, *names],
        [
            [x_text(x), *(cells.get((x, name), words.MISSING) for name in names)]
            for x in sorted({point["x"] for point in points})
        ],
    )


def _cell(point: Mapping[str, Any]) -> str:
    low, high = point.get("low"), point.get("high")
    if low is None or high is None:
        return words.metric(point["value"])
    return f"{words.metric(point['value'])} ({words.metric(low)} to {words.metric(high)})"


def _figure(
    identifier: str, title: str, caption: str, grids: Sequence[Grid], draw: Callable[[Theme], dict[str, Any]]
) -> Figure:
    return Figure(title[0].upper() + title[1:], both_themes(draw, identifier, title, caption), caption.strip(), grids)
