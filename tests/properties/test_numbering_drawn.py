"""What holds for positions that are drawn, stretched, or counted within numbers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from locant.encodings import (
    Layout,
    Learned,
    abacus,
    cape,
    centred,
    contiguous,
    folded,
    from_mask,
    grid,
    packed,
    randomly_shifted,
    stacked,
    stretched_to,
)

few = settings(max_examples=40, deadline=None)
rows_of_lengths = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=1, max_size=3)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pieces(layout: Layout, moved: Layout) -> list[tuple[Tensor, Tensor]]:
    """The positions of every document before and after."""
    assert layout.documents is not None
    found = []
    for row, documents in enumerate(layout.documents):
        for document in documents[documents >= 0].unique():
            here = documents == document
            found.append((layout.positions[row, here], moved.positions[row, here]))
    return found


@few
@given(rows_of_lengths, st.integers(0, 9), st.integers(0, 2**20))
def test_shifts_are_whole_one_a_document_and_inside(lengths: list[list[int]], furthest: int, seed: int) -> None:
    layout = packed(lengths)
    moved = randomly_shifted(layout, furthest, generator=seeded(seed))
    assert torch.equal(moved.documents, layout.documents)
    for before, after in pieces(layout, moved):
        offset = after - before
        assert offset.dtype == torch.long
        assert len(offset.unique()) == 1
        assert 0 <= int(offset[0]) <= furthest
    assert torch.equal(moved.positions, randomly_shifted(layout, furthest, generator=seeded(seed)).positions)


def test_shifts_are_drawn_evenly_and_apart_for_rows_and_documents() -> None:
    rows = randomly_shifted(contiguous(3), 4, rows=5000, generator=seeded(0))
    assert rows.documents is None
    counts = rows.positions[:, 0].bincount(minlength=5)
    assert (counts - 1000).abs().max() < 5 * (5000 * 0.2 * 0.8) ** 0.5
    both = randomly_shifted(packed([[2, 3]]), 4, rows=2000, generator=seeded(1))
    assert both.documents is not None
    assert both.documents.shape == both.positions.shape == (2000, 5)
    same = (both.positions[:, 0] == both.positions[:, 2]).float().mean()
    assert float(same) == pytest.approx(0.2, abs=0.05)


@few
@given(rows_of_lengths, st.floats(0, 5), st.floats(0, 2), st.floats(1, 3), st.integers(0, 2**20))
def test_cape_moves_and_scales_documents_and_jitters_tokens(
    lengths: list[list[int]], shift: float, jitter: float, scale: float, seed: int
) -> None:
    layout = packed(lengths)
    middle = centred(layout)
    for _, after in pieces(layout, middle):
        assert float(after.mean()) == pytest.approx(0.0, abs=1e-5)
        torch.testing.assert_close(after.diff(), torch.ones(len(after) - 1))
    moved = cape(layout, shift=shift, jitter=jitter, scale=scale, generator=seeded(seed))
    for before, after in pieces(middle, moved):
        furthest = (before.abs().max() + shift + jitter) * scale
        assert after.abs().max() <= furthest + 1e-4
    rigid = cape(layout, shift=shift, jitter=0.0, scale=scale, generator=seeded(seed))
    for _, after in pieces(layout, rigid):
        if len(after) > 1:
            steps = after.diff()
            torch.testing.assert_close(steps, steps[:1].expand_as(steps), rtol=1e-4, atol=1e-4)
            assert 1 / scale - 1e-4 <= float(steps[0]) <= scale + 1e-4
    unmoved = cape(layout, shift=0.0, jitter=0.0, scale=1.0, generator=seeded(seed))
    torch.testing.assert_close(unmoved.positions, middle.positions)


def test_cape_draws_from_the_whole_of_its_intervals() -> None:
    made = cape(contiguous(2), shift=3.0, jitter=0.0, scale=2.0, rows=4000, generator=seeded(0)).positions
    logs = made.diff(dim=-1)[:, 0].log() / math.log(2.0)  # the step is the scale
    offsets = made.mean(-1) / made.diff(dim=-1)[:, 0] / 3.0
    jitters = cape(contiguous(3), shift=0.0, jitter=0.5, scale=1.0, rows=4000, generator=seeded(1)).positions
    jitters = (jitters - torch.tensor([-1.0, 0.0, 1.0])) / 0.5
    for drawn in (logs, offsets, jitters):
        assert -1 - 1e-4 <= float(drawn.min()) < -0.97
        assert 0.97 < float(drawn.max()) <= 1 + 1e-4
        assert float(drawn.mean()) == pytest.approx(0.0, abs=0.05)
        assert float(drawn.var()) == pytest.approx(1 / 3, abs=0.03)
    assert abs(float(torch.corrcoef(torch.stack([logs, offsets]))[0, 1])) < 0.06
    assert abs(float(torch.corrcoef(jitters.T)[0, 1])) < 0.06


@few
@given(rows_of_lengths, st.integers(1, 40))
def test_stretching_matches_ends_to_ends_in_every_document(lengths: list[list[int]], length: int) -> None:
    layout = packed(lengths)
    moved = stretched_to(layout, length)
    for before, after in pieces(layout, moved):
        steps = len(before) - 1
        expected = before * (length - 1) / steps if steps else before.float()
        torch.testing.assert_close(after, expected.float())
        if steps:
            assert float(after[-1]) == length - 1, "exactly, as a table ends there"


def test_a_stretched_document_fits_a_table() -> None:
    table = Learned(7, 2)
    for time in range(1, 200):
        table(stretched_to(contiguous(time), 7).positions)


def by_loops(tokens: list[int], documents: list[int], digits: set[int], offset: int) -> list[int]:
    places, place = [], 0
    for index, token in enumerate(tokens):
        if index and documents[index] != documents[index - 1]:
            place = 0
        place = place + 1 if token in digits else 0
        places.append(place + offset if place else 0)
    return places


@few
@given(
    st.lists(st.lists(st.integers(0, 5), min_size=9, max_size=9), min_size=1, max_size=3),
    st.lists(st.integers(0, 2), min_size=9, max_size=9).map(sorted),
)
def test_digits_count_within_their_number(rows: list[list[int]], documents: list[int]) -> None:
    tokens, digits = torch.tensor(rows), [1, 2, 5]
    where = torch.tensor([documents] * len(rows))
    plain, apart = abacus(tokens, digits), abacus(tokens, digits, documents=where)
    assert plain.documents is None
    assert apart.documents is where
    for row, row_tokens in enumerate(rows):
        assert plain.positions[row].tolist() == by_loops(row_tokens, [0] * 9, set(digits), 0)
        assert apart.positions[row].tolist() == by_loops(row_tokens, documents, set(digits), 0)
    moved = abacus(tokens, digits, furthest=50, generator=seeded(3)).positions
    for row, row_tokens in enumerate(rows):
        offset = int((moved[row] - plain.positions[row]).max())
        assert 0 <= offset <= 50
        assert moved[row].tolist() == by_loops(row_tokens, [0] * 9, set(digits), offset)


def test_places_of_digits_are_moved_evenly() -> None:
    moved = abacus(torch.ones(6000, 1, dtype=torch.long), [1], furthest=5, generator=seeded(0)).positions
    counts = moved.flatten().bincount(minlength=7)[1:]
    assert (counts - 1000).abs().max() < 5 * (6000 * 5 / 36) ** 0.5


def test_numberings_on_axes_of_their_own() -> None:
    tokens = torch.tensor([[7, 1, 2, 7, 2]])
    both = stacked(contiguous(5), abacus(tokens, [1, 2]))
    assert both.positions.tolist() == [[[0, 0], [1, 1], [2, 2], [3, 0], [4, 1]]]
    mixed = stacked(from_mask(torch.tensor([[0, 1, 1], [1, 1, 1]])), centred(contiguous(3)))
    assert mixed.positions.dtype == torch.float32
    assert mixed.positions.shape == (2, 3, 2)
    assert mixed.documents is not None


def test_what_is_refused() -> None:
    image, tokens, generator = grid(2, 2), torch.tensor([[1, 2]]), torch.Generator()
    for call, message in [
        (lambda: randomly_shifted(contiguous(2), -1, generator=generator), "furthest shift of at least 0, was: -1"),
        (
            lambda: randomly_shifted(packed([[2], [2]]), 1, rows=3, generator=generator),
            "expected positions of 1 row or of 3, was: 2",
        ),
        (lambda: randomly_shifted(image, 1, generator=generator), r"on one axis, was: \[1, 4, 2\]"),
        (
            lambda: cape(contiguous(2), shift=-1.0, jitter=0.0, scale=1.0, generator=generator),
            "shift and jitter >= 0 and scale >= 1, was: -1.0, 0.0 and 1.0",
        ),
        (lambda: cape(contiguous(2), shift=0.0, jitter=0.0, scale=0.5, generator=generator), "was: 0.0, 0.0 and 0.5"),
        (lambda: centred(image), r"on one axis, was: \[1, 4, 2\]"),
        (lambda: stretched_to(contiguous(2), 0), "expected a length of at least 1, was: 0"),
        (lambda: stretched_to(image, 3), r"on one axis, was: \[1, 4, 2\]"),
        (lambda: abacus(tokens, [1], furthest=-1), "was: -1 and no generator"),
        (lambda: abacus(tokens, [1], furthest=3), "was: 3 and no generator"),
        (lambda: abacus(tokens, [1], generator=generator), "was: 0 and a generator"),
        (lambda: stacked(), "expected at least one layout, was: none"),
        (lambda: stacked(contiguous(4), image), r"on one axis, was: \[1, 4, 2\]"),
        (lambda: folded(image, 2), r"on one axis, was: \[1, 4, 2\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
