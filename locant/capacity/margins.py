"""How far the sums of two real tables are from each other: certificates, sampled margins, and the nearest rivals."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.capacity.estimate import Estimate
from locant.capacity.geometry import sines, spectrum
from locant.maths.closest import closest_pair

CHUNK = 1 << 22  # entries of the token-by-position block that is held at once
WORK = 3 * 10**11  # multiply-adds at full width that the search for the nearest rows of a table may take


@dataclass(frozen=True)
class Margins:
    """Distances between sums t_i + p_j of two tables.

    `tokens` and `positions` are the least distances within each table, `sine` those of the principal angles, smallest
    first, `certificate` what these prove for every sum, `pairs` `[samples, 2]` the sampled sums, `rival` the nearest
    other sum of each and `sampled` its distance. The least distance of all sums lies between `certificate` and the
    least of `sampled`, `tokens` and `positions`.
    """

    tokens: Estimate
    token_pair: tuple[int, int]
    positions: Estimate
    position_pair: tuple[int, int]
    sine: Tensor
    certificate: float
    pairs: Tensor
    rival: Tensor
    sampled: Tensor

    @property
    def least(self) -> Estimate:
        """The least distance between two sums: certified from below, found from above."""
        found = min(self.tokens.value, self.positions.value, float(self.sampled.min()))
        return Estimate(found, min(found, self.certificate), found, "certificate and search", len(self.sampled))


def margins(tokens: Tensor, positions: Tensor, samples: int, generator: torch.Generator) -> Margins:
    """Measures both tables and `samples` random sums.

    The certificate: for a smallest principal angle θ between the spans of the differences,
    ``|Δt + Δp| >= sin θ max(|Δt|, |Δp|)``, so the least distance of two sums is at least
    ``min(δ_t, δ_p, sin θ max(δ_t, δ_p))``. Spans that share a direction certify nothing.

    Raises ValueError for tables of different width, fewer than 2 rows, or fewer than 1 sample.
    """
    if tokens.shape[1] != positions.shape[1]:
        raise ValueError(f"expected tables of one width, was: {tokens.shape[1]} and {positions.shape[1]}")
    if samples < 1:
        raise ValueError(f"expected at least 1 sample, was: {samples}")
    token_distance, token_pair = nearest_pair(tokens)
    position_distance, position_pair = nearest_pair(positions)
    sine = sines(tokens, positions)
    lows = token_distance.low, position_distance.low
    certificate = min(*lows, float(sine[0]) * max(lows))
    pairs = draw(len(tokens), len(positions), samples, generator)
    rival, sampled = runners_up(tokens, positions, pairs)
    return Margins(
        tokens=token_distance,
        token_pair=token_pair,
        positions=position_distance,
        position_pair=position_pair,
        sine=sine,
        certificate=certificate,
        pairs=pairs,
        rival=rival,
        sampled=sampled,
    )


def nearest_pair(rows: Tensor, work: int = WORK) -> tuple[Estimate, tuple[int, int]]:
    """The least distance between two rows and which rows they are (`closest_pair`).

    `value` and `high` are the least distance found; `low` is certified and equals it unless more than `work` would have
    been needed.

    Raises ValueError for a table of fewer than 2 rows.
    """
    if len(rows) < 2:
        raise ValueError(f"expected at least 2 rows, was: {len(rows)}")
    found = closest_pair(rows, rows.double().mean(0), spectrum(rows)[1], work=work)
    method = "search of all pairs" if found.bound == found.value else "search within a budget"
    return Estimate(found.value, found.bound, found.value, method), found.pair


def draw(tokens: int, positions: int, samples: int, generator: torch.Generator) -> Tensor:
    """Random pairs of a token and a position, `[samples, 2]`."""
    columns = [torch.randint(count, (samples,), generator=generator) for count in (tokens, positions)]
    return torch.stack(columns, 1)


def runners_up(tokens: Tensor, positions: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """For each sum t_i + p_j of `pairs`: the nearest other sum of the two tables, and its distance in float64.

    ``½(|y|² - |y - t - p|²) = <t, y> - ½|t|² + <p, y> - ½|p|² - <t, p>``, searched in float32 over all sums, a block of
    token rows at a time; rows whose best possible value is below what was found are passed over.
    """
    tokens, positions = tokens - tokens.mean(0), positions - positions.mean(0)  # differences stay what they were
    sums = tokens[pairs[:, 0]] + positions[pairs[:, 1]]
    token_score = tokens @ sums.T - tokens.square().sum(1)[:, None] / 2
    position_score = positions @ sums.T - positions.square().sum(1)[:, None] / 2
    best = torch.full((len(pairs),), -math.inf)
    rival = torch.zeros(len(pairs), 2, dtype=torch.long)
    rows = max(1, CHUNK // len(positions))
    for start in range(0, len(tokens), rows):
        shared = tokens[start : start + rows] @ positions.T
        reach = -shared.amin(1)
        for index in range(len(pairs)):
            token, position = pairs[index].tolist()
            scores, other = token_score[start : start + rows, index], position_score[:, index]
            keep = (scores + other.max() + reach > best[index]).nonzero()[:, 0]
            if not len(keep):
                continue
            values = scores[keep, None] + other - shared[keep]
            values[keep == token - start, position] = -math.inf
            at = int(values.argmax())
            value = float(values.flatten()[at])
            if value > best[index]:
                best[index] = value
                rival[index] = torch.tensor([int(keep[at // len(positions)]) + start, at % len(positions)])
    tokens, positions = tokens.double(), positions.double()
    gap = tokens[pairs[:, 0]] + positions[pairs[:, 1]] - tokens[rival[:, 0]] - positions[rival[:, 1]]
    return rival, gap.norm(dim=1)
