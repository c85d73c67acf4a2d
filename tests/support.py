"""Small models with nothing at zero, tokens, and the meaning of "equal" and "different" in the tests."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.encodings import Layout, PositionalEncoding, build
from locant.model import Decoder

WIDTH, HEADS, LAYERS, VOCABULARY, LENGTH = 32, 4, 3, 23, 64


@dataclass(frozen=True)
class Subject:
    """An encoding under test. ``make(length)`` builds it; ``length`` is the number of rows of its tables."""

    name: str
    make: Callable[[int], PositionalEncoding]
    sees_positions: bool = True

    def model(self, *, length: int = LENGTH, layers: int = LAYERS, attention: str = "auto") -> Decoder:
        encoding = self.make(length)
        made = Decoder(encoding, width=WIDTH, heads=HEADS, layers=layers, vocabulary=VOCABULARY, attention=attention)
        return perturbed(made)


def named(expression: str) -> Subject:
    """The subject that an expression names."""

    def make(length: int) -> PositionalEncoding:
        return build(expression, width=WIDTH, heads=HEADS, layers=LAYERS, length=length)

    by_order = {"cope", "forgetting", "selective_rotary", "carope", "repo", "path"}
    blind = expression.startswith(("none", "without")) or expression in by_order
    return Subject(expression, make, sees_positions=not blind)


def perturbed(model: Decoder, *, seed: int = 7, size: float = 0.2) -> Decoder:
    """The model with noise on every parameter, so that gains are not 1 and offsets not 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * size)
    return model


def some_tokens(batch: int, time: int, *, seed: int = 0, vocabulary: int = VOCABULARY) -> Tensor:
    return torch.randint(vocabulary, (batch, time), generator=torch.Generator().manual_seed(seed))


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def lying(order: str, batch: int, heads: int, time: int, width: int) -> Tensor:
    """Queries in memory of their own, as views of a common projection, or at an odd place (no complex number is)."""
    if order == "own":
        return noise(batch, heads, time, width)
    if order == "odd":
        return noise(batch, heads, time, width + 1)[..., 1:]
    return noise(batch, time, 3, heads, width).permute(2, 0, 3, 1, 4)[1]


def same(actual: Tensor, expected: Tensor, why: str = "") -> None:
    """Equal up to the rounding of float32 sums in another order."""
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=5e-5, msg=lambda text: f"{why}\n{text}")


def differs(actual: Tensor, expected: Tensor, why: str = "") -> None:
    """Further apart than any rounding."""
    assert (actual - expected).abs().max() > 2e-3, why or "expected a difference"


def refusal(call: Callable[[], object], kind: type[Exception] = ValueError) -> str:
    """The message with which a call is refused. Raises AssertionError if it is not."""
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"expected {kind.__name__}, was: no error")


def part(layout: Layout, start: int, stop: int) -> Layout:
    """The columns ``start .. stop - 1`` of a layout."""
    documents = None if layout.documents is None else layout.documents[:, start:stop]
    return Layout(layout.positions[:, start:stop], documents)


@torch.no_grad()
def decode(model: Decoder, tokens: Tensor, layout: Layout | None, sizes: list[int]) -> Tensor:
    """Logits of ``tokens`` read in chunks of the given sizes through a cache."""
    cache, start, logits = model.cache(), 0, []
    for size in sizes:
        here = None if layout is None else part(layout, start, start + size)
        logits.append(model(tokens[:, start : start + size], here, cache))
        start += size
    assert start == tokens.shape[1]
    return torch.cat(logits, dim=1)
