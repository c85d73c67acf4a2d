"""Tables from formulas, at the positions where formats with few digits fail."""

import copy
import math

import pytest
import torch
from torch import nn

from locant.encodings import Alibi, Code, Fourier, Pairs, Random, Rotary, Sinusoidal
from locant.encodings.derived import Derived

# Integers above 256 collide in bfloat16, above 2048 in float16.
POSITIONS = [255, 256, 257, 512, 513, 2047, 2049, 8191, 131_071]
F64 = torch.float64
LOW = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize(
    "make", [lambda d: Sinusoidal(16, dtype=d), lambda d: Sinusoidal(16, layout="halves", dtype=d)]
)
def test_sinusoidal_is_exact_in_a_module_of_few_digits(make, dtype: torch.dtype) -> None:  # type: ignore[no-untyped-def]
    code, exact = make(torch.float32).to(dtype), make(F64)(torch.tensor(POSITIONS))
    found = code(torch.tensor(POSITIONS))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=0.01)  # 131071 radians in float32
    torch.testing.assert_close(found[:5].double(), exact[:5], rtol=0, atol=5e-5)
    torch.testing.assert_close(found[4] - found[3], (exact[4] - exact[3]).float(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", LOW)
def test_rotary_turns_by_the_exact_angle(dtype: torch.dtype) -> None:
    rotary, exact = Rotary(16).to(dtype), Rotary(16, dtype=F64)
    x = torch.ones(1, 1, len(POSITIONS), 16, dtype=dtype)
    positions = torch.tensor([POSITIONS])
    found = rotary.qk(x, x, positions, positions)[0]
    assert found.dtype == dtype
    expected = exact.qk(x.double(), x.double(), positions, positions)[0]
    # One rounding at the end, of numbers below 2.
    torch.testing.assert_close(found[..., :5, :].double(), expected[..., :5, :], rtol=0, atol=2.0**-7)
    assert not torch.equal(found[0, 0, 3], found[0, 0, 4])


@pytest.mark.parametrize("dtype", LOW)
def test_fourier_tells_512_from_513(dtype: torch.dtype) -> None:
    code = Fourier(1024, 9).to(dtype)
    found = code(torch.tensor([512, 513]))
    z = torch.tensor([2 * p / 1023 - 1 for p in (512, 513)], dtype=F64)
    angles = math.pi * z[:, None] * torch.linspace(1, 512, 4, dtype=F64)
    expected = torch.cat([angles.sin(), angles.cos(), z[:, None]], dim=-1)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("dtype", LOW)
def test_alibi_keeps_distances_apart(dtype: torch.dtype) -> None:
    alibi, far = Alibi(8).to(dtype), torch.arange(8000, 8256)[None]
    nothing = torch.zeros(1, 8, 256, 1, dtype=dtype)
    mod = alibi.score_mod(Pairs(nothing, nothing, far + 256, far, lambda b, h, i, j: j <= i))
    h, i, j = torch.arange(8)[:, None, None], torch.tensor([[255]]), torch.arange(256)
    bias = mod(torch.zeros(()), torch.zeros(1, dtype=torch.long), h, i, j)
    assert all(len(head.unique()) == 256 for head in bias[:, 0])


def test_codes_are_the_same_under_autocast() -> None:
    positions = torch.tensor([POSITIONS])
    codes: list[Code] = [Sinusoidal(16), Fourier(1024, 9)]
    for code in codes:
        plain = code(positions)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(code(positions), plain)
    x, rotary = torch.ones(1, 1, len(POSITIONS), 16), Rotary(16)
    plain = rotary.qk(x, x, positions, positions)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rotary.qk(x, x, positions, positions)[0], plain)


def test_a_derived_table_survives_what_a_module_goes_through() -> None:
    holder = nn.Sequential(Rotary(8, dtype=F64), Random(6, 4, seed=3))
    tables = [module for module in holder.modules() if isinstance(module, Derived)]
    before = [module().clone() for module in tables]
    assert [table.dtype for table in before] == [F64, torch.float32]
    for change in (
        lambda m: m.half(),
        lambda m: m.bfloat16().float(),
        lambda m: m.double(),
        lambda m: m.to(torch.device("meta")).to_empty(device="cpu"),
        copy.deepcopy,
    ):
        changed = change(holder)
        after = [module() for module in changed.modules() if isinstance(module, Derived)]
        for one, other in zip(after, before, strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
    assert holder.state_dict() == {}
    tables[0].table = torch.full_like(tables[0].table, torch.nan)  # as by a loader that fills buffers in
    tables[0].reset_parameters()
    assert torch.equal(tables[0](), before[0])


def test_positions_in_the_millions_need_and_get_float64() -> None:
    position = torch.tensor([4_194_301])
    exact = math.cos(4_194_301 * 10_000.0 ** (-2 / 16))
    assert abs(float(Sinusoidal(16, layout="halves", dtype=F64)(position)[0, 9]) - exact) < 1e-8
    assert abs(float(Sinusoidal(16, layout="halves")(position)[0, 9]) - exact) > 1e-3
