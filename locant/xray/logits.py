"""M6: attention logits split into what hangs on absolute position, on distance, and on content; for any scheme."""

import torch
from torch import Tensor

from locant.xray.metric import Metric, absent
from locant.xray.twoway import Left, in_groups, leave, with_interval

FEWEST = 3  # valid keys that a query needs to take part


class LogitSums:
    """Running sums of row-centred logits ``[rows, head, query, key]``, float64, by groups of contexts.

    cells: ``[group, head, query, key]``. squares: ``[group, head]``. by_distance: ``[group, head, distance]``, sums of
    the cells at each distance ``query - key``; projected: ``[group, head]``, the energy of each context's projection on
    functions of distance. Rows with fewer than 3 visible keys and query 0 take no part. Logits and log-weights give the
    same, as they differ by a number for each row.
    """

    def __init__(self, contexts: int, *, groups: int = 8) -> None:
        self.contexts, self.group = contexts, in_groups(contexts, groups)
        self.groups = int(self.group[-1]) + 1
        self.visible: Tensor | None = None

    def add(self, logits: Tensor, rows: slice) -> None:
        """Takes in the contexts ``rows``; hidden pairs are minus infinity, the same ones in all rows and heads."""
        seen = logits > -torch.inf
        if self.visible is None:
            self._start(seen[0, 0], logits)
        assert self.visible is not None
        if not torch.equal(seen, self.visible.expand_as(seen)):
            raise ValueError("expected the same pairs to be visible in all texts and heads, was: others")
        x = row_centred(logits.double(), self.used)
        flat = x.flatten(2)
        by_distance = flat.new_zeros(*flat.shape[:2], len(self.inverse)).index_add_(2, self.distance, flat)
        group = self.group[rows].to(x.device)
        self.cells.index_add_(0, group, x)
        self.squares.index_add_(0, group, flat.square().sum(-1))
        self.by_distance.index_add_(0, group, by_distance)
        self.projected.index_add_(0, group, self._energy(by_distance))

    def _start(self, visible: Tensor, logits: Tensor) -> None:
        heads, queries, keys = logits.shape[1:]
        self.visible = visible
        enough = (visible.sum(-1) >= FEWEST) & (torch.arange(queries, device=visible.device) > 0)
        if not bool(enough.any()):
            raise ValueError(f"expected queries that see at least {FEWEST} keys, was: none")
        self.used = visible & enough[:, None]
        distance = torch.arange(queries)[:, None] - torch.arange(keys) + keys - 1
        self.distance = distance.flatten().to(visible.device)
        count = queries + keys - 1
        rows = self.used.double()
        each = rows.new_zeros(queries, count).scatter_(1, distance.to(visible.device), rows)[enough]
        normal = torch.diag(each.sum(0)) - each.T @ (each / each.sum(1, keepdim=True))
        self.inverse = torch.linalg.pinv(normal, hermitian=True, rtol=1e-10)
        self.cells = rows.new_zeros(self.groups, heads, queries, keys)
        self.squares, self.projected = rows.new_zeros(2, self.groups, heads)
        self.by_distance = rows.new_zeros(self.groups, heads, count)

    def _energy(self, by_distance: Tensor) -> Tensor:
        """Energy of the least-squares fit by a function of distance (row-centred, as the logits are)."""
        return (by_distance @ self.inverse * by_distance).sum(-1)

    def split(self, left_out: int | None = None) -> Tensor:
        """Variances ``[4, head]``: of position, its relative part, its absolute part, and content; unbiased.

        With the mean ``m`` over ``C`` contexts and the variance ``s2`` about it, summed over cells: position is
        ``|m|^2 - s2 / C``, content ``s2`` (with ``C - 1``); their sum is the mean energy. The relative part is
        corrected likewise within the space of functions of distance. By chance the first three may be below 0.
        """
        keep = torch.arange(self.groups) != (-1 if left_out is None else left_out)
        contexts = int(keep[self.group].sum())
        mean = self.cells[keep].sum(0) / contexts
        energy, total = mean.square().sum((-1, -2)), self.squares[keep].sum(0) / contexts
        position = energy - (total - energy) / (contexts - 1)
        fitted = self._energy(self.by_distance[keep].sum(0) / contexts)
        relative = fitted - (self.projected[keep].sum(0) / contexts - fitted) / (contexts - 1)
        return torch.stack([position, relative, position - relative, total - position])

    def mean_attention(self) -> Tensor:
        """``softmax`` of the mean row-centred logits ``[head, query, key]``: attention as position alone would have it.

        Rows that take no part are NaN.
        """
        mean = (self.cells.sum(0) / self.contexts).masked_fill(~self.used, -torch.inf)
        return mean.softmax(-1)


def row_centred(logits: Tensor, used: Tensor) -> Tensor:
    """Logits less their mean over the used keys of each row; 0 at pairs that are not used."""
    count = used.sum(-1, keepdim=True).clamp_min(1)
    mean = logits.masked_fill(~used, 0).sum(-1, keepdim=True) / count
    return (logits - mean).masked_fill(~used, 0)


def logit_split(sums: LogitSums) -> dict[str, Metric]:
    """M6 for one layer: ``position``, ``relative``, ``absolute`` and ``content``, and the same as ``head.H.NAME``.

    Shares of the variance of row-centred logits (which are log-attention up to a number per row) over visible pairs.
    ``position = relative + absolute`` (before each is cut at 0) is what all texts have in common in a cell, corrected
    for their number; of it ``relative`` is a function of the distance ``query - key``; ``content`` is the rest. The
    baseline of each but content is 0, as in logits that know nothing of position. A layer pools its heads by energy.
    """
    split = {group: sums.split(group) for group in leave(sums.groups)}
    found: dict[str, Metric] = {}
    heads = sums.squares.shape[1]
    pieces = [("", slice(None)), *((f"head.{head}.", slice(head, head + 1)) for head in range(heads))]
    for prefix, rows in pieces:
        summed = {group: each[:, rows].sum(1) for group, each in split.items()}
        for number, name in enumerate(("position", "relative", "absolute", "content")):
            total = {group: float(each[0] + each[3]) for group, each in summed.items()}
            if not total[None] > 0:
                found[prefix + name] = absent("the logits do not vary", n=sums.contexts)
                continue
            values: Left = {g: float(each[number]) / total[g] if total[g] > 0 else float("nan")
                            for g, each in summed.items()}  # fmt: skip
            baseline = None if name == "content" else 0.0
            note = "share of the variance of row-centred logits"
            found[prefix + name] = with_interval(values, n=sums.contexts, baseline=baseline, note=note, bounds=(0, 1))
    return found
