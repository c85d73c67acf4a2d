"""The encodings of published models, made from their ``config.json``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from locant.encodings.base import PositionalEncoding
from locant.encodings.biases import Alibi
from locant.encodings.codes import Learned
from locant.encodings.composition import Chain, PerLayer
from locant.encodings.inputs import Add
from locant.encodings.rotary_parameters import (
    kind_of,
    needed,
    original_length,
    rotary_from_parameters,
    whole_score_factor,
)
from locant.encodings.temperature import LengthTemperature


class Family(NamedTuple):
    """What a model's code says of its rotation, and its ``config.json`` may leave out.

    base, local_base: of the rotation; models with a second one use it in their layers with a sliding window.
    layout: of the pairs.  fraction: of the head.  head_width: None for the width divided by the heads.
    base_key, local_key, fraction_key: older names of these parameters.
    turns: the layers that rotate: ``all``, those with a ``sliding`` window, or those ``listed`` in ``no_rope_layers``,
        where 1 means that the layer does.
    pattern: every how many layers one is without a window; 0 for no such pattern.
    sections, dealt: pairs for time, height and width, and whether they are dealt out in turn.
    latent: the rotated columns stand apart, behind the others (multi-head latent attention).
    """

    base: float = 10_000.0
    layout: str = "half"
    fraction: float = 1.0
    head_width: int | None = None
    local_base: float | None = None
    base_key: str = "rope_theta"
    local_key: str = "rope_local_base_freq"
    fraction_key: str = "partial_rotary_factor"
    turns: str = "all"
    pattern: int = 0
    sections: tuple[int, ...] | None = None
    dealt: bool = False
    latent: bool = False


_GEMMA3 = Family(1e6, head_width=256, local_base=1e4, pattern=6)
_QWEN_VL = Family(1e6, sections=(16, 24, 24))
_LATENT = Family(layout="interleaved", latent=True)
ROTATING = {
    "apertus": Family(12e6),
    "cohere": Family(5e5, "interleaved"),
    "cohere2": Family(layout="interleaved", turns="sliding", pattern=4),
    "deepseek_v2": _LATENT,
    "deepseek_v3": _LATENT,
    "ernie4_5": Family(5e5, "interleaved", head_width=128),
    "exaone4": Family(turns="sliding", pattern=4),
    "gemma": Family(head_width=256),
    "gemma2": Family(head_width=256),
    "gemma3_text": _GEMMA3,
    "gemma4_text": _GEMMA3,
    "gemma4_unified_text": _GEMMA3,
    "glm": Family(layout="interleaved", fraction=0.5, head_width=128),
    "glm4": Family(layout="interleaved", fraction=0.5, head_width=128),
    "gpt_neox": Family(fraction=0.25, base_key="rotary_emb_base", fraction_key="rotary_pct"),
    "gpt_oss": Family(150_000.0, head_width=64),
    "granite": Family(),
    "kimi_k2": _LATENT,
    "llama": Family(),
    "llama4_text": Family(5e5, "interleaved", head_width=128, turns="listed", pattern=4),
    "ministral3": Family(1e6, head_width=128),
    "mistral": Family(),
    "mistral4": _LATENT,
    "mixtral": Family(1e6),
    "modernbert": Family(160_000.0, local_base=1e4, base_key="global_rope_theta", local_key="local_rope_theta",
                         pattern=3),
    "olmo": Family(),
    "olmo2": Family(),
    "olmo3": Family(5e5, local_base=5e5, local_key="rope_theta", pattern=4),
    "phi": Family(fraction=0.5),
    "phi3": Family(),
    "qwen2": Family(),
    "qwen2_5_vl": _QWEN_VL,
    "qwen2_5_vl_text": _QWEN_VL,
    "qwen2_moe": Family(),
    "qwen2_vl": _QWEN_VL,
    "qwen2_vl_text": _QWEN_VL,
    "qwen3": Family(head_width=128),
    "qwen3_moe": Family(head_width=128),
    "qwen3_vl_text": Family(5e5, head_width=128, sections=(24, 20, 20), dealt=True),
    "smollm3": Family(2e6, turns="listed", pattern=4),
    "stablelm": Family(fraction=0.25),
    "starcoder2": Family(),
}  # fmt: skip
OTHERS = ("bert", "bloom", "gpt2", "mpt")


class QueryScale(PositionalEncoding):
    """``q_i <- factor q_i``: the whole score times a constant, whatever the softmax scale is.

    Source: DeepSeek-V2's code, whose softmax scale is multiplied by a number that its YaRN parameters give.
    Limit: none.  Shift-invariant: yes.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return q * self.factor, k


