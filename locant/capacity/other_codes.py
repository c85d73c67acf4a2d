"""Recovery with codes whose vectors have equal length: on the sphere, and of random signs."""

import torch

from locant.capacity.exact import recovery_probability
from locant.capacity.simulate import CODES, simulate
from locant.capacity.sphere import sphere_probability

TRIALS = 2000  # of a simulation where there is no law


def recovery(width: int, items: int, members: int, *, code: str, noise: float = 0.0) -> float:
    """The probability that the largest `members` scores are those added; entries have variance 1 in every code.

    - gauss: `exact.recovery_probability`, exact.
    - sphere: `sphere.sphere_probability`, exact for 1 and 2 members, within 0.02 for 3 and 4, 0.005 for more.
    - sign: the law of the sphere on the lattice of the scores; a tie is a failure. All coordinates of a sum of K signs
      have the parity of K, so without noise scores lie 4 apart for even K and 2 for odd K. Within 0.02 of simulation.

    Sign codes of 1 or 2 members, and any of width 1 or 2, are too discrete for that and are simulated
    (`simulate.simulate`, exact tails, 2000 trials of seed 0, standard error below 0.011).
    Raises ValueError for sizes out of range, negative noise or an unknown code.
    """
    if code not in CODES:
        raise ValueError(f"expected a code of {', '.join(CODES)}, was: {code}")
    if code == "gauss":
        return recovery_probability(width, items, members, noise=noise)
    if width < 3 or (code == "sign" and members <= 2):
        generator = torch.Generator().manual_seed(0)
        return simulate(width, items, members, code=code, noise=noise, trials=TRIALS, generator=generator).value
    return sphere_probability(width, items, members, noise=noise, step=score_step(members, code, noise))


def tolerance(members: int, code: str) -> float:
    """How far `recovery` was from long simulations, at most (see the tests)."""
    if code == "gauss":
        return 1e-6
    if code == "sign" or members == 3:
        return 0.022
    return 0.001 if members <= 2 else 0.012 if members == 4 else 0.005


def score_step(members: int, code: str, noise: float) -> float:
    """How far apart the scores of all vectors with one sum lie: 2 or 4 for signs without noise, else 0."""
    if code != "sign" or noise > 0:
        return 0.0
    return 4.0 if members % 2 == 0 else 2.0
