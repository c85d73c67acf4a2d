"""Time as ratios within one run, which hold on a machine that others use too, where seconds do not."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Call = Callable[[], object]
Clock = Callable[[], float]
"""Seconds since some moment."""


@dataclass(frozen=True)
class Timing:
    """Time of a call over that of the baseline in the same round: quartiles over the rounds; and its median seconds."""

    low: float
    middle: float
    high: float
    seconds: float


def thread() -> float:
    """CPU time of this thread."""
    return time.thread_time()


def clock_of(device: torch.device) -> Clock:
    """``thread`` for the processor; elsewhere when the device has done all that it was given."""
    if device.type == "cpu":
        return thread
    module = torch.get_device_module(device)

    def done() -> float:
        module.synchronize(device)
        return time.perf_counter()

    return done


def ratios(candidates: Mapping[str, Call], baseline: str, rounds: int, clock: Clock = thread) -> dict[str, Timing]:
    """Times all candidates in every round, in rotated order; first each runs once, untimed.

    A call that is over in a few milliseconds is repeated, so that neither the clock nor a cold start matters.
    Raises ValueError for fewer than 2 rounds, which have no quartiles, or a baseline that is not a candidate.
    """
    if rounds < 2:
        raise ValueError(f"expected at least 2 rounds, was: {rounds}")
    if baseline not in candidates:
        raise ValueError(f"expected a baseline among {', '.join(candidates)}, was: {baseline}")
    names = list(candidates)
    repeats = {name: _repeats(call, clock) for name, call in candidates.items()}
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            taken[name].append(_seconds(candidates[name], repeats[name], clock))
    result = {}
    for name in names:
        parts = [mine / base for mine, base in zip(taken[name], taken[baseline], strict=True)]
        low, middle, high = statistics.quantiles(parts, n=4, method="inclusive")
        result[name] = Timing(low, middle, high, statistics.median(taken[name]))
    return result


def _repeats(call: Call, clock: Clock) -> int:
    call()
    seconds = _seconds(call, 1, clock)
    return 1 if seconds > 5e-3 else min(1000, int(1e-2 / max(seconds, 1e-6)) + 1)


def _seconds(call: Call, repeats: int, clock: Clock) -> float:
    started = clock()
    for _ in range(repeats):
        call()
    return (clock() - started) / repeats
