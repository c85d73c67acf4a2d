"""The clean-up of vectors against Torchhd's, which takes one at a time."""

import torch
from capacity.sums import table
from torch import Tensor

from locant.capacity.decoders import decode


def test_the_clean_up_is_torchhds() -> None:
    import torchhd

    rows = torchhd.MAPTensor(table(300, 200).sign())
    picked = torch.arange(0, 300, 7)
    noisy = rows[picked] + 2 * table(len(picked), 200, 1)
    theirs = torch.cat([torchhd.cleanup(query, rows) for query in noisy]).as_subclass(Tensor)
    found = decode(noisy.as_subclass(Tensor), rows.as_subclass(Tensor), 1, "cosine")[:, 0]
    assert torch.equal(rows.as_subclass(Tensor)[found], theirs)
    assert float((found == picked).double().mean()) > 0.9
