"""The figures of an x-ray as Vega-Lite specifications: lines over layers, stacked shares, maps of heads."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from locant.report.charts import WIDTH, curve
from locant.report.document import Document, finite
from locant.report.style import HUES, Theme, config

REACH = 3.0  # factors of two from chance at which the colour is full
WORD = 50  # pixels that the name of the chance level takes
BAND, CELL = 22, 24  # height of a stacked bar with its gap, and of a row of the map; pixels


def lines(figure: Document, theme: Theme) -> dict[str, Any]:
    """Values over x, one line for each series, with a bar from low to high where an interval is known."""
    names = list(dict.fromkeys(point["series"] for point in figure["points"]))
    points = [{**point, "encoding": point["series"]} for point in figure["points"]]
    xs = sorted({point["x"] for point in points})
    log = figure.get("x_scale") == "log"
    ticks = [x for x in xs if x > 0] if log else xs if len(xs) <= 16 else None
    if log:
        points = [point for point in points if point["x"] > 0]
        ticks = _thinned(ticks or [])
    comparison = {"encodings": names, "reference": names[0]}
    experiment = {"metric": figure["y"], "chance": figure.get("chance")}
    return curve(comparison, experiment, theme, points, figure["x"], scale="log" if log else "linear", ticks=ticks,
                 marked=len(xs) <= 40, side=_clear(points, figure.get("chance"), log))  # fmt: skip


def _clear(points: Sequence[Mapping[str, Any]], chance: float | None, log: bool) -> int:
    """The x pixel at which the word that names the chance level is furthest from every line."""
    known = [point for point in points if finite(point["value"])]
    if chance is None or not known:
        return 0
    place = math.log if log else float
    at = {id(point): place(point["x"]) for point in known}
    low, span = min(at.values()), (max(at.values()) - min(at.values())) or 1.0
    lines: dict[str, list[tuple[float, float]]] = {}
    for point in sorted(known, key=lambda point: at[id(point)]):
        lines.setdefault(point["series"], []).append(((at[id(point)] - low) / span * WIDTH, point["value"] - chance))

    def room(pixel: float) -> float:
        return min(abs(_between(line, at)) for line in lines.values() for at in (pixel, pixel + WORD / 2, pixel + WORD))

    return max(range(0, WIDTH - WORD, WORD), key=room)


def _between(line: Sequence[tuple[float, float]], at: float) -> float:
    """A line's height at an x, level beyond its ends."""
    for (left, low), (right, high) in pairwise(line):
        if left <= at <= right:
            return low + (high - low) * (at - left) / (right - left)
    return line[0][1] if at < line[0][0] else line[-1][1]


def _thinned(ticks: Sequence[float]) -> list[float]:
    return list(ticks) if len(ticks) <= 12 else [tick for tick in ticks if tick & (tick - 1) == 0]  # type: ignore[operator]


def bars(figure: Document, theme: Theme) -> dict[str, Any]:
    """Shares that add up to one, one stacked bar for each row, named above in the order in which they are stacked."""
    import altair as alt

    names = list(dict.fromkeys(point["series"] for point in figure["points"]))
    rows = list(dict.fromkeys(point["x"] for point in figure["points"]))
    hue = 0 if theme.name == "light" else 1
    colours = [*(HUES[index % len(HUES)][hue] for index in range(len(names) - 1)), theme.grid]
    values = [{**point, "x": str(point["x"]), "order": names.index(point["series"])} for point in figure["points"]
              if finite(point["value"])]  # fmt: skip
    colour = alt.Color("series:N", scale=alt.Scale(domain=names, range=colours), sort=names).legend(
        orient="top", title=None, labelColor=theme.ink, labelFontSize=12.5, labelLimit=0, symbolType="square"
    )
    y = alt.Y("x:N", sort=[str(row) for row in rows], title=figure["x"]).axis(
        domain=False, ticks=False, labelPadding=8, labelColor=theme.ink
    )
    x = alt.X("value:Q", title=figure["y"], stack="zero", scale=alt.Scale(domain=[0, 1])).axis(format="~%", tickCount=6)
    drawn = alt.Chart(alt.NamedData("set0")).mark_bar(height=BAND - 6).encode(x, y, colour, alt.Order("order:Q"))
    drawn = drawn.properties(width=WIDTH, height=BAND * len(rows), config=config(theme, 14))
    return {**drawn.to_dict(validate=False), "datasets": {"set0": values}}


def heat(figure: Document, theme: Theme) -> dict[str, Any]:
    """A ratio for each row and column, on a scale of factors; what `chance` says has the colour of the paper."""
    import altair as alt

    values = [{**point, "x": str(point["x"]), "y": str(point["y"])} for point in figure["points"]
              if finite(point["value"])]  # fmt: skip
    columns = list(dict.fromkeys(str(point["x"]) for point in figure["points"]))
    rows = list(dict.fromkeys(str(point["y"]) for point in figure["points"]))
    hue, middle = 0 if theme.name == "light" else 1, math.log2(figure["chance"])
    for value in values:  # a factor of two is as much below as above
        value["log"] = max(-REACH, min(REACH, math.log2(max(value["value"], 2**-9)) - middle))
    scale = alt.Scale(domain=[-REACH, 0, REACH], range=[HUES[1][hue], theme.band, HUES[0][hue]],
                      interpolate="rgb")  # fmt: skip
    base = alt.Chart(alt.NamedData("set0")).encode(
        alt.X("x:N", sort=columns, title=figure["x"]).axis(domain=False, ticks=False, labelAngle=0, labelPadding=6),
        alt.Y("y:N", sort=rows, title=figure["y_title"]).axis(domain=False, ticks=False, labelPadding=8),
    )
    legend = alt.Legend(
        title=None,
        orient="right",
        labelColor=theme.muted,
        gradientLength=min(110, max(60, CELL * len(rows))),
        values=[-3, -1, 0, 1, 3],
        labelExpr=f"format(pow(2, datum.value + {middle}), '~r')",
    )
    cells = base.mark_rect(stroke=None).encode(color=alt.Color("log:Q", scale=scale, legend=legend))
    drawn = alt.layer(cells).properties(width=WIDTH, height=CELL * len(rows), config=config(theme, 6))
    return {**drawn.to_dict(validate=False), "datasets": {"set0": values}}


KINDS = {"lines": lines, "bars": bars, "heat": heat}
