"""An encoding made of another one: told of one axis only, or no longer told of position at all."""

import torch
from torch import Tensor
from torch.nn import functional as F

from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.composition import Chain, PerLayer


class OnAxis(PositionalEncoding):
    """The encoding with one axis of positions ``[rows, time, axes]``; positions of one axis pass as they are.

    So an encoding of one axis serves tokens that have several ids, and two of them can read different ones: the place
    in the text for the scores, the place in the number for the input.
    Source: ours.  Limit, shift-invariance: those of the encoding.
    Raises ValueError if there is no such axis.
    """

    def __init__(self, encoding: PositionalEncoding, axis: int) -> None:
        super().__init__()
        if axis < 0:
            raise ValueError(f"expected an axis of at least 0, was: {axis}")
        self.encoding = encoding
        self.axis = axis
        self.limit = encoding.limit
        self.shift_invariant = encoding.shift_invariant
        self.additive = encoding.additive
        self.by_distance, self.by_position = encoding.by_distance, encoding.by_position
        self.reads_keys = encoding.reads_keys
        self.planes = encoding.planes
        self.reads_weights = encoding.reads_weights
        self.extra_width = encoding.extra_width
        self.beside_width = encoding.beside_width

    def _axis(self, positions: Tensor) -> Tensor:
        if positions.ndim < 3:
            return positions
        if self.axis >= positions.shape[-1]:
            raise ValueError(f"expected positions with an axis {self.axis}, was: {list(positions.shape)}")
        return positions[..., self.axis]

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return self.encoding.embed(tokens, self._axis(positions))

    def look_up(self, table: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        return self.encoding.look_up(table, tokens, self._axis(positions))

    def beside(self, positions: Tensor) -> Tensor | None:
        return self.encoding.beside(self._axis(positions))

    def enter(self, x: Tensor, positions: Tensor) -> Tensor:
        return self.encoding.enter(x, self._axis(positions))

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoding.qk(q, k, self._axis(q_positions), self._axis(k_positions))

    def values(self, v: Tensor, positions: Tensor) -> Tensor:
        return self.encoding.values(v, self._axis(positions))

    def output(self, out: Tensor, positions: Tensor) -> Tensor:
        return self.encoding.output(out, self._axis(positions))

    def notes(self, x: Tensor, positions: Tensor) -> Tensor | None:
        return self.encoding.notes(x, self._axis(positions))

    def score_mod(self, pairs: Pairs) -> ScoreMod | None:
        return self.encoding.score_mod(self._of_pairs(pairs))

    def read(self, weights: Tensor, pairs: Pairs) -> Tensor | None:
        return self.encoding.read(weights, self._of_pairs(pairs))

    def _of_pairs(self, pairs: Pairs) -> Pairs:
        q_positions, k_positions = self._axis(pairs.q_positions), self._axis(pairs.k_positions)
        return pairs._replace(q_positions=q_positions, k_positions=k_positions)

    def layer(self, index: int) -> PositionalEncoding:
        of_layer = self.encoding.layer(index)
        return self if of_layer is self.encoding else OnAxis(of_layer, self.axis)

    def defines(self, hook: str) -> bool:
        return self.encoding.defines(hook)


class Absent(PositionalEncoding):
    """``h_i = [x_i ; 0]``: columns where position would be, and zeros in them. What ``without`` leaves behind.

    A model of the same shapes that is not told of position: the control that tells width from position.
    Source: ours.  Limit: none.  Shift-invariant: yes.
    """

    def __init__(self, extra_width: int, beside_width: int) -> None:
        super().__init__()
        self.extra_width = extra_width
        self.beside_width = beside_width

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return F.pad(tokens, (0, self.extra_width))

    def beside(self, positions: Tensor) -> Tensor | None:
        if not self.beside_width:
            return None
        return torch.zeros(*positions.shape[:2], self.beside_width, device=positions.device)

    def defines(self, hook: str) -> bool:
        return {"embed": self.extra_width, "beside": self.beside_width}.get(hook, 0) > 0


def without(encoding: PositionalEncoding) -> PositionalEncoding:
    """No encoding, in the shape of ``encoding``: what a trained model continues with when its encoding is dropped.

    Dropping the rotation of a trained model and training on for a small part of its budget (in DroPE below 1 %) gives
    a model that does not meet positions it has not seen, as it meets none. That recalibration is the caller's: build
    the model with ``without(encoding)``, load the trained weights of all else, go on training. Columns that position
    had in ``concat`` and ``beside`` remain, as zeros, so that all other weights fit. What an encoding did to tokens
    themselves (the projection of ``concat_project``) is dropped with it.
    Source: DroPE, 2025, arXiv:2512.12167.
    """
    if isinstance(encoding, Chain):
        return Chain(*map(without, encoding.parts))
    if isinstance(encoding, PerLayer):
        return PerLayer(*map(without, encoding.cycle))
    return Absent(encoding.extra_width, encoding.beside_width)
