"""M3c: what readers find in the sum of a token and a position, fitted and tested on different rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.maths.proportion import wilson
from locant.xray.linear_readers import (
    LinearReader,
    discriminant,
    linear_readers,
    oblique,
    read,
    right_everywhere,
)
from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments, moments
from locant.xray.nearest import nearest_pairs, pair_index

READ = 1 << 16  # sums read at once, times the width
WORST = 10
CHOOSING = 256  # sums of the fitted half by which the rank of the oblique reader is chosen, at most
GRID = 1 << 28  # scores for the worst tokens and positions, at most
SQUARE = 4096  # positions up to which all of them are tested for the worst one
FEW = 256  # positions that are tested for it in larger tables
FITTED = 1 << 13  # rows that a reader is fitted on, at most, or 4 d if that is more
TOKEN_RIDGE = 1e-4
FEWEST = 4  # rows of either table: two to fit on, two to test on


@dataclass(frozen=True)
class Readings:
    """What `readers` found: the metrics, and the test tokens and the positions at which the discriminant reads the
    position worst, as (token or position, share read rightly), the worst first."""

    metrics: dict[str, Metric]
    worst_tokens: tuple[tuple[int, float], ...] = ()
    worst_positions: tuple[tuple[int, float], ...] = ()


def readers(
    tokens: Tensor,
    positions: Tensor,
    *,
    ids: Tensor | None = None,
    samples: int = 10_000,
    token_samples: int = 1_000,
    pairs: int = 500,
    seed: int = 0,
    first: int = 0,
    of_tokens: Moments | None = None,
    of_positions: Moments | None = None,
) -> Readings:
    """Read sampled sums W_v + P_p, v and p uniform and independent; intervals are Wilson's, 95 %.

    `pair`: share of `pairs` sums whose nearest pair is (v, p) and no other, without noise; `pair_tokens_tried`:
    mean number of tokens that the proof needed. `position.R`, R of matched, lda, oblique: share of `samples` sums
    whose position is read rightly, by a reader whose mean and covariance of tokens are those of one half of the
    tokens, in sums with the other half; `position.R.mae` the mean absolute error in positions, chance (N^2 -
    1)/(3N). `token.R`: the same for tokens among all V, with halves of the positions and `token_samples` sums. The
    rank of `oblique` is the one of d/8, d/4, d/2 and 3d/4 that reads best on the half it is fitted on.
    `position.lda.worst_token` and `.worst_position`: the lowest share for one token over positions, all of them up to
    4096 and else 256 spread evenly, and for one position over test tokens.
    A reader is fitted on 8192 rows at most, or on 4 d. `first` is the position of the first position row.
    Chance is 1/N, 1/V or 1/(VN).
    """
    if min(len(tokens), len(positions)) < FEWEST:
        reason = f"expected at least {FEWEST} rows in both tables, was: {len(tokens)} and {len(positions)}"
        return Readings({name: absent(reason) for name in ("pair", "position.lda", "token.lda")})
    generator = torch.Generator().manual_seed(seed)
    w = moments(tokens) if of_tokens is None else of_tokens
    known = moments(positions) if of_positions is None else of_positions
    found, most = _pair(tokens, positions, known, pairs, generator), max(FITTED, 4 * known.width)
    fit, test = _halves(len(tokens), most, generator)
    made = _made(positions, known.mean, tokens[fit], None, samples, generator)
    v = test[torch.randint(len(test), (samples,), generator=generator)]
    p = torch.randint(len(positions), (samples,), generator=generator)
    for name, reader in made.items():
        read_as = _read(tokens, positions, v, p, reader)
        found |= _scores(f"position.{name}", read_as, p, len(positions), mae=True)
    places = evenly(len(positions), SQUARE if len(positions) <= SQUARE else FEW)
    shown = test[evenly(len(test), max(1, GRID // (len(positions) * len(places))))]
    named = shown if ids is None else ids[shown]
    worst = _worst(tokens, positions, shown, places, made["lda"], named, first)
    fit, test = _halves(len(positions), most, generator)
    made = _made(tokens, w.mean, positions[fit], TOKEN_RIDGE, token_samples, generator)
    v = torch.randint(len(tokens), (token_samples,), generator=generator)
    p = test[torch.randint(len(test), (token_samples,), generator=generator)]
    for name, reader in made.items():
        found |= _scores(f"token.{name}", _read(tokens, positions, v, p, reader), v, len(tokens))
    return Readings(found | worst.metrics, worst.worst_tokens, worst.worst_positions)


def share(right: int, count: int, chance: float, note: str) -> Metric:
    """A share with Wilson's interval at 95 % (Wilson 1927): never empty, also when all or none are right."""
    return Metric(right / count, chance, count, wilson(right / count, count), note)