def from_config(
    config: str | Path | Mapping[str, Any], *, length: int | None = None, dtype: torch.dtype = torch.float32
) -> PositionalEncoding:
    """The positional encoding of a published model, from its ``config.json`` or the dictionary in it.

    The result is that of every layer, or a ``PerLayer`` with one entry for each where layers differ (two bases, layers
    without rotation). For models with several parts it is that of the text. What it does not contain: norms of queries
    and keys, which come before it, and sliding windows.

    length: the longest text to be served; models with dynamic NTK or LongRoPE need it.
    Raises ValueError naming a model type, rope type or rope parameter that is unknown, or a value that is missing.
    """
    given = dict(config) if isinstance(config, Mapping) else json.loads(Path(config).read_text())
    if given.get("model_type") not in {*ROTATING, *OTHERS} and isinstance(given.get("text_config"), Mapping):
        given = dict(given["text_config"])
    model = given.get("model_type")
    if model in OTHERS:
        return _without_rotation(given)
    if model not in ROTATING:
        raise ValueError(f"expected a model type among {', '.join(sorted({*ROTATING, *OTHERS}))}, was: {model!r}")
    layers = [
        _layer(given, ROTATING[model], index, length, dtype) for index in range(needed(given, "num_hidden_layers"))
    ]
    made: dict[str, PositionalEncoding] = {}
    for key, encoding in layers:
        made.setdefault(key, encoding)
    return PerLayer(*[made[key] for key, _ in layers]) if len(made) > 1 else layers[0][1]


def _without_rotation(given: Mapping[str, Any]) -> PositionalEncoding:
    model = given["model_type"]
    if model == "gpt2":
        return Add(Learned(given.get("n_positions", 1024), given.get("n_embd", 768)))
    if model == "bert":
        kind = given.get("position_embedding_type", "absolute")
        if kind != "absolute":
            raise ValueError(f"expected the position_embedding_type absolute, was: {kind!r}")
        return Add(Learned(given.get("max_position_embeddings", 512), given.get("hidden_size", 768)))
    if model == "bloom":
        return Alibi(given.get("n_head", given.get("num_attention_heads", 8)))
    attention = {"alibi": True, "alibi_bias_max": 8, **(given.get("attn_config") or {})}
    if not attention["alibi"] or attention["alibi_bias_max"] != 8:
        raise ValueError(
            f"expected alibi with alibi_bias_max 8, was: {attention['alibi']}, {attention['alibi_bias_max']}"
        )
    return Alibi(given.get("n_heads", 16))


def _layer(given: Mapping[str, Any], family: Family, index: int, length: int | None,
           dtype: torch.dtype) -> tuple[str, PositionalEncoding]:  # fmt: skip
    """The encoding of one layer, and a key that is equal for layers with the same."""
    kind = _layer_type(given, family, index)
    parameters = _parameters(given, family, kind)
    rotates = _rotates(given, family, index, kind)
    key = f"{kind if family.local_base is not None else ''} {rotates}"
    if not rotates:
        plain = given["model_type"] != "llama4_text" or not given.get("attn_temperature_tuning", True)
        every, rate = float(given.get("floor_scale", 8192)), float(given.get("attn_scale", 0.1))
        return key, PositionalEncoding() if plain else LengthTemperature(rate=rate, every=every)
    longest = given.get("max_position_embeddings")
    options: dict[str, Any] = {"longest": longest, "length": length, "dtype": dtype, "layout": family.layout}
    if family.latent:
        columns = int(given.get("qk_rope_head_dim", 64))
        width = columns + int(given.get("qk_nope_head_dim", 64 if given["model_type"] == "mistral4" else 128))
        options |= {"columns": columns, "side": "last"}
        options["layout"] = "interleaved" if given.get("rope_interleave", True) else "half"
    else:
        width = _head_width(given, family, kind, index)
    parts: list[PositionalEncoding] = [rotary_from_parameters(parameters, width, **options)]
    if family.latent and (factor := whole_score_factor(parameters)) != 1.0:
        parts.append(QueryScale(factor))
    if (beta := parameters.get("llama_4_scaling_beta")) is not None:
        parts.append(LengthTemperature(rate=float(beta), every=original_length(parameters, longest), first=0.0))
    return key, Chain(*parts) if len(parts) > 1 else parts[0]


