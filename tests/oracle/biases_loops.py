"""The papers' scores as loops over single pairs, in float64. Nothing here knows how the library computes them.

Every function is given a ``Case`` and returns ``score(b, h, i, j)`` for one pair, with parameters by their names.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Score = Callable[[int, int, int, int], Tensor]


class Case(NamedTuple):
    """q ``[batch, head, time, width]``, k with as many or fewer heads, x ``[batch, time, model]``, positions by row."""

    q: Tensor
    k: Tensor
    x: Tensor
    positions: list[list[float]]
    seen: Callable[[int, int, int], bool]
    weights: dict[str, Tensor]

    @property
    def heads(self) -> int:
        return self.q.shape[1]

    @property
    def width(self) -> int:
        return self.q.shape[-1]

    def key(self, b: int, h: int, j: int) -> Tensor:
        return self.k[b, h * self.k.shape[1] // self.heads, j]

    def product(self, b: int, h: int, i: int, j: int) -> Tensor:
        return sum((self.q[b, h, i, c] * self.key(b, h, j)[c] for c in range(self.width)), torch.zeros(()))

    def distance(self, b: int, i: int, j: int) -> float:
        return self.positions[b][i] - self.positions[b][j]


def between(row: Callable[[int], Tensor], at: float) -> Tensor:
    """The straight line between the rows below and above."""
    low = math.floor(at)
    return row(low) if at == low else (low + 1 - at) * row(low) + (at - low) * row(low + 1)


def clip(x: float, low: float, high: float) -> float:
    return max(low, min(high, x))


def attention(case: Case, v: Tensor, score: Score, value: Callable[[int, int, int, int], Tensor] | None) -> Tensor:
    """``softmax(scores) (v + value)``, a query at a time, over the keys that it may see."""
    batch, heads, time, _ = case.q.shape
    out = []
    for b in range(batch):
        for h in range(heads):
            for i in range(time):
                visible = [j for j in range(time) if case.seen(b, i, j)]
                scores = torch.stack([score(b, h, i, j) for j in visible])
                weights = torch.exp(scores - scores.detach().max())
                weights = weights / weights.sum()
                total = torch.zeros(v.shape[-1], dtype=v.dtype)
                for weight, j in zip(weights, visible, strict=True):
                    read = v[b, h * v.shape[1] // heads, j]
                    total = total + weight * (read if value is None else read + value(b, h, i, j))
                out.append(total)
    return torch.stack(out).view(batch, heads, time, -1)


def perceptron(weights: dict[str, Tensor], inputs: list[Tensor], slope: float) -> list[Tensor]:
    first, second = weights["network.first"], weights["network.second"]
    hidden = []
    for unit in range(len(first)):
        total = weights["network.first_bias"][unit]
        for c, x in enumerate(inputs):
            total = total + first[unit, c] * x
        hidden.append(total if total > 0 else slope * total)
    return [
        sum((second[h, u] * hidden[u] for u in range(len(hidden))), weights["network.second_bias"][h])
        for h in range(len(second))
    ]


def alibi(case: Case, ahead: float) -> Score:
    slopes = {2: [1 / 16, 1 / 256]}[case.heads]

    def score(b: int, h: int, i: int, j: int) -> Tensor:
        d = case.distance(b, i, j)
        return case.product(b, h, i, j) / math.sqrt(case.width) - slopes[h] * (d if d > 0 else -ahead * d)

    return score


def biased(bias: Callable[[Case, int, int, int, int], Tensor | float]) -> Callable[[Case], Score]:
    """``q . k / sqrt(width)`` plus a bias."""

    def made(case: Case) -> Score:
        return lambda b, h, i, j: case.product(b, h, i, j) / math.sqrt(case.width) + bias(case, b, h, i, j)

    return made


def kerple_log(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
    """Chi et al. 2022: -r1 log(1 + r2 |m - n|)."""
    r1, r2 = torch.exp(case.weights["size"][h]), torch.exp(case.weights["rate"][h])
    return -r1 * torch.log(1 + r2 * abs(case.distance(b, i, j)))


def kerple_power(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
    """Chi et al. 2022: -r1 |m - n|^r2."""
    r1, r2 = torch.exp(case.weights["size"][h]), 2 / (1 + torch.exp(-case.weights["power"][h]))
    d = abs(case.distance(b, i, j))
    return -r1 * torch.exp(r2 * math.log(d)) if d else 0 * r1


def sandwich(width: int) -> Callable[[Case, int, int, int, int], float]:
    """Chi et al. 2022: the product of sinusoidal position vectors, divided by the ratio 8 h / H of head h = 1 .. H."""

    def bias(case: Case, b: int, h: int, i: int, j: int) -> float:
        d = case.distance(b, i, j)
        return sum(math.cos(d / 10_000 ** (2 * c / width)) for c in range(width // 2)) / (8 * (h + 1) / case.heads)

    return bias


def fire(threshold: float) -> Callable[[Case, int, int, int, int], Tensor]:
    """Li et al. 2023, the listing: both logarithms of |c z| + 1, the normaliser of max(position, threshold)."""

    def bias(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
        c = case.weights["rate"]
        longest = torch.abs(case.weights["multiplier"] * threshold)
        longest = longest if longest > case.positions[b][i] else torch.tensor(case.positions[b][i])
        share = torch.log(torch.abs(c * case.distance(b, i, j)) + 1) / (torch.log(torch.abs(c * longest) + 1) + 1e-6)
        return perceptron(case.weights, [share], 0.0)[h]

    return bias


def mlp(logarithmic: bool) -> Callable[[Case, int, int, int, int], Tensor]:
    """Liu et al. 2021: a network of the signed logarithm of the distance."""

    def bias(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
        d = case.distance(b, i, j)
        x = math.copysign(math.log(1 + abs(d)), d) if logarithmic else d
        return perceptron(case.weights, [torch.tensor(x, dtype=torch.float64)], 0.0)[h]

    return bias


def dape(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
    """Zheng et al. 2024: B + f([A; B]), here with B of KERPLE."""
    inner = case._replace(weights={name.removeprefix("bias."): w for name, w in case.weights.items()})
    products = [case.product(b, head, i, j) / math.sqrt(case.width) for head in range(case.heads)]
    biases = [kerple_log(inner, b, head, i, j) for head in range(case.heads)]
    return biases[h] + perceptron(case.weights, products + biases, 0.01)[h]


def diet_rel(limit: int, bidirectional: bool) -> Callable[[Case, int, int, int, int], Tensor]:
    def bias(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
        d = case.distance(b, i, j)
        at = d + limit - 1 if bidirectional else max(d, 0)
        return between(lambda row: case.weights["weight"][row, h], at)

    return bias


def diet_abs(rank: int) -> Callable[[Case, int, int, int, int], Tensor]:
    def bias(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
        group = h * case.k.shape[1] // case.heads
        total = torch.zeros(())
        for c in range(rank):
            asks = between(lambda row, c=c: case.weights["query"][row, h * rank + c], case.positions[b][i])
            offers = between(lambda row, c=c: case.weights["key"][row, group * rank + c], case.positions[b][j])
            total = total + asks * offers
        return total

    return bias
