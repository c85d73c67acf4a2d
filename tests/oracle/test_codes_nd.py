"""Codes of several axes, binary and learned-frequency codes against loops, forward and backward."""

import itertools
import math

import pytest
import torch
from oracle import loops
from torch import Tensor

from locant.encodings import (
    Axial,
    Binary,
    Fourier,
    LearnableFourier,
    Learned,
    LearnedGrid,
    Random,
    Sinusoidal,
    build,
    contiguous,
    grid,
    on_axes,
    one_axis,
)

F64 = torch.float64
WHERE = torch.tensor([[[0, 0], [1, 2], [2, 0], [2, 4]], [[2, 3], [0, 4], [1, 1], [0, 0]]])
FRACTIONS = torch.tensor([[[0.0, 0.0], [1.25, 2.5], [2.0, 0.75], [1.5, 4.0]]], dtype=F64)


def drawn(code: torch.nn.Module, seed: int = 1) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in code.double().parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=F64))
    return code


def equal_with_gradients(actual: Tensor, expected: Tensor, wanted: list[Tensor]) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)
    weights = torch.randn(actual.shape, generator=torch.Generator().manual_seed(9), dtype=F64)
    torch.testing.assert_close(
        torch.autograd.grad((actual * weights).sum(), wanted),
        torch.autograd.grad((expected * weights).sum(), wanted),
        rtol=1e-8,
        atol=1e-10,
    )


