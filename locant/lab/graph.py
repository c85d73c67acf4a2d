"""A step as a CUDA graph: recorded once, then started as one, where its thousand operations were started one by one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

CLOSE = 1e-3  # of a tensor's norm: sums in another order, and what Adam makes of gradients that nearly cancel
Step = Callable[[], None]
Record = Callable[[Step], Step]
"""Gives a call that replays a step. What is recorded is not run meanwhile."""


class NotRecorded(Exception):
    """Why a step is not replayed. ``taken``: whether it was nevertheless taken once."""

    def __init__(self, reason: str, *, taken: bool) -> None:
        super().__init__(reason)
        self.taken = taken


def cuda(step: Step) -> Step:
    """Records the step on the stream that is current. Raises RuntimeError if it reads a number or copies to the GPU."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        step()
    return graph.replay


def replayed(step: Step, changed: Sequence[Tensor], record: Record = cuda) -> Step:
    """The recorded step, after it did once what the step itself does; that once counts as taken.

    step: takes nothing, and leaves all that it does in ``changed``: its results, weights and state.
    Raises NotRecorded if it cannot be recorded, or if replayed it does something else.
    """
    try:
        replay = record(step)
    except Exception as error:  # whatever a driver raises
        raise NotRecorded(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", taken=False) from error
    before = [tensor.clone() for tensor in changed]
    replay()
    found = [tensor.clone() for tensor in changed]
    for tensor, old in zip(changed, before, strict=True):
        tensor.copy_(old)
    step()
    for one, other in zip(found, changed, strict=True):
        norm, off = (float(x.cpu().double().norm()) for x in (other, one - other))
        if not off <= CLOSE * norm:
            raise NotRecorded(f"replayed, a result was off by {off:.2g} of {norm:.2g}", taken=True)
    return replay
