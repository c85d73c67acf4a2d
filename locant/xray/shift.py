"""M5: what moving a text by some positions does: one push for all texts (a bias), or one for each (an interaction)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from locant.xray.metric import Metric, absent
from locant.xray.reach import Reach
from locant.xray.twoway import Left, in_groups, leave, with_interval

NOTHING = 1e-8  # below this size of the shift, its kind means nothing


class ShiftSums:
    """Running sums of ``h(0)`` and of ``h(s) - h(0)``, by groups of contexts: all float64.

    change: ``[group, time, width]``; changed: ``[group]``, the sums of their squares; mean: ``[group, width]`` and
    energy: ``[group]``, of ``h(0)`` less the mean of its first batch.
    """

    def __init__(self, contexts: int, *, groups: int = 16) -> None:
        self.contexts, self.group = contexts, in_groups(contexts, groups)
        self.groups = int(self.group[-1]) + 1
        self.origin: Tensor | None = None

    def add(self, before: Tensor, after: Tensor, rows: slice) -> None:
        """Takes in the states ``[rows, time, width]`` of the contexts ``rows``, in place and shifted."""
        before, after = before.double(), after.double()
        if self.origin is None:
            self.origin = before.mean((0, 1))
            self.time, width = before.shape[1:]
            self.change = before.new_zeros(self.groups, self.time, width)
            self.mean = before.new_zeros(self.groups, width)
            self.changed, self.energy = before.new_zeros(2, self.groups)
        group, change = self.group[rows].to(before.device), after - before
        before = before - self.origin
        self.change.index_add_(0, group, change)
        self.changed.index_add_(0, group, change.square().sum((1, 2)))
        self.mean.index_add_(0, group, before.sum(1))
        self.energy.index_add_(0, group, before.square().sum((1, 2)))

    def size_and_bias(self, left_out: int | None = None) -> tuple[float, float]:
        """``S`` and ``B`` of ``shift_metrics``, without a group of contexts if one is named; NaN where undefined.

        ``B`` is left below 0 where chance has it there, for an honest interval.
        """
        keep = torch.arange(self.groups) != (-1 if left_out is None else left_out)
        contexts = int(keep[self.group].sum())
        rows = contexts * self.time
        spread = self.energy[keep].sum() / rows - (self.mean[keep].sum(0) / rows).square().sum()
        moved = self.changed[keep].sum() / rows
        common = (self.change[keep].sum(0) / contexts).square().sum(-1).mean()
        own = (moved - common).clamp_min(0)
        bias, private = common - own / (contexts - 1), own * contexts / (contexts - 1)
        size = float(moved / (2 * spread)) if spread > 0 else float("nan")
        return size, float(bias / (bias.clamp_min(0) + private)) if moved > 0 else float("nan")


def shift_metrics(sums: ShiftSums, *, note: str) -> dict[str, Metric]:
    """M5 for one layer: ``size`` and ``bias``.

    With ``D = h(s) - h(0)``: ``size S = E|D|^2 / (2 E|h - Eh|^2)``, 0 if nothing happens and 1 (its baseline) for two
    unrelated states. With ``m`` the mean of ``|D|^2``, ``b`` that of ``|mean over contexts of D|^2`` and ``w = m - b``:
    ``b' = max(0, b - w / (C - 1))`` and ``bias B = b' / (b' + w C / (C - 1))``: 1 if every text is pushed alike, 0
    (its baseline) if the push has no part that texts share. ``bias`` is None where ``S < 1e-8``.
    """
    both = {group: sums.size_and_bias(group) for group in leave(sums.groups)}
    sizes: Left = {group: size for group, (size, _) in both.items()}
    biases: Left = {group: bias for group, (_, bias) in both.items()}
    n = sums.contexts
    size = with_interval(sizes, n=n, baseline=1.0, note=f"size of the change, {note}", bounds=(0.0, float("inf")))
    if size.value is None or size.value < NOTHING:
        return {"size": size, "bias": absent("the shift changes nothing", n=n)}
    bias = with_interval(biases, n=n, baseline=0.0, note=f"share that all texts have in common, {note}", bounds=(0, 1))
    return {"size": size, "bias": bias}


def moved(time: int, shift: int, *, hold_first: bool = False) -> Tensor:
    """Positions ``shift, shift + 1, ...`` of ``time`` slots; slot 0 stays at 0 if it is held."""
    positions = torch.arange(time) + shift
    if hold_first:
        positions[0] = 0
    return positions


def shift_test(reach: Reach, tokens: Tensor, *, shift: int = 8, hold_first: bool = False, capture: str = "normed",
               layers: Sequence[int] | None = None, batch: int = 4,
               groups: int = 16) -> dict[int, ShiftSums]:  # fmt: skip
    """The sums of M5 for each of the layers, or all: two passes per batch, whose states are held for that batch only.

    Raises ValueError for a model that takes no positions or a shift beyond its table.
    """
    if not reach.takes_positions:
        raise ValueError("expected a model that takes positions, was: one that counts them itself")
    sums: dict[int, ShiftSums] = {}
    for start in range(0, len(tokens), batch):
        part = tokens[start : start + batch]
        before: dict[int, Tensor] = {}

        def keep(name: str, layer: int, x: Tensor, rows: slice, before: dict[int, Tensor] = before) -> None:
            before[layer] = x

        def compare(name: str, layer: int, x: Tensor, rows: slice, before: dict[int, Tensor] = before,
                    start: int = start) -> None:  # fmt: skip
            into = sums.setdefault(layer, ShiftSums(len(tokens), groups=groups))
            into.add(before.pop(layer), x, slice(start + rows.start, start + rows.stop))

        time = tokens.shape[1]
        there = moved(time, shift, hold_first=hold_first)
        reach.run(part, keep, capture=(capture,), positions=moved(time, 0), layers=layers, batch=batch)
        reach.run(part, compare, capture=(capture,), positions=there, layers=layers, batch=batch)
    return sums
