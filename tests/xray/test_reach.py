"""What can be reached in models of many makes: layers, readers, states and logits, against the models' own numbers."""

import pytest
import torch
import transformers
from support import perturbed
from torch.nn import functional as F

import locant
from locant.xray.reach import Reach, reach_model

V, T = 60, 14
COMMON = {
    "vocab_size": V, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GROUPED = COMMON | {"num_key_value_heads": 2}
ENDS = {"vocab_size": V, "bos_token_id": 1, "eos_token_id": 2}
SMALL = ENDS | {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 64}
DEBERTA = COMMON | {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["c2p", "p2c"],
                    "type_vocab_size": 0}  # fmt: skip
FALCON = ENDS | {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
# model type: configuration, route, causal, takes positions
MODELS: dict[str, tuple[dict, str, bool, bool]] = {
    "gpt2": (SMALL, "interface", True, True),
    "bert": (COMMON, "interface", False, True),
    "roberta": (COMMON | {"pad_token_id": 1}, "interface", False, True),
    "albert": (COMMON | {"embedding_size": 16, "num_hidden_layers": 3}, "interface", False, True),
    "llama": (GROUPED, "interface", True, True),
    "gemma": (GROUPED | {"head_dim": 8}, "interface", True, True),
    "gemma2": (GROUPED | {"head_dim": 8, "query_pre_attn_scalar": 8}, "interface", True, True),
    "gpt_oss": (GROUPED | {"head_dim": 8, "num_local_experts": 4}, "interface", True, True),
    "gpt_neox": (COMMON, "interface", True, True),
    "phi3": (GROUPED, "interface", True, True),
    "modernbert": (COMMON | {"cls_token_id": 1, "sep_token_id": 2}, "interface", False, True),
    "opt": (COMMON | {"ffn_dim": 64, "word_embed_proj_dim": 32}, "interface", True, True),
    "t5": ({"vocab_size": V, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}, "interface",
           False, False),
    "bloom": (ENDS | {"hidden_size": 32, "n_head": 4, "n_layer": 2}, "eager", True, False),
    "mpt": (ENDS | {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64, "expansion_ratio": 2}, "eager", True,
            False),
    "falcon": (FALCON, "eager", True, True),
    "deberta-v2": (DEBERTA, "eager", False, True),
    "deberta": (DEBERTA, "eager", False, True),
    "gptj": (SMALL | {"rotary_dim": 4}, "eager", True, True),
    "mpnet": (COMMON, "eager", False, True),
}  # fmt: skip


def made(name: str) -> transformers.PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(name, **MODELS[name][0]))
    return perturbed(model, size=0.1)


def some(rows: int = 4) -> torch.Tensor:
    return torch.randint(3, V, (rows, T), generator=torch.Generator().manual_seed(0))


def captured(reach: Reach, *names: str, rows: int = 4, **options: object) -> dict[tuple[str, int], torch.Tensor]:
    """All captures, the batches put together again."""
    found: dict[tuple[str, int], list[torch.Tensor]] = {}
    reach.run(some(rows), lambda name, layer, x, at: found.setdefault((name, layer), []).append(x), capture=names,
              batch=3, **options)  # fmt: skip
    return {key: torch.cat(parts) for key, parts in found.items()}


@pytest.mark.parametrize("name", MODELS)
def test_models_of_many_makes(name: str) -> None:
    _, route, causal, takes_positions = MODELS[name]
    model = made(name)
    implementation = model.config._attn_implementation
    reach = reach_model(model)
    assert (reach.route, reach.causal, reach.takes_positions) == (route, causal, takes_positions)
    found = captured(reach, "raw", "normed", "logits")
    layers = 3 if name == "albert" else 2
    assert reach.layers == layers
    assert {key for key in found if key[0] == "raw"} == {("raw", layer) for layer in range(layers + 1)}
    assert found["normed", layers - 1].shape == (4, T, 32)
    assert found["logits", 0].shape == (4, 4, T, T)
    assert [reader.name for reader in reach.readers(1)][:3] == ["q", "k", "v"]
    assert model.config._attn_implementation == implementation


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama", "gemma2", "gpt_oss", "t5", "albert", "opt", "roberta"])
def test_the_interface_sees_the_weights_that_the_model_writes_out(name: str) -> None:
    model = made(name)
    reach = reach_model(model)
    found = captured(reach, "logits")
    base = model.get_encoder() if model.config.is_encoder_decoder else model
    base.set_attn_implementation("eager")
    with torch.no_grad():
        weights = base(input_ids=some(), attention_mask=torch.ones(4, T), output_attentions=True).attentions
    for layer, expected in enumerate(weights):
        actual = found["logits", layer].softmax(-1)  # sinks take a part of each row
        torch.testing.assert_close(actual, expected / expected.sum(-1, keepdim=True), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "bloom", "mpt", "gpt_neox", "bert", "llama", "phi3"])
