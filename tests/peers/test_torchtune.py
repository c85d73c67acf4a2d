"""Rotations beside those of torchtune, which takes ``[batch, time, head, width]`` and keeps tables of cosines.

Where it is wrong, the test states its value and ours.
"""

import pytest
import torch
from support import noise
from torch import Tensor

from locant.encodings import Rotary, frequencies, scaling

pytestmark = pytest.mark.filterwarnings("ignore")
pytest.importorskip("torchtune")
PLACES = torch.tensor([[0, 1, 2, 7, 40, 255, 256, 4095], [5, 5, 6, 100, 101, 2047, 2048, 9]])


def beside(ours: Rotary, theirs: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """Both of the same content at the same places, one row of them for each of the batch."""
    x = noise(2, 3, 8, 64)
    return ours.qk(x, x, PLACES, PLACES)[0], theirs(x.transpose(1, 2), input_pos=PLACES).transpose(1, 2)


@torch.no_grad()
def test_llama_2_and_3() -> None:
    from torchtune.models.llama3_1._position_embeddings import Llama3ScaledRoPE
    from torchtune.modules import RotaryPositionalEmbeddings

    scaled = {"scale_factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "old_context_len": 8192}
    for ours, theirs in (
        (Rotary(64, layout="interleaved"), RotaryPositionalEmbeddings(64)),
        (Rotary(64, base=500_000.0, layout="interleaved"), RotaryPositionalEmbeddings(64, base=500_000)),
        (
            Rotary(64, frequencies=scaling.llama3(32, 8.0, 8192, 500_000.0), layout="interleaved"),
            Llama3ScaledRoPE(64, base=500_000, **scaled),
        ),
    ):
        torch.testing.assert_close(*beside(ours, theirs), rtol=1e-3, atol=3e-3)  # frequencies in float32, at 4095


@torch.no_grad()
def test_phi_3() -> None:
    from torchtune.models.phi3 import Phi3RotaryPositionalEmbeddings

    torch.testing.assert_close(*beside(Rotary(64), Phi3RotaryPositionalEmbeddings(64)), rtol=1e-3, atol=3e-3)


@torch.no_grad()
def test_images() -> None:
    """Columns of x before columns of y, both counted from 1; the class token, the last, is not turned: place 0, 0."""
    from torchtune.modules import VisionRotaryPositionalEmbeddings

    peer, x = VisionRotaryPositionalEmbeddings(patch_size=4, tile_size=12, max_num_tiles=1, dim=8), noise(1, 2, 10, 16)
    cells = torch.cartesian_prod(torch.arange(1, 4), torch.arange(1, 4)).flip(-1)
    grid = torch.cat([cells, torch.zeros(1, 2, dtype=torch.long)])[None]
    ours = Rotary(16, frequencies=frequencies.axial(8, 2), layout="interleaved").qk(x, x, grid, grid)[0]
    torch.testing.assert_close(ours, peer(x.transpose(1, 2)).transpose(1, 2), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_table_in_bfloat16() -> None:
    """``.bfloat16()`` rounds torchtune's cosines, whatever the content is: off by 0.01. Ours keep theirs."""
    from torchtune.modules import RotaryPositionalEmbeddings

    x = noise(2, 3, 8, 64)
    exact = Rotary(64, layout="interleaved", dtype=torch.float64).qk(x.double(), x.double(), PLACES, PLACES)[0]
    ours, theirs = beside(Rotary(64, layout="interleaved").bfloat16(), RotaryPositionalEmbeddings(64).bfloat16())
    assert float((theirs - exact).abs().max()) > 5e-3
    assert float((ours - exact).abs().max()) < 2e-3


@torch.no_grad()
def test_places_beyond_and_before_the_table() -> None:
    """Beyond its table torchtune fails without saying why; before it, -1 is turned like the last place there is."""
    from torchtune.modules import RotaryPositionalEmbeddings

    peer, x = RotaryPositionalEmbeddings(64, max_seq_len=16), noise(1, 1, 1, 64)
    with pytest.raises(IndexError):
        peer(x, input_pos=torch.tensor([[16]]))
    assert torch.equal(peer(x, input_pos=torch.tensor([[-1]])), peer(x, input_pos=torch.tensor([[15]])))
    ours = Rotary(64, layout="interleaved")
    back, there = (ours.qk(x, x, *[torch.tensor([[at]])] * 2)[0] for at in (-1, 1))
    torch.testing.assert_close(ours.qk(back, back, *[torch.tensor([[1]])] * 2)[0], x, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(back, there)
