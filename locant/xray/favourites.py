"""T3: which tokens a position favours through an output head that is tied to the token table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.maths.blocks import blocks
from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments
from locant.xray.overlap import NORMAL, chance, check_widths


@dataclass(frozen=True)
class Favoured:
    """The tokens that one position raises and lowers the most: (row of the table, logit), the strongest first."""

    position: int
    most: tuple[tuple[int, float], ...]
    least: tuple[tuple[int, float], ...]


def tied_logits(tokens: Moments, positions: Moments) -> dict[str, Metric]:
    """`tied_logit`: root mean square over all v, p of (W_v - mean W)'(P_p - mean P) = sqrt(tr(S_W S_P)), exact.

    What a position vector that reached a tied head unchanged would do to the logits, apart from what all positions or
    all tokens have in common; norms and transforms of the head are left out. Baseline: sqrt(tr S_W tr S_P / d), a
    random rotation, with the root of its 95 % range in the note.
    """
    check_widths(tokens, positions)
    count = tokens.rows * positions.rows
    if tokens.total == 0 or positions.total == 0:
        return {"tied_logit": absent("all rows of a table are equal", n=count)}
    value = math.sqrt(max(0.0, float((tokens.covariance * positions.covariance).sum())))
    by_chance = chance(tokens.covariance, positions.covariance)
    low, high = (math.sqrt(max(0.0, by_chance.mean + side * NORMAL * by_chance.deviation)) for side in (-1, 1))
    note = f"logits, all pairs of a token and a position; 95 % of rotations give {low:.3g} to {high:.3g}"
    return {"tied_logit": Metric(value, math.sqrt(by_chance.mean), count, note=note)}


def favourites(
    tokens: Tensor, positions: Tensor, mean: Tensor, places: Sequence[int], top: int = 6
) -> tuple[Favoured, ...]:
    """For each of the places p, the rows v with the greatest and the least W_v'(P_p - mean P)."""
    directions = positions[list(places)].double() - mean
    scores = torch.cat([directions @ block.T for _, block in blocks(tokens)], dim=1)
    found = []
    for place, row in zip(places, scores, strict=True):
        ends = [row.topk(min(top, len(row)), largest=largest) for largest in (True, False)]
        most, least = (tuple(zip(end.indices.tolist(), end.values.tolist(), strict=True)) for end in ends)
        found.append(Favoured(place, most, least))
    return tuple(found)
