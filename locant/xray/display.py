"""Progress of an x-ray: one line that changes on a terminal, a line per part elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status


class Display:
    """Is told of parts that begin and of how far they are. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.status: Status | None = console.status("starting") if console.is_terminal else None
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        if self.status:
            self.status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        if self.status:
            self.status.stop()

    def tell(self, what: str, done: int = 0, of: int = 0) -> None:
        """A part has begun, or ``done`` of its ``of`` windows are through."""
        seconds = f"{time.monotonic() - self.started:5.1f} s"
        if self.status:
            self.status.update(f"{seconds}  {what}" + (f": {done} of {of}" if of else ""))
        elif not done:
            self.console.print(f"{seconds}  {what}", highlight=False, soft_wrap=True)
