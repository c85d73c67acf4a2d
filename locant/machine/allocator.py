"""Keeping freed memory: glibc gives large blocks back to the system, and faults every page in again at the next step.

With both thresholds raised, freed blocks stay in the process. One of the two alone is worse than none: setting it turns
off the adaptation of the other.

Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
"""

import ctypes
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST_BLOCK, LARGEST_TOP = 1 << 30, 2**31 - 1


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
