"""Polar coordinates: content is the length of each component, position alone its angle."""

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.base import PositionalEncoding
from locant.encodings.derived import Derived
from locant.encodings.frequencies import geometric
from locant.encodings.rotary import angles


class PoPE(PositionalEncoding):
    """``s_ij = sum over c of softplus(q_ic) softplus(k_jc) cos((j - i) w_c + d_hc)``, with ``w_c = base ** (-c / d)``.

    Each of the ``d`` columns of a head becomes a complex number with non-negative length and an angle that depends on
    position alone, so that what is sought and where do not mix, as they do in ``Rotary``, where the content has angles
    of its own. Queries and keys get twice as wide; the softmax scale stays ``1 / sqrt(d)``.

    heads: that keys have; ``d_hc`` is a learned angle per key head and column, kept in ``[-2 pi, 0]``.
    uniform: start the angles uniformly in that range; 0 unless set.
    Source: Gopalakrishnan et al. 2025, arXiv:2509.10534, section 3. Differs: nothing.
    Limit: none.  Shift-invariant: yes.  Raises ValueError if there is no head or column, and for
    keys of another number of heads.
    """

    def __init__(
        self,
        head_width: int,
        heads: int,
        *,
        base: float = 10_000.0,
        uniform: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if heads < 1:
            raise ValueError(f"expected at least 1 head, was: {heads}")
        self.uniform = uniform
        self.frequencies = Derived(partial(geometric, head_width, base), dtype)
        self.offset = nn.Parameter(torch.empty(heads, head_width))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        drawn = torch.rand(self.offset.shape, generator=generator, device="cpu") if self.uniform else 0.0
        with torch.no_grad():
            self.offset.copy_(torch.as_tensor(-2 * math.pi * drawn).expand_as(self.offset))

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        if k.shape[1] != len(self.offset):
            raise ValueError(f"expected keys of {len(self.offset)} heads, was: {k.shape[1]}")
        frequencies = self.frequencies()
        offset = self.offset.to(frequencies.dtype).clamp(-2 * math.pi, 0.0)[:, None]
        q_angle, k_angle = (angles(p, frequencies).unsqueeze(-3) for p in (q_positions, k_positions))
        return _polar(q, q_angle), _polar(k, k_angle + offset)


def _polar(x: Tensor, angle: Tensor) -> Tensor:
    """``softplus(x)`` at ``angle``: all real parts, then all imaginary parts, ``[..., 2 width]``."""
    size = F.softplus(x.to(angle.dtype))
    return torch.cat([size * angle.cos(), size * angle.sin()], dim=-1).to(x.dtype)
