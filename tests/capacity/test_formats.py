"""Number formats against all their bit patterns, against plain loops and against what is known of Gaussian rounding."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from locant.capacity.formats import FORMATS, NumberFormat, number_format

SMALL = ["bf16", "fp16", "e4m3", "e5m2"]
FLOATING = ["fp64", "fp32", *SMALL]
LEVELS = ["int8", "int4", "int3", "int2"]


def values_of(name: str) -> Tensor:
    """All distinct finite values of a format of at most 16 bits, in order, as float64."""
    form = FORMATS[name]
    patterns = torch.arange(1 << form.bits).to(torch.uint8 if form.bits == 8 else torch.int32)
    patterns = patterns if form.bits == 8 else torch.from_numpy(patterns.numpy().astype(np.uint16))
    assert form.dtype is not None
    values = patterns.view(form.dtype).double()
    return torch.unique(values[torch.isfinite(values)])


def gaussian(*shape: int, seed: int = 1, spread: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    return spread * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("name", SMALL)
def test_finite_values_are_those_of_all_bit_patterns(name: str) -> None:
    values = values_of(name)
    assert FORMATS[name].finite_values == len(values)
    assert FORMATS[name].largest == values[-1]


def test_counts_of_finite_values() -> None:
    counts = {name: form.finite_values for name, form in FORMATS.items()}
    assert counts["fp64"] == 18_437_736_874_454_810_623
    assert counts["fp32"] == 4_278_190_079
    assert (counts["bf16"], counts["fp16"], counts["e4m3"], counts["e5m2"]) == (65_279, 63_487, 253, 247)
    assert [counts[name] for name in (*LEVELS, "1bit")] == [256, 16, 8, 4, 2]
    for name, kind in (("fp64", np.float64), ("fp32", np.float32)):
        bits, info = FORMATS[name].bits, np.finfo(kind)
        one_sign = ((1 << info.nexp) - 1) << info.nmant  # every exponent but the last, every significand
        assert counts[name] == 2 * one_sign - 1, bits


@pytest.mark.slow
def test_finite_values_of_float32_are_those_of_all_bit_patterns() -> None:
    found = 0
    for high in range(256):
        patterns = (np.arange(1 << 24, dtype=np.uint32)) + np.uint32(high << 24)
        found += int(np.isfinite(patterns.view(np.float32)).sum())
    assert FORMATS["fp32"].finite_values == found - 1  # minus zero


@pytest.mark.parametrize("name", LEVELS)
def test_a_fixed_scale_reaches_every_code_and_no_other(name: str) -> None:
    form = FORMATS[name]
    reached = torch.unique(form.round(torch.linspace(-300, 300, 60_001, dtype=torch.float64), 0.5))
    assert len(reached) == form.finite_values
    half = form.finite_values // 2
    assert torch.equal(reached, 0.5 * torch.arange(-half, half, dtype=torch.float64))
    assert form.largest == half - 1


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_takes_the_nearest_value_and_the_even_one_at_ties(name: str, dtype: torch.dtype) -> None:
    values = values_of(name)
    spread = torch.cat([gaussian(300), gaussian(300, spread=float(values[values > 0][0]) * 3)]).to(dtype)
    middle = ((values[1:] + values[:-1]) / 2)[:: max(1, len(values) // 500)].to(dtype)
    sample = torch.cat([spread, middle])
    for value, rounded in zip(sample.tolist(), FORMATS[name].round(sample).tolist(), strict=True):
        place = int(torch.searchsorted(values, value))
        near = [i for i in (place - 1, place) if 0 <= i < len(values)]
        gaps = [abs(float(values[i]) - value) for i in near]
        best = [i for i, gap in zip(near, gaps, strict=True) if gap == min(gaps)]
        zero = len(values) // 2  # patterns of one sign follow one another, so the distance from zero is the pattern
        assert rounded == float(values[best[0] if len(best) == 1 else min(best, key=lambda i: abs(i - zero) % 2)])


def test_a_float64_is_rounded_once() -> None:
    value = torch.tensor([1 + 2.0**-8 + 2.0**-40], dtype=torch.float64)  # just above a tie of bf16, a tie in float32
    assert FORMATS["bf16"].round(value).item() == 1 + 2.0**-7
    assert value.to(torch.bfloat16).item() == 1.0  # what a cast by way of float32 says


@pytest.mark.parametrize("name", FLOATING)
def test_ulp_is_the_distance_to_the_next_value(name: str) -> None:
    form = FORMATS[name]
    if name in SMALL:
        values = values_of(name)
        values = values[values >= 0]
        assert torch.equal(form.ulp(values[:-1]), values.diff())
    else:
        sample = gaussian(2000, spread=3).abs().numpy().astype(np.float64 if name == "fp64" else np.float32)
        assert np.array_equal(form.ulp(torch.from_numpy(sample)).numpy(), np.spacing(sample).astype(np.float64))


@pytest.mark.parametrize("name", [*SMALL, *LEVELS, "1bit"])
def test_cells_tile_the_line_and_hold_what_rounds_there(name: str) -> None:
    form, scale = FORMATS[name], None if name in SMALL else 0.25
    values = values_of(name) if name in SMALL else torch.unique(form.round(gaussian(4000, spread=40), scale))
    low, high = form.cell(values, scale)
    assert torch.equal(high[:-1], low[1:])
    sample = gaussian(1000, spread=2)
    low, high = form.cell(form.round(sample, scale), scale)
    assert bool(((low <= sample) & (sample <= high)).all())


def test_cells_of_long_formats_reach_half_way_to_the_neighbours() -> None:
    for name, kind in (("fp32", np.float32), ("fp64", np.float64)):
        values = np.concatenate([gaussian(200).numpy(), [1.0, -2.0, 0.0]]).astype(kind)
        low, high = FORMATS[name].cell(torch.from_numpy(values))
        below = (values.astype(np.longdouble) + np.nextafter(values, kind(-np.inf))) / 2
        above = (values.astype(np.longdouble) + np.nextafter(values, kind(np.inf))) / 2
        assert np.array_equal(low.numpy(), below.astype(np.float64))
        assert np.array_equal(high.numpy(), above.astype(np.float64))


def test_default_scales() -> None:
    rows = torch.tensor([[1.0, -14.0, 3.4], [0.0, 0.0, 0.0]])
    assert FORMATS["int4"].scale(rows).tolist() == [[2.0], [0.0]]
    assert FORMATS["int4"].round(rows).tolist() == [[0.0, -14.0, 4.0], [0.0, 0.0, 0.0]]
    assert FORMATS["1bit"].round(torch.tensor([[1.0, -2.0, 0.0]])).tolist() == [[1.0, -1.0, 1.0]]


def test_one_bit_and_decibels_as_theory_has_them() -> None:
    """sign: rho^2 = 2 / pi. Even steps: noise step^2 / 12. Significands: ulp^2 / 12, and the tabulated decibels."""
    assert FORMATS["1bit"].noise(7, width=1 << 19) == pytest.approx(7 * (math.pi / 2 - 1), rel=0.01)
    for name, decibels in {"fp16": 73.7, "bf16": 55.6, "e4m3": 31.5, "e5m2": 25.5, "int8": 42.6}.items():
        assert FORMATS[name].signal_to_noise(14, width=512) == pytest.approx(decibels, abs=0.15)
    for name in ("fp32", "fp16", "bf16"):
        unit = FORMATS[name].ulp(gaussian(1 << 19, spread=2))
        assert FORMATS[name].noise(4) == pytest.approx(float(unit.square().mean() / 12), rel=0.02)
    step = FORMATS["int8"].scale(gaussian(512, 1024))
    assert FORMATS["int8"].noise() == pytest.approx(float(step.square().mean() / 12), rel=0.02)
    assert math.isinf(FORMATS["fp64"].signal_to_noise())
    assert FORMATS["fp64"].noise(3) == pytest.approx(FORMATS["fp32"].noise(3) * 2.0**-58, rel=0.02)


@pytest.mark.parametrize("name", list(FORMATS))
def test_noise_scales_with_the_sum_and_comes_from_its_generator(name: str) -> None:
    form = FORMATS[name]
    assert 0 < form.noise(4) == pytest.approx(4 * form.noise(1), rel=0.01)  # a power of two shifts every exponent
    other = form.noise(4, generator=torch.Generator().manual_seed(5))
    assert other != form.noise(4)
    assert other == pytest.approx(form.noise(4), rel=0.05)


def test_accumulated_sums_against_a_plain_loop() -> None:
    rows = gaussian(3, 9, 5, dtype=torch.float32)
    got = FORMATS["bf16"].accumulate(rows)
    for batch in range(3):
        for column in range(5):
            total = torch.zeros((), dtype=torch.bfloat16)
            for member in range(9):
                total = (total.float() + rows[batch, member, column]).to(torch.bfloat16)
            assert got[batch, column] == total.float()
    assert torch.equal(FORMATS["int8"].accumulate(rows[:, :1], 0.25), FORMATS["int8"].round(rows[:, 0], 0.25))
    assert not torch.equal(got, FORMATS["bf16"].round(rows.sum(1)))


def test_a_running_sum_loses_more_than_a_sum_rounded_once() -> None:
    rows = gaussian(64, 200, 32)
    exact = rows.sum(1)
    once, running = FORMATS["bf16"].round(exact), FORMATS["bf16"].accumulate(rows)
    assert (running - exact).square().mean() > 10 * (once - exact).square().mean()


def wrong(form: NumberFormat, values: Tensor, scale: float | None = None) -> str:
    with pytest.raises(ValueError, match="expected") as refusal:
        form.round(values, scale)
    return str(refusal.value)


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"expected a number format of fp64, .*1bit, was: fp8"):
        number_format("fp8")
    assert number_format("bf16") is FORMATS["bf16"]
    assert "was: torch.int64" in wrong(FORMATS["bf16"], torch.ones(2, dtype=torch.int64))
    assert "was: torch.bfloat16" in wrong(FORMATS["fp16"], torch.ones(2, dtype=torch.bfloat16))
    assert "was: NaN" in wrong(FORMATS["int8"], torch.tensor([math.nan]))
    for dtype in (torch.float32, torch.float64):
        assert "up to 448, the largest of e4m3, was: 464" in wrong(FORMATS["e4m3"], torch.tensor([464.0], dtype=dtype))
        assert "up to 65504, the largest of fp16, was: 65520" in wrong(
            FORMATS["fp16"], torch.tensor([-65520.0], dtype=dtype)
        )
        assert FORMATS["fp16"].round(torch.tensor([65519.0], dtype=dtype)).item() == 65504
        assert FORMATS["e4m3"].round(torch.tensor([-463.0], dtype=dtype)).item() == -448
    assert "no scale for fp32" in wrong(FORMATS["fp32"], torch.ones(1), 2.0)
    assert "positive scale, was: 0" in wrong(FORMATS["int4"], torch.ones(1), 0.0)
    for call in (lambda: FORMATS["bf16"].scale(torch.ones(1)), lambda: FORMATS["int8"].ulp(torch.ones(1))):
        with pytest.raises(ValueError, match="expected a format with"):
            call()
    with pytest.raises(ValueError, match="expected the scale"):
        FORMATS["int8"].cell(torch.ones(1))
    with pytest.raises(ValueError, match="at least one member"):
        FORMATS["bf16"].accumulate(torch.ones(3, 0, 4))
    with pytest.raises(ValueError, match="positive variance"):
        FORMATS["bf16"].noise(0)
    with pytest.raises(ValueError, match="width of at least 1"):
        FORMATS["bf16"].noise(width=0)
