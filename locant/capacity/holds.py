"""What numbers can hold: bits needed and available, every format side by side, and everything in one number."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from locant.capacity import solve
from locant.capacity.bits import bits_available, pigeonhole_width
from locant.capacity.estimate import Estimate, from_counts
from locant.capacity.formats import FORMATS, SAMPLES
from locant.capacity.information import random_code_probability
from locant.capacity.law import needed_bits, overflows, rounding_noise
from locant.capacity.laws import laws
from locant.capacity.limit import best_decoder, sampled
from locant.capacity.one_number import digits, fp32_code, subset_sum, weights, zipping
from locant.capacity.question import Question

MEASURED = 1 << 28  # sums that are all added up and compared, at most
COUNTABLE = 1000  # bits of a number of sums that is written as a number
SAVED = 8  # bits that a lossless method would have to save for the share that counting allows
LEVEL = 0.99  # at which the numbers for a random code are counted


def exact(value: float, method: str = "counting") -> Estimate:
    """A number without error."""
    return Estimate(value, value, value, method)


def bits(question: Question) -> dict[str, Estimate]:
    """Bits that name one sum, bits that the vector can hold, and the share of them that is used."""
    wanted, room = (
        needed_bits(question.combinations, question.members, question.goal),
        bits_available(question.width, question.number_format),
    )
    return {"needed": exact(wanted), "available": exact(room), "used": exact(wanted / room)}


def formats(question: Question) -> list[dict[str, Any]]:
    """For every format: its values, what they hold, and what rounding to it does to the decoders.

    Of decoders nothing is said where sums exceed its largest value.
    """
    rows = []
    for name, number in FORMATS.items():
        asked = replace(question, number_format=name)
        dot = laws(asked)[0]
        noise = rounding_noise(name, question.width)
        rows.append({
            "format": name,
            "values": exact(number.finite_values),
            "bits": exact(bits_available(question.width, name)),
            "numbers": exact(_fewest(question, name)),
            "random": _random(question, name),
            "noise": Estimate(noise, noise, noise, "measured", SAMPLES),
            "probability": None if overflows(name, question.members) else
            dot.probability(question.width, question.combinations, question.members),
        })  # fmt: skip
    return rows


def _fewest(question: Question, name: str) -> int:
    if question.goal == "slot" and not question.pair:
        needed = needed_bits(question.combinations, question.members, question.goal)
        return max(1, math.ceil(needed / bits_available(1, name) - 1e-12))
    return pigeonhole_width(question.combinations, 1 if question.pair else question.members, name)


def _random(question: Question, name: str) -> Estimate | None:
    """The numbers with which the best decoder of Gaussian vectors is right at `LEVEL`; without other noise."""
    if question.noise or question.code != "gauss" or question.goal != "set" or overflows(name, question.members):
        return None

    def law(width: int, items: Any, members: int) -> float:
        return best_decoder(width, items, members, name).value

    found = solve.width_for(question.combinations, question.members, LEVEL, law)  # type: ignore[arg-type]
    return exact(found, "random-coding argument")


def one_number(question: Question, *, measured: bool) -> list[dict[str, Any]]:
    """Ways to put the whole sum into one number. `measured` also adds up every sum, where two tables are small enough.

    Rows hold the way, what is done, how many different sums it makes and how often they are recovered.
    """
    needed = needed_bits(question.combinations, question.members, question.goal)
    sums = 2.0**needed if needed < COUNTABLE else None
    if sums is not None and needed < 50:  # beyond, a float64 holds no whole number exactly
        sums = float(round(sums))
    whole = math.ceil(needed - 1e-9)
    if question.pair:
        way, what = (
            "digits",
            f"first + {question.items[0]} × second ...: whole numbers of {whole} bits, split by division",
        )
    else:
        way, what = "powers of two", f"item j is 2^j: whole numbers of {question.items[0]} bits, which are the bitmap"
    rows: list[dict[str, Any]] = [_row(way, what, None if sums is None else exact(sums), exact(1.0))]
    if question.goal == "set":
        rows += [_drawn(question, name, sums) for name in dict.fromkeys(("fp32", question.number_format))]
    if measured and len(question.items) == 2 and sums is not None and sums <= MEASURED:
        rows += _all_sums(question, sums)
    if measured:
        rows += [_random_weights(), _lattice()]
    return rows


def _row(way: str, what: str, sums: Estimate | None, correct: Estimate | None) -> dict[str, Any]:
    return {"way": way, "what": what, "sums": sums, "correct": correct}


def _drawn(question: Question, name: str, sums: float | None) -> dict[str, Any]:
    members = 1 if question.pair else question.members
    unique, best = (sampled(value) for value in random_code_probability(1, question.combinations, members, name))
    number = None
    if sums is not None:
        number = Estimate(sums * unique.value, sums * unique.low, sums * unique.high, unique.method)
    what = f"every vector one Gaussian number, the sum rounded to {name}; the best decoder"
    return _row(f"random tables, one {name}", what, number, best)


def _all_sums(question: Question, sums: float) -> list[dict[str, Any]]:
    sizes = question.items
    plain = digits.distinct_integers(sizes)
    centred = digits.distinct_integers(sizes, centred=True)
    method = "brute force"
    rows = [
        _row("digits in fp32", "the digits above, in one fp32", exact(plain, method), exact(plain / sums, method)),
        _row("digits in fp32, centred", "the same, around zero: both signs are used", exact(centred, method),
             exact(centred / sums, method)),
    ]  # fmt: skip
    large, small = max(sizes), min(sizes)
    try:
        total, wrong = fp32_code.errors(large, small)
    except ValueError as error:  # more items than the code has room for
        return [*rows, _row("designed fp32 code", f"not possible: {error}", None, None)]
    what = "values spaced by the exponent, so that every sum stays inside one binade; decoded without a table"
    return [
        *rows,
        _row("designed fp32 code", what, exact(total - wrong, method), exact((total - wrong) / total, method)),
    ]


def _random_weights() -> dict[str, Any]:
    counted = weights.random_sums(64, 4, [1e-6], np.random.default_rng(0))[0]
    measured, law = counted.best, counted.best_law
    what = f"4 of 64 Gaussian weights added, rounded to 10⁻⁶; all 635 376 sets tried (law: {law:.4f})"
    return _row("random weights", what, exact(635_376 * measured, "brute force"), exact(measured, "brute force"))


def _lattice(trials: int = 10) -> dict[str, Any]:
    """Subset sums of long random weights, by lattice reduction."""
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(trials):
        large = [int.from_bytes(generator.bytes(15), "big") + 1 for _ in range(40)]
        members = sorted(generator.permutation(40)[:20].tolist())
        try:
            found += subset_sum.solve(large, sum(large[index] for index in members)) == members
        except ModuleNotFoundError as error:
            return _row("lattice reduction (LLL)", f"not tried: {error}", None, None)
    what = "20 of 40 random whole numbers of 120 bits added; the set found from the sum alone, without a search"
    return _row("lattice reduction (LLL)", what, None, from_counts(found, trials, "brute force"))


def zipped(text: bytes, name: str, rounds: int = 4) -> dict[str, Any]:
    """Sizes of a text compressed again and again, by every method, and the share that could be shortened at all."""
    points = [
        {"name": method, "round": index, "bytes": exact(size, "measured")}
        for method in zipping.METHODS
        for index, size in enumerate(zipping.again(text, method, rounds))
    ]
    bound = exact(zipping.compressible_share(SAVED), "counting")
    return {"text": name, "rounds": points, "saved": SAVED, "bound": bound}
