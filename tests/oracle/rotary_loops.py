"""The rotary family as loops over single numbers, in float64, from the papers and the authors' code."""

import math

import torch
from torch import Tensor


def yarn(
    columns: int, factor: float, original: int, base: float, fast: float, slow: float, truncate: bool
) -> list[float]:
    """Peng et al. 2023, the authors' ``LlamaYaRNScaledRotaryEmbedding``: a ramp over pairs between two turn counts."""

    def pair_that_turns(times: float) -> float:
        return columns * math.log(original / (times * 2 * math.pi)) / (2 * math.log(base))

    low, high = pair_that_turns(fast), pair_that_turns(slow)
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, columns - 1)
    found = []
    for c in range(columns // 2):
        ramp = (c - low) / ((high - low) or 0.001)
        interpolate = min(max(ramp, 0.0), 1.0)
        plain = base ** (-2 * c / columns)
        found.append(plain / factor * interpolate + plain * (1 - interpolate))
    return found


def llama3(columns: int, factor: float, original: int, base: float, low: float, high: float) -> list[float]:
    """Llama 3.1, ``apply_scaling``: three cases by wavelength."""
    found = []
    for c in range(columns // 2):
        plain = base ** (-2 * c / columns)
        wavelength = 2 * math.pi / plain
        if wavelength < original / high:
            found.append(plain)
        elif wavelength > original / low:
            found.append(plain / factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            found.append((1 - smooth) * plain / factor + smooth * plain)
    return found


def ntk(columns: int, factor: float, base: float) -> list[float]:
    """Peng et al. 2023, section 3.1: the base times factor^(d/(d-2))."""
    changed = base * factor ** (columns / (columns - 2))
    return [changed ** (-2 * c / columns) for c in range(columns // 2)]


def proportional(columns: int, fraction: float, base: float) -> list[float]:
    """Barbero et al. 2024: exponents of the whole head, zero beyond the fraction."""
    return [base ** (-2 * c / columns) if c < int(fraction * columns / 2) else 0.0 for c in range(columns // 2)]


def turned(vector: Tensor, per_pair: list[float] | list[Tensor], layout: str, start: int = 0,
           scale: list[float] | None = None) -> Tensor:  # fmt: skip
    """Every pair of columns from ``start`` on turned by its angle and multiplied by its scale."""
    pairs, result = len(per_pair), list(vector.unbind())
    for c, angle in enumerate(per_pair):
        one, two = (c, c + pairs) if layout == "half" else (2 * c, 2 * c + 1)
        one, two = one + start, two + start
        angle = torch.as_tensor(angle, dtype=torch.float64)
        cos, sin, size = torch.cos(angle), torch.sin(angle), 1.0 if scale is None else scale[c]
        result[one] = size * (vector[one] * cos - vector[two] * sin)
        result[two] = size * (vector[one] * sin + vector[two] * cos)
    return torch.stack(result)


def xpos_score(q: Tensor, k: Tensor, i: float, j: float, base: float, scale_base: float) -> Tensor:
    """Sun et al. 2022, equation 14: the rotated product of each pair times z^((i - j) / B)."""
    columns, total = len(q), torch.zeros((), dtype=torch.float64)
    for c in range(columns // 2):
        z = (2 * c / columns + 0.4) / 1.4
        angle = (j - i) * base ** (-2 * c / columns)
        a, b, x, y = q[2 * c], q[2 * c + 1], k[2 * c], k[2 * c + 1]
        product = (a * x + b * y) * math.cos(angle) + (b * x - a * y) * math.sin(angle)
        total = total + product * z ** ((i - j) / scale_base)
    return total


def pope_score(q: Tensor, k: Tensor, offset: Tensor, i: float, j: float, base: float) -> Tensor:
    """Gopalakrishnan et al. 2025, section 3: lengths multiply, angles are positions' alone."""
    total = torch.zeros((), dtype=torch.float64)
    for c in range(len(q)):
        lengths = torch.log(1 + torch.exp(q[c])) * torch.log(1 + torch.exp(k[c]))
        total = total + lengths * torch.cos((j - i) * base ** (-c / len(q)) + offset[c])
    return total
