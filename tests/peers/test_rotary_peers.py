"""Rotations beside those of the packages that people use, run on configurations of published models.

Peers compute in float32 what is computed here in float64, so that small differences are theirs. Where one is wrong, the
test states its value, the exact one, and ours.
"""

import copy
import importlib
import math
from typing import Any

import pytest
import torch
from oracle import rotary_loops as loops
from peers.published_configs import CONFIGS
from torch import Tensor

from locant.encodings import PositionalEncoding, Rotary, frequencies, scaling
from locant.encodings.published import from_config

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

F64 = torch.float64
PLACES = torch.tensor([[0, 1, 2, 17, 255, 256, 257, 511]])
GRID = torch.tensor([[[0, 0, 0], [1, 1, 1], [2, 2, 2], [2, 2, 5], [2, 7, 2], [2, 7, 9], [10, 10, 10], [11, 11, 11]]])
# Of a family: the configuration's class, and the class of the module that makes cosines and sines.
CLASSES = {
    "llama": ("LlamaConfig", "LlamaRotaryEmbedding"),
    "llama4_text": ("Llama4TextConfig", "Llama4TextRotaryEmbedding"),
    "qwen3": ("Qwen3Config", "Qwen3RotaryEmbedding"),
    "gemma3_text": ("Gemma3TextConfig", "Gemma3RotaryEmbedding"),
    "gemma4_text": ("Gemma4TextConfig", "Gemma4TextRotaryEmbedding"),
    "gpt_oss": ("GptOssConfig", "GptOssRotaryEmbedding"),
    "deepseek_v2": ("DeepseekV2Config", "DeepseekV2RotaryEmbedding"),
    "deepseek_v3": ("DeepseekV3Config", "DeepseekV3RotaryEmbedding"),
    "phi3": ("Phi3Config", "Phi3RotaryEmbedding"),
    "olmo3": ("Olmo3Config", "Olmo3RotaryEmbedding"),
    "ministral3": ("Ministral3Config", "Ministral3RotaryEmbedding"),
    "mistral4": ("Mistral4Config", "Mistral4RotaryEmbedding"),
    "smollm3": ("SmolLM3Config", "SmolLM3RotaryEmbedding"),
    "glm4": ("Glm4Config", "Glm4RotaryEmbedding"),
    "cohere2": ("Cohere2Config", "Cohere2RotaryEmbedding"),
    "exaone4": ("Exaone4Config", "Exaone4RotaryEmbedding"),
    "modernbert": ("ModernBertConfig", "ModernBertRotaryEmbedding"),
    "gpt_neox": ("GPTNeoXConfig", "GPTNeoXRotaryEmbedding"),
    "qwen2_vl": ("Qwen2VLTextConfig", "Qwen2VLRotaryEmbedding"),
    "qwen3_vl_text": ("Qwen3VLTextConfig", "Qwen3VLTextRotaryEmbedding"),
}


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32).to(dtype)


def peer_config(name: str) -> Any:
    given = copy.deepcopy(CONFIGS[name])
    kind = getattr(transformers, CLASSES[given.pop("model_type")][0])
    return kind(**given)


def peer_module(name: str) -> Any:
    folder = CONFIGS[name]["model_type"].removesuffix("_text")
    return importlib.import_module(f"transformers.models.{folder}.modeling_{folder}")


def layer_type(name: str, layer: int) -> str | None:
    """The layer's kind, for models that have different rotations."""
    config = peer_config(name)
    per_kind = {"gemma3_text", "gemma4_text", "olmo3", "modernbert"}
    return config.layer_types[layer] if CONFIGS[name]["model_type"] in per_kind else None


