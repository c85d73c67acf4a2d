"""What all benchmarks share: ratios within one run, and goals beside what was found.

Every round times all candidates once, in rotated order, on one thread and in CPU time of that thread; a figure is the
median over the rounds of the ratio to the baseline of the same round, with the quartiles. On a machine that others use
too, such ratios hold where seconds do not.
"""

from collections.abc import Callable, Mapping

from locant.bench.timing import Call
from locant.bench.timing import ratios as times

Quartiles = tuple[float, float, float]


def ratios(candidates: Mapping[str, Call], baseline: str, rounds: int) -> dict[str, Quartiles]:
    """Lower quartile, median and upper quartile of time over the baseline's time, per candidate."""
    found = times(candidates, baseline, rounds)
    return {name: (each.low, each.middle, each.high) for name, each in found.items()}


def show(found: Mapping[str, Quartiles]) -> None:
    for name, (low, middle, high) in found.items():
        print(f"  {name:32} {middle:7.3f}  [{low:.3f}, {high:.3f}]")


def title(group: Callable[..., object]) -> None:
    """The docstring of a group of measurements as its heading."""
    print(f"\n{' '.join((group.__doc__ or '').split())}")


def at_least(what: str, found: float, least: float, besides: bool = True) -> bool:
    """Prints a goal, which is met at `least` or more, and says whether it is."""
    return _goal(what, found, least, "at least", besides and found >= least)


def at_most(what: str, found: float, most: float, besides: bool = True) -> bool:
    """Prints a goal, which is met at `most` or less, and says whether it is."""
    return _goal(what, found, most, "at most", besides and found <= most)


def _goal(what: str, found: float, wanted: float, word: str, kept: bool) -> bool:
    print(f"  {'met' if kept else 'MISSED'}: {what}: {found:.3g}, goal {word} {wanted:g}")
    return kept
