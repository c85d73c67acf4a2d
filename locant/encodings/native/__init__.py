"""Rotations, look-ups and causal attention in C, where the machine has a compiler.

Rotations and look-ups take one pass over memory and give what the plain way gives, to the last bit; attention differs
by the rounding of sums. Without a compiler, on other devices, in compiled graphs and where a frequency learns, torch's
operations do the same. ``kernels`` and the variable ``LOCANT_KERNELS`` choose; ``why`` says what is used, and why.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor, nn

from locant.encodings.native import build
from locant.encodings.native.build import Library
from locant.encodings.native.check import wrong

WAYS = ("native", "torch")
VARIABLE = "LOCANT_KERNELS"


def _checked(way: str, what: str = "the kernels") -> str:
    if way not in WAYS:
        raise ValueError(f"expected {what} native or torch, was: {way}")
    return way


_state = {"way": _checked(os.environ.get(VARIABLE) or "native", VARIABLE)}


@lru_cache
def _loaded() -> tuple[Library | None, str]:
    """The library and how it was made, or None and the reason.

    Made in a thread of its own, where nothing is in force that the caller is in the middle of: no ``torch.func``, no
    mode of other tensors. The check would fail in them, and would be remembered.
    """
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(_load).result()


def _load() -> tuple[Library | None, str]:
    try:
        library = build.load()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        return None, str(error)
    reason = wrong(library)
    return (library, "compiled here") if reason is None else (None, reason)


def library() -> Library | None:
    """The compiled kernels, or None where they are not to be used or cannot be had, and in a compiled graph."""
    if torch.compiler.is_compiling() or _state["way"] != "native":
        return None
    return _loaded()[0]


def compiled() -> Library:
    """The compiled kernels, whatever is to be used: for the gradient of what they have computed.

    Raises RuntimeError if they cannot be had.
    """
    found, reason = _loaded()
    if found is None:
        raise RuntimeError(f"expected compiled kernels, was: none, as {reason}")
    return found


def plain(x: Tensor) -> bool:
    """Whether what the tensor shows is what lies in memory, where a processor can reach it: no subclass, no view that
    stands for other numbers."""
    return type(x) in (Tensor, nn.Parameter) and x.is_cpu and not x.is_neg()


def why() -> str:
    """What is used, and the reason: one line."""
    used = _state["way"] == "native" and available()
    return f"{'native' if used else 'torch'}: {reason()}"


def reason() -> str:
    """Why that is used."""
    return "asked for" if _state["way"] != "native" else _loaded()[1]


def available() -> bool:
    """Whether the kernels can be had; compiles them if that was not tried before."""
    return _loaded()[0] is not None


@contextmanager
def kernels(way: str) -> Iterator[None]:
    """Inside, ``"native"`` takes the kernels where they serve, and ``"torch"`` does without. For the whole process.

    Raises ValueError for another word, and for ``"native"`` if the kernels cannot be had, with the reason.
    """
    if _checked(way) == "native" and not available():
        raise ValueError(f"expected the kernels torch, as {_loaded()[1]}, was: native")
    before = _state["way"]
    _state["way"] = way
    try:
        yield
    finally:
        _state["way"] = before
