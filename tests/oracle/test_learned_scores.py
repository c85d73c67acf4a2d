"""Learned rotations and content-decided scores against loops over pairs, in float64, forward and backward."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from oracle import biases_loops as loops
from oracle import learned_loops as learned
from oracle.test_biases_scores import BATCH, F64, HEADS, POSITIONS, TIME, drawn, perturbed, seen, visible
from torch import Tensor

from locant import encodings as e
from locant.model.attend import dense, sdpa

WIDTH, MODEL = 4, 6
FAST = [1.0, 0.1]  # of the pairs of a head of 4 columns with base 100: those that turn once within 64 positions
Case = loops.Case


def coefficients(heads: int) -> Callable[[Case], Tensor]:
    made = e.FourierRotary(WIDTH, heads, original=64, base=100.0, seed=3, dtype=F64)
    return lambda case: made.drawn()


Made = tuple[Callable[[int], e.PositionalEncoding], Callable[[int], Callable[[Case], loops.Score]]]
CASES: dict[str, Made] = {
    "liere": (lambda g: e.Liere(WIDTH, g), lambda g: learned.liere),
    "liere, two blocks, two axes": (lambda g: e.Liere(WIDTH, g, block=2, axes=2), lambda g: learned.liere),
    "cayley string": (lambda g: e.CayleyString(WIDTH, g, base=50.0), lambda g: learned.cayley),
    "cayley string, two axes": (lambda g: e.CayleyString(WIDTH, g, axes=2), lambda g: learned.cayley),
    "grape": (lambda g: e.Grape(WIDTH, g), lambda g: learned.grape),
    "fope": (lambda g: e.FourierRotary(WIDTH, g, original=64, base=100.0, seed=3, dtype=F64),
             lambda g: learned.fope(coefficients(g), FAST)),
    "fope, learned": (lambda g: e.FourierRotary(WIDTH, g, original=64, base=100.0, learned=True, dtype=F64),
                      lambda g: learned.fope(lambda case: case.weights["weight"], FAST)),
    "fope, a slow pair": (lambda g: e.FourierRotary(WIDTH, g, original=20, base=100.0, learned=True, dtype=F64),
                          lambda g: learned.fope(lambda case: case.weights["weight"], FAST[:1])),
    "selective rotary": (lambda g: e.SelectiveRotary(MODEL, WIDTH, g, base=50.0, dtype=F64),
                         lambda g: learned.by_steps(
                             lambda case, *at: learned.selective_step(case, g, 50.0, *at))),
    "carope": (lambda g: e.ContextualRotary(MODEL, WIDTH, g, base=50.0),
               lambda g: learned.by_steps(learned.carope_step)),
    "repo": (lambda g: e.RotaryByContent(MODEL, WIDTH, g, hidden=3, base=50.0, dtype=F64),
             lambda g: learned.repo(50.0)),
    "path": (lambda g: e.Path(MODEL, WIDTH, g), lambda g: learned.path),
    "bam": (lambda g: e.Bam(HEADS), lambda g: loops.biased(learned.bam)),
    "grape additive": (lambda g: e.GrapeAdditive(HEADS, WIDTH), lambda g: loops.biased(learned.grape_additive)),
    "dape v2": (lambda g: e.DapeConvolution(e.KerpleLog(HEADS), HEADS, hidden=3),
                lambda g: loops.biased(learned.dape_v2(3, loops.kerple_log))),
}  # fmt: skip


@pytest.mark.parametrize("key_heads", [1, HEADS])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize(("name", "step"), [(name, step) for name in CASES for step in (1, 0.5)])
def test_scores(name: str, causal: bool, step: float, key_heads: int) -> None:
    make, by_loops = CASES[name]
    encoding = perturbed(make(key_heads))
    q, k, v = drawn(BATCH, HEADS, TIME, WIDTH, seed=1), *(drawn(BATCH, key_heads, TIME, WIDTH, seed=s) for s in (2, 3))
    x = drawn(BATCH, TIME, MODEL, seed=4)
    where, see = torch.tensor(POSITIONS) * step, visible(causal)
    turned = encoding.qk(q, k, where, where)
    notes = encoding.notes(x, where)
    pairs = e.Pairs(*turned, where, where, see.mask_mod, notes, notes, WIDTH**-0.5, q)
    actual = dense(pairs, v, see, encoding.score_mod(pairs))
    weights = dict(encoding.named_parameters())
    case = Case(q, k, x, where.tolist(), seen(causal), weights)
    expected = loops.attention(case, v, by_loops(key_heads)(case), None)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)
    if key_heads == HEADS:
        torch.testing.assert_close(sdpa(pairs, v, see, encoding.score_mod(pairs)), expected, rtol=1e-9, atol=1e-10)
    wanted, asked = [q, k, v, x, *weights.values()], drawn(*expected.shape, seed=6).detach()
    gradient = partial(torch.autograd.grad, allow_unused=True, materialize_grads=True)
    ours, theirs = (gradient((out * asked).sum(), wanted) for out in (actual, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
