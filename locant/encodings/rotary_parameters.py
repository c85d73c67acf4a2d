"""Rotations from the words of a ``config.json``: a dictionary of rope parameters made into ``Rotary``."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from locant.encodings import scaling
from locant.encodings.frequencies import geometric, partly_zero, sectioned
from locant.encodings.rotary import Rotary, rotated_columns

KINDS = ("default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional")
OTHER_NAMES = {"mrope": "default", "su": "longrope"}
KEYS = {
    "rope_type", "type", "rope_theta", "partial_rotary_factor", "factor", "original_max_position_embeddings",
    "max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate",
    "short_factor", "long_factor", "low_freq_factor", "high_freq_factor", "mrope_section", "mrope_interleaved",
    "llama_4_scaling_beta",
}  # fmt: skip


def kind_of(parameters: Mapping[str, Any]) -> str:
    """The rope type under its present name. Raises ValueError naming an unknown one, or a parameter that is unknown."""
    kind = parameters.get("rope_type", parameters.get("type")) or "default"
    kind = OTHER_NAMES.get(kind, kind)
    if kind not in KINDS:
        raise ValueError(f"expected a rope type among {', '.join(KINDS)}, was: {kind!r}")
    unknown = sorted(set(parameters) - KEYS)
    if unknown:
        raise ValueError(f"expected rope parameters among {', '.join(sorted(KEYS))}, was: {unknown[0]!r}")
    return kind


def original_length(parameters: Mapping[str, Any], longest: int | None) -> int:
    """The length of the training: as the parameters say, else the ``longest`` that the model takes.

    Raises ValueError if neither is known.
    """
    original = parameters.get("original_max_position_embeddings") or longest
    if original is None:
        raise ValueError("expected original_max_position_embeddings or max_position_embeddings, was: neither")
    return int(original)


def rotary_from_parameters(
    parameters: Mapping[str, Any],
    head_width: int,
    *,
    longest: int | None = None,
    length: int | None = None,
    layout: str = "half",
    side: str = "first",
    columns: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Rotary:
    """The rotation that rope parameters describe (``rope_type``, ``rope_theta``, ``factor`` ...).

    longest: ``max_position_embeddings`` of the model.
    length: the longest text to be served; ``dynamic`` and ``longrope`` depend on it.
    columns: how many of the head are rotated; by ``partial_rotary_factor`` unless given.
    Source: the configuration files of Hugging Face transformers. Differs: frequencies are computed in float64.
    Raises ValueError naming a rope type or parameter that is unknown, or a ``length`` that is missing.
    """
    kind, base = kind_of(parameters), float(parameters.get("rope_theta") or 10_000.0)
    fraction = float(parameters.get("partial_rotary_factor") or 1.0)
    if columns is None:
        # Proportional rotations keep the exponents and the pairs of the whole head.
        columns = head_width if kind == "proportional" else rotated_columns(head_width, fraction)
    table, attention_factor = _scaled(kind, parameters, columns // 2, base, fraction, longest, length)
    sections = parameters.get("mrope_section")
    if sections is not None:
        table = sectioned(table, sections, interleaved=bool(parameters.get("mrope_interleaved", False)))
    return Rotary(head_width, frequencies=table, attention_factor=attention_factor, layout=layout, side=side,
                  dtype=dtype)  # fmt: skip


def _scaled(kind: str, given: Mapping[str, Any], pairs: int, base: float, fraction: float, longest: int | None,
            length: int | None) -> tuple[Tensor, float]:  # fmt: skip
    """Frequencies and attention factor of one rope type."""
    if kind == "linear":
        return scaling.interpolated(geometric(pairs, base), float(needed(given, "factor"))), 1.0
    if kind == "proportional":
        return scaling.interpolated(partly_zero(pairs, fraction, base), float(given.get("factor") or 1.0)), 1.0
    if kind == "llama3":
        low, high = (float(needed(given, f"{end}_freq_factor")) for end in ("low", "high"))
        original = original_length(given, longest)
        return scaling.llama3(pairs, float(needed(given, "factor")), original, base, low=low, high=high), 1.0
    if kind == "dynamic":
        # Here the length of the training is the longest that the model takes.
        return scaling.dynamic_ntk(
            pairs, float(needed(given, "factor")), original_length({}, longest), _length(length, kind), base
        ), 1.0
    if kind == "yarn":
        return _yarn(given, pairs, base, longest)
    if kind == "longrope":
        return _longrope(given, pairs, base, longest, _length(length, kind))
    return geometric(pairs, base), 1.0


def _yarn(given: Mapping[str, Any], pairs: int, base: float, longest: int | None) -> tuple[Tensor, float]:
    original = original_length(given, longest)
    factor = float(given["factor"]) if given.get("factor") is not None or longest is None else longest / original
    fast, slow = float(given.get("beta_fast") or 32.0), float(given.get("beta_slow") or 1.0)
    table = scaling.yarn(pairs, factor, original, base, fast=fast, slow=slow, truncate=given.get("truncate", True))
    mscale, mscale_all = given.get("mscale"), given.get("mscale_all_dim")
    attention_factor = given.get("attention_factor")
    if attention_factor is None:
        both = {"mscale": float(mscale), "mscale_all": float(mscale_all)} if mscale and mscale_all else {}
        attention_factor = scaling.yarn_attention_factor(factor, **both)
    return table, float(attention_factor)


def _longrope(
    given: Mapping[str, Any], pairs: int, base: float, longest: int | None, length: int
) -> tuple[Tensor, float]:
    original = original_length(given, longest)
    table = scaling.longrope(pairs, needed(given, "long_factor" if length > original else "short_factor"), base)
    attention_factor = given.get("attention_factor")
    if attention_factor is None:
        factor = float(given["factor"]) if given.get("factor") is not None or longest is None else longest / original
        attention_factor = scaling.longrope_attention_factor(max(factor, 1.0), original)
    return table, float(attention_factor)


def whole_score_factor(parameters: Mapping[str, Any]) -> float:
    """``(0.1 mscale_all_dim ln(factor) + 1) ** 2``, what DeepSeek's YaRN multiplies whole scores with; 1 without it."""
    every = parameters.get("mscale_all_dim")
    if kind_of(parameters) == "default" or not every:
        return 1.0
    return (0.1 * float(every) * math.log(max(float(needed(parameters, "factor")), 1.0)) + 1) ** 2


def needed(given: Mapping[str, Any], name: str) -> Any:
    """The value of that name. Raises ValueError if there is none."""
    if given.get(name) is None:
        raise ValueError(f"expected {name} in the configuration, was: none")
    return given[name]


def _length(length: int | None, kind: str) -> int:
    if length is None:
        raise ValueError(f"expected a length to serve, as the rope type {kind} depends on it, was: None")
    return length
