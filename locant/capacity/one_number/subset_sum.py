"""Taking one number apart when its weights are arbitrary is a knapsack: lattice reduction solves small or long ones."""

import math
from collections.abc import Sequence

import numpy as np


def density(weights: Sequence[int]) -> float:
    """Items per bit of the largest weight, ``V / log2 max a``. Below 0.9408 a shortest-vector oracle solves almost all
    subset sums (Coster et al. 1992, theorem 1); LLL, which is fast, only well below that."""
    _check(weights)
    return len(weights) / max(math.log2(max(weights)), 1e-12)


def solve(
    weights: Sequence[int], total: int, *, orders: int = 8, generator: np.random.Generator | None = None
) -> list[int] | None:
    """The members whose weights add up to `total`, by LLL on the lattice of Coster et al. 1992; None if LLL finds none.

    Basis rows ``2 e_j + N a_j e_(V+1)`` and ``(1, ..., 1, N total)``: a solution is a vector of +-1 with last entry 0,
    the shortest there is when the weights are long. LLL, which is python-flint's (extra `lattice`), depends on the
    order of the rows, so up to `orders` orders are tried: the given one, then random ones of `generator` (default:
    seed 0). None proves nothing.
    Raises ValueError for weights that are not positive or no order, and ModuleNotFoundError, saying what to install,
    without flint.
    """
    _check(weights)
    if orders < 1:
        raise ValueError(f"expected at least 1 order to try, was: {orders}")
    generator = np.random.default_rng(0) if generator is None else generator
    order = list(range(len(weights)))
    for _ in range(orders):
        found = _reduce([weights[index] for index in order], total)
        if found is not None:
            return sorted(order[index] for index in found)
        order = generator.permutation(len(weights)).tolist()
    return None


def _reduce(weights: list[int], total: int) -> list[int] | None:
    try:
        import flint
    except ModuleNotFoundError as error:
        wanted = "expected python-flint for lattice reduction (pip install 'locant[lattice]'), was: not installed"
        raise ModuleNotFoundError(wanted) from error
    count, large = len(weights), 4 * len(weights)
    rows = [[0] * (count + 1) for _ in range(count + 1)]
    for index, weight in enumerate(weights):
        rows[index][index], rows[index][count] = 2, large * weight
    rows[count] = [1] * count + [large * total]
    for row in flint.fmpz_mat(rows).lll().tolist():
        entries = [int(entry) for entry in row]
        if entries[count] == 0 and all(abs(entry) == 1 for entry in entries[:count]):
            for sign in (1, -1):
                members = [index for index, entry in enumerate(entries[:count]) if entry == sign]
                if sum(weights[index] for index in members) == total:
                    return members
    return None


def _check(weights: Sequence[int]) -> None:
    if not weights or min(weights) < 1:
        raise ValueError(f"expected whole weights of at least 1, was: {list(weights)[:5]}")
