"""Chains and schedules: order of the hooks, sums of widths, and what they refuse."""

import pytest
import torch
from support import noise
from torch import Tensor

import locant
from locant.encodings import (
    T5,
    Add,
    Alibi,
    Beside,
    Chain,
    Concat,
    Learned,
    Pairs,
    PerLayer,
    PositionalEncoding,
    Rotary,
    build,
    contiguous,
)


class Affine(PositionalEncoding):
    """Every hook is ``x -> factor x + offset``, which tells the order of application."""

    def __init__(self, factor: float, offset: float) -> None:
        super().__init__()
        self.factor, self.offset = factor, offset

    def apply_to(self, x: Tensor) -> Tensor:
        return x * self.factor + self.offset

    def embed(self, tokens, positions):  # type: ignore[no-untyped-def]
        return self.apply_to(tokens)

    def enter(self, x, positions):  # type: ignore[no-untyped-def]
        return self.apply_to(x)

    def qk(self, q, k, q_positions, k_positions):  # type: ignore[no-untyped-def]
        return self.apply_to(q), -self.apply_to(k)

    def values(self, v, positions):  # type: ignore[no-untyped-def]
        return self.apply_to(v)

    def output(self, out, positions):  # type: ignore[no-untyped-def]
        return (out - self.offset) / self.factor

    def score_mod(self, pairs):  # type: ignore[no-untyped-def]
        return lambda score, b, h, i, j: self.apply_to(score)


class Noting(PositionalEncoding):
    def notes(self, x: Tensor, positions: Tensor) -> Tensor:
        return x[:, None]


POSITIONS = torch.arange(3)[None]


def test_a_chain_applies_its_parts_in_order_and_undoes_values_in_reverse() -> None:
    chain, x = Chain(Affine(2.0, 1.0), Affine(3.0, 5.0)), noise(1, 2, 3, 4)
    in_order = (x * 2 + 1) * 3 + 5
    assert torch.equal(chain.embed(x, POSITIONS), in_order)
    assert torch.equal(chain.enter(x, POSITIONS), in_order)
    q, k = chain.qk(x, x, POSITIONS, POSITIONS)
    assert torch.equal(q, in_order)
    assert torch.equal(k, -(-(x * 2 + 1) * 3 + 5))
    assert torch.equal(chain.values(x, POSITIONS), in_order)
    torch.testing.assert_close(chain.output(chain.values(x, POSITIONS), POSITIONS), x)
    mod = chain.score_mod(Pairs(x, x, POSITIONS, POSITIONS, lambda b, h, i, j: j <= i))
    index = torch.zeros((), dtype=torch.long)
    assert mod is not None
    assert torch.equal(mod(x, index, index, index, index), in_order)


def test_a_chain_is_as_restricted_as_its_parts() -> None:
    chain = Chain(Add(Learned(9, 4)), Concat(Learned(7, 2)), Concat(Learned(8, 3)), Beside(Learned(20, 5)), Alibi(2))
    assert (chain.limit, chain.extra_width, chain.beside_width) == (7, 5, 5)
    assert not chain.shift_invariant
    assert Chain(Rotary(4), Alibi(2)).shift_invariant
    assert Chain(Rotary(4), Alibi(2)).limit is None
    assert Chain(Alibi(2)).beside(POSITIONS) is None
    nothing = Chain(Rotary(4)).score_mod(Pairs(noise(1), noise(1), POSITIONS, POSITIONS, lambda b, h, i, j: j <= i))
    assert nothing is None


def test_columns_beside_follow_the_order_of_the_parts() -> None:
    one, two = Learned(4, 2), Learned(4, 3)
    columns = Chain(Beside(one), Alibi(2), Beside(two)).beside(POSITIONS)
    assert torch.equal(columns, torch.cat([one(POSITIONS), two(POSITIONS)], dim=-1))


def test_a_schedule_repeats_its_cycle() -> None:
    parts = [Rotary(4), Alibi(2), PositionalEncoding()]
    schedule = PerLayer(*parts)
    assert [schedule.layer(index) for index in range(7)] == [*parts, *parts, parts[0]]
    nested = PerLayer(PerLayer(*parts[:2]), parts[2])
    assert [nested.layer(index) for index in range(4)] == [parts[0], parts[2], parts[0], parts[2]]


def test_a_chain_with_a_schedule_has_a_chain_per_layer() -> None:
    chain = Chain(PerLayer(Rotary(4), T5(2)), Alibi(2))
    for index in range(4):
        layer = chain.layer(index)
        assert isinstance(layer, Chain)
        assert list(layer.parts) == [chain.parts[0].cycle[index % 2], chain.parts[1]]
    plain = Chain(Rotary(4), Alibi(2))
    assert plain.layer(3) is plain


