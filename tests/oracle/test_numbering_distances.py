"""Rotations of mapped distances against loops over pairs, forward and backward."""

import math

import pytest
import torch
from oracle import loops
from torch import Tensor

from locant.encodings import Layout, Pairs, Rotary, SelfExtend, contiguous
from locant.model import Decoder
from locant.model.attend import dense, sdpa, visibility

F64 = torch.float64
BASE, HEADS, TIME, WIDTH = 50.0, 4, 9, 6
POSITIONS = [0, 1, 2, 3, 5, 8, 9, 14, 15]


def mapped(distance: float, i: float, j: float, window: int, group: float | None, whole: bool) -> float:
    """The distance that is rotated. Jin et al. 2024, section 3; ReRoPE with ``w = window``, ``k = group``."""
    if distance < window:
        return distance
    if group is None:
        return window
    if whole:
        return (i // group) - (j // group) + window - (window // group)
    return window + (distance - window) / group


def score(q: Tensor, k: Tensor, distance: float, layout: str) -> Tensor:
    turned = loops.rotated(q, distance, WIDTH, BASE, layout)
    return (turned * k).sum() / math.sqrt(WIDTH)


CASES = [(4, None, False), (4, 3, True), (5, 2, True), (4, 8.0, False), (1, 4, True), (100, 2, True)]


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize(("window", "group", "whole"), CASES)
@pytest.mark.parametrize("key_heads", [4, 2])
def test_scores(window: int, group: float | None, whole: bool, layout: str, key_heads: int) -> None:
    encoding = SelfExtend(WIDTH, window=window, group=group, whole=whole, base=BASE, layout=layout)
    generator = torch.Generator().manual_seed(2)
    q = torch.randn(1, HEADS, TIME, WIDTH, generator=generator, dtype=F64).requires_grad_()
    k = torch.randn(1, key_heads, TIME, WIDTH, generator=generator, dtype=F64).requires_grad_()
    positions = torch.tensor([POSITIONS])
    turned_q, turned_k = encoding.qk(q, k, positions, positions)
    see = visibility(TIME, TIME, None, None, torch.device("cpu"))
    pairs = Pairs(turned_q, turned_k, positions, positions, see.mask_mod, scale=WIDTH**-0.5)
    mod = encoding.score_mod(pairs)
    plain = (turned_q @ turned_k.repeat_interleave(HEADS // key_heads, dim=1).mT) * pairs.scale
    h, i, j = torch.arange(HEADS)[:, None, None], torch.arange(TIME)[:, None], torch.arange(TIME)
    actual = mod(plain, torch.zeros(1, 1, 1, 1, dtype=torch.long), h, i, j)
    weights = torch.randn(actual.shape, generator=generator, dtype=F64)
    total = torch.zeros((), dtype=F64)
    for head in range(HEADS):
        for one in range(TIME):
            for other in range(TIME):
                distance = POSITIONS[one] - POSITIONS[other]
                where = mapped(distance, POSITIONS[one], POSITIONS[other], window, group, whole)
                expected = score(q[0, head, one], k[0, head * key_heads // HEADS, other], where, layout)
                # The table of frequencies is float32.
                torch.testing.assert_close(actual[0, head, one, other], expected, rtol=1e-4, atol=1e-4)
                total = total + weights[0, head, one, other] * expected
    gradients = zip(
        torch.autograd.grad((actual * weights).sum(), [q, k]), torch.autograd.grad(total, [q, k]), strict=True
    )
    for one, other in gradients:
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_inside_of_the_window_it_is_rotary() -> None:
    tokens = torch.randint(11, (2, TIME), generator=torch.Generator().manual_seed(0))
    made = []
    for encoding in (Rotary(8), SelfExtend(8, window=TIME, group=4), SelfExtend(8, window=3, group=4)):
        model = Decoder(encoding, width=16, heads=2, layers=2, vocabulary=11)
        made.append(model(tokens, contiguous(TIME)).detach())
    torch.testing.assert_close(made[0], made[1], rtol=1e-4, atol=1e-5)
    assert (made[0] - made[2])[:, :3].abs().max() < 1e-5, "no pair is further apart"
    assert (made[0] - made[2])[:, 3:].abs().max() > 1e-3


def test_no_distance_grows_beyond_the_window_with_rectified_rotation() -> None:
    """Far keys all have one rotation: their scores do not change with distance."""
    encoding = SelfExtend(8, window=4)
    q, k = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(1))
    found = []
    for distance in (4, 5, 50, 5000):
        q_positions, k_positions = torch.tensor([[distance + 7]]), torch.tensor([[7]])
        turned = encoding.qk(q, k, q_positions, k_positions)
        pairs = Pairs(*turned, q_positions, k_positions, lambda b, h, i, j: j <= i)
        index = torch.zeros((), dtype=torch.long)
        found.append(float(encoding.score_mod(pairs)((turned[0] @ turned[1].mT)[0, 0, 0, 0], *[index] * 4)))
    assert found == pytest.approx([found[0]] * 4, abs=1e-3)


def test_fused_attention_agrees() -> None:
    encoding = SelfExtend(8, window=3, group=2)
    q, k, v = torch.randn(3, 2, 2, TIME, 8, generator=torch.Generator().manual_seed(5))
    positions = torch.tensor([POSITIONS])
    see = visibility(TIME, TIME, None, None, torch.device("cpu"))
    pairs = Pairs(*encoding.qk(q, k, positions, positions), positions, positions, see.mask_mod, scale=0.3)
    mod = encoding.score_mod(pairs)
    torch.testing.assert_close(sdpa(pairs, v, see, mod), dense(pairs, v, see, mod), rtol=1e-4, atol=1e-5)


def test_what_is_refused() -> None:
    for options, message in [
        ({"window": 0}, "expected a window of at least 1 and a group above 1, was: 0 and None"),
        ({"window": 3, "group": 1}, "expected a window of at least 1 and a group above 1, was: 3 and 1"),
        ({"window": 3, "layout": "halves"}, "expected the layout half or interleaved, was: halves"),
    ]:
        with pytest.raises(ValueError, match=message):
            SelfExtend(8, **options)
    with pytest.raises(ValueError, match="expected a positive even head width, was: 7"):
        SelfExtend(7, window=2)
    model = Decoder(SelfExtend(8, window=2), width=16, heads=2, layers=1, vocabulary=3)
    with pytest.raises(ValueError, match=r"expected positions \[rows, time\]"):
        model(torch.zeros(1, 2, dtype=torch.long), Layout(torch.zeros(1, 2, 2)))
