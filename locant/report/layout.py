"""Placing labels on a line so that none covers another."""

from collections.abc import Sequence


def spread(wanted: Sequence[float], gap: float, room: float) -> list[float]:
    """Positions at least `gap` apart inside [0, room] with the least squared distance from ascending `wanted` ones.

    With z_i = y_i - i gap the constraint is z ascending, so pooling adjacent violators solves it; clipping z to
    [0, room - (n - 1) gap] then keeps the optimum inside. Where the room is too small the gap shrinks to fit.
    """
    if len(wanted) < 2:
        return [min(max(value, 0.0), room) for value in wanted]
    gap = min(gap, room / (len(wanted) - 1))
    pools: list[tuple[float, int]] = []  # mean and size
    for index, value in enumerate(wanted):
        mean, size = value - index * gap, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    flat = [mean for mean, size in pools for _ in range(size)]
    top = room - (len(wanted) - 1) * gap
    return [min(max(value, 0.0), top) + index * gap for index, value in enumerate(flat)]
