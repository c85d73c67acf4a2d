"""Learned rotations and content-decided scores: where they start, what they equal, what they refuse."""

import math
from collections.abc import Callable

import pytest
import torch
from support import differs, named, noise, same, some_tokens
from torch import Tensor

from locant import encodings as e
from locant.encodings import frequencies
from locant.model import Decoder
from locant.model.attend import grids


def scores(encoding: e.PositionalEncoding, where: Tensor, *, heads: int = 2, width: int = 8) -> Tensor:
    """The scores of all pairs of past and present, with random content."""
    time = where.shape[1]
    q, k, x = noise(1, heads, time, width, seed=1), noise(1, heads, time, width, seed=2), noise(1, time, 16, seed=3)
    notes = encoding.notes(x, where)
    pairs = e.Pairs(*encoding.qk(q, k, where, where), where, where, lambda b, h, i, j: j <= i, notes, notes)
    mod, product = encoding.score_mod(pairs), pairs.q @ pairs.k.mT
    return (product if mod is None else mod(product, *grids(1, heads, time, time, where.device))).tril()


TEXT = torch.arange(7)[None]


@torch.no_grad()
def test_frequencies_that_turn_once_and_those_of_whole_wavelengths() -> None:
    table = frequencies.geometric(4, 10_000.0)
    assert frequencies.fast_enough(table, 64).tolist() == [1.0, table[1].item(), 0.0, 0.0]
    assert frequencies.fast_enough(table, 7).tolist() == [1.0, 0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="expected a length within which a pair turns once, was: 6"):
        frequencies.fast_enough(table, 6)
    whole = 2 * math.pi / frequencies.resonant(table)
    assert whole.tolist() == pytest.approx([6.0, 63.0, 628.0, 6283.0])
    assert frequencies.resonant(frequencies.partly_zero(2, 0.5)).tolist() == [2 * math.pi / 6, 0.0]
    assert torch.equal(named("hope(original=64)").make(9).frequencies(), frequencies.fast_enough(table, 64).float())
    resonance = named("resonance").make(9)
    q = noise(1, 4, 1, 8)
    near, far = (
        resonance.qk(q, q, torch.tensor([[at]]), torch.tensor([[at]]))[0] for at in (2, 2 + 6 * 63 * 628 * 6283)
    )
    # Rounded to a multiple of the step of float32 at this place; exact in the fastest pair's repeats near by.
    again = resonance.qk(q, q, torch.tensor([[2 + 6 * 63]]), torch.tensor([[2]]))[0]
    same(again[..., [0, 1, 4, 5]], near[..., [0, 1, 4, 5]])
    assert far.isfinite().all()


@torch.no_grad()
def test_they_start_as_rotary() -> None:
    rotary = scores(e.Rotary(8), TEXT)
    string, carope = e.CayleyString(8, 2), e.ContextualRotary(16, 8, 2)
    string.weight.zero_()
    carope.weight.zero_()
    for encoding in (string, carope, e.FourierRotary(8, 2, original=10**5, gain=0.0)):
        same(scores(encoding, TEXT), rotary, type(encoding).__name__)
    assert e.ContextualRotary(16, 2, 2, base=10_000.0).initial == pytest.approx(9999.0)


@torch.no_grad()
def test_blocks_of_two_and_planes_are_rotations_of_pairs() -> None:
    speeds = torch.tensor([0.7, 0.3, 0.2, 0.05])
    rotary = e.Rotary(8, frequencies=speeds, layout="interleaved")
    liere, grape = e.Liere(8, 2, block=2), e.Grape(8, 2)
    liere.weight.zero_()
    liere.weight[:, :, 0, 1, 0] = speeds
    same(scores(liere, TEXT), scores(rotary, TEXT))
    grape.weight.zero_()
    grape.weight[:, 0, 1], grape.weight[:, 1, 0] = 0.7, 1.0
    one = e.Rotary(8, frequencies=torch.tensor([0.7, 0.0, 0.0, 0.0]), layout="interleaved")
    same(scores(grape, TEXT), scores(one, TEXT))
    grape.weight[:, 1] = 2 * grape.weight[:, 0]  # no plane: nothing turns
    same(scores(grape, TEXT), scores(e.PositionalEncoding(), TEXT))


@torch.no_grad()
def test_chosen_places_are_positions_and_steps_add_up_to_them() -> None:
    places = torch.tensor([[0.5, -3.0, 8.25, 1.0]])
    q, k = noise(1, 2, 4, 8, seed=1), noise(1, 2, 4, 8, seed=2)
    rotary = e.Rotary(8)
    expected = torch.matmul(*(x if n == 0 else x.mT for n, x in enumerate(rotary.qk(q, k, places, places)))).tril()
    repo = e.RotaryByContent(16, 8, 2)
    notes = places[:, None, :, None].expand(1, 2, 4, 1)
    selective = e.SelectiveRotary(16, 8, 2, base=10_000.0)
    steps = torch.diff(places, prepend=torch.zeros(1, 1))[:, None, :, None] * selective.frequencies()
    for encoding, noted in ((repo, notes), (selective, steps.expand(1, 2, 4, 4))):
        pairs = e.Pairs(q, k, TEXT[:, :4], TEXT[:, :4], lambda b, h, i, j: j <= i, noted, noted)
        same(encoding.score_mod(pairs)(q @ k.mT, *grids(1, 2, 4, 4, q.device)).tril(), expected)


