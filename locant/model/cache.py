"""What a decoder remembers of the tokens that it has read: keys, values, and where each of them was."""

import torch
from torch import Tensor

from locant.encodings.positions import Layout
from locant.model.columns import Ahead


class Column:
    """A tensor that grows along ``dim`` without copying what it holds at every step: capacity doubles."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.length = 0
        self.store: Tensor | None = None

    def append(self, new: Tensor) -> Tensor:
        """Adds ``new`` at the end and returns all there is, as a view."""
        end = self.length + new.shape[self.dim]
        if self.store is None or end > self.store.shape[self.dim]:
            shape = list(new.shape)
            shape[self.dim] = max(2 * self.length, end, 16)
            grown = new.new_empty(shape)
            if self.store is not None:
                grown.narrow(self.dim, 0, self.length).copy_(self.store.narrow(self.dim, 0, self.length))
            self.store = grown
        self.store.narrow(self.dim, self.length, new.shape[self.dim]).copy_(new)
        self.length = end
        return self.store.narrow(self.dim, 0, end)


class Cache:
    """Keys, values and notes of every layer, and one layout for all of them: a key keeps its position and document.

    Gradients do not flow through it: a cache is for inference.
    """

    def __init__(self, layers: int) -> None:
        self.keys = [Column(-2) for _ in range(layers)]
        self.values = [Column(-2) for _ in range(layers)]
        self.notes = [Column(-2) for _ in range(layers)]
        self.positions = Column(1)
        self.documents: Column | None = None
        self.ahead = Ahead()

    def __len__(self) -> int:
        return self.positions.length

    def extend(self, new: Layout) -> Layout:
        """Notes where the new tokens are and returns the layout of all tokens so far.

        Raises ValueError if documents are given for some tokens and not for others, or the rows do not match.
        """
        if len(self) and (new.documents is None) != (self.documents is None):
            raise ValueError("expected documents for all tokens of a cache or for none, was: for some")
        store = self.positions.store
        given = new.positions
        if store is not None and (store.shape[0], store.shape[2:], store.dtype) != (
            given.shape[0], given.shape[2:], given.dtype
        ):  # fmt: skip
            axes = f" on {store.shape[2]} axes" if store.ndim > 2 else ""
            wanted = f"expected positions of {store.shape[0]} rows{axes} of {store.dtype} as cached"
            raise ValueError(f"{wanted}, was: {tuple(given.shape)} {given.dtype}")
        if new.documents is not None and self.documents is None:
            self.documents = Column(1)
        positions = self.positions.append(new.positions)
        documents = self.documents.append(new.documents) if self.documents and new.documents is not None else None
        return Layout(positions, documents)

    def append(self, layer: int, k: Tensor, v: Tensor, notes: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Adds the new tokens' keys, values and notes of one layer and returns those of all tokens so far."""
        with torch.no_grad():
            k, v = self.keys[layer].append(k), self.values[layer].append(v)
            return k, v, None if notes is None else self.notes[layer].append(notes)
