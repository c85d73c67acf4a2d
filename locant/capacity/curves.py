"""The points of a report's figures."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from locant.capacity import solve
from locant.capacity.estimate import Estimate
from locant.capacity.formats import FORMATS
from locant.capacity.ladder import Rung, adding, most_members
from locant.capacity.law import overflows
from locant.capacity.laws import laws
from locant.capacity.limit import best_decoder
from locant.capacity.question import Question
from locant.capacity.state_evolution import amp_members

LEVEL = 0.5
STEPS = 28  # points of a line
PHASE_ITEMS = 4096
BINS = 50
HITS = 10_000  # scores of added vectors that are drawn


def curves(question: Question, rungs: list[Rung]) -> dict[str, Any]:
    """The points of every figure, as {"name", "x", "y"} with y an Estimate."""
    sets = adding(question)
    return {
        "ladder": _ladder(question, rungs),
        "capacity": _capacity(sets),
        "precision": _precision(question),
        "phase": _phase(sets) if sets.goal == "set" and sets.code == "gauss" else [],
        "scores": _scores(sets) if sets.goal == "set" else None,
        "level": LEVEL,
        "items": sets.items[0],
    }


def _ladder(question: Question, rungs: list[Rung]) -> list[dict[str, Any]]:
    known = [width.value for rung in rungs for width in rung.widths if width is not None]
    if not known:
        return []
    low, high = max(1.0, min(known) / 2), 2 * max([*known, question.width if question.width < 4 * max(known) else 1])
    points = []
    for rung in rungs:
        count = STEPS if rung.law.cheap else STEPS // 2
        if rung.probability is None:
            continue
        mine = [width.value for width in rung.widths if width is not None]
        for width in _spaced(low if rung.law.cheap or not mine else min(mine) / 2, high, count):
            found = rung.law.probability(width, question.combinations, question.members)
            points.append({"name": rung.law.decoder, "x": width, "y": found})
            if not rung.law.cheap and found.value > 0.9999:
                break
    return points


def _spaced(low: float, high: float, count: int) -> list[int]:
    """Whole numbers from low to high, evenly on the logarithmic scale."""
    return sorted({round(number) for number in np.geomspace(low, high, count)})


def _capacity(sets: Question) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = []
    for law in laws(sets):
        for width in _spaced(4, 8192, 23) if law.cheap else _spaced(16, 1024, 7):
            most = most_members(replace(sets, width=width, targets=(LEVEL,)), law)[0]
            if most is not None and most.value:
                points.append({"name": law.decoder, "x": width, "y": most, "wall": law.key == "any"})
    return points


def _precision(question: Question) -> list[dict[str, Any]]:
    if question.goal != "set" or question.noise or question.code != "gauss":
        return []
    points = []
    for name in FORMATS:
        if overflows(name, question.members):
            continue
        for width in range(1, 49):
            found = best_decoder(width, question.combinations, question.members, name)
            points.append({"name": name, "x": width, "y": found})
            if found.value > 0.9999:
                break
    return points


def _phase(sets: Question) -> list[dict[str, Any]]:
    """Boundaries at `PHASE_ITEMS` items without noise, as shares of the items."""
    items = PHASE_ITEMS
    dot = laws(Question(1, (items,), 1, number_format="fp64"))[0]
    lines: list[tuple[str, str, Callable[[int], float]]] = [
        (dot.decoder, dot.method, lambda width: solve.members_for(width, items, LEVEL, dot.value)),
        ("message passing (AMP)", "state evolution", lambda width: amp_members(width, items)),
    ]
    points = []
    for name, method, most in lines:
        for share in np.linspace(0.02, 1, 30):
            value = min(most(round(share * items)), items // 2) / items
            points.append({"name": name, "x": float(share), "y": Estimate(value, value, value, method)})
    # The box programme 0 <= x <= 1 works for any number of members from width = items / 2 on (Donoho and Tanner).
    for value in (0.0, 0.5):
        known = Estimate(value, value, value, "Donoho and Tanner 2010")
        points.append({"name": "box programme (right of the line)", "x": 0.5, "y": known})
    return points


def _scores(sets: Question) -> dict[str, Any]:
    """Scores of one decoder's view: sums of as many members as are recovered half of the time, at most 4096 items."""
    items, width = min(sets.items[0], 4096), sets.width
    law = laws(Question(width, (items,), 1, number_format="fp64"))[0]
    members = max(1, min(solve.members_for(width, items, LEVEL, law.value), 64))
    generator = torch.Generator().manual_seed(sets.seed)
    table = torch.randn(items, min(width, 2048), generator=generator)
    width = table.shape[1]
    hits, misses = [], []
    for _ in range(max(8, HITS // members)):
        chosen = torch.randperm(items, generator=generator)[:members]
        total = table[chosen].sum(0)
        scores = table @ total / total.norm()
        inside = torch.zeros(items, dtype=torch.bool)
        inside[chosen] = True
        hits.append(scores[inside])
        misses.append(scores[~inside])
    kinds = {"added": (torch.cat(hits), math.sqrt(width / members), _hit_spread(width, members)),
             "not added": (torch.cat(misses), 0.0, 1.0)}  # fmt: skip
    bars, law_points = [], []
    for name, (scores, mean, spread) in kinds.items():
        bars += _bars(name, scores)
        for score in np.linspace(mean - 4.5 * spread, mean + 4.5 * spread, 61):
            density = math.exp(-(((score - mean) / spread) ** 2) / 2) / (spread * math.sqrt(2 * math.pi))
            law_points.append({"name": name, "x": float(score), "y": Estimate(density, density, density, "formula")})
    return {"bars": bars, "law": law_points, "members": members, "items": items, "width": width}


def _hit_spread(width: int, members: int) -> float:
    """Standard deviation of a hit over ``|y|``: ``r / K + e`` with ``r² ~ K χ²_d`` and ``Var e = 1 - 1/K``."""
    mean = math.exp(math.lgamma((width + 1) / 2) - math.lgamma(width / 2)) * math.sqrt(2)
    return math.sqrt(max(1e-9, (width - mean**2) / members + 1 - 1 / members))


def _bars(name: str, scores: torch.Tensor) -> list[dict[str, Any]]:
    counts, edges = torch.histogram(scores, BINS, density=False)
    step, total = float(edges[1] - edges[0]), len(scores)
    bars = []
    for count, low in zip(counts.tolist(), edges.tolist(), strict=False):
        share = count / total
        error = 1.96 * math.sqrt(share * (1 - share) / total)
        found = Estimate(share / step, max(0.0, share - error) / step, (share + error) / step, "simulation", total)
        bars.append({"name": name, "x": low, "x2": low + step, "y": found})
    return bars
