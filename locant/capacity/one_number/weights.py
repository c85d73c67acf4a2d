"""Random weights: all sums of one set size in one rounded number, enumerated, and the law that they follow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from locant.capacity.check import check_members

MOST = 10**7  # sets that are enumerated
SAMPLES = 100_000  # sums that the law is averaged over


@dataclass(frozen=True)
class Rounded:
    """What remains of all sums of one size at one `step`, counted and by the law.

    `unique` is the share of sets that no other set shares its rounded sum with, `best` the share that the best decoder
    names: one set of each value that occurs.
    """

    step: float
    unique: float
    unique_law: float
    best: float
    best_law: float


def random_sums(items: int, members: int, steps: Sequence[float], generator: np.random.Generator) -> list[Rounded]:
    """Adds `members` of `items` N(0, 1) weights in all ``C(V, K)`` ways and rounds to multiples of each of `steps`.

    The law takes the other sums as independent: ``l = (C(V, K) - 1) step f(y)`` of them share a cell with y, f the
    density of N(0, K), so ``unique = E exp(-l)`` and ``best = E (1 - exp(-l)) / l``. As all sums share one draw of the
    weights, counts for a few items scatter about it by a few per cent.
    Raises ValueError for sizes out of range, more than 10^7 sets, or a step that is not positive.
    """
    check_members(items, members)
    count = math.comb(items, members)
    if count > MOST:
        raise ValueError(f"expected at most 10^7 sets to enumerate, was: {count}")
    if not all(step > 0 for step in steps):
        raise ValueError(f"expected positive steps, was: {list(steps)}")
    weights = generator.standard_normal(items)
    # A loop over all members but the last, who is any item that follows: Python sees a fraction of the sets.
    sums = np.concatenate(
        [
            weights[list(lead)].sum() + weights[lead[-1] + 1 if lead else 0 :]
            for lead in combinations(range(items), members - 1)
        ]
    )
    drawn = math.sqrt(members) * generator.standard_normal(SAMPLES)
    density = np.exp(-(drawn**2) / (2 * members)) / math.sqrt(2 * math.pi * members)
    return [_at(step, sums, (count - 1) * step * density) for step in steps]


def _at(step: float, sums: np.ndarray, others: np.ndarray) -> Rounded:
    _, sharing = np.unique(np.rint(sums / step), return_counts=True)
    named = np.where(others > 1e-12, -np.expm1(-others) / np.maximum(others, 1e-300), 1.0)
    return Rounded(
        step,
        float((sharing == 1).sum() / sums.size),
        float(np.exp(-others).mean()),
        len(sharing) / sums.size,
        float(named.mean()),
    )
