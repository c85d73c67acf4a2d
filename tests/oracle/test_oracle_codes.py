"""Codes, rotations and biases against loops over single numbers."""

import pytest
import torch
from oracle import loops

from locant.encodings import Fourier, Learned, Pairs, Rotary, Sinusoidal, alibi_slopes, build, t5_bucket
from locant.encodings.frequencies import geometric

POSITIONS = [0.0, 1.0, 2.0, 3.5, 17.0, 511.0, 512.0, 513.0, 4095.25, 100_000.0]
F64 = torch.float64


@pytest.mark.parametrize("layout", ["interleaved", "halves"])
@pytest.mark.parametrize(("width", "base"), [(2, 10_000.0), (8, 10_000.0), (10, 500.0)])
def test_sinusoidal(width: int, base: float, layout: str) -> None:
    expected = torch.tensor([loops.sinusoidal(p, width, base, layout) for p in POSITIONS], dtype=F64)
    actual = Sinusoidal(width, base=base, layout=layout, dtype=F64)(torch.tensor([POSITIONS], dtype=F64))
    torch.testing.assert_close(actual[0], expected, rtol=0, atol=1e-10)
    single = Sinusoidal(width, base=base, layout=layout)(torch.tensor(POSITIONS, dtype=F64))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single[:8].double(), expected[:8], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("limit", "width"), [(2, 2), (16, 2), (16, 3), (64, 9), (65, 16)])
def test_fourier(limit: int, width: int) -> None:
    positions = [0.0, 1.0, 2.5, limit - 1.0, 2.0 * limit]
    expected = torch.tensor([loops.fourier(p, limit, width) for p in positions], dtype=F64)
    actual = Fourier(limit, width)(torch.tensor(positions, dtype=F64))
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize(("width", "fraction"), [(8, 1.0), (8, 0.5), (8, 0.25), (6, 0.67)])
def test_rotary(width: int, fraction: float, layout: str) -> None:
    rotary = Rotary(width, base=1000.0, fraction=fraction, layout=layout, dtype=F64)
    x = torch.randn(len(POSITIONS), width, dtype=F64, generator=torch.Generator().manual_seed(0))
    columns = int(width * fraction)
    expected = torch.stack(
        [loops.rotated(row, p, columns, 1000.0, layout) for row, p in zip(x, POSITIONS, strict=True)]
    )
    positions = torch.tensor([POSITIONS], dtype=F64)
    q, k = rotary.qk(x[None, None], 2 * x[None, None], positions, positions)
    torch.testing.assert_close(q[0, 0], expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(k[0, 0], 2 * expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12, 40])
def test_alibi(heads: int) -> None:
    slopes = loops.alibi_slopes(heads)
    torch.testing.assert_close(alibi_slopes(heads), torch.tensor(slopes, dtype=F64), rtol=1e-12, atol=0)
    encoding = build("alibi", width=heads, heads=heads)
    positions = torch.tensor([[0, 1, 5, 5, 9000]])
    nothing = torch.zeros(1, heads, 5, 1)
    mod = encoding.score_mod(Pairs(nothing, nothing, positions, positions, lambda b, h, i, j: j <= i))
    assert mod is not None
    h, i, j = torch.arange(heads)[:, None, None], torch.arange(5)[:, None], torch.arange(5)
    actual = mod(torch.tensor(0.5), torch.zeros(1, dtype=torch.long), h, i, j)
    for head in range(heads):
        for query in range(5):
            for key in range(5):
                distance = abs(int(positions[0, query]) - int(positions[0, key]))
                assert float(actual[head, query, key]) == pytest.approx(0.5 - slopes[head] * distance, rel=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (32, 64), (8, 20), (4, 9), (64, 256)])
def test_t5_buckets(buckets: int, max_distance: int, bidirectional: bool) -> None:
    distances = torch.arange(-300, 301)
    actual = t5_bucket(distances, buckets=buckets, max_distance=max_distance, bidirectional=bidirectional)
    expected = [loops.t5_bucket(-d, buckets, max_distance, bidirectional) for d in distances.tolist()]
    assert actual.tolist() == expected


def test_learned_is_the_row_and_between_rows_the_straight_line() -> None:
    code = Learned(7, 3).double()
    rows = code.weight.tolist()
    for position in (0.0, 2.0, 2.25, 5.5, 6.0):
        low = int(position)
        high, part = min(low + 1, 6), position - low
        expected = [(1 - part) * a + part * b for a, b in zip(rows[low], rows[high], strict=True)]
        assert code(torch.tensor([position], dtype=F64))[0].tolist() == pytest.approx(expected, abs=1e-12)


def test_geometric_frequencies_are_exact_in_float64() -> None:
    assert geometric(5, 300.0).tolist() == [300.0 ** (-c / 5) for c in range(5)]
