"""The tables that are found are those that the model adds: checked against what enters its first layer."""

import pytest
import torch
from support import perturbed
from torch import nn
from xray.architectures import ARCHITECTURES, tiny
from xray.support_sources import refused

import locant
from locant.xray.detect import find_tables
from locant.xray.sources.huggingface import reading_part
from locant.xray.stage import before_first_layer, stack

AVOID = frozenset({0, 1, 2})
PROJECTED = {"electra", "albert"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tables_of_an_architecture(name):
    model, expected = reading_part(tiny(name)), ARCHITECTURES[name][1]
    found = find_tables(model, 60, avoid=AVOID)
    assert found.kind == ("none" if expected is None else "sum")
    assert (None if found.positions is None else len(found.positions)) == expected
    assert found.tokens.shape == (60, 32)
    assert found.interaction < 1e-6
    if expected is None or name in PROJECTED:
        return
    tokens = torch.randint(3, 60, (3, 20), generator=torch.Generator().manual_seed(1))
    module, side = found.where.removesuffix("put").rsplit(" ", 1)
    seen = before_first_layer(model, tokens)
    h = next(s.value for s in seen if (s.module, s.side) == (module, side) and s.value.shape[0] == 3)
    made = found.scaled_tokens()[tokens] + found.positions[:20] + found.constant
    torch.testing.assert_close(made, h, rtol=1e-5, atol=1e-5)


def test_there_are_at_least_twenty():
    assert len(ARCHITECTURES) >= 20


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "opt", "gemma"])
def test_tables_that_the_model_has_are_not_copied(name):
    model = tiny(name)
    found = find_tables(model, 60, avoid=AVOID)
    owned = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    assert found.tokens.untyped_storage().data_ptr() in owned
    if found.positions is not None:
        assert found.positions.untyped_storage().data_ptr() in owned


def test_the_offset_of_opt_and_the_scale_of_gemma():
    model = tiny("opt")
    found = find_tables(model, 60, avoid=AVOID)
    assert torch.equal(found.positions, model.decoder.embed_positions.weight[2:])
    assert find_tables(tiny("gemma"), 60, avoid=AVOID).scale == pytest.approx(32**0.5, rel=1e-6)


@pytest.mark.parametrize("name", sorted(PROJECTED))
def test_projected_tables_differ_from_what_enters_the_layers_by_a_factor_alone(name):
    model = tiny(name)
    found = find_tables(model, 60, avoid=AVOID)
    tokens = torch.randint(3, 60, (3, 20), generator=torch.Generator().manual_seed(1))
    h = before_first_layer(model, tokens)[-1].value
    made = found.tokens[tokens] + found.positions[:20] + found.constant
    linear = model.embeddings_project if name == "electra" else model.encoder.embedding_hidden_mapping_in
    bias = model.embeddings.LayerNorm.bias @ linear.weight.T + linear.bias
    cosine = torch.cosine_similarity(h - bias, made, dim=-1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


@pytest.mark.parametrize(("encoding", "kind", "rows"), [
    ("none", "none", None), ("rotary", "none", None), ("alibi", "none", None), ("beside(learned)", "none", None),
    ("add(learned)", "sum", 40), ("scaled_add(learned)", "sum", 40), ("add(sinusoidal)", "sum", 4096),
    ("concat(learned)", "sum", 40), ("concat_project(learned)", "sum", 40), ("gate(learned)", "mixed", None),
    ("multiply(learned)", "mixed", None),
])  # fmt: skip
def test_tables_of_our_decoder(encoding, kind, rows):
    model = perturbed(locant.decoder(encoding, 32, 4, 2, 40, 50))
    found = find_tables(model, 50)
    assert found.kind == kind
    assert (None if found.positions is None else len(found.positions)) == rows
    if kind != "sum":
        assert found.notes
        return
    tokens, slots = torch.randint(50, (2, 30)), torch.arange(30)
    h = model.encoding.embed(model.tokens(tokens), slots[None])
    made = found.scaled_tokens()[tokens] + found.positions[:30] + found.constant
    torch.testing.assert_close(made, h.detach(), rtol=1e-4, atol=1e-4)


def test_a_product_of_token_and_position_is_no_sum():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(30, 8), nn.Embedding(20, 8)
            self.layers = nn.ModuleList([nn.Linear(8, 8)])

        def forward(self, tokens):
            return self.layers[0](self.tokens(tokens) * self.places(torch.arange(tokens.shape[1])))

    found = find_tables(Product(), 30)
    assert found.kind == "mixed"
    assert found.interaction > 0.1
    assert "not by a sum" in found.notes[0]
    assert refused(found.scaled_tokens).startswith("expected a model with a token table")


def test_a_model_without_layers_is_refused():
    assert refused(stack, nn.Linear(2, 2)) == "expected a model with a list of layers, was: Linear"
    assert refused(find_tables, tiny("bert"), 2).startswith("expected at least 2 tokens")
