"""One of width, items, members, format and probability, found from the others for one decoder."""

from dataclasses import dataclass, replace
from typing import Any

from locant.capacity import solve
from locant.capacity.estimate import Estimate
from locant.capacity.formats import FORMATS
from locant.capacity.ladder import most_members, widths
from locant.capacity.laws import Law, laws
from locant.capacity.question import SOLVABLE, Question
from locant.report.capacity_words import share, whole


@dataclass(frozen=True)
class Solved:
    """The question with its unknown filled in, the answer in a sentence, and as a row of the report."""

    question: Question
    sentence: str
    row: dict[str, Any]


def solved(question: Question, what: str, decoder: str) -> Solved:
    """Solves for `what` with the decoder of that key, at the last of the targets.

    Raises ValueError for an unknown quantity or decoder, one that no value solves, or a decoder that is simulated where
    only a formula can be inverted.
    """
    if what not in SOLVABLE:
        raise ValueError(f"expected to solve for {', '.join(SOLVABLE)}, was: {what}")
    found = {law.key: law for law in laws(question)}
    if decoder not in found:
        raise ValueError(f"expected a decoder of {', '.join(found)} for this question, was: {decoder}")
    law, target = found[decoder], question.targets[-1]
    at_last = replace(question, targets=(target,))
    number: Estimate | None
    if what == "probability":
        number = law.probability(question.width, question.combinations, question.members)
        sentence = f"The {law.decoder} recovers with probability {share(number.value)}."
        return Solved(question, sentence, _row(what, law, number, None))
    if what == "format":
        return _coarsest(question, law, target)
    if what == "width":
        number = widths(at_last, law)[0]
        filled = question if number is None else replace(question, width=int(number.value))
    elif what == "members":
        if question.pair:
            raise ValueError(f"expected one table to solve for members, was: {len(question.items)} tables")
        number = most_members(at_last, law)[0]
        filled = question if not number or not number.value else replace(question, members=int(number.value))
    else:
        number = _items(question, law, target)
        filled = replace(question, items=(int(number.value), *question.items[1:]))
    if number is None or number.value < 1:
        raise ValueError(f"expected {what} that give probability {target:g} by {law.key}, was: none")
    sentence = f"The {what} for probability {target:g} by {law.decoder}: {whole(number.value)}."
    return Solved(filled, sentence, _row(what, law, number, target))


def _items(question: Question, law: Law, target: float) -> Estimate:
    if not law.cheap:
        raise ValueError(f"expected a decoder with a formula to solve for items, was: {law.key}")
    rest = question.items[1:]

    def value(width: int, items: int, members: int) -> float:
        return law.value(width, (items, *rest) if rest else items, members)

    number = solve.items_for(question.width, 1 if rest else question.members, target, value)
    return Estimate(number, number, number, law.method)


def _coarsest(question: Question, law: Law, target: float) -> Solved:
    """The format with the fewest bits that reaches the target."""
    for name in sorted(FORMATS, key=lambda name: (FORMATS[name].bits, name)):
        asked = replace(question, number_format=name)
        [same] = [other for other in laws(asked) if other.key == law.key]
        number = same.probability(asked.width, asked.combinations, asked.members)
        if number.value >= target:
            sentence = f"The format with the fewest bits for probability {target:g} by {law.decoder}: {name}."
            return Solved(asked, sentence, {**_row("format", law, number, target), "format": name})
    raise ValueError(f"expected a format that gives probability {target:g} by {law.key}, was: none")


def _row(what: str, law: Law, number: Estimate, target: float | None) -> dict[str, Any]:
    return {"what": what, "decoder": law.decoder, "key": law.key, "target": target, "number": number}
