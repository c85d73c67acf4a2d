"""What holds for every way of numbering tokens."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.encodings import (
    PADDING,
    Learned,
    contiguous,
    from_mask,
    left_padded,
    packed,
    randomised,
    shifted,
    stretched,
)

lengths = st.lists(st.integers(1, 6), min_size=1, max_size=4)
few = settings(max_examples=40, deadline=None)


@few
@given(st.lists(lengths, min_size=1, max_size=3))
def test_packed_restarts_in_every_document(rows: list[list[int]]) -> None:
    layout = packed(rows)
    assert layout.documents is not None
    assert layout.positions.shape == layout.documents.shape == (len(rows), max(map(sum, rows)))
    for row, row_lengths in enumerate(rows):
        documents, positions = layout.documents[row], layout.positions[row]
        for document, length in enumerate(row_lengths):
            assert positions[documents == document].tolist() == list(range(length))
        assert (documents == PADDING).sum() == len(documents) - sum(row_lengths)
        real = documents[documents != PADDING]
        assert torch.equal(real, real.sort().values), "documents follow one another"


@few
@given(lengths)
def test_left_padded_ends_together(sizes: list[int]) -> None:
    layout = left_padded(sizes)
    assert layout.documents is not None
    for row, length in enumerate(sizes):
        assert layout.positions[row, -length:].tolist() == list(range(length))
        assert layout.documents[row].tolist() == [PADDING] * (max(sizes) - length) + [0] * length
    expected = from_mask(layout.documents == 0)
    assert torch.equal(expected.positions, layout.positions)
    assert torch.equal(expected.documents, layout.documents)


@few
@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_from_mask_counts_what_is_real(mask: list[bool]) -> None:
    for given_mask in (torch.tensor([mask]), torch.tensor([mask]).long()):
        layout = from_mask(given_mask)
        real = torch.tensor(mask)
        assert layout.positions[0][real].tolist() == list(range(sum(mask)))
        assert (layout.positions >= 0).all()
        assert torch.equal(layout.documents[0] == PADDING, ~real)


@few
@given(st.integers(1, 20), st.integers(0, 30), st.integers(1, 3), st.integers(0, 2**20))
def test_randomised_are_distinct_sorted_and_inside(time: int, spare: int, rows: int, seed: int) -> None:
    positions = randomised(time, time + spare, rows=rows, generator=torch.Generator().manual_seed(seed)).positions
    assert positions.shape == (rows, time)
    assert (positions.diff(dim=-1) > 0).all()
    assert positions.min() >= 0
    assert positions.max() < time + spare
    again = randomised(time, time + spare, rows=rows, generator=torch.Generator().manual_seed(seed)).positions
    assert torch.equal(positions, again)


def test_randomised_draws_every_position_equally_often() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = randomised(3, 6, rows=6000, generator=generator).positions
    counts = drawn.flatten().bincount(minlength=6)
    assert (counts - 3000).abs().max() < 5 * (6000 * 0.25) ** 0.5  # binomial, each with probability one half


@few
@given(st.integers(1, 8), st.integers(0, 50), st.integers(0, 50))
def test_shifted_adds_and_contiguous_starts_there(time: int, one: int, two: int) -> None:
    assert torch.equal(shifted(contiguous(time, start=one), two).positions, contiguous(time, start=one + two).positions)
    offsets = torch.tensor([[one], [two]])
    rows = shifted(packed([[time], [time]]), offsets)
    assert rows.positions.tolist() == [list(range(one, one + time)), list(range(two, two + time))]
    assert torch.equal(rows.documents, packed([[time], [time]]).documents)


@few
@given(st.integers(1, 12), st.floats(0.01, 4.0))
def test_stretched_multiplies(time: int, factor: float) -> None:
    layout = stretched(contiguous(time), factor)
    assert layout.positions.dtype == torch.float32
    assert layout.positions[0].tolist() == pytest.approx([i * factor for i in range(time)], rel=1e-6)


@few
@given(st.integers(2, 9), st.data())
def test_lookup_is_linear_between_rows(limit: int, data: st.DataObject) -> None:
    code = Learned(limit, 3).double()
    low = data.draw(st.integers(0, limit - 2))
    share = data.draw(st.floats(0.0, 1.0, width=32))
    between = code(torch.tensor([low + share], dtype=torch.float64))
    ends = code(torch.tensor([low, low + 1]))
    torch.testing.assert_close(between[0], (1 - share) * ends[0] + share * ends[1], rtol=1e-6, atol=1e-9)
