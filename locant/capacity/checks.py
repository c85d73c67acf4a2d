"""The same question by formula, by simulation without the items, and by brute force: do they agree?"""

from dataclasses import replace
from typing import Any

import numpy as np

from locant.capacity.brute import brute_force
from locant.capacity.estimate import Estimate
from locant.capacity.ladder import most
from locant.capacity.law import rounding_noise
from locant.capacity.question import Question
from locant.capacity.scoring import dot, simulated_dot, threshold
from locant.capacity.simulate import law_sample
from locant.capacity.solve import width_for

SAMPLES = 20_000  # trials of a simulation, at most
FEWEST = 500  # and at least
DRAWN = 1e7  # numbers that it draws
MOST_DRAWN = 1e8  # beyond which the lengths of sums are drawn, not their numbers
WORK = 6e9  # multiplications that a brute force without being asked for may take
ASKED = 6e11  # and one that was
BOOKS = 8
SMALL = 4096, 128  # items and width of a question that is always checked by brute force
WIDER = 1.75  # times the 95 % intervals before a disagreement is flagged
VISIBLE = 1e-4  # noise of rounding, for a sum of variance 1, from which it is checked by itself


def checks(question: Question, *, brute: bool) -> list[dict[str, Any]]:
    """Formula, simulation and brute force at the width that was asked about and where the outcome is open.

    A probability near 1 would be confirmed by any simulation, so the width at which the dot product is right half of
    the time is asked too. Brute force runs where it takes a moment, in the end at a smaller size of the same kind;
    everywhere if `brute`. Sums are first not rounded; where rounding to the format matters there is a row with it,
    in which the formula takes it for Gaussian noise, and the other two round.
    """
    plain = replace(question, number_format="fp64")
    law = dot(replace(plain, code="gauss"))
    open_width = width_for(plain.combinations, plain.members, 0.5, law.value)  # type: ignore[arg-type]
    rows = [_check(replace(plain, width=width), brute) for width in dict.fromkeys((open_width, question.width))]
    if rounding_noise(question.number_format, question.width) > VISIBLE:
        rows.append(_check(replace(question, width=max(open_width, 2)), brute))
    if all(row["brute_force"] is None for row in rows):
        rows.append(_check(_small(plain), brute))
    return rows


def _small(question: Question) -> Question:
    """A question of the same kind that brute force answers in a moment, with as many members as leave it open."""
    items = tuple(min(size, SMALL[0]) for size in question.items)
    small = replace(question, items=items, width=min(question.width, SMALL[1]))
    if question.pair:
        return small
    by = dot(replace(small, code="gauss"))
    return replace(small, members=max(1, min(question.members, most(small, by, 0.5))))


def _check(question: Question, brute: bool) -> dict[str, Any]:
    law = dot(question)
    asked = (question.width, question.combinations, question.members)
    formula = law.probability(*asked) if law.method == "formula" else None
    simulation = _simulated(question)
    forced = _forced(question, ASKED if brute else WORK)
    known = [estimate for estimate in (formula, simulation, forced) if estimate is not None]
    code = "" if question.code == "gauss" else f", code {question.code}"
    noise = f", noise {question.noise:g}" if question.noise else ""
    rounded = "" if question.number_format == "fp64" else f", rounded to {question.number_format}"
    return {
        "question": f"{_sizes(question)}, width {question.width}{code}{noise}, {law.decoder}{rounded}",
        "formula": formula,
        "simulation": simulation,
        "brute_force": forced,
        "agree": all(_agree(one, other) for one in known for other in known),
    }


def _agree(one: Estimate, other: Estimate) -> bool:
    """Whether the intervals, made wider so that chance alone parts them once in a thousand questions, overlap."""
    gap = (other.value - WIDER * (other.value - other.low)) - (one.value + WIDER * (one.high - one.value))
    return gap <= 0 or one.value > other.value


def _sizes(question: Question) -> str:
    sizes = " + ".join(map(str, question.items))
    if question.pair:
        return f"{'the first' if question.goal == 'slot' else 'one of each'} of {sizes}"
    return f"one slot of {question.members} of {sizes}" if question.goal == "slot" else f"{question.members} of {sizes}"


def _simulated(question: Question) -> Estimate:
    """The added vectors are drawn, all others integrated; of very many wide ones only their lengths and scores."""
    added = question.width * question.members
    trials = int(max(FEWEST, min(SAMPLES, DRAWN / added)))
    if question.code == "gauss" and question.number_format == "fp64" and added * trials > MOST_DRAWN:
        level = _level(question)
        members = 1 if question.pair else question.members
        return law_sample(question.width, question.combinations, members, question.noise, FEWEST * 4,
                          np.random.default_rng(question.seed), goal=question.goal, threshold=level)  # fmt: skip
    if question.code != "gauss":
        trials = max(100, min(2000, int(DRAWN / added)))
    return simulated_dot(question, question.width, question.combinations, question.members, trials)


def _forced(question: Question, work: float) -> Estimate | None:
    """As many trials as the work allows, at least 256 and at most 2048; None if that is too much."""
    scored = float(question.width * sum(question.items[:1] if question.goal == "slot" else question.items))
    each = scored + 20 * question.width * question.members  # adding takes longer than multiplying
    draws = BOOKS * scored * 10  # a Gaussian number takes about as long as ten multiplications
    trials = int(min(2048, (work - draws) / each))
    if trials < 256:
        return None
    members = 1 if question.pair else question.members
    name = None if question.number_format == "fp64" else question.number_format
    return brute_force(question.width, question.combinations, members, code=question.code, noise=question.noise,
                       format_name=name, goal=question.goal, threshold=_level(question), trials=trials,
                       codebooks=BOOKS, seed=question.seed)  # fmt: skip


def _level(question: Question) -> float | None:
    if question.goal != "membership":
        return None
    assert not question.pair
    return threshold(question, question.width, question.items[0], question.members)
