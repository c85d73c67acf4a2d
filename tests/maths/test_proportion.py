"""Wilson's interval against its formula, against scipy, and what it refuses."""

import math

import pytest
from scipy.stats import binomtest, norm

from locant.maths.proportion import wilson


@pytest.mark.parametrize(("successes", "trials", "confidence"), [(0, 5, 0.95), (3, 5, 0.9), (8, 8, 0.95)])
def test_wilson_by_its_formula(successes: int, trials: int, confidence: float) -> None:
    quantile, share = norm.ppf(0.5 + confidence / 2), successes / trials
    centre = (share + quantile**2 / (2 * trials)) / (1 + quantile**2 / trials)
    spread = quantile * math.sqrt(share * (1 - share) / trials + quantile**2 / (4 * trials**2))
    half = spread / (1 + quantile**2 / trials)
    assert wilson(share, trials, quantile) == pytest.approx((centre - half, centre + half), abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (7, 7), (3, 11), (499, 1000)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson(successes / trials, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(
    ("share", "trials", "message"),
    [
        (0.5, 0, "expected more than 0 trials, was: 0"),
        (1.5, 3, r"expected a share between 0 and 1, was: 1\.5"),
        (math.nan, 3, "expected a share between 0 and 1, was: nan"),
    ],
)
def test_wilson_refuses(share: float, trials: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wilson(share, trials)
