"""One call: how much can be added before it cannot be taken apart, by every law, with everything checked."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from locant.capacity import holds
from locant.capacity.checks import checks
from locant.capacity.curves import curves
from locant.capacity.estimate import Estimate
from locant.capacity.exact import recovery_probability
from locant.capacity.formats import FORMATS
from locant.capacity.ladder import Rung, adding, ladder, members_limits
from locant.capacity.question import Question, checked
from locant.capacity.real import real
from locant.capacity.result import Capacity
from locant.capacity.sentences import answer, binding, of_real, real_verdict, verdict
from locant.capacity.solving import Solved, solved
from locant.capacity.tables import Table, same_width

EMPTY: dict[str, Any] = {
    "ladder": [], "capacity": [], "precision": [], "phase": [], "scores": None, "level": 0.5, "items": 0
}  # fmt: skip


def capacity(
    width: int | None = None,
    items: int | Sequence[int] | Tensor | Table | Sequence[Tensor] | Sequence[Table] = (50257, 1024),
    members: int | None = None,
    *,
    code: str = "gauss",
    number_format: str = "bf16",
    noise: float = 0.0,
    goal: str = "set",
    probability: float | None = None,
    solve: str | None = None,
    decoder: str = "dot",
    brute_force: bool = False,
    figures: bool = False,
    text: tuple[str, bytes] | None = None,
    seed: int = 0,
) -> Capacity:
    """How many vectors can be added and told apart again, by every decoder that is known, and which limit binds.

    width: numbers in each vector; 768 if not given, and that of the tables if `items` are tables.
    items: sizes of the tables of which one vector each is added, or one size (then `members` different vectors of it
        are added), or real tables ``[items, width]``, on which decoders are tried as well.
    members: how many are added; the number of tables for several, 1 for one table.
    code: "gauss", "sphere" or "sign".  number_format: what the sum is rounded to.  noise: variance per number, where an
    entry has variance 1.  goal: "set" (all members, their number known), "slot" (one of `members` tables) or
    "membership" (their number unknown).  probability: the target that widths and members are given for (0.5 and 0.99).
    solve: "width", "items", "members", "format" or "probability", found from the others for `decoder` ("dot", "first",
        "sic", "omp", "amp", "best", "any") and put in their place.
    brute_force: checks the asked width by brute force too, however large.  figures: the points of a report's figures,
    all sums of the one-number ways, and `text` (name and bytes) zipped again and again.

    Raises ValueError, in one line, for what cannot be asked.
    """
    tables = _tables(items)
    question = _question(width, tables or items, members)
    question = replace(question, code=code, number_format=number_format, noise=noise, goal=goal, seed=seed,
                       targets=(0.5, 0.99) if probability is None else (probability,))  # fmt: skip
    checked(replace(question, width=1) if solve == "width" else question)
    _fits(question)
    found = None if solve is None else solved(question, solve, decoder)
    zipped = holds.zipped(text[1], text[0]) if figures and text else None
    return _answer(question if found is None else found.question, tables, found, brute_force, figures, zipped)


def _answer(
    question: Question,
    tables: list[Table],
    found: Solved | None,
    brute_force: bool,
    figures: bool,
    zipped: dict[str, Any] | None,
) -> Capacity:
    """Asks every law the checked question; `found` is what was solved for, if anything."""
    rungs = ladder(question)
    limits = members_limits(adding(question))
    bits = holds.bits(question)
    bound = binding(question, rungs, bits, _unrounded(question))
    measured = real(question, tables) if tables else None
    sentences = answer(question, rungs, limits, bound, _breaking_noise(question, rungs))
    if found is not None:
        sentences.insert(0, found.sentence)
    return Capacity(
        question=question,
        tables=tuple(table.name for table in tables),
        verdict=real_verdict(measured) if measured else verdict(rungs),
        binding=bound[0],
        answer=tuple((of_real(measured) if measured else []) + sentences),
        bits=bits,
        ladder=rungs,
        adding=limits,
        formats=holds.formats(question),
        one_number=holds.one_number(question, measured=figures),
        checks=checks(question, brute=brute_force),
        solved=None if found is None else found.row,
        real=measured,
        zip=zipped,
        curves=curves(question, rungs) if figures else EMPTY,
        notes=tuple(note for table in tables for note in table.notes) + tuple(measured.notes if measured else ()),
    )


def _tables(items: Any) -> list[Table]:
    """The items as named tables; empty for sizes."""
    several = [items] if isinstance(items, Tensor | Table) else items if isinstance(items, Sequence) else [items]
    if not several or not all(isinstance(item, Tensor | Table) for item in several):
        return []
    tables = [
        item if isinstance(item, Table) else Table(f"table {index}", item.detach().float(), str(item.dtype)[6:])
        for index, item in enumerate(several, start=1)
    ]
    same_width(tuple(tables))
    return tables


def _question(width: int | None, items: Any, members: int | None) -> Question:
    if isinstance(items, list) and items and isinstance(items[0], Table):
        own = same_width(tuple(items))
        if width not in (None, own):
            raise ValueError(f"expected the width {own} of the tables, was: {width}")
        width, items = own, tuple(len(table.rows) for table in items)
    sizes = (items,) if isinstance(items, int) else tuple(int(size) for size in items)
    if members is None:
        members = len(sizes)
    return Question(768 if width is None else width, sizes, members)


def _fits(question: Question) -> None:
    """Refuses tables whose rows cannot all be different in the format."""
    room = question.width * math.log2(FORMATS[question.number_format].finite_values)
    for size in question.items:
        if math.log2(size) > room + 1e-12:
            numbers = f"{question.width} number{'' if question.width == 1 else 's'} of {question.number_format}"
            raise ValueError(
                f"expected at most {2**room:.0f} items in {numbers}, was: {size}, of which two are the same"
            )


def _unrounded(question: Question) -> Estimate:
    """The dot product's probability without rounding; for other codes that of Gaussian ones."""
    members = 1 if question.pair else question.members
    value = recovery_probability(
        question.width, question.combinations, members, noise=question.noise, goal=question.goal
    )
    return Estimate(value, max(0.0, value - 1e-6), min(1.0, value + 1e-6), "formula")


def _breaking_noise(question: Question, rungs: list[Rung]) -> float | None:
    """The noise variance at which the dot product falls to one half; None if it is below already."""
    members = 1 if question.pair else question.members

    def at(noise: float) -> float:
        return recovery_probability(question.width, question.combinations, members, noise=noise, goal=question.goal)

    asked = rungs[0].probability
    everything = question.goal != "slot" and not question.pair and members == question.items[0]
    if question.code != "gauss" or asked is None or asked.value < 0.5 or everything:
        return None
    low, high = question.noise, max(1.0, 2 * question.noise)
    while at(high) > 0.5:
        low, high = high, 2 * high
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle) > 0.5 else (low, middle)
    return low