def test_sums_stand_in_schedules_and_schedules_in_sums() -> None:
    encoding = build("per_layer(rotary + alibi, none) + per_layer(t5 + alibi, rotary)", width=8, heads=2, layers=4)
    assert [[type(part).__name__ for part in encoding.layer(index).parts] for index in range(2)] == [
        ["Chain", "Chain"],
        ["PositionalEncoding", "Rotary"],
    ]


def test_a_schedule_is_as_restricted_as_its_parts() -> None:
    schedule = PerLayer(Beside(Learned(6, 2)), Beside(Learned(4, 3)))
    assert schedule.limit == 4
    assert not schedule.shift_invariant
    assert [schedule.layer(index).beside_width for index in range(2)] == [2, 3]
    assert PerLayer(Rotary(4), PositionalEncoding()).limit is None


def test_notes_have_one_place() -> None:
    chain = Chain(Rotary(4), Noting())
    x = noise(2, 3, 4)
    assert torch.equal(chain.notes(x, POSITIONS), x[:, None])
    assert Chain(Rotary(4)).notes(x, POSITIONS) is None
    message = r"expected at most one part with notes, was: \['Noting', 'Chain'\]"
    with pytest.raises(ValueError, match=message):
        Chain(Noting(), Chain(Rotary(4), Noting()))
    Chain(Chain(Rotary(4), Alibi(2)), Chain(Alibi(2), Noting()))


def test_a_schedule_refuses_what_acts_on_the_input() -> None:
    for part in (Add(Learned(4, 4)), Concat(Learned(4, 4)), Chain(Rotary(4), Add(Learned(4, 4)))):
        with pytest.raises(ValueError, match=f"act inside of layers, was: {type(part).__name__}"):
            PerLayer(Rotary(4), part)
    with pytest.raises(ValueError, match="expected at least one encoding in the cycle, was: none"):
        PerLayer()


def test_no_encoding_does_nothing() -> None:
    none, x = PositionalEncoding(), noise(1, 2, 3, 4)
    assert none.embed(x, POSITIONS) is x
    assert none.enter(x, POSITIONS) is x
    assert none.qk(x, x, POSITIONS, POSITIONS) == (x, x)
    assert none.values(x, POSITIONS) is none.output(x, POSITIONS) is x
    assert none.beside(POSITIONS) is none.notes(x, POSITIONS) is None
    assert none.score_mod(Pairs(x, x, POSITIONS, POSITIONS, lambda b, h, i, j: j <= i)) is None
    assert none.layer(5) is none


def test_distances_with_shared_and_with_own_positions() -> None:
    q, k = torch.tensor([[5, 9]]), torch.tensor([[0, 2, 4]])
    i, j = torch.arange(2)[:, None], torch.arange(3)
    b = torch.arange(2)[:, None, None]
    shared = Pairs(noise(1), noise(1), q, k, lambda b, h, i, j: j <= i).distance(b, i, j)
    assert shared.tolist() == [[5, 3, 1], [9, 7, 5]]
    own = Pairs(noise(1), noise(1), torch.cat([q, q + 1]), torch.cat([k, k - 2]), lambda b, h, i, j: j <= i)
    assert own.distance(b, i, j).tolist() == [[[5, 3, 1], [9, 7, 5]], [[8, 6, 4], [12, 10, 8]]]


@pytest.mark.parametrize(
    ("expression", "invariant"),
    [
        ("rotary + rotary", True),
        ("rotary + xpos", True),
        ("rotary(layout=interleaved) + rotary(fraction=0.5, layout=interleaved)", True),
        ("rotary + rotary(layout=interleaved)", False),
        ("rotary + rotary(fraction=0.5)", False),
        ("rotary + xpos(layout=interleaved)", False),
        ("per_layer(rotary, none) + rotary(layout=interleaved)", False),
        ("rotary + rotary_mixed(layout=interleaved)", False),
    ],
)
def test_rotations_in_different_planes_do_not_commute(expression: str, invariant: bool) -> None:
    """Declared as measured: the logits of a model whose positions all move by one amount."""
    model = locant.decoder(expression, 16, 2, 2, 64, 11).double().requires_grad_(False)
    tokens = torch.arange(12)[None] * 5 % 11
    moved = (model(tokens, contiguous(12, start=30)) - model(tokens)).abs().max()
    assert model.encoding.shift_invariant == invariant
    assert (moved < 1e-4) == invariant
