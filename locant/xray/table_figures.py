"""The figures of the two input tables as data: noise, spectrum, neighbours, lengths and waves."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from locant.xray.captions import CAPTIONS
from locant.xray.fourier import sampled, spectrum
from locant.xray.metric import Metric
from locant.xray.moments import Moments

SHOWN = 64  # places along an axis, at most
Figure = dict[str, Any]
Metrics = Mapping[str, Metric]


def table_figures(metrics: Metrics, positions: Tensor, of_tokens: Moments, of_positions: Moments) -> Iterator[Figure]:
    """Those that have a point."""
    made = (noise_figure(metrics), spectrum_figure(of_tokens, of_positions), cosine_figure(metrics),
            wave_figure(positions), length_figure(positions))  # fmt: skip
    yield from (figure for figure in made if figure["points"])


def noise_figure(metrics: Metrics) -> Figure:
    """M3d: how noise takes the pair, and each part when the other is known."""
    named = {"pair": "pair, from the sum", "position_given_token": "position, token known",
             "token_given_position": "token, position known"}  # fmt: skip
    points = []
    for name, metric in metrics.items():
        if (match := re.fullmatch(r"M3\.noise\.([\d.]+)\.(\w+)", name)) and match[2] in named:
            points.append(_point(named[match[2]], float(match[1]), metric.value, metric.interval))
    return _lines("noise", "What the sum costs under noise", "noise, in least steps between positions",
                  "share read rightly", points, scale="log")  # fmt: skip


def spectrum_figure(of_tokens: Moments, of_positions: Moments) -> Figure:
    """M11: how many directions hold how much of the variance of each table."""
    points = []
    for series, known in (("positions", of_positions), ("tokens", of_tokens)):
        if known.total > 0:
            held = known.energies.cumsum(0) / known.energies.sum()
            points += [_point(series, at, min(1.0, float(held[at - 1]))) for at in doubling(known.width)]
    if points:
        points += [_point("same in all directions", at, at / of_positions.width) for at in doubling(of_positions.width)]
    return _lines("spectrum", "How many directions each table uses", "directions, the strongest first",
                  "share of the variance that they hold", points, scale="log")  # fmt: skip


def cosine_figure(metrics: Metrics) -> Figure:
    """M11: how alike positions are that are so far apart."""
    points, chance = [], None
    for suffix, series in (("", "all positions"), (".without_0", "without position 0")):
        for name, metric in metrics.items():
            if (match := re.fullmatch(rf"M11\.cosine\.(\d+){re.escape(suffix)}", name)) and metric.value is not None:
                points.append(_point(series, int(match[1]), metric.value))
                chance = metric.baseline if chance is None else chance
    return _lines("cosines", "How alike neighbouring positions are", "distance in positions", "mean cosine", points,
                  chance=chance, scale="log")  # fmt: skip


def wave_figure(positions: Tensor) -> Figure:
    """M11: what share of the table waves of so many cycles or fewer hold."""
    rows = sampled(positions)
    power = spectrum(rows - rows.mean(0))
    points: list[dict[str, Any]] = []
    if len(rows) >= 8 and float(power.sum()) > 0:
        held = power.cumsum(0) / power.sum()
        for at in doubling(len(power)):
            points.append(_point("position table", at, min(1.0, float(held[at - 1]))))
        points += [_point("rows without order", at, at / len(power)) for at in doubling(len(power))]
    return _lines("waves", "How slowly the position table changes", "cycles over the table, or fewer",
                  "share of the table's variance", points, scale="log")  # fmt: skip


def length_figure(positions: Tensor) -> Figure:
    """M11: length of position vectors by index."""
    places = torch.linspace(0, len(positions) - 1, min(SHOWN, len(positions)), dtype=torch.float64).round().long()
    lengths = positions[places].double().norm(dim=1)
    points = [_point("positions", int(at), float(length)) for at, length in zip(places, lengths, strict=True)]
    return _lines("lengths", "Length of position vectors", "position", "length", points)


def doubling(last: int) -> list[int]:
    """1, 2, 4, ... below a number, and the number."""
    powers = [1 << power for power in range(last.bit_length()) if 1 << power < last]
    return [*powers, last]


def _point(series: str, x: float, value: float | None, interval: tuple[float, float] | None = None) -> dict[str, Any]:
    low, high = interval or (None, None)
    return {"series": series, "x": x, "value": value, "low": low, "high": high}


def _lines(identifier: str, title: str, x: str, y: str, points: list[dict[str, Any]], chance: float | None = None,
           scale: str = "linear") -> Figure:  # fmt: skip
    return {"id": identifier, "kind": "lines", "title": title, "caption": CAPTIONS[identifier], "x": x, "y": y,
            "points": points, "chance": chance, "x_scale": scale}  # fmt: skip
