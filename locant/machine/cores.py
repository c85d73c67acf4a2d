"""How many cores there are to use."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of the control group that a container lives in


def cores(quota: Path = QUOTA) -> int:
    """Cores that this process may use: those it may run on, or fewer where a container is given less time."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        share = math.ceil(int(allowed) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no control groups, or "max": no limit
        return found
    return max(1, min(found, share))
