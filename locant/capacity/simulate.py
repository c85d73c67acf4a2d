"""Simulators whose cost does not depend on the number of items: members are drawn, all others are integrated."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import special
from torch import Tensor

from locant.capacity.check import check_members, check_noise, check_one_of_each, check_width
from locant.capacity.estimate import Estimate, from_values
from locant.capacity.exact import GOALS
from locant.capacity.formats import NumberFormat, number_format
from locant.capacity.sign_tail import log_below_real, log_below_whole

CHUNK = 1 << 20  # numbers in memory at a time, few enough to stay in a cache
CODES = ("gauss", "sphere", "sign")
Items = int | Sequence[int]


def law_sample(
    width: int,
    items: Items,
    members: int,
    noise: float,
    trials: int,
    generator: np.random.Generator,
    *,
    goal: str = "set",
    threshold: float | None = None,
) -> Estimate:
    """Samples the exact law of Gaussian codes itself: ``O(members)`` numbers a trial, whatever width and items are.

    Draws the length ``r`` of the sum and the hits, jointly normal given ``r`` (`exact.recovery_probability` has the
    law), and integrates the misses, N(0, r^2) each: a trial's value is ``Phi(smallest hit / r)^(items - members)`` for
    a set. Unbiased. Arguments are those of `simulate`, the generator numpy's.
    Raises ValueError for what `simulate` refuses.
    """
    others = check_question(width, items, members, noise, goal, threshold)
    _check_trials(trials)
    added = len(items) if isinstance(items, Sequence) else members
    total, found = added + noise, []
    for size in _sizes(trials, added):
        length = np.sqrt(total * generator.chisquare(width, (size, 1)))
        hits = generator.standard_normal((size, added))
        hits -= hits.mean(1, keepdims=True)
        hits += length / total
        if noise:
            hits += math.sqrt(noise / (added * total)) * generator.standard_normal((size, 1))
        level = None if threshold is None else torch.from_numpy(threshold * width / length)
        heights, passed = compared(torch.from_numpy(hits), len(others), isinstance(items, int), goal, level)
        found.append(_values(torch.special.log_ndtr(heights), passed, others))
    return from_values(torch.cat(found).numpy(), "simulation")


def simulate(
    width: int,
    items: Items,
    members: int = 1,
    *,
    code: str = "gauss",
    noise: float = 0.0,
    format_name: str | None = None,
    accumulate: bool = False,
    goal: str = "set",
    threshold: float | None = None,
    trials: int = 2000,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Draws only the `members` code vectors of each trial and integrates the others: ``O(members width)`` a trial.

    Given the sum ``y`` (with noise, and rounded if `format_name` is given) the scores ``<a_j, y>`` of all other vectors
    are independent of each other and follow a known law F, so a trial's probability of the whole set is
    ``F(smallest hit)^(items - members)``:

    - gauss: normal of variance ``|y|^2``; exact.
    - sphere (uniform on the sphere of radius ``sqrt(width)``): ``(1 + cos) / 2 ~ Beta((d-1)/2, (d-1)/2)``; exact.
    - sign: the law of ``sum_c +-y_c``; exact where y lies on a lattice, which it does without noise and in every format
      without an exponent, by saddlepoint otherwise (`sign_tail`). A tie is a failure.

    goal "set": the `members` largest scores of one codebook; with `items` a sequence, one item added from each codebook
    and the largest score of each. "slot": the same for one given codebook of `members` of `items` each, or the first of
    the sequence. "membership": exactly the members exceed `threshold`, in units of width, in which a lone member scores
    1; `membership.membership_probability` finds the best. `accumulate` rounds every partial sum, in the order drawn.

    A trial's value is a probability, not 0 or 1, so the interval is narrower than counting gives. Drawn in float32, on
    the generator's device; by default from seed 0.
    Raises ValueError for sizes out of range, an unknown code, goal or format, a threshold missing or out of place,
    accumulate without a format, or fewer than 2 trials.
    """
    others = check_question(width, items, members, noise, goal, threshold)
    _check_trials(trials)
    rounding = check_code_and_format(code, format_name, accumulate)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    added = len(items) if isinstance(items, Sequence) else members
    level = None if threshold is None else torch.tensor(threshold * width, device=generator.device)
    found = []
    for size in _sizes(trials, added * width):
        drawn = draw(code, (size, added, width), generator, torch.float32)
        sums = stored(drawn.sum(1), drawn, noise, rounding, accumulate, generator)
        hits = torch.bmm(drawn, sums[:, :, None])[:, :, 0]
        heights, passed = compared(hits, len(others), isinstance(items, int), goal, level)
        found.append(_values(log_below(code, sums, heights, rounding, noise), passed, others))
    return from_values(torch.cat(found).cpu().numpy(), "simulation")


def draw(code: str, shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """Code vectors ``[..., width]`` with entries of variance 1: gauss, sphere or sign."""
    if code == "sign":
        return torch.randint(0, 2, shape, generator=generator, dtype=dtype, device=generator.device).mul_(2).sub_(1)
    drawn = torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)
    if code == "sphere":
        drawn *= math.sqrt(shape[-1]) / drawn.norm(dim=-1, keepdim=True)
    return drawn


