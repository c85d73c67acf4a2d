"""What happens in a model before its first layer: every tensor that a module there takes or gives, in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Seen:
    """A tensor (rows, slots, width) that a module took (`"in"`) or gave (`"out"`) before the first layer."""

    module: str
    side: str
    value: Tensor

    @property
    def name(self) -> str:
        return f"{self.module or 'the model'} {self.side}put"


class _Reached(Exception):
    """The first layer is about to run, and nothing after that is of interest."""


def stack(model: nn.Module) -> tuple[str, nn.Module]:
    """The list of layers: its path and itself. The largest list of modules by parameters; the outermost of equals.

    Raises ValueError if the model has no list of modules.
    """
    best, most = None, -1
    for path, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module):
            size = sum(p.numel() for p in module.parameters())
            if size > most:
                best, most = (path, module), size
    if best is None:
        raise ValueError(f"expected a model with a list of layers, was: {type(model).__name__}")
    return best


def before_first_layer(model: nn.Module, tokens: Tensor) -> list[Seen]:
    """Runs a model on token ids (rows, slots) as far as its first layer, which is not run, and returns what it saw.

    The last is what the first layer takes. Tensors without a row axis, as of position tables, get one of length 1.
    Raises ValueError if the first layer is not reached, or if nothing of that shape is seen before.
    """
    path, layers = stack(model)
    first = next(iter(layers.children()))
    seen: list[Seen] = []

    def note(name: str, side: str, values: Any) -> None:
        for value in values:
            if isinstance(value, Tensor) and value.is_floating_point() and value.ndim in (2, 3):
                value = value if value.ndim == 3 else value[None]
                if value.shape[1] == tokens.shape[1] and value.shape[0] in (1, tokens.shape[0]):
                    seen.append(Seen(name, side, value.detach().clone()))

    def before(name: str) -> Any:
        def hook(module: nn.Module, arguments: Any, options: dict[str, Any]) -> None:
            note(name, "in", [*arguments, *options.values()])
            if module is first:
                raise _Reached

        return hook

    def after(name: str) -> Any:
        return lambda module, arguments, out: note(name, "out", out if isinstance(out, tuple | list) else [out])

    with _hooked(model, before, after), torch.no_grad():
        try:
            model(tokens)
        except _Reached:
            if not seen:
                told = f"expected {type(model).__name__} to hand its first layer states [texts, slots, width]"
                raise ValueError(f"{told}, was: nothing of that shape") from None
            return seen
    raise ValueError(f"expected {type(model).__name__} to run {path}.0, was: not reached from token ids")


@contextmanager
def _hooked(model: nn.Module, before: Any, after: Any) -> Iterator[None]:
    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(before(name), with_kwargs=True))
        handles.append(module.register_forward_hook(after(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
