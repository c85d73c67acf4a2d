"""M10: whether columns that were set apart for position hold position, and whether the others do not."""

import torch

from locant.xray.metric import Metric, absent
from locant.xray.twoway import SPANS, Sums, variance_shares


def purity(sums: Sums, block: slice) -> dict[str, Metric]:
    """M10 for one layer: ``inside`` and ``outside``, the share of position (M4) in the block's columns and in the rest.

    ``energy``: the block's share of the squares of the states, baseline its share of the columns. The first two also
    ``.without_0``. At the input of a model that concatenates they are 1 and 0. Raises ValueError for a block that is
    empty or everything.
    """
    width = sums.position.shape[-1]
    inside = torch.zeros(width, dtype=torch.bool)
    inside[block] = True
    if not bool(inside.any()) or bool(inside.all()):
        raise ValueError(f"expected some but not all of {width} columns, was: {int(inside.sum())}")
    found: dict[str, Metric] = {}
    for name, columns in (("inside", inside), ("outside", ~inside)):
        shares = variance_shares(sums, columns=columns)
        found |= {name + suffix: shares[f"position_share{suffix}"] for suffix in SPANS}
    energy = energies(sums)
    n = sums.contexts * sums.time
    if not energy.sum() > 0:
        return found | {"energy": absent("all states are 0", n=n)}
    share = float(energy[inside].sum() / energy.sum())
    return found | {"energy": Metric(share, float(inside.double().mean()), n, None, "share of the sum of squares")}


def energies(sums: Sums) -> torch.Tensor:
    """Sums of squares of the states in each column ``[width]``, the origin of the sums put back."""
    assert sums.origin is not None
    total = sums.position.sum((0, 1))
    count = sums.contexts * sums.time
    return sums.energy.sum((0, 1)) + 2 * sums.origin * total + count * sums.origin.square()
