"""A step as a CUDA graph: recorded once, then started as one, where its thousand operations were started one by one."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

CLOSE = 1e-3  # of a tensor's norm: sums in another order, and what Adam makes of gradients that nearly cancel
NOISE = 1e-3  # of the norm of all tensors of a kind: what is rounding only, and differs as a whole
Step = Callable[[], None]
Record = Callable[[Step], Step]
"""Gives a call that replays a step. What is recorded is not run meanwhile."""


class NotRecorded(Exception):
    """Why a step is not replayed. ``taken``: whether it was nevertheless taken once."""

    def __init__(self, reason: str, *, taken: bool) -> None:
        super().__init__(reason)
        self.taken = taken


class Cuda:
    """Records steps on the stream that is current, until one cannot be: what is left of that may spoil the next.

    Raises RuntimeError for a step that reads a number or copies to the GPU, and for every one after it.
    """

    def __init__(self) -> None:
        self.failed = "" if torch.__version__ >= "2.13" else "recording takes torch 2.13"

    def __call__(self, step: Step) -> Step:
        if self.failed:
            raise RuntimeError(self.failed)
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                step()
        except Exception as error:  # whatever a driver raises; the end of the recording hides what ended it
            self.failed = _line(error.__context__ or error)
            raise RuntimeError(self.failed) from None
        return graph.replay


cuda = Cuda()


def replayed(step: Step, changed: Mapping[str, Sequence[Tensor]], record: Record = cuda) -> Step:
    """The recorded step, after it did once what the step itself does; that once counts as taken.

    step: takes nothing, and leaves all that it does in ``changed``: its results, weights and state, by kind.
    Raises NotRecorded if it cannot be recorded, or if replayed it does something else.
    """
    try:
        replay = record(step)
    except Exception as error:  # whatever a driver raises
        raise NotRecorded(_line(error), taken=False) from None
    before = {kind: [tensor.clone() for tensor in tensors] for kind, tensors in changed.items()}
    replay()
    found = {kind: [tensor.clone() for tensor in tensors] for kind, tensors in changed.items()}
    for kind, tensors in changed.items():
        for tensor, old in zip(tensors, before[kind], strict=True):
            tensor.copy_(old)
    step()
    for kind, tensors in changed.items():
        off, norms = (_norms(each) for each in ([a - b for a, b in zip(found[kind], tensors, strict=True)], tensors))
        allowed = CLOSE * norms + NOISE * norms.norm()
        if not bool((off <= allowed).all()):
            worst = int((off - allowed).nan_to_num(torch.inf).argmax())
            raise NotRecorded(f"replayed, a {kind} was off by {off[worst]:.2g} of {norms[worst]:.2g}", taken=True)
    return replay


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([tensor.cpu().double().norm() for tensor in tensors])


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200]
    return text if type(error) is RuntimeError else f"{type(error).__name__}: {text}"
