"""Combinations of token and position vectors against loops over columns, forward and backward."""

import pytest
import torch
from torch import Tensor, nn

from locant.encodings import Add, Beside, Concat, ConcatProject, Gate, Learned, PositionalEncoding, ScaledAdd

TIME, WIDTH = 3, 4
POSITIONS = torch.tensor([[2, 0, 4]])


def column_by_column(encoding: PositionalEncoding, x: Tensor, p: Tensor) -> Tensor:
    """``x [width]`` and ``p [code width]``, one number at a time."""
    parameters = dict(encoding.named_parameters())
    if isinstance(encoding, Add):
        return torch.stack([x[c] + 1.5 * p[c] for c in range(WIDTH)])
    if isinstance(encoding, ScaledAdd):
        return torch.stack([x[c] + parameters["gain"] * p[c] for c in range(WIDTH)])
    p = 1.5 * p
    both = [*x.unbind(), *p.unbind()]
    if isinstance(encoding, Concat):
        return torch.stack(both)
    w = parameters["weight"]
    if isinstance(encoding, ConcatProject):
        return torch.stack([sum(w[r, c] * both[c] for c in range(len(both))) for r in range(WIDTH)])
    logit = sum(w[c] * both[c] for c in range(len(both))) + parameters["bias"]
    gate = 1 / (1 + torch.exp(-logit))
    return torch.stack([gate * x[c] + (1 - gate) * p[c] for c in range(WIDTH)])


MAKERS = {
    "add": lambda: Add(Learned(5, WIDTH, std=1.0), scale=1.5),
    "scaled_add": lambda: ScaledAdd(Learned(5, WIDTH, std=1.0), initial=0.7),
    "concat": lambda: Concat(Learned(5, 3, std=1.0), scale=1.5),
    "concat_project": lambda: ConcatProject(Learned(5, 3, std=1.0), WIDTH, scale=1.5),
    "gate": lambda: Gate(Learned(5, WIDTH, std=1.0), WIDTH, scale=1.5),
}


@pytest.mark.parametrize("name", MAKERS)
def test_inputs(name: str) -> None:
    encoding = MAKERS[name]().double()
    with torch.no_grad():
        for parameter in encoding.parameters():
            parameter.add_(torch.randn_like(parameter))
    tokens = torch.randn(2, TIME, WIDTH, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, TIME, WIDTH + encoding.extra_width, dtype=torch.float64)
    wanted = [tokens, *encoding.parameters()]
    actual = encoding.embed(tokens, POSITIONS)
    table = dict(encoding.named_parameters())["code.weight"]
    expected = torch.stack(
        [
            torch.stack([column_by_column(encoding, tokens[b, t], table[POSITIONS[0, t]]) for t in range(TIME)])
            for b in range(2)
        ]
    )
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad((actual * weights).sum(), wanted),
        torch.autograd.grad((expected * weights).sum(), wanted),
        rtol=1e-9,
        atol=1e-12,
    )
    assert torch.autograd.gradcheck(lambda t: encoding.embed(t, POSITIONS), (tokens,))


def test_concat_project_starts_from_the_plain_token() -> None:
    encoding = ConcatProject(Learned(5, 3), WIDTH)
    nn.init.zeros_(encoding.code.weight)
    tokens = torch.randn(2, TIME, WIDTH)
    assert torch.equal(encoding.embed(tokens, POSITIONS), tokens)


def test_gate_starts_as_the_mean() -> None:
    encoding = Gate(Learned(5, WIDTH, std=1.0), WIDTH)
    nn.init.zeros_(encoding.weight)
    tokens = torch.randn(1, TIME, WIDTH)
    torch.testing.assert_close(encoding.embed(tokens, POSITIONS), (tokens + encoding.code(POSITIONS)) / 2)


def test_beside_is_the_code() -> None:
    encoding = Beside(Learned(5, 3))
    assert encoding.beside_width == 3
    assert torch.equal(encoding.beside(POSITIONS), encoding.code.weight[POSITIONS])
