"""Recovery with codes that are not Gaussian, for which no exact law is known: by simulation with a fixed seed."""

import torch

from locant.capacity.exact import recovery_probability
from locant.capacity.simulate import CODES, simulate

TRIALS = 2000


def recovery(width: int, items: int, members: int, *, code: str, noise: float = 0.0, trials: int = TRIALS) -> float:
    """The probability that the largest `members` scores are those added: gauss by formula, sphere and sign simulated.

    The simulation (`simulate.simulate`, seed 0) has a standard error below ``0.5 / sqrt(trials)``; take it directly
    for its interval. Raises ValueError for sizes out of range, negative noise or an unknown code.
    """
    if code not in CODES:
        raise ValueError(f"expected a code of {', '.join(CODES)}, was: {code}")
    if code == "gauss":
        return recovery_probability(width, items, members, noise=noise)
    generator = torch.Generator().manual_seed(0)
    return simulate(width, items, members, code=code, noise=noise, trials=trials, generator=generator).value
