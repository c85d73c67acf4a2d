"""Time of a few calls against each other, on a machine that others may use too."""

import statistics
import time
from collections.abc import Callable, Mapping

Call = Callable[[], object]
# CPU time of this thread says nothing where the clock ticks with the scheduler, as on Windows.
FINE = time.get_clock_info("thread_time").resolution < 1e-4
LEAST = 3
clock = time.thread_time if FINE else time.perf_counter


def relative_times(calls: Mapping[str, Call], baseline: str, seconds: float, hopeless: float = 1.4) -> dict[str, float]:
    """Time of each call over that of the baseline, and rather too long than too short.

    It is the larger of two: the median over interleaved rounds of the ratio within the round, and the ratio of the
    shortest times. After one that only warms up, rounds go on for about so many ``seconds`` of the clock, which is CPU
    time where it can be: others' work on the machine costs no rounds. At least ``LEAST`` are counted. A call that is
    ``hopeless`` times slower in a round is left out of the next.
    """
    started = clock()
    names = list(calls)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for call in calls.values():
        call()
    turn, longest = 0, 0.0
    while turn < LEAST or clock() - started + longest < seconds:
        began, first = clock(), turn % len(names)
        for name in names[first:] + names[:first]:
            at = clock()
            calls[name]()
            taken[name].append(max(clock() - at, 1e-9))
        names = [name for name in names if name == baseline or taken[name][-1] < hopeless * taken[baseline][-1]]
        turn, longest = turn + 1, clock() - began
    base = taken[baseline]
    return {name: max(statistics.median(t / b for t, b in zip(times, base, strict=False)), min(times) / min(base))
            for name, times in taken.items()}  # fmt: skip
