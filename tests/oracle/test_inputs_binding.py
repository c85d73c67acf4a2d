"""Multiplied, bound, mixed, matched and injected positions against loops over columns, forward and backward."""

import math

import pytest
import torch
from torch import Tensor, nn

from locant.encodings import (
    Add,
    Bind,
    Concat,
    ConcatMlp,
    Inject,
    Learned,
    MatchedAdd,
    Mix,
    Multiply,
    PositionalEncoding,
    bind,
    build,
    unbind,
)

F64 = torch.float64
TIME, WIDTH, COLUMNS = 3, 5, 2
POSITIONS = torch.tensor([[2, 0, 4]])


def one_token(encoding: PositionalEncoding, x: Tensor, p: Tensor) -> Tensor:
    """One number at a time; ``x [width]`` and ``p [code width]``."""
    n = len(x)
    if isinstance(encoding, Multiply):
        return torch.stack([1.5 * p[c] * x[c] for c in range(n)])
    if isinstance(encoding, Bind):
        return torch.stack([1.5 * sum(x[d] * p[(c - d) % n] for d in range(n)) for c in range(n)])
    if isinstance(encoding, Inject):
        return torch.stack([x[c] + 1.5 * p[c] for c in range(n)])
    if isinstance(encoding, MatchedAdd):
        ratio = torch.sqrt(sum(v * v for v in x) / n) / torch.sqrt(sum(v * v for v in p) / n)
        return torch.stack([x[c] + 1.5 * ratio * p[c] for c in range(n)])
    both, weights = [*x, *(1.5 * p)], dict(encoding.named_parameters())
    if isinstance(encoding, ConcatMlp):
        hidden = []
        for row, offset in zip(weights["up"], weights["up_bias"], strict=True):
            hidden.append((sum(w * v for w, v in zip(row, both, strict=True)) + offset).clamp_min(0))
        outs = zip(weights["down"], weights["down_bias"], strict=True)
        return torch.stack([sum(w * v for w, v in zip(row, hidden, strict=True)) + offset for row, offset in outs])
    weight = weights["weight"]
    return torch.stack([sum(row[c] * both[c] for c in range(len(both))) for row in weight])


MAKERS = {
    "multiply": lambda: Multiply(Learned(5, WIDTH, std=1.0), scale=1.5),
    "bind": lambda: Bind(Learned(5, WIDTH, std=1.0), scale=1.5),
    "inject": lambda: Inject(Learned(5, WIDTH, std=1.0), scale=1.5),
    "matched_add": lambda: MatchedAdd(Learned(5, WIDTH, std=1.0), scale=1.5),
    "concat_mlp": lambda: ConcatMlp(Learned(5, COLUMNS, std=1.0), WIDTH, hidden=3, scale=1.5),
    "mix from add": lambda: Mix(Learned(5, WIDTH, std=1.0), WIDTH, scale=1.5),
    "mix from concat": lambda: Mix(Learned(5, COLUMNS, std=1.0), WIDTH + COLUMNS, start="concat", scale=1.5),
}


@pytest.mark.parametrize("name", MAKERS)
def test_inputs(name: str) -> None:
    encoding, generator = MAKERS[name]().double(), torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in encoding.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=F64))
    tokens = torch.randn(2, TIME, WIDTH, generator=generator, dtype=F64).requires_grad_()
    weights = torch.randn(2, TIME, WIDTH + encoding.extra_width, generator=generator, dtype=F64)
    hook = encoding.enter if name == "inject" else encoding.embed
    actual, table = hook(tokens, POSITIONS), dict(encoding.named_parameters())["code.weight"]
    rows = [[one_token(encoding, tokens[b, t], table[POSITIONS[0, t]]) for t in range(TIME)] for b in range(2)]
    expected = torch.stack([torch.stack(row) for row in rows])
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    wanted = [tokens, *encoding.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad((actual * weights).sum(), wanted),
        torch.autograd.grad((expected * weights).sum(), wanted),
        rtol=1e-9,
        atol=1e-12,
    )
    assert torch.autograd.gradcheck(lambda t: hook(t, POSITIONS), (tokens,))


def test_a_binding_is_undone_exactly_by_vectors_of_flat_spectrum_and_roughly_by_random_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 50, 256, generator=generator, dtype=F64)
    flat = torch.fft.irfft(torch.polar(torch.ones(50, 129, dtype=F64), torch.fft.rfft(y).angle()), n=256)
    torch.testing.assert_close(unbind(bind(x, flat), flat), x, rtol=1e-9, atol=1e-12)
    y = y / 16  # variance 1 / width
    assert float(bind(x, y).square().mean()) == pytest.approx(1.0, rel=0.05)
    spectrum = torch.fft.rfft(y).abs().square()
    torch.testing.assert_close(unbind(bind(x, y), y), torch.fft.irfft(torch.fft.rfft(x) * spectrum, n=256))
    assert float((unbind(bind(x, y), y) - x).square().mean()) == pytest.approx(1.0, rel=0.15), "noise as large as x"
    loops = [sum(x[0, d] * y[0, (d - c) % 256] for d in range(256)) for c in range(256)]
    torch.testing.assert_close(unbind(x, y)[0], torch.stack(loops))


