"""M3d: how much noise the sum stands, and what of that is the price of having summed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from locant.maths.blocks import blocks
from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments
from locant.xray.nearest import nearest_pairs, pair_index
from locant.xray.readers import share

MULTIPLES = (1.0, 2.0, 4.0, 8.0)


def noise_curve(
    tokens: Tensor,
    positions: Tensor,
    least_step: float,
    *,
    multiples: Sequence[float] = MULTIPLES,
    pairs: int = 128,
    seed: int = 0,
    of_positions: Moments | None = None,
) -> dict[str, Metric]:
    """Decode x = W_v + P_p + s g, g standard Gaussian, at s = multiple x least_step / sqrt(d).

    `noise.M.pair`: share of sums whose nearest pair is (v, p). `noise.M.position_given_token`: share whose nearest
    position is p when v is known, and `noise.M.token_given_position` the reverse: what could be read had the parts not
    been summed. `noise.M.cost`: the share of sums for which both of these are right and the pair is not, with Wilson's
    interval; 0 for orthogonal tables at any noise. `cost_of_summing`: that of all multiples together. `least_step` is
    the least distance of two positions (`separation_position`).

    Raises:
        ValueError: for no multiples, or one that is not above 0.
    """
    if not multiples or min(multiples) <= 0:
        raise ValueError(f"expected multiples above 0, was: {list(multiples)}")
    if least_step <= 0:
        return {"cost_of_summing": absent("two positions are equal: no position is decodable")}
    index, generator = pair_index(tokens, positions, of_positions), torch.Generator().manual_seed(seed)
    found, lost, width, drawn = {}, 0, tokens.shape[1], []
    for multiple in multiples:
        v = torch.randint(len(tokens), (pairs,), generator=generator)
        p = torch.randint(len(positions), (pairs,), generator=generator)
        noise = torch.randn(pairs, width, dtype=torch.float64, generator=generator)
        drawn.append((v, p, multiple * least_step / width**0.5 * noise))
    v, p, noise = (torch.cat(each) for each in zip(*drawn, strict=True))  # one pass over the tables for all of them
    position = _nearest(positions[p].double() + noise, positions) == p
    token = _nearest(tokens[v].double() + noise, tokens) == v
    decoded = nearest_pairs(tokens[v].double() + positions[p].double() + noise, index)
    both = (decoded.token == v) & (decoded.position == p) & (decoded.ties == 1)
    counts = [each.view(len(multiples), pairs).sum(1).tolist()
              for each in (both, position, token, token & position & ~both)]  # fmt: skip
    for multiple, pair, placed, named, saved in zip(multiples, *counts, strict=True):
        lost, name = lost + saved, f"noise.{multiple:g}"
        note = f"noise of {multiple:g} x least step / sqrt(d) per coordinate"
        found[f"{name}.pair"] = share(pair, pairs, 1 / (len(tokens) * len(positions)), note)
        found[f"{name}.position_given_token"] = share(placed, pairs, 1 / len(positions), note)
        found[f"{name}.token_given_position"] = share(named, pairs, 1 / len(tokens), note)
        found[f"{name}.cost"] = share(saved, pairs, 0.0, note)
    listed = ", ".join(f"{multiple:g}" for multiple in multiples)
    found["cost_of_summing"] = share(lost, pairs * len(multiples), 0.0, f"noise at {listed} x least step / sqrt(d)")
    return found


def _nearest(x: Tensor, table: Tensor) -> Tensor:
    """Index of the row of the table nearest to each row of x."""
    scores = [block.square().sum(1) - 2 * x @ block.T for _, block in blocks(table)]
    return torch.cat(scores, dim=1).argmin(dim=1)
