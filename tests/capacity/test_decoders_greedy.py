"""Successive cancellation, beam search and OMP against plain loops and against scikit-learn."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from capacity.sums import right, sets, table, trained
from torch import Tensor

from locant.capacity.decoders import (
    beam_search,
    make_filter,
    pursuit,
    slot_order,
    successive,
    successive_slots,
)

F64 = torch.float64


def nearest_first(rows: np.ndarray, y: np.ndarray, members: int) -> list[int]:
    taken: list[int] = []
    for _ in range(members):
        away = [np.inf if j in taken else float(((y - row) ** 2).sum()) for j, row in enumerate(rows)]
        taken.append(int(np.argmin(away)))
        y = y - rows[taken[-1]]
    return sorted(taken)


def refitted(rows: np.ndarray, y: np.ndarray, members: int, positive: bool) -> list[int]:
    """OMP with least squares by numpy at every step."""
    taken: list[int] = []
    rest = y
    for _ in range(members):
        fit = [float(row @ rest) / float(np.sqrt(row @ row)) for row in rows]
        fit = [-np.inf if j in taken else (value if positive else abs(value)) for j, value in enumerate(fit)]
        taken.append(int(np.argmax(fit)))
        amplitudes = np.linalg.lstsq(rows[taken].T, y, rcond=None)[0]
        rest = y - amplitudes @ rows[taken]
    return sorted(taken)


def with_beam(rows: np.ndarray, y: np.ndarray, members: int, beam: int) -> list[int]:
    """Every kept set grows by its best rows; the best different sets stay."""
    kept: list[frozenset[int]] = [frozenset()]

    def away(chosen: frozenset[int]) -> float:
        return float(((y - rows[sorted(chosen)].sum(0)) ** 2).sum())

    for _ in range(members):
        grown = set()
        for chosen in kept:
            others = sorted((chosen | {j} for j in range(len(rows)) if j not in chosen), key=away)
            grown |= set(others[:beam])
        kept = sorted(grown, key=away)[:beam]
    return sorted(kept[0])


def hard(seed: int, members: int = 5) -> tuple[Tensor, Tensor]:
    """Sums of a table at which greedy decoders are often wrong, so that agreement says something."""
    rows = trained(40, 10, seed).double()
    return rows, rows[sets(30, 40, members, seed + 50)].sum(1)


@pytest.mark.parametrize("chunk", [None, 7])
def test_successive_is_that_of_plain_loops(chunk: int | None) -> None:
    rows, sums = hard(0)
    expected = [nearest_first(rows.numpy(), y, 5) for y in sums.numpy()]
    assert successive(sums, rows, 5, chunk=chunk).tolist() == expected


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("chunk", [None, 7])
def test_pursuit_is_that_of_plain_loops(positive: bool, chunk: int | None) -> None:
    rows, sums = hard(1)
    expected = [refitted(rows.numpy(), y, 5, positive) for y in sums.numpy()]
    assert pursuit(sums, rows, 5, positive=positive, chunk=chunk).tolist() == expected


@pytest.mark.parametrize("beam", [1, 2, 5, 20])
def test_beam_is_that_of_plain_loops(beam: int) -> None:
    rows, sums = hard(2, 3)
    expected = [with_beam(rows.numpy(), y, 3, beam) for y in sums[:12].numpy()]
    assert beam_search(sums[:12], rows, 3, beam=beam, chunk=5).tolist() == expected


def test_pursuit_is_scikit_learns() -> None:
    from sklearn.linear_model import orthogonal_mp

    rows = torch.nn.functional.normalize(table(200, 24, 3, F64), dim=1)
    sums = rows[sets(60, 200, 6)].sum(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it warns where the sum is used up early
        amplitudes = orthogonal_mp(rows.T.numpy(), sums.T.numpy(), n_nonzero_coefs=6)
    theirs = [np.flatnonzero(column).tolist() for column in amplitudes.T]
    ours = pursuit(sums, rows, 6).tolist()
    assert sum(map(len, theirs)) > 350
    assert all(set(some) <= set(found) for some, found in zip(theirs, ours, strict=True))


def test_each_is_better_than_the_one_before() -> None:
    rows = table(600, 48)
    expected = sets(150, 600, 6)
    sums = rows[expected].sum(1)
    best = torch.cat([(sums @ rows.T).topk(6).indices.sort(1).values])
    figures = [
        right(best, expected),
        right(pursuit(sums, rows, 6), expected),
        right(pursuit(sums, rows, 6, positive=True), expected),
        right(successive(sums, rows, 6), expected),
        right(beam_search(sums, rows, 6, beam=6), expected),
    ]
    assert figures == sorted(figures)
    assert figures[0] < 0.1
    assert figures[-1] > 0.95


@pytest.mark.parametrize("decoder", [successive, beam_search, pursuit])
def test_orthonormal_rows_come_out_whatever_their_number(decoder) -> None:
    rows = torch.linalg.qr(table(16, 16, 0, F64))[0]
    for members in (1, 5, 15, 16):
        expected = sets(10, 16, members)
        assert torch.equal(decoder(rows[expected].sum(1), rows, members), expected)


def test_unknown_amplitudes_are_for_pursuit() -> None:
    rows = table(300, 64)
    expected = sets(50, 300, 4)
    weights = torch.tensor([0.2, -3.0, 1.0, 5.0])
    sums = (rows[expected] * weights[:, None]).sum(1)
    assert right(pursuit(sums, rows, 4), expected) > 0.9
    assert right(successive(sums, rows, 4), expected) < 0.1


def test_the_order_of_rows_means_nothing() -> None:
    rows, sums = hard(4)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    for decoder in (successive, beam_search, pursuit):
        found = order[decoder(sums, rows[order], 5)].sort(1).values
        assert torch.equal(found, decoder(sums, rows, 5))


def test_slots_one_after_the_other() -> None:
    """In every order, what plain loops find: nearest by score, subtract, next."""
    tables = [table(20, 5, 0, F64), table(15, 5, 1, F64), table(10, 5, 2, F64)]
    expected = torch.cat([sets(40, len(rows), 1, len(rows)) for rows in tables], 1)
    sums = torch.stack([rows[expected[:, n]] for n, rows in enumerate(tables)]).sum(0)
    for order in itertools.permutations(range(3)):
        filters = [make_filter("centred", tables[index]) for index in order]
        found = successive_slots(sums, tables, filters, order, chunk=4)
        for y, picked in zip(sums, found, strict=True):
            for index in order:
                assert int(picked[index]) == int(torch.cdist(y[None], tables[index]).argmin())
                y = y - tables[index][picked[index]]


def test_the_order_of_slots_is_that_in_which_they_are_found() -> None:
    """Few rows of a full span are found first; a table that few directions hold is projected out and left for last."""
    tokens, many, few = table(2000, 40), table(300, 40, 1), table(30, 4, 2) @ table(4, 40, 3)
    for places, order in ((many, [1, 0]), (few, [0, 1])):
        found, filters = slot_order([tokens, places])
        assert found == order
        expected = torch.cat((sets(300, 2000, 1, 5), sets(300, len(places), 1, 6)), 1)
        sums = tokens[expected[:, 0]] + places[expected[:, 1]]
        assert right(successive_slots(sums, [tokens, places], filters, found), expected) > 0.9
    tables = [few, tokens, many]
    expected = torch.cat([sets(300, len(rows), 1, seed) for seed, rows in enumerate(tables)], 1)
    sums = torch.stack([rows[expected[:, n]] for n, rows in enumerate(tables)]).sum(0)
    found, filters = slot_order(tables)
    assert found == [0, 2, 1]
    assert right(successive_slots(sums, tables, filters, found), expected) > 0.85


BAD = [
    (lambda: beam_search(table(2, 4), table(3, 4), 2, beam=0), "a beam of at least 1, was: 0"),
    (lambda: pursuit(table(2, 4), table(9, 4), 5), "members of at most the width 4, was: 5"),
    (lambda: pursuit(table(2, 4), torch.zeros(9, 4), 2), "no rows of zeros, was: row 0"),
    (lambda: successive(table(2, 4), table(3, 4), 4), "members between 1 and 3 items, was: 4"),
    (lambda: successive_slots(table(2, 4), [table(3, 4)] * 2, [], [0, 0]), "order of the tables 0 to 1, was: (0, 0)"),
    (lambda: successive_slots(table(2, 4), [table(3, 4)] * 2, [], [0, 1]), "expected 2 filters, was: 0"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_refusals(call, words: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        call()
    assert words in str(error.value)
