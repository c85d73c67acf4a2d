"""One of width, items, members, format and probability, found from the others for one decoder."""

from dataclasses import dataclass, replace
from typing import Any

from locant.capacity import solve
from locant.capacity.estimate import Estimate
from locant.capacity.ladder import most_members, searched, widths
from locant.capacity.law import Law
from locant.capacity.laws import laws
from locant.capacity.question import SOLVABLE, Question
from locant.report.capacity_words import share, whole

STEPS = 12  # of a search for items, for each doubling
LAST = STEPS * 62


@dataclass(frozen=True)
class Solved:
    """The question with its unknown filled in, the answer in a sentence, and as a row of the report."""

    question: Question
    sentence: str
    row: dict[str, Any]


def solved(question: Question, what: str, decoder: str) -> Solved:
    """Solves for `what` with the decoder of that key, at the last of the targets.

    Raises ValueError for an unknown quantity or decoder, a law that is not meant for so few members, or what no value
    solves.
    """
    if what not in SOLVABLE:
        raise ValueError(f"expected to solve for {', '.join(SOLVABLE)}, was: {what}")
    found = {law.key: law for law in laws(question)}
    if decoder not in found:
        raise ValueError(f"expected a decoder of {', '.join(found)} for this question, was: {decoder}")
    law, target = found[decoder], question.targets[-1]
    if what != "members" and question.members < law.least:
        raise ValueError(f"expected at least {law.least} members for the law of {law.key}, was: {question.members}")
    if what != "members" and question.members > law.most:
        raise ValueError(f"expected at most {law.most:g} members to simulate {law.key}, was: {question.members}")
    if what == "probability":
        number = law.probability(question.width, question.combinations, question.members)
        return Solved(question, f"By {law.decoder} the probability is {share(number.value)}.",
                      _row(what, law, number, None))  # fmt: skip
    if what == "format":
        return _coarsest(question, law, target)
    return _size(replace(question, targets=(target,)), question, what, law)


def _size(at_last: Question, question: Question, what: str, law: Law) -> Solved:
    """The least width, or the most members or items."""
    target = at_last.targets[0]
    if what == "width":
        number = widths(at_last, law)[0]
    elif what == "members":
        if question.pair:
            raise ValueError(f"expected one table to solve for members, was: {len(question.items)} tables")
        number = most_members(at_last, law)[0]
    else:
        number = _items(question, law, target)
    if number is None or number.value < 1:
        expected = "a width that gives" if what == "width" else f"{what} that give"
        raise ValueError(f"expected {expected} probability {target:g} by {law.key}, was: none")
    size = int(number.value)
    if what == "items":
        filled = replace(question, items=(size, *question.items[1:]))
    else:
        filled = replace(question, width=size) if what == "width" else replace(question, members=size)
    if what == "width":
        sentence = f"By {law.decoder} probability {target:g} takes {whole(size)} number{'' if size == 1 else 's'}."
    else:
        more = " or more" if size >= solve.FURTHEST else ""
        sentence = f"By {law.decoder} up to {whole(size)} {what}{more} are possible with probability {target:g}."
    return Solved(filled, sentence, _row(what, law, number, target))


def _items(question: Question, law: Law, target: float) -> Estimate | None:
    """The most items of the first table. A simulated law is searched in steps of a twelfth of an octave."""
    rest = question.items[1:]
    members = 1 if rest else question.members

    def asked(items: int) -> Estimate:
        return law.probability(question.width, (items, *rest) if rest else items, question.members)

    if law.cheap:
        number = solve.items_for(question.width, members, target, lambda width, items, members: asked(items).value)
        return Estimate(number, number, number, law.method)
    fewest = members + 1

    def of_step(step: int) -> int:
        return min(solve.FURTHEST, round(fewest * 2 ** ((step - 1) / STEPS)))

    guess = STEPS * 8
    if asked(fewest).value < target:
        return None
    if asked(of_step(LAST)).value >= target:
        return Estimate(solve.FURTHEST, solve.FURTHEST, solve.FURTHEST, law.method)
    [found] = searched(lambda step: asked(of_step(min(step, LAST))), guess, (target,), rising=True)
    if found is None:
        return None
    return Estimate(of_step(int(found.value)), of_step(int(found.low)), of_step(int(found.high)), law.method,
                    found.trials)  # fmt: skip


def _coarsest(question: Question, law: Law, target: float) -> Solved:
    """The format with the fewest bits that reaches the target."""
    numbers: dict[str, Estimate] = {}

    def value(name: str) -> float:
        asked = replace(question, number_format=name)
        [same] = [other for other in laws(asked) if other.key == law.key]
        numbers[name] = same.probability(asked.width, asked.combinations, asked.members)
        return numbers[name].value

    try:
        name = solve.format_for(target, value)
    except ValueError as error:
        raise ValueError(f"expected a format that gives probability {target:g} by {law.key}, was: none") from error
    sentence = f"By {law.decoder} the format with the fewest bits for probability {target:g} is {name}."
    row = {**_row("format", law, numbers[name], target), "format": name}
    return Solved(replace(question, number_format=name), sentence, row)


def _row(what: str, law: Law, number: Estimate, target: float | None) -> dict[str, Any]:
    return {"what": what, "decoder": law.decoder, "key": law.key, "target": target, "number": number}
