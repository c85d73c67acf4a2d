"""The interval of a proportion."""

import math


def wilson(share: float, trials: float, quantile: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval for the proportion `share` of `trials`, which need not be whole (Wilson 1927).

    ``(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)``, clipped so that it contains `share`. `quantile` is z; the
    interval is one of 95 % as it stands. Never empty, also when all or none are right.

    Raises ValueError for no trials or a share outside [0, 1].
    """
    if not trials > 0:
        raise ValueError(f"expected more than 0 trials, was: {trials}")
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share between 0 and 1, was: {share}")
    square = quantile**2 / trials
    middle = share + square / 2
    half = quantile * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    return max(0.0, min(share, (middle - half) / (1 + square))), min(1.0, max(share, (middle + half) / (1 + square)))
