"""Zip of a zip: why "compress it again" ends, measured, with the pigeonhole bound beside it."""

import bz2
import lzma
import zlib
from collections.abc import Callable

METHODS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: zlib.compress(data, 9),
    "bz2": lambda data: bz2.compress(data, 9),
    "lzma": lambda data: lzma.compress(data, preset=6),
}


def again(data: bytes, method: str = "lzma", rounds: int = 4) -> list[int]:
    """Sizes in bytes of the data, compressed, compressed again, and so on.

    Raises ValueError for no data, no rounds or an unknown method.
    """
    if not data or rounds < 1:
        raise ValueError(f"expected data and at least 1 round, was: {len(data)} bytes, {rounds} rounds")
    if method not in METHODS:
        raise ValueError(f"expected a method of {', '.join(METHODS)}, was: {method}")
    sizes = [len(data)]
    for _ in range(rounds):
        data = METHODS[method](data)
        sizes.append(len(data))
    return sizes


def compressible_share(saved_bits: int) -> float:
    """The largest share of all strings of one length that any lossless map shortens by at least so many bits.

    Fewer than ``2^(n - c + 1)`` strings are that short, so the share is below ``2^(1 - c)``, whatever the length.
    Raises ValueError for fewer than 1 bit.
    """
    if saved_bits < 1:
        raise ValueError(f"expected at least 1 bit, was: {saved_bits}")
    return 2.0 ** (1 - saved_bits) if saved_bits < 1075 else 0.0
