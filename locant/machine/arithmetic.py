"""The arithmetic of a run: settings of torch's that are global, held for as long as the run computes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

MATMUL = {"plain": "highest", "medium": "medium"}


@contextmanager
def products(gemm: str) -> Iterator[None]:
    """How float32 matrices are multiplied inside: ``"plain"`` or ``"medium"``."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(MATMUL[gemm])
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def narrowed(precision: str, device: str = "cpu") -> AbstractContextManager[object]:
    """``"bf16"``: products inside are of bfloat16, everything else stays float32. ``"fp32"``: nothing changes.

    To be left before weights change, as the narrowed weights are kept until then.
    """
    return torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext()
