"""Ctrl-C that nothing swallows.

Python raises KeyboardInterrupt wherever the program happens to be. Inside of a callback, of a weak reference or of the
garbage collector, the exception is printed and forgotten, and a long command would go on as if nobody had asked.
"""

import signal
from types import FrameType

_seen = False


def note() -> None:
    """From now on an interrupt is remembered as well as raised. For the main thread of a command."""
    signal.signal(signal.SIGINT, _remember)


def check() -> None:
    """Raises KeyboardInterrupt if there was an interrupt since ``note``."""
    if _seen:
        raise KeyboardInterrupt


def _remember(number: int, frame: FrameType | None) -> None:
    global _seen
    _seen = True
    raise KeyboardInterrupt
