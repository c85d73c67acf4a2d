"""One layer's attention with an encoding, and the same for one new token, as calls to be timed."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from locant.encodings import Layout, PositionalEncoding, contiguous
from locant.encodings.base import Pairs
from locant.encodings.once import Memo
from locant.model.attend import Attend, visibility
from locant.model.attended import attended


@dataclass(frozen=True)
class Heads:
    """Queries, keys and values ``[batch, head, time, width]``, the stream they were made of, and where they are."""

    q: Tensor
    k: Tensor
    v: Tensor
    x: Tensor
    layout: Layout

    def last(self) -> "Heads":
        """The last token alone."""
        q, k, v = (each[:, :, -1:] for each in (self.q, self.k, self.v))
        return Heads(q, k, v, self.x[:, -1:], Layout(self.layout.positions[:, -1:]))


def heads(batch: int, count: int, time: int, width: int, dtype: torch.dtype, generator: torch.Generator,
          device: torch.device | None = None) -> Heads:  # fmt: skip
    """Views of one projection, as a model has them."""
    made = torch.randn(batch, time, 3, count, width, generator=generator).to(device, dtype)
    q, k, v = made.permute(2, 0, 3, 1, 4)
    x = torch.randn(batch, time, count * width, generator=generator).to(device, dtype)
    return Heads(q, k, v, x, contiguous(time, device=device))


def attention(encoding: PositionalEncoding, attend: Attend, given: Heads, memo: Memo) -> Tensor:
    """All that attention does between the projections of a layer, as ``locant.model.decoder.Attention`` does it."""
    positions = given.layout.positions
    with memo.open():
        q, k = encoding.qk(given.q, given.k, positions, positions)
        v = encoding.values(given.v, positions)
        notes = encoding.notes(given.x, positions)
        return _attended(encoding, attend, given, Layout(positions), (q, k, v), (notes, notes))


def _attended(encoding: PositionalEncoding, attend: Attend, given: Heads, keys: Layout,
              qkv: tuple[Tensor, Tensor, Tensor], notes: tuple[Tensor | None, Tensor | None]) -> Tensor:  # fmt: skip
    q, k, v = qkv
    here = given.layout.positions
    see = visibility(q.shape[-2], k.shape[-2], None, None, q.device)
    pairs = Pairs(q, k, here, keys.positions, see.mask_mod, *notes, given.q.shape[-1] ** -0.5, given.q)
    return attended(encoding, attend, pairs, v, see)


class Decoding:
    """One new token after ``time - 1`` others, whose keys, values and notes are at hand. It is called again and again
    for the same token: keys and values are written where they belong, in place."""

    def __init__(self, encoding: PositionalEncoding, attend: Attend, given: Heads) -> None:
        self.encoding, self.attend, self.keys, self.new = encoding, attend, given.layout, given.last()
        positions = given.layout.positions
        with torch.no_grad():
            _, self.k = encoding.qk(given.q, given.k, positions, positions)
            self.v = encoding.values(given.v, positions).contiguous()
            notes = encoding.notes(given.x, positions)
        self.k = self.k.contiguous()
        self.notes = None if notes is None else notes.contiguous()

    @torch.no_grad()
    def __call__(self) -> Tensor:
        # A memo of its own: positions of a step are new.
        here = self.new.layout.positions.clone()
        new = replace(self.new, layout=Layout(here))
        with Memo().open():
            q, k = self.encoding.qk(new.q, new.k, here, here)
            self.k[:, :, -1:] = k
            self.v[:, :, -1:] = self.encoding.values(new.v, here)
            q_notes = self.encoding.notes(new.x, here)
            if q_notes is not None and self.notes is not None:
                self.notes[:, :, -1:] = q_notes
            return _attended(self.encoding, self.attend, new, self.keys, (q, self.k, self.v), (q_notes, self.notes))
