"""M9: which words change most with their place, in texts: the energy of interaction, with its reliability."""

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.xray.metric import Metric, absent
from locant.xray.reach import Reach
from locant.xray.shift import moved


@dataclass(frozen=True)
class Ranking:
    """Tokens from the one whose state changes most with its place to the least, and whether to believe it.

    tokens, energies, counts: in that order; empty if the reliability is refused.
    """

    tokens: tuple[int, ...]
    energies: tuple[float, ...]
    counts: tuple[int, ...]
    reliability: Metric


def interaction_energy(change: Tensor) -> Tensor:
    """``|D[c, t] - mean over contexts of D[., t]|^2`` as ``[contexts, time]``, of changes ``[contexts, time, width]``.

    Times ``C / (C - 1)``, so that it estimates the variance of the push about the one that all texts share.
    """
    contexts = change.shape[0]
    return (change - change.mean(0)).double().square().sum(-1) * contexts / (contexts - 1)


def rank(tokens: Tensor, energy: Tensor, *, least: int = 20, required: float = 0.5) -> Ranking:
    """Ranks tokens that occur at least ``least`` times by their mean energy; refuses if two halves do not agree.

    The contexts are split into even and odd ones. Spearman's correlation ``r`` of the types' means in the two halves,
    stepped up to the whole by ``2 r / (1 + r)`` (Spearman and Brown), is the reliability; below ``required`` there is
    no ranking, as most of it would be noise.
    """
    from scipy.stats import spearmanr

    types, index, counts = tokens.cpu().unique(return_inverse=True, return_counts=True)
    energy = energy.double().cpu()
    half = (torch.arange(len(tokens)) % 2)[:, None].expand(tokens.shape)
    sums, seen = (torch.zeros(2, len(types), dtype=torch.float64) for _ in range(2))
    for number in (0, 1):
        inside = half == number
        sums[number].index_add_(0, index[inside], energy[inside])
        seen[number] = torch.bincount(index[inside], minlength=len(types))
    enough = (counts >= least) & (seen > 0).all(0)
    n = int(enough.sum())
    if n < 3:
        return Ranking((), (), (), absent(f"{n} tokens occur {least} times and in both halves, 3 are needed", n=n))
    means = sums[:, enough] / seen[:, enough]
    if bool((means == means[:, :1]).all(1).any()):
        return Ranking((), (), (), absent("all tokens change alike", n=n))
    correlation = float(spearmanr(means[0].numpy(), means[1].numpy()).statistic)
    reliability = 2 * correlation / (1 + correlation) if correlation > 0 else correlation
    note = f"split-half over contexts, of {n} tokens that occur at least {least} times"
    if reliability < required:
        return Ranking((), (), (), Metric(reliability, 0.0, n, None, f"{note}: below {required}, so no ranking"))
    whole = sums.sum(0)[enough] / counts[enough]
    order = whole.argsort(descending=True, stable=True)
    return Ranking(tuple(types[enough][order].tolist()), tuple(whole[order].tolist()),
                   tuple(counts[enough][order].tolist()), Metric(reliability, 0.0, n, None, note))  # fmt: skip


def interaction_ranking(reach: Reach, tokens: Tensor, *, layer: int, shift: int = 8, capture: str = "normed",
                        batch: int = 8, least: int = 20, columns: int = 1024, inside: slice = slice(None),
                        seed: int = 0) -> Ranking:  # fmt: skip
    """M9 in context, at one layer: the changes by a shift, wider states projected at random to ``columns`` columns.

    inside: the slots that count, as special tokens around a text are no words. Keeps ``[contexts, time, min(width,
    columns)]`` numbers in float32; the projection keeps energies up to about
    ``sqrt(2 / columns)``. Raises ValueError for a model that takes no positions.
    """
    if not reach.takes_positions:
        raise ValueError("expected a model that takes positions, was: one that counts them itself")
    kept: list[list[Tensor]] = [[], []]
    generator = torch.Generator().manual_seed(seed)
    project: list[Tensor] = []

    def narrow(x: Tensor) -> Tensor:
        if x.shape[-1] <= columns:
            return x.float()
        if not project:
            project.append((torch.randn(x.shape[-1], columns, generator=generator) / columns**0.5).to(x.device))
        return x.float() @ project[0]

    for states, distance in zip(kept, (0, shift), strict=True):

        def keep(name: str, at: int, x: Tensor, rows: slice, states: list[Tensor] = states) -> None:
            states.append(narrow(x).cpu())

        positions = moved(tokens.shape[1], distance)
        reach.run(tokens, keep, layers=[layer], capture=(capture,), positions=positions, batch=batch)
    energy = interaction_energy(torch.cat(kept[1]) - torch.cat(kept[0]))
    return rank(tokens[:, inside], energy[:, inside], least=least)
