"""Attention with every encoding of the scores against a loop over pairs, in float64, forward and backward."""

import math
from collections.abc import Callable

import pytest
import torch
from oracle import biases_content_loops as content
from oracle import biases_loops as loops
from oracle.loops import sinusoidal
from torch import Tensor

from locant import encodings as e
from locant.model.attend import Visibility, dense, grids, sdpa

F64 = torch.float64
BATCH, HEADS, TIME, WIDTH, MODEL = 2, 2, 5, 4, 3
POSITIONS = [[0, 2, 3, 7, 11], [1, 1, 4, 5, 9]]
# The second row's two documents are interleaved: what is summed along a row must not mix them.
DOCUMENTS = [[0, 0, 0, 0, 0], [0, 1, 0, 0, 1]]
LIMIT = 12


def seen(causal: bool) -> Callable[[int, int, int], bool]:
    return lambda b, i, j: DOCUMENTS[b][i] == DOCUMENTS[b][j] and (j <= i or not causal)


def visible(causal: bool) -> Visibility:
    documents = torch.tensor(DOCUMENTS)

    def mask_mod(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (documents[b, i] == documents[b, j]) & ((j <= i) | torch.tensor(not causal))

    b, h, i, j = grids(BATCH, 1, TIME, TIME, torch.device("cpu"))
    return Visibility(mask_mod, mask_mod(b, h, i, j).expand(BATCH, 1, TIME, TIME), causal=False)


def of_table(case: loops.Case, position: float) -> list[Tensor]:
    return list(loops.between(lambda row: case.weights["code.weight"][row], position))


def of_waves(case: loops.Case, position: float) -> list[float]:
    return sinusoidal(position, 6, 10_000.0, "interleaved")


Made = tuple[Callable[[int], e.PositionalEncoding], Callable[[loops.Case], loops.Score]]
CASES: dict[str, Made] = {
    "alibi": (lambda g: e.Alibi(HEADS), lambda case: loops.alibi(case, 1.0)),
    "alibi, steeper ahead": (lambda g: e.Alibi(HEADS, ahead=2.5), lambda case: loops.alibi(case, 2.5)),
    "kerple log": (lambda g: e.KerpleLog(HEADS), loops.biased(loops.kerple_log)),
    "kerple power": (lambda g: e.KerplePower(HEADS), loops.biased(loops.kerple_power)),
    "sandwich": (lambda g: e.Sandwich(HEADS, width=6, dtype=F64), loops.biased(loops.sandwich(6))),
    "fire": (lambda g: e.Fire(HEADS, hidden=5, threshold=4.0), loops.biased(loops.fire(4.0))),
    "mlp": (lambda g: e.MlpBias(HEADS, hidden=5), loops.biased(loops.mlp(True))),
    "mlp, linear": (lambda g: e.MlpBias(HEADS, hidden=5, logarithmic=False), loops.biased(loops.mlp(False))),
    "dape": (lambda g: e.Dape(e.KerpleLog(HEADS), HEADS, hidden=5), loops.biased(loops.dape)),
    "diet rel": (lambda g: e.DietRel(LIMIT, HEADS), loops.biased(loops.diet_rel(LIMIT, False))),
    "diet rel, both ways": (
        lambda g: e.DietRel(LIMIT, HEADS, bidirectional=True), loops.biased(loops.diet_rel(LIMIT, True))
    ),
    "diet abs": (lambda g: e.DietAbs(LIMIT, HEADS, WIDTH, rank=3, key_heads=g), loops.biased(loops.diet_abs(3))),
    "tupe": (lambda g: e.Tupe(e.Learned(LIMIT, 3), HEADS, WIDTH, scale=0.5, key_heads=g),
             content.tupe(of_table, 0.5, None)),
    "tupe, cls": (lambda g: e.Tupe(e.Sinusoidal(6, dtype=F64), HEADS, WIDTH, cls=0, key_heads=g),
                  content.tupe(of_waves, 1.0, 0)),
    "tupe, cls elsewhere": (lambda g: e.Tupe(e.Learned(LIMIT, 3), HEADS, WIDTH, cls=4, key_heads=g),
                            content.tupe(of_table, 1.0, 4)),
    "shaw": (lambda g: e.Shaw(WIDTH, furthest=3), content.shaw(3, False)),
    "shaw, both ways": (lambda g: e.Shaw(WIDTH, furthest=3, bidirectional=True), content.shaw(3, True)),
    "shaw, values": (lambda g: e.Shaw(WIDTH, furthest=3, values=True), content.shaw(3, False)),
    "shaw, values both ways": (
        lambda g: e.Shaw(WIDTH, furthest=3, bidirectional=True, values=True), content.shaw(3, True)
    ),
    "transformer-xl": (lambda g: e.TransformerXL(HEADS, WIDTH, 6, dtype=F64), content.transformer_xl(6)),
    "deberta": (lambda g: e.Deberta(HEADS, WIDTH, 3, span=4), content.deberta(4, None, False)),
    "deberta, as released": (
        lambda g: e.Deberta(HEADS, WIDTH, 3, span=4, released=True), content.deberta(4, None, True)
    ),
    "deberta, buckets": (
        lambda g: e.Deberta(HEADS, WIDTH, 3, span=6, max_distance=12), content.deberta(6, 12, False)
    ),
    "cope": (lambda g: e.Cope(WIDTH, furthest=2), loops.biased(content.cope(2))),
    "distance bank": (lambda g: e.DistanceBank(MODEL, HEADS, profiles=2, extent=4),
                      loops.biased(content.distance_bank(2, 4))),
    "forgetting": (lambda g: e.Forgetting(MODEL, HEADS), loops.biased(content.forgetting)),
    "ssmax": (lambda g: e.ScalableSoftmax(HEADS),
              content.scaled(lambda c, h, p: c.weights["weight"][h] * math.log(p + 1))),
    "temperature": (lambda g: e.LengthTemperature(rate=0.7, every=3.0),
                    content.scaled(lambda c, h, p: 1 + 0.7 * math.log(1 + (p + 1) // 3))),
    "temperature, smooth": (lambda g: e.LengthTemperature(rate=0.7, every=3.0, smooth=True),
                            content.scaled(lambda c, h, p: 1 + 0.7 * math.log(max(1.0, (p + 1) / 3)))),
}  # fmt: skip


def drawn(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=F64).requires_grad_()


def perturbed(encoding: e.PositionalEncoding) -> e.PositionalEncoding:
    generator = torch.Generator().manual_seed(5)
    encoding.reset_parameters(generator)
    with torch.no_grad():
        for parameter in encoding.double().parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=generator, dtype=F64))
    return encoding


@pytest.mark.parametrize("key_heads", [1, HEADS])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize(
    ("name", "step"),
    # Buckets are of whole distances.
    [(name, step) for name in CASES for step in (1, 0.5) if step == 1 or "buckets" not in name],
)
def test_scores(name: str, causal: bool, step: float, key_heads: int) -> None:
    make, by_loops = CASES[name]
    encoding = perturbed(make(key_heads))
    q, k, v = drawn(BATCH, HEADS, TIME, WIDTH, seed=1), *(drawn(BATCH, key_heads, TIME, WIDTH, seed=s) for s in (2, 3))
    x = drawn(BATCH, TIME, MODEL, seed=4)
    where = torch.tensor(POSITIONS) * step
    see = visible(causal)
    turned_q, turned_k = encoding.qk(q, k, where, where)
    notes = encoding.notes(x, where)
    pairs = e.Pairs(turned_q, turned_k, where, where, see.mask_mod, notes, notes, WIDTH**-0.5, q)
    mod = encoding.score_mod(pairs)
    actual = dense(pairs, v, see, mod, encoding.read if encoding.reads_weights else None)
    weights = dict(encoding.named_parameters())
    case = loops.Case(q, k, x, where.tolist(), seen(causal), weights)
    value = content.shaw_value(case, 3, "both" in name) if "values" in name else None
    expected = loops.attention(case, v, by_loops(case), value)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)
    if encoding.additive and not encoding.reads_weights and key_heads == HEADS:
        torch.testing.assert_close(sdpa(pairs, v, see, mod), expected, rtol=1e-9, atol=1e-10)
    wanted = [q, k, v, x, *weights.values()]
    asked = drawn(*expected.shape, seed=6).detach()
    ours, theirs = (
        torch.autograd.grad((out * asked).sum(), wanted, allow_unused=True, materialize_grads=True)
        for out in (actual, expected)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
