"""Synthetic tasks that say what a model knows about position: one file each, all on the protocol of `base`."""

from collections.abc import Callable
from dataclasses import fields

from locant.lab.tasks.base import NO_TARGET, Batch, Task
from locant.lab.tasks.copy import Copy
from locant.lab.tasks.induction import Induction
from locant.lab.tasks.parity import Parity
from locant.lab.tasks.recall import Recall
from locant.lab.tasks.reverse import Reverse
from locant.lab.tasks.shift import Shift
from locant.lab.tasks.sort import Sort
from locant.lab.tasks.what_at_index import WhatAtIndex

__all__ = [
    "NO_TARGET",
    "Batch",
    "Copy",
    "Induction",
    "Parity",
    "Recall",
    "Reverse",
    "Shift",
    "Sort",
    "Task",
    "WhatAtIndex",
    "build",
    "catalogue",
]

_KINDS = (Copy, Reverse, Recall, Induction, Sort, Parity, Shift, WhatAtIndex)


def catalogue() -> dict[str, Task]:
    """Returns every task with its default options, by name."""
    tasks: list[Task] = [kind() for kind in _KINDS]
    return {task.name: task for task in tasks}


def build(name: str, **options: int) -> Task:
    """Builds a task by name, such as `build("shift", by=3)`.

    Raises: ValueError if no task has the name, the task has no such option, or it refuses the value.
    """
    kinds: dict[str, Callable[..., Task]] = {kind.name: kind for kind in _KINDS}
    if name not in kinds:
        raise ValueError(f"expected a task among {', '.join(kinds)}, was: {name!r}")
    known = [field.name for kind in _KINDS if kind.name == name for field in fields(kind)]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(f"expected options of {name} among {', '.join(known) or 'none'}, was: {', '.join(unknown)}")
    return kinds[name](**options)
