"""Rotary embeddings of other packages, applied to the same queries and keys. Those that are not installed are named."""

import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from locant.bench.attention import Heads

Rotate = Callable[[], tuple[Tensor, Tensor]]


def _imported(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what they use that PyTorch is to drop
        return import_module(name)


def _rotary_embedding_torch(given: Heads) -> Rotate:
    peer = _imported("rotary_embedding_torch").RotaryEmbedding(given.q.shape[-1]).to(given.q.device)
    return lambda: (peer.rotate_queries_or_keys(given.q), peer.rotate_queries_or_keys(given.k))


def _x_transformers(given: Heads) -> Rotate:
    package = _imported("x_transformers.x_transformers")
    # Once per forward pass of the model, as the package does it; not part of what is timed.
    made = package.RotaryEmbedding(given.q.shape[-1]).to(given.q.device)
    freqs, scale = made.forward_from_seq_len(given.q.shape[-2])
    turn = partial(package.apply_rotary_pos_emb, freqs=freqs, scale=scale)
    return lambda: (turn(given.q), turn(given.k))


def _transformers(given: Heads) -> Rotate:
    apply = _imported("transformers.models.llama.modeling_llama").apply_rotary_pos_emb
    pairs = given.q.shape[-1] // 2
    speeds = 10_000.0 ** (-torch.arange(pairs, device=given.q.device) / pairs)
    angle = (given.layout.positions[..., None] * speeds).repeat(1, 1, 2)
    cos, sin = angle.cos().to(given.q.dtype), angle.sin().to(given.q.dtype)
    return lambda: apply(given.q, given.k, cos, sin)


ROTATIONS = {"rotary_embedding_torch": _rotary_embedding_torch, "x_transformers": _x_transformers,
             "transformers": _transformers}  # fmt: skip


def installed() -> list[str]:
    """The packages that are there to be compared with."""
    return [name for name in ROTATIONS if find_spec(name) is not None]


def rotations(given: Heads) -> dict[str, Rotate]:
    """What each installed package does to queries and keys, by its name; `transformers` does it for Llama."""
    return {name: ROTATIONS[name](given) for name in installed()}
