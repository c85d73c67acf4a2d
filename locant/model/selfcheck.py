"""Whether a way to compute attention can be relied on here: compared with attention written out on a small example.

FlexAttention on a GPU is compiled for it, and in some versions silently gives no gradient to what a score function
holds. Whoever would take it asks first, once for each device.
"""

import warnings
from functools import lru_cache

import torch
from torch import Tensor

from locant.encodings.base import Pairs
from locant.encodings.biases import T5
from locant.encodings.positions import contiguous
from locant.model.attend import Attend, dense, flex, visibility

CLOSE = 2e-2  # of the largest number: products may be made of numbers with 10 bits


@lru_cache
def trusted(device: torch.device) -> bool:
    """Whether FlexAttention with learned scores can be relied on; warns, once for each device, if it cannot."""
    reason = fails(flex, device)
    if reason is not None:
        warnings.warn(f"FlexAttention is not used on {device}: {reason}", stacklevel=2)
    return reason is None


def fails(attend: Attend, device: torch.device) -> str | None:
    """What differs from ``dense`` in values or gradients, also of a learned table; None if nothing does."""
    # Whoever asks may want no gradient, and few digits.
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        expected = _results(dense, device)
        try:
            found = _results(attend, device)
        except Exception as error:  # whatever a missing or failing kernel, or its compiler, raises
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    for name, one, other in zip(
        ("values", "queries", "keys", "values' gradient", "table"), found, expected, strict=True
    ):
        if one is None:
            return f"no gradient: {name}"
        largest = float(other.abs().max())
        off = float((one - other).abs().max())
        if not off <= CLOSE * largest:
            return f"{name} off by {off:.2g} of {largest:.2g}"
    return None


def _results(attend: Attend, device: torch.device) -> list[Tensor]:
    """The output, and the gradients of queries, keys, values and the table of the scores."""
    generator = torch.Generator().manual_seed(0)
    q, k, v, wanted = torch.randn(4, 1, 2, 128, 16, generator=generator).to(device)
    q, k, v = (x.requires_grad_() for x in (q.clone(), k.clone(), v.clone()))
    encoding = T5(2)
    encoding.reset_parameters(generator)
    encoding.to(device)
    with torch.no_grad():
        encoding.weight.mul_(50)  # scores of the size of the products
    positions = contiguous(128, device=device).positions
    see = visibility(128, 128, None, None, device)
    pairs = Pairs(q, k, positions, positions, see.mask_mod, scale=0.25)
    out = attend(pairs, v, see, encoding.score_mod(pairs), None)
    gradients = torch.autograd.grad(out, (q, k, v, encoding.weight), wanted, allow_unused=True)
    return [out.detach(), *gradients]
