"""M8, the card for claim C2: do "cat" at 2 and "cat" at 3 stay closer to each other than to "dog"?"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.maths.blocks import BLOCK, blocks
from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments
from locant.xray.readers import share

Finish = Callable[[Tensor], Tensor]
PLACES = 512  # positions at which words are compared, at most


@dataclass(frozen=True)
class WordCard:
    """Cosines between the sums W_v + P_p of given words at all positions.

    `within`: for each word the least and the mean cosine between two positions of it. `between`: for each pair of words
    the greatest and the mean cosine, at any two positions. `strict`: whether every cosine within a word is above every
    cosine between words; None for a single word. `margin`: least within minus greatest between.
    """

    within: dict[str, tuple[float, float]]
    between: dict[tuple[str, str], tuple[float, float]]
    strict: bool | None
    margin: float | None


def word_card(tokens: Tensor, positions: Tensor, words: Mapping[str, int], *, finish: Finish | None = None) -> WordCard:
    """Compare words, given as text: token id. `finish` is what the model does to the sum, such as its norm.

    More than 512 positions are thinned evenly. Called with positions[1:] it is the card without position 0.

    Raises:
        ValueError: for no words, an id outside of the table, two words of one id, or fewer than 2 positions.
    """
    ids = list(words.values())
    if not ids:
        raise ValueError("expected at least one word, was: none")
    for word, token in words.items():
        if not 0 <= token < len(tokens):
            raise ValueError(f"expected an id below {len(tokens)} for {word!r}, was: {token}")
    if len(set(ids)) < len(ids):
        raise ValueError(f"expected words of different ids, was: {ids}")
    if len(positions) < 2:
        raise ValueError(f"expected at least 2 positions, was: {len(positions)}")
    places = torch.linspace(0, len(positions) - 1, min(PLACES, len(positions))).round().long()
    rows = {word: _units(tokens[token].double() + positions[places].double(), finish) for word, token in words.items()}
    within, between, other = {}, {}, ~torch.eye(len(places), dtype=torch.bool)
    for word, mine in rows.items():
        cosines = (mine @ mine.T)[other]
        within[word] = (float(cosines.min()), float(cosines.mean()))
    for one, two in itertools.combinations(rows, 2):
        cosines = rows[one] @ rows[two].T
        between[one, two] = (float(cosines.max()), float(cosines.mean()))
    if not between:
        return WordCard(within, between, None, None)
    margin = min(least for least, _ in within.values()) - max(most for most, _ in between.values())
    return WordCard(within, between, margin > 0, margin)


def word_metrics(card: WordCard) -> dict[str, Metric]:
    """`words_within`: least cosine within a word; `words_between`: greatest between two; `words_margin`: their
    difference, above 0 where every word stays closer to itself than to any other."""
    least = min(card.within, key=lambda word: card.within[word][0])
    found = {"words_within": Metric(card.within[least][0], n=len(card.within), note=f"of {least}")}
    if card.margin is None:
        return found | {name: absent("a single word was given") for name in ("words_between", "words_margin")}
    most = max(card.between, key=lambda pair: card.between[pair][0])
    note = f"of {most[0]} and {most[1]}"
    found["words_between"] = Metric(card.between[most][0], n=len(card.between), note=note)
    return found | {
        "words_margin": Metric(card.margin, 0.0, len(card.within), note="strict" if card.strict else "not strict")
    }


def population(
    tokens: Tensor,
    positions: Tensor,
    of_tokens: Moments,
    of_positions: Moments,
    *,
    finish: Finish | None = None,
    pairs: int = 10_000,
    neighbours: int = 256,
    seed: int = 0,
) -> dict[str, Metric]:
    """The same question for sampled words; tokens and positions are drawn uniformly.

    `auc`: probability that the cosine between one token at two positions exceeds that between two tokens at two
    positions, chance .5, interval by DeLong et al. 1988 (eq. 5). `dprime`: difference of the mean cosines over the root
    of the mean variance. `ratio`: tr S_W / tr S_P. `beyond_step`, `beyond_rms`, `beyond_diameter`: share of
    `neighbours` sampled tokens whose nearest other token is farther away than the mean step between adjacent positions,
    than sqrt(2 tr S_P), the root mean square distance of two positions, and than the greatest distance of two of at
    most 512 positions spread over the table; Wilson's interval.

    Raises:
        ValueError: for fewer than 2 tokens or positions, or fewer than 2 pairs.
    """
    if min(len(tokens), len(positions), pairs) < 2:
        raise ValueError(f"expected 2 rows or more and 2 pairs, was: {len(tokens)}, {len(positions)} and {pairs}")
    generator = torch.Generator().manual_seed(seed)
    within = _cosines(tokens, positions, pairs, generator, finish, same=True)
    between = _cosines(tokens, positions, pairs, generator, finish, same=False)
    spread = math.sqrt((float(within.var()) + float(between.var())) / 2)
    apart = float(within.mean() - between.mean())
    found = {"auc": auc(within, between)}
    found["dprime"] = Metric(apart / spread, 0.0, pairs) if spread > 0 else absent("all cosines are equal", n=pairs)
    rows = of_tokens.rows + of_positions.rows
    if of_positions.total > 0:
        found["ratio"] = Metric(of_tokens.total / of_positions.total, 1.0, rows, note="variance of tokens by positions")
    else:
        found["ratio"] = absent("all positions are equal", n=rows)
    chosen = torch.randperm(len(tokens), generator=generator)[:neighbours]
    nearest = _nearest_others(tokens, chosen)
    for name, length in _lengths(positions, of_positions).items():
        note = f"nearest other token farther than {length:.4g}"
        found[f"beyond_{name}"] = share(int((nearest > length).sum()), len(chosen), 0.0, note)
    return found


def auc(high: Tensor, low: Tensor) -> Metric:
    """P(a > b) + P(a = b)/2 for a of `high`, b of `low`, with the interval of DeLong et al. 1988.

    Where all are separated their variance is 0; the interval then ends at 1 - 3/n (n the smaller sample), which has
    95 % confidence if no error was seen in n tries.
    """
    above = _below(low, high)
    under = 1 - _below(high, low)
    value, count = float(above.mean()), min(len(high), len(low))
    half = 1.96 * math.sqrt(float(above.var()) / len(high) + float(under.var()) / len(low))
    ends = (max(0.0, value - half), min(1.0, value + half))
    if half == 0:
        ends = (max(0.0, value - 3 / count), min(1.0, value + 3 / count))
    return Metric(value, 0.5, count, ends, "pairs of sums of each kind")


def _below(values: Tensor, at: Tensor) -> Tensor:
    """For each number of `at`, the share of `values` below it, equal ones counting half."""
    ordered = values.sort().values
    less, not_more = torch.searchsorted(ordered, at), torch.searchsorted(ordered, at, right=True)
    return (less + not_more).double() / (2 * len(values))


def _cosines(
    tokens: Tensor, positions: Tensor, pairs: int, generator: torch.Generator, finish: Finish | None, *, same: bool
) -> Tensor:
    v, other = _two(len(tokens), pairs, generator)
    p, q = _two(len(positions), pairs, generator)
    step, parts = max(1, BLOCK // tokens.shape[1]), []
    for i in range(0, pairs, step):
        some = slice(i, i + step)
        left = tokens[v[some]].double() + positions[p[some]].double()
        right = tokens[(v if same else other)[some]].double() + positions[q[some]].double()
        parts.append((_units(left, finish) * _units(right, finish)).sum(dim=1))
    return torch.cat(parts)


def _two(count: int, pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two different numbers below count, `pairs` times."""
    first = torch.randint(count, (pairs,), generator=generator)
    return first, (first + torch.randint(1, count, (pairs,), generator=generator)) % count


def _units(sums: Tensor, finish: Finish | None) -> Tensor:
    rows = (sums if finish is None else finish(sums)).double()
    return torch.nn.functional.normalize(rows, dim=1)


def _nearest_others(tokens: Tensor, chosen: Tensor) -> Tensor:
    rows, least = tokens[chosen].double(), torch.full((len(chosen),), torch.inf, dtype=torch.float64)
    for start, block in blocks(tokens):
        distances = torch.cdist(rows, block)
        inside = (chosen >= start) & (chosen < start + len(block))
        distances[inside.nonzero()[:, 0], chosen[inside] - start] = torch.inf
        least = torch.minimum(least, distances.amin(dim=1))
    return least


def _lengths(positions: Tensor, of_positions: Moments) -> dict[str, float]:
    steps = [positions[start + 1 : start + 1 + len(block)].double() - block[: len(positions) - 1 - start]
             for start, block in blocks(positions)]  # fmt: skip
    places = torch.linspace(0, len(positions) - 1, min(PLACES, len(positions))).round().long()
    spread = positions[places].double()
    return {
        "step": float(torch.cat(steps).norm(dim=1).mean()),
        "rms": math.sqrt(2 * of_positions.total),
        "diameter": float(torch.cdist(spread, spread).max()),
    }
