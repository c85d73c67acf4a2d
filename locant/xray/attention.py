"""Attention logits of a transformers model, through the attention functions that one may register there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

NAME = "locant_xray"
Record = Callable[[nn.Module, Tensor], None]
"""Is given the attention module and its logits ``[batch, head, query, key]``."""

_record: ContextVar[Record] = ContextVar("record")


@contextmanager
def recorded(model: Any, record: Record) -> Iterator[None]:
    """Within it, every attention of ``model`` that asks transformers for its function tells ``record`` its logits.

    The function is registered with ``AttentionInterface`` and, so that masks are written out, with
    ``AttentionMaskInterface``. What the model used before comes back at the end. Whether every layer was reached is
    the caller's to assert: transformers calls it for those that ask, in the order of the layers.
    """
    from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
    from transformers.masking_utils import eager_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, eager_mask)
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    before = [(part, part.config._attn_implementation) for part in parts]
    token = _record.set(record)
    try:
        model.set_attn_implementation(NAME)
        yield
    finally:
        for part, implementation in before:
            part.set_attn_implementation(implementation)
        _record.reset(token)


@contextmanager
def eager(model: Any) -> Iterator[None]:
    """Within it, the model writes out its attention weights if it can.

    Models without the interface are told through the configuration, as they look there at each call (Falcon skips its
    mask otherwise). The caller checks that the output is what it was.
    """
    from transformers import PreTrainedModel

    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    before = [(part.config, part.config._attn_implementation) for part in parts]
    try:
        for part in parts:
            part.config._attn_implementation_internal = "eager"
        yield
    finally:
        for config, implementation in before:
            config._attn_implementation_internal = implementation


def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
           scaling: float | None = None, dropout: float = 0.0, softcap: float | None = None,
           position_bias: Tensor | None = None, s_aux: Tensor | None = None,
           **rest: Any) -> tuple[Tensor, Tensor]:  # fmt: skip
    """``softmax(cap(scale q k') + bias + mask) v``, with transformers' signature; tells the logits to the recorder.

    query: ``[batch, head, query, width]``; key, value: ``[batch, group, key, width]``. ``s_aux`` are logits of sinks,
    which take part in the softmax only. Whether this is what the model means by attention is checked from outside, by
    comparing its output with that of its own function.
    """
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    logits = (query @ key.transpose(-1, -2)).float() * scale
    if softcap is not None:
        logits = (logits / softcap).tanh() * softcap
    if position_bias is not None:
        logits = logits + position_bias
    if attention_mask is not None:
        hidden = ~attention_mask if attention_mask.dtype == torch.bool else attention_mask <= _lowest(attention_mask)
        logits = logits if attention_mask.dtype == torch.bool else logits + attention_mask.masked_fill(hidden, 0)
        logits = logits.masked_fill(hidden, -torch.inf)
    if s_aux is None:
        weights = logits.softmax(-1)
    else:
        sinks = s_aux.reshape(1, -1, 1, 1).expand(*logits.shape[:-1], 1).to(logits.dtype)
        weights = torch.cat([logits, sinks], -1).softmax(-1)[..., :-1]
    out = (weights.to(value.dtype) @ value).transpose(1, 2).contiguous()
    _record.get()(module, logits)
    return out, weights


def _lowest(mask: Tensor) -> float:
    """What a mask of numbers hides with: anything near the lowest number of its type."""
    return float(torch.finfo(mask.dtype).min) / 2
