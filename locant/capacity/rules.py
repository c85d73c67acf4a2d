"""Rules and bounds of the literature in closed form, and how far the rules are from the laws."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import special

from locant.capacity.approximate import rule_of_width
from locant.capacity.bits import log2_choose
from locant.capacity.check import check_members, check_noise, check_probability, check_width
from locant.capacity.exact import recovery_probability
from locant.capacity.solve import members_for
from locant.capacity.state_evolution import amp_members


@dataclass(frozen=True)
class Rule:
    """A width by formula for `members` of `items` without noise, the decoder that it is for, and its source."""

    name: str
    decoder: str
    width: Callable[[int, int], float]
    source: str

    def members(self, width: int, items: int) -> int:
        """The most members for which the rule asks no more than `width`, up to half of the items; 0 if none."""
        low, high = 0, max(1, items // 2) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.width(items, middle) <= width else (low, middle)
        return low


@dataclass(frozen=True)
class RuleError:
    """What a rule predicts at one width, and what the law of its decoder says of a probability of one half."""

    rule: Rule
    predicted: int
    actual: int


RULES = (
    Rule("2 K ln V", "dot product", lambda items, members: 2 * members * math.log(items), "folklore"),
    Rule("2 K (√ln(V-K) + √ln K)²", "dot product", rule_of_width, "extreme values: largest miss, smallest hit"),
    Rule(
        "2 K ln(V/K)",
        "message passing",
        lambda items, members: 2 * members * math.log(items / members),
        "state evolution as ln(V/K) grows without bound (Reeves, Xu and Zadik 2019)",
    ),
)


def compare_rules(width: int, items: int) -> list[RuleError]:
    """Each rule at one size beside its decoder's law: exact for dot products, state evolution for message passing.

    At width 1024 and 50257 items they say 47, 20 and 79 members where the laws say 26, 26 and 179.
    Raises ValueError for a width below 1 or fewer than 2 items.
    """
    check_width(width)
    if items < 2:
        raise ValueError(f"expected at least 2 items, was: {items}")
    actual = {
        "dot product": members_for(width, items, 0.5, recovery_probability),
        "message passing": amp_members(width, items),
    }
    return [RuleError(rule, rule.members(width, items), actual[rule.decoder]) for rule in RULES]


def lasso_width(items: int, members: int) -> float:
    """``2 K ln(V - K)``: where the lasso turns from failing to recovering the support of Gaussian codes.

    Source: Wainwright 2009, theorems 3 and 4 (a sharp threshold for large sizes). The same width is enough for OMP:
    Fletcher and Rangan 2012, theorem 1; at practical sizes OMP takes 80 to 90 % more members than that.
    """
    check_members(items, members)
    return 2 * members * math.log(items - members) if members < items - 1 else 1.0


def threshold_width(items: int, members: int, failure: float) -> float:
    """``3.16 (K - 1/4) ln(V / q³)``: Plate's rule for a fixed threshold that fails with probability q.

    Source: Plate 2003, appendix B, a fit to his numbers for small q. `membership.membership_probability` is the law.
    """
    check_members(items, members)
    check_probability(failure)
    return 3.16 * (members - 0.25) * math.log(items / failure**3)


def johnson_lindenstrauss_width(points: int, distortion: float) -> float:
    """``4 ln n / (ε²/2 - ε³/3)``: enough to keep all distances of n points within a factor ``1 ± ε``.

    Source: Dasgupta and Gupta 2003, theorem 2.1. Raises ValueError for fewer than 2 points or ε outside (0, 1).
    """
    if points < 2:
        raise ValueError(f"expected at least 2 points, was: {points}")
    if not 0 < distortion < 1:
        raise ValueError(f"expected a distortion between 0 and 1, was: {distortion}")
    return 4 * math.log(points) / (distortion**2 / 2 - distortion**3 / 3)


def box_probability(width: int, items: int) -> float:
    """The probability that ``0 <= x <= 1, A x = y`` has the 0/1 vector x as its only solution, whatever its sum.

    ``P(Bin(V - 1, 1/2) >= V - d)``, 1 for V <= d: exact for Gaussian codes, and a half at ``d = V/2``.
    Source: Donoho and Tanner 2010, arXiv:0807.3590, theorem 1.8.  Raises ValueError for a width or items below 1.
    """
    check_width(width)
    check_members(items, 1)
    return 1.0 if items <= width else float(special.betainc(items - width, width, 0.5))


def union_bound(width: int, items: int, members: int, noise: float = 0.0) -> float:
    """An upper bound on the failure of the best decoder, by the sum over sets that differ in l members.

    ``Σ_l C(K, l) C(V - K, l) p_l``, with ``p_l = (C(2l, l) / 4^l)^d`` for random signs without noise (the two sums are
    equal in every coordinate), and for Gaussian codes in noise ``p_l = ½ (1 + l / 2σ²)^(-d/2)``
    (``Q(x) <= ½ exp(-x²/2)`` averaged over the distance). At most 1.

    Raises ValueError for sizes out of range or negative noise.
    """
    check_width(width)
    check_members(items, members)
    check_noise(noise)
    terms = []
    for changed in range(1, min(members, items - members) + 1):
        sets = log2_choose(members, changed) + log2_choose(items - members, changed)
        if noise == 0:
            pair = width * (log2_choose(2 * changed, changed) - 2 * changed)
        else:
            pair = -1 - width / 2 * math.log2(1 + changed / (2 * noise))
        terms.append(sets + pair)
    return 1.0 if terms and max(terms) >= 0 else min(1.0, math.fsum(2**term for term in terms))
