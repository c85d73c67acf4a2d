"""A second device for tests of what is written for a GPU: PyTorch takes its tensors for those of another device.

The numbers lie in the processor's memory, where they are computed, so results are those of the processor. What a GPU
would refuse is refused: operations on tensors of both devices. What makes the processor wait for a GPU is counted:
numbers that are read, and tensors that are copied from one to the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "elsewhere"


class _Backend(_DummyBackendModule):
    """What PyTorch asks of the module of a device."""

    def synchronize(self, device: torch.device | None = None) -> None:
        """There is nothing to wait for."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


# At once, as autograd counts the devices that there are in its first backward pass.
_setup_privateuseone_for_python_backend(NAME, _Backend())
DEVICE = torch.device(NAME, 0)


class Remote(torch.Tensor):
    """A tensor of the second device; ``raw`` has its numbers."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> "Remote":
        raw = raw.resolve_conj().resolve_neg()  # what is put off is not known of the outside
        made = torch.Tensor._make_wrapper_subclass(
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype, device=DEVICE
        )
        made.raw = raw
        return made

    @property
    def data(self) -> "Remote":
        return self.detach()

    @data.setter
    def data(self, value: "Remote") -> None:
        torch.Tensor.data.__set__(self, value)
        self.raw = value.raw

    def __repr__(self, **_: Any) -> str:
        return f"Remote({self.raw})"

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {}, None)


class Waits(TorchDispatchMode):
    """While it is on, the second device is there. ``seen`` names what made the processor wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {}, self.seen)


def _run(function, args, kwargs, seen):
    flat = tree_flatten((args, kwargs))[0]
    theirs = [x for x in flat if isinstance(x, Remote)]
    ours = [x for x in flat if isinstance(x, torch.Tensor) and not isinstance(x, Remote)]
    wanted = torch.device(kwargs["device"]).type if kwargs.get("device") is not None else None
    name = function.overloadpacket.__name__
    copies = name in ("_to_copy", "copy_")
    if theirs and not copies and any(x.ndim for x in ours):
        raise RuntimeError(f"expected all tensors to be on the same device, was: {DEVICE} and cpu in {function}")
    crosses = copies and ((theirs and (ours or wanted == "cpu")) or (ours and wanted == NAME))
    if seen is not None and (crosses or (theirs and name in ("_local_scalar_dense", "nonzero", "equal"))):
        seen.append(name)
    plain_args, plain_kwargs = tree_map(_plain, (args, kwargs))
    if wanted == NAME:
        plain_kwargs["device"] = torch.device("cpu")
    out = function(*plain_args, **plain_kwargs)
    stays = isinstance(args[0], Remote) if name == "copy_" else bool(theirs)
    if not (stays if wanted is None else wanted == NAME):
        return out
    wrapped = tree_map(lambda x: Remote(x) if isinstance(x, torch.Tensor) else x, out)
    return return_and_correct_aliasing(function, args, kwargs, wrapped)


def _plain(x: Any) -> Any:
    return x.raw if isinstance(x, Remote) else x


@contextmanager
def elsewhere() -> Iterator[Waits]:
    """The second device, for as long as the context is open; modules that are moved get new parameters."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with Waits() as waits:
            yield waits
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
