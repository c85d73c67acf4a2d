"""Learned rotations and biases that content decides, as loops over single pairs; see ``biases_loops``."""

import math
from collections.abc import Callable

import torch
from oracle.biases_loops import Case, Score
from torch import Tensor

Bias = Callable[[Case, int, int, int, int], Tensor]


def exponential(matrix: Tensor) -> Tensor:
    """The power series, term after term."""
    term = total = torch.eye(len(matrix), dtype=matrix.dtype)
    for n in range(1, 120):
        term = term @ matrix / n
        total = total + term
    return total


def group(case: Case, heads: int, h: int) -> int:
    """The head of ``heads`` that head ``h`` of the queries belongs to."""
    return h * heads // case.heads


def liere(case: Case) -> Score:
    """Ostmeier et al. 2024: q' exp(A(i))' exp(A(j)) k, block by block."""

    def score(b: int, h: int, i: int, j: int) -> Tensor:
        weight = case.weights["weight"][group(case, len(case.weights["weight"]), h)]
        total, n = torch.zeros((), dtype=torch.float64), weight.shape[-1]
        for block, part in enumerate(weight):
            columns, sides = slice(block * n, (block + 1) * n), []
            for vector, place in ((case.q[b, h, i], case.positions[b][i]), (case.key(b, h, j), case.positions[b][j])):
                generator = sum((place * (each - each.T) for each in part), torch.zeros(n, n, dtype=torch.float64))
                sides.append(exponential(generator) @ vector[columns])
            total = total + sides[0] @ sides[1]
        return total / math.sqrt(case.width)

    return score


def turned(vector: Tensor, angle: Callable[[int], Tensor]) -> Tensor:
    pairs, result = len(vector) // 2, list(vector.unbind())
    for c in range(pairs):
        a, b, cos, sin = vector[c], vector[c + pairs], torch.cos(angle(c)), torch.sin(angle(c))
        result[c], result[c + pairs] = a * cos - b * sin, b * cos + a * sin
    return torch.stack(result)


def cayley(case: Case) -> Score:
    """Schenck et al. 2025, equations 9 and 10: RoPE(z) P with P = (I - S)(I + S)^-1."""

    def score(b: int, h: int, i: int, j: int) -> Tensor:
        head = group(case, len(case.weights["weight"]), h)
        weight, speeds = case.weights["weight"][head], case.weights["frequencies"][head].sum(0)
        one = torch.eye(len(weight), dtype=torch.float64)
        mix = (one - (weight - weight.T)) @ torch.linalg.inv(one + (weight - weight.T))
        q, k = (
            turned(mix @ vector, lambda c, place=place: speeds[c] * place)
            for vector, place in ((case.q[b, h, i], case.positions[b][i]), (case.key(b, h, j), case.positions[b][j]))
        )
        return q @ k / math.sqrt(case.width)

    return score


def grape(case: Case) -> Score:
    """Zhang et al. 2025: q' exp((j - i) L) k with L = a b' - b a', by the power series."""

    def score(b: int, h: int, i: int, j: int) -> Tensor:
        one, other = case.weights["weight"][group(case, len(case.weights["weight"]), h)]
        plane = torch.outer(one, other) - torch.outer(other, one)
        return (
            case.q[b, h, i] @ exponential(-case.distance(b, i, j) * plane) @ case.key(b, h, j) / math.sqrt(case.width)
        )

    return score


def fope(coefficients: Callable[[Case], Tensor], fast: list[float]) -> Callable[[Case], Score]:
    """Hua et al. 2024: every fast pair with a series of cosines and one of sines; slow pairs as they are."""

    def made(case: Case) -> Score:
        drawn = coefficients(case)

        def curved(vector: Tensor, place: float, head: int) -> Tensor:
            pairs, result = len(vector) // 2, list(vector.unbind())
            for c, speed in enumerate(fast):
                waves = [math.cos(place * speed), math.sin(place * speed)]
                cos, sin = torch.tensor(waves, dtype=torch.float64)
                for m, other in enumerate(fast):
                    cos = cos + drawn[0, head, m, c] * math.cos(place * other)
                    sin = sin + drawn[1, head, m, c] * math.sin(place * other)
                a, b = vector[c], vector[c + pairs]
                result[c], result[c + pairs] = a * cos - b * sin, b * cos + a * sin
            return torch.stack(result)

        def score(b: int, h: int, i: int, j: int) -> Tensor:
            head = group(case, drawn.shape[1], h)
            q = curved(case.q[b, h, i], case.positions[b][i], head)
            return q @ curved(case.key(b, h, j), case.positions[b][j], head) / math.sqrt(case.width)

        return score

    return made


def by_steps(step: Callable[[Case, int, int, int, int], Tensor]) -> Callable[[Case], Score]:
    """q' R(angle) k; the angle is the sum of what lies after the key up to the query, negative if the key is later."""

    def made(case: Case) -> Score:
        def score(b: int, h: int, i: int, j: int) -> Tensor:
            low, high, sign = (j, i, 1.0) if j <= i else (i, j, -1.0)

            def angle(c: int) -> Tensor:
                met = [step(case, b, h, t, c) for t in range(low + 1, high + 1) if case.seen(b, i, t)]
                return sign * sum(met, torch.zeros((), dtype=torch.float64))

            return turned(case.q[b, h, i], angle) @ case.key(b, h, j) / math.sqrt(case.width)

        return score

    return made


