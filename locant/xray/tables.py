"""All measures of the two input tables, M2, M3, M8, M9 and M11, for a setting."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from locant.xray.anatomy import anatomy
from locant.xray.cards import (
    Listing,
    card,
    card_ids,
    card_listing,
    favourite_listing,
    listing,
    name,
    turning_listing,
    words_and_turns,
)
from locant.xray.coherence import coherence
from locant.xray.detect import Tables
from locant.xray.fourier import index_regression, waves
from locant.xray.metric import Metric, absent, prefixed
from locant.xray.moments import Moments, moments
from locant.xray.noise import noise_curve
from locant.xray.overlap import overlap, principal_overlap
from locant.xray.parts import Part, plain
from locant.xray.readers import Readings, readers
from locant.xray.separation import separation
from locant.xray.setting import Setting
from locant.xray.sums import loss_of_sum
from locant.xray.table_figures import table_figures

RANKS = (3, 10, 30, 100)
LACKING = ("M2.overlap", "M2.overlap_ratio", "M2.overlap_chance", "M2.coherence_mean", "M2.coherence_rms",
           "M2.coherence_max", "M3.wiener_token", "M3.wiener_position", "M3.kappa", "M3.pair", "M3.position.lda",
           "M3.token.lda", "M3.cost_of_summing", "M8.auc", "M8.ratio", "M9.static", "M9.static_reliability",
           "M11.stable_rank", "M11.effective_dimension", "M11.toeplitz", "M11.helix_fit", "M11.index_mae",
           "T3.tied_logit")  # fmt: skip
FEWEST = 2  # rows of a table below which it has no covariance


@dataclass(frozen=True)
class Samples:
    """How much is drawn and searched: numbers of sums, and multiply-adds for one kind of search."""

    coherence: int
    positions: int
    tokens: int
    pairs: int
    noisy: int
    words: int
    work: int


QUICK = Samples(100_000, 2_000, 300, 500, 64, 2_000, 1 << 34)
THOROUGH = Samples(1_000_000, 10_000, 1_000, 500, 128, 10_000, 1 << 36)


def tables(setting: Setting) -> Part:
    """What can be said of the tables alone; each metric is None, with the reason, where there is no pair of them."""
    found = setting.tables
    if (pair := _rows(found, setting)) is None:
        reason = found.notes[0] if found.notes else "no table of positions is added at the input"
        asked = ("M8.words_margin",) if setting.words else ()
        return plain({each: absent(reason) for each in (*LACKING, *asked)})
    w, ids, p, rows = pair
    if min(len(w), len(p)) <= FEWEST:
        reason = f"expected more than {FEWEST} rows of both tables, was: {len(w)} of tokens and {len(p)} of positions"
        return plain({each: absent(reason) for each in LACKING})
    return _whole(setting, w, p, ids, rows)


def _whole(setting: Setting, w: Tensor, p: Tensor, ids: Tensor | None, rows: int) -> Part:
    """All measures, for token rows w of a table of so many rows, and position rows p."""
    of_tokens = moments(w, name="token table")
    given = card_ids(setting, rows)
    metrics: dict[str, Metric] = {}
    lists: list[Listing] = []
    of_all, cards = moments(p, name="position table"), []
    for suffix, each_p in (("", p), (".without_0", p[1:])):
        known = of_all if not suffix else moments(each_p, name="position table")
        measured, read = _measured(setting, w, each_p, of_tokens, known, ids, first=1 if suffix else 0)
        samples = samples_of(setting, w, each_p)
        more, ranked = words_and_turns(setting, w, each_p, of_tokens, known, ids, samples.words, samples.work)
        carded, made = card(setting.tables, each_p, given)
        measured |= more | prefixed("M8", carded)
        cards.append(made)
        metrics |= {f"{each}{suffix}": metric for each, metric in measured.items()}
        if not suffix:
            lists = [*turning_listing(setting, ranked), *_worst(setting, read)]
    if cards[0] is not None:
        lists.insert(0, card_listing(cards[0], cards[1]))
    lists += favourite_listing(setting, w, p, of_all, ids)
    figures = list(table_figures(metrics, p, of_tokens, of_all))
    return plain(metrics, figures=figures, lists=lists)


def _rows(found: Tables, setting: Setting) -> tuple[Tensor, Tensor | None, Tensor, int] | None:
    """The token rows that count, with their ids (None for all), the position rows, and how many token rows there are
    in all; None where there is no pair of tables.

    Rows of 16 bits are made wider before they are scaled, since they might overflow. The model's own table is not
    copied unless it must be scaled.
    """
    if found.kind != "sum" or found.positions is None or found.tokens is None:
        return None
    ids = counted(setting, len(found.tokens))
    if ids is not None:
        return found.tokens[ids].float() * found.scale, ids, found.positions, len(found.tokens)
    w = found.tokens if found.scale == 1 else found.tokens.float() * found.scale
    return w, None, found.positions, len(found.tokens)


def samples_of(setting: Setting, w: Tensor, p: Tensor) -> Samples:
    """As many samples as usual, fewer for large tables."""
    return within_work(QUICK if setting.quick else THOROUGH, w, p)


def within_work(usual: Samples, w: Tensor, p: Tensor) -> Samples:
    """As many samples as usual, fewer for tables so large that they would take more than the work allowed."""
    count, width = w.shape

    def within(samples: int, rows: int) -> int:
        return min(samples, max(64, usual.work // (rows * width)))

    return Samples(usual.coherence, within(usual.positions, len(p)), within(usual.tokens, count),
                   within(usual.pairs, count), within(usual.noisy, 4 * (count + len(p))), usual.words,
                   usual.work)  # fmt: skip


def _measured(setting: Setting, w: Tensor, p: Tensor, of_tokens: Moments, of_positions: Moments,
              ids: Tensor | None, first: int) -> tuple[dict[str, Metric], Readings]:  # fmt: skip
    samples, seed = samples_of(setting, w, p), setting.seed
    found = _pair(of_tokens, of_positions, seed)
    found |= prefixed("M2", coherence(w, p, of_tokens, of_positions, seed=seed, pairs=samples.coherence,
                                      limit=2 * samples.work // w.shape[1]))  # fmt: skip
    apart = separation(w, p, of_tokens, of_positions, ids=ids, first=first, work=2 * samples.work)
    found |= prefixed("M3", apart)
    read = readers(w, p, ids=ids, samples=samples.positions, token_samples=samples.tokens, pairs=samples.pairs,
                   seed=seed, first=first, of_tokens=of_tokens, of_positions=of_positions)  # fmt: skip
    found |= prefixed("M3", read.metrics)
    if (step := apart["separation_position"].value) is not None:
        found |= prefixed("M3", noise_curve(w, p, step, pairs=samples.noisy, seed=seed, of_positions=of_positions))
    return found | prefixed("M11", _anatomy(p, of_positions, seed)), read


def _anatomy(p: Tensor, of_positions: Moments, seed: int) -> dict[str, Metric]:
    return {**anatomy(p, of_positions), **waves(p, of_positions, seed=seed), **index_regression(p, seed=seed)}


def _pair(of_tokens: Moments, of_positions: Moments, seed: int) -> dict[str, Metric]:
    ranks = [rank for rank in RANKS if rank <= of_tokens.width]
    return {
        **prefixed("M2", overlap(of_tokens, of_positions)),
        **prefixed("M2", principal_overlap(of_tokens, of_positions, ranks)),
        **prefixed("M3", loss_of_sum(of_tokens, of_positions, seed=seed)),
    }


def _worst(setting: Setting, read: Readings) -> Iterator[Listing]:
    """The tokens and positions at which the linear discriminant fails, if it does."""
    rows = [["token", name(setting, token), f"{part:.4f}"] for token, part in read.worst_tokens if part < 1]
    rows += [["position", str(position), f"{part:.4f}"] for position, part in read.worst_positions if part < 1]
    if rows:
        caption = ("Share of the sums of this token with all positions, or of this position with tokens that were not "
                   "fitted on, in which the linear discriminant reads the position rightly (M3).")  # fmt: skip
        yield listing("worst", "Where a position is misread", caption, ["kind", "which", "read rightly"], rows)


def counted(setting: Setting, rows: int) -> Tensor | None:
    """The token rows that count, those that the text has; None for all."""
    return None if setting.vocabulary == "all" else setting.windows.seen[setting.windows.seen < rows]


def frame(found: Tables, setting: Setting) -> dict[str, Metric]:
    """M2, M3a and M11 of one snapshot, for the movie; empty where it has no pair of tables."""
    if (pair := _rows(found, setting)) is None or min(len(pair[0]), len(pair[2])) <= FEWEST:
        return {}
    w, _, p, _ = pair
    of_tokens, of_positions = moments(w), moments(p)
    return _pair(of_tokens, of_positions, setting.seed) | prefixed("M11", _anatomy(p, of_positions, setting.seed))
