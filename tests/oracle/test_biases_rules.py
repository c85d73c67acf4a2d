"""Encodings of the scores: buckets, precision, the weights that are read, sums with rotations, and refusals."""

from collections.abc import Callable

import pytest
import torch
from oracle import biases_content_loops as content
from support import HEADS, LAYERS, VOCABULARY, WIDTH, differs, named, noise, same, some_tokens
from torch import Tensor

import locant
from locant import encodings as e
from locant.model.attend import BACKENDS, Visibility, dense, grids, sdpa

CPU = torch.device("cpu")


@pytest.mark.parametrize(("buckets", "furthest"), [(256, 512), (32, 128), (8, 33), (6, 12), (4, 9)])
@pytest.mark.parametrize("kind", [torch.long, torch.float32, torch.float64])
def test_deberta_buckets(buckets: int, furthest: int, kind: torch.dtype) -> None:
    distance = torch.arange(-2 * furthest, 2 * furthest + 1)
    found = e.deberta_bucket(distance.to(kind), buckets=buckets, max_distance=furthest)
    assert found.dtype == kind
    expected = [content.deberta_bucket(int(d), buckets, furthest) for d in distance]
    assert found.tolist() == expected


def scores(encoding: e.PositionalEncoding, start: int, dtype: torch.dtype = torch.float32, time: int = 6) -> Tensor:
    """The scores of all pairs of ``time`` tokens from ``start`` on."""
    q, k, x = noise(1, HEADS, time, 8, seed=1).to(dtype), noise(1, HEADS, time, 8, seed=2).to(dtype), noise(1, time, 32)
    where = torch.arange(start, start + time)[None]
    turned = encoding.qk(q, k, where, where)
    notes = encoding.notes(x.to(dtype), where)
    pairs = e.Pairs(*turned, where, where, lambda b, h, i, j: j <= i, notes, notes, 8**-0.5, q)
    mod = encoding.score_mod(pairs)
    product = (turned[0] @ turned[1].mT).float() * 8**-0.5
    grid = grids(1, HEADS, time, time, CPU)
    return (product if mod is None else mod(product, *grid)).tril()


@pytest.mark.parametrize(
    "expression",
    ["kerple_log", "kerple_power", "sandwich", "mlp_bias", "shaw", "deberta(span=8)", "dape(kerple_log)"],
)
@torch.no_grad()
def test_a_million_positions_on_nothing_has_changed(expression: str) -> None:
    encoding = named(expression).make(64)
    same(scores(encoding, 1_000_000), scores(encoding, 0))


@torch.no_grad()
def test_sums_of_gates_are_those_of_near_keys_however_long_the_row() -> None:
    """A difference of two running sums would carry the rounding of the whole row: here up to 0.5 of 1e7."""
    gate, time = e.Forgetting(1, 1), 400
    gate.weight.fill_(1.0)
    gate.offset.zero_()
    x = torch.full((1, time, 1), -30_000.0)
    x[:, -3:] = torch.tensor([0.3, -0.2, 0.1])[:, None]
    notes, where = gate.notes(x, torch.arange(time)[None]), torch.arange(time)[None]
    q = torch.zeros(1, 1, time, 2)
    mod = gate.score_mod(e.Pairs(q, q, where, where, lambda b, h, i, j: j <= i, notes, notes))
    index = [torch.tensor(n) for n in (0, 0, time - 1, time - 3)]
    expected = torch.nn.functional.logsigmoid(torch.tensor([-0.2, 0.1], dtype=torch.float64)).sum()
    torch.testing.assert_close(mod(torch.zeros(()), *index).double(), expected, rtol=1e-6, atol=0)
    totals = notes[0, 0, :, 0].cumsum(0)
    assert abs(float(totals[-1] - totals[-3] - expected)) > 0.1


