"""The fast rotations equal the plain one: values, gradients, gradients of gradients, and where they do not serve."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import lying, noise
from torch import Tensor
from torch.autograd import forward_ad

from locant.encodings import Rotary, contiguous, rotary_fast
from locant.encodings.rotary import angles, turn, turn_plainly, waves

pytestmark = pytest.mark.usefixtures("torch_kernels")
CLOSE = {torch.float32: 1e-5, torch.float64: 1e-13, torch.bfloat16: 0.04, torch.float16: 0.005}


def curves(rows: int, heads: int, time: int, pairs: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    return waves(3.0 * noise(rows, heads, time, pairs, seed=3).to(dtype))


@settings(max_examples=150, deadline=None)
@given(
    layout=st.sampled_from(["half", "interleaved"]),
    order=st.sampled_from(["own", "shared", "odd"]),
    dtype=st.sampled_from(list(CLOSE)),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9), st.integers(1, 4)),
    of_rows=st.booleans(),
    of_heads=st.booleans(),
    learned=st.booleans(),
    block=st.sampled_from([1, 20, 100, 10_000]),
    least=st.sampled_from([1, 10_000]),
    narrow=st.sampled_from([0, 32]),
)
def test_the_fast_ways_equal_the_plain_one(layout: str, order: str, dtype: torch.dtype, sizes: tuple[int, ...],
                                           of_rows: bool, of_heads: bool, learned: bool, block: int,
                                           least: int, narrow: int) -> None:  # fmt: skip
    batch, heads, time, pairs = sizes
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    cos, sin = curves(batch if of_rows else 1, heads if of_heads else 1, time, pairs, wide)
    wanted = noise(batch, heads, time, 2 * pairs, seed=5).to(dtype)
    results = []
    for quick in (True, False):
        x = lying(order, batch, heads, time, 2 * pairs).to(dtype).detach().requires_grad_()
        c, s = (curve.clone().requires_grad_(learned) for curve in (cos, sin))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rotary_fast, "BLOCK", block)
            patch.setattr(rotary_fast, "LEAST", least)
            patch.setattr(rotary_fast, "NARROW", narrow)
            y = turn(x, c, s, layout=layout) if quick else turn_plainly(x, c, s, layout=layout)
            inputs = (x, c, s) if learned else (x,)
            results.append([y, *torch.autograd.grad(y, inputs, wanted, create_graph=False)])
    for one, other in zip(*results, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=CLOSE[dtype], atol=CLOSE[dtype] * 4)


@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated:DeprecationWarning"
)  # torch's own, for forward mode
@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("order", ["own", "shared"])
@pytest.mark.parametrize("narrow", [0, 32])
def test_derivatives_of_any_order(monkeypatch: pytest.MonkeyPatch, layout: str, order: str, narrow: int) -> None:
    """Backward twice, and forward: for what trains through gradients, and for Hessians."""
    monkeypatch.setattr(rotary_fast, "NARROW", narrow)
    monkeypatch.setattr(rotary_fast, "LEAST", 1)
    monkeypatch.setattr(rotary_fast, "BLOCK", 16)
    cos, sin = curves(1, 1, 3, 2, torch.float64)
    x = lying(order, 2, 2, 3, 4).double().detach().requires_grad_()

    def call(x: Tensor) -> Tensor:
        return turn(x, cos, sin, layout=layout)

    assert torch.autograd.gradcheck(call, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(call, x)


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_one_token_is_rotated_as_many_are(layout: str) -> None:
    rotary, where = Rotary(8, layout=layout), contiguous(6, start=900).positions
    q, k = noise(2, 3, 4, 6, 8)
    with torch.no_grad():
        together = rotary.qk(q, k, where, where)
        for t in range(6):
            place = where[:, t : t + 1]
            alone = rotary.qk(q[:, :, t : t + 1], k[:, :, t : t + 1], place, place)
            for one, all_of_them in zip(alone, together, strict=True):
                torch.testing.assert_close(one, all_of_them[:, :, t : t + 1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("order", ["own", "shared", "odd"])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_a_token_of_any_kind(layout: str, order: str, rows: int, key_heads: int) -> None:
    """Views of one projection, positions of every row, fewer keys than queries: values are the plain ones."""
    rotary, positions = Rotary(8, layout=layout), torch.tensor([[900], [7], [0]])[:rows]
    q, k = lying(order, 3, 4, 1, 8), lying(order, 3, 4, 1, 8)[:, :key_heads] + 1.0
    before = q.clone(), k.clone()
    cos, sin = waves(angles(positions, rotary.frequencies()).unsqueeze(-3))
    with torch.no_grad():
        found = rotary.qk(q, k, positions, positions)
    for one, x, was in zip(found, (q, k), before, strict=True):
        torch.testing.assert_close(one, turn_plainly(x, cos, sin, layout=layout), rtol=1e-5, atol=1e-6)
        assert one.shape == x.shape
        assert torch.equal(x, was)


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_a_token_that_needs_a_gradient_has_one(layout: str) -> None:
    rotary, positions = Rotary(8, layout=layout), torch.tensor([[5]])
    q, k = noise(2, 1, 2, 1, 8).requires_grad_().unbind()
    turned = torch.cat(rotary.qk(q, k, positions, positions))
    cos, sin = waves(angles(positions, rotary.frequencies()).unsqueeze(-3))
    plain = torch.cat([turn_plainly(x, cos, sin, layout=layout) for x in (q, k)])
    wanted = noise(2, 2, 1, 8, seed=4)
    for one, other in zip(*(torch.autograd.grad(y, (q, k), wanted) for y in (turned, plain)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated:DeprecationWarning"
)  # torch's own, for forward mode
@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_a_token_has_its_derivative_in_forward_mode(layout: str) -> None:
    """The rotation is linear: the derivative along a direction is the direction, rotated."""
    rotary, positions = Rotary(8, layout=layout), torch.tensor([[5]])
    q, k, direction = noise(3, 1, 2, 1, 8)
    with forward_ad.dual_level():
        turned, _ = rotary.qk(forward_ad.make_dual(q, direction), k, positions, positions)
        tangent = forward_ad.unpack_dual(turned).tangent
    torch.testing.assert_close(tangent, rotary.qk(direction, k, positions, positions)[0])


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_what_is_mapped_over_models_is_rotated_plainly(layout: str) -> None:
    cos, sin = curves(1, 1, 4, 3)
    x = noise(5, 2, 3, 4, 6)
    mapped = torch.func.vmap(lambda each: turn(each, cos, sin, layout=layout))(x)
    torch.testing.assert_close(mapped, turn_plainly(x, cos, sin, layout=layout))


def test_no_blocks_where_a_frequency_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks have no gradient for the angle; what needs one must not lose it."""
    monkeypatch.setattr(rotary_fast, "LEAST", 1)
    monkeypatch.setattr(rotary_fast, "NARROW", 0)
    angle = noise(1, 1, 4, 3).requires_grad_()
    x = noise(2, 2, 4, 6)
    for layout in ("half", "interleaved"):
        gradients = []
        for call in (turn, turn_plainly):
            y = call(x, *waves(angle), layout=layout)
            gradients.append(torch.autograd.grad(y.square().sum() + y.sum(), angle)[0])
        torch.testing.assert_close(*gradients)
        assert gradients[0].abs().max() > 0.1