@torch.no_grad()
def test_the_bias_of_cable_is_a_forget_gate_with_its_sign_turned() -> None:
    """Veisi et al. 2025, arXiv:2503.08067, the authors' code: running sums of - softplus(W x + b), query less key."""
    gate, x = e.Forgetting(16, 2), noise(1, 7, 16, seed=3)
    total = -torch.nn.functional.softplus(x @ -gate.weight.T - gate.offset).cumsum(1).transpose(1, 2)
    cable = (total[..., :, None] - total[..., None, :]).tril()
    same(scores(gate, TEXT), scores(e.PositionalEncoding(), TEXT) + cable)


@torch.no_grad()
def test_a_convolution_of_one_tap_is_dape_and_the_last_key_is_like_others() -> None:
    one, other = e.DapeConvolution(e.Alibi(2), 2, hidden=5, kernel=1), e.Dape(e.Alibi(2), 2, hidden=5)
    for ours, theirs in zip(
        (one.first, one.first_bias, one.second, one.second_bias),
        (other.network.first, other.network.first_bias, other.network.second, other.network.second_bias),
        strict=True,
    ):
        theirs.copy_(noise(*theirs.shape, seed=theirs.numel()))
        ours.copy_(theirs.view_as(ours))
    same(scores(one, TEXT), scores(other, TEXT))


