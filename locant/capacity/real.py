"""Real tables: what they look like, how often each decoder takes their sums apart, and what would break it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from locant.capacity import decoders
from locant.capacity.books import supports
from locant.capacity.collisions import collisions
from locant.capacity.decoders import decode
from locant.capacity.estimate import Estimate, from_counts
from locant.capacity.formats import number_format
from locant.capacity.geometry import shape, sines
from locant.capacity.margins import Margins, draw, margins
from locant.capacity.question import Question
from locant.capacity.tables import Table

SUMS = 512  # decoded by each cheap decoder
SLOW = ("pairs", "omp", "vamp")  # decoders that are given only so many
FEW = 64  # decoded by maximum likelihood, and whose margins are measured
WORST = 8  # rivals that are listed
LEADING = 0.99  # of the variance, held by the directions whose angles are drawn
COUNTED = 1 << 28  # sums that are compared for collisions, at most
PAIR = ("dot", "cosine", "centred", "whitened", "successive", "project_out", "oblique", "pairs")
SET = ("dot", "cosine", "centred", "whitened", "successive", "omp", "amp", "vamp")
BREAKING = "noise per number at which the nearest sampled sums are confused one time in four"
WORDS = {
    "dot": "dot product",
    "cosine": "cosine",
    "centred": "dot product, centred, with length correction",
    "whitened": "whitened log-likelihood",
    "successive": "easiest first, subtracted, whitened",
    "project_out": "second table projected out",
    "oblique": "oblique projection",
    "pairs": "maximum likelihood over all pairs",
    "omp": "matching pursuit (OMP), whitened",
    "amp": "message passing (AMP), whitened",
    "vamp": "message passing for ill-conditioned tables (VAMP)",
}


@dataclass(frozen=True)
class Real:
    """What was measured on tables of a model; `best` is the decoder that recovered most, `margins` those of a pair."""

    tables: list[dict[str, Any]]
    decoders: list[dict[str, Any]]
    facts: list[dict[str, Any]]
    rivals: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    angles: list[dict[str, Any]]
    notes: list[str]


def real(question: Question, tables: Sequence[Table]) -> Real:
    """Measures one or two tables and decodes sums of their rows, rounded to the format and with the noise asked for.

    `noise` is a variance per number in units of the mean square of the tables' entries.
    """
    generator = torch.Generator().manual_seed(question.seed)
    rows = [table.rows for table in tables]
    if len(tables) == 1 and tables[0].rows.shape[0] < question.members:
        raise ValueError(f"expected members between 1 and the {len(rows[0])} items, was: {question.members}")
    noise = question.noise * sum(float(part.square().mean()) for part in rows) / len(rows)
    tried, notes = _decoded(question, rows, noise, generator)
    measured: list[dict[str, Any]] = [_shape(table) for table in tables]
    if len(tables) != 2:
        return Real(measured, tried, [], [], [], [], notes)
    found = margins(rows[0], rows[1], FEW, generator)
    leading = sines(rows[0], rows[1], LEADING)
    facts = _facts(question, rows, found, leading)
    return Real(measured, tried, facts, _rivals(found), _gaps(found), _angles(leading), notes)


def _shape(table: Table) -> dict[str, Any]:
    found = shape(table.rows)
    numbers = {name: getattr(found, name) for name in ("norm", "norm_spread", "common", "effective")}
    counts = {name: getattr(found, name) for name in ("items", "directions", "rank")}
    measured = {name: Estimate(value, value, value, "measured") for name, value in (numbers | counts).items()}
    return {"name": table.name, "stored": table.stored, **measured}


def sums_of(
    rows: Sequence[Tensor], members: int, count: int, noise: float, name: str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random sums `[count, width]`, rounded to a format and with noise, and the rows that went into them, ascending."""
    if len(rows) > 1:
        chosen = torch.stack([torch.randint(len(part), (count,), generator=generator) for part in rows], 1)
        total = sum(part[chosen[:, index]] for index, part in enumerate(rows))
        assert isinstance(total, Tensor)
    else:
        chosen = supports(count, len(rows[0]), members, generator).sort(1).values
        total = rows[0][chosen].sum(1)
    if noise:
        total = total + math.sqrt(noise) * torch.randn(total.shape, generator=generator)
    return number_format(name).round(total), chosen


