"""The figures of a capacity report as Vega-Lite specifications: lines by decoder or format, and histograms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from locant.report.dataset import Data
from locant.report.style import DASHES, HUES, Theme, config

WIDTH, HEIGHT = 560, 300
Points = Sequence[Mapping[str, Any]]  # {"name", "x", "y"} and, where known, "low" and "high"


@dataclass(frozen=True)
class Axis:
    """One axis: its words, its scale and, if given, what it shows."""

    title: str
    scale: str = "linear"
    domain: tuple[float, float] | None = None
    format: str = "~s"
    ticks: Sequence[float] | None = None


@dataclass(frozen=True)
class Rule:
    """An upright line that marks an x, with a word at its top."""

    x: float
    text: str


def lines(
    theme: Theme,
    points: Points,
    x: Axis,
    y: Axis,
    *,
    rules: Sequence[Rule] = (),
    wall: str | None = None,
    marked: bool = False,
) -> dict[str, Any]:
    """One line for each name, in the order of first appearance; the legend stands at the right.

    Above the line `wall` the plane is shaded. `marked` puts a point at every value and a bar where it has an interval.
    """
    import altair as alt

    data = Data()
    names = list(dict.fromkeys(point["name"] for point in points))
    across, up = _encoded(x, "x"), _encoded(y, "y")
    look = _look(names, theme)
    layers = []
    if wall is not None:
        edge = [{**point, "top": y.domain[1] if y.domain else 1} for point in points if point["name"] == wall]
        area = alt.Chart(data(edge)).mark_area(color=theme.band, opacity=0.9)
        layers.append(area.encode(across, up, alt.Y2("top:Q")))
    layers.append(alt.Chart(data(points)).mark_line(strokeWidth=2).encode(across, up, *look))
    spans = [point for point in points if point.get("low", point["y"]) < point.get("high", point["y"])]
    if spans:
        low = alt.Y("low:Q", scale=_scale(y), title=y.title)
        layers.append(alt.Chart(data(spans)).mark_rule(opacity=0.5).encode(across, low, alt.Y2("high:Q"), look[0]))
    if marked:
        spot = alt.Fill("name:N", scale=alt.Scale(domain=names, range=_colours(names, theme)), legend=None)
        layers.append(alt.Chart(data(points)).mark_circle(size=30, opacity=1).encode(across, up, spot))
    for rule in rules:
        upright = alt.Chart(data([{"x": rule.x}])).encode(across)
        layers.append(upright.mark_rule(color=theme.muted, strokeDash=[2, 3]))
        word = upright.mark_text(align="center", baseline="bottom", color=theme.muted, fontSize=12)
        layers.append(word.encode(y=alt.value(-4), text=alt.value(rule.text)))
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    return data.specification(chart.properties(config=_config(theme)))


def histogram(theme: Theme, bars: Points, curve: Points, x: Axis, y: Axis) -> dict[str, Any]:
    """Bars `{"name", "x", "x2", "y"}` for each name, half transparent, and a line `{"name", "x", "y"}` over each."""
    import altair as alt

    data = Data()
    names = list(dict.fromkeys(point["name"] for point in [*bars, *curve]))
    colour, dash = _look(names, theme, "square", 0.5)
    across, up = _encoded(x, "x"), _encoded(y, "y")
    layers = [alt.Chart(data(bars)).mark_rect(opacity=0.35).encode(across, alt.X2("x2:Q"), up, alt.Y2(datum=0), colour)]
    if curve:
        layers.append(alt.Chart(data(curve)).mark_line(strokeWidth=2).encode(across, up, colour, dash))
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    return data.specification(chart.properties(config=_config(theme)))


def _scale(axis: Axis) -> Any:
    import altair as alt

    options: dict[str, Any] = {"type": axis.scale, "nice": False, "zero": False}
    if axis.domain is not None:
        options["domain"] = list(axis.domain)
    return alt.Scale(**options)


def _encoded(axis: Axis, channel: str) -> Any:
    import altair as alt

    options: dict[str, Any] = {
        "format": axis.format,
        "title": axis.title,
        "grid": channel == "y",
        "labelOverlap": True,
        "labelExpr": "datum.value == 0 ? '0' : datum.label",
    }
    options |= {"tickCount": 6} if axis.ticks is None else {"values": list(axis.ticks)}
    kind = alt.X if channel == "x" else alt.Y
    return kind(f"{channel}:Q", scale=_scale(axis), axis=alt.Axis(**options))


def _look(names: Sequence[str], theme: Theme, symbol: str = "stroke", opacity: float = 1) -> tuple[Any, Any]:
    """Colour and dash of each name; one legend shows both."""
    import altair as alt

    colours = _colours(names, theme)
    dashes = [DASHES[index % len(DASHES)] for index in range(len(names))]
    legend = alt.Legend(
        title=None,
        symbolType=symbol,
        symbolSize=300,
        symbolStrokeWidth=2.5,
        symbolOpacity=opacity,
        labelLimit=0,
        rowPadding=6,
    )
    return (
        alt.Color("name:N", scale=alt.Scale(domain=list(names), range=colours), legend=legend),
        alt.StrokeDash("name:N", scale=alt.Scale(domain=list(names), range=dashes), legend=legend),
    )


def _colours(names: Sequence[str], theme: Theme) -> list[str]:
    hue = 0 if theme.name == "light" else 1
    return [HUES[index % len(HUES)][hue] for index in range(len(names))]


def _config(theme: Theme) -> dict[str, Any]:
    legend = {"labelColor": theme.ink, "labelFontSize": 12.5, "orient": "right", "offset": 18}
    return {**config(theme, 12), "legend": legend}
