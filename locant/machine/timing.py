"""Time of a few calls against each other, on a machine that others may use too."""

import statistics
import time
from collections.abc import Callable, Mapping

Call = Callable[[], object]
# CPU time of this thread says nothing where the clock ticks with the scheduler, as on Windows.
FINE = time.get_clock_info("thread_time").resolution < 1e-4
clock = time.thread_time if FINE else time.perf_counter


def relative_times(calls: Mapping[str, Call], baseline: str, seconds: float, hopeless: float = 1.4) -> dict[str, float]:
    """Time of each call over that of the baseline: the median over interleaved rounds of the ratio within the round.

    After one that only warms up, rounds go on for about so many ``seconds`` of the clock, which is CPU time where it
    can be: others' work on the machine costs no rounds. At least one is counted. A call that is ``hopeless`` times
    slower in a round is left out of the next.
    """
    started = clock()
    names = list(calls)
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for call in calls.values():
        call()
    turn, longest = 0, 0.0
    while turn == 0 or clock() - started + longest < seconds:
        began, taken = clock(), {}
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            at = clock()
            calls[name]()
            taken[name] = clock() - at
        for name, spent in taken.items():
            ratios[name].append(spent / max(taken[baseline], 1e-9))
        names = [name for name in names if name == baseline or taken[name] < hopeless * taken[baseline]]
        turn, longest = turn + 1, clock() - began
    return {name: statistics.median(found) for name, found in ratios.items()}
