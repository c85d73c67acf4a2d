"""Layouts, refusals and precision of the rotary family."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import decode, differs, named, same, some_tokens
from torch import Tensor

from locant.encodings import Layout, Rotary, Sinusoidal, build, frequencies
from locant.encodings.decoupled import Decoupled, DecoupledRotary
from locant.encodings.layouts import half_to_interleaved, interleaved_to_half
from locant.encodings.pope import PoPE
from locant.encodings.rotary import rotate
from locant.encodings.rotary_mixed import RotaryMixed
from locant.encodings.rotary_values import RotaryValues
from locant.encodings.rotary_xpos import XPos

SIZES = {"width": 16, "heads": 2, "length": 12}
PLACES = torch.tensor([[0, 3, 4, 19]])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.sampled_from([4, 6, 10]), st.sampled_from([2, 4, None]), st.sampled_from(["first", "last"])
)
def test_converted_weights_give_the_same_scores(heads: int, width: int, columns: int | None, side: str) -> None:
    """Queries of two heads for each key head: weights and biases of both go from one layout to the other and back."""
    fraction = 1.0 if columns is None else columns / width
    x, options = noise(4, 5), {"head_width": width, "columns": columns, "side": side}
    q_weight, k_weight = noise(2 * heads * width, 5, seed=1), noise(heads * width, 5, seed=2)
    q_bias, k_bias = noise(2 * heads * width, seed=3), noise(heads * width, seed=4)

    def scores(layout: str, *weights: Tensor) -> Tensor:
        q = (x @ weights[0].T + weights[1]).view(1, 4, -1, width).transpose(1, 2)
        k = (x @ weights[2].T + weights[3]).view(1, 4, -1, width).transpose(1, 2)
        q, k = Rotary(width, fraction=fraction, layout=layout, side=side).qk(q, k, PLACES, PLACES)
        return q @ k.repeat_interleave(2, dim=1).mT

    ours = (q_weight, q_bias, k_weight, k_bias)
    theirs = [half_to_interleaved(weight, **options) for weight in ours]
    torch.testing.assert_close(scores("interleaved", *theirs), scores("half", *ours))
    for weight, converted in zip(ours, theirs, strict=True):
        assert torch.equal(interleaved_to_half(converted, **options), weight)
        assert torch.equal(half_to_interleaved(interleaved_to_half(weight, **options), **options), weight)


def test_the_order_of_converted_rows() -> None:
    rows = torch.arange(12)
    assert half_to_interleaved(rows, head_width=6).tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    assert half_to_interleaved(rows, head_width=6, columns=4).tolist() == [0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11]
    last = half_to_interleaved(rows, head_width=6, columns=4, side="last")
    assert last.tolist() == [0, 1, 2, 4, 3, 5, 6, 7, 8, 10, 9, 11]


def test_columns_that_are_not_rotated_stay() -> None:
    x = noise(1, 2, 4, 8)
    for side, kept, turned in (("first", slice(4, 8), slice(0, 4)), ("last", slice(0, 4), slice(4, 8))):
        found = Rotary(8, fraction=0.5, side=side, attention_factor=1.5).qk(x, x, PLACES, PLACES)[0]
        assert torch.equal(found[..., kept], x[..., kept])
        alone = Rotary(4, attention_factor=1.5).qk(x[..., turned], x[..., turned], PLACES, PLACES)[0]
        torch.testing.assert_close(found[..., turned], alone, rtol=0, atol=1e-6)
    assert torch.equal(rotate(x, torch.zeros(4, 2), layout="half", scale=1.0), x)


def test_frequencies_given_are_those_used() -> None:
    table = frequencies.geometric(4, 500.0)
    x, given, plain = noise(1, 2, 4, 8), Rotary(8, frequencies=table), Rotary(8, base=500.0)
    assert torch.equal(given.qk(x, x, PLACES, PLACES)[0], plain.qk(x, x, PLACES, PLACES)[0])
    table.zero_()  # the encoding has its own
    assert torch.equal(given.bfloat16().frequencies(), plain.frequencies())
    assert given.state_dict() == {}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "make",
    [
        lambda dtype: XPos(8, 8192, dtype=dtype),
        lambda dtype: Rotary(8, frequencies=frequencies.axial(4, 2), dtype=dtype),
        lambda dtype: PoPE(8, 1, dtype=dtype),
    ],
)
def test_angles_in_modules_of_few_digits(make: Callable[[torch.dtype], Rotary], dtype: torch.dtype) -> None:
    positions = torch.tensor([[255, 256, 257, 512, 513, 2047, 2049, 4095]])
    x = torch.ones(1, 1, 8, 8, dtype=dtype)
    found = make(torch.float32).to(dtype).qk(x, x, positions, positions)
    exact = make(torch.float64).double().qk(x.double(), x.double(), positions, positions)
    for low, high in zip(found, exact, strict=True):
        assert low.dtype == dtype
        torch.testing.assert_close(low.double(), high, rtol=2.0**-8, atol=2.0**-6)
        assert not torch.equal(low[0, 0, 3], low[0, 0, 4])


def test_axes_are_not_mixed_up() -> None:
    """On a grid that is not square, moving along one axis changes only that axis' columns."""
    rotary, x = Rotary(8, frequencies=frequencies.axial(4, 2)), noise(1, 1, 1, 8)

    def at(row: int, column: int) -> Tensor:
        place = torch.tensor([[[row, column]]])
        return rotary.qk(x, x, place, place)[0][0, 0, 0]

    first, second = [0, 1, 4, 5], [2, 3, 6, 7]  # pairs (c, c + 4); two pairs an axis
    assert torch.equal(at(1, 7)[first], at(1, 2)[first])
    assert not torch.equal(at(1, 7)[second], at(1, 2)[second])
    assert torch.equal(at(0, 7)[second], at(1, 7)[second])
    assert not torch.equal(at(0, 7)[first], at(1, 7)[first])


