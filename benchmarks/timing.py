"""What all benchmarks share: ratios within one run, and goals beside what was found.

Every round times all candidates once, in rotated order, on one thread and in CPU time of that thread; a figure is the
median over the rounds of the ratio to the baseline of the same round, with the quartiles. On a machine that others use
too, such ratios hold where seconds do not.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import torch

from locant.bench.timing import Call
from locant.bench.timing import ratios as times
from locant.machine import allocator

Quartiles = tuple[float, float, float]


def ratios(candidates: Mapping[str, Call], baseline: str, rounds: int) -> dict[str, Quartiles]:
    """Lower quartile, median and upper quartile of time over the baseline's time, per candidate."""
    found = times(candidates, baseline, rounds)
    return {name: (each.low, each.middle, each.high) for name, each in found.items()}


def show(found: Mapping[str, Quartiles]) -> None:
    for name, (low, middle, high) in found.items():
        print(f"  {name:32} {middle:7.3f}  [{low:.3f}, {high:.3f}]")


def run(groups: Sequence[Callable[[int], bool]], rounds: int, *packages: str) -> int:
    """Runs all groups and says whether every goal was met: 0, or 1. The command line may name another number of rounds.

    packages: whose versions are printed; with any, all runs on one thread and from one seed, and the process keeps the
    memory that it frees: else it is chance which candidate faults in its pages anew, which takes as long as a copy.
    """
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else rounds
    if packages:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        if allocator.available():
            allocator.keep_freed_memory()
        versions = ", ".join(f"{name} {version(name)}" for name in packages)
        print(f"{versions}, one thread, {rounds} rounds; ratio: median [quartiles]")
    kept = []
    for group in groups:
        print(f"\n{' '.join((group.__doc__ or '').split())}")
        kept.append(group(rounds))
    return 0 if all(kept) else 1


def at_least(what: str, found: float, least: float, besides: bool = True) -> bool:
    """Prints a goal, which is met at `least` or more, and says whether it is."""
    return _goal(what, found, least, "at least", besides and found >= least)


def at_most(what: str, found: float, most: float, besides: bool = True) -> bool:
    """Prints a goal, which is met at `most` or less, and says whether it is."""
    return _goal(what, found, most, "at most", besides and found <= most)


def _goal(what: str, found: float, wanted: float, word: str, kept: bool) -> bool:
    print(f"  {'met' if kept else 'MISSED'}: {what}: {found:.3g}, goal {word} {wanted:g}")
    return kept
