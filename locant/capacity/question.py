"""What is asked: sizes, code, number format, noise and goal, checked once."""

import math
from dataclasses import dataclass

from locant.capacity.exact import GOALS
from locant.capacity.formats import number_format
from locant.capacity.simulate import CODES

WIDEST = 1 << 20  # beyond these the tables of the integrals would take more memory and time than an answer is worth
LOUDEST = 1e3
SOLVABLE = ("width", "items", "members", "format", "probability")


@dataclass(frozen=True)
class Question:
    """Sums of `members` vectors of one table of `items[0]`, or of one vector from each of several tables.

    `noise` is the variance per number, where an entry of a vector has variance 1. `goal`: "set" (all members, their
    number known), "slot" (one given slot of `members` tables of `items[0]`, or the first of several tables) or
    "membership" (their number unknown). `targets` are the probabilities that widths and members are solved for. With
    `pair`, `members` is the number of tables.
    """

    width: int
    items: tuple[int, ...]
    members: int
    code: str = "gauss"
    number_format: str = "bf16"
    noise: float = 0.0
    goal: str = "set"
    targets: tuple[float, ...] = (0.5, 0.99)
    seed: int = 0

    @property
    def pair(self) -> bool:
        """Whether one item of each of several tables is added."""
        return len(self.items) > 1

    @property
    def combinations(self) -> int | tuple[int, ...]:
        """The sizes as the laws take them."""
        return self.items if self.pair else self.items[0]

    @property
    def sentence(self) -> str:
        """The question in words."""
        sizes = [f"{size:,}".replace(",", "\u202f") for size in self.items]
        plural = "" if self.width == 1 else "s"
        numbers = f"{self.width:,} number{plural} in {self.number_format}".replace(",", "\u202f")
        if self.pair:
            tables = f"{' and '.join(sizes)}" if len(sizes) == 2 else ", ".join(sizes)
            if self.goal == "slot":
                return (f"Can the vector of the first table be read out of a sum of one from each of {len(sizes)} "
                        f"tables ({tables}), in {numbers}?")  # fmt: skip
            return f"Can a sum of one vector from each of {len(sizes)} tables ({tables}) be taken apart, in {numbers}?"
        if self.goal == "slot":
            return f"Can one slot of {self.members}, each filled from {sizes[0]} vectors, be read out of {numbers}?"
        known = "" if self.goal == "set" else " when nobody knows how many they are"
        return f"Can a sum of {self.members} of {sizes[0]} vectors be taken apart{known}, in {numbers}?"


def checked(question: Question) -> Question:
    """The question if it can be asked.

    Raises ValueError, in one line, for sizes or noise out of range, more members than items, an unknown code, goal or
    format, probabilities outside (0, 1), or membership in several tables.
    """
    if not question.items or min(question.items) < 2:
        raise ValueError(f"expected at least 2 items in each table, was: {_sizes(question.items)}")
    for name, value in (("width", question.width), ("members", question.members)):
        if value < 1:
            raise ValueError(f"expected a {name} of at least 1, was: {value}".replace("a members", "members"))
    if question.code not in CODES:
        raise ValueError(f"expected a code of {', '.join(CODES)}, was: {question.code}")
    if question.goal not in GOALS:
        raise ValueError(f"expected a goal of {', '.join(GOALS)}, was: {question.goal}")
    number_format(question.number_format)
    if not 0 <= question.noise < math.inf:
        raise ValueError(f"expected a noise variance of at least 0, was: {question.noise}")
    if question.noise > LOUDEST:
        raise ValueError(f"expected a noise variance of at most {LOUDEST:g}, was: {question.noise}")
    if question.width > WIDEST:
        raise ValueError(f"expected a width of at most {WIDEST}, was: {question.width}")
    if question.seed < 0:
        raise ValueError(f"expected a seed of at least 0, was: {question.seed}")
    if not question.targets or any(not 0 < target < 1 for target in question.targets):
        raise ValueError(f"expected a probability between 0 and 1, was: {_sizes(question.targets)}")
    if question.pair:
        _check_pair(question)
    elif question.goal != "slot" and question.members > question.items[0]:
        raise ValueError(f"expected members between 1 and the {question.items[0]} items, was: {question.members}")
    return question


def _check_pair(question: Question) -> None:
    if question.members != len(question.items):
        found = f"{question.members} of {len(question.items)} tables"
        raise ValueError(f"expected one member of each table, or one table, was: {found}")
    if question.goal == "membership":
        raise ValueError(f"expected one table for the goal {question.goal}, was: {_sizes(question.items)}")


def _sizes(values: tuple[float, ...]) -> str:
    return ", ".join(map(str, values)) or "none"
