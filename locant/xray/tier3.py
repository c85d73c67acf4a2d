"""Small measures from the literature: locality and symmetry, adjacency, shrinking variance, neurons, favourites."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from locant.xray.logits import LogitSums
from locant.xray.metric import Metric, absent
from locant.xray.reach import Reach


def locality(attention: Tensor) -> Metric:
    """``mean_i sum_j M_ij 2^-|i - j|`` of attention ``[head, query, key]``, rows that are NaN left out.

    1 if every token reads itself; the baseline is uniform attention over the same visible keys. Source: Chen, Varoquaux
    and Suchanek 2023, arXiv:2310.12864.
    """
    weights = attention.double()
    queries, keys = weights.shape[-2:]
    near = 0.5 ** (torch.arange(queries)[:, None] - torch.arange(keys)).abs().double().to(weights.device)
    good = weights.isfinite().all(-1)
    if not bool(good.any()):
        return absent("no row of attention is complete")
    visible = (weights > 0).double()
    uniform = visible / visible.sum(-1, keepdim=True).clamp_min(1)
    values = [float((each * near).sum(-1)[good].mean()) for each in (weights, uniform)]
    return Metric(values[0], values[1], int(good.sum()), None, "of attention as position alone would have it")


def symmetry(attention: Tensor) -> Metric:
    """``1 - mean |M_i,i-k - M_i,i+k|`` of min-max scaled attention, over pairs that are both there.

    None for causal attention, which has one side only. Source as for ``locality``, of which they scale the whole
    matrix; 1 is perfect symmetry.
    """
    differences = []
    for matrix in attention.double():
        good = matrix[matrix.isfinite()]
        if good.numel() == 0 or not float(good.max()) > float(good.min()):
            continue
        scaled = (matrix - good.min()) / (good.max() - good.min())
        if not bool((matrix.triu(1) > 0).any()):
            return absent("causal attention has one side only")
        for k in range(1, matrix.shape[-1] // 2 + 1):
            i = torch.arange(k, matrix.shape[-1] - k)
            differences.append((scaled[i, i - k] - scaled[i, i + k]).abs())
    joined = torch.cat(differences) if differences else torch.zeros(0)
    joined = joined[joined.isfinite()]
    if joined.numel() == 0:
        return absent("attention is the same everywhere, or has no pairs on both sides")
    return Metric(1 - float(joined.mean()), None, joined.numel(), None, "of attention as position alone would have it")


def identical_word(reach: Reach, words: Sequence[int], time: int, *, batch: int = 8) -> dict[int, LogitSums]:
    """Logits of texts that repeat one word each: what is left of attention is position. For each layer.

    ``logit_split`` then tells how much all words agree on, and how much of it is a function of distance; ``locality``
    and ``symmetry`` take ``mean_attention()``. Source: Wang et al. 2021, *On Position Embeddings in BERT*, section 4.
    """
    tokens = torch.tensor(list(words))[:, None].expand(-1, time)
    sums: dict[int, LogitSums] = {}

    def visit(name: str, layer: int, x: Tensor, rows: slice) -> None:
        sums.setdefault(layer, LogitSums(len(tokens))).add(x, rows)

    reach.run(tokens, visit, capture=("logits",), batch=batch)
    return sums


class Slots:
    """Running sums per slot: of states, of their squares, of how often a state is nearer to a nearer neighbour."""

    def __init__(self, contexts: int) -> None:
        self.contexts, self.seen = contexts, 0
        self.wins: list[Tensor] = []
        self.origin: Tensor | None = None

    def add(self, x: Tensor, rows: slice) -> None:
        """Takes in states ``[rows, time, width]``."""
        x = x.double()
        if self.origin is None:
            self.origin = x.mean((0, 1))
            self.mean, self.energy = x.new_zeros(x.shape[1:]), x.new_zeros(x.shape[1])
        self.wins.append(_wins(x))
        x = x - self.origin
        self.mean += x.sum(0)
        self.energy += x.square().sum((0, 2))
        self.seen += len(x)

    def variances(self) -> Tensor:
        """The variance over contexts at each slot ``[time]``, summed over columns, unbiased."""
        mean = self.mean / self.seen
        return (self.energy / self.seen - mean.square().sum(-1)).clamp_min(0) * self.seen / (self.seen - 1)


def _wins(x: Tensor) -> Tensor:
    """For each context, in how many of the cases a token is more like its neighbour than like the next one but one."""
    unit = torch.nn.functional.normalize(x, dim=-1)
    near = (unit[:, :-1] * unit[:, 1:]).sum(-1)
    far = (unit[:, :-2] * unit[:, 2:]).sum(-1)
    left, right = near[:, 1:], near[:, :-1]  # of slot i + 2 to i + 1, and of slot i to i + 1
    wins = torch.stack([left > far, right > far]).double() + 0.5 * torch.stack([left == far, right == far])
    return wins.mean((0, 2))


def adjacency(slots: Slots) -> Metric:
    """How often a state is more like its neighbour's than like that of the token after it, by cosine; chance is 0.5.

    Ours in the spirit of the adjacency probability of Zuo et al. 2025, arXiv:2501.00073, which takes more distances.
    """
    wins = torch.cat(slots.wins)
    n = len(wins)
    if n < 2:
        return absent("one text is not enough", n=n)
    from scipy.special import stdtrit

    mean, half = float(wins.mean()), float(wins.std()) / math.sqrt(n) * float(stdtrit(n - 1, 0.975))
    return Metric(mean, 0.5, n, (max(0.0, mean - half), min(1.0, mean + half)), "share of neighbours that are nearer")


def shrinking(slots: Slots) -> Metric:
    """Slope of log variance against log (slot + 1): -1 where a state is the mean of all before it, 0 (baseline) if not.

    Slot 0 is left out: a special token there is the same in all texts and has no variance. Source: Chi
    et al. 2023, arXiv:2305.13571: attention that averages evenly over ``m`` tokens has variance ``1 / m``.
    """
    variances = slots.variances()[1:]
    if not bool((variances > 0).all()):
        return absent("some slots do not vary", n=slots.seen)
    at = torch.arange(2, len(variances) + 2, device=variances.device).double().log()
    slope = float(((at - at.mean()) * variances.log()).sum() / (at - at.mean()).square().sum())
    return Metric(slope, 0.0, len(variances), None, "least squares over slots from 1 on")


class Neurons:
    """Counts of how often each neuron is active (above 0) at each slot: ``[time, neurons]``."""

    def __init__(self) -> None:
        self.active: Tensor | None = None
        self.texts = 0

    def add(self, x: Tensor, rows: slice) -> None:
        """Takes in activations ``[rows, time, neurons]``."""
        active = (x > 0).double().sum(0)
        self.active = active if self.active is None else self.active + active
        self.texts += len(x)

    def information(self) -> Tensor:
        """Mutual information of slot and activity in bits ``[neurons]``, less its bias ``(T - 1) / (2 n ln 2)``."""
        assert self.active is not None
        rate, time = self.active / self.texts, len(self.active)
        mean = rate.mean(0)
        bits = _entropy(mean) - _entropy(rate).mean(0)
        varies = (mean > 0) & (mean < 1)
        return torch.where(varies, bits - (time - 1) / (2 * self.texts * time * math.log(2)), 0.0)


def _entropy(p: Tensor) -> Tensor:
    return -(torch.special.xlogy(p, p) + torch.special.xlogy(1 - p, 1 - p)) / math.log(2)


def positional_neurons(neurons: Neurons, *, bits: float = 0.05) -> Metric:
    """The share of neurons whose activity tells more than ``bits`` about the slot; baseline 0.

    Source: Voita et al. 2023, arXiv:2309.04827, of OPT, whose neurons are active above 0. In gated MLPs it is the
    product of gate and value that is looked at. Miller and Madow's correction is ours.
    """
    if neurons.active is None:
        return absent("the model has no activations that can be reached")
    information = neurons.information()
    found = float((information > bits).double().mean())
    return Metric(found, 0.0, information.numel(), None, f"share of neurons with more than {bits} bits on the slot")


def favourites(positions: Tensor, words: Tensor, *, most: int = 5, block: int = 65536) -> Tensor:
    """The tokens ``[position, most]`` that each position favours through a tied head: the largest of ``(P - mean) W'``.

    positions: ``[position, width]``; words: ``[vocabulary, width]``, read in blocks of rows.
    """
    centred = positions.float() - positions.float().mean(0)
    best = torch.full((len(positions), 0), 0.0, device=positions.device)
    which = torch.zeros(len(positions), 0, dtype=torch.long, device=positions.device)
    for start in range(0, len(words), block):
        scores = centred @ words[start : start + block].float().T
        index = torch.arange(start, start + scores.shape[1], device=scores.device).expand_as(scores)
        joined, known = torch.cat([best, scores], 1), torch.cat([which, index], 1)
        best, at = joined.topk(min(most, joined.shape[1]), dim=1)
        which = known.gather(1, at)
    return which
