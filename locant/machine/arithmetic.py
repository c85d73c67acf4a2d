"""The arithmetic of a run: settings of torch's that are global, held for as long as the run computes."""

from contextlib import AbstractContextManager, nullcontext

import torch

from locant.model.fused import multiplying

MATMUL = {"plain": "highest", "medium": "medium"}


def products(gemm: str) -> AbstractContextManager[None]:
    """How float32 matrices are multiplied inside: ``"plain"`` or ``"medium"``."""
    return multiplying(MATMUL[gemm])


def narrowed(precision: str, device: str = "cpu") -> AbstractContextManager[object]:
    """``"bf16"``: products inside are of bfloat16, everything else stays float32. ``"fp32"``: nothing changes.

    To be left before weights change, as the narrowed weights are kept until then.
    """
    return torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext()
