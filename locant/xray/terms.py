"""M6: the logit as a sum of terms, content and position asking content and position: TUPE's terms and their energies.

For a layer's input ``x = constant + content + position`` and ``s_ij = (W_q x_i + b_q) (W_k x_j + b_k)'``, what is the
same for all keys of a row disappears in the softmax. Six terms are left: query by constant (with its bias), content or
position, key by content or position. The four without the constant are the four blocks of
``s_ij = x_i' A x_j + x_i' B p_j + p_i' C x_j + p_i' D p_j``.
"""

import torch
from torch import Tensor

from locant.xray.logits import row_centred
from locant.xray.metric import Metric, absent
from locant.xray.site import Reader

QUERIES, KEYS = ("constant", "content", "position"), ("content", "position")
Map = tuple[Tensor, Tensor | None]
"""A projection by heads: weight ``[head, width, in]`` and bias ``[head, width]``."""


def by_heads(reader: Reader) -> Map:
    """A reader's weight and bias by heads, in float64. Raises ValueError if its heads are not known."""
    if reader.heads is None:
        raise ValueError(f"expected a projection whose heads are known, was: {reader.path}")
    bias = reader.bias()
    heads = reader.heads.to(reader.weight().device)
    return reader.weight().double()[heads], None if bias is None else bias.double()[heads]


def six_terms(constant: Tensor, content: Tensor, position: Tensor, q: Map, k: Map,
              used: Tensor) -> dict[tuple[str, str], Tensor]:  # fmt: skip
    """Row-centred terms ``[rows, head, query, key]`` by their names; they add up to the row-centred logits.

    constant: ``[in]`` or ``[rows, time, in]``; content: ``[rows, time, in]``; position: ``[time, in]`` or with rows.
    used: ``[query, key]``, the pairs that count. Not scaled, as shares do not need it. Source: Ke et al. 2021,
    arXiv:2006.15595, equation 6, which has the four terms without a constant; we keep the constant that real models
    have (means, biases, type rows).
    """
    groups = q[0].shape[0] // k[0].shape[0]

    def project(x: Tensor, weight: Tensor) -> Tensor:
        wide = x.double().expand(*content.shape[:2], x.shape[-1])
        return torch.einsum("bti,hwi->bhtw", wide, weight)

    asking = dict(zip(QUERIES, (project(part, q[0]) for part in (constant, content, position)), strict=True))
    if q[1] is not None:
        asking["constant"] = asking["constant"] + q[1][:, None]
    asked = [project(part, k[0]).repeat_interleave(groups, 1) for part in (content, position)]
    return {
        (query, key): row_centred(asking[query] @ there.transpose(-1, -2), used)
        for query in QUERIES
        for key, there in zip(KEYS, asked, strict=True)
    }


class TermSums:
    """Running energies ``[head]`` of the six terms of one layer, and of their sum.

    mean: ``[in]`` and position: ``[time, in]``, the layer's mean state and mean per slot less it, as M4 has them;
    content is the rest. For a model whose input is a sum, hand its parts to ``six_terms`` instead.
    """

    def __init__(self, mean: Tensor, position: Tensor, q: Reader, k: Reader) -> None:
        self.mean, self.position, self.q, self.k = mean.double(), position.double(), by_heads(q), by_heads(k)
        self.energy: dict[tuple[str, str], Tensor] = {}
        self.total: Tensor | None = None
        self.rows = 0

    def add(self, x: Tensor, visible: Tensor) -> None:
        """Takes in states ``[rows, time, in]``; visible: ``[query, key]``."""
        content = x.double() - self.mean - self.position
        terms = six_terms(self.mean, content, self.position, self.q, self.k, visible)
        whole = torch.stack(list(terms.values())).sum(0).square().sum((0, 2, 3))
        self.total = whole if self.total is None else self.total + whole
        for name, term in terms.items():
            energy = term.square().sum((0, 2, 3))
            self.energy[name] = self.energy[name] + energy if name in self.energy else energy
        self.rows += len(x)


def term_energies(sums: TermSums) -> dict[str, Metric]:
    """``QUERY_to_KEY``: each term's energy over the sum of the six energies; also ``together``.

    ``together`` is the energy of the whole over that sum: 1 if the terms are uncorrelated (its baseline), less where
    they cancel. Before rotations and biases on scores, which are no part of a projection.
    """
    names = {name: f"{name[0]}_to_{name[1]}" for name in sums.energy}
    summed = float(sum(energy.sum() for energy in sums.energy.values()))
    if not summed > 0 or sums.total is None:
        return {name: absent("the logits do not vary", n=sums.rows) for name in [*names.values(), "together"]}
    note = (f"share of the energies of six terms of the row-centred logits; position, a mean of {sums.rows} texts, "
            f"holds about 1/{sums.rows} of the content's energy by chance")  # fmt: skip
    found = {names[name]: Metric(float(each.sum()) / summed, None, sums.rows, None, note)
             for name, each in sums.energy.items()}  # fmt: skip
    return found | {"together": Metric(float(sums.total.sum()) / summed, 1.0, sums.rows, None, "energy of their sum")}
