"""The same question by formula, by simulation without the items, and by brute force: do they agree?"""

from dataclasses import replace
from typing import Any

import torch

from locant.capacity.brute import brute_force
from locant.capacity.estimate import Estimate
from locant.capacity.exact import recovery_probability
from locant.capacity.laws import laws
from locant.capacity.question import Question
from locant.capacity.simulate import simulate
from locant.capacity.solve import members_for, width_for

SAMPLES = 20_000  # trials of a simulation, at most
DRAWN = 1e7  # and numbers that it draws
WORK = 6e9  # multiplications that a brute force without being asked for may take
ASKED = 6e11  # and one that was
BOOKS = 8
SMALL = 4096, 128  # items and width of a question that is always checked by brute force


def checks(question: Question, *, brute: bool) -> list[dict[str, Any]]:
    """Formula, simulation and brute force at the width that was asked about and where the outcome is open.

    A probability near 1 would be confirmed by any simulation, so the narrower width at which the dot product is right
    half of the time is asked too. Brute force runs where it takes a moment, in the end at a smaller size of the same
    kind; everywhere if `brute`.
    Gaussian codes; other codes have no formula, and membership none without its threshold.
    """
    plain = replace(question, number_format="fp64", code="gauss", goal="set")
    if question.goal == "membership":
        plain = replace(plain, goal="set")
    open_width = width_for(plain.combinations, plain.members, 0.5, laws(plain)[0].value)  # type: ignore[arg-type]
    rows = [_check(replace(plain, width=open_width), brute)]
    if question.width != open_width:
        rows.append(_check(plain, brute))
    if all(row["brute_force"] is None for row in rows):
        rows.append(_check(_small(plain), brute))
    return rows


def _small(question: Question) -> Question:
    """A question of the same kind that brute force answers in a moment, with as many members as leave it open."""
    items = tuple(min(size, SMALL[0]) for size in question.items)
    small = replace(question, items=items, width=min(question.width, SMALL[1]))
    if question.pair:
        return small
    most = members_for(small.width, items[0], 0.5, laws(replace(small, members=1))[0].value)
    return replace(small, members=max(1, min(question.members, most)))


def _check(question: Question, brute: bool) -> dict[str, Any]:
    exact = recovery_probability(question.width, question.combinations, 1 if question.pair else question.members,
                                 noise=question.noise)  # fmt: skip
    formula = Estimate(exact, max(0.0, exact - 1e-6), min(1.0, exact + 1e-6), "formula")
    simulation = _simulated(question)
    forced = _forced(question, ASKED if brute else WORK)
    known = [estimate for estimate in (formula, simulation, forced) if estimate is not None]
    return {
        "question": f"{_sizes(question)}, width {question.width}, dot product",
        "formula": formula,
        "simulation": simulation,
        "brute_force": forced,
        "agree": all(one.agrees(other) for one in known for other in known),
    }


def _sizes(question: Question) -> str:
    sizes = " + ".join(map(str, question.items))
    return f"one of each of {sizes}" if question.pair else f"{question.members} of {sizes}"


def _simulated(question: Question) -> Estimate:
    """The added vectors are drawn, all others integrated."""
    trials = int(max(500, min(SAMPLES, DRAWN / (question.width * question.members))))
    generator = torch.Generator().manual_seed(question.seed)
    members = 1 if question.pair else question.members
    return simulate(question.width, question.combinations, members, noise=question.noise, trials=trials,
                    generator=generator)  # fmt: skip


def _forced(question: Question, work: float) -> Estimate | None:
    """As many trials as the work allows, at least 256 and at most 2048; None if that is too much."""
    each = float(question.width * sum(question.items))
    draws = BOOKS * each * 10  # a Gaussian number takes about as long as ten multiplications
    trials = int(min(2048, (work - draws) / each))
    if trials < 256:
        return None
    members = 1 if question.pair else question.members
    return brute_force(question.width, question.combinations, members, noise=question.noise, trials=trials,
                       codebooks=BOOKS, seed=question.seed)  # fmt: skip