def test_readers_by_heads_give_the_logits(name: str) -> None:
    """At equal positions no rotation tells tokens apart: then logits are products of the heads that were found."""
    reach = reach_model(made(name))
    same_place = torch.zeros(T, dtype=torch.long) if reach.takes_positions else None
    found = captured(reach, "normed", "logits", positions=same_place)
    x = found["normed", 1]
    q, k = (reader for reader in reach.readers(1) if reader.name in "qk")

    def projected(reader, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, reader.weight(), reader.bias())[..., reader.heads].permute(0, 2, 1, 3)

    keys = projected(k, x)
    scores = projected(q, x) @ keys.repeat_interleave(4 // keys.shape[1], 1).transpose(-1, -2) * 8**-0.5
    logits, last = found["logits", 1], slice(T - 1, T)
    change = (scores[1:] - scores[:1])[:, :, last]  # what ALiBi adds is the same in all texts
    expected = (logits[1:] - logits[:1])[:, :, last]
    torch.testing.assert_close(change - change.mean(-1, keepdim=True), expected - expected.mean(-1, keepdim=True),
                               rtol=1e-3, atol=1e-4)  # fmt: skip


@pytest.mark.parametrize("name", ["gpt2", "roberta", "opt", "llama", "bert"])
def test_positions_count_from_0_whatever_the_model_calls_them(name: str) -> None:
    reach = reach_model(made(name))
    assert reach.first == (2 if name == "roberta" else 0)
    told = captured(reach, "raw", positions=torch.arange(T))
    untold = captured(reach, "raw")
    moved = captured(reach, "raw", positions=torch.arange(T) + 3)
    torch.testing.assert_close(told["raw", 2], untold["raw", 2])
    assert bool((moved["raw", 0] - told["raw", 0]).abs().max() > 1e-3) == (name != "llama")


def test_a_map_that_is_used_twice_in_a_layer() -> None:
    """DeBERTa may project its distances with the queries' and keys' maps: what counts is the first use."""
    config = transformers.DebertaV2Config(**DEBERTA, share_att_key=True, position_buckets=T)
    found = captured(reach_model(transformers.DebertaV2Model(config)), "normed", rows=3)
    assert {key: tuple(x.shape) for key, x in found.items()} == {("normed", at): (3, T, 32) for at in (0, 1)}


def test_jumps_in_positions_do_not_split_a_text() -> None:
    """Without a mask, transformers takes a jump for the start of another document, which sees nothing before it."""
    reach = reach_model(made("llama"))
    positions = torch.arange(T) + 5
    positions[0] = 0
    logits = captured(reach, "logits", positions=positions)["logits", 0]
    assert torch.equal(logits[0, 0] > -torch.inf, torch.ones(T, T, dtype=torch.bool).tril())


@pytest.mark.parametrize("expression", ["add(learned)", "beside(learned, width=8)", "rotary", "alibi", "cope"])
def test_our_decoders(expression: str) -> None:
    model = perturbed(locant.decoder(expression, width=32, heads=4, layers=2, length=64, vocabulary=V))
    reach = reach_model(model)
    plain = model(some())
    found = captured(reach, "raw", "normed", "mlp", "neurons", "logits")
    assert torch.equal(model(some()), plain)  # nothing stays behind
    last = found["raw", 2]
    torch.testing.assert_close(F.linear(model.norm(last), model.tokens.weight), plain)
    hidden = F.gelu(F.linear(found["mlp", 0], reach.readers(0)[3].weight()))
    torch.testing.assert_close(hidden, found["neurons", 0])
    heads = reach.readers(1)[2].heads
    values = F.linear(found["normed", 1], reach.readers(1)[2].weight())[..., heads].permute(0, 2, 1, 3)
    merged = (found["logits", 1].softmax(-1) @ values).transpose(1, 2).flatten(2)
    block = model.blocks[1]
    after = found["raw", 1] + block.attention.out(merged)
    torch.testing.assert_close(block.mlp_norm(after), found["mlp", 1][..., :32], rtol=1e-4, atol=1e-4)
    assert reach.sites[1].hooks()["logits"] == "blocks.1.attn.hook_attn_scores | blocks.1.attention"


def test_what_cannot_be_reached_is_refused() -> None:
    mamba = transformers.MambaModel(transformers.MambaConfig(vocab_size=V, hidden_size=16, num_hidden_layers=2))
    with pytest.raises(ValueError, match="expected a model whose attention can be reached, was: MambaModel"):
        reach_model(mamba)
    with pytest.raises(ValueError, match="expected a transformers model or a locant decoder, was: Linear"):
        reach_model(torch.nn.Linear(2, 2))


def test_bad_input_has_one_clear_line() -> None:
    reach = reach_model(made("gpt2"))
    nothing = lambda name, layer, x, rows: None  # noqa: E731
    with pytest.raises(ValueError, match="expected captures among raw, normed, mlp, neurons, logits, was: norm"):
        reach.run(some(), nothing, capture=("norm",))
    with pytest.raises(ValueError, match="expected tokens from 0 to 59, was: 60"):
        reach.run(torch.full((1, 3), 60), nothing)
    with pytest.raises(ValueError, match="expected 14 positions"):
        reach.run(some(), nothing, positions=torch.arange(3))
    with pytest.raises(ValueError, match="expected positions within the model's table, was: 73"):
        reach.run(some(), nothing, positions=torch.arange(T) + 60)
    with pytest.raises(ValueError, match="expected no positions for a model that takes none"):
        reach_model(made("bloom")).run(some(), nothing, positions=torch.arange(T))
    broken = made("gpt2")
    reach = reach_model(broken)
    broken.h[1].ln_1.weight.data[0] = torch.nan
    with pytest.raises(ValueError, match="expected finite hidden states, was: NaN or infinity in normed of layer 1"):
        reach.run(some(), nothing)
