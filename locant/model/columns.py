"""Position columns beside the stream: made once for all layers that share them, projected once per position."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from locant.encodings import PositionalEncoding


class Beside(NamedTuple):
    """What one layer reads beside the stream.

    columns: ``[rows, time, columns]``, normalised; None if there are none.
    attention, mlp: what their projections make of the columns, ``[out]``, where that is known already.
    """

    columns: Tensor | None = None
    attention: Tensor | None = None
    mlp: Tensor | None = None


Project = Callable[[int, Tensor], tuple[Tensor, Tensor]]
"""Takes a layer's index and its columns ``[1, time, columns]``; gives its two projections, ``[1, time, out]`` each."""


def columns(schedule: Sequence[PositionalEncoding], positions: Tensor, dtype: torch.dtype) -> list[Beside]:
    """The columns of every layer. Layers with one and the same encoding share one tensor.

    Split norms: a common one with the stream would let the token's size change what is read of its position.
    """
    made: dict[int, Tensor | None] = {}
    for encoding in schedule:
        if id(encoding) not in made:
            z = encoding.beside(positions)
            made[id(encoding)] = None if z is None else F.rms_norm(z, z.shape[-1:]).to(dtype)
    return [Beside(made[id(encoding)]) for encoding in schedule]


class Ahead:
    """The columns and projections of positions that decoding is about to reach, a block at a time.

    A single token would read whole matrices for the product with its columns; a block reads them once for all its
    positions, as columns depend on nothing else. It is only a guess that one position follows the other: what was not
    foreseen is looked up anew. The weights must not change meanwhile, as for the keys and values of a cache.
    """

    BLOCK = 64

    def __init__(self) -> None:
        self.start: float = 0
        self.steps: list[list[Beside]] = []

    def at(self, positions: Tensor, limit: int | None, look: Callable[[Tensor], list[Beside]],
           project: Project) -> list[Beside]:  # fmt: skip
        """Per layer, for the one position in ``positions`` ``[1, 1]``. Raises what ``look`` does beyond the limit."""
        position = positions.item()
        step = position - self.start
        if step != int(step) or not 0 <= step < len(self.steps):
            count = self.BLOCK if limit is None else max(1, min(self.BLOCK, int(limit - position)))
            following = positions + torch.arange(count, dtype=positions.dtype)
            self.steps, self.start, step = _split(look(following), project, count), position, 0
        return self.steps[int(step)]


def foreseeable(positions: Tensor) -> bool:
    """Whether the next token's position can be looked at and guessed: one number, at hand, in a plain run."""
    return tuple(positions.shape) == (1, 1) and positions.device.type == "cpu" and not torch.compiler.is_compiling()


def _split(layers: list[Beside], project: Project, count: int) -> list[list[Beside]]:
    """By position, and then by layer."""
    by_layer = []
    for index, layer in enumerate(layers):
        if layer.columns is None:
            by_layer.append([layer] * count)
            continue
        attention, mlp = project(index, layer.columns)
        rows = zip(layer.columns.split(1, dim=1), attention[0].unbind(), mlp[0].unbind(), strict=True)
        by_layer.append([Beside(*row) for row in rows])
    return [list(step) for step in zip(*by_layer, strict=True)]
