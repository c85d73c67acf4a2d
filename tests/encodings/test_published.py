"""Encodings from configurations of published models, without the packages that the models come from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peers.published_configs import CONFIGS

from locant.encodings import Add, Alibi, Chain, PerLayer, PositionalEncoding, Rotary, frequencies, scaling
from locant.encodings.published import QueryScale, from_config
from locant.encodings.rotary_parameters import rotary_from_parameters
from locant.encodings.temperature import LengthTemperature


def table(encoding: PositionalEncoding) -> torch.Tensor:
    assert isinstance(encoding, Rotary)
    return encoding.frequencies()


def equal(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert torch.equal(found, expected.float())


def changed(name: str, **options: Any) -> dict[str, Any]:
    return {**CONFIGS[name], **options}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_layer_of_a_published_model_runs(name: str) -> None:
    given = CONFIGS[name]
    encoding = from_config(given, length=4096)
    latent = given.get("qk_nope_head_dim", 0) + given.get("qk_rope_head_dim", 0)
    positions = torch.tensor([[0, 5, 4095]])
    for layer in range(given["num_hidden_layers"]):
        part, width = (
            encoding.layer(layer),
            latent or given.get("head_dim", given["hidden_size"] // given["num_attention_heads"]),
        )
        if name == "Gemma 4 26B" and layer % 6 == 5:
            width = 512
        q = torch.randn(1, 2, 3, width, generator=torch.Generator().manual_seed(0))
        turned, _ = part.qk(q, q, positions, positions)
        assert turned.shape == q.shape
        assert turned.isfinite().all()
    assert from_config(given, length=4096).state_dict() == {}


def test_a_file_a_dictionary_and_a_part_for_text_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIGS["Llama 3.1 8B"]))
    expected = scaling.llama3(64, 8.0, 8192)
    for given in (path, str(path), CONFIGS["Llama 3.1 8B"]):
        equal(table(from_config(given)), expected)
    inside = {"model_type": "gemma3", "text_config": CONFIGS["Gemma 3 12B"], "vision_config": {}}
    equal(table(from_config(inside).layer(0)), frequencies.geometric(128, 1e4))


def test_layers_without_rotation() -> None:
    """In ``no_rope_layers`` a 1 is a layer with rotation; Command R rotates under sliding windows only."""
    for name in ("SmolLM3 3B", "Command R7B", "EXAONE 4 32B", "Llama 4 Scout"):
        encoding = from_config(CONFIGS[name])
        assert isinstance(encoding, PerLayer)
        kinds = [type(encoding.layer(layer)) for layer in range(8)]
        plain = LengthTemperature if "Llama" in name else PositionalEncoding
        assert kinds == [Rotary, Rotary, Rotary, plain] * 2
    assert type(from_config(changed("Llama 4 Scout", attn_temperature_tuning=False)).layer(3)) is PositionalEncoding
    assert isinstance(from_config(changed("SmolLM3 3B", no_rope_layers=[1] * 36)), Rotary)
    everywhere = changed("EXAONE 4 32B", sliding_window=None, layer_types=["full_attention"] * 64)
    assert isinstance(from_config(everywhere), Rotary)
    odd = from_config(changed("SmolLM3 3B", no_rope_layers=None, no_rope_layer_interval=3))
    assert [isinstance(odd.layer(layer), Rotary) for layer in range(6)] == [True, True, False] * 2


def test_two_bases() -> None:
    gemma3 = from_config(CONFIGS["Gemma 3 12B"])
    assert len(gemma3.cycle) == 48
    for layer in (0, 4, 6):
        equal(table(gemma3.layer(layer)), frequencies.geometric(128, 1e4))
    for layer in (5, 11, 47):
        equal(table(gemma3.layer(layer)), frequencies.geometric(128, 1e6) / 8)
    gemma4 = from_config(CONFIGS["Gemma 4 26B"])
    equal(table(gemma4.layer(0)), frequencies.geometric(128, 1e4))
    equal(table(gemma4.layer(5)), frequencies.partly_zero(256, 0.25, 1e6))
    olmo3 = from_config(CONFIGS["OLMo 3 7B"])
    equal(table(olmo3.layer(0)), frequencies.geometric(64, 5e5))
    equal(table(olmo3.layer(3)), scaling.yarn(64, 8.0, 8192, 5e5))
    assert (olmo3.layer(0).attention_factor, olmo3.layer(3).attention_factor) == (1.0, 1.2079441541679836)
    modern = from_config(CONFIGS["ModernBERT base"])
    equal(table(modern.layer(0)), frequencies.geometric(32, 160_000.0))
    equal(table(modern.layer(1)), frequencies.geometric(32, 1e4))


def test_what_a_configuration_leaves_out_is_what_its_model_has() -> None:
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 6}
    gpt_oss = from_config({"model_type": "gpt_oss", **sizes})
    equal(table(gpt_oss), scaling.yarn(32, 32.0, 4096, 150_000.0, truncate=False))
    equal(table(from_config({"model_type": "llama", **sizes})), frequencies.geometric(8))
    equal(table(from_config({"model_type": "stablelm", **sizes})), frequencies.geometric(2))
    equal(table(from_config({"model_type": "qwen3", **sizes})), frequencies.geometric(64))
    equal(table(from_config({"model_type": "gemma4_text", **sizes}).layer(5)), frequencies.partly_zero(256, 0.25, 1e6))
    equal(table(from_config({"model_type": "ministral3", **sizes}).parts[0]), scaling.yarn(64, 16.0, 16_384, 1e6))


def test_parts_of_latent_attention() -> None:
    deepseek = from_config(CONFIGS["DeepSeek-V3"])
    assert isinstance(deepseek, Chain)
    rotary, scale = deepseek.parts
    assert (rotary.side, rotary.layout, rotary.attention_factor) == ("last", "interleaved", 1.0)
    assert isinstance(scale, QueryScale)
    assert scale.factor == pytest.approx(1.8738, rel=1e-4)  # (0.1 ln 40 + 1)^2
    half = from_config(changed("DeepSeek-V3", rope_interleave=False))
    assert half.parts[0].layout == "half"
    plain = from_config(changed("DeepSeek-V3", rope_scaling=None))
    assert isinstance(plain, Rotary)
    equal(table(plain), frequencies.geometric(32))


def test_lengths() -> None:
    phi4 = CONFIGS["Phi-4 mini"]
    factors = phi4["rope_scaling"]["long_factor"]
    equal(table(from_config(phi4, length=4096)), frequencies.geometric(48))
    equal(table(from_config(phi4, length=4097)), frequencies.geometric(48) / torch.tensor(factors, dtype=torch.float64))
    early = changed("Phi-4 mini", rope_scaling={**phi4["rope_scaling"], "type": "su"})
    equal(table(from_config(early, length=4096)), frequencies.geometric(48))
    earlier = changed("Phi-4 mini", rope_scaling={**phi4["rope_scaling"], "type": "yarn"})
    equal(table(from_config(earlier, length=4096)), frequencies.geometric(48))


def test_models_without_rotation() -> None:
    gpt2 = from_config({"model_type": "gpt2", "n_positions": 20, "n_embd": 8})
    assert isinstance(gpt2, Add)
    assert gpt2.code.weight.shape == (20, 8)
    bert = from_config({"model_type": "bert", "max_position_embeddings": 30, "hidden_size": 8})
    assert isinstance(bert, Add)
    assert bert.limit == 30
    for given in (
        {"model_type": "bloom", "n_head": 6},
        {"model_type": "mpt", "n_heads": 6, "attn_config": {"alibi": True}},
    ):
        alibi = from_config(given)
        assert isinstance(alibi, Alibi)
        assert alibi.slopes().shape == (6,)


def test_precision_on_request() -> None:
    assert from_config(CONFIGS["Llama 3.1 8B"], dtype=torch.float64).frequencies().dtype == torch.float64


def test_rope_parameters_alone() -> None:
    made = rotary_from_parameters({"rope_type": "linear", "factor": 4.0, "rope_theta": 100.0}, 8, layout="interleaved")
    equal(table(made), frequencies.geometric(4, 100.0) / 4)
    assert made.layout == "interleaved"
    sections = {"rope_type": "default", "mrope_section": [1, 1, 2]}
    assert table(rotary_from_parameters(sections, 8)).shape == (3, 4)
    yarn = {
        "rope_type": "yarn",
        "factor": None,
        "original_max_position_embeddings": 64,
        "mscale": 2,
        "mscale_all_dim": 1,
    }
    made = rotary_from_parameters(yarn, 8, longest=256)
    equal(table(made), scaling.yarn(4, 4.0, 64))
    assert made.attention_factor == scaling.yarn_attention_factor(4.0, mscale=2.0, mscale_all=1.0)
    given = rotary_from_parameters({**yarn, "attention_factor": 1.5}, 8, longest=256)
    assert given.attention_factor == 1.5


def rope(**parameters: Any) -> dict[str, Any]:
    return {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 1,
            "rope_scaling": parameters}  # fmt: skip


CASES: list[tuple[Callable[[], object], str]] = [
    (lambda: from_config({"model_type": "rwkv"}), "was: 'rwkv'"),
    (lambda: from_config({}), "expected a model type among apertus, bert, bloom"),
    (lambda: from_config({"model_type": "mistral_large4", "num_hidden_layers": 1}), "was: 'mistral_large4'"),
    (
        lambda: from_config(rope(rope_type="spiral")),
        "expected a rope type among default, linear, dynamic, yarn, longrope, llama3, proportional, was: 'spiral'",
    ),
    (lambda: from_config(rope(rope_type="linear", factor=2.0, twist=1)), "was: 'twist'"),
    (lambda: from_config(rope(rope_type="linear")), "expected factor in the configuration, was: none"),
    (
        lambda: from_config({**rope(rope_type="dynamic", factor=2.0), "max_position_embeddings": 64}),
        "expected a length to serve, as the rope type dynamic depends on it, was: None",
    ),
    (lambda: from_config({"model_type": "llama"}), "expected num_hidden_layers in the configuration, was: none"),
    (
        lambda: from_config({"model_type": "llama", "num_hidden_layers": 1}),
        "expected hidden_size in the configuration, was: none",
    ),
    (
        lambda: from_config(rope(rope_type="llama3", factor=2.0)),
        "expected low_freq_factor in the configuration, was: none",
    ),
    (lambda: from_config(CONFIGS["Phi-4 mini"]), "as the rope type longrope depends on it, was: None"),
    (
        lambda: from_config(rope(rope_type="yarn", factor=2.0)),
        "expected original_max_position_embeddings or max_position_embeddings, was: neither",
    ),
    (
        lambda: from_config({**rope(), "model_type": "olmo3", "rope_parameters": {"rope_type": "yarn", "factor": 8.0}}),
        "expected rope parameters for sliding_attention, was: factor, rope_type",
    ),
    (
        lambda: from_config({"model_type": "bert", "position_embedding_type": "relative_key"}),
        "expected the position_embedding_type absolute, was: 'relative_key'",
    ),
    (
        lambda: from_config({"model_type": "mpt", "attn_config": {"alibi": False}}),
        "expected alibi with alibi_bias_max 8, was: False, 8",
    ),
]


@pytest.mark.parametrize(("call", "message"), CASES, ids=[message[-40:] for _, message in CASES])
def test_refusal(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        call()
    assert message in str(caught.value)


def test_yarn_with_a_step_for_a_ramp() -> None:
    """As Kimi K2 has it: ``beta_fast`` equals ``beta_slow``."""
    yarn = {"type": "yarn", "factor": 32.0, "beta_fast": 1.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
            "original_max_position_embeddings": 4096}  # fmt: skip
    kimi = from_config(changed("DeepSeek-V3", model_type="kimi_k2", rope_theta=50_000.0, rope_scaling=yarn))
    plain, found = frequencies.geometric(32, 50_000.0), table(kimi.parts[0]).double()
    last = (found / plain > 0.5).sum()
    assert last == 20  # floor(32 ln(4096 / 2 pi) / ln 50 000) + 1
    torch.testing.assert_close(found[:last], plain[:last], rtol=1e-6, atol=0)
    torch.testing.assert_close(found[last:], plain[last:] / 32, rtol=1e-6, atol=0)
