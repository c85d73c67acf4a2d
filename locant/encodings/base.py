"""The one abstraction: a positional encoding is a pure function of content and positions.

It never sees a length, an offset, a cache or a batch size, and it remembers nothing between calls. Training, packing,
left padding and cached decoding therefore need no code of their own: each of them is a choice of positions.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.axes import one_axis

ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""FlexAttention's own signature: ``(score, batch, head, query, key) -> score``."""
MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""FlexAttention's own signature: ``(batch, head, query, key) -> may the query see the key``."""


class Pairs(NamedTuple):
    """Everything known about the query-key pairs of one attention layer before the softmax.

    q: ``[batch, head, query, width]`` and k: ``[batch, head, key, width]``, after ``qk``.
    q_positions: ``[rows, query]`` and k_positions: ``[rows, key]``, with 1 row if all rows of the batch share them.
    q_notes, k_notes: ``[batch, head, query or key, extra]``, what ``notes`` returned, or None.
    visible: which keys a query may see.
    scale: what the product of q and k is multiplied with to give the score.
    content: the queries before ``qk``, for products that no rotation should enter; None if they are not at hand.
    """

    q: Tensor
    k: Tensor
    q_positions: Tensor
    k_positions: Tensor
    visible: MaskMod
    q_notes: Tensor | None = None
    k_notes: Tensor | None = None
    scale: float = 1.0
    content: Tensor | None = None

    @property
    def behind(self) -> int:
        """How many keys come before the first query: query ``i`` is key ``i + behind``."""
        return self.k.shape[-2] - self.q.shape[-2]

    def distance(self, b: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """Query position minus key position of the pair ``(i, j)``; positive for keys of the past.

        The indices may be single numbers or whole grids. When all rows share their positions the batch index is left
        out, so that the grid, too, is shared by the batch. Raises ValueError if positions have more than one axis.
        """
        one_axis(self.q_positions)
        if self.q_positions.shape[0] == 1:
            return self.q_positions[0][i] - self.k_positions[0][j]
        return self.q_positions[b, i] - self.k_positions[b, j]


OWN_PLANES = frozenset({"its own"})
"""Planes of rotation that are learned or otherwise shared with no other part."""


class PositionalEncoding(nn.Module):
    """Where position enters a transformer. As it stands: nowhere (NoPE). A subclass overrides any of the hooks.

    Every hook is a pure function. Positions have the shape ``[rows, time]``, whole or fractional, where ``rows`` is 1
    or the batch; a hook returns something that broadcasts accordingly. Positions ``[rows, time, axes]`` are for what
    reads several axes (``on_axes``); what reads one refuses them (``one_axis``).

    limit: first position that cannot be represented; None if there is none.
    shift_invariant: attention stays the same when all positions move by one amount.
    additive: ``score_mod`` only adds to the score, whatever the score is. Fused attention needs that.
    by_distance: what it adds follows from head and distance alone; at consecutive positions the last query has it all.
    by_position: what it adds follows from the head and the two positions alone; not needed beside ``by_distance``.
    reads_keys: keys are multiplied with vectors of its own, so it is not shift-invariant where another part has rotated
        them before.
    planes: the planes in which queries and keys are rotated, as ``planes_of`` names them, or ``OWN_PLANES``. Rotations
        in other planes do not commute: attention is not taken for shift-invariant where two parts differ in them, nor
        where one with planes of its own stands beside any other that changes queries or keys.
    reads_weights: ``read`` does something. Only attention that is written out (``dense``) has weights to read.
    waits: it reads numbers from the device that it computes on, so that no CUDA graph of it can be recorded.
    extra_width: number of columns that ``embed`` appends to the token's columns.
    beside_width: number of columns that ``beside`` returns.

    Source for the absence of any encoding: Haviv et al. 2022, arXiv:2203.16634.
    """

    limit: int | None = None
    shift_invariant: bool = True
    additive: bool = True
    by_distance: bool = False
    by_position: bool = False
    reads_keys: bool = False
    planes: frozenset[str] = frozenset()
    reads_weights: bool = False
    waits: bool = False
    extra_width: int = 0
    beside_width: int = 0

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Combines token vectors ``[batch, time, token_width]`` with position, once, before the first layer.

        Returns ``[batch, time, token_width + extra_width]``; the token's own columns come first.
        """
        return tokens

    def look_up(self, table: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        """``embed(table[tokens], positions)`` for a table ``[vocabulary, token_width]`` and tokens ``[batch, time]``.

        Defined again only where one pass over memory can do both, with the same result.
        """
        return self.embed(F.embedding(tokens, table), positions)

    def beside(self, positions: Tensor) -> Tensor | None:
        """Columns ``[rows, time, beside_width]`` that every projection of the layer reads and none writes."""
        return None

    def enter(self, x: Tensor, positions: Tensor) -> Tensor:
        """Changes the residual stream ``[batch, time, width]`` at the entry of a layer (position injected again)."""
        return x

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        """Transforms queries and keys ``[batch, head, time, width]``, after any norm and before keys are cached.

        May make both wider; the softmax scale stays that of the original width.
        """
        return q, k

    def values(self, v: Tensor, positions: Tensor) -> Tensor:
        """Transforms values ``[batch, head, time, width]`` before they are cached; the width stays."""
        return v

    def output(self, out: Tensor, positions: Tensor) -> Tensor:
        """Transforms what attention returns ``[batch, head, query, width]``, with the queries' positions."""
        return out

    def notes(self, x: Tensor, positions: Tensor) -> Tensor | None:
        """Facts about each token ``[batch, head, time, extra]``, made from the layer's (normalised) input.

        They are cached beside the keys and given to ``score_mod``: gates and positions that depend on content.
        """
        return None

    def score_mod(self, pairs: Pairs) -> ScoreMod | None:
        """Returns ``(score, b, h, i, j) -> score``, or None to leave the scores alone.

        Scores arrive in float32, after scaling. The function is elementwise in its indices: FlexAttention calls it
        with single indices and the dense path with grids. What is costly is computed here, once per layer.
        """
        return None

    def read(self, weights: Tensor, pairs: Pairs) -> Tensor | None:
        """What is added to ``weights @ v``, ``[batch, head, query, width]``: position that values are to carry.

        weights: ``[batch, head, query, key]``, after the softmax, 0 where nothing may be seen. Asked for only if the
        encoding says ``reads_weights``.
        """
        return None

    def layer(self, index: int) -> "PositionalEncoding":
        """The encoding of layer ``index``."""
        return self

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws the parameters that this very module owns; submodules have a method of their own."""

    def defines(self, hook: str) -> bool:
        """Whether the encoding, or one that it is made of, does anything in the hook of that name."""
        return getattr(type(self), hook) is not getattr(PositionalEncoding, hook)
