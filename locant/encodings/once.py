"""What follows from positions alone is computed once per set of positions, not again in every layer and step.

Encodings stay pure: they remember nothing and only say what a result follows from. Whoever runs a model may keep such
results, in a ``Memo`` of its own. Without one, in a compiled graph and inside of ``torch.func``, all is computed anew.
"""

from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

Result = TypeVar("Result")


transforms: Callable[[], Any] | None = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", None)
"""The ``torch.func`` that is running, if any. Private; where torch does not tell, everything takes the plain way."""


def eager() -> bool:
    """Whether operations run one by one on plain tensors: neither compiled nor exported, nor in a ``torch.func``."""
    return transforms is not None and not torch.compiler.is_compiling() and transforms() is None


def recording(x: Tensor) -> bool:
    """Whether what is done to ``x`` is being recorded as a CUDA graph, in which no number can be read."""
    return x.is_cuda and torch.cuda.is_current_stream_capturing()


def forward_mode() -> bool:
    """Whether derivatives in forward mode are being taken; where torch does not tell, yes."""
    return getattr(forward_ad, "_current_level", 0) >= 0


class Memo:
    """Results of ``once``, kept from one ``open`` to the next as long as each of them asks for them again.

    It therefore never holds more than one forward pass needs. A copy of it, by ``copy`` or ``pickle``, is empty.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, list[Any]] = {}  # sources, result, and the last pass that asked for it
        self._pass = 0

    def __reduce__(self) -> tuple[type["Memo"], tuple[()]]:
        return Memo, ()

    def __len__(self) -> int:
        return len(self._kept)

    def open(self) -> "_Opening":
        """Inside, ``once`` asks this memo. At the end, what was not asked for is dropped."""
        return _Opening(self)

    def result(self, key: Hashable, make: Callable[[], Result], sources: tuple[Tensor, ...]) -> Result:
        """The result kept under ``key`` for these very tensors, unchanged since; else a new one."""
        kept = self._kept.get(key)
        if kept is None:
            # Holding the sources keeps their ids from being used again.
            kept = self._kept[key] = [sources, make(), 0]
        kept[2] = self._pass
        result: Result = kept[1]
        return result


class _Opening:
    """A ``with`` of its own: a generator takes twice as long, and decoding opens one for every token."""

    def __init__(self, memo: Memo) -> None:
        self.memo = memo

    def __enter__(self) -> None:
        self.memo._pass += 1
        self.token = _open.set(self.memo)

    def __exit__(self, *error: object) -> None:
        _open.reset(self.token)
        memo = self.memo
        kept = list(memo._kept.items())  # at once: another thread may use the same model
        memo._kept = {key: value for key, value in kept if value[2] == memo._pass}


_open: ContextVar[Memo | None] = ContextVar("open memo", default=None)


def once(name: Hashable, make: Callable[[], Result], *sources: Tensor) -> Result:
    """``make()``, or the result that it had before for this ``name`` and these very tensors.

    name: what is made, with everything besides the sources that decides it.
    sources: the tensors that it is made from. One changed in place counts as another. What is made from something
        learned is made anew each time, as its gradient and its next values ask for.
    """
    memo = _open.get() if eager() else None
    if memo is None:
        return make()
    key: tuple[Hashable, ...] = (name, torch.is_inference_mode_enabled())
    for source in sources:
        if source.requires_grad or source.is_inference():
            return make()
        key += (id(source), source._version)
    return memo.result(key, make, sources)
