"""All measures of the two input tables, M2, M3, M8, M9 and M11, for a setting."""

from typing import Any

import torch
from torch import Tensor

from locant.xray.coherence import coherence
from locant.xray.detect import Tables
from locant.xray.metric import Metric, absent, prefixed
from locant.xray.moments import Moments, moments
from locant.xray.overlap import overlap, principal_overlap
from locant.xray.parts import Part, plain
from locant.xray.setting import Setting
from locant.xray.sums import loss_of_sum

RANKS = (3, 10, 30, 100)
LACKING = ("M2.overlap", "M2.overlap_ratio", "M2.coherence_mean", "M3.wiener_token", "M3.wiener_position",
           "M3.kappa", "M3.pair", "M3.cost_of_summing", "M8.auc", "M9.static", "M11.stable_rank")  # fmt: skip


def tables(setting: Setting) -> Part:
    """What can be said of the tables alone; each metric is None, with the reason, where there is no pair of them."""
    found = setting.tables
    if found.kind != "sum" or found.positions is None or found.tokens is None:
        reason = found.notes[0] if found.notes else "no table of positions is added at the input"
        return plain({name: absent(reason) for name in LACKING})
    w, p = found.scaled_tokens(), found.positions
    shares = weights(setting, len(w))
    metrics: dict[str, Metric] = {}
    of_tokens = moments(w, shares, name="token table")
    for suffix, rows in (("", p), (".without_0", p[1:])):
        of_positions = moments(rows, name="position table")
        metrics |= {name + suffix: each for name, each in _pair(of_tokens, of_positions, setting.seed).items()}
        near = coherence(w, rows, of_tokens, of_positions, weights=shares, seed=setting.seed,
                         pairs=100_000 if setting.quick else 1_000_000)  # fmt: skip
        metrics |= {f"M2.{name}{suffix}": each for name, each in near.items()}
    return plain(metrics)


def _pair(of_tokens: Moments, of_positions: Moments, seed: int) -> dict[str, Metric]:
    ranks = [rank for rank in RANKS if rank <= of_tokens.width]
    return {
        **prefixed("M2", overlap(of_tokens, of_positions)),
        **prefixed("M2", principal_overlap(of_tokens, of_positions, ranks)),
        **prefixed("M3", loss_of_sum(of_tokens, of_positions, seed=seed)),
    }


def weights(setting: Setting, rows: int) -> Tensor:
    """1 for token rows that count, 0 for others: those that the text has, or all."""
    shares = torch.zeros(rows, dtype=torch.float64)
    if setting.vocabulary == "all":
        return shares + 1
    shares[setting.windows.seen] = 1
    return shares


def frame(found: Tables, setting: Setting) -> dict[str, Metric]:
    """M2 and M3a of one snapshot, for the movie; empty where it has no pair of tables."""
    if found.kind != "sum" or found.positions is None or found.tokens is None:
        return {}
    w = found.scaled_tokens()
    return _pair(moments(w, weights(setting, len(w))), moments(found.positions), setting.seed)


def curve(series: str, values: Any) -> list[dict[str, Any]]:
    """A list of numbers as points of a figure, x from 0."""
    return [{"series": series, "x": x, "value": float(value)} for x, value in enumerate(values)]
