"""Tables that follow from a formula: exact whatever happens to the module that holds them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Derived(nn.Module):
    """A float table made by a formula, not learned.

    It keeps its dtype when the module around it becomes bfloat16 (integers above 256 and slow frequencies do not
    survive that), is absent from ``state_dict``, and is made again when the module moves, so that building on the meta
    device followed by ``to_empty`` gives the numbers and not what the memory held.

    make: returns the table as a float64 tensor; a picklable function without arguments.
    dtype: float32, or float64 where phases beyond a million positions matter.
    """

    table: Tensor

    def __init__(self, make: Callable[[], Tensor], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.make = make
        self.dtype = dtype
        self.register_buffer("table", self._made(torch.get_default_device()), persistent=False)

    def _made(self, device: torch.device) -> Tensor:
        with torch.device("cpu"):  # a formula may be evaluated while the default device is meta
            table = self.make()
        return table.to(device=device, dtype=self.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Derived":
        super()._apply(fn, recurse)
        self.table = self._made(self.table.device)
        return self

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Makes the table again, for loaders that materialise buffers without moving the module."""
        self.table = self._made(self.table.device)

    def forward(self) -> Tensor:
        return self.table
