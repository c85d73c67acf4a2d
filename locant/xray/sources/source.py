"""A trained model with what is needed to ask it something."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Words:
    """A tokeniser behind two functions.

    encode: text to token ids, without special tokens. piece: an id to what it stands for. prefix, suffix: the ids
    that the tokeniser puts around a text of its own accord. special: ids that are no text.
    """

    encode: Callable[[str], list[int]]
    piece: Callable[[int], str]
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    special: frozenset[int] = frozenset()

    def single(self, word: str) -> int:
        """The one token of a word, with or without a space before it. Raises ValueError if it takes several."""
        tried = [self.encode(f" {word}"), self.encode(word)]
        for ids in tried:
            if len(ids) == 1:
                return ids[0]
        pieces = " ".join(repr(self.piece(token)) for token in tried[1])
        raise ValueError(f"expected a word of one token, was: {word!r}, which is {len(tried[1])} ({pieces or 'none'})")


@dataclass(frozen=True, eq=False)
class Source:
    """What `locant.xray` looks at.

    name: as asked for. kind: where it comes from, in words. model: in evaluation mode. identity: changes when the
    weights or the options of loading do. twin: makes the same model untrained, from a seed; None if nobody knows how.
    sample: draws token windows (count, length, seed) where text would mean nothing to the model.
    """

    name: str
    kind: str
    model: nn.Module
    words: Words | None
    identity: str
    twin: Callable[[int], nn.Module] | None = None
    sample: Callable[[int, int, int], Tensor] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def refuse_bad_weights(model: nn.Module, name: str) -> None:
    """Raises ValueError, with the first one, if a parameter or buffer of floating type is not finite."""
    for kind, tensors in (("parameter", model.named_parameters()), ("buffer", model.named_buffers())):
        for path, tensor in tensors:
            if tensor.is_floating_point() and not tensor.isfinite().all():
                bad = tensor.detach()[~tensor.isfinite()]
                raise ValueError(
                    f"expected finite weights in {name}, was: {float(bad[0])} in the {kind} {path}, "
                    f"{len(bad)} of {tensor.numel()} numbers"
                )
