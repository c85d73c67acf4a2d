"""The ladder: each decoder's probability, the width that it needs and the number of members that it takes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from scipy.special import ndtri

from locant.capacity import solve
from locant.capacity.estimate import Estimate
from locant.capacity.law import Law
from locant.capacity.laws import laws
from locant.capacity.question import Question

PROBES = 6  # sizes at which a simulated decoder is asked in search of each target
SLOTS = 1 << 20  # searched at most
FLAT = 1e-9  # probabilities nearer to 0 or 1 tell no distance


@dataclass(frozen=True)
class Rung:
    """One decoder: its probability as asked, and for each target the least width; None where its law does not hold."""

    law: Law
    probability: Estimate | None
    widths: tuple[Estimate | None, ...]


def ladder(question: Question) -> list[Rung]:
    """Every decoder of the question, from the cheapest to the limits."""
    return [_rung(question, law) for law in laws(question)]


def adding(question: Question) -> Question:
    """The question of how many vectors of the first table can be added; for one table, the question itself."""
    return replace(question, items=question.items[:1], members=1, goal="set") if question.pair else question


def members_limits(question: Question) -> list[tuple[Law, tuple[Estimate | None, ...]]]:
    """The most members that each decoder takes, for every target: of one table, or slots filled from one."""
    return [(law, tuple(most_members(question, law))) for law in laws(question)]


def _rung(question: Question, law: Law) -> Rung:
    if not law.least <= question.members <= law.most:
        nothing = (None,) * len(question.targets)
        return Rung(law, None, nothing)
    asked = law.probability(question.width, question.combinations, question.members)
    return Rung(law, asked, tuple(widths(question, law)))


def widths(question: Question, law: Law) -> list[Estimate | None]:
    """The least width at which a decoder reaches each target; None where no simulated width does."""
    sizes, members = question.combinations, question.members

    def least(target: float, by: Law) -> int:
        return solve.width_for(sizes, members, target, by.value)  # type: ignore[arg-type]  # any sizes that it takes

    def at(width: int) -> Estimate:
        return law.probability(width, sizes, members)

    if law.cheap:
        return [_exact(least(target, law), law) for target in question.targets]
    return searched(
        at, _between([least(0.5, by) for by in law.near if members >= by.least]), question.targets, rising=False
    )


def most_members(question: Question, law: Law) -> list[Estimate | None]:
    """The most members of the first table that a decoder takes for each target."""
    items = question.items[0]

    def at(members: int) -> Estimate:
        return law.probability(question.width, items, members if question.goal == "slot" else min(members, items))

    if law.cheap:
        return [_exact(most(question, law, target), law) for target in question.targets]
    guess = _between([most(question, by, 0.5) for by in law.near])
    return searched(at, guess, question.targets, rising=True)


def most(question: Question, law: Law, target: float) -> int:
    """The most members by a formula; of slots, which no number of items limits, up to `SLOTS`."""
    items = question.items[0]
    if question.goal == "slot":
        return solve.members_for(question.width, items, target, law.value, most=SLOTS)
    found = solve.members_for(question.width, items, target, law.value)
    return items if items > 3 and found == items // 2 else found  # beyond the half there are fewer sets again


def _exact(number: int, law: Law) -> Estimate:
    return Estimate(number, number, number, law.method)


def _between(limits: list[int]) -> int:
    """The geometric mean."""
    return round(math.exp(sum(math.log(max(1, limit)) for limit in limits) / len(limits)))


def searched(
    at: Callable[[int], Estimate], guess: int, targets: tuple[float, ...], *, rising: bool
) -> list[Estimate | None]:
    """Where a simulated curve crosses the targets: secant steps on the normal scale, then interpolation.

    `rising` is True for members, of which the largest number that still reaches a target is wanted. The interval is
    where the curves through the ends of the probed intervals cross.
    """
    points = {(size := max(1, guess)): at(size)}
    for target in targets:
        for _ in range(PROBES):
            size = _next(points, target, rising)
            if size in points:
                break
            points[size] = at(size)
        _enclose(points, at, target, rising)
    sizes = sorted(points)
    return [_crossing(sizes, [points[size] for size in sizes], target, rising) for target in targets]


def _enclose(points: dict[int, Estimate], at: Callable[[int], Estimate], target: float, rising: bool) -> None:
    """Asks further sizes on the side that is missing until the target lies between two values."""
    for _ in range(PROBES):
        above = [size for size in points if points[size].value >= target]
        if 0 < len(above) < len(points):
            return
        outward = (len(above) > 0) == rising  # all reach it: more members, or a narrower vector
        size = math.ceil(1.5 * max(points)) if outward else max(1, int(min(points) / 1.5))
        if size in points:
            return
        points[size] = at(size)


def _next(points: dict[int, Estimate], target: float, rising: bool) -> int:
    """The size to ask next: where the line through the two nearest crosses, or further in the right direction."""
    wanted = float(ndtri(target))
    near = sorted(points, key=lambda size: abs(_height(points[size].value) - wanted))[:2]
    first = near[0]
    gap = _height(points[first].value) - wanted
    if len(near) == 2 and min(points[size].value for size in near) > FLAT:
        rise = _height(points[near[1]].value) - wanted - gap
        slope = rise / (near[1] - first)
        if slope != 0 and (slope < 0) == rising:
            step = -gap / slope
            return max(1, round(first + max(-0.5 * first, min(step, first))))
    factor = 1.3 if (gap > 0) == rising else 1 / 1.3
    return (
        max(1, round(first * factor)) if round(first * factor) != first else max(1, first + (1 if factor > 1 else -1))
    )


def _crossing(sizes: list[int], found: list[Estimate], target: float, rising: bool) -> Estimate | None:
    """Where the curve crosses a target; None where no probed size is beyond it."""
    ends = [_cross(sizes, [getattr(estimate, end) for estimate in found], target) for end in ("value", "low", "high")]
    if ends[0] is None:
        return None
    whole = math.floor if rising else math.ceil
    # A curve that crosses outside of what was probed crosses beyond the last probe.
    beyond = (sizes[0], sizes[-1]) if rising else (sizes[-1], sizes[0])
    known = [whole(ends[0])]
    known += [last if end is None else whole(end) for end, last in zip(ends[1:], beyond, strict=True)]
    trials = sum(estimate.trials for estimate in found)
    return Estimate(whole(ends[0]), min(known), max(known), "simulation", trials)


def _cross(sizes: list[int], probabilities: list[float], target: float) -> float | None:
    wanted, heights = float(ndtri(target)), [_height(p) for p in probabilities]
    for left, right, start, end in zip(sizes, sizes[1:], heights, heights[1:], strict=False):
        if min(start, end) <= wanted <= max(start, end) and start != end:
            return left + (right - left) * (wanted - start) / (end - start)
    return None


def _height(probability: float) -> float:
    return float(ndtri(min(max(probability, FLAT), 1 - FLAT)))
