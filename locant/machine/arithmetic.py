"""The arithmetic of a run: settings of torch's that are global, held for as long as the run computes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from locant.encodings import native
from locant.model.fused import multiplying

MATMUL = {"plain": "highest", "medium": "medium"}


def products(gemm: str) -> AbstractContextManager[None]:
    """How float32 matrices are multiplied inside: ``"plain"`` or ``"medium"``."""
    return multiplying(MATMUL[gemm])


@contextmanager
def computing(gemm: str, kernels: str) -> Iterator[None]:
    """``products``, also in convolutions on a GPU, and which kernels compute: ``"native"``, those that are compiled
    here, or ``"torch"``.

    Raises ValueError for native kernels that cannot be had, with the reason.
    """
    conv = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before, conv.fp32_precision = conv.fp32_precision, "ieee" if gemm == "plain" else "tf32"
    try:
        with native.kernels(kernels), products(gemm):
            yield
    finally:
        conv.fp32_precision = before


def narrowed(precision: str, device: str = "cpu") -> AbstractContextManager[object]:
    """``"bf16"``: products inside are of bfloat16, everything else stays float32. ``"fp32"``: nothing changes.

    To be left before weights change, as the narrowed weights are kept until then.
    """
    return torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext()
