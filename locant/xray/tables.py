"""All measures of the two input tables, M2, M3, M8, M9 and M11, for a setting."""

import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from locant.xray.captions import CAPTIONS
from locant.xray.coherence import coherence
from locant.xray.detect import Tables
from locant.xray.metric import Metric, absent, prefixed
from locant.xray.moments import Moments, moments
from locant.xray.noise import noise_curve
from locant.xray.overlap import overlap, principal_overlap
from locant.xray.parts import Part, plain
from locant.xray.readers import readers
from locant.xray.separation import separation
from locant.xray.setting import Setting
from locant.xray.sums import loss_of_sum

RANKS = (3, 10, 30, 100)
LACKING = ("M2.overlap", "M2.overlap_ratio", "M2.coherence_mean", "M3.wiener_token", "M3.wiener_position",
           "M3.kappa", "M3.pair", "M3.cost_of_summing", "M8.auc", "M9.static", "M11.stable_rank")  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """How many sums are drawn: quick, or thorough."""

    coherence: int
    positions: int
    tokens: int
    pairs: int
    noisy: int


QUICK, THOROUGH = Samples(100_000, 2_000, 300, 500, 64), Samples(1_000_000, 10_000, 1_000, 500, 128)


def tables(setting: Setting) -> Part:
    """What can be said of the tables alone; each metric is None, with the reason, where there is no pair of them."""
    found = setting.tables
    if found.kind != "sum" or found.positions is None or found.tokens is None:
        reason = found.notes[0] if found.notes else "no table of positions is added at the input"
        return plain({name: absent(reason) for name in LACKING})
    ids = counted(setting, len(found.tokens))
    w = found.tokens[ids] * found.scale if ids is not None else found.scaled_tokens()
    samples = QUICK if setting.quick else THOROUGH
    of_tokens = moments(w, name="token table")
    metrics: dict[str, Metric] = {}
    for suffix, rows in (("", found.positions), (".without_0", found.positions[1:])):
        measured = _measured(w, rows, of_tokens, ids, samples, setting.seed)
        metrics |= {f"{name}{suffix}": each for name, each in measured.items()}
    return plain(metrics, figures=[figure for figure in (noise_figure(metrics),) if figure["points"]])


def _measured(w: Tensor, p: Tensor, of_tokens: Moments, ids: Tensor | None, samples: Samples,
              seed: int) -> dict[str, Metric]:  # fmt: skip
    of_positions = moments(p, name="position table")
    found = _pair(of_tokens, of_positions, seed)
    found |= prefixed("M2", coherence(w, p, of_tokens, of_positions, seed=seed, pairs=samples.coherence))
    apart = separation(w, p, of_tokens, of_positions, ids=ids)
    found |= prefixed("M3", apart)
    read = readers(w, p, ids=ids, samples=samples.positions, token_samples=samples.tokens, pairs=samples.pairs,
                   seed=seed)  # fmt: skip
    found |= prefixed("M3", read.metrics)
    if (step := apart["separation_position"].value) is not None:
        found |= prefixed("M3", noise_curve(w, p, step, pairs=samples.noisy, seed=seed))
    return found


def _pair(of_tokens: Moments, of_positions: Moments, seed: int) -> dict[str, Metric]:
    ranks = [rank for rank in RANKS if rank <= of_tokens.width]
    return {
        **prefixed("M2", overlap(of_tokens, of_positions)),
        **prefixed("M2", principal_overlap(of_tokens, of_positions, ranks)),
        **prefixed("M3", loss_of_sum(of_tokens, of_positions, seed=seed)),
    }


def counted(setting: Setting, rows: int) -> Tensor | None:
    """The token rows that count, those that the text has; None for all."""
    return None if setting.vocabulary == "all" else setting.windows.seen[setting.windows.seen < rows]


def frame(found: Tables, setting: Setting) -> dict[str, Metric]:
    """M2 and M3a of one snapshot, for the movie; empty where it has no pair of tables."""
    if found.kind != "sum" or found.positions is None or found.tokens is None:
        return {}
    ids = counted(setting, len(found.tokens))
    w = found.tokens[ids] * found.scale if ids is not None else found.scaled_tokens()
    return _pair(moments(w), moments(found.positions), setting.seed)


def noise_figure(metrics: dict[str, Metric]) -> dict[str, Any]:
    """M3d as a figure: how noise takes the pair, and each part when the other is known."""
    named = {"pair": "pair, from the sum", "position_given_token": "position, token known",
             "token_given_position": "token, position known"}  # fmt: skip
    points = []
    for name, metric in metrics.items():
        if (match := re.fullmatch(r"M3\.noise\.([\d.]+)\.(\w+)", name)) and match[2] in named:
            low, high = metric.interval or (None, None)
            points.append({"series": named[match[2]], "x": float(match[1]), "value": metric.value, "low": low,
                           "high": high})  # fmt: skip
    return {"id": "noise", "kind": "lines", "title": "What the sum costs under noise", "caption": CAPTIONS["noise"],
            "x": "noise, in least steps between positions", "y": "share read rightly", "points": points,
            "chance": None, "x_scale": "log"}  # fmt: skip
