"""What a synthetic task is, and the pieces that several tasks share."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy
import torch
from torch import Tensor

NO_TARGET = -100  # the value that torch's cross entropy leaves out by default


class Batch(NamedTuple):
    """Examples of a task.

    Shapes: tokens and targets are long `[batch, time]`; every tensor of `slices` is long `[batch]`.
    `targets[b, t]` is what a causal model should answer at t, a function of `tokens[b, :t + 1]`, or -100 where nothing
    is asked. `slices` names factors of each example (its length, distance, index) to break results down by.
    """

    tokens: Tensor
    targets: Tensor
    slices: dict[str, Tensor]


class Task(Protocol):
    """A synthetic problem whose batches are a pure function of size, length and generator."""

    @property
    def name(self) -> str:
        """The name under which `build` finds the task."""

    @property
    def description(self) -> str:
        """One sentence: what the model must do, and what it needs to know about position."""

    @property
    def vocabulary(self) -> int:
        """Number of token ids, the same at every length."""

    def chance(self, length: int) -> float:
        """Returns the accuracy, over all targets of the length, of the best guess without the relevant information."""

    def batch(self, size: int, length: int, generator: torch.Generator) -> Batch:
        """Draws `size` examples of exactly `length` tokens on the CPU.

        Raises: ValueError if the length is below the task's stated minimum.
        """


def at_least(minimum: int, value: int, what: str) -> None:
    """Refuses a value below its minimum.

    Raises: ValueError if value < minimum.
    """
    if value < minimum:
        raise ValueError(f"expected {what} of at least {minimum}, was: {value}")


def upper_half(most: int) -> range:
    """Returns the whole numbers from half of `most` (rounded up) to `most`: the sizes that rows of one length have.

    A single size per length would let a model learn one constant distance instead of the task.
    """
    return range((most + 1) // 2, most + 1)


def draw(sizes: range, count: int, generator: torch.Generator) -> Tensor:
    """Draws `count` of the sizes with replacement. Shape: long `[count]`."""
    return torch.randint(sizes.start, sizes.stop, (count,), generator=generator)


def string_lengths(length: int) -> range:
    """Returns the lengths that a string may have in a row of string, separator and answer.

    Raises: ValueError if the row has fewer than 2 tokens.
    """
    at_least(2, length, "a length")
    return upper_half(length // 2)


def draw_strings(size: int, length: int, symbols: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws random strings for rows of one length, and how many symbols of each are used.

    Shapes: long `[size, longest]` and `[size]`.
    """
    choices = string_lengths(length)
    lengths = draw(choices, size, generator)
    return torch.randint(symbols, (size, choices[-1]), generator=generator), lengths


def question_and_answer(strings: Tensor, answers: Tensor, lengths: Tensor, length: int, symbols: int) -> Batch:
    """Lays out rows of string, separator, answer and filler; the answer is asked from the separator on.

    Shapes: strings and answers `[batch, longest]`, of which row b uses the first `lengths[b]`; lengths `[batch]`.
    The separator is token `symbols`, the filler token `symbols + 1`. An answer token stands one place after the target
    that it repeats, so a row of even length shows all but the last symbol of the longest answer.
    """
    place = torch.arange(length).expand(len(strings), length)
    count = lengths[:, None]
    last = strings.shape[1] - 1
    shown = answers.gather(1, (place - count - 1).clamp(0, last))
    tokens = torch.where(place < count, strings.gather(1, place.clamp(max=last)), symbols + 1)
    tokens = torch.where(place == count, symbols, tokens)
    tokens = torch.where((place > count) & (place <= 2 * count), shown, tokens)
    asked = (place >= count) & (place < 2 * count)
    targets = torch.where(asked, answers.gather(1, (place - count).clamp(0, last)), NO_TARGET)
    return Batch(tokens, targets, {"length": lengths})


def expected_largest_counts(lengths: Sequence[int], symbols: int) -> list[float]:
    """Returns, for each length, the expected count of the most frequent symbol in a uniformly random string.

    E[max] = sum over k >= 0 of 1 - P(max <= k), and P(max <= k) at length n is the coefficient of x^n in
    (sum over i <= k of r^i x^i / i!)^symbols over the same coefficient without the bound k, for any rate r > 0.
    """
    most = max(lengths)
    rate = most / symbols
    logs = numpy.array([i * math.log(rate) - math.lgamma(i + 1) for i in range(most + 1)])
    weights = numpy.exp(logs - logs.max())
    index = numpy.array(lengths)
    whole = _power(weights, symbols)[index]
    expected = numpy.zeros(len(lengths))
    for bound in range(most):
        beyond = 1 - _power(numpy.where(numpy.arange(most + 1) <= bound, weights, 0.0), symbols)[index] / whole
        expected += beyond
        if beyond.max() < 1e-12:
            break
    return [float(value) for value in expected]


def _power(polynomial: numpy.ndarray, exponent: int) -> numpy.ndarray:
    """Returns the power of a polynomial, cut off after as many coefficients as it came with."""
    result, square = numpy.eye(1, len(polynomial))[0], polynomial
    while exponent:
        if exponent & 1:
            result = numpy.convolve(result, square)[: len(polynomial)]
        square = numpy.convolve(square, square)[: len(polynomial)]
        exponent >>= 1
    return result


def most_frequent_symbol(length: int, symbols: int) -> float:
    """Returns the accuracy, in rows of string and answer, of always answering the string's most frequent symbol."""
    lengths = string_lengths(length)
    return sum(expected_largest_counts(lengths, symbols)) / sum(lengths)
