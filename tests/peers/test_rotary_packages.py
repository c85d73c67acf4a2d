"""Rotations beside those of rotary-embedding-torch and x-transformers.

Where one of them is wrong, the test states its value, the exact one, and ours.
"""

import pytest
import torch
from torch import Tensor

from locant.encodings import PoPE, Rotary, XPos, frequencies, scaling

pytestmark = pytest.mark.filterwarnings("ignore")
F64 = torch.float64


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32).to(dtype)


rotary_embedding_torch = pytest.importorskip("rotary_embedding_torch")


@torch.no_grad()
def test_rotary_embedding_torch() -> None:
    """Plain, interpolated, NTK and axial; it pairs neighbouring columns."""
    x, positions = noise(1, 2, 40, 16), torch.arange(40)[None]
    for options, table in (
        ({}, frequencies.geometric(8)),
        ({"interpolate_factor": 4.0}, scaling.interpolated(frequencies.geometric(8), 4.0)),
        ({"theta_rescale_factor": 8.0}, scaling.ntk(8, 8.0)),
    ):
        peer = rotary_embedding_torch.RotaryEmbedding(16, **options)
        ours = Rotary(16, frequencies=table, layout="interleaved").qk(x, x, positions, positions)[0]
        torch.testing.assert_close(ours, peer.rotate_queries_or_keys(x), rtol=1e-4, atol=1e-4)
    peer, image = rotary_embedding_torch.RotaryEmbedding(8), noise(1, 2, 3, 5, 16)
    expected = rotary_embedding_torch.apply_rotary_emb(peer.get_axial_freqs(3, 5), image)
    grid = torch.cartesian_prod(torch.arange(3), torch.arange(5))[None]
    ours = Rotary(16, frequencies=frequencies.axial(8, 2), layout="interleaved")
    found = ours.qk(image.flatten(2, 3), image.flatten(2, 3), grid, grid)[0]
    torch.testing.assert_close(found, expected.flatten(2, 3), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_rotary_embedding_torch_loses_positions_in_bfloat16() -> None:
    """Errors against the exact rotation of the same rounded numbers, at 0 - 255, 256 - 511 and 512 - 1023.

    Peer: below 0.1, above 1, above 2, and 512 turned like 513. Ours: the rounding of the result, everywhere.
    """
    positions = torch.arange(1024)[None]
    x = noise(1, 1, 1, 64, dtype=torch.bfloat16).expand(1, 1, 1024, 64)
    exact = Rotary(64, layout="interleaved", dtype=F64).qk(x.double(), x.double(), positions, positions)[0]
    theirs = rotary_embedding_torch.RotaryEmbedding(64).rotate_queries_or_keys(x)
    ours = Rotary(64, layout="interleaved").qk(x, x, positions, positions)[0]
    error = [[float((y.double() - exact)[0, 0, a:b].abs().max()) for a, b in ((0, 256), (256, 512), (512, 1024))]
             for y in (theirs, ours)]  # fmt: skip
    assert error[0][0] < 0.1
    assert error[0][1] > 1
    assert error[0][2] > 2
    assert torch.equal(theirs[0, 0, 512], theirs[0, 0, 513])
    assert max(error[1]) < 0.02
    assert not torch.equal(ours[0, 0, 512], ours[0, 0, 513])


@torch.no_grad()
def test_xpos_of_rotary_embedding_torch() -> None:
    """Its products, which do not depend on its centre, half of the length."""
    q, k, positions = noise(1, 2, 40, 16), noise(1, 2, 40, 16, seed=1), torch.arange(40)[None]
    peer = rotary_embedding_torch.RotaryEmbedding(16, use_xpos=True)
    turned = peer.rotate_queries_and_keys(q, k)
    ours = XPos(16, 64, layout="interleaved").qk(q, k, positions, positions)
    torch.testing.assert_close(ours[0] @ ours[1].mT, turned[0] @ turned[1].mT, rtol=1e-4, atol=1e-4)


x_transformers = pytest.importorskip("x_transformers.x_transformers")


@torch.no_grad()
def test_x_transformers() -> None:
    x, positions = noise(1, 2, 40, 16), torch.arange(40)[None]
    for options, table in (
        ({}, frequencies.geometric(8)),
        ({"base_rescale_factor": 4.0}, scaling.ntk(8, 4.0)),
        ({"interpolation_factor": 4.0}, scaling.interpolated(frequencies.geometric(8), 4.0)),
    ):
        peer = x_transformers.RotaryEmbedding(16, **options)
        freqs, scale = peer.forward_from_seq_len(40)
        expected = x_transformers.apply_rotary_pos_emb(x, freqs, scale)
        ours = Rotary(16, frequencies=table, layout="interleaved").qk(x, x, positions, positions)[0]
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_xpos_of_x_transformers_moves_its_centre_with_the_length() -> None:
    """Keys scaled for 100 tokens do not fit queries scaled for 200.

    The product of query 150 and key 50, peer with such a key: 2.843; with both scaled for 200, and ours: 2.588.
    """
    peer, x = x_transformers.RotaryEmbedding(16, use_xpos=True, scale_base=64), noise(1, 1, 200, 16)

    def turned(length: int, sign: float) -> Tensor:
        freqs, scale = peer.forward_from_seq_len(length)
        return x_transformers.apply_rotary_pos_emb(x[:, :, :length], freqs, scale**sign)[0, 0]

    together = turned(200, 1.0)[150] @ turned(200, -1.0)[50]
    cached = turned(200, 1.0)[150] @ turned(100, -1.0)[50]
    ours = XPos(16, 200, scale_base=64.0, layout="interleaved")
    key = ours.qk(x[:, :, :100], x[:, :, :100], torch.arange(100)[None], torch.arange(100)[None])[1][0, 0, 50]
    query = ours.qk(x, x, torch.arange(200)[None], torch.arange(200)[None])[0][0, 0, 150]
    torch.testing.assert_close(query @ key, together, rtol=1e-4, atol=1e-4)
    assert float(together) == pytest.approx(2.588, abs=1e-3)
    assert float(cached) == pytest.approx(2.843, abs=1e-3)


@torch.no_grad()
def test_x_transformers_casts_its_frequencies() -> None:
    """``.bfloat16()`` rounds the buffer of frequencies, and positions with it.

    Errors of the cosine up to 255, 511 and 2048: 0.5, 1.6 and 2.0 there, and 512 is turned like 513; ours below 0.001.
    """
    peer, places = x_transformers.RotaryEmbedding(64).bfloat16(), torch.arange(2049)
    theirs = peer(places)[0][0, :, ::2].double().cos()
    exact = torch.outer(places.double(), frequencies.geometric(32)).cos()
    errors = [float((theirs - exact)[:end].abs().max()) for end in (256, 512, 2049)]
    assert errors == pytest.approx([0.53, 1.56, 2.0], abs=0.01)
    assert torch.equal(theirs[512], theirs[513])
    ours = torch.outer(places.double(), Rotary(64).bfloat16().frequencies().double()).cos()
    torch.testing.assert_close(ours, exact, rtol=0, atol=1e-3)
    assert "inv_freq" in peer.state_dict()
    assert Rotary(64).state_dict() == {}


@torch.no_grad()
def test_pope_of_x_transformers() -> None:
    peer, ours = x_transformers.PolarEmbedding(16, 2), PoPE(16, 2)
    with torch.no_grad():
        peer.learned_bias.copy_(-3 * torch.rand(2, 1, 16, generator=torch.Generator().manual_seed(2)))
        ours.offset.copy_(peer.learned_bias[:, 0])
    q, k, positions = noise(1, 2, 40, 16), noise(1, 2, 40, 16, seed=1), torch.arange(40)[None]
    freqs, bias = peer(torch.arange(40))
    turned = x_transformers.apply_polar_pos_emb(q, freqs), x_transformers.apply_polar_pos_emb(k, freqs + bias)
    found = ours.qk(q, k, positions, positions)
    torch.testing.assert_close(found[0] @ found[1].mT, turned[0] @ turned[1].mT, rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_pope_of_x_transformers_takes_rows_for_heads() -> None:
    """Two rows at different positions and two heads: head ``h`` of every row gets the positions of row ``h``."""
    positions = torch.stack([torch.arange(5), torch.arange(20, 25)])
    q = noise(1, 1, 5, 16).expand(2, 2, 5, 16)
    freqs, _ = x_transformers.PolarEmbedding(16, 2)(positions)
    theirs = x_transformers.apply_polar_pos_emb(q, freqs)
    angle = positions[:, None, :, None] * frequencies.geometric(16)
    size = torch.nn.functional.softplus(q.double())
    exact = torch.cat([size * angle.cos(), size * angle.sin()], dim=-1)
    ours = PoPE(16, 2).qk(q, q, positions, positions)[0].double()
    torch.testing.assert_close(ours, exact, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(theirs[0, 1].double(), exact[1, 1], rtol=1e-4, atol=1e-4)  # row 0 at the place of row 1
    assert (theirs.double() - exact).abs().max() > 1