def selective_step(case: Case, heads: int, base: float, b: int, h: int, t: int, c: int) -> Tensor:
    x, share, pairs = case.x[b, t], case.x.shape[-1] // heads, case.width // 2
    parts = [x[g * share : (g + 1) * share] for g in range(heads)]
    normed = torch.cat([part / torch.sqrt((part * part).sum()) for part in parts])
    row = case.weights["weight"][group(case, heads, h) * pairs + c]
    return base ** (-c / pairs) * (row * normed).sum()


def carope_step(case: Case, b: int, h: int, t: int, c: int) -> Tensor:
    """Veisi et al. 2025, section 2: f ** c with f = 1 / (softplus(W x + b) + 1)."""
    head = group(case, len(case.weights["weight"]), h)
    inner = (case.weights["weight"][head] * case.x[b, t]).sum() + case.weights["offset"][head]
    return (1 / (torch.log(1 + torch.exp(inner)) + 1)) ** c


def repo(base: float) -> Callable[[Case], Score]:
    """Li et al. 2025: rotary at W3 (silu(W1 x) * W2 x)."""

    def made(case: Case) -> Score:
        def place(b: int, h: int, t: int) -> Tensor:
            x, w = case.x[b, t], case.weights
            total = torch.zeros((), dtype=torch.float64)
            for unit in range(len(w["gate"])):
                gate, content = (w["gate"][unit] * x).sum(), (w["content"][unit] * x).sum()
                total = total + w["place"][group(case, len(w["place"]), h), unit] * gate * torch.sigmoid(gate) * content
            return total

        def score(b: int, h: int, i: int, j: int) -> Tensor:
            pairs = case.width // 2
            q, k = (
                turned(vector, lambda c, z=z: z * base ** (-c / pairs))
                for vector, z in ((case.q[b, h, i], place(b, h, i)), (case.key(b, h, j), place(b, h, j)))
            )
            return q @ k / math.sqrt(case.width)

        return score

    return made


def path(case: Case) -> Score:
    """Yang et al. 2025: the product of I - b w w' over what the query sees after the key, as matrices."""

    def score(b: int, h: int, i: int, j: int) -> Tensor:
        heads = len(case.weights["strength"])
        g, between = group(case, heads, h), torch.eye(case.width, dtype=torch.float64)
        for t in range(j + 1, case.q.shape[2]):
            if not case.seen(b, i, t):
                continue
            x = case.x[b, t]
            w = case.weights["weight"][g * case.width : (g + 1) * case.width] @ x
            w = w / torch.sqrt((w * w).sum())
            strength = 2 * torch.sigmoid((case.weights["strength"][g] * x).sum() + case.weights["offset"][g])
            between = (torch.eye(case.width, dtype=torch.float64) - strength * torch.outer(w, w)) @ between
        return case.q[b, h, i] @ between @ case.key(b, h, j) / math.sqrt(case.width)

    return score


def bam(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
    """Bianchessi et al. 2025, the authors' code, with b = (j - i) - (exp(mu) - exp(-mu))."""
    size, shape, shift = (case.weights[name][h] for name in ("size", "shape", "shift"))
    distance = -case.distance(b, i, j) - (torch.exp(shift) - torch.exp(-shift))
    return -((torch.abs(distance) + 1e-5) ** shape) * torch.exp(size)


def grape_additive(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
    """Zhang et al. 2025: (j - i) omega softplus(u . k / sqrt(d)) for keys of the past."""
    u = case.weights["weight"][h]
    u = u / torch.sqrt((u * u).sum())
    slope = {2: [1 / 16, 1 / 256]}[case.heads][h] * torch.log(1 + torch.exp(case.weights["size"][h]))
    gate = torch.log(1 + torch.exp((u * case.key(b, h, j)).sum() / math.sqrt(case.width)))
    return -slope * gate * max(case.distance(b, i, j), 0.0)


def dape_v2(kernel: int, inner: Bias) -> Bias:
    """Zheng et al. 2024: two convolutions along the keys of [scores ; biases], nothing where nothing is seen."""

    def bias(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
        within = case._replace(weights={name.removeprefix("bias."): w for name, w in case.weights.items()})
        w, reach, keys = case.weights, kernel // 2, case.q.shape[2]

        def convolved(weight: Tensor, offset: Tensor, at: int, below: Callable[[int, int], Tensor]) -> Tensor:
            total = offset
            for channel in range(weight.shape[0]):
                for tap in range(kernel):
                    key = at + tap - reach
                    if 0 <= key < keys and case.seen(b, i, key):
                        total = total + weight[channel, 0, tap] * below(channel, key)
            return total

        def entry(channel: int, key: int) -> Tensor:
            if channel < case.heads:
                return case.product(b, channel, i, key) / math.sqrt(case.width)
            return inner(within, b, channel - case.heads, i, key)

        def hidden(unit: int, key: int) -> Tensor:
            found = convolved(w["first"][unit], w["first_bias"][unit], key, entry)
            return found if found > 0 else 0.01 * found

        return inner(within, b, h, i, j) + convolved(w["second"][h], w["second_bias"][h], j, hidden)

    return bias
