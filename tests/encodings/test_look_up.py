"""Looking up and encoding in one pass is looking up, then encoding."""

import pytest
import torch
from support import noise, some_tokens

from locant.encodings import PositionalEncoding, build, contiguous, shifted

EXPRESSIONS = ["none", "add(learned)", "add(sinusoidal, scale=0.5)", "concat(learned, width=3)", "concat(fourier)",
               "concat(sinusoidal, width=4) + add(learned)", "gate(learned)",
               "rotary + concat(learned, width=2) + alibi",
               "concat(sinusoidal, width=4) + concat(learned, width=3)", "add(learned) + add(random)",
               "on_axis(concat(learned), axis=1)"]  # fmt: skip


def made(expression: str) -> PositionalEncoding:
    encoding = build(expression, width=8, heads=2, length=32)
    encoding.reset_parameters(torch.Generator().manual_seed(0))
    return encoding


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_the_lookup_and_then_the_encoding(expression: str, grad: bool, dtype: torch.dtype) -> None:
    encoding, tokens = made(expression).to(dtype), some_tokens(3, 7)
    table = noise(23, 8 - encoding.extra_width).to(dtype).requires_grad_()
    before = table.detach().clone()
    with torch.set_grad_enabled(grad):
        for layout in (contiguous(7), shifted(contiguous(7), torch.tensor([[0], [3], [20]]))):
            expected = encoding.embed(torch.nn.functional.embedding(tokens, table), layout.positions)
            found = encoding.look_up(table, tokens, layout.positions)
            assert found.dtype == expected.dtype
            assert torch.equal(found, expected)
            assert found.requires_grad == grad
    assert torch.equal(table, before)


@torch.no_grad()
def test_it_runs_on_the_meta_device() -> None:
    for expression in ("add(learned)", "concat(learned, width=3)"):
        with torch.device("meta"):
            encoding = build(expression, width=8, heads=2, length=32)
            table, tokens = torch.empty(23, 8 - encoding.extra_width), torch.zeros(3, 7, dtype=torch.long)
            assert encoding.look_up(table, tokens, contiguous(7).positions).shape == (3, 7, 8)


@pytest.mark.parametrize("expression", ["add(learned)", "concat(learned, width=3)"])
@torch.no_grad()
def test_tokens_and_tables_that_do_not_fit_are_refused(expression: str) -> None:
    encoding, where = made(expression), contiguous(2).positions
    table = noise(23, 8 - encoding.extra_width)
    for token in (23, -1):
        with pytest.raises(IndexError):
            encoding.look_up(table, torch.tensor([[token, 0]]), where)
    if not encoding.extra_width:
        with pytest.raises(ValueError, match="expected tokens of 8 columns"):
            encoding.look_up(noise(23, 5), torch.tensor([[1, 0]]), where)
