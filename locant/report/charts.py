"""The figures of one experiment as Vega-Lite specifications: paired differences, and the metric over any x."""

from collections.abc import Mapping, Sequence
from typing import Any

from locant.report import words
from locant.report.dataset import Data
from locant.report.document import Document, finite, margin_of, metric_name, ranked, seed_differences
from locant.report.layout import spread
from locant.report.style import Theme, config, styles

WIDTH, ROW, GAP = 500, 34, 16  # plot width, height of a forest row, least distance of line labels; pixels
EM = 7.9  # mean width of a letter at 13 pixels in the widest of the usual system fonts, so that no name is cut off


def forest(comparison: Document, experiment: Document, theme: Theme) -> dict[str, Any]:
    """Mean difference and interval of every encoding but the reference, one dot for each seed above the line."""
    import altair as alt

    rows = [row for row in ranked(experiment) if row["verdict"] != "reference" and finite(row["difference"])]
    order, margin = [row["encoding"] for row in rows], margin_of(comparison, experiment)
    seeds = seed_differences(comparison, experiment)
    means = [
        {"encoding": row["encoding"], "x": row["difference"], "verdict": words.verdict(row)}
        | dict(zip(("low", "high"), row["interval"] or (), strict=False))
        for row in rows
    ]
    dots = [{"encoding": name, "x": value} for name in order for value in seeds[name].values()]
    unit, side = metric_name(experiment), "left" if experiment["better"] == "lower" else "right"
    y = alt.Y("encoding:N", sort=order, scale=alt.Scale(domain=order), title=None).axis(
        labelColor=theme.ink,
        labelFontSize=13,
        domain=False,
        ticks=False,
        labelPadding=12,
        minExtent=EM * max(map(len, order), default=0) + 14,
    )
    title = f"difference from {comparison['reference']}, {unit} (better to the {side})"
    x = alt.X("x:Q", title=title, scale=alt.Scale(zero=True)).axis(
        format="+.4~f",
        tickCount=7,
        labelFlush=False,
        labelOverlap=True,
        labelExpr="datum.value == 0 ? '0' : datum.label",
    )
    colour = _scales(comparison, theme)["color"]
    data = Data()
    layers = [
        alt.Chart(data([{"zero": 0}])).mark_rule(color=theme.muted).encode(x=alt.X("zero:Q", title=title)),
        alt.Chart(data([mean for mean in means if "low" in mean]))
        .mark_rule(strokeWidth=2.5, strokeCap="round")
        .encode(x=alt.X("low:Q", title=title), x2="high:Q", y=y, color=colour),
        alt.Chart(data(dots)).mark_point(size=26, strokeWidth=1.3, yOffset=-9).encode(x=x, y=y, color=colour),
        alt.Chart(data(means)).mark_point(size=85, filled=True, shape="diamond", opacity=1).encode(x, y, colour),
        alt.Chart(data(means))
        .mark_text(align="left", fontSize=12.5, color=theme.muted)
        .encode(x=alt.value(WIDTH + 14), y=y, text="verdict:N"),
    ]
    if margin:
        band = alt.Chart(data([{"low": -margin, "high": margin}])).mark_rect(color=theme.band, opacity=1)
        layers.insert(0, band.encode(x=alt.X("low:Q", title=title), x2="high:Q"))
    chart = alt.layer(*layers).properties(width=WIDTH, height=ROW * len(order))
    return data.specification(chart.properties(config=config(theme, max(len(words.verdict(row)) for row in rows))))


def curve(
    comparison: Document,
    experiment: Document,
    theme: Theme,
    points: Sequence[Mapping[str, Any]],
    x_title: str,
    *,
    scale: str = "linear",
    ticks: Sequence[float] | None = None,
    marked: bool = False,
    rule: float | None = None,
    side: int | None = None,
) -> dict[str, Any]:
    """The metric over x, one line for each encoding; points hold encoding, x, value and, where known, low and high.

    `marked` puts a marker and a bar from low to high at every point, otherwise low to high is a band; `rule` is an x to
    mark, such as the trained length; `ticks` are the only labelled x, if given; `side` the x pixel at which the chance
    level is named: the end where marked lines begin or others end, unless given.
    """
    import altair as alt

    data, looks = Data(), _scales(comparison, theme)
    bounds = _bounds(points, experiment)
    height = max(290, GAP * (len({point["encoding"] for point in points}) + 1))
    x_scale = alt.Scale(type=scale, nice=False, zero=False) if scale == "linear" else alt.Scale(type=scale, base=2)  # type: ignore[arg-type]
    axis = alt.Axis(format="~s", grid=False, title=x_title, tickCount=6)
    if ticks is not None:
        axis = alt.Axis(format="d", grid=False, title=x_title, values=list(ticks))
    x = alt.X("x:Q", scale=x_scale, axis=axis)
    y_scale = alt.Scale(domain=bounds, nice=False, zero=False)
    y = alt.Y("value:Q", scale=y_scale, title=metric_name(experiment)).axis(tickCount=6)
    known = [point for point in points if finite(point["value"])]
    wide = [point for point in known if finite(point.get("low")) and finite(point.get("high"))]
    spans = alt.Chart(data(wide)).encode(x, alt.Y("low:Q", scale=y_scale), alt.Y2("high:Q"), color=looks["color"])
    line = alt.Chart(data(known)).mark_line(strokeWidth=1.9).encode(x, y, looks["color"], looks["strokeDash"])
    layers = [spans.mark_rule(opacity=0.55) if marked else spans.mark_area(opacity=0.11), line]
    ends = known if marked else list({point["encoding"]: point for point in known}.values())
    spot = alt.Chart(data(ends)).mark_point(size=38, filled=True, opacity=1)
    layers.append(spot.encode(x, y, looks["color"], looks["shape"]))
    side = (0 if marked else WIDTH) if side is None else side
    layers += _guides(data, experiment, theme, y_scale, x_scale, rule, side)
    main = alt.layer(*layers).properties(width=WIDTH, height=height)
    labels = _labels(data, known, bounds, height, looks, theme)
    longest = max(len(name) for name in comparison["encodings"])
    return data.specification(alt.hconcat(main, labels, spacing=4).properties(config=config(theme, longest)))


