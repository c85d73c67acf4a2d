"""What every law refuses, in one line each."""

import math
from collections.abc import Sequence


def check_width(width: float) -> None:
    if not (math.isfinite(width) and width >= 1):
        raise ValueError(f"expected a width of at least 1, was: {width}")


def check_noise(noise: float) -> None:
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(f"expected a noise variance of at least 0, was: {noise}")


def check_members(items: int, members: int) -> None:
    """One codebook of `items`, of which `members` different ones are added."""
    if items < 1:
        raise ValueError(f"expected at least 1 item, was: {items}")
    if not 1 <= members <= items:
        raise ValueError(f"expected members between 1 and {items} items, was: {members}")


def check_probability(probability: float) -> None:
    if not 0 < probability < 1:
        raise ValueError(f"expected a probability between 0 and 1, was: {probability}")


def check_one_of_each(items: Sequence[int], members: int) -> None:
    """Several codebooks of which one item each is added."""
    if len(items) == 0 or min(items) < 1:
        raise ValueError(f"expected at least 1 item in each codebook, was: {tuple(items)}")
    if members != 1:
        raise ValueError(f"expected members=1, one item of each of {len(items)} codebooks, was: {members}")