@torch.no_grad()
def peer_scores(name: str, layer: int, q: Tensor, k: Tensor, positions: Tensor) -> Tensor:
    """``q k'`` after the peer's rotation, before the usual ``1 / sqrt(width)``."""
    config, module, model = peer_config(name), peer_module(name), CONFIGS[name]["model_type"]
    rotary = getattr(module, CLASSES[model][1])(config)
    if model in {"smollm3", "llama4_text"} and not config.no_rope_layers[layer]:
        scale = torch.ones(())
        if model == "llama4_text":
            steps = torch.floor((positions.float() + 1) / config.floor_scale)
            scale = (steps.log1p() * config.attn_scale + 1)[:, None, :, None]
        return (q * scale) @ k.mT
    if model in {"cohere2", "exaone4"} and config.layer_types[layer] != "sliding_attention":
        return q @ k.mT
    kind = layer_type(name, layer)
    made = rotary(q, positions) if kind is None else rotary(q, positions, kind)
    if model == "llama4_text":
        turned = module.apply_rotary_emb(q.transpose(1, 2), k.transpose(1, 2), made)
        return turned[0].transpose(1, 2) @ turned[1].permute(0, 2, 3, 1)
    if model == "deepseek_v2":
        turned = module.apply_rotary_emb(q[..., -64:], k[..., -64:], made)
        product = q[..., :-64] @ k[..., :-64].mT + turned[0] @ turned[1].mT
        return product * module.yarn_apply_mscale(config.rope_parameters, 1.0)
    cos, sin = made
    if model == "gemma4_text":
        q, k = (module.apply_rotary_pos_emb(x, cos, sin) for x in (q, k))
    elif model in {"deepseek_v3", "mistral4"}:
        q, k = _latent(config, module, q, k, cos, sin, positions)
    else:
        q, k = module.apply_rotary_pos_emb(q, k, cos, sin)
    if model == "ministral3":
        given = config.rope_parameters
        beta, original = given["llama_4_scaling_beta"], given["original_max_position_embeddings"]
        q = q * module.get_llama_4_attn_scale(positions, beta, original)
    return q @ k.mT


def _latent(config: Any, module: Any, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, positions: Tensor) -> Any:
    """The last columns are rotated, and the softmax scale has a factor that the rope parameters give."""
    width = config.qk_rope_head_dim
    turned = module.apply_rotary_pos_emb_interleave(q[..., -width:], k[..., -width:], cos, sin)
    q, k = (torch.cat([x[..., :-width], y], dim=-1) for x, y in zip((q, k), turned, strict=True))
    q = q * module.yarn_apply_mscale(config.rope_parameters, 1.0)
    if (beta := config.rope_parameters.get("llama_4_scaling_beta")) is not None:
        original = config.rope_parameters["original_max_position_embeddings"]
        q = q * module.get_llama_4_attn_scale(positions, beta, original)
    return q, k


def our_scores(encoding: PositionalEncoding, q: Tensor, k: Tensor, positions: Tensor) -> Tensor:
    q, k = encoding.qk(q, k, positions, positions)
    return q @ k.mT


