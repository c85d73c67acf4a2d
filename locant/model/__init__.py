"""A small transformer that takes any positional encoding: the instrument of the comparisons."""

from locant.encodings import PositionalEncoding, build
from locant.model.cache import Cache
from locant.model.decoder import Decoder
from locant.model.generate import generate

__all__ = ["Cache", "Decoder", "decoder", "generate"]


def decoder(
    encoding: str | PositionalEncoding,
    width: int,
    heads: int,
    layers: int,
    length: int,
    vocabulary: int,
    *,
    hidden: int | None = None,
    attention: str = "auto",
    seed: int = 0,
) -> Decoder:
    """A decoder with the encoding that an expression names, or with one of your own.

    width: of the residual stream; ``concat`` takes its columns from it, ``beside`` has its columns on top.
    length: that it will be trained on, the number of rows of a learned table.
    seed: of the initial parameters.
    Raises ValueError as ``locant.encodings.build`` and ``Decoder`` do.
    """
    if isinstance(encoding, str):
        encoding = build(encoding, width=width, heads=heads, layers=layers, length=length)
    model = Decoder(
        encoding, width=width, heads=heads, layers=layers, vocabulary=vocabulary, hidden=hidden, attention=attention
    )
    model.reset_parameters(seed)
    return model
