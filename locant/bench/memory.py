"""How much memory a call needs besides its inputs, at its highest point."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Watch(TorchDispatchMode):
    """Counts the bytes of every storage that operations make, from when it is made until nobody holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {tensor.untyped_storage()._cdata for tensor in tree_leaves((args, kwargs)) if _is_tensor(tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if _is_tensor(tensor) and tensor.untyped_storage()._cdata not in given:
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known[key] = weakref.finalize(storage, self._remove, key, size)
        self.now += size
        self.peak = max(self.peak, self.now)

    def _remove(self, key: int, size: int) -> None:
        self._known.pop(key, None)
        self.now -= size


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.layout == torch.strided


def peak(call: Callable[[], object], device: torch.device | None = None) -> int:
    """Bytes of tensors that a call makes and holds at one time, results included; what it was given is not counted.

    What happens inside of one operation of PyTorch is not seen; on a GPU it is, as its allocator is asked.
    """
    if device is not None and device.type == "cuda":  # where compiled calls cannot be watched
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    with _Watch() as watch:
        result = call()
        del result
    return watch.peak