@torch.no_grad()
def test_a_large_bias_keeps_its_digits_in_fused_attention_of_few_digits() -> None:
    """In bfloat16, 1000 and 1002 are one number; less the row's maximum they are 0 and -2."""
    where, q = torch.tensor([[0, 1, 2000, 2001]]), torch.zeros(1, 2, 4, 8)
    v = noise(1, 2, 4, 8, seed=3)
    see = Visibility(lambda b, h, i, j: j <= i, None, causal=True)

    def mod(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return score + 1000.0 + j + 0.3 * h

    results = []
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        pairs = e.Pairs(q.to(dtype), q.to(dtype), where, where, see.mask_mod)
        results.append(sdpa(pairs, v.to(dtype), see, mod).float())
    for low in results[1:]:
        torch.testing.assert_close(low, results[0], rtol=0, atol=0.02)
    hidden = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    pairs = e.Pairs(q.bfloat16(), q.bfloat16(), where, where, see.mask_mod)
    nothing = sdpa(pairs, v.bfloat16(), Visibility(see.mask_mod, hidden, causal=False), mod)
    assert not nothing.isnan().any()  # a row that sees nothing has no maximum


class Reading(e.PositionalEncoding):
    """Adds what it is told to read, times a factor."""

    reads_weights = True

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def read(self, weights: Tensor, pairs: e.Pairs) -> Tensor:
        return self.factor * weights @ pairs.k


@torch.no_grad()
def test_what_is_read_is_added_by_all_parts_and_before_the_output_is_turned() -> None:
    where = torch.arange(5)[None]
    q, k, v = (noise(1, 2, 5, 4, seed=s) for s in (1, 2, 3))
    see = Visibility(lambda b, h, i, j: j <= i, None, causal=True)
    pairs = e.Pairs(q, k, where, where, see.mask_mod)
    weights = (q @ k.mT).masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf).softmax(-1)
    chain = e.Chain(Reading(2.0), e.Alibi(2), Reading(3.0), e.Shaw(4))
    assert chain.reads_weights
    same(dense(pairs, v, see, None, chain.read), weights @ (v + 5 * k))
    same(dense(pairs, v, see, None, e.OnAxis(chain, 0).read), weights @ (v + 5 * k))
    assert e.PositionalEncoding().read(weights, pairs) is None
    assert e.Shaw(4).read(weights, pairs) is None
    assert e.Chain(e.Alibi(2)).read(weights, pairs) is None


def test_who_reads_weights_gets_attention_that_has_them() -> None:
    def decoder(expression: str, attention: str = "auto") -> str:
        made = locant.decoder(expression, WIDTH, HEADS, LAYERS, 16, VOCABULARY, attention=attention)
        return made.attention

    assert decoder("shaw") == "sdpa"
    for expression in ("shaw(values=True)", "per_layer(none, shaw(values=True))", "shaw(values=True) + alibi"):
        assert decoder(expression) == decoder(expression, "dense") == "dense"
        for attention in ("sdpa", "flex"):
            with pytest.raises(ValueError, match=f"dense for an encoding that reads the weights, was: {attention}"):
                decoder(expression, attention)
    where, q = torch.arange(3)[None], noise(1, 2, 3, 4)
    see = Visibility(lambda b, h, i, j: j <= i, None, causal=True)
    for name in ("sdpa", "flex"):
        with pytest.raises(ValueError, match="expected the attention dense for an encoding that reads the weights"):
            BACKENDS[name](e.Pairs(q, q, where, where, see.mask_mod), q, see, None, Reading(1.0).read)


@pytest.mark.parametrize(
    ("expression", "invariant"),
    [
        ("rotary + shaw(furthest=5)", True),
        ("cope(furthest=5) + rotary", True),
        ("transformer_xl + rotary", True),
        ("rotary + transformer_xl", False),
        ("deberta(span=8) + rotary", False),
        ("rotary + deberta(span=8)", False),
        ("rotary + per_layer(deberta(span=8), none)", False),
        ("rotary + on_axis(deberta(span=8), axis=0)", False),
        ("deberta(span=8) + alibi", True),
        ("deberta(span=8) + transformer_xl", True),
    ],
)
@torch.no_grad()
def test_sums_with_rotations(expression: str, invariant: bool) -> None:
    """A product with vectors of its own is relative only if nothing has rotated what is multiplied."""
    model, tokens = named(expression).model(), some_tokens(2, 9)
    assert model.encoding.shift_invariant == invariant
    near, far = model(tokens), model(tokens, e.contiguous(9, start=40))
    (same if invariant else differs)(far, near)


