"""Causal attention with an encoding as one call, for whoever has a model of their own."""

from torch import Tensor

from locant.encodings import Pairs, PositionalEncoding
from locant.model.attend import visibility
from locant.model.attended import attended
from locant.model.decoder import ATTENTION, choose


def causal_attention(encoding: PositionalEncoding, q: Tensor, k: Tensor, v: Tensor, positions: Tensor, *,
                     documents: Tensor | None = None, x: Tensor | None = None, scale: float | None = None,
                     attention: str = "auto") -> Tensor:  # fmt: skip
    """All that a layer does between its projections, in the fastest way there is: ``softmax(mod(scale q' k'')) v'``.

    q, k, v: ``[batch, head, time, width]``, as they come from the projection; the encoding's ``qk``, ``values``,
        ``score_mod`` and ``output`` are applied here, and what comes later in the tensor is not seen.
    positions: ``[batch or 1, time]``.  documents: numbers of the same shape; tokens see their own document only.
    x: the input of the layer ``[batch, time, width]``, for encodings that make ``notes`` of it.
    scale: ``width ** -0.5`` unless given.  attention: as for ``Decoder``.
    On a processor, scores that follow from distance and have no documents go through compiled kernels, if there is a C
    compiler: no mask is made, and learned scores have their gradient at no square of memory.
    Raises ValueError for an encoding that needs ``x`` without it, and as ``Decoder`` does.
    """
    if x is None and encoding.defines("notes"):
        raise ValueError("expected x, the input of the layer, for an encoding that makes notes of it, was: none")
    content, scale = q, q.shape[-1] ** -0.5 if scale is None else scale
    attend = ATTENTION[choose(attention, (encoding,))]
    see = visibility(q.shape[2], k.shape[2], documents, documents, q.device)
    q, k = encoding.qk(q, k, positions, positions)
    v = encoding.values(v, positions)
    notes = None if x is None else encoding.notes(x, positions)
    pairs = Pairs(q, k, positions, positions, see.mask_mod, notes, notes, scale, content)
    return attended(encoding, attend, pairs, v, see)
