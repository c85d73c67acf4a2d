"""Whole attention of one layer against a loop over queries, keys and heads, in float64, forward and backward."""

import math
from collections.abc import Callable

import pytest
import torch
from oracle import loops
from torch import Tensor

from locant.encodings import (
    T5,
    Add,
    Alibi,
    Beside,
    Concat,
    Layout,
    Learned,
    PositionalEncoding,
    Rotary,
    Sinusoidal,
)
from locant.model import Decoder

WIDTH, HEADS, TIME = 8, 2, 5
POSITIONS = [0, 2, 3, 7, 11]
F64 = torch.float64
MAKERS: dict[str, Callable[[], PositionalEncoding]] = {
    "none": PositionalEncoding,
    "add": lambda: Add(Sinusoidal(WIDTH, dtype=F64)),
    "concat": lambda: Concat(Learned(12, 3, std=1.0)),
    "beside": lambda: Beside(Learned(12, 3, std=1.0)),
    "rotary": lambda: Rotary(4, base=100.0, dtype=F64),
    "rotary interleaved": lambda: Rotary(4, base=100.0, layout="interleaved", dtype=F64),
    "rotary partial": lambda: Rotary(4, base=100.0, fraction=0.5, dtype=F64),
    "alibi": lambda: Alibi(HEADS),
    "t5": lambda: T5(HEADS, buckets=4, max_distance=6),
}


def turn(name: str) -> Callable[[Tensor, float], Tensor]:
    if not name.startswith("rotary"):
        return lambda vector, position: vector
    columns, layout = 2 if "partial" in name else 4, "interleaved" if "interleaved" in name else "half"
    return lambda vector, position: loops.rotated(vector, position, columns, 100.0, layout)


def bias(name: str, encoding: PositionalEncoding) -> Callable[[int, float], Tensor | float]:
    if isinstance(encoding, Alibi):
        return lambda head, distance: -loops.alibi_slopes(HEADS)[head] * distance
    if isinstance(encoding, T5):
        return lambda head, distance: encoding.weight[loops.t5_bucket(int(-distance), 4, 6, False), head]
    return lambda head, distance: 0.0


def normalised(row: Tensor) -> Tensor:
    """Of the stream: without mean, of unit variance."""
    centred = row - row.sum() / len(row)
    return centred / torch.sqrt((centred * centred).sum() / len(row) + 1e-5)


def scaled(row: Tensor) -> Tensor:
    """Of the columns beside the stream: of unit mean square."""
    return row / torch.sqrt((row * row).sum() / len(row) + torch.finfo(F64).eps)


def by_loops(name: str, model: Decoder, tokens: Tensor) -> Tensor:
    """The logits of one sequence through one block and the tied head, a number at a time where position acts."""
    encoding, block, table = model.encoding, model.blocks[0], model.tokens.weight
    rows = []
    for token, position in zip(tokens.tolist(), POSITIONS, strict=True):
        row = table[token]
        if name == "add":
            row = row + torch.tensor(loops.sinusoidal(position, WIDTH, 10_000.0, "interleaved"), dtype=F64)
        if name == "concat":
            row = torch.cat([row, encoding.code.weight[position]])
        rows.append(row)
    z = None
    if name == "beside":
        z = torch.stack([scaled(encoding.code.weight[position]) for position in POSITIONS])
    weights = dict(block.attention.named_parameters())
    read = torch.stack([normalised(row) * block.attention_norm.weight for row in rows])
    out = loops.attention(read, z, weights, HEADS, [float(p) for p in POSITIONS], turn(name), bias(name, encoding))
    logits = []
    for t in range(TIME):
        row = rows[t] + out[t]
        hidden = block.up.weight @ (normalised(row) * block.mlp_norm.weight)
        if z is not None:
            hidden = hidden + block.up.beside @ z[t]
        row = row + block.down.weight @ (0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))))
        logits.append(table @ (normalised(row[: model.token_width]) * model.norm.weight))
    return torch.stack(logits)


@pytest.mark.parametrize("attention", ["dense", "sdpa"])
@pytest.mark.parametrize("name", MAKERS)
def test_one_layer(name: str, attention: str) -> None:
    model = Decoder(MAKERS[name](), width=WIDTH, heads=HEADS, layers=1, vocabulary=7, hidden=6, attention=attention)
    model = model.double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=F64))
    tokens = torch.tensor([[3, 1, 3, 6, 0]])
    actual = model(tokens, Layout(torch.tensor([POSITIONS])))[0]
    expected = by_loops(name, model, tokens[0])
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)
    weights = torch.randn(expected.shape, generator=generator, dtype=F64)
    wanted = list(model.parameters())
    torch.testing.assert_close(
        torch.autograd.grad((actual * weights).sum(), wanted),
        torch.autograd.grad((expected * weights).sum(), wanted),
        rtol=1e-8,
        atol=1e-9,
    )