def _pair(
    tokens: Tensor, positions: Tensor, of_positions: Moments, count: int, generator: torch.Generator
) -> dict[str, Metric]:
    v = torch.randint(len(tokens), (count,), generator=generator)
    p = torch.randint(len(positions), (count,), generator=generator)
    found = nearest_pairs(tokens[v].double() + positions[p].double(), pair_index(tokens, positions, of_positions))
    right = int(((found.token == v) & (found.position == p) & (found.ties == 1)).sum())
    tried, chance = found.tried.double(), 1 / (len(tokens) * len(positions))
    return {
        "pair": share(right, count, chance, "sums that decode to their own pair and no other, exact search"),
        "pair_tokens_tried": Metric(float(tried.mean()), len(tokens), count, note="tokens; all of them by brute force"),
    }


def _halves(count: int, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    order = torch.randperm(count, generator=generator)
    return order[: min(count // 2, most)].sort().values, order[count // 2 :]


def _made(
    rows: Tensor, mean: Tensor, others: Tensor, ridge: float | None, samples: int, generator: torch.Generator
) -> dict[str, LinearReader]:
    """The three readers of `rows`, whose mean is given, in sums with the other table, fitted on these rows of it."""
    noise, width = moments(others), len(mean)
    count = min(CHOOSING, max(64, samples // 4))
    a = torch.randint(len(rows), (count,), generator=generator)
    b = torch.randint(len(others), (count,), generator=generator)
    ranks = sorted({max(1, width // 8), max(1, width // 4), max(1, width // 2), max(1, 3 * width // 4)})
    weights = {str(rank): oblique(noise, rank) for rank in ranks}
    weights |= {"matched": torch.ones(width, dtype=torch.float64), "lda": discriminant(noise, ridge)}
    made = linear_readers(rows, mean, noise, weights)
    right = {rank: int((_read(rows, others, a, b, made[str(rank)]) == a).sum()) for rank in ranks}
    best = max(ranks, key=lambda rank: (right[rank], -rank))
    return {"matched": made["matched"], "lda": made["lda"], "oblique": made[str(best)]}


def _read(first: Tensor, second: Tensor, a: Tensor, b: Tensor, reader: LinearReader) -> Tensor:
    """What the reader takes the sums first[a] + second[b] for, in parts that fit memory."""
    step = max(1, (READ << 6) // max(first.shape[1], len(reader.halves)))
    return torch.cat(
        [
            read(first[a[i : i + step]].double() + second[b[i : i + step]].double(), reader)
            for i in range(0, len(a), step)
        ]
    )


def _scores(name: str, found: Tensor, truth: Tensor, count: int, *, mae: bool = False) -> dict[str, Metric]:
    scores = {name: share(int((found == truth).sum()), len(truth), 1 / count, "sums with rows it was not fitted on")}
    if mae:
        errors = (found - truth).abs().double()
        half = 1.96 * float(errors.std()) / len(truth) ** 0.5
        middle, chance = float(errors.mean()), (count**2 - 1) / (3 * count)
        scores[f"{name}.mae"] = Metric(
            middle, chance, len(truth), (max(0.0, middle - half), middle + half), "positions"
        )
    return scores


def _worst(
    tokens: Tensor, positions: Tensor, shown: Tensor, places: Tensor, reader: LinearReader, ids: Tensor, first: int
) -> Readings:
    right = right_everywhere(tokens[shown], positions, reader, places).double()
    by_token, by_position = right.mean(dim=1), right.mean(dim=0)
    tokens_first, places_first = (by.argsort(stable=True)[:WORST] for by in (by_token, by_position))
    worst_tokens = tuple((int(ids[i]), float(by_token[i])) for i in tokens_first)
    worst_positions = tuple((int(places[i]) + first, float(by_position[i])) for i in places_first)
    listed = ", ".join(f"{token} ({part:.3g})" for token, part in worst_tokens)
    chance, tested = 1 / len(positions), f"n test tokens at {len(places)} of {len(positions)} positions"
    note = f"position {worst_positions[0][0]}, of {tested}"
    metrics = {
        "position.lda.worst_token": Metric(worst_tokens[0][1], chance, len(shown), note=f"of {tested}: {listed}"),
        "position.lda.worst_position": Metric(worst_positions[0][1], chance, len(shown), note=note),
    }
    return Readings(metrics, worst_tokens, worst_positions)


def evenly(count: int, most: int) -> Tensor:
    """At most so many of the indices below count, evenly spread."""
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).round().long()
