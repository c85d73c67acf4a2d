"""A number with its method and its interval: what every law, simulator and decoder returns to a report."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from locant.maths.proportion import wilson


@dataclass(frozen=True)
class Estimate:
    """A probability (or another number) with what is known about its error.

    `low` and `high` bound it: a 95 % interval of a simulation, the error bound of a formula, both equal to `value`
    for an exact count. `method` says where it comes from: "formula", "simulation", "brute force", "state evolution"...
    `trials` is the number of random trials behind it, 0 for none.
    """

    value: float
    low: float
    high: float
    method: str
    trials: int = 0

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"expected low <= value <= high, was: {self.low}, {self.value}, {self.high}")
        if self.trials < 0:
            raise ValueError(f"expected at least 0 trials, was: {self.trials}")

    def agrees(self, other: "Estimate") -> bool:
        """Whether the two intervals overlap; a report flags every pair that does not."""
        return self.low <= other.high and other.low <= self.high


def from_formula(value: float, tolerance: float = 0.0, method: str = "formula") -> Estimate:
    """A probability by formula, with the absolute error that the formula promises.

    Raises ValueError for a value outside [0, 1] or a negative tolerance.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"expected a probability between 0 and 1, was: {value}")
    if not tolerance >= 0:
        raise ValueError(f"expected a tolerance of at least 0, was: {tolerance}")
    return Estimate(value, max(0.0, value - tolerance), min(1.0, value + tolerance), method)


def from_counts(successes: int, trials: int, method: str = "simulation", confidence: float = 0.95) -> Estimate:
    """A proportion of independent trials, with Wilson's score interval (Wilson 1927, equation 8).

    Raises ValueError for fewer than 1 trial, successes outside 0..trials or a confidence outside (0, 1).
    """
    if trials < 1:
        raise ValueError(f"expected at least 1 trial, was: {trials}")
    if not 0 <= successes <= trials:
        raise ValueError(f"expected successes between 0 and {trials}, was: {successes}")
    share = successes / trials
    return Estimate(share, *wilson(share, trials, _quantile(confidence)), method, trials)


def from_values(values: Sequence[float] | np.ndarray, method: str = "simulation", confidence: float = 0.95) -> Estimate:
    """The mean of independent probabilities, one a trial (Rao-Blackwellised trials: the rest was integrated).

    Wilson's interval with as many trials as a 0/1 count would need for the same variance, ``n p (1-p) / s²``, and the
    quantile of Student's t with ``n-1`` degrees of freedom. Unlike ``mean ± t s/√n`` it stays inside [0, 1] and does
    not shrink to a point where all values are 0 or all are 1; there it is Wilson's for n trials.

    Raises ValueError for fewer than 2 values, a value outside [0, 1] or a confidence outside (0, 1).
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    if sample.size < 2:
        raise ValueError(f"expected at least 2 values, was: {sample.size}")
    if not (sample.min() >= 0 and sample.max() <= 1):
        raise ValueError(f"expected values between 0 and 1, was: {sample.min()} to {sample.max()}")
    share, variance = float(sample.mean()), float(sample.var(ddof=1))
    binary = share * (1 - share)
    effective = sample.size * binary / variance if variance > 0 and binary > 0 else sample.size
    interval = wilson(share, effective, _quantile(confidence, sample.size - 1))
    return Estimate(share, *interval, method, sample.size)


def from_clusters(
    successes: Sequence[float] | np.ndarray,
    trials: Sequence[int] | np.ndarray,
    method: str = "brute force",
    confidence: float = 0.95,
) -> Estimate:
    """A proportion of trials that share codebooks: `successes[c]` of `trials[c]` with codebook c.

    Trials of one codebook are not independent, so the variance is that between codebooks (ratio estimator,
    Cochran 1977, equation 2.39): ``n/(n-1) Σ (s_c - p t_c)² / (Σ t_c)²``. The interval is Wilson's with the number of
    independent trials of that variance, never more than were run, and Student's t with ``n-1`` degrees of freedom.
    `successes` may be sums of probabilities.

    Raises ValueError for fewer than 2 codebooks, lists of different length, a codebook without trials, or successes
    outside 0..trials.
    """
    good, count = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if good.shape != count.shape or good.ndim != 1:
        raise ValueError(f"expected as many successes as trials, was: {good.shape} and {count.shape}")
    if good.size < 2:
        raise ValueError(f"expected at least 2 codebooks, was: {good.size}")
    if count.min() < 1:
        raise ValueError(f"expected at least 1 trial for each codebook, was: {count.min():g}")
    if (good < 0).any() or (good > count).any():
        raise ValueError("expected successes between 0 and the trials of each codebook, was: others")
    total, share = float(count.sum()), float(good.sum() / count.sum())
    variance = good.size / (good.size - 1) * float(((good - share * count) ** 2).sum()) / total**2
    effective = total if variance == 0 else min(total, share * (1 - share) / variance)
    interval = wilson(share, effective, _quantile(confidence, good.size - 1))
    return Estimate(share, *interval, method, int(total))


def _quantile(confidence: float, freedom: int | None = None) -> float:
    from scipy.special import ndtri, stdtrit

    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, was: {confidence}")
    tail = (1 + confidence) / 2
    return float(ndtri(tail) if freedom is None else stdtrit(freedom, tail))
