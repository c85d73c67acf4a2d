"""Who may see whom, against the rule written as a loop."""

import pytest
import torch
from support import some_tokens
from torch import Tensor
from torch.nn.attention import flex_attention

from locant.encodings import PADDING, left_padded, packed
from locant.model.attend import visibility
from locant.model.decoder import decoder

CPU = torch.device("cpu")


def by_rule(queries: int, keys: int, documents: Tensor | None, row: int) -> list[list[bool]]:
    """A token sees the tokens of its own document that come no later in the tensor than itself."""
    seen = []
    for query in range(keys - queries, keys):
        line = []
        for key in range(keys):
            same_document = documents is None or bool(documents[row, query] == documents[row, key])
            line.append(key <= query and same_document)
        seen.append(line)
    return seen


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (6, 6), (1, 6), (4, 6)])
@pytest.mark.parametrize("documents", [None, packed([[2, 3]]).documents, left_padded([2, 6]).documents])
def test_visibility(queries: int, keys: int, documents: Tensor | None) -> None:
    if documents is not None:
        documents = torch.nn.functional.pad(documents, (0, max(0, keys - documents.shape[1])), value=PADDING)[:, :keys]
    see = visibility(queries, keys, None if documents is None else documents[:, keys - queries :], documents, CPU)
    for row in range(1 if documents is None else len(documents)):
        expected = by_rule(queries, keys, documents, row)
        for i in range(queries):
            for j in range(keys):
                index = [torch.tensor(n) for n in (row, 0, i, j)]
                assert bool(see.mask_mod(*index)) == expected[i][j]
        if see.mask is not None:
            assert see.mask[row, 0].tolist() == expected
        elif see.causal:
            assert expected == torch.ones(queries, keys).tril().bool().tolist()
        else:
            assert all(all(line) for line in expected)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_blocks_of_flex_are_made_once_where_order_alone_decides(monkeypatch):
    made = []
    create = flex_attention.create_block_mask
    monkeypatch.setattr(flex_attention, "create_block_mask", lambda *given, **named: made.append(given[1:])
                        or create(*given, **named))  # fmt: skip
    model, tokens = decoder("alibi", 32, 4, 3, 20, 23, attention="flex"), some_tokens(2, 20)
    with torch.no_grad():
        for _ in range(2):
            model(tokens)
        assert made == [(None, None, 20, 20)]
        model(tokens[:, :7])
        model(tokens, packed([[8, 12], [5, 15]]))
    assert made[1:] == [(None, None, 7, 7), *[(2, None, 20, 20)] * 3]
