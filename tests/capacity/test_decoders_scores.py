"""Scores and thresholds against plain loops, scipy's densities and the exact law."""

import numpy as np
import pytest
import torch
from capacity.sums import right, sets, table, trained
from scipy.stats import multivariate_normal
from torch import Tensor

from locant.capacity.decoders import above, make_filter, slot_filters, slots, top, whiten
from locant.capacity.exact import recovery_probability

F64 = torch.float64


def scored(kind: str, rows: Tensor, sums: Tensor, members: int, **options: float) -> Tensor:
    made = make_filter(kind, rows, members, **options)
    return made.block(made.queries(sums), rows, slice(0, len(rows)))


def by_loops(kind: str, rows: np.ndarray, y: np.ndarray, members: int) -> list[float]:
    mean = [sum(column) / len(rows) for column in rows.T]
    scores = []
    for row in rows:
        if kind == "dot":
            scores.append(sum(a * b for a, b in zip(row, y, strict=True)))
        elif kind == "cosine":
            scores.append(sum(a * b for a, b in zip(row, y, strict=True)) / sum(a * a for a in row) ** 0.5)
        else:
            away = [(b - members * m) - (a - m) for a, b, m in zip(row, y, mean, strict=True)]
            whole = [b - members * m for b, m in zip(y, mean, strict=True)]
            scores.append((sum(w * w for w in whole) - sum(a * a for a in away)) / 2)
    return scores


@pytest.mark.parametrize("kind", ["dot", "cosine", "centred"])
def test_scores_are_those_of_plain_loops(kind: str) -> None:
    rows = trained(13, 5).double()
    sums = rows[sets(4, 13, 3)].sum(1)
    expected = [by_loops(kind, rows.numpy(), y, 3) for y in sums.numpy()]
    torch.testing.assert_close(scored(kind, rows, sums, 3), torch.tensor(expected, dtype=F64))


def test_whitened_scores_are_log_likelihoods() -> None:
    """Differences of scores are differences of the normal density of the rest, by scipy."""
    rows, noise, members = trained(40, 6).double(), 0.3, 4
    sums = rows[sets(3, 40, members)].sum(1)
    mean, covariance = rows.mean(0).numpy(), np.cov(rows.numpy().T, bias=True)
    rest = multivariate_normal((members - 1) * mean, (members - 1) * covariance + noise * np.eye(6))
    expected = torch.tensor(np.stack([rest.logpdf((y - rows).numpy()) for y in sums]))
    found = scored("whitened", rows, sums, members, noise=noise)
    torch.testing.assert_close(found - found[:, :1], expected - expected[:, :1], rtol=1e-9, atol=1e-9)


def test_one_whitened_member_in_noise_is_the_nearest_row() -> None:
    rows = trained(50, 6).double()
    sums = rows[sets(200, 50, 1)[:, 0]] + 0.2 * table(200, 6, 5, F64)
    found = top(sums, rows, make_filter("whitened", rows, 1, noise=0.04), 1)
    assert torch.equal(found[:, 0], torch.cdist(sums, rows).argmin(1))


@pytest.mark.parametrize("kind", ["dot", "cosine", "centred", "whitened"])
def test_blocks_of_the_table_change_nothing(kind: str) -> None:
    rows = trained(101, 8)
    sums = rows[sets(9, 101, 5)].sum(1)
    made = make_filter(kind, rows, 5)
    whole = top(sums, rows, made, 5)
    assert torch.equal(whole, scored(kind, rows, sums, 5).topk(5).indices.sort(1).values)
    for chunk in (1, 3, 5, 100, 101, 500):
        assert torch.equal(top(sums, rows, made, 5, chunk), whole)


@pytest.mark.parametrize(("members", "noise"), [(3, 0.0), (3, 2.0), (4, 0.0)])
def test_dot_recovers_as_often_as_the_exact_law_says(members: int, noise: float) -> None:
    hits, tables, batch, width, items = 0.0, 40, 50, 48, 300
    for seed in range(tables):
        rows = table(items, width, seed)
        expected = sets(batch, items, members, seed + 500)
        sums = rows[expected].sum(1) + noise**0.5 * table(batch, width, seed + 1000)
        hits += right(top(sums, rows, make_filter("dot", rows), members), expected)
    law = recovery_probability(width, items, members, noise=noise)
    assert 0.1 < law < 0.95
    assert abs(hits / tables - law) < 0.05


def test_two_slots_are_found_as_often_as_the_exact_law_says() -> None:
    hits = 0.0
    for seed in range(40):
        tables = [table(300, 16, seed), table(40, 16, seed + 100)]
        expected = torch.cat([sets(50, len(rows), 1, seed + len(rows)) for rows in tables], 1)
        sums = tables[0][expected[:, 0]] + tables[1][expected[:, 1]]
        hits += right(slots(sums, tables, slot_filters("dot", tables), chunk=64), expected)
    law = recovery_probability(16, (300, 40))
    assert 0.1 < law < 0.9
    assert abs(hits / 40 - law) < 0.05