@torch.no_grad()
@pytest.mark.parametrize(
    "expression", ["rotary_axial", "rotary_mixed", "mrope", "rotary_axial + on_axis(rotary_values, axis=1)"]
)
def test_a_grid_in_chunks_is_the_grid_at_once(expression: str) -> None:
    """Text, then the patches of an image that is not square, as positions with axes; one row, and one for each."""
    axes = 3 if expression == "mrope" else 2
    image = torch.cartesian_prod(*[torch.arange(n) for n in (2, 1, 4)[-axes:]]).view(-1, axes)
    text = torch.arange(4)[:, None].expand(4, axes)
    positions = torch.cat([text, image[:4] + 4, text + 9])[None]
    model, tokens = named(expression).model(), some_tokens(2, 12)
    for rows in (positions, torch.cat([positions, positions + 7])):
        whole = model(tokens, Layout(rows))
        same(decode(model, tokens, Layout(rows), [5, 1, 6]), whole)
        same(whole, model(tokens, Layout(rows + 50)), "moved along all axes")
    swapped = model(tokens, Layout(positions.flip(-1)))
    differs(swapped, model(tokens, Layout(positions)), "axes are told apart")


def test_xpos_reaches_as_far_as_it_says() -> None:
    most = 28_000  # 512 * ln(1e30) / ln(1.4 / 0.4) = 28 228 from the centre
    x = noise(1, 1, 2, 8)
    xpos, ends = XPos(8, 2 * most), torch.tensor([[0, 2 * most - 1]])
    q, k = xpos.qk(x, x, ends, ends)
    assert q.isfinite().all()
    assert k.isfinite().all()
    assert (q != 0).all()
    assert (k != 0).all()
    with pytest.raises(ValueError, match=r"expected positions within 28\d\d\d of the centre 30000, was: limit 60000"):
        XPos(8, 60_000)
    with pytest.raises(ValueError, match="was: 56000"):
        xpos.qk(x, x, ends + 1, ends)


def test_options_of_expressions_reach_the_module() -> None:
    for expression, table in {
        "rotary(base=5e5)": frequencies.geometric(4, 5e5),
        "rotary(fraction=0.5, side=last)": frequencies.geometric(2, 1e4),
        "interpolation(factor=2, base=100)": frequencies.geometric(4, 100.0) / 2,
        "dynamic_ntk(original=6)": frequencies.geometric(4, 1e4 * 2 ** (4 / 3)),
        "dynamic_ntk(original=6, length=6)": frequencies.geometric(4, 1e4),
        "longrope(short='1 2 3 4', long='9', original=12)": frequencies.geometric(4) / torch.tensor([1, 2, 3, 4]),
        "longrope(short='1 2 3 4', long='9', original=11)": frequencies.geometric(4) / 9,
        "proportional(fraction=0.5, factor=2)": frequencies.partly_zero(4, 0.5) / 2,
        "mrope(sections='1 2 1')": frequencies.sectioned(frequencies.geometric(4), [1, 2, 1]),
        "mrope(interleaved=True)": frequencies.sectioned(frequencies.geometric(4), [2, 1, 1], interleaved=True),
    }.items():
        torch.testing.assert_close(build(expression, **SIZES).frequencies(), table.float())
    assert build("yarn(factor=4, original=64, attention_factor=1.25)", **SIZES).attention_factor == 1.25
    assert build("yarn(factor=4, original=64, mscale=2, mscale_all=2)", **SIZES).attention_factor == 1.0
    assert build("decoupled(learned, width=5)", **SIZES).width == 5


