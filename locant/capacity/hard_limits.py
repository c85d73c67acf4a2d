"""The limits that no decoder passes: the best one there is, and counting."""

import math

from locant.capacity.bits import binomial_entropy, bits_available
from locant.capacity.estimate import Estimate
from locant.capacity.formats import number_format
from locant.capacity.law import Items, Law, needed_bits, total_noise
from locant.capacity.limit import METHOD, best_decoder
from locant.capacity.question import Question

BEST = "best decoder (random code)"
ANY = "any code (pigeonhole)"
LIKE_GAUSS = 3  # members of equal length from which their sum is taken for Gaussian


def hard_limits(question: Question) -> tuple[Law, Law]:
    """The best decoder of a random code, and any decoder of any code. Slots are all of them: each must be readable."""
    does = "tries every combination; no decoder of random vectors does better, and none this good is known to be fast"
    if question.noise > 0:
        best, method, least = _all_or_nothing, "all-or-nothing limit", 1
        source = "Reeves, Xu and Zadik 2019; rounding taken as Gaussian noise"
    elif question.code == "sign":
        best, method, least = _entropy_of_signs, "counting, asymptotic", 2
        source = "the entropy of a sum of signs: Scarlett and Cevher 2017; Gebhard et al. 2019"
    else:
        best, method, least = _random_code, METHOD, 1
        source = "random-coding argument for finite sizes"
        if question.code == "sphere":
            source, least = f"{source}, as for Gaussian vectors", LIKE_GAUSS

    def probability(width: int, items: Items, members: int) -> Estimate:
        return best(question, width, items, members)

    def counted(width: int, items: Items, members: int) -> Estimate:
        needed = needed_bits(items, members, question.goal)
        return _held(needed <= bits_available(width, question.number_format) + 1e-9, "counting")

    return (
        Law("best", BEST, does, source, probability, method=method, least=least),
        Law("any", ANY, "more combinations than values: two sums must be equal", "counting", counted,
            method="counting"),
    )  # fmt: skip


def _held(holds: bool, method: str) -> Estimate:
    return Estimate(float(holds), float(holds), float(holds), method)


def _random_code(question: Question, width: int, items: Items, members: int) -> Estimate:
    tables = (items,) * members if question.goal == "slot" and isinstance(items, int) else items
    return best_decoder(width, tables, members, question.number_format)


def _all_or_nothing(question: Question, width: int, items: Items, members: int) -> Estimate:
    total = len(items) if isinstance(items, tuple) else members
    room = width * math.log2(1 + total / total_noise(question, width, total)) / 2
    return _held(room >= needed_bits(items, members, question.goal), "all-or-nothing limit")


def _entropy_of_signs(question: Question, width: int, items: Items, members: int) -> Estimate:
    total = len(items) if isinstance(items, tuple) else members
    each = min(binomial_entropy(total), math.log2(number_format(question.number_format).finite_values))
    return _held(width * each >= needed_bits(items, members, question.goal), "counting, asymptotic")