def _decoded(
    question: Question, rows: list[Tensor], noise: float, generator: torch.Generator
) -> tuple[list[dict[str, Any]], list[str]]:
    total, chosen = sums_of(rows, question.members, SUMS, noise, question.number_format, generator)
    found: list[dict[str, Any]] = []
    notes = []
    for name in PAIR if len(rows) == 2 else SET:
        count = FEW if name in SLOW else SUMS
        options: dict[str, Any] = {"noise": noise} if name in ("whitened", "successive", "vamp") else {}
        if len(rows) == 1 and name in ("successive", "omp", "amp"):
            options = {"noise": noise, "whitened": True}
        words = "subtract one by one, whitened" if name == "successive" and len(rows) == 1 else WORDS[name]
        try:
            tables = rows if len(rows) > 1 else rows[0]
            answer = decode(total[:count], tables, question.members if len(rows) == 1 else 1, name, **options)  # type: ignore[arg-type]
        except ValueError as error:
            notes.append(f"{words[0].upper()}{words[1:]} was not tried: {error}.")
            continue
        right = int((answer == chosen[:count]).all(1).sum())
        found.append({"decoder": words, "probability": from_counts(right, count, "brute force")})
    return found, notes


def _facts(question: Question, rows: list[Tensor], found: Margins, leading: Tensor) -> list[dict[str, Any]]:
    facts = [
        ("least distance between two rows of the first table", found.tokens),
        ("least distance between two rows of the second table", found.positions),
        ("least distance between two sums", found.least),
        (
            "smallest sine of an angle between the two spans (0: a shared direction)",
            _exact(_clear(float(found.sine[0]))),
        ),
        ("the same of the directions with 99 % of the variance", _exact(_clear(float(leading[0])))),
        (BREAKING, _exact(_breaking(found))),
        ("noise per number that rounding adds (root mean square)", _exact(_rounding(question, rows))),
    ]
    if len(rows[0]) * len(rows[1]) <= COUNTED:
        counted = collisions(rows[0], rows[1], question.number_format)
        share = counted.shared / counted.sums
        facts.append((f"share of all {counted.sums} sums that equal another in {question.number_format}",
                      Estimate(share, share, share, "all sums compared")))  # fmt: skip
    if found.sine[0] > 1e-6:
        made = decoders.make_oblique(rows[0], rows[1])
        facts.append(("factor on noise of the oblique projection, at most", _exact(1 / made.sine)))
    return [{"fact": fact, "number": number} for fact, number in facts]


def _clear(sine: float) -> float:
    """Zero for what is zero but for the rounding of float64."""
    return sine if sine > 1e-12 else 0.0


def _breaking(found: Margins) -> float:
    """The standard deviation at which a noise of N(0, s² I) passes half the least sampled distance with probability
    1/4: ``Q(gap / 2s) = 1/4``.
    """
    return float(found.sampled.min()) / 2 / 0.6744897501960817


def _rounding(question: Question, rows: list[Tensor]) -> float:
    pairs = draw(len(rows[0]), len(rows[1]), FEW, torch.Generator().manual_seed(question.seed))
    total = rows[0][pairs[:, 0]] + rows[1][pairs[:, 1]]
    rounded = number_format(question.number_format).round(total)
    return float((rounded - total).double().square().mean().sqrt())


def _exact(value: float) -> Estimate:
    return Estimate(value, value, value, "measured")


def _rivals(found: Margins) -> list[dict[str, Any]]:
    """The pairs of rows that are nearest within each table, and the sampled sums that are nearest to another."""
    (a, b), (c, d) = found.token_pair, found.position_pair
    listed = [
        {"sum": f"row {a} of the first, any second", "rival": f"row {b}, the same second", "distance": found.tokens},
        {"sum": f"any first, row {c} of the second", "rival": f"the same first, row {d}", "distance": found.positions},
    ]
    for index in found.sampled.argsort()[:WORST].tolist():
        (i, j), (k, m) = found.pairs[index].tolist(), found.rival[index].tolist()
        listed.append({"sum": f"{i} + {j}", "rival": f"{k} + {m}", "distance": _exact(float(found.sampled[index]))})
    return listed


def _gaps(found: Margins, bins: int = 16) -> list[dict[str, Any]]:
    counts, edges = torch.histogram(found.sampled, bins)
    return [
        {"name": "sampled sums", "x": float(low), "x2": float(high), "y": _exact(float(count))}
        for count, low, high in zip(counts, edges, edges[1:], strict=False)
    ]


def _angles(leading: Tensor) -> list[dict[str, Any]]:
    return [
        {"name": "the two tables", "x": index, "y": _exact(_clear(float(sine)))}
        for index, sine in enumerate(leading, 1)
    ]
