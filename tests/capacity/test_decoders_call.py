"""One call for all decoders: what it finds, what it refuses, and how much it holds at a time."""

import pytest
import torch
from capacity.sums import right, sets, table, trained
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from locant.capacity.decoders import OF_ONE, OF_SEVERAL, decode, iterative_bytes, score_rows, sums_at_a_time

EASY = {"least_squares": (20, 24, 5), "box": (40, 32, 12), "exhaustive": (20, 24, 3), "middle": (30, 8, 4)}


class Largest(TorchDispatchMode):
    """The most numbers that any one operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf.untyped_storage().nbytes() >= leaf.numel() * leaf.element_size():
                self.numbers = max(self.numbers, leaf.numel())
        return out


@pytest.mark.parametrize("decoder", OF_ONE)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_every_decoder_of_one_table(decoder: str, kind: torch.dtype) -> None:
    items, width, members = EASY.get(decoder, (200, 128, 3))
    rows = table(items, width)
    expected = sets(10, items, members)
    assert torch.equal(decode(rows[expected].sum(1).to(kind), rows, members, decoder), expected)


@pytest.mark.parametrize("decoder", OF_SEVERAL)
def test_every_decoder_of_two_tables(decoder: str) -> None:
    tables = [table(40, 12) @ table(12, 64, 5), table(30, 10, 1) @ table(10, 64, 6)]
    expected = torch.cat((sets(20, 40, 1, 2), sets(20, 30, 1, 3)), 1)
    sums = tables[0][expected[:, 0]] + tables[1][expected[:, 1]]
    assert right(decode(sums, tables, 1, decoder), expected) >= (0.3 if decoder in ("dot", "cosine", "centred") else 1)


@pytest.mark.parametrize("decoder", ["dot", "cosine", "centred", "whitened", "successive"])
def test_three_tables(decoder: str) -> None:
    tables = [table(items, 256, items) for items in (40, 30, 20)]
    expected = torch.cat([sets(20, len(rows), 1, len(rows)) for rows in tables], 1)
    sums = torch.stack([rows[expected[:, n]] for n, rows in enumerate(tables)]).sum(0)
    assert torch.equal(decode(sums, tables, decoder=decoder), expected)


@pytest.mark.parametrize("decoder", ["successive", "beam", "omp", "amp"])
def test_whitened_first(decoder: str) -> None:
    rows = trained(1000, 64)
    expected = sets(40, 1000, 4)
    sums = rows[expected].sum(1)
    better = right(decode(sums, rows, 4, decoder, whitened=True), expected)
    assert better > 0.9
    assert better > right(decode(sums, rows, 4, decoder), expected)


@pytest.mark.parametrize("decoder", ["dot", "whitened", "successive", "beam", "omp", "amp", "vamp", "exhaustive"])
def test_what_is_held_at_a_time_stays_within_the_memory(decoder: str) -> None:
    """No operation makes more numbers than fit, and the answer is the same."""
    items, width, members = (40, 8, 3) if decoder == "exhaustive" else (6000, 16, 2)
    rows = table(items, width)
    sums = rows[sets(64, items, members)].sum(1)
    memory = 2**19 if decoder not in ("amp", "vamp", "beam") else 2**21 * 3
    with Largest() as seen:
        found = decode(sums, rows, members, decoder, memory=memory)
    at_once = len(sums) * items * (8 if decoder == "beam" else 1)
    assert seen.numbers <= max(memory // 4, rows.numel())
    assert decoder == "exhaustive" or seen.numbers < at_once
    assert torch.equal(found, decode(sums, rows, members, decoder))


def test_estimates_grow_as_they_should() -> None:
    for name in ("successive", "beam", "omp", "amp", "vamp"):
        once, each = iterative_bytes(name, 64, 1000, 5)
        more, also = iterative_bytes(name, 64, 2000, 5)
        assert each < also <= 2 * each
        assert once <= more
        assert iterative_bytes(name, 64, 1000, 5, itemsize=8)[1] == 2 * each
        assert sums_at_a_time(name, 64, 1000, 5, once + 10 * each) == 10
    assert score_rows(10, 3, 10_000) == (10_000 - 10 * 3 * 2 * 12) // 80


BAD = [
    (lambda: decode(table(2, 4), table(9, 4), 2, "loud"), "a decoder for one table of dot, cosine, centred, whitened"),
    (lambda: decode(table(2, 4), table(9, 4), 2, "pairs"), "exhaustive, middle, was: pairs"),
    (lambda: decode(table(2, 4), [table(9, 4)] * 2, 1, "amp"), "for several tables of dot"),
    (lambda: decode(table(2, 4), [table(9, 4)] * 2, 2), "1 member of each of several tables, was: 2"),
    (lambda: decode(table(2, 4), [table(9, 4)] * 3, 1, "pairs"), "expected 2 tables for pairs, was: 3"),
    (lambda: decode(table(2, 4), [table(9, 4)], 1), "at least 2 tables, was: 1"),
    (lambda: decode(table(2, 4), table(9, 4), 2, "dot", whitened=True), "successive, beam, omp, amp, was: dot"),
    (lambda: decode(table(2, 4), [table(9, 4)] * 2, 1, "successive", whitened=True), "whitened with one table"),
    (lambda: decode(table(2, 4), table(9, 4), 2, "omp", beam=3), "beam with the decoder beam, was: omp"),
    (lambda: decode(table(2, 4), table(9, 4), 2, "beam", beam=0), "a beam of at least 1, was: 0"),
    (lambda: decode(table(2, 4), table(9, 4), 2, noise=-1.0), "at least 0, was: -1.0"),
    (lambda: decode(table(2, 4), table(9, 4), 2, memory=10), "at least 1024 bytes, was: 10"),
    (lambda: decode(table(2, 4), table(9000, 4), 2, "amp", memory=2**16), "MiB of memory for one sum by amp against 9"),
    (lambda: decode(table(999, 4), table(9, 4), 2, memory=2**14), "for 999 sums at a time; decode fewer"),
    (lambda: decode(table(2, 4), torch.ones(9, 4).long(), 2, "middle"), "table of floating point, was: torch.int64"),
    (lambda: decode(table(2, 4) * torch.nan, table(9, 4), 2), "finite sums, was"),
    (lambda: iterative_bytes("loud", 4, 4, 1), "successive, beam, omp, amp, vamp, was: loud"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_refusals(call, words: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        call()
    assert words in str(error.value)