@torch.no_grad()
def test_without_the_queries_before_rotation_those_after_serve() -> None:
    for encoding in (e.Shaw(8), e.Cope(8), e.Deberta(HEADS, 8, 6)):
        q, k, where = noise(1, HEADS, 5, 8, seed=1), noise(1, HEADS, 5, 8, seed=2), torch.arange(5)[None]
        turned = encoding.qk(q, k, where, where)
        pairs = e.Pairs(*turned, where, where, lambda b, h, i, j: j <= i, content=q)
        grid = grids(1, HEADS, 5, 5, CPU)
        both = [encoding.score_mod(p)(torch.zeros(()), *grid) for p in (pairs, pairs._replace(content=None))]
        same(both[1], both[0])


def test_starts() -> None:
    """Kernels fall with distance from the start, networks begin near no bias, and equal generators draw equally."""
    for make in (e.KerpleLog, e.KerplePower):
        one, other = make(500), make(500)
        for encoding in (one, other):
            encoding.reset_parameters(torch.Generator().manual_seed(3))
        assert all(torch.equal(p, o) for p, o in zip(one.parameters(), other.parameters(), strict=True))
    log, power = e.KerpleLog(4000), e.KerplePower(4000)
    drawn = [log.size.exp(), log.rate.exp(), power.size.exp(), 2 * power.power.sigmoid()]
    drawn = [values.detach() for values in drawn]
    for values, most in zip(drawn, (2, 1, 1, 2), strict=True):
        assert 0.0099 < float(values.min()) < float(values.max()) < most
        assert float(values.mean()) == pytest.approx(most / 2, rel=0.05)
    for expression in ("fire", "mlp_bias"):
        encoding = named(expression).make(64)
        assert float((scores(encoding, 0) - scores(e.PositionalEncoding(), 0)).detach().abs().max()) < 1.0
    assert torch.equal(e.Tupe(e.Learned(4, 4), 2, 2, cls=0).theta, torch.zeros(2, 2))
    assert float(e.Forgetting(4, 2, initial=5.0).offset.detach().min()) == 5.0


def where_negative(encoding: e.PositionalEncoding) -> Callable[[], object]:
    q = noise(1, 2, 3, 4)
    return lambda: encoding.qk(q, q, torch.tensor([[-3, 0, 1]]), torch.tensor([[0, 1, 2]]))


def on_two_axes(encoding: e.PositionalEncoding) -> Callable[[], object]:
    q, where = noise(1, 2, 3, 4), torch.zeros(1, 3, 2)

    def call() -> object:
        turned = encoding.qk(q, q, where, where)
        mod = encoding.score_mod(e.Pairs(*turned, where, where, lambda b, h, i, j: j <= i))
        index = torch.zeros((), dtype=torch.long)
        return mod(torch.zeros(()), index, index, index, index)

    return call


def without_notes(encoding: e.PositionalEncoding) -> Callable[[], object]:
    q, where = noise(1, 2, 3, 4), torch.arange(3)[None]
    return lambda: encoding.score_mod(e.Pairs(q, q, where, where, lambda b, h, i, j: j <= i))


