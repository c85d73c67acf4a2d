"""How long to train, and what it costs: tokens, FLOPs or seconds in, steps out; all of them are recorded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from locant.encodings import Builder, build
from locant.model.decoder import decoder

_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}


@dataclass(frozen=True)
class Budget:
    """What each training run may spend: an amount of ``"tokens"``, ``"flops"`` or ``"seconds"``."""

    amount: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """``200k``, ``5M`` (tokens), ``1e12flops``, ``60s``. Raises ValueError for anything else."""
        match = re.fullmatch(r"([0-9.]+(?:e[+-]?[0-9]+)?)([kMGB]?)(s|flops|tokens|)", text.strip())
        try:
            if match is None:
                raise ValueError
            amount = float(match[1]) * _UNITS[match[2]]
            if not 0 < amount < float("inf"):
                raise ValueError
        except ValueError:
            wanted = "expected a budget such as 200k, 5M (tokens), 60s or 1e12flops"
            raise ValueError(f"{wanted}, was: {text!r}") from None
        return cls(amount, {"s": "seconds", "flops": "flops"}.get(match[3], "tokens"))

    def steps(self, *, tokens_per_step: int, flops_per_token: float, seconds_per_step: float | None) -> int:
        """The number of optimiser steps that the budget pays for, rounded to the nearest, at least 1.

        seconds_per_step: measured; needed for a budget of seconds only.
        Raises ValueError if the budget is below half a step, or seconds are asked for without a measurement.
        """
        if self.unit == "seconds" and seconds_per_step is None:
            raise ValueError("expected a measured time per step for a budget of seconds, was: none")
        price = {
            "tokens": float(tokens_per_step),
            "flops": tokens_per_step * flops_per_token,
            "seconds": seconds_per_step or 0.0,
        }[self.unit]
        steps = round(self.amount / price)
        if steps < 1:
            raise ValueError(f"expected a budget of at least one step ({price:.4g} {self.unit}), was: {self.amount:g}")
        return steps


@dataclass(frozen=True)
class Cost:
    """parameters: learned numbers. flops_per_token: of a training step (forward and backward), per token."""

    parameters: int
    flops_per_token: float


def cost(encoding: str, *, width: int, heads: int, layers: int, hidden: int, columns: int, context: int, batch: int,
         vocabulary: int, extra: Mapping[str, Builder] | None = None) -> Cost:  # fmt: skip
    """Counts on the meta device: nothing is allocated or computed.

    FLOPs are those of the matrix products of the dense path as PyTorch's own counter sees them: two per multiplication
    and addition, the full square of attention, gradients included; elementwise work (norms, rotations, adding
    biases) and lookups are not counted. A product that the whole batch shares is divided by the batch.
    """
    with torch.device("meta"):
        made = build(encoding, width=width, heads=heads, layers=layers, length=context, columns=columns, extra=extra)
        model = decoder(made, width, heads, layers, context, vocabulary, hidden=hidden, attention="dense")
        tokens = torch.zeros(batch, context, dtype=torch.long)
        with FlopCounterMode(display=False) as counter:
            model(tokens).sum().backward()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(parameters, counter.get_total_flops() / tokens.numel())
