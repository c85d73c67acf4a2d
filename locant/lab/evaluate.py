"""Loss and accuracy of a model by length and by position in the window."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from locant.lab.problems import Problem
from locant.lab.tasks.base import NO_TARGET
from locant.machine.arithmetic import narrowed
from locant.model import Decoder

BINS = 64  # positions of a window are reported in at most so many groups of equal size
TOKENS_PER_BATCH = 4096  # bounds the memory for long windows; has no influence on the result beyond rounding


@torch.no_grad()
def measure(model: Decoder, problem: Problem, part: str, length: int, count: int,
            precision: str = "fp32") -> dict[str, Any]:  # fmt: skip
    """What the model scores on windows of ``length``, with matrix products of the ``precision``.

    Returns ``value`` (bits per byte, or accuracy over what was asked), ``targets`` (how many), ``positions``: the
    first index of each group of positions, and ``by_position``: the value in each group, None where nothing was asked.
    """
    total, asked = torch.zeros(length, dtype=torch.float64), torch.zeros(length, dtype=torch.float64)
    device = model.tokens.weight.device
    for tokens, targets in problem.test(part, length, count, max(1, TOKENS_PER_BATCH // length)):
        wanted = targets != NO_TARGET
        with narrowed(precision, device.type):
            logits = model(tokens.to(device)).float()
        total += (_scores(logits, targets.to(device), problem.metric) * wanted).sum(0, dtype=torch.float64)
        asked += wanted.sum(0)
    group = math.ceil(length / BINS)
    starts = range(0, length, group)
    sums = [(total[s : s + group].sum().item(), asked[s : s + group].sum().item()) for s in starts]
    return {
        "value": (total.sum() / asked.sum()).item(),
        "targets": int(asked.sum()),
        "positions": list(starts),
        "by_position": [value / count if count else None for value, count in sums],
    }


def _scores(logits: Tensor, targets: Tensor, metric: str) -> Tensor:
    """Of each target, in float64 and on the processor, as some devices have no such numbers."""
    if metric == "accuracy":
        return (logits.argmax(-1) == targets).cpu().double()
    nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET, reduction="none")
    return nats.view_as(targets).cpu().double() / math.log(2)


def by_length(
    model: Decoder, problem: Problem, part: str, lengths: tuple[int, ...], count: int, precision: str = "fp32"
) -> list[dict[str, Any]]:
    """``measure`` at each length; a length with positions that the encoding cannot represent has the value None."""
    rows = []
    for length in lengths:
        limit = model.encoding.limit
        if limit is not None and length > limit:
            note = f"not defined: beyond the table of {limit} positions"
            rows.append({"length": length, "value": None, "note": note})
        else:
            rows.append({"length": length, "note": None, **measure(model, problem, part, length, count, precision)})
    return rows
