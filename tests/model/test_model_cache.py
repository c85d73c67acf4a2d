"""The cache by itself, and what it refuses."""

import pytest
import torch
from support import named, noise, same, some_tokens
from torch import Tensor

import locant
from locant.encodings import Layout, contiguous, left_padded, packed
from locant.model.cache import Column


@pytest.mark.parametrize("dim", [-1, -2])
def test_a_column_is_the_concatenation(dim: int) -> None:
    column, parts = Column(dim), []
    for step, size in enumerate([3, 1, 1, 30, 1, 1, 1, 40]):
        shape = (2, size, 4) if dim == -2 else (2, 4, size)
        parts.append(noise(*shape, seed=step))
        assert torch.equal(column.append(parts[-1]), torch.cat(parts, dim=dim))
    assert column.length == 78


def test_a_column_is_seldom_copied() -> None:
    column, stores = Column(-1), set()
    for step in range(1000):
        column.append(torch.tensor([[step]]))
        assert column.store is not None
        stores.add(column.store.data_ptr())
        assert column.store.shape[-1] <= max(16, 2 * column.length)
    assert len(stores) <= 8


def test_its_length_is_what_was_read() -> None:
    model = named("rotary").model()
    cache = model.cache()
    assert len(cache) == 0
    for size in (4, 1, 3):
        before = len(cache)
        model(some_tokens(2, size), None, cache)
        assert len(cache) == before + size


def test_no_gradient_flows_through_it() -> None:
    model = named("rotary").model()
    cache = model.cache()
    first = model(some_tokens(2, 4), None, cache)
    second = model(some_tokens(2, 1), None, cache)
    assert first.requires_grad
    assert second.requires_grad
    assert not any(column.store.requires_grad for column in [*cache.keys, *cache.values] if column.store is not None)


def refused(first: Layout | None, then: Layout | None, tokens: Tensor) -> str:
    model = named("rotary").model()
    cache = model.cache()
    model(tokens, first, cache)
    with pytest.raises(ValueError, match="expected") as caught:
        model(tokens[:, :1], then, cache)
    return str(caught.value)


def test_what_it_refuses() -> None:
    tokens, rows = some_tokens(2, 5), Layout(torch.arange(5).expand(2, -1).contiguous())
    documents = "expected documents for all tokens of a cache or for none, was: for some"
    assert refused(packed([[5], [5]]), Layout(torch.tensor([[5], [5]])), tokens) == documents
    assert refused(rows, packed([[1], [1]]), tokens) == documents
    wrong_rows = refused(rows, contiguous(1, start=5), tokens)
    assert wrong_rows == "expected positions of 2 rows of torch.int64 as cached, was: (1, 1) torch.int64"
    wrong_type = refused(contiguous(5), Layout(torch.tensor([[5.0]])), tokens)
    assert wrong_type == "expected positions of 1 rows of torch.int64 as cached, was: (1, 1) torch.float32"
    needs_layout = "expected a layout, as the cache was filled with one, was: none"
    assert refused(rows, None, tokens) == needs_layout
    assert refused(left_padded([5, 3]), None, tokens) == needs_layout


@torch.no_grad()
def test_two_caches_of_one_model_do_not_meet() -> None:
    model = locant.decoder("t5", 32, 4, 2, 16, 23)
    one, other, tokens = model.cache(), model.cache(), some_tokens(2, 6)
    for step in range(6):
        model(tokens[:1, step : step + 1], None, one)
        last = model(tokens[1:, step : step + 1], None, other)
    same(last[:, -1], model(tokens[1:])[:, -1])
