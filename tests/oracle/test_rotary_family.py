"""Rotations of every kind against loops over pairs of columns, in float64, forward and backward."""

import math
from collections.abc import Callable

import pytest
import torch
from oracle import rotary_loops as loops
from torch import Tensor

from locant.encodings import PositionalEncoding, Rotary, Sinusoidal, frequencies, scaling
from locant.encodings.decoupled import Decoupled, DecoupledRotary
from locant.encodings.pope import PoPE
from locant.encodings.rotary_mixed import RotaryMixed
from locant.encodings.rotary_values import RotaryValues
from locant.encodings.rotary_xpos import XPos

F64 = torch.float64
PLACES = [0.0, 1.0, 2.5, 17.0, 60.0]
GRID = [(0, 0, 0), (3, 1, 4), (3, 0, 2.5), (9, 2, 6), (40, 7, 1)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64).requires_grad_()


def agree(actual: Tensor, expected: Tensor, *inputs: Tensor) -> None:
    """Equal, and with equal gradients of all inputs."""
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)
    weight = noise(*actual.shape, seed=9).detach()
    torch.testing.assert_close(
        torch.autograd.grad((actual * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        rtol=1e-8,
        atol=1e-9,
    )


def scores(encoding: PositionalEncoding, q: Tensor, k: Tensor, positions: Tensor) -> Tensor:
    """Products ``[head, query, key]`` of one sequence, with the key heads repeated for groups of queries."""
    q, k = encoding.qk(q[None], k[None], positions, positions)
    return (q @ k.repeat_interleave(q.shape[1] // k.shape[1], dim=1).mT)[0]


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("side", ["first", "last"])
@pytest.mark.parametrize("heads", [(2, 2), (4, 2)])
def test_any_frequencies_anywhere_in_the_head(layout: str, side: str, heads: tuple[int, int]) -> None:
    table = scaling.yarn(3, 4.0, 32, 100.0)
    rotary = Rotary(10, frequencies=table, layout=layout, side=side, attention_factor=1.2, dtype=F64)
    q, k = noise(heads[0], 5, 10), noise(heads[1], 5, 10, seed=1)
    actual = rotary.qk(q[None], k[None], torch.tensor([PLACES]), torch.tensor([PLACES]))
    per_pair = loops.yarn(6, 4.0, 32, 100.0, 32.0, 1.0, True)
    start = 0 if side == "first" else 4
    expected = [
        torch.stack([
            torch.stack([loops.turned(row, [p * w for w in per_pair], layout, start, [1.2] * 3)
                         for row, p in zip(head, PLACES, strict=True)])
            for head in x
        ])
        for x in (q, k)
    ]  # fmt: skip
    for found, wanted, x in zip(actual, expected, (q, k), strict=True):
        agree(found[0], wanted, x)


TABLES: dict[str, tuple[Tensor, Callable[[int], int]]] = {
    "axial": (frequencies.axial(6, 3, 100.0), lambda c: c // 2),
    "sectioned": (frequencies.sectioned(frequencies.geometric(6, 100.0), [1, 3, 2]), lambda c: [0, 1, 1, 1, 2, 2][c]),
    "interleaved": (
        frequencies.sectioned(frequencies.geometric(6, 100.0), [3, 2, 1], interleaved=True),
        lambda c: [0, 1, 2, 0, 1, 0][c],
    ),
}


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("name", TABLES)
def test_grids(name: str, layout: str) -> None:
    table, axis = TABLES[name]
    rotary, q = Rotary(12, frequencies=table, layout=layout, dtype=F64), noise(1, 2, 5, 12)
    actual = rotary.qk(q, q, torch.tensor([GRID]), torch.tensor([GRID]))[0]
    speed = [100.0 ** (-(c % 2 if name == "axial" else c) / (2 if name == "axial" else 6)) for c in range(6)]
    rows = []
    for head in q[0]:
        rows += [loops.turned(row, [z[axis(c)] * speed[c] for c in range(6)], layout)
                 for row, z in zip(head, GRID, strict=True)]  # fmt: skip
    agree(actual[0].flatten(0, 1), torch.stack(rows), q)


@pytest.mark.parametrize("name", ["sectioned", "interleaved"])
def test_text_in_a_grid_is_one_dimensional(name: str) -> None:
    """Equal ids on all axes, one id without axes, and plain rotary are the same; so are non-square grids and rows."""
    grid, plain, q = Rotary(12, frequencies=TABLES[name][0]), Rotary(12, base=100.0), noise(1, 2, 5, 12).float()
    positions = torch.tensor([[0, 1, 5, 9, 40]])
    expected = plain.qk(q, q, positions, positions)[0]
    for given in (positions, positions[..., None].expand(1, 5, 3)):
        assert torch.equal(grid.qk(q, q, given, given)[0], expected)


@pytest.mark.parametrize("heads", [2, 4])
def test_mixed(heads: int) -> None:
    mixed = RotaryMixed(8, 2, axes=3).double()
    q, k = noise(heads, 5, 8), noise(2, 5, 8, seed=1)
    actual = scores(mixed, q, k, torch.tensor([GRID], dtype=F64))
    expected = torch.zeros(heads, 5, 5, dtype=F64)
    rows = []
    for h in range(heads):
        speed = mixed.weight[h * 2 // heads]
        at = [[sum(speed[a, c] * z[a] for a in range(3)) for c in range(4)] for z in GRID]
        turned = [[loops.turned(row, at[t], "half") for t, row in enumerate(x)] for x in (q[h], k[h * 2 // heads])]
        rows.append(torch.stack([torch.stack([one @ other for other in turned[1]]) for one in turned[0]]))
    expected = torch.stack(rows)
    agree(actual, expected, q, k, mixed.weight)


def test_mixed_starts_in_two_perpendicular_directions() -> None:
    mixed = RotaryMixed(16, 3, base=10.0)
    mixed.reset_parameters(torch.Generator().manual_seed(0))
    size = torch.tensor([10.0 ** (-c / 4) for c in range(4)] * 2)
    torch.testing.assert_close(mixed.weight.detach().norm(dim=1), size.expand(3, 8))
    one, other = mixed.weight.detach().chunk(2, dim=-1)
    torch.testing.assert_close((one * other).sum(1), torch.zeros(3, 4), rtol=0, atol=1e-6)
    before = mixed.weight.detach().clone()
    mixed.reset_parameters(torch.Generator().manual_seed(0))
    assert torch.equal(mixed.weight, before)
    assert not torch.equal(before[0], before[1])


def test_xpos_score() -> None:
    xpos = XPos(8, 100, base=50.0, scale_base=20.0, layout="interleaved", dtype=F64)
    q, k = noise(5, 8), noise(5, 8, seed=1)
    actual = scores(xpos, q[None], k[None], torch.tensor([PLACES], dtype=F64))[0]
    expected = torch.stack([
        torch.stack([loops.xpos_score(q[a], k[b], i, j, 50.0, 20.0) for b, j in enumerate(PLACES)])
        for a, i in enumerate(PLACES)
    ])  # fmt: skip
    agree(actual, expected, q, k)
    for centre in (0, 99):
        moved = XPos(8, 100, base=50.0, scale_base=20.0, layout="interleaved", centre=centre, dtype=F64)
        torch.testing.assert_close(scores(moved, q[None], k[None], torch.tensor([PLACES], dtype=F64))[0], expected)


def test_pope_score() -> None:
    pope = PoPE(6, 2, base=50.0, uniform=True, dtype=F64).double()
    pope.reset_parameters(torch.Generator().manual_seed(4))
    assert -2 * math.pi <= float(pope.offset.detach().min()) < -1
    assert float(pope.offset.detach().max()) <= 0
    q, k = noise(4, 5, 6), noise(2, 5, 6, seed=1)
    actual = scores(pope, q, k, torch.tensor([PLACES], dtype=F64))
    expected = torch.stack([
        torch.stack([
            torch.stack([loops.pope_score(q[h, a], k[h // 2, b], pope.offset[h // 2], i, j, 50.0)
                         for b, j in enumerate(PLACES)])
            for a, i in enumerate(PLACES)
        ])
        for h in range(4)
    ])  # fmt: skip
    agree(actual, expected, q, k, pope.offset)


def test_pope_keeps_its_angles_in_range_and_starts_at_none() -> None:
    pope = PoPE(4, 1)
    assert torch.equal(pope.offset, torch.zeros(1, 4))
    q, positions = noise(1, 1, 5, 4).float(), torch.tensor([PLACES])
    at_zero = pope.qk(q, q, positions, positions)[1]
    with torch.no_grad():
        pope.offset.fill_(1.0)
    assert torch.equal(pope.qk(q, q, positions, positions)[1], at_zero)


def test_values_arrive_relative_to_the_query() -> None:
    rotary = RotaryValues(8, base=50.0, fraction=0.5, side="last", layout="interleaved", dtype=F64)
    v, weight = noise(5, 8), noise(5, 5, seed=2).detach().softmax(-1)
    places = torch.tensor([PLACES], dtype=F64)
    actual = rotary.output(weight @ rotary.values(v[None, None], places), places)[0, 0]
    rows = []
    for a, i in enumerate(PLACES):
        turned = [loops.turned(v[b], [(j - i) * 50.0 ** (-c / 2) for c in range(2)], "interleaved", 4)
                  for b, j in enumerate(PLACES)]  # fmt: skip
        rows.append(sum(weight[a, b] * turned[b] for b in range(5)))
    agree(actual, torch.stack(rows), v)


@pytest.mark.parametrize("heads", [2, 4])
def test_decoupled_score(heads: int) -> None:
    made = Decoupled(Sinusoidal(10, dtype=F64), 6, heads, 3, key_heads=2).double()
    q, k = noise(heads, 5, 6), noise(2, 5, 6, seed=1)
    actual = scores(made, q, k, torch.tensor([PLACES], dtype=F64)) * 6**-0.5
    p = Sinusoidal(10, dtype=F64)(torch.tensor(PLACES, dtype=F64))
    rows = []
    for h in range(heads):
        g = h * 2 // heads
        u, w = made.q_weight[3 * h : 3 * h + 3], made.k_weight[3 * g : 3 * g + 3]
        rows.append(torch.stack([
            torch.stack([(q[h, i] @ k[g, j] + (u @ p[i]) @ (w @ p[j])) / math.sqrt(6 + 3) for j in range(5)])
            for i in range(5)
        ]))  # fmt: skip
    agree(actual, torch.stack(rows), q, k, made.q_weight, made.k_weight)


@pytest.mark.parametrize("heads", [2, 4])
def test_decoupled_rotary_score(heads: int) -> None:
    made = DecoupledRotary(6, heads, 4, key_heads=2, base=50.0, dtype=F64).double()
    q, k = noise(heads, 5, 6), noise(2, 5, 6, seed=1)
    actual = scores(made, q, k, torch.tensor([PLACES], dtype=F64)) * 6**-0.5
    rows = []
    for h in range(heads):
        table = []
        for a, i in enumerate(PLACES):
            row = []
            one = made.q_weight[4 * h : 4 * h + 4] @ torch.cat([q[g, a] for g in range(heads)])
            one = loops.turned(one, [i * 50.0 ** (-c / 2) for c in range(2)], "half")
            for b, j in enumerate(PLACES):
                other = made.k_weight @ torch.cat([k[0, b], k[1, b]])
                other = loops.turned(other, [j * 50.0 ** (-c / 2) for c in range(2)], "half")
                row.append((q[h, a] @ k[h * 2 // heads, b] + one @ other) / math.sqrt(6 + 4))
            table.append(torch.stack(row))
        rows.append(torch.stack(table))
    agree(actual, torch.stack(rows), q, k, made.q_weight, made.k_weight)
