"""Attention with any encoding as one call is what the hooks give when they are called one by one."""

import pytest
import torch
from support import noise, refusal, same

from locant.encodings import Pairs, build, contiguous, native, packed
from locant.model import causal_attention
from locant.model.attend import dense, visibility

EXPRESSIONS = ["none", "rotary", "alibi", "t5", "fire", "rotary + t5", "shaw(furthest=4)", "decoupled(learned)",
               "rotary_values", "forgetting", "cope"]  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("way", native.WAYS)
def test_it_is_what_the_hooks_give(expression: str, packing: bool, way: str) -> None:
    encoding = build(expression, width=32, heads=4, length=64)
    layout = packed([[20, 25]]) if packing else contiguous(45)
    positions, documents = layout.positions, layout.documents if packing else None
    q, k, v = noise(2, 45, 3, 4, 8).permute(2, 0, 3, 1, 4)
    x = noise(2, 45, 32, seed=1)
    see = visibility(45, 45, documents, documents, x.device)
    turned_q, turned_k = encoding.qk(q, k, positions, positions)
    notes = encoding.notes(x, positions)
    pairs = Pairs(turned_q, turned_k, positions, positions, see.mask_mod, notes, notes, 8**-0.5, q)
    read = encoding.read if encoding.reads_weights else None
    out = dense(pairs, encoding.values(v, positions), see, encoding.score_mod(pairs), read)
    with native.kernels(way):
        found = causal_attention(encoding, q, k, v, positions, documents=documents, x=x)
    same(found, encoding.output(out, positions))


def test_scale_and_attention_can_be_given() -> None:
    encoding, where = build("alibi", width=32, heads=4), contiguous(40).positions
    q, k, v = noise(3, 1, 4, 40, 8)
    one = causal_attention(encoding, q, k, v, where, scale=0.7)
    same(one, causal_attention(encoding, q, k, v, where, scale=0.7, attention="dense"))
    assert not torch.allclose(one, causal_attention(encoding, q, k, v, where), atol=1e-2)
    told = refusal(lambda: causal_attention(encoding, q, k, v, where, attention="flash"))
    assert told.startswith("expected the attention auto")


def test_notes_need_the_input_of_the_layer() -> None:
    encoding, where = build("forgetting", width=32, heads=4), contiguous(5).positions
    q, k, v = noise(3, 1, 4, 5, 8)
    told = refusal(lambda: causal_attention(encoding, q, k, v, where))
    assert told == "expected x, the input of the layer, for an encoding that makes notes of it, was: none"
