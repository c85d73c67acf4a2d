"""M2, pair by pair: the cosine between a token vector and a position vector, on average and at worst."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.maths.blocks import BLOCK, blocks
from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments

PAIRS = 1_000_000  # sampled for the mean
LIMIT = 1 << 31  # pairs evaluated for the largest cosine, at most


@dataclass(frozen=True)
class Largest:
    """The largest |cos|: `value` is attained, `bound` certainly not exceeded; equal when the search was finished."""

    value: float
    bound: float
    token: int
    position: int
    evaluated: int


def coherence(
    tokens: Tensor,
    positions: Tensor,
    of_tokens: Moments,
    of_positions: Moments,
    *,
    weights: Tensor | None = None,
    pairs: int = PAIRS,
    limit: int = LIMIT,
    seed: int = 0,
) -> dict[str, Metric]:
    """|cos| between centred rows W_v - mean W and P_p - mean P.

    `coherence_mean`: over `pairs` sampled pairs, tokens by weight, with a 95 % interval; baseline
    Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)), the mean for a uniformly random direction. `coherence_rms`: over all pairs
    without sampling, since mean cos^2 = tr(G_W G_P) with G the second moments of the unit rows; baseline 1 / sqrt(d).
    `coherence_max`: the largest over all pairs of rows with weight (see `largest`); baseline: the median of the largest
    of as many independent random cosines, above what dependent rows can reach. Rows equal to the mean count as cos 0.
    """
    width, count = of_tokens.width, of_tokens.rows * of_positions.rows
    if of_tokens.total == 0 or of_positions.total == 0:
        reason = "all rows of a table are equal"
        return {name: absent(reason, n=count) for name in ("coherence_mean", "coherence_rms", "coherence_max")}
    sample = _sample(tokens, positions, of_tokens.mean, of_positions.mean, weights, pairs, seed)
    mean, half = float(sample.mean()), 1.96 * float(sample.std()) / math.sqrt(pairs)
    rms = math.sqrt(max(0.0, float((of_tokens.units * of_positions.units).sum())))
    shown = tokens if weights is None else tokens[weights > 0]
    most = largest(shown, positions, of_tokens.mean, of_positions, limit=limit)
    note = f"largest of {count} pairs, {most.evaluated} evaluated, the others excluded by a bound"
    if most.bound > most.value:
        note = f"largest found in {most.evaluated} of {count} pairs; the interval holds the true largest"
    return {
        "coherence_mean": Metric(mean, mean_cosine(width), pairs, (mean - half, mean + half), "sampled pairs"),
        "coherence_rms": Metric(rms, 1 / math.sqrt(width), count, note="all pairs, exact"),
        "coherence_max": Metric(most.value, max_cosine(width, count), count, (most.value, most.bound), note),
    }


def mean_cosine(width: int) -> float:
    """Mean |cos| between a fixed and a uniformly random direction: Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2))."""
    return math.exp(math.lgamma(width / 2) - math.lgamma((width + 1) / 2)) / math.sqrt(math.pi)


def max_cosine(width: int, pairs: int) -> float:
    """Median of the largest |cos| of `pairs` independent random pairs: cos^2 is Beta(1/2, (d - 1)/2)."""
    from scipy.stats import beta

    if width == 1:
        return 1.0
    return math.sqrt(float(beta.isf(-math.expm1(-math.log(2) / pairs), 0.5, (width - 1) / 2)))


def largest(
    tokens: Tensor, positions: Tensor, mean: Tensor, of_positions: Moments, *, rank: int = 64, limit: int = LIMIT
) -> Largest:
    """The largest |cos| over all pairs, exact, without most of the pairs.

    With Q the first `rank` principal directions of P, |cos| <= |Q'w||Q'p| + |w_rest||p_rest| for unit rows w, p.
    Tokens are taken by descending bound until the bound falls below the best found; `limit` pairs end it earlier,
    with the bound of the next token as certificate.
    """
    directions, centre = of_positions.directions[:, :rank], of_positions.mean
    sizes = [_split(_unit(block - centre), directions) for _, block in blocks(positions)]
    inside, outside = (torch.cat(parts) for parts in zip(*sizes, strict=True))
    bounds = torch.cat([_bounds(_unit(block - mean), directions, inside, outside) for _, block in blocks(tokens)])
    order = bounds.argsort(descending=True, stable=True)
    best, pair, evaluated, start, count = 0.0, (0, 0), 0, 0, len(positions)
    while start < len(order) and float(bounds[order[start]]) > best and evaluated + count <= limit:
        some = order[start : start + min(512, max(1, (limit - evaluated) // count))]
        rows = _unit(tokens[some].double() - mean)
        for first, block in blocks(positions):
            cosines = (rows @ _unit(block - centre).T).abs()
            top = int(cosines.argmax())
            if float(cosines.flatten()[top]) > best:
                best = float(cosines.flatten()[top])
                pair = (int(some[top // len(block)]), first + top % len(block))
        evaluated, start = evaluated + len(some) * count, start + len(some)
    bound = max(best, float(bounds[order[start]])) if start < len(order) else best
    return Largest(best, min(1.0, bound) if bound > best else best, *pair, evaluated)


def _split(rows: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Length of each row inside the directions, and outside of them, by Pythagoras."""
    along = (rows @ directions).square().sum(1)
    return along.sqrt(), (rows.square().sum(1) - along).clamp(min=0).sqrt()


def _bounds(w: Tensor, directions: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """The largest along * inside + across * outside over all positions, or a little more.

    Both lengths of a unit row are the cosine and sine of an angle from the span, so each product is the cosine of a
    difference of angles: it is largest for the position whose angle is nearest, or 1 where the token's lies between
    the positions' extremes. Rows at the mean have no angle and no cosine.
    """
    along, across = _split(w, directions)
    known = inside.square() + outside.square() > 0.5
    if not known.any():
        return torch.zeros_like(along)
    angles, mine = torch.atan2(outside[known], inside[known]), torch.atan2(across, along)
    gap = torch.maximum(float(angles.min()) - mine, mine - float(angles.max())).clamp(min=0)
    slack = 1e-7  # the root of what rounding leaves of a difference of squares
    return torch.where(along.square() + across.square() > 0.5, gap.cos() + slack, 0.0)


def _sample(
    tokens: Tensor, positions: Tensor, mean_w: Tensor, mean_p: Tensor, weights: Tensor | None, pairs: int, seed: int
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if weights is None:
        v = torch.randint(len(tokens), (pairs,), generator=generator)
    else:
        total = weights.double().cumsum(0)
        drawn = torch.rand(pairs, dtype=torch.float64, generator=generator) * total[-1]
        v = torch.searchsorted(total, drawn, right=True)
    p = torch.randint(len(positions), (pairs,), generator=generator)
    step = max(1, BLOCK // tokens.shape[1])
    parts = []
    for start in range(0, pairs, step):
        some = slice(start, start + step)
        w, q = _unit(tokens[v[some]].double() - mean_w), _unit(positions[p[some]].double() - mean_p)
        parts.append((w * q).sum(dim=1).abs())
    return torch.cat(parts)


def _unit(rows: Tensor) -> Tensor:
    norms = rows.norm(dim=1, keepdim=True)
    return rows / norms.where(norms > 0, torch.inf)
