"""The laws of decoders that score one vector at a time: the best dot products, and the smallest table first."""

from dataclasses import replace

import torch

from locant.capacity.estimate import Estimate, from_formula
from locant.capacity.exact import recovery_probability
from locant.capacity.law import Items, Law, total_noise
from locant.capacity.membership import simulated_threshold
from locant.capacity.other_codes import TRIALS, recovery, tolerance
from locant.capacity.question import Question
from locant.capacity.simulate import simulate
from locant.capacity.two_codebooks import simulated_slots, successive_pair

TOLERANCE = 1e-6  # of the quadratures


def dot(question: Question) -> Law:
    """The largest dot products, or those above a threshold: by formula, where there is one, or simulated."""
    name = "threshold" if question.goal == "membership" else "dot product"
    does = "scores every vector by its dot product with the sum and takes the best"
    if question.goal == "membership":
        does = "scores every vector by its dot product with the sum and takes all above the best fixed threshold"
    if question.code == "gauss":

        def exact(width: int, items: Items, members: int) -> Estimate:
            added = 1 if isinstance(items, tuple) else members
            noise = total_noise(question, width, len(items) if isinstance(items, tuple) else members)
            return from_formula(recovery_probability(width, items, added, noise=noise, goal=question.goal), TOLERANCE)

        return Law("dot", name, does, "exact law, derived here", exact)
    if question.goal == "set" and not question.pair:

        def fixed(width: int, items: Items, members: int) -> Estimate:
            assert isinstance(items, int)
            noise = total_noise(question, width, members)
            value = recovery(width, items, members, code=question.code, noise=noise)
            return from_formula(value, tolerance(members, question.code))

        return Law("dot", name, does, f"law of the {question.code} code, derived here", fixed)
    near = (dot(replace(question, code="gauss")),)

    def drawn(width: int, items: Items, members: int) -> Estimate:
        return simulated_dot(question, width, items, members, TRIALS)

    return Law("dot", name, does, "members drawn, the others integrated", drawn, "simulation", cheap=False, near=near)


def simulated_dot(question: Question, width: int, items: Items, members: int, trials: int) -> Estimate:
    """Draws the members, rounds their sum to the format, and integrates all others."""
    level = None
    if question.goal == "membership":
        assert isinstance(items, int)
        level = threshold(question, width, items, members)
    generator = torch.Generator().manual_seed(question.seed)
    return simulate(width, items, 1 if isinstance(items, tuple) else members, code=question.code, noise=question.noise,
                    format_name=question.number_format, goal=question.goal, threshold=level, trials=trials,
                    generator=generator)  # fmt: skip


def threshold(question: Question, width: int, items: int, members: int) -> float:
    """The best fixed threshold, in units of the width."""
    noise = total_noise(question, width, members)
    return simulated_threshold(width, items, members, code=question.code, noise=noise, seed=question.seed)


def smallest_first(question: Question) -> Law:
    """The smallest table is decoded first and subtracted, and so on; a slot is counted right only if all are."""
    formula = question.code == "gauss" and len(question.items) == 2

    def probability(width: int, items: Items, members: int) -> Estimate:
        assert isinstance(items, tuple)
        if formula:
            small, large = sorted(items)
            noise = total_noise(question, width, len(items))
            return from_formula(successive_pair(width, large, small, noise=noise), 10 * TOLERANCE)
        generator = torch.Generator().manual_seed(question.seed)
        return simulated_slots(width, items, code=question.code, noise=question.noise,
                               format_name=question.number_format, trials=TRIALS, generator=generator)  # fmt: skip

    does = "decodes the smallest table first, subtracts what it found, then the others"
    if question.goal == "slot":
        does += "; counted right only if all are"
    if formula:
        return Law("first", "smallest table first", does, "exact law for two tables, derived here", probability)
    near = (dot(replace(question, code="gauss", goal="set")),)
    source = "members drawn, the others integrated"
    return Law("first", "smallest table first", does, source, probability, "simulation", cheap=False, near=near)