@pytest.mark.parametrize("width", [8, 9])
def test_binding_commutes_and_has_a_neutral_vector(width: int) -> None:
    x, y = torch.randn(2, 4, width, generator=torch.Generator().manual_seed(1), dtype=F64)
    torch.testing.assert_close(bind(x, y), bind(y, x))
    torch.testing.assert_close(bind(x, torch.eye(width, dtype=F64)[:1]), x)
    assert bind(x.bfloat16(), y.bfloat16()).dtype == torch.float32


def test_mix_starts_at_add_and_at_concat_and_tells_how_far_it_went() -> None:
    tokens, code = torch.randn(2, TIME, WIDTH, generator=torch.Generator().manual_seed(2)), Learned(5, WIDTH, std=1.0)
    mix = Mix(code, WIDTH, scale=0.5)
    torch.testing.assert_close(mix.embed(tokens, POSITIONS), Add(code, scale=0.5).embed(tokens, POSITIONS))
    assert mix.moved() == 0.0
    with torch.no_grad():
        mix.weight[0, 0] += 3.0
    assert mix.moved() == pytest.approx(3 / math.sqrt(2 * WIDTH))
    mix.reset_parameters()
    assert mix.moved() == 0.0
    columns = Learned(5, COLUMNS)
    wide = Mix(columns, WIDTH + COLUMNS, start="concat", scale=0.5)
    assert wide.extra_width == COLUMNS
    torch.testing.assert_close(wide.embed(tokens, POSITIONS), Concat(columns, scale=0.5).embed(tokens, POSITIONS))
    with torch.no_grad():
        wide.weight.mul_(2.0)
    assert wide.moved() == pytest.approx(1.0)


def test_matched_positions_keep_their_share_and_zeros_stay_finite() -> None:
    generator = torch.Generator().manual_seed(3)
    code = Learned(5, WIDTH, std=0.001)
    encoding = MatchedAdd(code, scale=0.25)
    for size in (1e-3, 1.0, 1e4):
        tokens = size * torch.randn(1, TIME, WIDTH, generator=generator, dtype=F64)
        added = encoding.embed(tokens, POSITIONS).detach() - tokens
        torch.testing.assert_close(added.norm(dim=-1), 0.25 * tokens.norm(dim=-1), rtol=1e-3, atol=0)
    nothing = torch.zeros(1, TIME, WIDTH, requires_grad=True)
    encoding.embed(nothing, POSITIONS).sum().backward()
    assert nothing.grad is not None
    assert nothing.grad.isfinite().all()
    nn.init.zeros_(code.weight)
    assert torch.equal(encoding.embed(tokens, POSITIONS), tokens)


def test_starts_keep_the_size_of_tokens() -> None:
    sizes = {"width": 256, "heads": 2, "length": 512}
    tokens = torch.randn(1, 512, 256, generator=torch.Generator().manual_seed(5)) / 16
    for name in ("multiply", "bind", "concat_mlp"):
        out = build(f"{name}(random)", **sizes).embed(tokens, torch.arange(512)[None])
        assert float(out.detach().square().mean().sqrt()) == pytest.approx(1 / 16, rel=0.1)
    stream = build("inject(random)", **sizes).enter(torch.zeros(1, 512, 256), torch.arange(512)[None])
    assert float(stream.square().mean().sqrt()) == pytest.approx(1 / 16, rel=0.05)


def test_tables_of_their_own_for_layers() -> None:
    sizes = {"width": 16, "heads": 2, "layers": 3, "length": 7}
    for name in ("beside(learned, width=6", "inject(learned"):
        shared, own = build(f"{name})", **sizes), build(f"{name}, per_layer=True)", **sizes)
        assert shared.layer(0) is shared.layer(2)
        tables = [own.layer(index).code.weight for index in range(3)]
        assert len({id(table) for table in tables}) == 3
        assert not torch.equal(tables[0], tables[1])
        assert sum(p.numel() for p in own.parameters()) == 3 * sum(p.numel() for p in shared.parameters())
        assert own.limit == 7
    for code in ("sinusoidal", "random"):
        message = f"expected a code that is learned for per_layer=True, was: {code.capitalize()}"
        with pytest.raises(ValueError, match=message):
            build(f"beside({code}, per_layer=True)", **sizes)


def test_what_is_refused() -> None:
    tokens = torch.zeros(1, TIME, WIDTH + 1)
    for name in ("multiply", "bind", "concat_mlp", "matched_add", "mix from add", "mix from concat"):
        with pytest.raises(ValueError, match=f"expected tokens of {WIDTH} columns .*, was: {WIDTH + 1}"):
            MAKERS[name]().embed(tokens, POSITIONS)
    with pytest.raises(ValueError, match=f"expected tokens of {WIDTH} columns .*, was: {WIDTH + 1}"):
        MAKERS["inject"]().enter(tokens, POSITIONS)
    with pytest.raises(ValueError, match="expected the start add or concat, was: sum"):
        Mix(Learned(5, WIDTH), WIDTH, start="sum")
    with pytest.raises(ValueError, match=r"expected a code as wide as the tokens \(5\), was: 2"):
        Mix(Learned(5, COLUMNS), WIDTH)
    with pytest.raises(ValueError, match="expected fewer position columns than the width 5, was: 5"):
        Mix(Learned(5, WIDTH), WIDTH, start="concat")
    with pytest.raises(ValueError, match="expected at least 1 hidden unit, was: 0"):
        ConcatMlp(Learned(5, WIDTH), WIDTH, hidden=0)
    with pytest.raises(ValueError, match="expected width of mix only with start=concat, was: 4"):
        build("mix(learned, width=4)", width=8, heads=2, length=5)
