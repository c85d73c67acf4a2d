"""Simulators whose cost does not depend on the number of items: members are drawn, all others are integrated."""

import math

import numpy as np
import torch
from scipy import special

from locant.capacity.check import check_members, check_noise, check_width
from locant.capacity.estimate import Estimate, from_values
from locant.capacity.formats import number_format

CHUNK = 1 << 22  # numbers in memory at a time
CODES = ("gauss", "sphere", "sign")


def law_sample(
    width: int, items: int, members: int, noise: float, trials: int, generator: np.random.Generator
) -> Estimate:
    """Samples the exact law of Gaussian codes itself: ``O(members)`` numbers a trial, whatever width and items are.

    Draws the length ``r`` of the sum and the hits, jointly normal given ``r`` (`exact.recovery_probability` has the
    law), and integrates the ``items - members`` misses: ``Phi(smallest hit / r)^(items - members)``. Unbiased.
    Raises ValueError for sizes out of range, negative noise or fewer than 2 trials.
    """
    _check(width, items, members, noise, trials)
    total, found = members + noise, []
    for size in _sizes(trials, members):
        length = np.sqrt(total * generator.chisquare(width, size))
        spread = generator.standard_normal((size, members))
        spread -= spread.mean(1, keepdims=True)
        shift = math.sqrt(noise / (members * total)) * generator.standard_normal((size, 1)) if noise else 0.0
        smallest = (spread + shift).min(1) + length / total
        found.append(np.exp((items - members) * special.log_ndtr(smallest)))
    return from_values(np.concatenate(found), "simulation")


def simulate(
    width: int,
    items: int,
    members: int,
    *,
    code: str = "gauss",
    noise: float = 0.0,
    format_name: str | None = None,
    trials: int = 2000,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Draws only the `members` code vectors of each trial and integrates the others: ``O(members width)`` a trial.

    Given the sum ``y`` (with noise, and rounded if `format_name` is given) the scores of all other vectors are
    independent of each other and follow a known law, so a trial's probability of the whole set is
    ``F(smallest hit)^(items - members)``:

    - gauss: ``F`` is the normal distribution of variance ``|y|^2``; exact.
    - sphere (uniform on the sphere of radius ``sqrt(width)``): ``(1 + cos) / 2 ~ Beta((d-1)/2, (d-1)/2)``; exact.
    - sign: ``F`` is the law of ``sum_c +-y_c``, through the Beta law at half a step of its lattice below the hit, as a
      tie counts as a failure; exact by FFT for integer sums (`noise` 0, no format) of at most 2^20 steps.

    A trial's value is a probability, not 0 or 1, so the interval is narrower than counting gives.
    Returns an `Estimate`. Raises ValueError for sizes out of range, an unknown code or format, or fewer than 2 trials.
    """
    _check(width, items, members, noise, trials)
    if code not in CODES:
        raise ValueError(f"expected a code of {', '.join(CODES)}, was: {code}")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    rounding = None if format_name is None else number_format(format_name)
    found = []
    for size in _sizes(trials, members * width):
        drawn = draw(code, (size, members, width), generator)
        sums = drawn.sum(1)
        if noise:
            sums = sums + math.sqrt(noise) * torch.randn(sums.shape, generator=generator, dtype=sums.dtype)
        if rounding is not None:
            sums = rounding.round(sums)
        smallest = torch.einsum("bkd,bd->bk", drawn, sums).amin(1).numpy()
        lattice = code == "sign" and not noise and rounding is None
        log_below = _log_below(code, sums.numpy(), smallest, lattice)
        found.append(np.exp((items - members) * log_below))
    return from_values(np.concatenate(found), "simulation")


def draw(code: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Code vectors ``[..., width]`` in float64 with entries of variance 1: gauss, sphere or sign."""
    if code == "sign":
        return torch.randint(0, 2, shape, generator=generator, dtype=torch.float64) * 2 - 1
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
    if code == "sphere":
        drawn *= math.sqrt(shape[-1]) / drawn.norm(dim=-1, keepdim=True)
    return drawn


def _log_below(code: str, sums: np.ndarray, score: np.ndarray, lattice: bool) -> np.ndarray:
    """``log P(one other vector scores below)`` for each trial."""
    length, width = np.linalg.norm(sums, axis=1), sums.shape[1]
    if code == "gauss":
        return special.log_ndtr(score / np.maximum(length, 1e-300))
    if lattice:
        return np.array([_log_below_signs(y, s) for y, s in zip(sums, score, strict=True)])
    cosine = np.clip(score / np.maximum(length * math.sqrt(width), 1e-300), -1.0, 1.0)
    half = (width - 1) / 2
    if width == 1:
        return np.where(cosine > 0, math.log(0.5), -np.inf)
    above = special.betainc(half, half, (1 - cosine) / 2)
    return np.log1p(-np.minimum(above, 1 - 1e-300))


def _log_below_signs(sums: np.ndarray, score: float) -> float:
    """Exact ``log P(sum_c e_c y_c < score)`` for random signs and whole ``y``: the law by FFT of ``prod cos(y_c w)``.

    The tail is computed as a probability, absolute error about 1e-15: with 10^6 items the power is then right to 1e-9.
    """
    whole = np.abs(np.rint(sums)).astype(np.int64)
    reach = int(whole.sum())
    size = 1 << max(1, int(reach + 1).bit_length())
    if size > 1 << 20:
        raise ValueError(f"expected sums of at most {1 << 19} in all coordinates together, was: {reach}")
    # The walk moves in steps of 2 y_c from -reach: P(sum = -reach + 2 n) has the transform prod (1 + e^{i y_c w}) / 2.
    phases = np.arange(size) * (2 * np.pi / size)
    transform = np.ones(size, dtype=complex)
    for value, count in zip(*np.unique(whole[whole > 0], return_counts=True), strict=True):
        transform *= ((1 + np.exp(-1j * value * phases)) / 2) ** count
    law = np.fft.ifft(transform).real
    first = math.ceil((score + reach) / 2 - 1e-9)  # the lowest step that ties or beats the hit
    above = float(np.clip(law[max(0, first) :].sum(), 0.0, 1.0)) if first < size else 0.0
    return math.log1p(-above) if above < 1 else -math.inf


def _check(width: int, items: int, members: int, noise: float, trials: int) -> None:
    check_width(width)
    check_members(items, members)
    check_noise(noise)
    if trials < 2:
        raise ValueError(f"expected at least 2 trials, was: {trials}")


def _sizes(trials: int, each: int) -> list[int]:
    size = max(1, CHUNK // max(1, each))
    return [min(size, trials - start) for start in range(0, trials, size)]
