"""M4: how much of hidden states is position, by a two-way analysis of variance in one pass with running sums.

``h[c, t] = mean + pos[t] + ctx[c] + rest[c, t]`` for contexts ``c`` and slots ``t``. The naive share of position of
pure noise is about ``1 / contexts``; the variances here are corrected for it, so that noise has share 0 on average.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.xray.metric import Metric, absent

SPANS = {"": 0, ".without_0": 1}
"""Suffix of a metric's name, and the first slot that counts: position 0 is unlike all others in every model seen."""


class Sums:
    """Running sums of hidden states ``[rows, time, width]``, in float64, by groups of contexts for the jackknife.

    position: ``[group, time, width]``, sums over contexts. context: ``[2, contexts, width]``, sums over slot 0 and over
    the others. energy: ``[2, group, width]``, sums of squares likewise. All are of the states less ``origin``, the mean
    of the first batch, which changes no variance and spares digits where states share a large mean. moment:
    ``[width, width]``, the sum of outer products over slots from 1, up to a width of ``moments``; else None.
    """

    def __init__(self, contexts: int, time: int, *, groups: int = 16, moments: int = 0) -> None:
        if contexts < 2 or time < 3:
            raise ValueError(f"expected at least 2 contexts and 3 slots, was: {contexts} and {time}")
        self.contexts, self.time, self.groups, self.moments = contexts, time, min(groups, contexts), moments
        self.group = torch.arange(contexts) * self.groups // contexts
        self.origin: Tensor | None = None
        self.seen = 0

    def add(self, x: Tensor, rows: slice) -> Tensor:
        """Takes in the contexts ``rows``; returns their states less the origin, in float64."""
        if x.shape[:2] != (rows.stop - rows.start, self.time):
            raise ValueError(f"expected {self.time} slots of contexts {rows.start}..{rows.stop}, was: {tuple(x.shape)}")
        x = x.double()
        if self.origin is None:
            width = x.shape[-1]
            self.origin = x.mean((0, 1))
            self.position = x.new_zeros(self.groups, self.time, width)
            self.context = x.new_zeros(2, self.contexts, width)
            self.energy = x.new_zeros(2, self.groups, width)
            self.moment = x.new_zeros(width, width) if width <= self.moments else None
        x, group = x - self.origin, self.group[rows].to(x.device)
        self.position.index_add_(0, group, x)
        self.context[0, rows], self.context[1, rows] = x[:, 0], x[:, 1:].sum(1)
        self.energy[0].index_add_(0, group, x[:, 0].square())
        self.energy[1].index_add_(0, group, x[:, 1:].square().sum(1))
        if self.moment is not None:
            flat = x[:, 1:].flatten(0, 1)
            self.moment += flat.T @ flat
        self.seen += len(x)
        return x

    def image(self, matrix: Tensor, energy: Tensor) -> "Sums":
        """The sums of ``matrix`` ``[out, width]`` times the states; ``energy`` ``[2, group, out]`` are its squares."""
        made = Sums(self.contexts, self.time, groups=self.groups)
        made.seen, made.energy = self.seen, energy
        made.position, made.context = (
            (each.to(matrix.dtype) @ matrix.T).double() for each in (self.position, self.context)
        )
        return made

    def parts(self, start: int, left_out: int | None = None) -> "Parts":
        """The analysis of slots from ``start`` (0 or 1), without a group of contexts if one is named.

        Raises ValueError if contexts are missing.
        """
        if self.seen != self.contexts:
            raise ValueError(f"expected {self.contexts} contexts, was: {self.seen}")
        keep = torch.arange(self.groups) != (-1 if left_out is None else left_out)
        inside = keep[self.group]
        position, context = self.position[keep, start:].sum(0), self.context[start:, inside].sum(0)
        count = int(inside.sum())
        squares = self.energy[start:, keep].sum((0, 1))
        return Parts(position / count, context / (self.time - start), squares, count, self.time - start)


@dataclass(frozen=True)
class Parts:
    """Means over contexts ``[time, width]``, over slots ``[contexts, width]``, and sums of squares ``[width]``."""

    position: Tensor
    context: Tensor
    energy: Tensor
    contexts: int
    time: int

    def squares(self) -> tuple[Tensor, Tensor, Tensor]:
        """Sums of squares of position, context and rest, ``[width]`` each; they add up to the total about the mean."""
        mean = self.position.mean(0)
        position = self.contexts * (self.position - mean).square().sum(0)
        context = self.time * (self.context - mean).square().sum(0)
        total = self.energy - self.contexts * self.time * mean.square()
        return position, context, (total - position - context).clamp_min(0)

    def variances(self) -> Tensor:
        """``[3, width]``: variances of position, context and rest, each without bias (so the first two may be < 0).

        ``MS = SS / degrees``; ``pos = (MS_pos - MS_rest) / C``, ``ctx = (MS_ctx - MS_rest) / T``, ``rest = MS_rest``.
        """
        position, context, rest = self.squares()
        rest = rest / ((self.contexts - 1) * (self.time - 1))
        position = (position / (self.time - 1) - rest) / self.contexts
        context = (context / (self.contexts - 1) - rest) / self.time
        return torch.stack([position, context, rest])


def shares(variances: Tensor) -> Tensor:
    """Shares ``[3]`` of position, context and rest, from ``[3, width]``, summed over columns.

    A variance that came out below 0 counts as 0 in the whole, and its own share stays below 0: what is reported is cut,
    but an interval of cut values would claim to be sure of 0.
    """
    summed = variances.sum(-1)
    whole = summed.clamp_min(0).sum()
    return summed / whole if whole > 0 else torch.full_like(summed, torch.nan)