def _scales(comparison: Document, theme: Theme) -> dict[str, Any]:
    import altair as alt

    look = styles(comparison["encodings"], comparison["reference"], theme)

    def scale(values: Sequence[Any]) -> Any:
        return alt.Scale(domain=look.names, range=list(values))

    return {
        "color": alt.Color("encoding:N", scale=scale(look.colours), legend=None),
        "strokeDash": alt.StrokeDash("encoding:N", scale=scale(look.dashes), legend=None),
        "shape": alt.Shape("encoding:N", scale=scale(look.shapes), legend=None),
    }


def _bounds(points: Sequence[Mapping[str, Any]], experiment: Document) -> list[float]:
    """Bottom and top of the frame: all that is drawn and the chance level, with a little air."""
    drawn = [point.get(key) for point in points for key in ("value", "low", "high")] + [experiment["chance"]]
    numbers = [float(number) for number in drawn if number is not None and finite(number)]
    air = 0.04 * (max(numbers) - min(numbers)) or 0.05
    return [min(numbers) - air, max(numbers) + air]


def _guides(
    data: Data, experiment: Document, theme: Theme, y_scale: Any, x_scale: Any, rule: float | None, side: int
) -> list[Any]:
    """A level line at chance, named at the x pixel `side`, and an upright at `rule`, named at its top."""
    import altair as alt

    layers = []
    if experiment["chance"] is not None:
        level = alt.Chart(data([{"value": experiment["chance"]}])).encode(alt.Y("value:Q", scale=y_scale))
        layers.append(level.mark_rule(color=theme.muted, strokeDash=[2, 3]))
        text = level.mark_text(
            align="right" if side == WIDTH else "left", baseline="bottom", dy=-4, color=theme.muted, fontSize=12
        )
        layers.append(text.encode(x=alt.value(side), text=alt.value("chance")))
    if rule is not None:
        upright = alt.Chart(data([{"x": rule}])).encode(alt.X("x:Q", scale=x_scale))
        layers.append(upright.mark_rule(color=theme.muted, strokeDash=[2, 3]))
        text = upright.mark_text(align="left", baseline="top", dx=5, color=theme.muted, fontSize=12)
        layers.append(text.encode(y=alt.value(2), text=alt.value("trained length")))
    return layers


def _labels(
    data: Data,
    points: Sequence[Mapping[str, Any]],
    bounds: list[float],
    height: float,
    looks: dict[str, Any],
    theme: Theme,
) -> Any:
    """A name for every line beside its end, moved apart where ends are close, with a sample of colour, dash and shape.

    A line that stops before the right edge has its name at the height where it stops, without a leader.
    """
    import altair as alt

    last = {point["encoding"]: point for point in points}
    edge = max((point["x"] for point in points), default=0)
    names = sorted(last, key=lambda name: -last[name]["value"])
    per_pixel = (bounds[1] - bounds[0]) / height
    wanted = [(bounds[1] - last[name]["value"]) / per_pixel for name in names]
    heights = [bounds[1] - pixel * per_pixel for pixel in spread(wanted, GAP, height)]
    placed = [
        {"encoding": name, "at": level, "value": last[name]["value"]}
        for name, level in zip(names, heights, strict=True)
    ]
    for item in placed:
        reached = last[item["encoding"]]["x"]
        item["text"] = item["encoding"] if reached == edge else f"{item['encoding']} (to {reached:g})"
    y = alt.Y("at:Q", scale=alt.Scale(domain=bounds, nice=False, zero=False), axis=None)

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", scale=alt.Scale(domain=[0, 1]), axis=None)

    leaders = [
        {"encoding": item["encoding"], "x": side, "at": item[key]}
        for item in placed
        if last[item["encoding"]]["x"] == edge
        for side, key in ((0, "value"), (0.42, "at"))
    ]
    samples = [{"encoding": item["encoding"], "x": side, "at": item["at"]} for item in placed for side in (0.48, 1)]
    layer = alt.layer(
        alt.Chart(data(leaders)).mark_line(strokeWidth=0.8, opacity=0.6).encode(x("x"), y, looks["color"]),
        alt.Chart(data(samples)).mark_line(strokeWidth=1.9).encode(x("x"), y, looks["color"], looks["strokeDash"]),
        alt.Chart(data([{**item, "x": 0.74} for item in placed]))
        .mark_point(size=38, filled=True, opacity=1)
        .encode(x("x"), y, looks["color"], looks["shape"]),
        alt.Chart(data([{**item, "x": 1} for item in placed]))
        .mark_text(align="left", dx=8, fontSize=12.5, color=theme.ink, limit=0)
        .encode(x("x"), y, text="text:N"),
    )
    return layer.properties(width=64, height=height)
