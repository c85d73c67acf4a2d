"""Codes against the packages that have them. Where a package is wrong, its value stands beside ours."""

import positional_encodings.torch_encodings as positional_encodings
import pytest
import torch
from support import same

from locant.encodings import Axial, Sinusoidal, grid

x_transformers = pytest.importorskip("x_transformers.x_transformers")
TIME = 40


@torch.no_grad()
def test_sinusoids_of_positional_encodings() -> None:
    theirs = positional_encodings.PositionalEncoding1D(16)(torch.zeros(1, TIME, 16))
    same(Sinusoidal(16)(torch.arange(TIME)), theirs[0])


@torch.no_grad()
def test_sinusoids_on_a_grid_of_positional_encodings() -> None:
    theirs = positional_encodings.PositionalEncoding2D(16)(torch.zeros(1, 5, 7, 16))
    same(Axial(Sinusoidal(8), Sinusoidal(8))(grid(5, 7).positions), theirs.flatten(1, 2))


@torch.no_grad()
def test_positional_encodings_remembers_the_type_of_an_earlier_call() -> None:
    """Its table is kept by shape alone: after a call in bfloat16, one in float32 gets its values, 0.0019 off."""
    peer = positional_encodings.PositionalEncoding1D(64)
    peer(torch.zeros(1, TIME, 64, dtype=torch.bfloat16))
    later = peer(torch.zeros(1, TIME, 64))
    exact = Sinusoidal(64, dtype=torch.float64)(torch.arange(TIME))
    assert later.dtype == torch.bfloat16
    assert 0.001 < float((later[0].double() - exact).abs().max()) < 0.002
    ours = Sinusoidal(64)
    ours(torch.arange(TIME))
    torch.testing.assert_close(ours.bfloat16()(torch.arange(TIME)).double(), exact, rtol=0, atol=1e-5)


@torch.no_grad()
def test_positional_encodings_loses_positions_in_bfloat16() -> None:
    """``.bfloat16()`` casts its frequencies, and with them its positions: 512 is coded like 513."""
    theirs = positional_encodings.PositionalEncoding1D(64).bfloat16()(torch.zeros(1, 514, 64, dtype=torch.bfloat16))
    assert torch.equal(theirs[0, 512], theirs[0, 513])
    ours = Sinusoidal(64).bfloat16()(torch.arange(514))
    assert not torch.equal(ours[512], ours[513])


@torch.no_grad()
def test_scaled_sinusoids_of_x_transformers() -> None:
    """Equal for one row of positions. Where every row has its own, as left padding needs, it fails."""
    peer, ours = x_transformers.ScaledSinusoidalEmbedding(16), Sinusoidal(16, layout="halves")
    same(ours(torch.arange(TIME)) * 16**-0.5, peer(torch.zeros(1, TIME, 16)))
    rows = torch.stack([torch.arange(TIME), torch.arange(TIME) + 3])
    with pytest.raises(Exception, match=r"(?i)subscripts|dimension"):
        peer(torch.zeros(2, TIME, 16), pos=rows)
    same(ours(rows)[1], ours(rows[1]))
