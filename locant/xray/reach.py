"""One way to look into any model: its layers, what reads them, and their states as a pass meets them.

    reach = reach_model(model)                     # a transformers model or one of our decoders
    reach.run(tokens, lambda name, layer, x, rows: ..., capture=("normed", "logits"))

Nothing is kept: each tensor is handed over as soon as it exists, so that measures with running sums need memory for one
layer of one batch.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from locant.model import Decoder
from locant.xray import decoder, hooks
from locant.xray.site import CAPTURES, Deliver, Reader, Site

Visit = Callable[[str, int, Tensor, slice], None]
"""``(capture, layer, tensor [rows, time, ...], rows)``: ``rows`` are those of the tokens that were given."""
PROBE = (3, 12)  # tokens of the small pass by which a model is understood


@dataclass(frozen=True)
class Reach:
    """What can be reached in a model, and a way to pass tokens through it.

    route: how attention logits are had: ``interface`` (transformers' registered attention, its output checked against
    the model's own), ``eager`` (logarithms of the weights that the model writes out) or ``ours``. heads: of queries.
    width: of the residual stream. sites: one for each layer. causal: whether no query was seen to look ahead.
    takes_positions: whether a pass can be told positions. first: what the model calls its first position (2 for
    RoBERTa); positions that are given to ``run`` count from 0 nevertheless. position_columns: per capture the columns
    that were declared to hold position, as ``concat`` and ``beside`` do.
    """

    model: nn.Module
    route: str
    heads: int
    width: int
    sites: tuple[Site, ...]
    causal: bool
    takes_positions: bool
    first: int
    vocabulary: int
    forward: Callable[[Tensor, Tensor | None, frozenset[str], Deliver], Tensor]
    position_columns: dict[str, slice]

    @property
    def layers(self) -> int:
        return len(self.sites)

    def readers(self, layer: int) -> tuple[Reader, ...]:
        """The linear maps that read hidden states in this layer."""
        return self.sites[layer].readers

    def run(self, tokens: Tensor, visit: Visit, *, capture: Sequence[str] = ("normed",),
            positions: Tensor | None = None, layers: Sequence[int] | None = None, batch: int = 8) -> None:  # fmt: skip
        """Passes ``tokens`` ``[contexts, time]`` through the model, ``batch`` rows at once, and hands over captures.

        capture: names of ``locant.xray.site.CAPTURES``. ``raw`` has one layer more than the model, the last layer's
        output. positions: whole numbers ``[time]``, counted from 0; 0, 1, 2, ... unless given. layers: those wanted.
        Raises ValueError for unknown captures, tokens or positions outside of the model's tables, positions for a
        model that takes none, and states that are not finite.
        """
        unknown = [name for name in capture if name not in CAPTURES]
        if unknown or not capture:
            raise ValueError(f"expected captures among {', '.join(CAPTURES)}, was: {', '.join(unknown) or 'none'}")
        self._check(tokens, positions)
        wanted = None if layers is None else set(layers)
        for start in range(0, tokens.shape[0], batch):
            rows = slice(start, min(start + batch, tokens.shape[0]))

            def deliver(name: str, layer: int, x: Tensor, rows: slice = rows) -> None:
                if wanted is not None and layer not in wanted:
                    return
                if not bool(torch.isfinite(x if name != "logits" else x.masked_fill(x == -torch.inf, 0)).all()):
                    raise ValueError(f"expected finite hidden states, was: NaN or infinity in {name} of layer {layer}")
                visit(name, layer, x, rows)

            self._pass(tokens[rows], positions, frozenset(capture), deliver)

    def last(self, tokens: Tensor, *, positions: Tensor | None = None) -> Tensor:
        """The last hidden states ``[contexts, time, width]`` of one pass."""
        self._check(tokens, positions)
        return self._pass(tokens, positions, frozenset(), lambda name, layer, x: None)

    def _pass(self, tokens: Tensor, positions: Tensor | None, capture: frozenset[str], deliver: Deliver) -> Tensor:
        try:
            with torch.no_grad():
                return self.forward(tokens, positions, capture, deliver)
        except IndexError as error:
            last = tokens.shape[1] - 1 if positions is None else int(positions.max())
            raise ValueError(f"expected positions within the model's table, was: {last}") from error

    def _check(self, tokens: Tensor, positions: Tensor | None) -> None:
        if tokens.ndim != 2 or tokens.numel() == 0 or tokens.is_floating_point():
            raise ValueError(f"expected tokens as whole numbers [contexts, time], was: {tuple(tokens.shape)}")
        low, high = int(tokens.min()), int(tokens.max())
        if low < 0 or high >= self.vocabulary:
            raise ValueError(f"expected tokens from 0 to {self.vocabulary - 1}, was: {low if low < 0 else high}")
        if positions is not None and not self.takes_positions:
            raise ValueError("expected no positions for a model that takes none, was: positions")
        if positions is not None and positions.shape != tokens.shape[1:]:
            raise ValueError(f"expected {tokens.shape[1]} positions, was: {tuple(positions.shape)}")


def reach_model(model: nn.Module, *, seed: int = 0) -> Reach:
    """Finds out how to look into ``model``: one of our decoders, or a transformers model (its encoder if it has two).

    The model is put into evaluation mode. Attention is reached through transformers' interface where the output stays
    what it was, and by the weights that the model writes out where it does not use the interface.
    Raises ValueError, with what both routes said, if neither reaches every layer.
    """
    model.eval()
    if isinstance(model, Decoder):
        return _ours(model, seed)
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        raise ValueError(f"expected a transformers model or a locant decoder, was: {type(model).__name__}")
    return _transformers(model, seed)


def _ours(model: Decoder, seed: int) -> Reach:
    def forward(tokens: Tensor, positions: Tensor | None, capture: frozenset[str], deliver: Deliver) -> Tensor:
        return decoder.forward(model, tokens, positions, capture, deliver)

    first: Any = model.blocks[0]
    return Reach(model, "ours", first.attention.heads, model.width, decoder.sites(model), True, True, 0,
                 model.tokens.num_embeddings, forward, decoder.position_columns(model))  # fmt: skip


def _transformers(model: Any, seed: int) -> Reach:
    import inspect

    base = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
    known = inspect.signature(base.forward).parameters
    table = base.get_input_embeddings()
    vocabulary = int(table.num_embeddings)
    generator = torch.Generator().manual_seed(seed)
    padding = getattr(model.config.get_text_config(), "pad_token_id", None)
    tokens = torch.randint(max(1, vocabulary - 1), PROBE, generator=generator)
    if isinstance(padding, int):  # a padding token would be numbered otherwise
        tokens = tokens + (tokens >= padding).long()
    tokens = tokens.clamp_max(vocabulary - 1).to(table.weight.device)
    plain = {"attention_mask": torch.ones_like(tokens)} | ({"use_cache": False} if "use_cache" in known else {})
    with torch.no_grad():
        expected = base(input_ids=tokens, **plain)[0]
        if not bool(torch.isfinite(expected).all()):
            told = f"was: NaN or infinity in the output of {type(base).__name__} in {expected.dtype}"
            raise ValueError(f"expected finite hidden states, {told}")
        first = _first_position(base, tokens, plain, expected, padding) if "position_ids" in known else None
    trace = _trace(base, {"input_ids": tokens, **plain}, expected)
    logits: list[Tensor] = []
    with torch.no_grad(), hooks.logits_heard(base, trace, lambda name, layer, x: logits.append(x)) as more:
        base(input_ids=tokens, **plain, **more)
    ahead = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=tokens.device).triu(1)
    causal = all(bool((each[..., ahead] == -torch.inf).all()) for each in logits)

    def forward(tokens: Tensor, positions: Tensor | None, capture: frozenset[str], deliver: Deliver) -> Tensor:
        tokens = tokens.to(table.weight.device)
        inputs = {**plain, "input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
        if first is not None:
            # Always told, with a mask of ones: models guess otherwise, from padding tokens or jumps in the numbers.
            here = torch.arange(tokens.shape[1]) if positions is None else positions
            inputs["position_ids"] = (here.to(tokens.device) + first)[None].expand(tokens.shape)
        with ExitStack() as stack:
            stack.enter_context(hooks.listening(base, trace, capture - {"logits"}, deliver))
            if "logits" in capture:
                inputs |= stack.enter_context(hooks.logits_heard(base, trace, deliver))
            out: Tensor = base(**inputs)[0]
        return out

    return Reach(model, trace.route, logits[0].shape[1], expected.shape[-1], trace.sites, causal, first is not None,
                 first or 0, vocabulary, forward, {})  # fmt: skip


def _first_position(base: Any, tokens: Tensor, plain: dict[str, Any], expected: Tensor,
                    padding: int | None) -> int | None:  # fmt: skip
    """The number that the model gives its first token, by which of a few reproduces the output without numbers."""
    steps = torch.arange(tokens.shape[1], device=tokens.device)
    candidates = dict.fromkeys((0, 1 + (padding or 0), 1, 2))
    for first in candidates:
        try:
            out = base(input_ids=tokens, position_ids=(steps + first)[None].expand(tokens.shape), **plain)[0]
        except IndexError:  # beyond the table, so not this one
            continue
        if _close(out, expected):
            return first
    raise ValueError(f"expected position_ids that count from one of {list(candidates)}, was: a model that does not")


def _trace(base: Any, inputs: dict[str, Any], expected: Tensor) -> hooks.Trace:
    config = base.config.get_text_config()
    layers = int(getattr(config, "num_hidden_layers", 0) or getattr(config, "num_layers", 0))
    reasons = []
    for route in ("interface", "eager"):
        if route == "interface" and not base._can_set_attn_implementation():
            reasons.append("it does not use the attention interface")
            continue
        try:
            trace = hooks.look(base, inputs, layers, route)
            with torch.no_grad(), hooks.logits_heard(base, trace, lambda name, layer, x: None) as more:
                out = base(**inputs, **more)[0]
        except ValueError as error:
            reasons.append(f"{route}: {error}")
            continue
        if _close(out, expected):
            return trace
        reasons.append(f"{route}: the output changes when attention is read")
    raise ValueError(f"expected a model whose attention can be reached, was: {type(base).__name__} "
                     f"({'; '.join(reasons)})")  # fmt: skip


def _close(a: Tensor, b: Tensor) -> bool:
    """Equal up to the rounding of the model's own numbers."""
    share = 1e-4 if b.dtype in (torch.float32, torch.float64) else 5e-2
    return bool(((a - b).float().abs().amax() <= share * b.float().abs().amax()).item())
