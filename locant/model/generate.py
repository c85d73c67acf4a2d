"""Text from a decoder: the most likely token each time, or a sample."""

import torch
from torch import Tensor

from locant.encodings import Layout, contiguous
from locant.model.decoder import Decoder


@torch.no_grad()
def generate(
    model: Decoder,
    prompt: Tensor,
    steps: int,
    *,
    temperature: float = 0.0,
    top: int | None = None,
    generator: torch.Generator | None = None,
    layout: Layout | None = None,
) -> Tensor:
    """``steps`` new tokens ``[batch, steps]`` after ``prompt`` ``[batch, time]``, with a cache.

    temperature: 0 takes the most likely token; otherwise the logits are divided by it and sampled.
    top: sample from the ``top`` most likely tokens only.
    generator: needed to sample.
    layout: where the prompt's tokens are, for padded prompts (``left_padded``); every row goes on from its last one.
    Raises ValueError for an empty prompt, a negative temperature, sampling without a generator, ``top`` without
    sampling, or a position beyond the encoding's limit.
    """
    if prompt.shape[1] == 0 or steps < 0:
        raise ValueError(f"expected a prompt of at least 1 token and steps >= 0, was: {prompt.shape[1]} and {steps}")
    if temperature < 0 or (temperature > 0) != (generator is not None) or (top is not None and temperature == 0):
        raise ValueError(
            "expected a temperature of 0 (no generator, no top), or above 0 with a generator, "
            f"was: temperature {temperature}, {'a' if generator else 'no'} generator, top {top}"
        )
    here = layout if layout is not None else contiguous(prompt.shape[1], device=prompt.device)
    cache, tokens, made = model.cache(), prompt, []
    for _ in range(steps):
        logits = model(tokens, here, cache)[:, -1]
        tokens = pick(logits, temperature, top, generator)[:, None]
        made.append(tokens)
        documents = None if here.documents is None else here.documents[:, -1:]
        here = Layout(here.positions[:, -1:] + 1, documents)
    return torch.cat(made, dim=1) if made else prompt[:, :0]


def pick(logits: Tensor, temperature: float, top: int | None, generator: torch.Generator | None) -> Tensor:
    """One token per row of ``logits`` ``[batch, vocabulary]``."""
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits.float() / temperature
    if top is not None:
        if not 1 <= top <= logits.shape[-1]:
            raise ValueError(f"expected top in 1 .. {logits.shape[-1]}, was: {top}")
        least = logits.topk(top, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
