"""What holds for every rotation and every sinusoid."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.encodings import Rotary, Sinusoidal

few = settings(max_examples=40, deadline=None)
F64 = torch.float64
places = st.floats(0, 5000, width=32)


def turned(rotary: Rotary, x: torch.Tensor, position: float) -> torch.Tensor:
    positions = torch.tensor([[position]], dtype=F64)
    return rotary.qk(x[None, None, None], x[None, None, None], positions, positions)[0][0, 0, 0]


@few
@given(places, places, places, st.sampled_from(["half", "interleaved"]), st.sampled_from([1.0, 0.5]))
def test_the_product_depends_on_the_difference_only(
    i: float, j: float, offset: float, layout: str, fraction: float
) -> None:
    rotary = Rotary(8, layout=layout, fraction=fraction, dtype=F64)
    q, k = torch.randn(2, 8, dtype=F64, generator=torch.Generator().manual_seed(0))
    here = turned(rotary, q, i) @ turned(rotary, k, j)
    there = turned(rotary, q, i + offset) @ turned(rotary, k, j + offset)
    torch.testing.assert_close(here, there, rtol=0, atol=1e-9)
    torch.testing.assert_close(turned(rotary, q, i).norm(), q.norm())


@few
@given(places, st.integers(1, 6))
def test_the_layouts_are_a_permutation_apart(position: float, pairs: int) -> None:
    """Column ``2c`` of one is column ``c`` of the other, ``2c + 1`` is ``c + pairs``."""
    half = Rotary(2 * pairs, dtype=F64)
    interleaved = Rotary(2 * pairs, layout="interleaved", dtype=F64)
    order = torch.arange(2 * pairs).view(pairs, 2).T.flatten()
    x = torch.randn(2 * pairs, dtype=F64, generator=torch.Generator().manual_seed(1))
    # Not to the bit: one of them multiplies complex numbers.
    one, other = turned(half, x[order], position), turned(interleaved, x, position)[order]
    torch.testing.assert_close(one, other, rtol=0, atol=1e-14)


@few
@given(places, st.integers(1, 6))
def test_the_sinusoidal_layouts_are_a_permutation_apart(position: float, pairs: int) -> None:
    order = torch.arange(2 * pairs).view(pairs, 2).T.flatten()
    where = torch.tensor([position])
    halves, interleaved = Sinusoidal(2 * pairs, layout="halves"), Sinusoidal(2 * pairs)
    assert torch.equal(halves(where), interleaved(where)[:, order])


@few
@given(places, places)
def test_sinusoidal_products_depend_on_the_difference_only(i: float, j: float) -> None:
    """``p_i . p_j = sum of cos((i - j) w_c)``, the reason that the paper gives for the choice."""
    code = Sinusoidal(8, dtype=F64)
    one, other = code(torch.tensor([i, j], dtype=F64))
    torch.testing.assert_close(one @ other, torch.cos((i - j) * code.frequencies()).sum(), rtol=0, atol=1e-9)