@torch.no_grad()
def test_bam_starts_as_alibi() -> None:
    torch.testing.assert_close(scores(e.Bam(2), TEXT), scores(e.Alibi(2), TEXT), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_two_axes_commute_in_string_and_not_in_liere() -> None:
    places = torch.tensor([[[0, 0], [3, 1], [1, 4], [5, 5]]])
    for encoding, invariant in ((e.CayleyString(8, 2, axes=2), True), (e.Liere(8, 2, axes=2), False)):
        assert encoding.shift_invariant == invariant
        near, far = scores(encoding, places), scores(encoding, places + torch.tensor([2, 7]))
        (same if invariant else differs)(far, near)
    block = e.Liere(8, 2, axes=2, block=2)  # planes of two columns commute after all
    same(scores(block, places + 5), scores(block, places))


@torch.no_grad()
def test_far_out_a_learned_rotation_keeps_its_digits() -> None:
    for encoding in (e.Liere(8, 2), e.CayleyString(8, 2)):
        at, tolerance = (1_000_000, 1e-5) if isinstance(encoding, e.Liere) else (4096, 1e-3)
        torch.testing.assert_close(scores(encoding, TEXT + at), scores(encoding, TEXT), rtol=0, atol=100 * tolerance)
        q = noise(1, 2, 1, 8)
        turned = encoding.qk(q, q, torch.tensor([[at]]), torch.tensor([[at]]))[0]
        torch.testing.assert_close(turned.norm(), q.norm(), rtol=tolerance, atol=0)


@pytest.mark.parametrize(
    ("expression", "invariant"),
    [
        ("liere + rotary", False),
        ("rotary + liere", False),
        ("grape + cayley_string", False),
        ("rotary + path", False),
        ("path + rotary", False),
        ("rotary + grape_additive", False),
        ("on_axis(grape, axis=0) + rotary", False),
        ("per_layer(grape, none) + rotary", False),
        ("liere + alibi", True),
        ("path + alibi", True),
        ("rotary + selective_rotary", True),
        ("repo + rotary", True),
    ],
)
@torch.no_grad()
def test_sums(expression: str, invariant: bool) -> None:
    model, tokens = named(expression).model(), some_tokens(2, 9)
    assert model.encoding.shift_invariant == invariant
    (same if invariant else differs)(model(tokens, e.contiguous(9, start=40)), model(tokens))


@torch.no_grad()
def test_two_levels() -> None:
    """Full stops (1) end segments, and documents end them, too."""
    tokens = torch.tensor([[5, 5, 1, 5, 1, 1, 5], [1, 5, 5, 5, 5, 1, 5]])
    layout = e.bilevel(tokens, [1])
    assert layout.positions[..., 0].tolist() == [[0, 1, 2, 0, 1, 0, 0], [0, 0, 1, 2, 3, 4, 0]]
    assert layout.positions[..., 1].tolist() == [[0, 0, 0, 1, 1, 2, 3], [0, 1, 1, 1, 1, 1, 2]]
    split = e.bilevel(tokens, [1, 9], documents=torch.tensor([[0, 0, 0, 0, 1, 1, 1]]))
    assert split.positions[..., 0].tolist() == [[0, 1, 2, 0, 0, 0, 0], [0, 0, 1, 2, 0, 1, 0]]
    assert split.positions[..., 1].tolist() == [[0, 0, 0, 1, 0, 1, 2], [0, 1, 1, 1, 0, 0, 1]]
    sizes = {"width": 16, "heads": 2, "length": 8}
    bipe = e.build("bipe(learned, scale=1.0)", **sizes)
    parts = e.build("on_axis(add(learned, scale=1.0), axis=0) + on_axis(rotary, axis=1)", **sizes)
    parts.load_state_dict(bipe.state_dict())
    models = [Decoder(each, width=16, heads=2, layers=2, vocabulary=11) for each in (bipe, parts)]
    models[1].load_state_dict(models[0].state_dict())
    assert torch.equal(models[0](tokens, layout), models[1](tokens, layout))
    together = models[0](tokens, split)  # a document read alone is the same
    alone = models[0](tokens[:, 4:], e.bilevel(tokens[:, 4:], [1]))
    same(together[:, 4:], alone)


def mod_of(encoding: e.PositionalEncoding, notes: Tensor | None) -> Callable[[], object]:
    q, where = noise(1, 3, 4, 8), torch.arange(4)[None]
    return lambda: encoding.score_mod(e.Pairs(q, q, where, where, lambda b, h, i, j: j <= i, notes, notes))


def turn_of(encoding: e.PositionalEncoding, heads: int = 3) -> Callable[[], object]:
    q, where = noise(1, heads, 4, 8), torch.arange(4)[None]
    return lambda: encoding.qk(q, q, where, where)


def on_three_axes(encoding: e.PositionalEncoding) -> Callable[[], object]:
    q, where = noise(1, 2, 4, 8), torch.zeros(1, 4, 3)
    return lambda: encoding.qk(q, q, where, where)


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: e.Liere(8, 0), "expected positive sizes and a block that divides the head width, was: [8, 0, 1, 8]"),
    (lambda: e.Liere(8, 2, block=3), "expected positive sizes and a block that divides the head width"),
    (lambda: e.CayleyString(7, 2), "expected a positive even head width and at least 1 head, was: 7 and 2"),
    (lambda: e.CayleyString(8, 2, axes=3), "expected a number of axes that divides the 4 pairs, was: 3"),
    (lambda: e.CayleyString(8, 2, layout="halves"), "expected the layout half or interleaved, was: halves"),
    (lambda: e.Grape(8, 0), "expected a head width and heads of at least 1, was: 8 and 0"),
    (lambda: e.FourierRotary(8, 0, original=64), "expected a positive even head width and at least 1 head, was: 8"),
    (lambda: e.FourierRotary(8, 2, original=64, gain=-1.0), "expected a gain of at least 0, was: -1.0"),
    (lambda: e.FourierRotary(8, 2, original=3), "expected a length within which a pair turns once, was: 3"),
    (lambda: e.SelectiveRotary(15, 8, 2), "expected a width divisible by at least 1 head, was: 15 and 2"),
    (lambda: e.SelectiveRotary(16, 7, 2), "expected a positive even number of rotated columns, was: 7"),
    (lambda: e.ContextualRotary(16, 8, 2, base=1.0), "and a base above 1, was: 16, 2 and 1.0"),
    (lambda: e.RotaryByContent(16, 8, 2, hidden=0), "expected sizes of at least 1, was: [16, 2, 0]"),
    (lambda: e.Path(16, 0, 2), "expected sizes of at least 1, was: [16, 0, 2]"),
    (lambda: e.Bam(0), "expected at least 1 head, was: 0"),
    (lambda: e.GrapeAdditive(0, 8), "expected heads and a head width of at least 1, was: 0 and 8"),
    (lambda: e.DapeConvolution(e.Alibi(2), 2, kernel=2), "expected positive sizes and an odd kernel, was: [2, 32, 2]"),
    (lambda: e.DapeConvolution(e.Rotary(8), 2), "adds to the scores and does nothing else, was: Rotary"),
    *((turn_of(made), "expected a multiple of 2 heads, was: 3") for made in (
        e.Liere(8, 2), e.CayleyString(8, 2), e.Grape(8, 2), e.FourierRotary(8, 2, original=64))),
    *((mod_of(made, None), "expected the notes of the queries and keys, was: none") for made in (
        e.SelectiveRotary(16, 8, 2), e.ContextualRotary(16, 8, 2), e.RotaryByContent(16, 8, 2), e.Path(16, 8, 2))),
    (mod_of(e.RotaryByContent(16, 8, 2), torch.zeros(1, 2, 4, 1)), "expected a multiple of 2 heads, was: 3"),
    *((on_three_axes(made), "expected positions on 2 axes, [rows, time, 2], was: [1, 4, 3]") for made in (
        e.Liere(8, 2, axes=2), e.CayleyString(8, 2, axes=2))),
    *((on_three_axes(made), "expected positions [rows, time] on one axis, was: [1, 4, 3]") for made in (
        e.Grape(8, 2), e.FourierRotary(8, 2, original=64))),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[f"{n} {text[9:40]}" for n, (_, text) in enumerate(REFUSED)])
def test_refusal(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        call()
    assert message in str(caught.value)
