"""M9, static: which words does position turn the most, as they enter the first layer?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.maths.blocks import BLOCK, blocks
from locant.xray.metric import Metric, absent

RELIABLE = 0.5
FEWEST = 10  # tokens, and positions, below which a ranking means nothing


@dataclass(frozen=True)
class StaticRanking:
    """Tokens by how much position turns them beyond what their length explains: (token, D), most first and least
    first; both empty where the ranking is not reliable. `metrics` say how far it can be trusted."""

    most: tuple[tuple[int, float], ...]
    least: tuple[tuple[int, float], ...]
    metrics: dict[str, Metric]


def turning(tokens: Tensor, positions: Tensor, *, centre: bool = True) -> Tensor:
    """D(v) = 1 - |mean over p of unit(LN(W_v + P_p))|^2, (V,) float64: 0 if position never turns v, towards 1 if v's
    directions cancel out.

    LN takes off the mean over columns (`centre`; not so for models with an RMS norm) and scales, which a unit vector
    does not notice; its gain and bias are left out. With c the centred rows and r_vp = 1/|c_v + c_p|, the mean is
    c_v mean(r_v) + sum r_vp c_p / N, so that V x N x d products suffice. A sum of length 0 counts as 0.
    """
    p = _centred(positions.double(), centre)
    squares, parts = p.square().sum(1), []
    for _, block in blocks(tokens, max(tokens.shape[1], BLOCK * tokens.shape[1] // max(len(p), tokens.shape[1]))):
        w = _centred(block, centre)
        lengths = (w.square().sum(1, keepdim=True) + squares + 2 * w @ p.T).clamp(min=0).sqrt()
        floor = 1e-7 * (w.norm(dim=1, keepdim=True) + squares.sqrt())
        inverse = torch.where(lengths > floor, 1 / lengths, 0.0)
        mean = w * inverse.mean(1, keepdim=True) + inverse @ p / len(p)
        parts.append(1 - mean.square().sum(1))
    return torch.cat(parts).clamp(min=0)


def static_ranking(
    tokens: Tensor, positions: Tensor, *, ids: Tensor | None = None, centre: bool = True, top: int = 20
) -> StaticRanking:
    """Rank tokens by D(v) with |W_v| partialled out, since a short vector is turned by anything.

    `static`: mean of D. `static_norm`: Spearman correlation of D with |W_v|; near -1, D says little beyond length.
    `static_reliability`: the residual of the ranks of D regressed on the ranks of |W_v| is computed from even and from
    odd positions; r of both, stepped up by Spearman and Brown to 2r/(1 + r). The positions are fixed, so that this says
    how well half of them speaks for all. Below .5 there is no ranking.
    """
    names = torch.arange(len(tokens)) if ids is None else ids
    if min(len(tokens), len(positions)) < FEWEST:
        reason = f"expected at least {FEWEST} tokens and positions, was: {len(tokens)} and {len(positions)}"
        return StaticRanking((), (), {"static": absent(reason), "static_reliability": absent(reason)})
    whole = turning(tokens, positions, centre=centre)
    halves = [turning(tokens, positions[start::2], centre=centre) for start in (0, 1)]
    lengths = _ranks(torch.cat([_centred(block, centre).norm(dim=1) for _, block in blocks(tokens)]))
    metrics = {"static": Metric(float(whole.mean()), 0.0, len(tokens), note="mean of 1 - |mean direction|^2")}
    ranked = _ranks(whole)
    if float(ranked.std()) == 0 or float(lengths.std()) == 0:
        reason = "all tokens are turned alike, or are equally long"
        metrics |= {"static_norm": absent(reason), "static_reliability": absent(reason)}
        return StaticRanking((), (), metrics)
    metrics["static_norm"] = Metric(_correlation(ranked, lengths), 0.0, len(tokens), note="Spearman, with the length")
    first, second = (_residual(_ranks(half), lengths) for half in halves)
    r = _correlation(first, second)
    value = 2 * r / (1 + r) if r > 0 else 0.0
    note = "even against odd positions" if value >= RELIABLE else f"below {RELIABLE}: no ranking"
    metrics["static_reliability"] = Metric(value, 0.0, len(tokens), note=note)
    if value < RELIABLE:
        return StaticRanking((), (), metrics)
    order = _residual(ranked, lengths).argsort(descending=True, stable=True)
    rows = [(int(names[v]), float(whole[v])) for v in [*order[:top], *order.flip(0)[:top]]]
    return StaticRanking(tuple(rows[: len(rows) // 2]), tuple(rows[len(rows) // 2 :]), metrics)


def _centred(rows: Tensor, centre: bool) -> Tensor:
    return rows - rows.mean(dim=1, keepdim=True) if centre else rows


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 1, equal values sharing their mean rank."""
    _, inverse, counts = values.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2)[inverse].double()


def _correlation(a: Tensor, b: Tensor) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(a.norm() * b.norm())
    return max(-1.0, min(1.0, float(a @ b) / scale)) if scale > 0 else 0.0


def _residual(values: Tensor, by: Tensor) -> Tensor:
    """What a straight line in `by` leaves of the values."""
    x, y = by - by.mean(), values - values.mean()
    return y - x * (x @ y) / (x @ x)
