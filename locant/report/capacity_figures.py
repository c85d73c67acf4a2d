"""The figures of a capacity report with their captions; every drawn number stands in a table beside its method."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from locant.report import capacity_words as words
from locant.report.capacity_charts import Axis, Rule, histogram, lines
from locant.report.figures import Figure, Grid
from locant.report.style import Theme
from locant.report.svg import both_themes

Document = Mapping[str, Any]
Point = Mapping[str, Any]
WIDTHS = tuple(2**power for power in range(0, 17, 2))
TENS = tuple(10**power for power in range(13))


def ladder(document: Document) -> Figure | None:
    """Probability by width, one line for each decoder."""
    points = document["curves"]["ladder"]
    if not points:
        return None
    asked = document["question"]["width"]
    x = Axis("numbers in the vector (width)", "log", _span(points), "d", WIDTHS)
    y = Axis("probability that all is recovered", domain=(0, 1.02), format=".1f")
    return _drawn(
        "ladder",
        "How wide must the vector be? One line for each decoder",
        "Across: how many numbers the sum has, on a scale that doubles. Up: the probability that every added vector is "
        f"named correctly. A line further left needs a shorter vector. Widths are whole "
        f"numbers, which the lines only join.{_marked(points, asked)}",
        points,
        ("decoder", "width", "probability"),
        lambda theme: lines(theme, _xy(points), x, y, rules=_rules(points, asked)),
        words.probability,
    )


def capacity(document: Document) -> Figure | None:
    """The largest number of members by width, with the region that no decoder can reach shaded."""
    points = document["curves"]["capacity"]
    if not points:
        return None
    wall = next((point["name"] for point in points if point.get("wall")), None)
    values = [point["y"]["value"] for point in points if point["y"]["value"] > 0]
    x = Axis("numbers in the vector (width)", "log", _span(points), "d", WIDTHS)
    y = Axis("vectors that can be added", "log", (max(1, min(values)), max(values) * 1.2), "~s", TENS)
    level = f"{document['curves']['level']:g}"
    return _drawn(
        "capacity",
        "How many vectors can be added?",
        f"Across: width. Up: the largest number of vectors of one table of {words.whole(document['curves']['items'])} "
        f"that are all recovered with probability {level}; both scales are logarithmic. Shaded: impossible for any "
        "decoder, because there are more sets than the numbers have values.",
        points,
        ("decoder", "width", "vectors"),
        lambda theme: lines(theme, _xy(points), x, y, wall=wall, rules=_rules(points, document["question"]["width"])),
        words.count,
    )


def precision(document: Document) -> Figure | None:
    """Probability by the number of coordinates, one line for each number format, for the best decoder."""
    points = document["curves"]["precision"]
    if not points:
        return None
    x = Axis("numbers in the vector (width)", "log", _span(points), "d", (1, 2, 3, 4, 6, 8, 12, 16, 24, 32))
    y = Axis("probability of the best decoder", domain=(0, 1.02), format=".1f")
    return _drawn(
        "precision",
        "The precision wall: how few numbers could be enough?",
        "Across: width. Up: the probability that the best decoder there is, which may try every combination, names "
        "what was added, when random vectors are added and the sum is rounded to the format. Left of its line a format "
        "has too few values; right of it rounding no longer matters.",
        points,
        ("number format", "width", "probability"),
        lambda theme: lines(theme, _xy(points), x, y, marked=True),
        words.probability,
    )


def phase(document: Document) -> Figure | None:
    """Which share of a table can be added, by the ratio of width to items."""
    points = document["curves"]["phase"]
    if not points:
        return None
    highest = max(point["y"]["value"] for point in points)
    x = Axis("width for each item of the table", domain=(0, 1), format=".1f")
    y = Axis("share of the table that is added", domain=(0, min(1.0, 1.05 * highest)), format=".2f")
    return _drawn(
        "phase",
        "Phase diagram: where each decoder changes from working to failing",
        "Across: width divided by the number of items in the table. Up: the share of the items that is added. Below a "
        "line its decoder recovers the set, above it fails. More than half of the table is not shown: there are fewer "
        "such sets again.",
        points,
        ("decoder", "width / items", "members / items"),
        lambda theme: lines(theme, _xy(points), x, y),
        words.real,
    )


def scores(document: Document) -> Figure | None:
    """Histogram of the scores of members and others with the law drawn over."""
    found = document["curves"]["scores"]
    if not found:
        return None
    bars, law = found["bars"], found["law"]
    drawn = [{**bar, "y": bar["y"]["value"]} for bar in bars]
    over = [{**point, "y": point["y"]["value"]} for point in law]
    x = Axis("score: dot product with the sum, divided by the length of the sum", format="~f")
    y = Axis("density", format="~f")
    caption = (
        f"What a decoder sees. Across: the score of each item of the table, for sums of {found['members']} of "
        f"{words.whole(found['items'])} vectors with {found['width']} numbers. Bars: simulation. Lines: the law. "
        "Recovery fails when the largest score of what was not added exceeds the smallest of what was."
    )
    grid = Grid(
        ["items", "score from", "score to", "density", "method"],
        [[b["name"], f"{b['x']:.2f}", f"{b['x2']:.2f}", words.real(b["y"]), words.method(b["y"])] for b in bars],
    )
    curve = Grid(
        ["items", "score", "density", "method"],
        [[p["name"], f"{p['x']:.2f}", words.real(p["y"]), words.method(p["y"])] for p in law],
    )
    return _figure("scores", "Items that were added against those that were not", caption, [grid, curve],
                   lambda theme: histogram(theme, drawn, over, x, y))  # fmt: skip


def rounds(document: Document) -> Figure | None:
    """Size of a text after each round of compression, against the floor that counting sets."""
    zipped = document["zip"]
    if not zipped:
        return None
    points = [{"name": item["name"], "x": item["round"], "y": item["bytes"]} for item in zipped["rounds"]]
    sizes = [point["y"]["value"] for point in points]
    x = Axis("round of compression", format="d", ticks=sorted({point["x"] for point in points}))
    y = Axis("bytes", domain=(0, 1.05 * max(sizes)))
    return _drawn(
        "zip",
        "A zip of a zip of a zip",
        f"Up: the size of {zipped['text']} after each round. The first round removes what repeats; what is left has "
        "nothing to remove, and every further round adds its own header. No lossless method can shorten more than a "
        f"share of {words.share(zipped['bound']['value'])} of all texts by {zipped['saved']} bits or more (counting), "
        "and the same counting limits sums of vectors.",
        points,
        ("text", "round", "bytes"),
        lambda theme: lines(theme, _xy(points), x, y, marked=True),
        words.count,
    )


def angles(document: Document) -> Figure | None:
    """Principal angles between the spans of two real tables."""
    points = document["real"] and document["real"]["angles"]
    if not points:
        return None
    x = Axis("direction, the most shared first", format="d")
    y = Axis("sine of the angle", domain=(0, 1.02), format=".1f")
    return _drawn(
        "angles",
        "How separate are the directions of the two tables?",
        "For each table the directions that hold 99 % of its variance. One value for each direction of the table with "
        "fewer: 0 is a direction that both tables use, 1 one that only one of them uses. Projecting out a direction of "
        "sine s multiplies noise by 1/s.",
        points,
        ("table pair", "direction", "sine"),
        lambda theme: lines(theme, _xy(points), x, y),
        words.real,
    )


def gaps(document: Document) -> Figure | None:
    """Histogram of the distances from sampled sums to the nearest other sum."""
    bars = document["real"] and document["real"]["gaps"]
    if not bars:
        return None
    drawn = [{**bar, "y": bar["y"]["value"]} for bar in bars]
    x, y = Axis("distance to the nearest other sum", format="~f"), Axis("sampled sums", format="d")
    grid = Grid(
        ["sums", "distance from", "distance to", "count", "method"],
        [[b["name"], words.figure(b["x"]), words.figure(b["x2"]), words.count(b["y"]), words.method(b["y"])]
         for b in bars],
    )  # fmt: skip
    caption = (
        "Across: how far a sum of one token and one position is from the sum that is most like it. Noise or rounding "
        "of less than half this distance can never confuse the two."
    )
    return _figure("gaps", "Margins between sums", caption, [grid], lambda theme: histogram(theme, drawn, [], x, y))


def _xy(points: Sequence[Point]) -> list[dict[str, Any]]:
    return [
        {"name": p["name"], "x": p["x"], "y": p["y"]["value"], "low": p["y"]["low"], "high": p["y"]["high"]}
        for p in points
    ]


def _span(points: Sequence[Point]) -> tuple[float, float]:
    return min(point["x"] for point in points), max(point["x"] for point in points)


def _marked(points: Sequence[Point], asked: float) -> str:
    return " Dashed upright: the width that was asked about." if _rules(points, asked) else ""


def _rules(points: Sequence[Point], asked: float) -> list[Rule]:
    low, high = _span(points)
    return [Rule(asked, f"asked: {asked}")] if low <= asked <= high else []


def _drawn(
    identifier: str,
    title: str,
    caption: str,
    points: Sequence[Point],
    heads: tuple[str, str, str],
    draw: Callable[[Theme], dict[str, Any]],
    text: Callable[[Any], str],
) -> Figure:
    """A figure whose table has a row for each point."""
    rows = [[p["name"], words.figure(p["x"]), text(p["y"]), words.method(p["y"])] for p in points]
    return _figure(identifier, title, caption, [Grid([*heads, "method"], rows)], draw)


def _figure(
    identifier: str, title: str, caption: str, grids: Sequence[Grid], draw: Callable[[Theme], dict[str, Any]]
) -> Figure:
    return Figure(title, both_themes(draw, identifier, title, caption), caption.strip(), grids)
