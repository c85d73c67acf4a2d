"""Passes over the windows for what attention logits are made of, M6, and what a shift changes, M5 and M9."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from locant.xray.interaction import Ranking, interaction_ranking
from locant.xray.logits import LogitSums, logit_split
from locant.xray.metric import Metric, absent, prefixed
from locant.xray.reach import Reach
from locant.xray.shift import shift_metrics, shift_test
from locant.xray.terms import TermSums, term_energies
from locant.xray.tier3 import identical_word, locality, symmetry
from locant.xray.twoway import Sums
from locant.xray.windows import Windows

BATCH = 4  # windows at once: logits are [heads, slots, slots] for each
WORDS = 8  # that are repeated, each through a window of its own
SHIFT = 8  # positions by which a text is moved
Tell = Callable[[int, int], None]


def logits(reach: Reach, windows: Windows, layers: Sequence[int], tell: Tell) -> dict[str, Metric]:
    """M6 for those layers: the split by absolute, relative and content, and the energies of the six terms.

    The split comes twice, the second time ``.without_0``, slot 0 being neither query nor key: many heads park their
    attention there, which is a fact about that place alone.

    Special tokens at the end of the windows take part, as attention sees them. Two passes: the second knows the mean
    states of the first.
    """
    contexts, time = windows.tokens.shape
    split = {layer: LogitSums(contexts) for layer in layers}
    inner = {layer: LogitSums(contexts) for layer in layers}
    sums = {layer: Sums(contexts, time) for layer in layers}
    visible: list[Tensor] = []

    def visit(capture: str, layer: int, x: Tensor, rows: slice) -> None:
        if capture == "logits":
            x = x.cpu()
            split[layer].add(x, rows)
            inner[layer].add(x[:, :, 1:, 1:], rows)
            if not visible:
                visible.append(x[0, 0] > -torch.inf)
        else:
            sums[layer].add(x.cpu(), rows)

    _passes(reach, windows.tokens, visit, ("logits", "normed"), layers, tell)
    found: dict[str, Metric] = {}
    for layer in layers:
        found |= prefixed(f"M6.layer.{layer}", logit_split(split[layer]))
        found |= {f"M6.layer.{layer}.{name}.without_0": each for name, each in logit_split(inner[layer]).items()}
        mean = split[layer].mean_attention()
        found |= prefixed(f"T3.layer.{layer}", {"locality": locality(mean), "symmetry": symmetry(mean)})
    terms = {layer: made for layer in layers if (made := _terms(reach, layer, sums[layer])) is not None}
    for layer in set(layers) - set(terms):
        found[f"M6.layer.{layer}.terms"] = absent("the heads of its query and key projections are not known")
    if terms:
        used = visible[0] & ((visible[0].sum(-1) >= 3) & (torch.arange(time) > 0))[:, None]

        def again(capture: str, layer: int, x: Tensor, rows: slice) -> None:
            if layer in terms:
                terms[layer].add(x.cpu(), used)

        _passes(reach, windows.tokens, again, ("normed",), layers, tell)
    for layer, made in terms.items():
        found |= prefixed(f"M6.layer.{layer}.terms", term_energies(made))
    return found


def repeated_words(reach: Reach, windows: Windows, layers: Sequence[int]) -> dict[str, Metric]:
    """Tier 3: M6's split of texts that repeat one word each, in which nothing but position can differ."""
    words = windows.seen[torch.linspace(0, len(windows.seen) - 1, WORDS).long()].tolist()
    sums = identical_word(reach, words, windows.tokens.shape[1])
    found: dict[str, Metric] = {}
    for layer in layers:
        split = logit_split(sums[layer])
        found |= prefixed(f"T3.repeated.layer.{layer}", {n: split[n] for n in ("position", "relative", "absolute")})
    return found


def _passes(reach: Reach, tokens: Tensor, visit: Any, capture: Sequence[str], layers: Sequence[int],
            tell: Tell) -> None:  # fmt: skip
    for start in range(0, len(tokens), BATCH):
        rows = slice(start, min(start + BATCH, len(tokens)))

        def told(name: str, layer: int, x: Tensor, _: slice, rows: slice = rows) -> None:
            visit(name, layer, x, rows)

        reach.run(tokens[rows], told, capture=capture, layers=layers)
        tell(rows.stop, len(tokens))


def _terms(reach: Reach, layer: int, sums: Sums) -> TermSums | None:
    readers = {reader.name: reader for reader in reach.readers(layer)}
    if any(readers.get(name) is None or readers[name].heads is None for name in "qk") or sums.origin is None:
        return None
    means = sums.parts(0).position + sums.origin
    return TermSums(means.mean(0), means - means.mean(0), readers["q"], readers["k"])


def shifts(reach: Reach, windows: Windows, layers: Sequence[int], space: str,
           longest: int | None) -> dict[str, Metric]:  # fmt: skip
    """M5 for those layers: all slots moved, and all but the first. Absent, with the reason, where it cannot be done."""
    slots = windows.tokens.shape[1]
    if not reach.takes_positions:
        return {"M5.size": absent("the model takes no positions from outside, so that no text can be moved")}
    shift = SHIFT if longest is None else min(SHIFT, longest - slots)
    if shift < 1:
        return {"M5.size": absent(f"windows of {slots} leave no room in a table of {longest} positions")}
    found: dict[str, Metric] = {}
    for held in (False, True):
        sums = shift_test(reach, windows.tokens, shift=shift, hold_first=held, capture=space, layers=layers)
        note = f"all but the first token moved by {shift}" if held else f"all tokens moved by {shift}"
        for layer in sorted(sums):
            found |= prefixed(f"M5.{'held.' if held else ''}layer.{layer}", shift_metrics(sums[layer], note=note))
    return found


def ranking(reach: Reach, windows: Windows, layer: int, space: str, longest: int | None, least: int) -> Ranking:
    """M9 in context, at one layer, by the shift that fits the table."""
    slots = windows.tokens.shape[1]
    shift = SHIFT if longest is None else min(SHIFT, longest - slots)
    if not reach.takes_positions or shift < 1:
        return Ranking((), (), (), absent("no text can be moved in this model, or its windows fill its table"))
    inside = slice(windows.starts, slots - windows.ends)
    return interaction_ranking(reach, windows.tokens, layer=layer, shift=shift, capture=space, least=least,
                               inside=inside)  # fmt: skip
