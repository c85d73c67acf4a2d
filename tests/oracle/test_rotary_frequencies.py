"""Frequencies against loops, and against what their papers promise of them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import rotary_loops as loops

from locant.encodings import frequencies, scaling

F64 = torch.float64
few = settings(max_examples=30, deadline=None)


def close(actual: torch.Tensor, expected: list[float]) -> None:
    assert actual.dtype == F64
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=F64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("truncate", [True, False])
@pytest.mark.parametrize(
    ("pairs", "factor", "original", "base"),
    [
        (32, 32.0, 4096, 150_000.0),
        (64, 4.0, 32_768, 1e6),
        (32, 40.0, 4096, 1e4),
        (4, 16.0, 64, 1e4),
        (64, 2.0, 16, 1e6),
    ],
)
def test_yarn(pairs: int, factor: float, original: int, base: float, truncate: bool) -> None:
    expected = loops.yarn(2 * pairs, factor, original, base, 32.0, 1.0, truncate)
    close(scaling.yarn(pairs, factor, original, base, truncate=truncate), expected)
    for fast, slow in ((8.0, 2.0), (1.0, 1.0)):
        expected = loops.yarn(2 * pairs, factor, original, base, fast, slow, truncate)
        close(scaling.yarn(pairs, factor, original, base, fast=fast, slow=slow, truncate=truncate), expected)


def test_yarn_without_width_between_its_ends() -> None:
    """Both ends cut to 0: the first pair stays, the others are interpolated."""
    made = scaling.yarn(4, 4.0, 4, 1e4)
    close(made, [1.0, *[w / 4 for w in frequencies.geometric(4)[1:].tolist()]])


@pytest.mark.parametrize(("low", "high"), [(1.0, 4.0), (2.0, 3.0), (1.0, 1.0)])
@pytest.mark.parametrize(
    ("pairs", "factor", "original", "base"), [(64, 8.0, 8192, 5e5), (32, 32.0, 8192, 5e5), (4, 8.0, 64, 1e4)]
)
def test_llama3(pairs: int, factor: float, original: int, base: float, low: float, high: float) -> None:
    expected = loops.llama3(2 * pairs, factor, original, base, low, high)
    close(scaling.llama3(pairs, factor, original, base, low=low, high=high), expected)


@pytest.mark.parametrize("factor", [1.0, 4.0, 32.0])
@pytest.mark.parametrize("pairs", [2, 4, 64])
def test_ntk_keeps_the_fastest_and_divides_the_slowest(pairs: int, factor: float) -> None:
    made, plain = scaling.ntk(pairs, factor, 1e4), frequencies.geometric(pairs, 1e4)
    close(made, loops.ntk(2 * pairs, factor, 1e4))
    assert float(made[0]) == 1.0
    assert float(made[-1]) == pytest.approx(float(plain[-1]) / factor, rel=1e-12)


def test_dynamic_ntk_is_plain_up_to_the_original_length() -> None:
    plain = frequencies.geometric(8, 1e4)
    for length in (1, 100, 2048):
        assert torch.equal(scaling.dynamic_ntk(8, 2.0, 2048, length), plain)
    close(scaling.dynamic_ntk(8, 2.0, 2048, 8192), loops.ntk(16, 2.0 * 8192 / 2048 - 1.0, 1e4))
    close(scaling.dynamic_ntk(8, 1.0, 2048, 8192), loops.ntk(16, 4.0, 1e4))


def test_interpolation_divides() -> None:
    close(scaling.interpolated(frequencies.geometric(4, 1e4), 4.0), [1e4 ** (-c / 4) / 4 for c in range(4)])


def test_longrope() -> None:
    factors = [1.0, 1.25, 3.5, 40.0]
    close(scaling.longrope(4, factors, 1e4), [1 / (f * 1e4 ** (c / 4)) for c, f in enumerate(factors)])
    assert scaling.longrope_attention_factor(32.0, 4096) == pytest.approx(math.sqrt(1 + math.log(32) / math.log(4096)))
    assert scaling.longrope_attention_factor(1.0, 4096) == 1.0


def test_yarn_attention_factors() -> None:
    assert scaling.yarn_attention_factor(1.0) == 1.0
    assert scaling.yarn_attention_factor(32.0) == pytest.approx(0.1 * math.log(32) + 1)
    assert scaling.yarn_attention_factor(40.0, mscale=1.0, mscale_all=1.0) == 1.0
    expected = (0.1 * 0.707 * math.log(40) + 1) / (0.1 * 0.5 * math.log(40) + 1)
    assert scaling.yarn_attention_factor(40.0, mscale=0.707, mscale_all=0.5) == pytest.approx(expected)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.3, 1.0])
def test_proportional_has_the_exponents_of_the_whole_head(fraction: float) -> None:
    close(frequencies.partly_zero(32, fraction, 1e6), loops.proportional(64, fraction, 1e6))


@few
@given(st.sampled_from([2, 8, 32]), st.floats(1e2, 1e7), st.integers(64, 10_000))
def test_a_factor_of_1_changes_nothing(pairs: int, base: float, original: int) -> None:
    plain = frequencies.geometric(pairs, base)
    for made in (
        scaling.interpolated(plain, 1.0),
        scaling.ntk(pairs, 1.0, base),
        scaling.yarn(pairs, 1.0, original, base),
        scaling.llama3(pairs, 1.0, original, base),
        scaling.longrope(pairs, [1.0] * pairs, base),
        frequencies.partly_zero(pairs, 1.0, base),
        frequencies.sectioned(plain, [pairs]).sum(0),
        frequencies.axial(pairs, 1, base)[0],
    ):
        torch.testing.assert_close(made, plain, rtol=1e-14, atol=0)


@few
@given(st.sampled_from([4, 8, 32]), st.floats(1, 64), st.floats(1e3, 1e7), st.integers(64, 10_000))
def test_scaled_frequencies_lie_between_plain_and_interpolated(
    pairs: int, factor: float, base: float, original: int
) -> None:
    plain = frequencies.geometric(pairs, base)
    for made in (
        scaling.ntk(pairs, factor, base),
        scaling.yarn(pairs, factor, original, base),
        scaling.llama3(pairs, factor, original, base),
    ):
        assert (made <= plain * (1 + 1e-12)).all()
        assert (made >= plain / factor * (1 - 1e-12)).all()
        assert (made.diff() < 0).all()


def test_every_pair_of_a_grid_belongs_to_one_axis() -> None:
    table = frequencies.axial(8, 2, 100.0)
    assert table.shape == (2, 8)
    close(table[0], [100.0 ** (-c / 4) for c in range(4)] + [0.0] * 4)
    close(table[1], [0.0] * 4 + [100.0 ** (-c / 4) for c in range(4)])
    plain = frequencies.geometric(64, 1e6)
    blocks = frequencies.sectioned(plain, [16, 24, 24])
    assert (blocks != 0).sum(1).tolist() == [16, 24, 24]
    assert (blocks != 0).int().argmax(0).tolist() == [0] * 16 + [1] * 24 + [2] * 24
    dealt = frequencies.sectioned(plain, [24, 20, 20], interleaved=True)
    assert (dealt != 0).sum(1).tolist() == [24, 20, 20]
    assert (dealt != 0).int().argmax(0).tolist() == [0, 1, 2] * 20 + [0] * 4
    for table in (blocks, dealt):
        assert torch.equal(table.sum(0), plain)


def test_frequencies_are_numbers_while_a_model_is_built_on_the_meta_device() -> None:
    with torch.device("meta"):
        made = [
            scaling.yarn(4, 4.0, 64),
            scaling.longrope(4, [1.0] * 4),
            scaling.llama3(4, 4.0, 64),
            frequencies.axial(4, 2),
            frequencies.partly_zero(4, 0.5),
        ]
    assert all(table.device.type == "cpu" for table in made)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scaling.interpolated(torch.ones(2), 0.5), "expected a factor of at least 1, was: 0.5"),
        (lambda: scaling.ntk(1, 2.0), "expected at least 2 pairs, was: 1"),
        (lambda: scaling.dynamic_ntk(4, 0.5, 16, 32), "expected a factor of at least 1, was: 0.5"),
        (lambda: scaling.dynamic_ntk(4, 2.0, 0, 32), "expected an original length of at least 1, was: 0"),
        (lambda: scaling.dynamic_ntk(4, 2.0, 16, 0), "expected a length of at least 1, was: 0"),
        (lambda: scaling.yarn(4, 2.0, 16, fast=1.0, slow=2.0), "expected fast >= slow > 0, was: fast 1.0, slow 2.0"),
        (
            lambda: scaling.yarn(4, 4.0, 4, 1e4, truncate=False),
            "expected an original length with slow and fast pairs for base 10000.0, was: 4",
        ),
        (lambda: scaling.yarn_attention_factor(0.0), "expected a factor of at least 1, was: 0.0"),
        (lambda: scaling.longrope(2, [1.0]), "expected 2 positive factors, one per pair, was: [1.0]"),
        (lambda: scaling.longrope(2, [1.0, 0.0]), "expected 2 positive factors, one per pair, was: [1.0, 0.0]"),
        (lambda: scaling.longrope_attention_factor(2.0, 1), "expected an original length of at least 2, was: 1"),
        (lambda: scaling.llama3(4, 8.0, 64, low=5.0), "expected high >= low > 0, was: high 4.0, low 5.0"),
        (lambda: frequencies.partly_zero(4, 0.0), "expected a fraction of the pairs in (0, 1], was: 0.0"),
        (lambda: frequencies.partly_zero(4, 0.2), "expected a fraction that keeps at least 1 of 4 pairs, was: 0.2"),
        (lambda: frequencies.axial(4, 3), "expected a number of axes that divides the 4 pairs, was: 3"),
        (lambda: frequencies.sectioned(torch.ones(4), [2, 1]), "positive sections with the sum 4, was: [2, 1]"),
        (lambda: frequencies.sectioned(torch.ones(4), [4, 0]), "positive sections with the sum 4, was: [4, 0]"),
        (
            lambda: frequencies.sectioned(torch.ones(4), [1, 1, 2], interleaved=True),
            "expected sections that can be dealt out in turn, was: [1, 1, 2]",
        ),
        (lambda: frequencies.constant(torch.tensor([1.0, torch.nan])), "expected finite frequencies, was: [1.0, nan]"),
    ],
)
def test_refusal(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="expected") as caught:
        call()
    assert message in str(caught.value)