@pytest.mark.parametrize(("limit", "width"), [(2, 1), (5, 3), (64, 6), (64, 32), (1000, 11)])
def test_binary(limit: int, width: int) -> None:
    code, bits = Binary(limit, width), len(f"{limit - 1:b}")
    for position in {0, 1, limit // 2, limit - 1}:
        text = f"{position:0{bits}b}"[::-1]
        expected = [1.0 if text[c % bits] == "1" else -1.0 for c in range(width)]
        for kind in (torch.long, torch.int32, F64):
            assert code(torch.tensor([position], dtype=kind))[0].tolist() == expected
    between = code(torch.tensor([0.25]))[0]
    torch.testing.assert_close(between, 0.75 * code(torch.tensor(0)) + 0.25 * code(torch.tensor(1)))
    assert len(set(map(tuple, code(torch.arange(limit)).tolist()))) == limit
    with pytest.raises(ValueError, match=f"expected positions below {limit}, .*was: {limit}"):
        code(torch.tensor([limit]))


@pytest.mark.parametrize("layout", ["interleaved", "halves"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_sinusoidal_on_axes(axes: int, layout: str) -> None:
    positions = 300 * torch.rand(2, 5, axes, generator=torch.Generator().manual_seed(2), dtype=F64)
    code = Axial(*[Sinusoidal(6, base=500.0, layout=layout, dtype=F64) for _ in range(axes)])
    rows = [
        [[w for z in token.tolist() for w in loops.sinusoidal(z, 6, 500.0, layout)] for token in row]
        for row in positions
    ]
    torch.testing.assert_close(code(positions), torch.tensor(rows, dtype=F64), rtol=0, atol=1e-10)
    built = build(f"add(sinusoidal_nd(axes={axes}, base=500.0, layout={layout}))", width=6 * axes, heads=1).code
    torch.testing.assert_close(built(positions).double(), torch.tensor(rows, dtype=F64), rtol=0, atol=1e-3)


@pytest.mark.parametrize("combine", ["concat", "sum"])
def test_learned_on_axes(combine: str) -> None:
    code = drawn(Axial(Learned(3, 2), Learned(5, 2), combine=combine))
    tables = [table.weight for table in code.codes]
    rows = []
    for y, x in WHERE[1].tolist():
        a, b = tables[0][y], tables[1][x]
        rows.append(torch.cat([a, b]) if combine == "concat" else torch.stack([a[0] + b[0], a[1] + b[1]]))
    equal_with_gradients(code(WHERE)[1], torch.stack(rows), list(tables))
    assert code.limit == 3
    assert code.rms == pytest.approx(0.02 if combine == "concat" else 0.02 * math.sqrt(2))
    with pytest.raises(ValueError, match=r"expected positions below 3, .*was: 3"):
        code(torch.tensor([[[3, 3]]]))


def corners(weight: Tensor, where: list[float]) -> Tensor:
    """Multilinear interpolation: every corner of the cell, weighted by its nearness along each axis."""
    total = torch.zeros(weight.shape[-1], dtype=F64)
    for corner in itertools.product((0, 1), repeat=len(where)):
        share, index = 1.0, []
        for z, up in zip(where, corner, strict=True):
            low = math.floor(z)
            share *= (z - low) if up else 1 - (z - low)
            index.append(math.ceil(z) if up else low)
        total = total + share * weight[tuple(index)]
    return total


def test_learned_grid() -> None:
    code = drawn(LearnedGrid((3, 5), 2))
    exact = torch.stack([torch.stack([code.weight[y, x] for y, x in row]) for row in WHERE.tolist()])
    equal_with_gradients(code(WHERE), exact, [code.weight])
    between = torch.stack([corners(code.weight, token) for token in FRACTIONS[0].tolist()])
    equal_with_gradients(code(FRACTIONS)[0], between, [code.weight])
    assert torch.equal(code(torch.tensor([[1, 2]])), torch.stack([code.weight[1, 1], code.weight[2, 2]])[None])
    cube = drawn(LearnedGrid((2, 3, 4), 2))
    places = torch.tensor([[[1.0, 1.5, 2.25], [0.5, 2.0, 3.0]]], dtype=F64)
    expected = torch.stack([corners(cube.weight, token) for token in places[0].tolist()])
    equal_with_gradients(cube(places)[0], expected, [cube.weight])
    for outside, size in (([[[0, 5]]], 5), ([[[3, 0]]], 3)):
        with pytest.raises(ValueError, match=f"expected positions below {size}, .*was: {size}"):
            code(torch.tensor(outside))


def cubic(x: float) -> float:
    """Keys 1981 with a = -0.5."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def resized(column: list[float], size: int) -> list[float]:
    """One axis: each new cell averages the old ones around its centre, over a wider reach when there are fewer."""
    ratio = len(column) / size
    reach, out = max(ratio, 1.0), []
    for i in range(size):
        centre = (i + 0.5) * ratio
        weights = [cubic((j + 0.5 - centre) / reach) for j in range(len(column))]
        out.append(sum(w * v for w, v in zip(weights, column, strict=True)) / sum(weights))
    return out


@pytest.mark.parametrize("sizes", [(3, 8), (8, 3), (2, 2), (5, 6), (12, 13)])
def test_resampling_is_bicubic_along_each_axis(sizes: tuple[int, int]) -> None:
    code = drawn(LearnedGrid((5, 6), 2))
    made = code.resample(sizes)
    assert made.sizes == sizes
    assert made.weight.requires_grad
    for c in range(2):
        rows = [resized(row, sizes[1]) for row in code.weight[..., c].tolist()]
        columns = [resized([row[x] for row in rows], sizes[0]) for x in range(sizes[1])]
        expected = torch.tensor(columns, dtype=F64).T
        torch.testing.assert_close(made.weight[..., c].detach(), expected, rtol=1e-5, atol=1e-5)


def test_resampling_keeps_what_it_can() -> None:
    code = LearnedGrid((4, 5), 3, std=1.0)
    assert torch.equal(code.resample((4, 5)).weight, code.weight)
    assert code.resample((4, 5)).weight is not code.weight
    with torch.no_grad():
        code.weight.fill_(0.7)
    torch.testing.assert_close(code.resample((9, 2)).weight, torch.full((9, 2, 3), 0.7))
    assert code.bfloat16().resample((8, 8)).weight.dtype == torch.bfloat16
    line = LearnedGrid((4,), 2).resample((9,))
    assert line(torch.arange(9)[None]).shape == (1, 9, 2)


@pytest.mark.parametrize("axes", [1, 2])
def test_learnable_fourier(axes: int) -> None:
    code = drawn(LearnableFourier(3, axes=axes, features=4, hidden=2))
    positions = FRACTIONS[..., :axes]
    parameters = dict(code.named_parameters())
    rows = []
    for token in positions[0].tolist():
        angles = [sum(w * z for w, z in zip(row, token, strict=True)) for row in parameters["frequencies"]]
        features = [torch.cos(a) / 2 for a in angles] + [torch.sin(a) / 2 for a in angles]
        hidden = []
        for row, bias in zip(parameters["up"], parameters["up_bias"], strict=True):
            h = sum(w * f for w, f in zip(row, features, strict=True)) + bias
            hidden.append(0.5 * h * (1 + torch.erf(h / math.sqrt(2))))
        outs = zip(parameters["down"], parameters["down_bias"], strict=True)
        rows.append(torch.stack([sum(w * h for w, h in zip(row, hidden, strict=True)) + b for row, b in outs]))
    equal_with_gradients(code(positions)[0], torch.stack(rows), list(parameters.values()))


def test_learnable_fourier_starts_with_variance_1_and_likeness_that_fades_with_gamma() -> None:
    code = LearnableFourier(512, axes=2, features=4096, hidden=256, gamma=20.0)
    code.reset_parameters(torch.Generator().manual_seed(0))
    assert float(code(grid(30, 30).positions).detach().square().mean()) == pytest.approx(1.0, rel=0.15)
    distance = torch.tensor([0.0, 5.0, 20.0, 60.0])
    likeness = torch.cos(distance[:, None] * code.frequencies[:, 0]).mean(-1)
    torch.testing.assert_close(likeness.detach(), torch.exp(-((distance / 20.0) ** 2) / 2), rtol=0, atol=0.05)


def test_learned_frequencies_are_precise_in_low_precision_and_autocast() -> None:
    code = LearnableFourier(8, gamma=0.5).bfloat16()
    far = torch.arange(4096, 4200)[None]
    twin = LearnableFourier(8, gamma=0.5)
    twin.load_state_dict(code.state_dict())
    assert torch.equal(code(far), twin(far))
    with torch.autocast("cpu", torch.bfloat16):
        assert (twin(far) - code(far)).abs().max() < 0.1


@pytest.mark.parametrize(
    "code", [Sinusoidal(4), Learned(9, 4), Random(9, 4), Fourier(9, 4), Binary(9, 4)], ids=lambda c: type(c).__name__
)
def test_codes_of_one_axis_refuse_more(code: torch.nn.Module) -> None:
    assert code(torch.tensor([[1, 2]])).shape == (1, 2, 4)
    with pytest.raises(ValueError, match=r"expected positions \[rows, time\] on one axis, was: \[1, 6, 2\]"):
        code(grid(2, 3).positions)


def test_codes_of_several_axes_refuse_other_numbers_and_read_one_as_all() -> None:
    line = torch.arange(3)[None]
    assert on_axes(line, 2).tolist() == [[[0, 0], [1, 1], [2, 2]]]
    assert on_axes(line[0], 3).shape == (3, 3)
    assert one_axis(line) is line
    for code in (Axial(Learned(9, 2), Learned(9, 2)), LearnedGrid((9, 9), 4), LearnableFourier(4, axes=2)):
        assert torch.equal(code(line), code(on_axes(line, 2)))
        with pytest.raises(ValueError, match=r"expected positions on 2 axes, \[rows, time, 2\], was: \[1, 4, 3\]"):
            code(grid(1, 2, 2).positions)


def test_what_is_refused() -> None:
    for call, message in [
        (lambda: Binary(1, 4), "expected at least 2 positions, was: 1"),
        (lambda: Binary(17, 4), "expected at least 5 columns for 17 positions, was: 4"),
        (lambda: Axial(), r"expected at least one code, was: \[\]"),
        (lambda: Axial(Learned(2, 3), Learned(2, 4), combine="sum"), r"codes of one width for a sum, was: \[3, 4\]"),
        (lambda: Axial(Learned(2, 3), combine="add"), "expected to combine by concat or sum, was: add"),
        (lambda: LearnedGrid((), 4), r"a grid of at least 1 position an axis and 1 column, was: \[4\]"),
        (lambda: LearnedGrid((3, 0), 4), r"a grid of at least 1 position an axis and 1 column, was: \[3, 0, 4\]"),
        (lambda: LearnedGrid((3,), 0), r"a grid of at least 1 position an axis and 1 column, was: \[3, 0\]"),
        (lambda: LearnedGrid((3,), 1, std=-1.0), "expected a standard deviation of at least 0, was: -1.0"),
        (lambda: LearnedGrid((3, 3), 1).resample((4,)), r"expected 2 sizes, one an axis, was: \[4\]"),
        (lambda: LearnableFourier(4, features=5), "expected a positive even number of features, was: 5"),
        (lambda: LearnableFourier(4, gamma=0.0), "axes, hidden, width and gamma above 0, was: 1, 32, 4 and 0.0"),
        (lambda: build("add(sinusoidal_nd(axes=3))", width=8, heads=1), "a width that they divide, was: 3 and 8"),
        (lambda: build("add(learned_axial(axes=0))", width=8, heads=1, length=2), "at least 1 axis .*was: 0 and 8"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_a_flat_numbering_of_a_flat_table_is_the_grid() -> None:
    code = LearnedGrid((2, 3), 4)
    flat = Learned(6, 4)
    with torch.no_grad():
        flat.weight.copy_(code.weight.flatten(0, 1))
    assert torch.equal(code(grid(2, 3).positions), flat(contiguous(6).positions))
