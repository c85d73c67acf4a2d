"""M4: how much of hidden states is one vector per token plus one per position, from counts and running sums."""

import torch
from torch import Tensor

from locant.xray.metric import Metric, absent
from locant.xray.twoway import SPANS


class TokenSums:
    """Running sums for ``h = a[token] + b[slot]``: the fit then needs no second pass, only counts.

    tokens: ``[contexts, time]``, all that will come. The ``types`` commonest are kept; rows of other tokens take no
    part, as a common vector for them would be a model that nobody claims.
    """

    def __init__(self, tokens: Tensor, *, types: int = 4096) -> None:
        known, inverse, counts = tokens.cpu().unique(return_inverse=True, return_counts=True)
        common = counts.argsort(descending=True, stable=True)[:types]
        index = torch.full((len(known),), -1)
        index[common] = torch.arange(len(common))
        self.index = index[inverse].view(tokens.shape)
        self.kept = len(common)
        self.origin: Tensor | None = None

    def add(self, x: Tensor, rows: slice) -> None:
        """Takes in the states ``[rows, time, width]`` of the contexts ``rows``."""
        x = x.double()
        time, width = x.shape[1:]
        if self.origin is None:
            self.origin = x.mean((0, 1))
            self.token, self.slot = x.new_zeros(2, self.kept, width), x.new_zeros(time, width)
            self.energy = x.new_zeros(2)
        index = self.index[rows].to(x.device)
        x = (x - self.origin) * (index >= 0)[..., None]
        index = index.clamp_min(0)
        self.token[0].index_add_(0, index[:, 0], x[:, 0])
        self.token[1].index_add_(0, index[:, 1:].flatten(), x[:, 1:].flatten(0, 1))
        self.slot += x.sum(0)
        self.energy += torch.stack([x[:, 0].square().sum(), x[:, 1:].square().sum()])

    def counts(self, start: int) -> Tensor:
        """How often each kept type stands in each slot from ``start``: ``[type, time - start]``."""
        index, time = self.index[:, start:], self.index.shape[1] - start
        flat = index * time + torch.arange(time)
        return torch.bincount(flat[index >= 0], minlength=self.kept * time).view(self.kept, time).double()


def additive_fit(sums: TokenSums) -> dict[str, Metric]:
    """Adjusted R² of token plus position, and what each explains beyond the other, over all slots and without slot 0.

    ``1 - (1 - R2) (n - 1) / (n - r)`` with ``r`` the rank of the design: types + slots - its connected parts (for one
    part ``n - K - T + 1``). 1 for any model at its input where it adds a vector for the token and one for the position.
    """
    found: dict[str, Metric] = {}
    for suffix, start in SPANS.items():
        counts = sums.counts(start)
        device = sums.slot.device
        token, slot = sums.token[start:].sum(0), sums.slot[start:]
        here = counts.sum(1) > 0
        counts, token = counts[here].to(device), token[here.to(device)]
        found |= {name + suffix: metric
                  for name, metric in _fit(counts, token, slot, float(sums.energy[start:].sum())).items()}  # fmt: skip
    return found


def _fit(counts: Tensor, token: Tensor, slot: Tensor, energy: float) -> dict[str, Metric]:
    rows, columns, n = counts.sum(1), counts.sum(0), int(counts.sum())
    mean = float((slot.sum(0) / n).square().sum()) * n
    total = energy - mean
    rank = counts.shape[0] + counts.shape[1] - _connected(counts)
    names = ("additive_r2", "token_beyond_position", "position_beyond_token")
    if n <= rank:
        return {name: absent(f"{n} rows are not enough for {rank} vectors", n=n) for name in names}
    if total <= 1e-12 * max(energy, 1e-300):
        return {name: absent("nothing varies", n=n) for name in names}
    by_token = float((token.square().sum(1) / rows).sum())
    by_slot = float((slot.square().sum(1) / columns.clamp_min(1)).sum())
    # What is left for slots once each type has its mean: normal equations of the size of the window.
    inner = torch.diag(columns) - counts.T @ (counts / rows[:, None])
    target = slot - counts.T @ (token / rows[:, None])
    both = by_token + float((torch.linalg.pinv(inner, hermitian=True, rtol=1e-10) @ target * target).sum())

    def adjusted(explained: float, parameters: int) -> float:
        return 1 - max(0.0, 1 - (explained - mean) / total) * (n - 1) / (n - parameters)

    whole = adjusted(both, rank)
    note = f"adjusted R2 of {counts.shape[0]} token and {counts.shape[1]} position vectors"
    return {
        "additive_r2": Metric(whole, 0.0, n, None, note),
        "token_beyond_position": Metric(whole - adjusted(by_slot, counts.shape[1]), 0.0, n, None, note),
        "position_beyond_token": Metric(whole - adjusted(by_token, counts.shape[0]), 0.0, n, None, note),
    }


def _connected(counts: Tensor) -> int:
    """How many connected parts the graph of types and slots has."""
    from scipy.sparse import bmat, csr_matrix
    from scipy.sparse.csgraph import connected_components

    edges = csr_matrix(counts.cpu().numpy() > 0)
    return int(connected_components(bmat([[None, edges], [edges.T, None]]), directed=False)[0])
