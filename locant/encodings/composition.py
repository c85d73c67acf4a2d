"""Encodings made of others: several at once, and one for each layer."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from locant.encodings.base import OWN_PLANES, Pairs, PositionalEncoding, ScoreMod


class Chain(PositionalEncoding):
    """Several encodings at once: each hook is applied in the order of the parts. Written ``a + b``.

    Raises ValueError if two parts both make notes, which have only one place.
    """

    def __init__(self, *parts: PositionalEncoding) -> None:
        super().__init__()
        if sum(part.defines("notes") for part in parts) > 1:
            raise ValueError(f"expected at most one part with notes, was: {[type(part).__name__ for part in parts]}")
        self.parts = cast(Sequence[PositionalEncoding], nn.ModuleList(parts))
        limits = [part.limit for part in parts if part.limit is not None]
        self.limit = min(limits) if limits else None
        mixed = _reads_rotated(parts) or _rotate_each_other(parts)
        self.shift_invariant = all(part.shift_invariant for part in parts) and not mixed
        self.additive = all(part.additive for part in parts)
        on_scores = [part for part in parts if part.defines("score_mod")]
        self.by_distance = bool(on_scores) and all(part.by_distance for part in on_scores)
        self.by_position = bool(on_scores) and all(part.by_distance or part.by_position for part in on_scores)
        self.reads_keys = any(part.reads_keys for part in parts)
        self.planes = frozenset().union(*(part.planes for part in parts))
        self.reads_weights = any(part.reads_weights for part in parts)
        self.extra_width = sum(part.extra_width for part in parts)
        self.beside_width = sum(part.beside_width for part in parts)

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        for part in self.parts:
            tokens = part.embed(tokens, positions)
        return tokens

    def look_up(self, table: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        first, *others = [part for part in self.parts if part.defines("embed")] or [self.parts[0]]
        x = first.look_up(table, tokens, positions)
        for part in others:
            x = part.embed(x, positions)
        return x

    def beside(self, positions: Tensor) -> Tensor | None:
        columns = [c for c in [part.beside(positions) for part in self.parts] if c is not None]
        return torch.cat(columns, dim=-1) if columns else None

    def enter(self, x: Tensor, positions: Tensor) -> Tensor:
        for part in self.parts:
            x = part.enter(x, positions)
        return x

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        for part in self.parts:
            q, k = part.qk(q, k, q_positions, k_positions)
        return q, k

    def values(self, v: Tensor, positions: Tensor) -> Tensor:
        for part in self.parts:
            v = part.values(v, positions)
        return v

    def output(self, out: Tensor, positions: Tensor) -> Tensor:
        for part in reversed(self.parts):  # undoes what ``values`` did, so last in, first out
            out = part.output(out, positions)
        return out

    def notes(self, x: Tensor, positions: Tensor) -> Tensor | None:
        made = [n for n in [part.notes(x, positions) for part in self.parts] if n is not None]
        return made[0] if made else None

    def score_mod(self, pairs: Pairs) -> ScoreMod | None:
        mods = [mod for mod in [part.score_mod(pairs) for part in self.parts] if mod is not None]
        if len(mods) < 2:
            return mods[0] if mods else None

        def chained(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            for mod in mods:
                score = mod(score, b, h, i, j)
            return score

        return chained

    def read(self, weights: Tensor, pairs: Pairs) -> Tensor | None:
        made = [r for r in [part.read(weights, pairs) for part in self.parts if part.reads_weights] if r is not None]
        return torch.stack(made).sum(0) if made else None

    def layer(self, index: int) -> PositionalEncoding:
        parts = [part.layer(index) for part in self.parts]
        if all(new is old for new, old in zip(parts, self.parts, strict=True)):
            return self
        return Chain(*parts)

    def defines(self, hook: str) -> bool:
        return any(part.defines(hook) for part in self.parts)


def _reads_rotated(parts: Sequence[PositionalEncoding]) -> bool:
    """Whether a part multiplies vectors of its own with keys that another has rotated; scores see all rotations."""
    for index, part in enumerate(parts):
        others = [*parts[:index], *(parts[index + 1 :] if part.defines("score_mod") else ())]
        if part.reads_keys and any(other.defines("qk") and not other.reads_keys for other in others):
            return True
    return False


def _rotate_each_other(parts: Sequence[PositionalEncoding]) -> bool:
    """Whether one part rotates in planes of its own what another changes as well, or two rotate in different planes."""
    changing = [
        part
        for part in parts
        if any(isinstance(each, PositionalEncoding) and each.defines("qk") for each in part.modules()) or part.planes
    ]
    planes = frozenset().union(*(part.planes for part in changing))
    return len(changing) > 1 and (len(planes) > 1 or planes >= OWN_PLANES)


class PerLayer(PositionalEncoding):
    """Layer ``i`` uses ``cycle[i % len(cycle)]``: schedules such as rotation in three layers and none in the fourth.

    It concerns attention only; chain an encoding of the input to it.
    Source of such schedules: Yang et al. 2025, arXiv:2501.18795, section 3.
    Raises ValueError if the cycle is empty, or if a part acts on the input, which no layer owns.
    """

    def __init__(self, *cycle: PositionalEncoding) -> None:
        super().__init__()
        if not cycle:
            raise ValueError("expected at least one encoding in the cycle, was: none")
        for part in cycle:
            if part.defines("embed") or part.extra_width:
                raise ValueError(f"expected encodings that act inside of layers, was: {type(part).__name__}")
        self.cycle = cast(Sequence[PositionalEncoding], nn.ModuleList(cycle))
        limits = [part.limit for part in cycle if part.limit is not None]
        self.limit = min(limits) if limits else None
        self.shift_invariant = all(part.shift_invariant for part in cycle)
        self.additive = all(part.additive for part in cycle)
        self.reads_keys = any(part.reads_keys for part in cycle)
        self.planes = frozenset().union(*(part.planes for part in cycle))
        self.reads_weights = any(part.reads_weights for part in cycle)

    def layer(self, index: int) -> PositionalEncoding:
        return self.cycle[index % len(self.cycle)].layer(index)
