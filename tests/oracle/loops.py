"""The papers' formulas as loops over single numbers, in float64. Nothing here knows the library."""

import math

import torch
from torch import Tensor


def sinusoidal(position: float, width: int, base: float, layout: str) -> list[float]:
    """Vaswani et al. 2017, section 3.5: PE(pos, 2c) = sin(pos / base^(2c/width)), PE(pos, 2c+1) = cos(same)."""
    sines = [math.sin(position / base ** (2 * c / width)) for c in range(width // 2)]
    cosines = [math.cos(position / base ** (2 * c / width)) for c in range(width // 2)]
    if layout == "halves":
        return sines + cosines
    return [wave for pair in zip(sines, cosines, strict=True) for wave in pair]


def fourier(position: float, limit: int, width: int) -> list[float]:
    """Jaegle et al. 2021, section 3.2: sin(f_k pi z), cos(f_k pi z), z in [-1, 1], f_k up to half the resolution."""
    z, bands = -1 + 2 * position / (limit - 1), width // 2
    step = (limit / 2 - 1) / (bands - 1) if bands > 1 else 0.0
    angles = [math.pi * z * (1 + step * k) for k in range(bands)]
    return [math.sin(a) for a in angles] + [math.cos(a) for a in angles] + ([z] if width % 2 else [])


def rotated(vector: Tensor, position: float, columns: int, base: float, layout: str) -> Tensor:
    """Su et al. 2021, equation 15: every pair of columns turned by position * base^(-2c/columns)."""
    turned = list(vector.unbind())
    for c in range(columns // 2):
        one, two = (c, c + columns // 2) if layout == "half" else (2 * c, 2 * c + 1)
        angle = position * base ** (-2 * c / columns)
        turned[one] = vector[one] * math.cos(angle) - vector[two] * math.sin(angle)
        turned[two] = vector[one] * math.sin(angle) + vector[two] * math.cos(angle)
    return torch.stack(turned)


def alibi_slopes(heads: int) -> list[float]:
    """Press et al. 2021, the authors' ``get_slopes``: a geometric series, filled up from the series twice as long."""

    def power_of_two(n: int) -> list[float]:
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(heads).is_integer():
        return power_of_two(heads)
    below = 2 ** math.floor(math.log2(heads))
    return power_of_two(below) + alibi_slopes(2 * below)[0::2][: heads - below]


def t5_bucket(relative: int, buckets: int, max_distance: int, bidirectional: bool) -> int:
    """Raffel et al. 2019, the authors' ``_relative_position_bucket``, of ``relative = key - query``.

    The logarithm is compared in whole numbers, (n/e)^b >= (M/e)^t, so that no rounding decides a boundary.
    """
    bucket, n = 0, -relative
    if bidirectional:
        buckets //= 2
        bucket = buckets if n < 0 else 0
        n = abs(n)
    else:
        n = max(n, 0)
    exact = buckets // 2
    if n < exact:
        return bucket + n
    steps = 0
    while steps < buckets - exact - 1 and n ** (buckets - exact) * exact ** (steps + 1) >= (
        max_distance ** (steps + 1) * exact ** (buckets - exact)
    ):
        steps += 1
    return bucket + exact + steps


def attention(
    x: Tensor, z: Tensor | None, weights: dict[str, Tensor], heads: int, positions: list[float], turn, bias
) -> Tensor:  # type: ignore[no-untyped-def]
    """Causal attention of one sequence ``x [time, width]``, a query, a key and a head at a time.

    turn: ``(vector, position) -> vector`` for queries and keys. bias: ``(head, i - j) -> number``.
    """
    time, width = x.shape
    size = width // heads
    rows = []
    for t in range(time):
        row = weights["project.weight"] @ x[t]
        rows.append(row if z is None else row + weights["project.beside"] @ z[t])
    merged = []
    for i in range(time):
        parts = []
        for h in range(heads):
            columns = slice(h * size, (h + 1) * size)
            q = turn(rows[i][:width][columns], positions[i])
            scores = []
            for j in range(i + 1):
                k = turn(rows[j][width : 2 * width][columns], positions[j])
                scores.append((q * k).sum() / math.sqrt(size) + bias(h, positions[i] - positions[j]))
            weight = [torch.exp(score - max(s.item() for s in scores)) for score in scores]
            values = [rows[j][2 * width :][columns] for j in range(i + 1)]
            parts.append(sum(w * v for w, v in zip(weight, values, strict=True)) / sum(weight))
        merged.append(weights["out.weight"] @ torch.cat(parts))
    return torch.stack(merged)
