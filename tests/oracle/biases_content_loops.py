"""Scores in which position meets content, as loops over single pairs; see ``biases_loops``."""

import math
from collections.abc import Callable

import torch
from oracle.biases_loops import Case, Score, between, clip
from torch import Tensor


def shaw_row(case: Case, furthest: int, bidirectional: bool, b: int, i: int, j: int) -> float:
    low = -furthest if bidirectional else 0
    return clip(case.distance(b, i, j), low, furthest) - low


def shaw(furthest: int, bidirectional: bool) -> Callable[[Case], Score]:
    """Shaw et al. 2018, equation 4: q . (k + a) / sqrt(width)."""

    def made(case: Case) -> Score:
        def score(b: int, h: int, i: int, j: int) -> Tensor:
            vector = between(lambda row: case.weights["weight"][row], shaw_row(case, furthest, bidirectional, b, i, j))
            return sum(case.q[b, h, i, c] * (case.key(b, h, j)[c] + vector[c]) for c in range(case.width)) / math.sqrt(
                case.width
            )

        return score

    return made


def shaw_value(case: Case, furthest: int, bidirectional: bool) -> Callable[[int, int, int, int], Tensor]:
    """Equation 3: the vector that is added to the value."""
    return lambda b, h, i, j: between(
        lambda row: case.weights["value"][row], shaw_row(case, furthest, bidirectional, b, i, j)
    )


def transformer_xl(code_width: int) -> Callable[[Case], Score]:
    """Dai et al. 2019, section 3.3: terms (a) to (d), one after the other."""

    def made(case: Case) -> Score:
        u, w, weight = (case.weights[name] for name in ("content", "position", "weight"))

        def score(b: int, h: int, i: int, j: int) -> Tensor:
            angles = [case.distance(b, i, j) / 10_000 ** (2 * c / code_width) for c in range(code_width // 2)]
            code = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
            far = [sum(weight[h, c, m] * code[m] for m in range(code_width)) for c in range(case.width)]
            q, k = case.q[b, h, i], case.key(b, h, j)
            columns = range(case.width)
            terms = [q[c] * k[c] + q[c] * far[c] + u[h, c] * k[c] + w[h, c] * far[c] for c in columns]
            return sum(terms) / math.sqrt(case.width)

        return score

    return made


def deberta_bucket(d: int, buckets: int, max_distance: int) -> int:
    """The authors' ``make_log_bucket_position`` in whole numbers: the least s with (n/m)^(m-1) <= ((M-1)/m)^s."""
    middle, n = buckets // 2, abs(d)
    if n <= middle:
        return d
    s = 0
    while n ** (middle - 1) * middle**s > (max_distance - 1) ** s * middle ** (middle - 1):
        s += 1
    return (middle + s) * (1 if d > 0 else -1)


def deberta(span: int, max_distance: int | None, released: bool) -> Callable[[Case], Score]:
    """He et al. 2020, equation 4, with the relative distance of equation 3."""

    def made(case: Case) -> Score:
        def relative(d: float) -> float:
            if max_distance is not None:
                d = deberta_bucket(int(d), span, max_distance)
            return clip(d + span, 0, 2 * span - 1)

        def projected(row: int, name: str, h: int) -> Tensor:
            table, weight = case.weights["table"], case.weights[name]
            return torch.stack([sum(table[row, m] * weight[h, m, c] for m in range(table.shape[1]))
                                for c in range(case.width)])  # fmt: skip

        def score(b: int, h: int, i: int, j: int) -> Tensor:
            d = case.distance(b, i, j)
            towards = between(lambda row: projected(row, "key", h), relative(d))
            back = between(lambda row: projected(row, "query", h), relative(d if released else -d))
            q, k = case.q[b, h, i], case.key(b, h, j)
            terms = [q[c] * k[c] + q[c] * towards[c] + k[c] * back[c] for c in range(case.width)]
            return sum(terms) / math.sqrt(3 * case.width)

        return score

    return made


def tupe(rows: Callable[[Case, float], list[Tensor]], scale: float, cls: int | None) -> Callable[[Case], Score]:
    """Ke et al. 2020, equations 7 and 10."""

    def made(case: Case) -> Score:
        def projected(position: float, name: str, head: int, c: int) -> Tensor:
            line = case.weights[name][head * case.width + c]
            return sum(line[m] * scale * p for m, p in enumerate(rows(case, position)))

        def score(b: int, h: int, i: int, j: int) -> Tensor:
            group = h * case.k.shape[1] // case.heads
            here, there = case.positions[b][i], case.positions[b][j]
            content = case.product(b, h, i, j) / math.sqrt(2 * case.width)
            if cls is not None and cls in (here, there):
                return content + case.weights["theta"][0 if here == cls else 1, h]
            columns = range(case.width)
            places = sum(projected(here, "query", h, c) * projected(there, "key", group, c) for c in columns)
            return content + places / math.sqrt(2 * case.width)

        return score

    return made


def cope(furthest: int) -> Callable[[Case, int, int, int, int], Tensor]:
    """Golovneva et al. 2024: the sum of the gates from the key to the query, of what the query may see."""

    def bias(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
        count = torch.zeros((), dtype=torch.float64)
        for t in range(j, case.q.shape[2]):
            if case.seen(b, i, t):
                count = count + torch.sigmoid(case.product(b, h, i, t) / math.sqrt(case.width))
        count = count if count < furthest else torch.tensor(float(furthest), dtype=torch.float64)
        low = math.floor(count.item())
        products = [
            sum(case.q[b, h, i, c] * case.weights["weight"][c, at] for c in range(case.width))
            for at in (low, min(low + 1, furthest))
        ]
        return (low + 1 - count) * products[0] + (count - low) * products[1]

    return bias


def distance_bank(profiles: int, extent: int) -> Callable[[Case, int, int, int, int], Tensor]:
    """The published decoder of Inkling: a mixture of profiles from 0 to extent, and nothing outside."""

    def bias(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
        d, weight, bank = case.distance(b, i, j), case.weights["weight"], case.weights["bank"]
        if d < 0 or d >= extent:
            return torch.zeros((), dtype=torch.float64)
        mix = [(weight[h * profiles + r] * case.x[b, i]).sum() for r in range(profiles)]

        def curve(at: int) -> Tensor:
            return sum(mix[r] * bank[r, at] for r in range(profiles)) if at < extent else torch.zeros(())

        return between(curve, d)

    return bias


def forgetting(case: Case, b: int, h: int, i: int, j: int) -> Tensor:
    """Lin et al. 2025: the product of the gates after the key up to the query, of what the query may see."""
    kept = torch.ones((), dtype=torch.float64)
    for t in range(j + 1, case.q.shape[2]):
        if case.seen(b, i, t):
            kept = kept * torch.sigmoid((case.weights["weight"][h] * case.x[b, t]).sum() + case.weights["offset"][h])
    return torch.log(kept)


def scaled(factor: Callable[[Case, int, float], Tensor | float]) -> Callable[[Case], Score]:
    """``t(h, position of the query) q . k / sqrt(width)``."""

    def made(case: Case) -> Score:
        def score(b: int, h: int, i: int, j: int) -> Tensor:
            return factor(case, h, case.positions[b][i]) * case.product(b, h, i, j) / math.sqrt(case.width)

        return score

    return made
