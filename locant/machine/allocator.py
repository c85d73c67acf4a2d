"""Keeping freed memory: glibc gives large blocks back to the system, and faults every page in again at the next step.

With both thresholds raised, freed blocks stay in the process. One of the two alone is worse than none: setting it turns
off the adaptation of the other.

Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.

Nothing but the standard library is imported here: the file is also a program, which measures in a process of its own,
as there is no way back from raised thresholds. ``python allocator.py BYTES`` prints the two times as JSON.
"""

import ctypes
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST_BLOCK, LARGEST_TOP = 1 << 30, 2**31 - 1
BLOCKS = 3
LARGEST_MEASURED = 48 << 20  # larger ones are mapped anew just the same
ALWAYS_MAPPED = 32 << 20  # up to which glibc adapts by itself


def available() -> bool:
    """Whether the C library is one that has the thresholds."""
    return platform.libc_ver()[0] == "glibc"


def keep_freed_memory() -> None:
    """Raises both thresholds for the rest of this process. Raises OSError if the C library refuses."""
    if not available():
        raise OSError(f"expected glibc to set its allocator, was: {platform.libc_ver()[0] or 'another C library'}")
    library = ctypes.CDLL(None)
    if not (library.mallopt(MMAP_THRESHOLD, LARGEST_BLOCK) and library.mallopt(TRIM_THRESHOLD, LARGEST_TOP)):
        raise OSError("expected the allocator to take both thresholds, was: refused")


class Filling(NamedTuple):
    """CPU seconds to fill and free some blocks, plain and with raised thresholds, and page faults that those save."""

    plain: float
    raised: float
    faults: int

    @property
    def seconds_per_fault(self) -> float:
        return max(0.0, self.plain - self.raised) / max(1, self.faults)


def page_faults() -> int:
    """Of this process so far. Only where ``available()``."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def measure(block: int) -> Filling | None:
    """How long it takes to fill and free blocks of so many bytes. None without glibc."""
    if not available():
        return None
    program = [sys.executable, "-I", "-S", str(Path(__file__)), str(min(block, LARGEST_MEASURED))]
    told = subprocess.run(program, check=True, capture_output=True, text=True, timeout=60).stdout
    return Filling(*json.loads(told))


def _fill(block: int) -> Filling:
    turns = 5 if block < 8 << 20 else 3
    plain = min(_turn(block) for _ in range(1 + turns))
    keep_freed_memory()
    raised = min(_turn(block) for _ in range(1 + turns))
    return Filling(plain[0], raised[0], plain[1] - raised[1])


def _turn(block: int) -> tuple[float, int]:
    """Fills as many blocks as a layer holds at once, frees them, and does it again until 2 MiB are filled."""
    library = ctypes.CDLL(None)
    library.malloc.restype = library.memset.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    began, before = time.process_time(), page_faults()
    for _ in range(1 + (2 << 20) // (BLOCKS * block)):
        held = [library.malloc(block) for _ in range(BLOCKS)]
        for each in held:
            library.memset(each, 0, block)
        for each in held:
            library.free(each)
    return time.process_time() - began, page_faults() - before


if __name__ == "__main__":
    print(json.dumps(_fill(int(sys.argv[1]))))