def head_width(name: str, layer: int) -> int:
    given = CONFIGS[name]
    if given["model_type"] == "gemma4_text" and given["layer_types"][layer] == "full_attention":
        return int(given["global_head_dim"])
    if "qk_rope_head_dim" in given:
        return int(given["qk_rope_head_dim"] + given["qk_nope_head_dim"])
    return int(given.get("head_dim", given["hidden_size"] // given["num_attention_heads"]))


TEXT = [name for name in CONFIGS if "VL" not in name]


@pytest.mark.parametrize("layer", [0, 2, 3, 5])
@pytest.mark.parametrize("name", TEXT)
def test_scores_of_published_models(name: str, layer: int) -> None:
    """Through transformers' own modules, at positions that float32 still holds."""
    width = head_width(name, layer)
    q, k = noise(1, 2, 8, width), noise(1, 2, 8, width, seed=1)
    encoding = from_config(CONFIGS[name], length=512).layer(layer)
    expected = peer_scores(name, layer, q, k, PLACES)
    torch.testing.assert_close(our_scores(encoding, q, k, PLACES), expected, rtol=1e-3, atol=5e-3)


@pytest.mark.parametrize("name", ["Ministral 3 8B", "Mistral 4", "Llama 4 Scout"])
def test_temperatures_at_the_steps(name: str) -> None:
    """Ministral counts the first token as 0 and Llama 4 as 1: the step is at another token."""
    layer, width = 3, head_width(name, 3)
    q, k = noise(1, 1, 4, width), noise(1, 1, 4, width, seed=1)
    encoding = from_config(CONFIGS[name]).layer(layer)
    for step in (8192, 16_384, 3 * 16_384):
        positions = torch.tensor([[step - 2, step - 1, step, step + 1]])
        expected = peer_scores(name, layer, q, k, positions)
        torch.testing.assert_close(our_scores(encoding, q, k, positions), expected, rtol=1e-2, atol=0.2)


def rotations(encoding: PositionalEncoding) -> Rotary:
    return next(module for module in encoding.modules() if isinstance(module, Rotary))


@pytest.mark.parametrize("layer", [0, 5])
@pytest.mark.parametrize(
    "name", [n for n in TEXT if "Command" not in n and "rope_scaling" in CONFIGS[n] and CONFIGS[n]["rope_scaling"]]
)
def test_frequencies_of_published_models(name: str, layer: int) -> None:
    """``ROPE_INIT_FUNCTIONS`` on the configuration: frequencies to the last digits of float32, and the factor."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config, kind = peer_config(name), layer_type(name, layer)
    parameters = config.rope_parameters if kind is None else config.rope_parameters[kind]
    if parameters["rope_type"] == "default":
        return
    length = 5000
    options = {"seq_len": length} if parameters["rope_type"] == "longrope" else {}
    expected, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, None, layer_type=kind, **options)
    found = rotations(from_config(CONFIGS[name], length=length).layer(layer))
    torch.testing.assert_close(found.frequencies(), expected, rtol=3e-6, atol=0)
    assert found.attention_factor == pytest.approx(factor, rel=1e-12)


def test_frequencies_of_gemma_4_and_of_mistral_large_4() -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = peer_config("Gemma 4 26B").per_layer_config["full_attention"]
    expected, _ = ROPE_INIT_FUNCTIONS["proportional"](config, None, layer_type="full_attention")
    assert (expected == 0).sum() == 192
    torch.testing.assert_close(frequencies.partly_zero(256, 0.25, 1e6).float(), expected, rtol=3e-6, atol=0)
    # Mistral Large 4 scales these by learned numbers, so there is no encoding of it without its weights.
    config = transformers.MistralLarge4TextConfig()
    expected, factor = ROPE_INIT_FUNCTIONS["yarn"](config, None)
    torch.testing.assert_close(scaling.yarn(32, 2048.0, 512).float(), expected, rtol=3e-6, atol=0)
    assert factor == 1.0


@pytest.mark.parametrize("length", [1000, 4096, 4097, 100_000])
def test_longrope_switches_where_the_peer_does(length: int) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    expected, factor = ROPE_INIT_FUNCTIONS["longrope"](peer_config("Phi-4 mini"), None, seq_len=length)
    found = from_config(CONFIGS["Phi-4 mini"], length=length)
    torch.testing.assert_close(found.frequencies(), expected, rtol=3e-6, atol=0)
    assert factor == pytest.approx(math.sqrt(1 + math.log(32) / math.log(4096)))
    assert found.attention_factor == pytest.approx(factor)


def dynamic(factor: float = 2.0) -> dict[str, Any]:
    return {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 1,
            "max_position_embeddings": 32, "rope_scaling": {"rope_type": "dynamic", "factor": factor}}  # fmt: skip


@pytest.mark.parametrize("length", [1, 32, 33, 64, 1000])
def test_dynamic_ntk(length: int) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    given = {key: value for key, value in dynamic().items() if key != "model_type"}
    expected, _ = ROPE_INIT_FUNCTIONS["dynamic"](transformers.LlamaConfig(**given), None, seq_len=length)
    found = from_config(dynamic(), length=length).frequencies()
    torch.testing.assert_close(found, expected, rtol=3e-6, atol=0)


@torch.no_grad()
def test_dynamic_ntk_of_the_peer_depends_on_earlier_calls() -> None:
    """A text of 40 tokens after one of 64: the peer keeps the frequencies of 64, exact are those of 40."""
    given = {key: value for key, value in dynamic().items() if key != "model_type"}
    module = importlib.import_module("transformers.models.llama.modeling_llama")
    rotary, x = module.LlamaRotaryEmbedding(transformers.LlamaConfig(**given)), torch.zeros(1)
    fresh = rotary(x, torch.arange(40)[None])[0]
    rotary(x, torch.arange(64)[None])
    later = rotary(x, torch.arange(40)[None])[0]
    assert (fresh - later).abs().max() > 0.05
    exact = torch.outer(torch.arange(40.0, dtype=F64), scaling.dynamic_ntk(8, 2.0, 32, 40)).cos()
    torch.testing.assert_close(fresh[0, :, :8].double(), exact, rtol=0, atol=1e-4)
    ours = from_config(dynamic(), length=40)
    from_config(dynamic(), length=64)
    q = torch.zeros(1, 1, 40, 16)
    q[..., :8] = 1.0  # of each pair the first column, which becomes the cosine
    positions = torch.arange(40)[None]
    torch.testing.assert_close(ours.qk(q, q, positions, positions)[0][0, 0, :, :8].double(), exact, rtol=0, atol=1e-4)


def test_the_peer_ignores_truncate_inside_of_a_layer_type() -> None:
    """``truncate: false`` is read from the outer dictionary only.

    With the numbers of gpt-oss in the layers without a window, pair 17 of 32. Peer: 2.279e-4; exact and ours: 1.293e-4.
    """
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    yarn = {**CONFIGS["gpt-oss 20B"]["rope_scaling"], "rope_theta": 150_000.0}
    plain = {"rope_type": "default", "rope_theta": 150_000.0}
    given = {"hidden_size": 2048, "num_attention_heads": 32, "num_hidden_layers": 4, "max_position_embeddings": 131_072,
             "rope_parameters": {"full_attention": yarn, "sliding_attention": plain}}  # fmt: skip
    config = transformers.Olmo3Config(**copy.deepcopy(given))
    theirs, _ = ROPE_INIT_FUNCTIONS["yarn"](config, None, layer_type="full_attention")
    ours = rotations(from_config({"model_type": "olmo3", **given}).layer(3)).frequencies()
    exact = loops.yarn(64, 32.0, 4096, 150_000.0, 32.0, 1.0, False)
    assert float(theirs[17]) == pytest.approx(2.279e-4, rel=1e-3)
    assert exact[17] == pytest.approx(1.293e-4, rel=1e-3)
    torch.testing.assert_close(ours.double(), torch.tensor(exact, dtype=F64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["Qwen2-VL 7B", "Qwen3-VL 8B"])
@torch.no_grad()
def test_multimodal(name: str) -> None:
    config, module, model = peer_config(name), peer_module(name), CONFIGS[name]["model_type"]
    q, k = noise(1, 2, 8, 128), noise(1, 2, 8, 128, seed=1)
    cos, sin = getattr(module, CLASSES[model][1])(config)(q, GRID.permute(2, 0, 1))
    turned = module.apply_rotary_pos_emb(q, k, cos, sin)
    ours = from_config(CONFIGS[name]).qk(q, k, GRID, GRID)
    for found, expected in zip(ours, turned, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_whole_llama_with_our_rotation_in_place_of_its_own() -> None:
    """A small Llama whose rotation is swapped for the one that ``from_config`` builds gives the same logits."""
    from transformers.models.llama import modeling_llama as module

    rope = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}  # fmt: skip
    config = transformers.LlamaConfig(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                                      num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
                                      rope_parameters=rope, attn_implementation="sdpa")  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    tokens = torch.randint(50, (2, 90), generator=torch.Generator().manual_seed(1))
    expected, encoding = model(tokens).logits, from_config(config.to_dict())
    positions, theirs = torch.arange(90)[None], module.apply_rotary_pos_emb
    try:
        module.apply_rotary_pos_emb = lambda q, k, cos, sin, **_: encoding.qk(q, k, positions, positions)
        found = model(tokens).logits
    finally:
        module.apply_rotary_pos_emb = theirs
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