CASES: list[tuple[Callable[[], object], str]] = [
    (lambda: Rotary(8, frequencies=torch.ones(2), base=5.0), "expected frequencies alone, was: also base 5.0"),
    (lambda: Rotary(8, frequencies=torch.ones(5)), "expected 1 to 4 frequencies, was: 5"),
    (lambda: Rotary(8, frequencies=torch.ones(0)), "expected 1 to 4 frequencies, was: 0"),
    (lambda: Rotary(8, side="left"), "expected the side first or last, was: left"),
    (lambda: RotaryValues(8, layout="halves"), "expected the layout half or interleaved, was: halves"),
    (
        lambda: Rotary(8).qk(noise(1, 1, 4, 8), noise(1, 1, 4, 8), PLACES[..., None], PLACES[..., None]),
        "expected positions [rows, time] on one axis, was: [1, 4, 1]",
    ),
    (
        lambda: build("rotary_axial", **SIZES).qk(*[noise(1, 1, 4, 8)] * 2, *[PLACES[..., None].expand(1, 4, 3)] * 2),
        "expected positions on 2 axes, [rows, time, 2], was: [1, 4, 3]",
    ),
    (lambda: XPos(8, 0), "expected a limit of at least 1 position, was: 0"),
    (lambda: XPos(8, 9, scale_base=0.0), "expected a positive scale_base, was: 0.0"),
    (lambda: RotaryMixed(6, 1), "expected a head width divisible by 4, was: 6"),
    (lambda: RotaryMixed(8, 0), "expected at least 1 head and 1 axis, was: 0 and 2"),
    (
        lambda: RotaryMixed(8, 2).qk(noise(1, 3, 4, 8), noise(1, 2, 4, 8), PLACES, PLACES),
        "expected a multiple of 2 heads, was: 3",
    ),
    (lambda: PoPE(8, 0), "expected at least 1 head, was: 0"),
    (lambda: Decoupled(Sinusoidal(4), 8, 2, 0), "that divides the heads, was: 8, 0 and 2 of 2"),
    (lambda: DecoupledRotary(8, 3, 2, key_heads=2), "that divides the heads, was: 8, 2 and 2 of 3"),
    (
        lambda: PoPE(8, 2).qk(noise(1, 4, 4, 8), noise(1, 4, 4, 8), PLACES, PLACES),
        "expected keys of 2 heads, was: 4",
    ),
    (
        lambda: Decoupled(Sinusoidal(4), 8, 4, 2, key_heads=1).qk(*[noise(1, 4, 4, 8)] * 2, PLACES, PLACES),
        "expected 1 heads, was: 4",
    ),
    (
        lambda: DecoupledRotary(8, 4, 2, key_heads=2).qk(*[noise(1, 4, 4, 8)] * 2, PLACES, PLACES),
        "expected 16 columns of all heads together, was: 32",
    ),
    (lambda: half_to_interleaved(noise(9), head_width=4), "expected rows divisible by the head width 4, was: 9"),
    (lambda: half_to_interleaved(noise(8), head_width=4, columns=3), "expected an even number of rotated columns in 2"),
    (lambda: interleaved_to_half(noise(8), head_width=4, columns=6), "rotated columns in 2 .. 4, was: 6"),
    (lambda: interleaved_to_half(noise(8), head_width=4, side="left"), "expected the side first or last, was: left"),
    (
        lambda: build("dynamic_ntk(original=8)", width=16, heads=2),
        "expected length=... in the expression or a length, as the frequencies need one, was: neither",
    ),
    (
        lambda: build("longrope(short='1 x', long='1', original=99)", **SIZES),
        "expected numbers with spaces between them, was: '1 x'",
    ),
    (
        lambda: build("yarn(factor=2, original=64, attention_factor=1.0, mscale=2)", **SIZES),
        "expected attention_factor alone, was: also mscale 2, mscale_all 0.0",
    ),
]


@pytest.mark.parametrize(("call", "message"), CASES, ids=[message[9:50] for _, message in CASES])
def test_refusal(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        call()
    assert message in str(caught.value)
