"""A stack of models on a GPU, whose steps neither read a number nor wait: several of them are ordered at a time."""

import torch
from torch import Tensor

from locant.encodings import PositionalEncoding
from locant.lab.graph import NotRecorded, Record, Step, cuda, replayed
from locant.lab.stack import Stack
from locant.lab.train import LOG_EVERY, rate

WARM = 3  # steps taken one by one before one is recorded: in the first, libraries choose and allocate


class Resident:
    """The stack's steps, with everything that they read and write in tensors of the device.

    A step finds its batch, learning rate and place for its losses by a counter that is there, too, so that all steps
    are one and the same program. From step ``WARM`` on it is replayed, if it can be; ``how`` says so, or why not.
    """

    def __init__(self, stack: Stack, record: Record | None = None) -> None:
        self.stack, run, device = stack, stack.run, stack.device
        shape = (LOG_EVERY, len(stack.members), run.batch, run.context)
        self.tokens, self.targets = torch.zeros(2, *shape, dtype=torch.long, device=device)
        self.rates = torch.zeros(LOG_EVERY, device=device)
        self.losses = torch.zeros(LOG_EVERY, len(stack.members), device=device)
        self.next = torch.zeros(1, dtype=torch.long, device=device)
        self.record, why = _recorder(stack, record)
        self.replay: Step | None = None
        self.taken = self.ordered = 0
        self.how = f"step by step: {why}"

    def step(self) -> None:
        """The next step, by what lies on the device."""
        tokens, targets = (each.index_select(0, self.next)[0] for each in (self.tokens, self.targets))
        losses = self.stack.update(tokens, targets, self.rates.index_select(0, self.next)[0])
        self.losses.index_copy_(0, self.next, losses[None])
        self.next.add_(1)

    def order(self, count: int) -> None:
        """Has the next ``count`` steps made, at most ``LOG_EVERY``, and does not wait for them."""
        run, first = self.stack.run, self.stack.done
        batches = [self.stack.batch(first + index) for index in range(count)]
        for place, some in zip((self.tokens, self.targets), zip(*batches, strict=True), strict=True):
            place[:count].copy_(torch.stack(some))
        rates = [run.learning_rate * rate(first + index, run.steps) for index in range(count)]
        self.rates[:count].copy_(torch.tensor(rates))
        self.next.zero_()
        for _ in range(count):
            self._take()
        self.ordered = count

    def _take(self) -> None:
        if self.record is not None and self.taken == WARM:
            try:
                self.replay = replayed(self.step, self.changed(), self.record)
                self.how = "replayed"
            except NotRecorded as error:
                self.how = f"step by step: {error}"
                if not error.taken:
                    self.step()
        else:
            (self.replay or self.step)()
        self.taken += 1

    def changed(self) -> dict[str, list[Tensor]]:
        """All that a step changes, by kind."""
        counts, means, squares = (list(each) for each in zip(*self.stack.optimiser.state, strict=True))
        weights = [parameter.data for parameter in self.stack.parameters.values()]
        return {"loss": [self.losses], "place": [self.next], "weight": weights, "count": counts, "mean": means,
                "square": squares}  # fmt: skip

    def read(self) -> list[list[float]]:
        """The losses of every model in each of the steps that were ordered; waits until they are made."""
        found: list[list[float]] = self.losses[: self.ordered].cpu().tolist()
        return found


def _recorder(stack: Stack, record: Record | None) -> tuple[Record | None, str]:
    """What records the steps of the stack, if anything can, and why a step would not be replayed."""
    if record is None and stack.device.type != "cuda":
        return None, f"there are no CUDA graphs on {stack.device.type}"
    parts = (each for each in stack.base.modules() if isinstance(each, PositionalEncoding))
    waiting = next((type(each).__name__ for each in parts if each.waits), None)
    if waiting is not None:
        return None, f"{waiting} reads numbers from the device"
    return record or cuda, f"fewer than {WARM + 1}"
