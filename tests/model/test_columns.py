"""Columns beside the stream: looked at once, and ahead of decoding, with the same numbers as without."""

import pytest
import torch

import locant
from locant.encodings import Layout
from locant.model import columns

LENGTH = 200
EXPRESSIONS = ("beside(learned, width=8)", "beside(sinusoidal, width=6) + rotary",
               "per_layer(alibi, beside(sinusoidal, width=4), beside(random, width=4))")  # fmt: skip


def model(expression: str) -> locant.model.Decoder:
    return locant.decoder(expression, 16, 2, 3, LENGTH, 23).requires_grad_(False)


def tokens(time: int, batch: int = 2) -> torch.Tensor:
    return torch.randint(0, 23, (batch, time), generator=torch.Generator().manual_seed(3))


def decoded(one, given: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Logits token by token."""
    cache = one.cache()
    steps = [one(given[:, i : i + 1], Layout(positions[:, i : i + 1]), cache) for i in range(given.shape[1])]
    return torch.cat(steps, 1)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize(
    "positions",
    [torch.arange(150), torch.arange(150).flip(0), torch.arange(0, 150, 3), torch.arange(50) // 7 * 20,
     torch.arange(50) * 0.5, torch.arange(50) + 0.25, torch.arange(20).repeat(3)],
    ids=["across blocks", "backwards", "skipping", "repeating", "halves", "quarters", "again"],
)  # fmt: skip
def test_what_was_foreseen_is_what_is_there(expression, positions):
    if positions.is_floating_point() and "learned" in expression:
        positions = positions.floor()
    one, given = model(expression), tokens(len(positions))
    whole = one(given, Layout(positions[None]))
    torch.testing.assert_close(decoded(one, given, positions[None]), whole, rtol=1e-4, atol=1e-5)


def test_a_block_is_looked_at_once(monkeypatch):
    one, looked = model(EXPRESSIONS[0]), []
    real = columns.columns
    monkeypatch.setattr("locant.model.decoder.columns", lambda *given: looked.append(given[1].shape) or real(*given))
    decoded(one, tokens(130), torch.arange(130)[None])
    assert looked == [(1, 64), (1, 64), (1, 64)]


def test_no_further_than_the_table():
    one, given = model(EXPRESSIONS[0]), tokens(4)
    decoded(one, given, torch.arange(LENGTH - 4, LENGTH)[None])
    with pytest.raises(ValueError, match="was: 200"):
        decoded(one, given, torch.arange(LENGTH - 3, LENGTH + 1)[None])


def test_a_refused_position_changes_nothing_that_was_foreseen():
    one, given = model(EXPRESSIONS[0]), tokens(2)
    cache = one.cache()
    one(given[:, :1], Layout(torch.tensor([[LENGTH - 2]])), cache)
    foreseen = cache.ahead.start, cache.ahead.steps
    for _ in range(2):
        with pytest.raises(ValueError, match="was: 200"):
            one(given[:, :1], Layout(torch.tensor([[LENGTH]])), cache)
        assert (cache.ahead.start, cache.ahead.steps) == foreseen


def test_rows_of_their_own_positions_are_not_guessed():
    one, given = model(EXPRESSIONS[0]), tokens(9)
    positions = torch.stack([torch.arange(9), torch.arange(9) * 5])
    torch.testing.assert_close(decoded(one, given, positions), one(given, Layout(positions)), rtol=1e-4, atol=1e-5)


def test_layers_with_one_encoding_share_its_columns():
    one = model(EXPRESSIONS[0])
    first, *others = columns.columns(one.schedule, torch.arange(5)[None], torch.float32)
    assert all(other.columns is first.columns for other in others)
    mixed = columns.columns(model(EXPRESSIONS[2]).schedule, torch.arange(5)[None], torch.float32)
    assert [None if each.columns is None else tuple(each.columns.shape) for each in mixed] == [
        None,
        (1, 5, 4),
        (1, 5, 4),
    ]
    assert mixed[1].columns is not mixed[2].columns
