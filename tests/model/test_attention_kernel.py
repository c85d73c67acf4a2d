"""Compiled attention is attention written out: values, gradients of any order, and where it gives way."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import noise, same
from torch import Tensor
from torch.nn import functional as F

import locant
from locant.encodings import T5, Alibi, Fire, Pairs, PositionalEncoding, contiguous, native
from locant.encodings.native import attention as kernel
from locant.encodings.native.attention import Added
from locant.model import blocks, compiled, fused
from locant.model.attend import Visibility, dense
from locant.model.bands import band

SEE = Visibility(lambda b, h, i, j: j <= i, None, causal=True)
CLOSE = {torch.float32: 2e-5, torch.bfloat16: 0.03}  # of the largest number
ENCODINGS = {
    "none": lambda heads: PositionalEncoding(),
    "alibi": Alibi,
    "t5": lambda heads: T5(heads, buckets=8, max_distance=12),
    "fire": lambda heads: Fire(heads, hidden=4, threshold=5.0),
}


def inputs(sizes: tuple[int, ...], values: int, shared: bool, dtype: torch.dtype) -> list[Tensor]:
    batch, heads, time, width = sizes
    if shared:
        q, k, v = noise(batch, time, 3, heads, width).to(dtype).permute(2, 0, 3, 1, 4)
    else:
        q, k = noise(2, batch, heads, time, width).to(dtype)
        v = noise(batch, heads, time, values, seed=1).to(dtype)
    return [x.detach().requires_grad_() for x in (q, k, v)]


@settings(max_examples=120, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 90), st.integers(1, 70)),
    values=st.integers(1, 40), shared=st.booleans(), dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    bias=st.sampled_from(["none", "one for all", "one each"]), size=st.sampled_from([1.0, 30.0]),
)  # fmt: skip
def test_it_is_attention_written_out(sizes: tuple[int, ...], values: int, shared: bool, dtype: torch.dtype, bias: str,
                                     size: float) -> None:  # fmt: skip
    """size: of the scores; with large ones most weights are too small to be told from nothing."""
    heads, time = sizes[1:3]
    q, k, v = inputs(sizes, values, shared, dtype)
    row = None if bias == "none" else size * noise(1 if bias == "one for all" else heads, time, seed=2)
    scale, learned = size * sizes[3] ** -0.5, []
    wide = [x.detach().double().requires_grad_() for x in (q, k, v)]
    mask = band(torch.zeros(1, time).double(), time)
    if row is not None:
        row.requires_grad_()
        learned, wide = [row], [*wide, row.detach().double().requires_grad_()]
        mask = band(wide[3], time)
    out = compiled.attention(q, k, v, row, scale)
    exact = (scale * wide[0] @ wide[1].mT + mask).softmax(-1) @ wide[2]
    wanted = noise(*out.shape, seed=4).to(dtype)
    found = torch.autograd.grad(out, (q, k, v, *learned), wanted)
    expected = torch.autograd.grad(exact, wide, wanted.double())
    assert out.dtype == dtype
    largest = max(float(each.abs().max()) for each in expected)
    for one, other, most in [(out, exact, float(exact.detach().abs().max())),
                             *((*pair, largest) for pair in zip(found, expected, strict=True))]:  # fmt: skip
        assert one.shape == other.shape
        assert float((one.detach().double() - other.detach()).abs().max()) <= CLOSE[dtype] * most + 1e-6
    with torch.no_grad():
        assert torch.equal(compiled.attention(q, k, v, row, scale), out)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(["t5", "fire"]), heads=st.integers(1, 3), time=st.integers(1, 60),
       block=st.integers(1, 40), piece=st.integers(1, 20))  # fmt: skip
def test_in_parts_it_is_the_same(kind: str, heads: int, time: int, block: int, piece: int) -> None:
    encoding = ENCODINGS[kind](heads)
    encoding.reset_parameters(torch.Generator().manual_seed(0))
    q, k, v = inputs((2, heads, time, 5), 5, True, torch.float32)
    where = contiguous(time).positions
    pairs = Pairs(q, k, where, where, SEE.mask_mod, scale=0.4)
    results = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "BLOCK", block)
        patch.setattr(compiled, "PIECE", piece)
        for way in ("parts", "dense"):
            out = (compiled.in_parts(q, k, v, blocks.Later(encoding, pairs), 0.4) if way == "parts"
                   else dense(pairs, v, SEE, encoding.score_mod(pairs)))  # fmt: skip
            wanted = noise(*out.shape, seed=4)
            results.append([out, *torch.autograd.grad(out, (q, k, v, *encoding.parameters()), wanted)])
    largest = max(float(each.detach().abs().max()) for each in results[1])  # of offsets the gradient is 0 in truth
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-4, atol=1e-5 * largest)


def test_queries_may_be_the_last_of_the_keys() -> None:
    """With scores that follow from distance, and with a number for every pair."""
    q, k, v = inputs((2, 3, 41, 6), 6, False, torch.float32)
    row = noise(3, 41, seed=2)
    whole, _ = kernel.forward(native.compiled(), q, k, v, Added.of(row), 0.5, False)
    for start in (0, 1, 8, 13, 40):
        some = q[:, :, start:]
        for added in (Added.of(row), Added.of(band(row, 41)[:, start:].clamp(min=-9))):
            found, _ = kernel.forward(native.compiled(), some, k, v, added, 0.5, False)
            torch.testing.assert_close(found, whole[:, :, start:], rtol=1e-5, atol=1e-6)


def test_the_gradient_has_a_gradient() -> None:
    q, k, v = inputs((1, 2, 5, 3), 3, True, torch.float32)
    row = noise(2, 5, seed=2).requires_grad_()
    results = []
    for way in (compiled.attention, None):
        out = way(q, k, v, row, 0.5) if way else (0.5 * q @ k.mT + band(row, 5)).softmax(-1) @ v
        first = torch.autograd.grad(out.square().sum(), (q, k, v, row), create_graph=True)
        results.append([*first, *torch.autograd.grad(sum(x.square().sum() for x in first), (q, k, v, row))])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_only_what_needs_a_gradient_gets_one() -> None:
    q, k, v = inputs((1, 2, 40, 4), 4, True, torch.float32)
    compiled.attention(q, k.detach(), v.detach(), noise(2, 40), 0.5).sum().backward()
    assert q.grad is not None
    assert k.grad is None


def test_threads_change_nothing() -> None:
    row = noise(4, 70, seed=2).requires_grad_()
    results, threads = [], torch.get_num_threads()
    for count in (1, 3):
        torch.set_num_threads(count)
        try:
            q, k, v = inputs((3, 4, 70, 16), 16, True, torch.float32)
            out = compiled.attention(q, k, v, row, 0.3)
            results.append([out, *torch.autograd.grad(out.sin().sum(), (q, k, v, row))])
        finally:
            torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_the_future_is_not_seen_whatever_it_is() -> None:
    q, k, v = (x.detach() for x in inputs((1, 2, 40, 4), 4, True, torch.float32))
    before = compiled.attention(q, k, v, noise(2, 40), 0.5)
    k, v = k.clone(), v.clone()
    k[:, :, 37:], v[:, :, 37:] = torch.nan, torch.inf
    after = compiled.attention(q, k, v, noise(2, 40), 0.5)
    assert torch.equal(after[:, :, :32], before[:, :, :32])
    assert after[:, :, 37:].isnan().all()


@pytest.mark.parametrize("kind", ENCODINGS)
def test_the_model_takes_it(kind: str) -> None:
    """From the length on from which it is faster, and with the same values as without."""
    encoding = ENCODINGS[kind](4)
    encoding.reset_parameters(torch.Generator().manual_seed(0))
    for time in (compiled.LEAST - 1, compiled.LEAST, 75):
        q, k, v = inputs((2, 4, time, 8), 8, True, torch.float32)
        where = contiguous(time, start=3).positions
        pairs = Pairs(q, k, where, where, SEE.mask_mod, scale=0.3)
        mod = None if kind == "none" else blocks.Later(encoding, pairs)
        out = blocks.blocks(pairs, v, SEE, mod)
        assert ("_Attention" in str(out.grad_fn) or "_InParts" in str(out.grad_fn)) == (time >= compiled.LEAST)
        same(out, dense(pairs, v, SEE, encoding.score_mod(pairs)))


class TestWhenItPays:
    def test_it_gives_way_to_what_it_cannot_take(self) -> None:
        q, k, v = inputs((2, 2, 50, 4), 4, False, torch.float32)
        assert compiled.pays(q, k, v, adds=True)
        subclass = type("Marked", (Tensor,), {})(q.detach())
        for other in (
            subclass,
            torch.complex(q, q).conj().imag,
            q.double(),
            q.half(),
            q.to("meta"),
            q[:, :, 1:],
            q[..., 1:],
        ):
            assert not compiled.pays(other, k, v, adds=True)
        assert not compiled.pays(q, k, v.bfloat16(), adds=True)
        assert not compiled.pays(q, k, v[:, :, 1:], adds=True)
        assert not compiled.pays(*(x[:, :, : compiled.LEAST - 1] for x in (q, k, v)), adds=True)
        with native.kernels("torch"):
            assert not compiled.pays(q, k, v, adds=True)
        torch.func.vmap(lambda x: pytest.fail("taken") if compiled.pays(x, x, x, adds=True) else x)(
            noise(2, 2, 2, 50, 4)
        )

    def test_units_for_bfloat16_are_faster_on_long_sequences(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fused, "AMX", True)
        x = torch.zeros(1, 1, compiled.AMX_FORWARD, 4, dtype=torch.bfloat16, requires_grad=True)
        long = torch.zeros(1, 1, compiled.AMX_TRAINING, 4, dtype=torch.bfloat16, requires_grad=True)
        assert compiled.pays(x, x, x, adds=False)
        assert not compiled.pays(long, long, long, adds=False)
        assert compiled.pays(long, long, long, adds=True)
        with torch.no_grad():
            assert not compiled.pays(x, x, x, adds=False)
            assert compiled.pays(x.float(), x.float(), x.float(), adds=False)
        monkeypatch.setattr(fused, "AMX", False)
        assert compiled.pays(long, long, long, adds=False)


@pytest.mark.parametrize("expression", ["rotary", "alibi", "t5", "fire", "decoupled(learned)", "rotary + kerple_log"])
def test_a_model_trains_as_with_torch(expression: str) -> None:
    made = locant.decoder(expression, 32, 4, 2, 64, 50)
    tokens = torch.randint(50, (3, 61), generator=torch.Generator().manual_seed(0))
    grads = []
    for way in native.WAYS:
        with native.kernels(way):
            loss = F.cross_entropy(made(tokens).flatten(0, 1), tokens.roll(-1, 1).flatten())
            grads.append([loss, *torch.autograd.grad(loss, list(made.parameters()))])
    for one, other in zip(*grads, strict=True):
        assert (one - other).abs().max() <= 1e-4 * other.abs().max() + 1e-6


def test_no_memory_is_said() -> None:
    with pytest.raises(MemoryError, match="expected memory for the attention of one head, was: none left"):
        kernel._check(1)