def _layer_type(given: Mapping[str, Any], family: Family, index: int) -> str:
    """``full_attention``, ``sliding_attention`` or another name that the configuration has for it."""
    types = given.get("layer_types")
    if types:
        last = index == len(types) - 1 and given["model_type"].startswith("gemma4")  # which is never sliding
        return "full_attention" if last else str(types[index])
    names = ("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers")
    pattern = next((given[name] for name in names if given.get(name)), family.pattern)
    every = len(pattern) if isinstance(pattern, str) else int(pattern)
    if not every or (given["model_type"] == "exaone4" and given.get("sliding_window", 4096) is None):
        return "full_attention"
    at = index if given["model_type"] == "modernbert" else index + 1
    return "sliding_attention" if at % every else "full_attention"


def _rotates(given: Mapping[str, Any], family: Family, index: int, kind: str) -> bool:
    if family.turns == "sliding":
        return kind == "sliding_attention" or given.get("sliding_window", 4096) is None
    if family.turns == "listed":
        every = int(given.get("no_rope_layer_interval", family.pattern))
        return bool(given["no_rope_layers"][index] if given.get("no_rope_layers") else (index + 1) % every)
    return True


def _head_width(given: Mapping[str, Any], family: Family, kind: str, index: int) -> int:
    if given["model_type"].startswith("gemma4") and kind == "full_attention":
        of_layer = (given.get("per_layer_config") or {}).get(f"{index:02d}", {})
        return int(of_layer.get("head_dim", given.get("global_head_dim", 512)))
    own = given.get("head_dim") or family.head_width
    return int(own or needed(given, "hidden_size") // needed(given, "num_attention_heads"))


def _parameters(given: Mapping[str, Any], family: Family, kind: str) -> dict[str, Any]:
    """The rope parameters of a layer of that kind, in today's names, wherever the configuration has them."""
    local = family.local_base is not None and kind == "sliding_attention"
    found = dict(given.get("rope_parameters") or {})
    if kind in found:  # one dictionary for each kind of layer
        found = dict(found[kind] or {})
    elif found and family.local_base is not None:
        raise ValueError(f"expected rope parameters for {kind}, was: {', '.join(sorted(found))}")
    elif not found and (not local or given["model_type"] == "modernbert"):
        found = dict(given.get("rope_scaling") or {})
    if local:
        found.setdefault("rope_theta", given.get(family.local_key, family.local_base))
    else:
        found.setdefault("rope_theta", given.get(family.base_key, family.base))
    if family.latent:
        found.pop("partial_rotary_factor", None)  # says once more what the widths of the parts say
    else:
        found.setdefault("partial_rotary_factor", given.get(family.fraction_key, family.fraction))
    if family.sections is not None:
        found.setdefault("mrope_section", list(family.sections))
        found.setdefault("mrope_interleaved", family.dealt)
    if given.get("original_max_position_embeddings") is not None:  # Phi-3 has it beside the others
        found["original_max_position_embeddings"] = given["original_max_position_embeddings"]
    if given["model_type"] == "phi3" and found.get("type", found.get("rope_type")) == "yarn":
        found |= {"type": "longrope", "rope_type": "longrope"}  # its early name
    if given["model_type"].startswith("gemma4") and kind == "full_attention" and not given.get("rope_parameters"):
        found |= {"rope_type": "proportional", "partial_rotary_factor": 0.25}
    if given["model_type"] in DEFAULTS and not (given.get("rope_parameters") or given.get("rope_scaling")):
        found = {**DEFAULTS[given["model_type"]], **found}
    kind_of(found)
    return found


_MISTRAL = {"rope_type": "yarn", "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
            "llama_4_scaling_beta": 0.1}  # fmt: skip
DEFAULTS: dict[str, dict[str, Any]] = {
    "gpt_oss": {"rope_type": "yarn", "factor": 32.0, "truncate": False, "original_max_position_embeddings": 4096},
    "ministral3": {**_MISTRAL, "factor": 16.0, "original_max_position_embeddings": 16_384},
    "mistral4": {**_MISTRAL, "factor": 128.0, "original_max_position_embeddings": 8192},
}
