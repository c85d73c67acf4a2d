"""Attention in blocks equals attention written out, in values and gradients, and gives way where it would be wrong."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import HEADS, LAYERS, WIDTH, differs, noise, same, some_tokens
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import locant
from locant.encodings import (
    T5,
    Alibi,
    Fire,
    Layout,
    Pairs,
    PositionalEncoding,
    ScoreMod,
    Shaw,
    build,
    catalogue,
    contiguous,
    packed,
    shifted,
)
from locant.encodings.derived import Derived
from locant.model import bands, blocks, blockwise, fused, tiles
from locant.model.attend import Attend, Visibility, dense, grids, sdpa, visibility

pytestmark = pytest.mark.usefixtures("torch_kernels")
SEE = Visibility(lambda b, h, i, j: j <= i, None, causal=True)
BY_DISTANCE = [
    entry.example
    for entry in catalogue().values()
    if build(entry.example, width=WIDTH, heads=HEADS, layers=LAYERS, length=64).by_distance
]


def pairs_of(batch: int, heads: int, time: int, width: int, dtype: torch.dtype = torch.float32, *, start: int = 0,
             shared: bool = False) -> tuple[Pairs, Tensor]:  # fmt: skip
    """Queries, keys and values, each in memory of their own or all views of one projection."""
    if shared:
        q, k, v = noise(batch, time, 3, heads, width).to(dtype).permute(2, 0, 3, 1, 4)
    else:
        q, k, v = noise(3, batch, heads, time, width).to(dtype)
    where = contiguous(time, start=start).positions
    q, k, v = (x.detach().requires_grad_() for x in (q, k, v))
    return Pairs(q, k, where, where, SEE.mask_mod, scale=width**-0.5), v


def small_blocks(patch: pytest.MonkeyPatch, block: int = 4, backward: int = 3, numbers: int = 40,
                 tile: bool = False) -> None:  # fmt: skip
    patch.setattr(fused, "AMX", False)  # whatever this machine has
    patch.setattr(blocks, "LEAST", 1)
    patch.setattr(blocks, "LEARNED", 1)
    patch.setattr(bands, "BLOCK", block)
    for name, value in (("BACKWARD", backward), ("NUMBERS", numbers)):
        patch.setattr(blockwise, name, value)
    for name, value in (("LEAST", 1 if tile else 10**9), ("BLOCK", block), ("NUMBERS", numbers)):
        patch.setattr(tiles, name, value)


def results(attend: object, pairs: Pairs, v: Tensor, encoding: PositionalEncoding) -> list[Tensor]:
    mod: ScoreMod | None = (
        blocks.Later(encoding, pairs) if encoding.by_distance or encoding.by_position else encoding.score_mod(pairs)
    )
    out = attend(pairs, v, SEE, mod, None)  # type: ignore[operator]
    inputs = [pairs.q, pairs.k, v, *encoding.parameters()]
    return [out, *torch.autograd.grad(out, inputs, noise(*out.shape, seed=9).to(out.dtype))]


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["none", "alibi", "t5", "fire"]),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 23), st.integers(1, 6)),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    tuning=st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 60, 10_000])),
    start=st.sampled_from([0, 7]),
    shared=st.booleans(),
    tile=st.booleans(),
)
def test_blocks_equal_what_is_written_out(kind: str, sizes: tuple[int, int, int, int], dtype: torch.dtype,
                                          tuning: tuple[int, int, int], start: int, shared: bool,
                                          tile: bool) -> None:  # fmt: skip
    heads = sizes[1]
    encoding = {
        "none": PositionalEncoding(),
        "alibi": Alibi(heads),
        "t5": T5(heads, buckets=8, max_distance=12),
        "fire": Fire(heads, hidden=4, threshold=5.0),
    }[kind]
    encoding.reset_parameters(torch.Generator().manual_seed(0))
    pairs, v = pairs_of(*sizes, dtype, start=start, shared=shared)
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, *tuning, tile=tile)
        assert blocks._serve(pairs, v, SEE, blocks.Later(encoding, pairs) if kind != "none" else None)
        found = results(blocks.blocks, pairs, v, encoding)
    tolerance = {torch.float32: 2e-5, torch.float64: 1e-11, torch.bfloat16: 0.1}[dtype]
    if kind in ("t5", "fire") and dtype == torch.float64:
        tolerance = 2e-6  # the table is float32
    for one, other in zip(found, results(dense, pairs, v, encoding), strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * 4)


@pytest.mark.parametrize("time", [blocks.LEAST, blocks.LEAST + 41])
@pytest.mark.parametrize(
    "encoding", [PositionalEncoding(), Alibi(3), T5(3), Fire(3)], ids=["none", "alibi", "t5", "fire"]
)
def test_blocks_as_they_are_tuned(encoding: PositionalEncoding, time: int) -> None:
    pairs, v = pairs_of(2, 3, time, 8)
    for one, other in zip(results(blocks.blocks, pairs, v, encoding), results(dense, pairs, v, encoding), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("expression", BY_DISTANCE)
def test_what_says_by_distance_follows_from_distance(expression: str) -> None:
    encoding = build(expression, width=WIDTH, heads=HEADS, layers=LAYERS, length=64).layer(0)
    if not encoding.by_distance:
        encoding = next(each for each in map(encoding.layer, range(LAYERS)) if each.by_distance)
    time, where = 17, contiguous(17, start=20).positions
    pairs = Pairs(noise(1, HEADS, time, 8), noise(1, HEADS, time, 8, seed=1), where, where, SEE.mask_mod)
    mod = encoding.score_mod(pairs)
    assert mod is not None
    whole = mod(torch.zeros(()), *grids(1, HEADS, time, time, pairs.q.device)).expand(1, HEADS, time, time)[0]
    row = blocks.Later(encoding, pairs).row()
    for i in range(time):
        torch.testing.assert_close(whole[:, i, : i + 1], row[:, time - 1 - i :], rtol=1e-5, atol=2e-5)
    causal = whole.masked_fill(torch.ones(time, time).triu(1).bool(), -torch.inf)
    torch.testing.assert_close(bands.band(row, time), causal, rtol=1e-5, atol=2e-5)


def test_many_biases_follow_from_distance() -> None:
    assert set(BY_DISTANCE) >= {"alibi", "t5", "kerple_log", "kerple_power", "sandwich", "diet_rel", "mlp_bias", "bam"}
    for expression in ("fire", "shaw", "cope", "forgetting", "rotary"):
        assert expression not in BY_DISTANCE
    assert build("rotary + alibi + t5", width=32, heads=4).by_distance
    assert not build("shaw(furthest=4) + alibi", width=32, heads=4).by_distance


@pytest.mark.parametrize("size", [1, 2, 5])
def test_sums_along_diagonals_are_the_transpose_of_the_band(size: int) -> None:
    row, weights = noise(2, 5).double().requires_grad_(), noise(2, size, 5).double()
    visible = torch.ones(5, 5).tril().bool()[-size:]
    expected = torch.autograd.grad((bands.band(row, size).where(visible, 0.0) * weights).sum(), row)[0]
    torch.testing.assert_close(bands.from_band(weights.where(visible, 0.0)), expected)


def test_second_derivatives_where_a_bias_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    pairs, v = pairs_of(1, 2, 6, 3, torch.float64)
    row = noise(2, 6).double().requires_grad_()
    inputs = (pairs.q, pairs.k, v, row)
    assert torch.autograd.gradcheck(lambda *x: blockwise.by_distance(*x, 0.5), inputs)
    assert torch.autograd.gradgradcheck(lambda *x: blockwise.by_distance(*x, 0.5), inputs)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_second_derivatives_where_positions_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    pairs, v = pairs_of(1, 2, 5, 3, torch.float64)
    encoding = Fire(2, hidden=3, threshold=2.0).double()
    mod = blocks.Later(encoding, pairs)
    inputs = (pairs.q, pairs.k, v, encoding.network.second_bias, encoding.rate)

    def call(q: Tensor, k: Tensor, v: Tensor, *_: Tensor) -> Tensor:
        return blockwise.by_position(q, k, v, mod, 0.5)

    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


def test_only_what_needs_a_gradient_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    pairs, v = pairs_of(1, 2, 9, 4)
    encoding = T5(2)
    frozen = pairs._replace(q=pairs.q.detach(), k=pairs.k.detach())
    out = blocks.blocks(frozen, v.detach(), SEE, blocks.Later(encoding, frozen))
    out.square().sum().backward()
    plain = dense(frozen, v.detach(), SEE, encoding.score_mod(frozen))
    torch.testing.assert_close(encoding.weight.grad, torch.autograd.grad(plain.square().sum(), encoding.weight)[0])


def test_it_gives_way_where_positions_do_not_go_up_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    encoding = Alibi(2)
    for positions in (torch.tensor([[0, 1, 3, 4]]), torch.arange(4).flip(0)[None], torch.arange(4)[None] / 2,
                      torch.arange(4).expand(2, 4), torch.arange(8).view(1, 4, 2)):  # fmt: skip
        assert not blocks.consecutive(positions, positions)
        pairs, v = pairs_of(2, 2, 4, 4)
        pairs = pairs._replace(q_positions=positions, k_positions=positions)
        if positions.ndim == 2:
            mod = blocks.Later(encoding, pairs)
            same(blocks.blocks(pairs, v, SEE, mod), dense(pairs, v, SEE, encoding.score_mod(pairs)))
    assert blocks.consecutive(torch.arange(3)[None] + 0.5, torch.arange(3)[None] + 0.5)
    assert not blocks.consecutive(torch.arange(3)[None], torch.arange(3)[None] + 1)


def test_it_gives_way_to_documents_and_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    encoding = Alibi(2)
    pairs, v = pairs_of(1, 2, 9, 4)
    documents = packed([[4, 5]]).documents
    see = visibility(9, 9, documents, documents, v.device)
    assert not blocks._serve(pairs, v, see, None)
    same(blocks.blocks(pairs, v, see, blocks.Later(encoding, pairs)), sdpa(pairs, v, see, encoding.score_mod(pairs)))
    later = pairs._replace(q=pairs.q[:, :, 6:], q_positions=pairs.q_positions[:, 6:])
    see = visibility(3, 9, None, None, v.device)
    same(blocks.blocks(later, v, see, blocks.Later(encoding, later)), sdpa(later, v, see, encoding.score_mod(later)))


@pytest.mark.parametrize(
    "expression",
    ["rotary", "alibi", "t5 + rotary", "per_layer(alibi, none, shaw(furthest=5), diet_rel)", "fire", "fire + t5"],
)
def test_decoders_agree(monkeypatch: pytest.MonkeyPatch, expression: str) -> None:
    """Whole models, also at positions for which only some layers, or none, are computed in blocks."""
    small_blocks(monkeypatch)
    tokens, found = some_tokens(2, 13), []
    moved = shifted(contiguous(13), torch.tensor([[0], [9]]))
    skipping = Layout(torch.arange(13)[None] * 2)
    layouts = [contiguous(13), contiguous(13, start=9), packed([[5, 8], [13]]), moved, skipping]
    for attention in ("blocks", "dense"):
        model = locant.decoder(expression, WIDTH, HEADS, 4, 64, 23, attention=attention)
        logits = torch.stack([model(tokens, layout) for layout in layouts])
        (logits * noise(*logits.shape, seed=5)).sum().backward()
        found.append([logits, *[p.grad for p in model.parameters()]])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=5e-4)


@torch.no_grad()
def test_masks_are_made_once_and_anew_when_the_encoding_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    row = blocks.Later.row
    monkeypatch.setattr(blocks.Later, "row", lambda later: made.append(1) or row(later))
    model, tokens = locant.decoder("alibi", WIDTH, HEADS, LAYERS, 64, 23), some_tokens(2, 13)
    first = model(tokens)
    assert torch.equal(model(tokens), first)
    assert len(made) == 1, "once for all layers and steps"
    model.encoding.slopes = Derived(partial(torch.full, (HEADS,), 3.0, dtype=torch.float64))
    differs(model(tokens), first)
    assert len(made) == 2
    model.encoding.slopes.table.mul_(2)
    model(tokens)
    model.encoding.ahead = 0.5
    model(tokens)
    assert len(made) == 4
    learned = locant.decoder("t5", WIDTH, HEADS, LAYERS, 64, 23)
    for _ in range(2):
        learned(tokens)
    assert len(made) == 4 + 2 * LAYERS


def test_a_read_of_the_weights_is_refused() -> None:
    pairs, v = pairs_of(1, 2, 4, 4)
    with pytest.raises(ValueError, match="expected the attention dense for an encoding that reads the weights"):
        blocks.blocks(pairs, v, SEE, None, Shaw(4).read)


class Operators(TorchDispatchMode):
    """Notes which operators run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("expression", ["alibi", "t5", "sandwich", "fire", "shaw(furthest=4)"])
@pytest.mark.parametrize("attend", [sdpa, blocks.blocks])
@torch.no_grad()
def test_scores_do_not_keep_attention_from_its_fused_kernel(expression: str, attend: Attend) -> None:
    """It takes masks of four dimensions; with three everything is written out without a word."""
    encoding = build(expression, width=8, heads=2)
    pairs, v = pairs_of(2, 2, 300, 4)
    later = encoding.by_distance or encoding.by_position
    with Operators() as seen:
        attend(pairs, v, SEE, blocks.Later(encoding, pairs) if later else encoding.score_mod(pairs), None)
    fused = [name for name in seen.names if "flash_attention_for_cpu" in name]
    assert len(fused) == (3 if attend is blocks.blocks and later else 1)
    assert not [name for name in seen.names if "softmax" in name]