def stored(
    sums: Tensor,
    drawn: Tensor | None,
    noise: float,
    rounding: NumberFormat | None,
    accumulate: bool,
    generator: torch.Generator,
) -> Tensor:
    """What is left of sums `[trial, width]` of vectors `drawn` `[trial, member, width]`: noisy, rounded, or both.

    With `accumulate` the sum is formed anew, rounded member by member, and the noise is added to it and rounded last.
    """
    if accumulate and rounding is not None and drawn is not None:
        sums = rounding.accumulate(drawn)
    if noise:
        draws = torch.randn(sums.shape, generator=generator, dtype=sums.dtype, device=sums.device)
        sums = sums + math.sqrt(noise) * draws
    return sums if rounding is None else rounding.round(sums)


def compared(
    hits: Tensor, codebooks: int, one_codebook: bool, goal: str, level: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Heights `[trial, codebook]` that all others must stay below, and whether the hits themselves pass `[trial]`."""
    passed = torch.ones(len(hits), dtype=torch.bool, device=hits.device)
    if goal == "membership":
        assert level is not None
        return level.expand(len(hits), 1), hits.amin(1) > level.expand(len(hits), 1)[:, 0]
    if goal == "set" and one_codebook:
        return hits.amin(1, keepdim=True), passed
    return hits[:, :codebooks], passed


def log_below(code: str, sums: Tensor, scores: Tensor, rounding: NumberFormat | None, noise: float) -> Tensor:
    """``log P(one other vector scores below)`` as float64 `[trial, score]`, for sums `[trial, width]`."""
    if code == "sign":
        return torch.stack([_log_below_signs(sums, score, rounding, noise) for score in scores.T], 1)
    width = sums.shape[1]
    length = sums.double().norm(dim=1, keepdim=True)
    height = torch.where(length > 0, scores.double() / length, -math.inf)  # a sum of zero scores zero everywhere
    if code == "gauss":
        return torch.special.log_ndtr(height)
    cosine = (height / math.sqrt(width)).clamp(-1.0, 1.0)
    if width == 1:
        return torch.where(cosine > 0, math.log(0.5), -math.inf)
    half = (width - 1) / 2
    above = special.betainc(half, half, (1 - cosine.cpu().numpy()) / 2)
    return torch.log1p(-torch.from_numpy(np.atleast_1d(above))).to(sums.device)


def _log_below_signs(sums: Tensor, score: Tensor, rounding: NumberFormat | None, noise: float) -> Tensor:
    levels = rounding is not None and rounding.dtype is None
    if noise and not levels:
        return log_below_real(sums, score)
    if levels:
        assert rounding is not None
        scale = rounding.scale(sums).double().clamp_min(1e-300)
        return log_below_whole((sums / scale).round(), (score / scale[:, 0]).round())
    return log_below_whole(sums, score)


def _values(log_one: Tensor, passed: Tensor, others: Sequence[int]) -> Tensor:
    """``prod_j P(one other of codebook j stays below)^(others)`` `[trial]`, 0 where the hits do not pass."""
    found = passed.to(torch.float64)
    for column, count in enumerate(others):
        if count:
            found = found * torch.exp(count * log_one[:, column])
    return found


def check_question(
    width: int, items: Items, members: int, noise: float, goal: str, threshold: float | None
) -> tuple[int, ...]:
    """How many others each height is compared with, or ValueError for a question that cannot be asked."""
    check_width(width)
    check_noise(noise)
    if goal not in GOALS:
        raise ValueError(f"expected a goal of {', '.join(GOALS)}, was: {goal}")
    if (goal == "membership") != (threshold is not None):
        raise ValueError(f"expected a threshold for goal membership, and only for it, was: {threshold} for {goal}")
    if isinstance(items, Sequence):
        check_one_of_each(items, members)
        if goal == "membership":
            raise ValueError(f"expected one codebook for goal membership, was: {tuple(items)}")
        return tuple(size - 1 for size in (items[:1] if goal == "slot" else items))
    if goal == "slot":
        if items < 1 or members < 1:
            raise ValueError(f"expected at least 1 item and 1 member, was: {items} and {members}")
        return (items - 1,)
    check_members(items, members)
    return (items - members,)


def check_code_and_format(code: str, format_name: str | None, accumulate: bool) -> NumberFormat | None:
    """The format, or ValueError for an unknown code or format, or `accumulate` without a format."""
    if code not in CODES:
        raise ValueError(f"expected a code of {', '.join(CODES)}, was: {code}")
    if accumulate and format_name is None:
        raise ValueError("expected a format to accumulate in, was: None")
    return None if format_name is None else number_format(format_name)


def _check_trials(trials: int) -> None:
    if trials < 2:
        raise ValueError(f"expected at least 2 trials, was: {trials}")


def _sizes(trials: int, each: int) -> list[int]:
    size = max(1, CHUNK // max(1, each))
    return [min(size, trials - start) for start in range(0, trials, size)]
