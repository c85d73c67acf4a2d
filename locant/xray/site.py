"""Where a model reads its hidden states: the names and weights of what measures look at, layer by layer."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CAPTURES = ("raw", "normed", "mlp", "neurons", "logits")
"""What may be captured of each layer: the residual stream at its entry (also at the end of the last one), the input of
the attention's projections, the input of the MLP, the input of the MLP's last projection (its activations), and the
attention logits ``[batch, head, query, key]``, minus infinity where nothing may be seen."""
Deliver = Callable[[str, int, Tensor], None]
"""``(capture, layer, tensor)``, called as soon as the tensor exists."""


@dataclass(frozen=True)
class Reader:
    """A linear map that reads the hidden states of a layer.

    name: ``q``, ``k``, ``v``, or ``mlp.`` and the module's own name. path: of its module, from the model. hook: the
    same in TransformerLens' words. source: ``normed`` or ``mlp``, the capture that it reads. rows: which rows of the
    module's weight are its own, ``[out]``; all if None. heads: for each head the rows of ``weight()``,
    ``[head, width]``; None where the map has no heads or their place in the weight is not known.
    """

    name: str
    path: str
    hook: str
    source: str
    module: nn.Module
    rows: Tensor | None = None
    heads: Tensor | None = None

    def weight(self) -> Tensor:
        """The map's matrix ``[out, in]``, in the model's own number format; no bias."""
        weight = self.module.weight
        assert isinstance(weight, Tensor)
        beside = getattr(self.module, "beside", None)  # our own decoder's columns beside the stream
        if beside is not None:
            weight = torch.cat([weight, beside], 1)
        weight = weight.T if type(self.module).__name__ == "Conv1D" else weight
        return (weight if self.rows is None else weight[self.rows]).detach()

    def bias(self) -> Tensor | None:
        """The map's bias ``[out]``, if it has one."""
        bias = getattr(self.module, "bias", None)
        return None if bias is None else (bias if self.rows is None else bias[self.rows]).detach()


@dataclass(frozen=True)
class Site:
    """One layer: the paths of its module and of its attention's, and what reads its hidden states."""

    index: int
    path: str
    attention: str
    readers: tuple[Reader, ...]

    def hooks(self) -> dict[str, str]:
        """For each capture, its TransformerLens name and the module path, as in ``blocks.0.hook_in | h.0``."""
        block = f"blocks.{self.index}"
        return {
            "raw": f"{block}.hook_in | {self.path}",
            "normed": f"{block}.ln1.hook_out | {self.attention}",
            "mlp": f"{block}.ln2.hook_out | " + next((r.path for r in self.readers if r.source == "mlp"), self.path),
            "logits": f"{block}.attn.hook_attn_scores | {self.attention}",
        }