def test_whitening_makes_trained_tables_separable() -> None:
    rows = trained(2000, 128)
    expected = sets(200, 2000, 3)
    sums = rows[expected].sum(1)
    found = {kind: right(top(sums, rows, make_filter(kind, rows, 3), 3), expected) for kind in
             ("dot", "cosine", "centred", "whitened")}  # fmt: skip
    assert found["whitened"] > 0.8
    assert max(found["dot"], found["cosine"], found["centred"]) < 0.1
    coarse = top(sums.bfloat16(), rows, make_filter("whitened", rows, 3, precision=torch.bfloat16), 3)
    assert right(coarse, expected) > 0.7


def test_whitened_slots_see_past_a_table_of_few_directions() -> None:
    tokens = table(500, 32)
    places = 20 * table(60, 3, 1) @ table(3, 32, 2)
    expected = torch.cat((sets(200, 500, 1, 3), sets(200, 60, 1, 4)), 1)
    sums = tokens[expected[:, 0]] + places[expected[:, 1]]
    filters = slot_filters("whitened", [tokens, places])
    assert right(slots(sums, [tokens, places], filters), expected) == 1
    assert right(slots(sums, [tokens, places], slot_filters("dot", [tokens, places])), expected) < 0.1


def test_whitening_centres_equalises_and_keeps_sums() -> None:
    rows = trained(600, 16).double()
    chosen = sets(5, 600, 3)
    sums, mapped = whiten(rows[chosen].sum(1), rows, 3)
    torch.testing.assert_close(mapped.T @ mapped / 600, torch.eye(16, dtype=F64), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(mapped[chosen].sum(1), sums)
    few = whiten(table(5, 16, 0, F64), table(10, 16, 1, F64), 3)[1]
    torch.testing.assert_close(few @ few.T / 10, torch.eye(10, dtype=F64) - 0.1, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["dot", "centred", "whitened"])
def test_membership_needs_no_number_of_members(kind: str) -> None:
    rows = table(300, 512) + (1.0 if kind != "dot" else 0.0)
    for members in (1, 3, 6):
        expected = sets(20, 300, members)
        found = above(rows[expected].sum(1), rows, 0.5, kind, chunk=77)
        assert torch.equal(found[:, 0], torch.arange(20).repeat_interleave(members))
        assert torch.equal(found[:, 1].reshape(20, members), expected)


def test_amplitudes_are_one_for_members() -> None:
    """Level by level, as a plain loop over the definition finds them."""
    rows = trained(30, 6).double()
    y = rows[sets(1, 30, 2)].sum(1)
    mean = rows.mean(0)
    outside = torch.eye(6, dtype=F64) - torch.outer(mean, mean) / mean.dot(mean)
    weights = torch.linalg.pinv(outside @ torch.tensor(np.cov(rows.numpy().T, bias=True)) @ outside, rtol=1e-9)
    metrics = {"dot": torch.eye(6, dtype=F64), "centred": outside, "whitened": weights}
    for kind, metric in metrics.items():
        amplitudes = [float(row @ metric @ y[0] / (row @ metric @ row)) for row in rows]
        for level in (-0.3, 0.0, 0.5, 0.9):
            expected = [index for index, value in enumerate(amplitudes) if value > level]
            assert above(y, rows, level, kind)[:, 1].tolist() == expected, kind


BAD = [
    (lambda: top(table(2, 4), table(3, 5), make_filter("dot", table(3, 5)), 1), "one width, was: 4 and 5"),
    (lambda: make_filter("dot", table(3, 5), 4), "members between 1 and 3 items, was: 4"),
    (lambda: make_filter("dot", table(3, 5) * torch.nan), "finite sums, was: values from nan"),
    (lambda: top(table(2, 5), table(3, 5) / 0, make_filter("dot", table(3, 5)), 1), "finite table, was"),
    (lambda: make_filter("cosine", torch.tensor([[1.0, 0.0], [0.0, 0.0]])), "no rows of zeros, was: row 1"),
    (lambda: make_filter("whitened", torch.ones(4, 3), 2), "rows that differ, was: a table of equal rows"),
    (lambda: make_filter("loud", table(3, 5)), "dot, cosine, centred, whitened, was: loud"),
    (lambda: make_filter("dot", table(3, 5), noise=-1.0), "a finite variance of at least 0, was: -1.0"),
    (lambda: make_filter("dot", torch.ones(3, 5).long()), "floating point, was: torch.int64"),
    (lambda: make_filter("dot", torch.ones(5)), "a matrix with at least 1 row and column, was: (1,)"),
    (lambda: slot_filters("dot", [table(3, 5)]), "at least 2 tables, was: 1"),
    (lambda: top(table(2, 5), table(3, 5), make_filter("dot", table(3, 5)), 1, 0), "chunk of at least 1, was: 0"),
    (lambda: above(table(2, 5), table(3, 5), torch.inf), "a finite level, was: inf"),
    (lambda: above(table(2, 5), table(3, 5), 0.5, "loud"), "dot, centred, whitened, was: loud"),
    (lambda: above(table(2, 5), torch.ones(3, 5)), "rows that differ"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_refusals(call, words: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        call()
    assert words in str(error.value)
