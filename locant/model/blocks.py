"""Causal attention in blocks of queries, with scores that follow from positions: memory for a block, not for all pairs.

At consecutive positions such scores are a Toeplitz matrix, and the row of the last query holds every number of it. The
blocks of queries slide along one band made of that row, so what PyTorch's fused attention is given as a mask is a view.
Keys that nobody in a block may see are left out, which is why it is often faster than the fused causal attention.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.once import eager, once
from locant.encodings.pairwise import added
from locant.model import compiled
from locant.model.attend import Read, Visibility, flex, sdpa
from locant.model.bands import Masks, of_band, of_parts
from locant.model.blockwise import by_distance, by_position, fused
from locant.model.fused import has_units
from locant.model.selfcheck import trusted
from locant.model.tiles import pays, tiled

LEAST = 256  # queries from which blocks pay where nothing is added, or where masks are computed one by one
LEARNED = 128  # queries from which a gradient that is written out is faster than attention that is
FLEX_WIDTH = 16  # columns of a head that FlexAttention's kernel takes at least
MOST = 768  # queries from which PyTorch's causal attention is faster than blocks with nothing to add


@dataclass(frozen=True)
class Later:
    """What an encoding adds to scores that follows from positions: a ``ScoreMod`` prepared when it is called."""

    encoding: PositionalEncoding
    pairs: Pairs

    def __call__(self, score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return self._mod(self.pairs)(score, b, h, i, j)

    def _mod(self, pairs: Pairs) -> ScoreMod:
        mod = self.encoding.score_mod(pairs)
        assert mod is not None  # what follows from distance is something
        return mod

    def row(self) -> Tensor:
        """What the last query adds to its score with each of the keys: ``[head, key]``."""
        time = self.pairs.q.shape[-2]
        return self.part(time - 1, time)[:, 0]

    def part(self, start: int, stop: int) -> Tensor:
        """What the scores of queries ``start .. stop - 1`` with keys below ``stop`` get: ``[head, query, key]``."""
        q, k, q_positions, k_positions = self.pairs[:4]
        some = self.pairs._replace(q=q[:1, :, start:stop].detach(), k=k[:1, :, :stop].detach(),
                                   q_positions=q_positions[:, start:stop], k_positions=k_positions[:, :stop],
                                   content=None)  # fmt: skip
        zero = torch.zeros((), dtype=torch.promote_types(q.dtype, torch.float32), device=q.device)
        return added(self._mod(some), 1, q.shape[1], stop - start, stop, zero).expand(1, q.shape[1], -1, -1)[0]


def blocks(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None, read: Read | None = None) -> Tensor:
    """``sdpa`` in blocks of queries, where that is right: on CPU, causal, ``mod`` None or following from positions.

    Everywhere else (documents, caches, gaps, other devices, compiled graphs) it is ``sdpa`` itself, and so it is where
    that is faster: short sequences, and long ones without ``mod``. On a GPU, where it has not been tested, scores that
    follow from positions go to FlexAttention, if that is found to be right there; a warning tells if it is not.
    """
    q, k, time = pairs.q, pairs.k, pairs.q.shape[-2]
    if q.is_cuda and isinstance(mod, Later) and eager() and _suits_flex(q, k, v) and trusted(q.device):
        return flex(pairs, v, see, mod.encoding.score_mod(pairs), read)
    if read is not None or not _serve(pairs, v, see, mod):
        return sdpa(pairs, v, see, mod.encoding.score_mod(pairs) if isinstance(mod, Later) else mod, read)
    if not isinstance(mod, Later):
        if compiled.pays(q, k, v, adds=False):
            return compiled.attention(q, k, v, None, pairs.scale)
        return _computed(pairs, v, of_band(q.new_zeros(1, time)))
    learns = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in mod.encoding.parameters())
    if mod.encoding.by_distance:
        if compiled.pays(q, k, v, adds=True):
            return compiled.attention(q, k, v, _row_once(mod), pairs.scale)
        if learns and time >= LEARNED and (row := mod.row()).requires_grad:
            if pays(q, k):
                return tiled(q, k, v, of_band(row.detach()), pairs.scale, row)
            return by_distance(q, k, v, row, pairs.scale)
        return _computed(pairs, v, _band_once(mod))
    if compiled.pays(q, k, v, adds=True):
        return compiled.in_parts(q, k, v, mod, pairs.scale)
    if learns:
        return by_position(q, k, v, mod, pairs.scale)
    return _computed(pairs, v, of_parts(mod))


def _suits_flex(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Not in decoding, where every new token would be compiled for, nor with heads too narrow for its kernel."""
    return q.shape[-2] == k.shape[-2] and min(q.shape[-1], v.shape[-1]) >= FLEX_WIDTH


def _computed(pairs: Pairs, v: Tensor, masks: Masks) -> Tensor:
    q, k = pairs.q, pairs.k
    return tiled(q, k, v, masks, pairs.scale) if pays(q, k) else fused(q, k, v, masks, pairs.scale)


def _row_once(mod: Later) -> Tensor:
    """The row of scores of distance, made once for a set of positions if nothing in the encoding learns."""
    encoding, q = mod.encoding, mod.pairs.q
    if next(encoding.parameters(), None) is not None:
        return mod.row()
    # With all that the formula could read, so that an encoding whose settings are changed is another one.
    settings = [(name, value) for module in encoding.modules() for name, value in vars(module).items()
                if isinstance(value, int | float | str | None)]  # fmt: skip
    key = ("row", encoding, q.shape[1], q.dtype, *settings)
    return once(key, mod.row, mod.pairs.k_positions, *encoding.buffers())


def _band_once(mod: Later) -> Masks:
    """Masks of scores of distance, made once like their row."""
    row = _row_once(mod)
    return once("band", lambda: of_band(row), row)


def _serve(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None) -> bool:
    q, k, time = pairs.q, pairs.k, pairs.q.shape[-2]
    if not (see.causal and see.mask is None and q.device.type == "cpu" and q.shape == k.shape and eager()):
        return False
    if mod is None:
        return compiled.pays(q, k, v, adds=False) or pays(q, k) or (LEAST <= time < MOST and not has_units(q))
    here, there = pairs.q_positions, pairs.k_positions
    if not isinstance(mod, Later) or here.ndim != 2 or here.shape[0] > 1:
        return False
    if not mod.encoding.by_distance:
        return time >= LEAST or compiled.pays(q, k, v, adds=True)
    return once("consecutive", lambda: consecutive(here, there), here, there)


def consecutive(q_positions: Tensor, k_positions: Tensor) -> bool:
    """Whether all rows share positions on one axis that go up by 1, the same for queries and keys."""
    if q_positions.ndim != 2 or q_positions.shape[0] != 1 or q_positions.shape != k_positions.shape:
        return False
    here = q_positions is k_positions or torch.equal(q_positions, k_positions)
    return here and bool((k_positions[:, 1:] - k_positions[:, :-1] == 1).all())