Left = dict[int | None, float]
"""A statistic of all groups of contexts (under None), and without each of them."""


def in_groups(contexts: int, most: int) -> Tensor:
    """The group of each of the contexts, `[contexts]`: at most so many groups, of at least two contexts each.

    Raises ValueError for fewer than 3 contexts.
    """
    if contexts < 3:
        raise ValueError(f"expected at least 3 contexts, was: {contexts}")
    return torch.arange(contexts) * min(most, contexts // 2) // contexts


def leave(groups: int) -> list[int | None]:
    """Nothing, then each group: what to leave out for the value and its jackknife."""
    return [None, *range(groups)]


def jackknife(values: Left) -> tuple[float, float] | None:
    """Standard error, and half the width of the 95 % interval; None where a value is not finite or stands alone.

    ``se^2 = (g - 1) / g * sum (x_i - mean x)^2`` over the ``g`` groups left out (Quenouille and Tukey's jackknife),
    times Student's t with ``g - 1`` degrees of freedom.
    """
    from scipy.special import stdtrit

    left = [value for group, value in values.items() if group is not None]
    if len(left) < 2 or not all(map(math.isfinite, left)):
        return None
    mean = sum(left) / len(left)
    error = math.sqrt((len(left) - 1) / len(left) * sum((value - mean) ** 2 for value in left))
    return error, error * float(stdtrit(len(left) - 1, 0.975))


def with_interval(values: Left, *, n: int, baseline: float | None, note: str,
                  bounds: tuple[float, float] = (-math.inf, math.inf)) -> Metric:  # fmt: skip
    """The statistic with its jackknife interval, both cut to ``bounds`` at the end; None where it is not finite."""
    value = values[None]
    if not math.isfinite(value):
        return absent(f"{note}: nothing varies", n=n)

    def cut(number: float) -> float:
        return min(max(number, bounds[0]), bounds[1])

    spread = jackknife(values)
    interval = None if spread is None else (cut(value - spread[1]), cut(value + spread[1]))
    return Metric(cut(value), baseline, n, interval, note)


def variance_shares(sums: Sums, *, columns: slice | Tensor = slice(None)) -> dict[str, Metric]:
    """M4 for one layer: shares of position, context and rest, the naive share, and the shape of the position part.

    ``position_share``, ``context_share``, ``rest_share``: bias-corrected, baseline 0. ``position_share_naive``: sums
    of squares, baseline ``(T - 1) / (C T - 1)``, what noise has. ``stable_rank`` and ``k95``: of the centred mean
    states per slot ``[T, width]``, noise included. ``relative_norm``: Song and Zhong 2023, arXiv:2310.04861: operator
    norm of the position part over that of all states, from position 1 on, as they have it. Each but the last twice:
    over all slots, and ``.without_0``.
    """
    found: dict[str, Metric] = {}
    for suffix, start in SPANS.items():
        count = sums.contexts * (sums.time - start)
        whole = sums.parts(start)
        split: dict[int | None, list[float]] = {}
        for group in leave(sums.groups):
            split[group] = shares(sums.parts(start, group).variances()[:, columns]).tolist()
        for number, name in enumerate(("position_share", "context_share", "rest_share")):
            note = f"variance share of {name.split('_')[0]} over {sums.contexts} contexts, bias-corrected"
            values: Left = {group: each[number] for group, each in split.items()}
            found[name + suffix] = with_interval(values, n=count, baseline=0.0 if number < 2 else None, note=note,
                                                 bounds=(0.0, 1.0))  # fmt: skip
        found |= {name + suffix: metric for name, metric in _naive(whole, columns, count).items()}
    found["relative_norm"] = relative_norm(sums)
    return found


def _naive(parts: Parts, columns: slice | Tensor, count: int) -> dict[str, Metric]:
    position, context, rest = (each[columns].sum() for each in parts.squares())
    total = position + context + rest
    if not total > 0:
        return {name: absent("nothing varies", n=count) for name in ("position_share_naive", "stable_rank", "k95")}
    noise = (parts.time - 1) / (parts.contexts * parts.time - 1)
    centred = (parts.position - parts.position.mean(0))[:, columns]
    found = {"position_share_naive": Metric(float(position / total), noise, count, None, "not corrected for noise")}
    power = torch.linalg.svdvals(centred).square()
    if not power.sum() > 0:
        return found | {name: absent("position does not vary", n=count) for name in ("stable_rank", "k95")}
    note = f"of the mean state of each of {parts.time} slots, noise included"
    k95 = int((power.cumsum(0) < 0.95 * power.sum()).sum()) + 1
    return found | {
        "stable_rank": Metric(float(power.sum() / power[0]), None, parts.time, None, note),
        "k95": Metric(float(k95), None, parts.time, None, note),
    }


def relative_norm(sums: Sums) -> Metric:
    """``sqrt(C) ||pos|| / ||H||`` in operator norm, ``H`` all states uncentred, slots from 1 on."""
    if sums.moment is None or sums.origin is None:
        return absent("needs second moments, kept of the raw stream alone, up to 1024 columns, and not if quick")
    parts = sums.parts(1)
    position = torch.linalg.matrix_norm(parts.position - parts.position.mean(0), 2) * math.sqrt(parts.contexts)
    total = parts.context.sum(0) * parts.time
    count = parts.contexts * parts.time
    cross = torch.outer(sums.origin, total)
    moment = sums.moment + cross + cross.T + count * torch.outer(sums.origin, sums.origin)
    top = torch.linalg.eigvalsh(moment)[-1]
    if not top > 0:
        return absent("all states are 0", n=count)
    return Metric(float(position / top.sqrt()), None, count, None, "Song and Zhong's, not corrected for noise")
