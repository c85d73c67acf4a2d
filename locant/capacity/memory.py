"""Memory, asked for before it is taken: one line instead of a killed process."""

import os


def available() -> int:
    """Bytes of memory that are free on this machine, as far as the system tells; without an answer, 4 GiB."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") + _cached()
    except (ValueError, OSError, AttributeError):
        return 4 << 30


def _cached() -> int:
    """Bytes of the file cache, which the system gives back on demand (Linux)."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
        return int(fields["Cached"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 0


def need(size: float, what: str, instead: str = "") -> None:
    """Raises ValueError if `what` takes more than is free, naming the route that fits."""
    free = available()
    if size > free:
        other = f"; {instead}" if instead else ""
        raise ValueError(f"expected at most {free / 2**30:.1f} GiB for {what}, was: {size / 2**30:.1f} GiB{other}")
