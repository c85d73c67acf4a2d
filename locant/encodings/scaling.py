"""Frequencies for texts longer than those of the training: ways to slow rotations down.

Each function returns float64 frequencies ``[pairs]`` on the CPU, for ``Rotary(frequencies=...)``; the methods that also
sharpen the scores have a second function that returns the ``attention_factor``. Nothing here follows a current length:
where a method depends on one, the caller says which.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from locant.encodings.frequencies import geometric


def _check(factor: float, original: int | None = None) -> None:
    if not factor >= 1:
        raise ValueError(f"expected a factor of at least 1, was: {factor}")
    if original is not None and original < 1:
        raise ValueError(f"expected an original length of at least 1, was: {original}")


def interpolated(frequencies: Tensor, factor: float) -> Tensor:
    """``w_c / factor``: all rotations slowed down alike, the same as positions divided by ``factor``.

    Source: position interpolation, Chen et al. 2023, arXiv:2306.15595, equation 3.
    Raises ValueError if the factor is below 1.
    """
    _check(factor)
    return frequencies / factor


def ntk(pairs: int, factor: float, base: float = 10_000.0) -> Tensor:
    """Frequencies of the base ``base * factor ** (d / (d - 2))``, where ``d = 2 pairs``.

    The fastest pair keeps its speed and the slowest is slowed down by exactly ``factor``.
    Source: "NTK-aware" scaling as restated by Peng et al. 2023, arXiv:2309.00071, section 3.1.
    Raises ValueError if the factor is below 1 or there is a single pair, which is both fastest and slowest.
    """
    _check(factor)
    if pairs < 2:
        raise ValueError(f"expected at least 2 pairs, was: {pairs}")
    return geometric(pairs, base * factor ** (pairs / (pairs - 1)))


def dynamic_ntk(pairs: int, factor: float, original: int, length: int, base: float = 10_000.0) -> Tensor:
    """``ntk`` with the factor ``factor * length / original - (factor - 1)``, for texts of up to ``length`` tokens.

    Up to the ``original`` length of the training the frequencies are unchanged. Once keys are cached, ``length`` must
    stay: keys rotated for one length do not fit queries rotated for another.
    Source: "dynamic NTK" as restated by Peng et al. 2023, arXiv:2309.00071, section 3.3. Differs: theirs follows the
    current length.
    Raises ValueError if the factor or a length is below 1.
    """
    _check(factor, original)
    if length < 1:
        raise ValueError(f"expected a length of at least 1, was: {length}")
    if length <= original:
        return geometric(pairs, base)
    return ntk(pairs, factor * length / original - (factor - 1), base)


def yarn(
    pairs: int,
    factor: float,
    original: int,
    base: float = 10_000.0,
    *,
    fast: float = 32.0,
    slow: float = 1.0,
    truncate: bool = True,
) -> Tensor:
    """``(1 - g_c) w_c / factor + g_c w_c``: pairs that turn often within ``original`` stay, slow ones are interpolated.

    ``g_c`` falls from 1 to 0 in a straight line over the pairs, from the one that turns ``fast`` times within
    ``original`` positions to the one that turns ``slow`` times.
    truncate: round those two ends outwards to whole pairs, as the authors do; gpt-oss does not.
    Source: "NTK-by-parts", Peng et al. 2023, arXiv:2309.00071, section 3.2. Differs: there ``g`` is linear in the
    number of turns; this is the authors' code, which everybody uses.
    Raises ValueError if the factor or the length is below 1, not ``fast >= slow > 0``, or the length is so short or
    long that all pairs lie on one side of the line.
    """
    _check(factor, original)
    if not fast >= slow > 0:
        raise ValueError(f"expected fast >= slow > 0, was: fast {fast}, slow {slow}")
    frequencies = geometric(pairs, base)
    low, high = (pairs * math.log(original / (turns * 2 * math.pi)) / math.log(base) for turns in (fast, slow))
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, 2 * pairs - 1)
    if low > high:  # the ramp would run backwards
        raise ValueError(f"expected an original length with slow and fast pairs for base {base}, was: {original}")
    if low == high:
        high += 0.001  # the authors' guard against a ramp of no width
    ramp = ((torch.arange(pairs, dtype=torch.float64, device="cpu") - low) / (high - low)).clamp(0, 1)
    return frequencies / factor * ramp + frequencies * (1 - ramp)


def yarn_attention_factor(factor: float, *, mscale: float = 1.0, mscale_all: float = 0.0) -> float:
    """``m(mscale) / m(mscale_all)`` with ``m(a) = 0.1 a ln(factor) + 1``: what rotated queries and keys are scaled by.

    The score is thus multiplied by its square. With ``mscale_all`` above 0 (DeepSeek) the model multiplies the whole
    score by ``m(mscale_all) ** 2`` besides, also the columns that are not rotated.
    Source: Peng et al. 2023, arXiv:2309.00071, section 3.4; DeepSeek-V2's code for ``mscale_all``.
    Raises ValueError if the factor is below 1.
    """
    _check(factor)
    return (0.1 * mscale * math.log(factor) + 1) / (0.1 * mscale_all * math.log(factor) + 1)


def longrope(pairs: int, factors: Sequence[float], base: float = 10_000.0) -> Tensor:
    """``w_c / factors[c]``: every pair slowed down by a number of its own, found by search.

    Models come with two lists, ``short`` for texts up to their original length and ``long`` beyond. Choosing is the
    caller's business, once per text: cached keys do not survive the switch.
    Source: Ding et al. 2024, arXiv:2402.13753, section 3.1.
    Raises ValueError if there is not one positive factor per pair.
    """
    if len(factors) != pairs or not min(factors) > 0:
        raise ValueError(f"expected {pairs} positive factors, one per pair, was: {list(factors)}")
    return geometric(pairs, base) / torch.tensor(list(factors), dtype=torch.float64, device="cpu")


def longrope_attention_factor(factor: float, original: int) -> float:
    """``sqrt(1 + ln(factor) / ln(original))``: what rotated queries and keys are scaled by.

    factor: extended length divided by the ``original`` one.
    Source: the code of LongRoPE (Ding et al. 2024, arXiv:2402.13753) and Phi-3.
    Raises ValueError if the factor is below 1 or the length below 2.
    """
    _check(factor, original)
    if original < 2:
        raise ValueError(f"expected an original length of at least 2, was: {original}")
    return math.sqrt(1 + math.log(factor) / math.log(original))


def llama3(
    pairs: int,
    factor: float,
    original: int,
    base: float = 500_000.0,
    *,
    low: float = 1.0,
    high: float = 4.0,
) -> Tensor:
    """``(1 - g_c) w_c / factor + g_c w_c`` with ``g_c = (original / wavelength_c - low) / (high - low)`` in [0, 1].

    Wavelengths above ``original / low`` are slowed down by ``factor``, those below ``original / high`` stay, and in
    between it is a mixture, linear in the number of turns within ``original`` positions.
    Source: the code of Llama 3.1; its report, Grattafiori et al. 2024, arXiv:2407.21783, gives only the base.
    With ``high == low`` (Llama 4) there is no mixture.
    Raises ValueError if the factor or the length is below 1, or not ``high >= low > 0``.
    """
    _check(factor, original)
    if not high >= low > 0:
        raise ValueError(f"expected high >= low > 0, was: high {high}, low {low}")
    frequencies = geometric(pairs, base)
    turns = original * frequencies / (2 * math.pi)
    kept = ((turns - low) / (high - low)).clamp(0, 1) if high > low else (turns >= low).double()
    return frequencies / factor * (1 - kept) + frequencies * kept
