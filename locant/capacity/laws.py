"""The decoders as laws of (width, items, members), each with what it does and where its law comes from."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from locant.capacity import pursuit
from locant.capacity.bits import bits_available, bits_needed
from locant.capacity.estimate import Estimate, from_formula
from locant.capacity.exact import recovery_probability
from locant.capacity.formats import FORMATS, number_format
from locant.capacity.limit import best_decoder
from locant.capacity.other_codes import TRIALS
from locant.capacity.question import Question
from locant.capacity.simulate import simulate
from locant.capacity.state_evolution import amp_recovers
from locant.capacity.two_codebooks import successive_pair

Items = int | tuple[int, ...]
TOLERANCE = 1e-6  # of the quadratures
PURSUIT_TRIALS = 12
FEWEST = 4  # members from which state evolution, a law of large numbers, is shown


@dataclass(frozen=True)
class Law:
    """A decoder's probability as a function of width, items and members.

    `key` is its short name; `method` says how it is found. A law that is not `cheap` is simulated; `near` are cheap
    ones between whose limits its own may lie. `least` is the fewest members that the law is meant for.
    """

    key: str
    decoder: str
    does: str
    source: str
    probability: Callable[[int, Items, int], Estimate]
    method: str = "formula"
    cheap: bool = True
    near: "tuple[Law, ...]" = ()
    least: int = 1

    def value(self, width: int, items: Items, members: int) -> float:
        """The probability alone, as the solvers want it."""
        return self.probability(width, items, members).value


def laws(question: Question) -> tuple[Law, ...]:
    """The decoders that answer a question, from the cheapest to the limits that none passes."""
    if question.pair:
        return (_dot(question), _position_first(question), *_limits(question))
    if question.goal == "set":
        return (_dot(question), *_explaining(question), *_limits(question))
    return (_dot(question), *_limits(question))


def rounding_noise(name: str, width: int) -> float:
    """Variance that rounding to a format adds to each number of a Gaussian sum of variance 1, measured.

    Rounding is then treated as Gaussian noise, which is poor for int2 by absmax.
    """
    # The absmax of a row, and with it the noise, depends on the width, slowly.
    rough = 1 if number_format(name).dtype is not None else 1 << max(0, round(math.log2(width)))
    return _measured(name, min(rough, 1 << 16))


@lru_cache(maxsize=256)
def _measured(name: str, width: int) -> float:
    return max(0.0, FORMATS[name].noise(1, width=width))


def total_noise(question: Question, width: int, members: int) -> float:
    """The question's noise and that of its format, for a sum of so many members."""
    return question.noise + members * rounding_noise(question.number_format, width)


def _dot(question: Question) -> Law:
    def probability(width: int, items: Items, members: int) -> Estimate:
        noise = total_noise(question, width, members)
        if isinstance(items, tuple):
            return from_formula(recovery_probability(width, items, noise=noise), TOLERANCE)
        if question.code == "gauss":
            found = recovery_probability(width, items, members, noise=noise, goal=question.goal)
            return from_formula(found, TOLERANCE)
        generator = torch.Generator().manual_seed(question.seed)
        return simulate(width, items, members, code=question.code, noise=noise, trials=TRIALS, generator=generator)

    name = "threshold" if question.goal == "membership" else "dot product"
    does = "scores every vector by its dot product with the sum and takes the best"
    source = "exact law, derived here" if question.code == "gauss" else "members drawn, the others integrated"
    if question.code == "gauss":
        return Law("dot", name, does, source, probability)
    near = (_dot(replace(question, code="gauss")),)
    return Law("dot", name, does, source, probability, method="simulation", cheap=False, near=near)


def _position_first(question: Question) -> Law:
    """The smallest table is decoded first and subtracted."""

    def probability(width: int, items: Items, members: int) -> Estimate:
        assert isinstance(items, tuple)
        noise = total_noise(question, width, members)
        small, *others = sorted(items)
        if len(others) == 1:
            return from_formula(successive_pair(width, others[0], small, noise=noise), TOLERANCE)
        found = recovery_probability(width, (small, *others), noise=noise, goal="slot")
        rest = recovery_probability(width, tuple(others), noise=noise)
        return from_formula(found * rest, TOLERANCE)

    does = "decodes the smallest table first, subtracts what it found, then the others"
    return Law("first", "smallest table first", does, "exact law for two tables, derived here", probability)


def _explaining(question: Question) -> tuple[Law, ...]:
    """Decoders that take the other members into account: sets of one table, Gaussian codes."""

    def subtract(width: int, items: Items, members: int) -> Estimate:
        assert isinstance(items, int)
        noise, generator = total_noise(question, width, members), np.random.default_rng(question.seed)
        return pursuit.successive_probability(width, items, members, PURSUIT_TRIALS, generator, noise=noise)

    def pursue(width: int, items: Items, members: int) -> Estimate:
        assert isinstance(items, int)
        noise, generator = total_noise(question, width, members), np.random.default_rng(question.seed)
        return pursuit.omp_probability(width, items, members, PURSUIT_TRIALS, generator, noise=noise, positive=True)

    def pass_messages(width: int, items: Items, members: int) -> Estimate:
        assert isinstance(items, int)
        noise = total_noise(question, width, members) / width  # the columns of state evolution have length 1
        held = float(amp_recovers(width, items, members, noise))
        return Estimate(held, held, held, "state evolution")

    derived = "a law without the items, derived here"
    messages = Law(
        "amp", "message passing (AMP)", "weighs all vectors at once and refines, round by round",
        "Bayati and Montanari 2011; sharp in the limit of large sizes", pass_messages, "state evolution", least=FEWEST,
    )  # fmt: skip
    if question.code != "gauss":
        return (messages,)
    near = (_dot(question), messages)
    return (
        Law("sic", "subtract one by one", "takes the best vector, subtracts it, and goes on", derived, subtract,
            "simulation", cheap=False, near=near),
        Law("omp", "matching pursuit (OMP)", "as before, but fits all it has by least squares each time", derived,
            pursue, "simulation", cheap=False, near=near),
        messages,
    )  # fmt: skip


def _limits(question: Question) -> tuple[Law, ...]:
    def best(width: int, items: Items, members: int) -> Estimate:
        return best_decoder(width, items, members, question.number_format)

    def noisy(width: int, items: Items, members: int) -> Estimate:
        total = len(items) if isinstance(items, tuple) else members
        needed = bits_needed(items, 1 if isinstance(items, tuple) else members)
        held = float(width * math.log2(1 + total / total_noise(question, width, total)) / 2 >= needed)
        return Estimate(held, held, held, "all-or-nothing limit")

    def counted(width: int, items: Items, members: int) -> Estimate:
        needed = bits_needed(items, 1 if isinstance(items, tuple) else members)
        held = float(needed <= bits_available(width, question.number_format) + 1e-9)
        return Estimate(held, held, held, "counting")

    does = "tries every combination; no decoder of random vectors does better, and none this good is known to be fast"
    limits = []
    if question.noise > 0:
        source = "Reeves, Xu and Zadik 2019; rounding taken as Gaussian noise"
        limits.append(Law("best", "best decoder (random code)", does, source, noisy, method="all-or-nothing limit"))
    elif question.code == "gauss" and question.goal != "slot":
        source = "random-coding argument for finite sizes"
        limits.append(Law("best", "best decoder (random code)", does, source, best, method="random-coding argument"))
    if question.goal != "slot":
        limits.append(Law("any", "any code (pigeonhole)", "more combinations than values: two sums must be equal",
                          "counting", counted, method="counting"))  # fmt: skip
    return tuple(limits)