ONE_AXIS = "expected positions [rows, time] on one axis, was: [1, 3, 2]"
NO_BIAS = "expected an encoding that adds to the scores and does nothing else, was: "
REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: e.Alibi(2, ahead=-1.0), "expected a slope towards the future of at least 0, was: -1.0"),
    (lambda: e.KerpleLog(0), "expected at least 1 head, was: 0"),
    (lambda: e.KerplePower(0), "expected at least 1 head, was: 0"),
    (lambda: e.Sandwich(0), "expected at least 1 head, was: 0"),
    (lambda: e.Sandwich(2, width=7), "expected an even width for pairs of waves, was: 7"),
    (lambda: e.DietRel(4, 0), "expected at least 1 head, was: 0"),
    (lambda: e.DietRel(0, 2), "expected a table of at least 1 position, was: 0"),
    (lambda: e.Fire(2, hidden=0), "expected at least 1 hidden unit, was: 0"),
    (lambda: e.Fire(0), "expected at least 1 head, was: 0"),
    (lambda: e.Fire(2, rate=0.0), "expected a rate and a threshold above 0, was: 0.0 and 512.0"),
    (lambda: e.Fire(2, threshold=-1.0), "expected a rate and a threshold above 0, was: 0.1 and -1.0"),
    (lambda: e.MlpBias(2, hidden=0), "expected at least 1 hidden unit, was: 0"),
    (lambda: e.MlpBias(0), "expected at least 1 head, was: 0"),
    (lambda: e.Dape(e.Rotary(4), 2), NO_BIAS + "Rotary"),
    (lambda: e.Dape(e.PositionalEncoding(), 2), NO_BIAS + "PositionalEncoding"),
    (lambda: e.Dape(e.Chain(e.Alibi(2), e.Rotary(4)), 2), NO_BIAS + "Chain"),
    (lambda: e.Dape(e.Shaw(4, values=True), 2), NO_BIAS + "Shaw"),
    (lambda: e.DietAbs(4, 2, 4, rank=0), "expected sizes of at least 1, was: [4, 2, 4, 0, 2]"),
    (lambda: e.Tupe(e.Learned(4, 4), 2, 4, key_heads=0), "expected sizes of at least 1, was: [2, 4, 0]"),
    (lambda: e.Shaw(4, furthest=0), "expected a width and furthest of at least 1, was: 4 and 0"),
    (lambda: e.TransformerXL(2, 4, 5), "positive heads and width, and an even width of the code, was: [2, 4, 5]"),
    (lambda: e.Deberta(2, 4, 4, span=0), "expected sizes of at least 1, was: [2, 4, 4, 0]"),
    (lambda: e.Deberta(2, 4, 4, span=8, max_distance=5), "max_distance - 1 beyond half of it, was: 8 and 5"),
    (lambda: e.Deberta(2, 4, 4, span=2, max_distance=9), "a span of at least 4 and max_distance"),
    (lambda: e.Cope(4, furthest=0), "expected a width and a furthest count of at least 1, was: 4 and 0"),
    (lambda: e.DistanceBank(4, 2, extent=0), "expected sizes of at least 1, was: [4, 2, 16, 0]"),
    (lambda: e.Forgetting(4, 0), "expected a width and heads of at least 1, was: 4 and 0"),
    (lambda: e.ScalableSoftmax(0), "expected at least 1 head, was: 0"),
    (lambda: e.LengthTemperature(every=0.0), "expected steps of more than 0 tokens, was: 0.0"),
    (where_negative(e.ScalableSoftmax(2)), "expected positions of at least 0, was: -3"),
    (where_negative(e.LengthTemperature()), "expected positions of at least 0, was: -3"),
    (where_negative(e.DietAbs(4, 2, 4)), "expected positions of at least 0, was: -3"),
    (without_notes(e.DistanceBank(4, 2)), "expected the notes of the queries, was: none"),
    (without_notes(e.Forgetting(4, 2)), "expected the notes of the keys, was: none"),
    *((on_two_axes(made), ONE_AXIS) for made in (
        e.Sandwich(2), e.Fire(2), e.MlpBias(2), e.KerpleLog(2), e.Shaw(4), e.TransformerXL(2, 4, 4), e.DietRel(4, 2),
        e.DietAbs(4, 2, 4), e.Deberta(2, 4, 4), e.ScalableSoftmax(2),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[f"{n} {text[9:40]}" for n, (_, text) in enumerate(REFUSED)])
def test_refusal(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        call()
    assert message in str(caught.value)
