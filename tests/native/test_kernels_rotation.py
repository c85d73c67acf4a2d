"""Compiled rotations and look-ups are those of PyTorch's operations, to the last bit, and give way where they must."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import lying, noise
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

from locant.encodings import Add, Concat, Learned, Rotary, contiguous, native
from locant.encodings.native import functions
from locant.encodings.rotary import turn_plainly, waves

DTYPES = [torch.float32, torch.bfloat16, torch.float64]


@settings(max_examples=200, deadline=None)
@given(
    layout=st.sampled_from(["half", "interleaved"]),
    order=st.sampled_from(["own", "shared", "odd"]),
    dtype=st.sampled_from(DTYPES),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9),
                    st.one_of(st.integers(1, 40), st.sampled_from([8, 16, 32, 64]))),
    of_rows=st.booleans(), of_heads=st.booleans(), of_times=st.booleans(),
)  # fmt: skip
def test_a_rotation_is_the_plain_one_to_the_last_bit(layout: str, order: str, dtype: torch.dtype,
                                                     sizes: tuple[int, ...], of_rows: bool, of_heads: bool,
                                                     of_times: bool) -> None:  # fmt: skip
    batch, heads, time, pairs = sizes
    wide = torch.promote_types(dtype, torch.float32)
    table = (batch if of_rows else 1, heads if of_heads else 1, time if of_times else 1, pairs)
    cos, sin = waves(3.0 * noise(*table, seed=3).to(wide))
    x = lying(order, batch, heads, time, 2 * pairs).to(dtype)
    x = x if x.stride(3) == 1 else x.contiguous()
    found = functions.turned(cos, sin, layout, x)
    assert found is not None
    assert torch.equal(found[0], turn_plainly(x, cos, sin, layout=layout))
    two = functions.turned(cos, sin, layout, x, x + 1)
    assert two is not None
    assert torch.equal(two[0], found[0])
    assert torch.equal(two[1], turn_plainly(x + 1, cos, sin, layout=layout))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's, for forward mode
@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("order", ["own", "shared"])
def test_derivatives_of_any_order(layout: str, order: str) -> None:
    cos, sin = waves(noise(1, 1, 3, 2, seed=3).double())
    q, k = (lying(order, 2, 2, 3, 4).double().detach().requires_grad_() for _ in range(2))

    def call(q: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        found = functions.turned(cos, sin, layout, q, k)
        assert found is not None
        return found

    assert torch.autograd.gradcheck(call, (q, k), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(call, (q, k))
    only, _ = call(q, k)  # the other has no gradient then
    assert torch.autograd.grad(only.sum(), (q, k), allow_unused=True)[0].abs().sum() > 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_what_is_infinite_or_no_number_stays_so(layout: str, dtype: torch.dtype) -> None:
    x = torch.tensor([torch.inf, -torch.inf, torch.nan, 1.0, 0.0, -0.0, 3e38, 1e-40]).to(dtype)[None, None, None]
    cos, sin = waves(torch.tensor([0.0, 1.0, 2.0, 0.5]).to(torch.promote_types(dtype, torch.float32))[None, None, None])
    found = functions.turned(cos, sin, layout, x)
    assert found is not None
    torch.testing.assert_close(found[0], turn_plainly(x, cos, sin, layout=layout), rtol=0, atol=0, equal_nan=True)


def test_many_numbers_are_turned_by_threads_as_by_one() -> None:
    cos, sin = waves(noise(1, 1, 300, 16, seed=3))
    x = noise(3, 5, 300, 32)
    alone = functions.turned(cos, sin, "half", x)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = functions.turned(cos, sin, "half", x)
    finally:
        torch.set_num_threads(threads)
    assert alone is not None
    assert together is not None
    assert torch.equal(alone[0], together[0])


class Marked(Tensor):
    """What a subclass shows need not be what lies in memory."""


def test_they_give_way() -> None:
    cos, sin = waves(noise(1, 1, 3, 2, seed=3))
    x = noise(2, 2, 3, 4)
    negated, subclass = torch.complex(x, x).conj().imag, Marked(x)
    assert negated.is_neg()
    for other in (negated, subclass, x.half(), x.to("meta"), x.mT.contiguous().mT, x[0], x[..., :2], x[:0], x.double()):
        assert functions.turned(cos, sin, "half", other) is None
    learned = cos.clone().requires_grad_()
    assert functions.turned(learned, sin, "half", x) is None
    with torch.no_grad():
        assert functions.turned(learned, sin, "half", x) is not None
    with native.kernels("torch"):
        assert functions.turned(cos, sin, "half", x) is None
    fewer = functions.turned(cos, sin, "half", x, x[:, :1])
    assert fewer is not None
    assert fewer[1].shape == (2, 1, 3, 4)


def test_what_is_mapped_or_compiled_is_left_to_torch() -> None:
    rotary, where = Rotary(4), contiguous(3).positions
    x = noise(5, 2, 2, 3, 4)
    mapped = torch.func.vmap(lambda each: rotary.qk(each, each, where, where)[0])(x)
    torch.testing.assert_close(mapped, torch.stack([rotary.qk(each, each, where, where)[0] for each in x]))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tokens_are_looked_up_with_their_positions(rows: int, dtype: torch.dtype) -> None:
    table, tokens = noise(11, 6).to(dtype), torch.randint(11, (3, 4), generator=torch.Generator().manual_seed(0))
    positions = torch.stack([torch.arange(4) + row for row in range(rows)])
    for encoding in (Add(Learned(9, 6)), Concat(Learned(9, 3)), Concat(Learned(9, 3), scale=0.5)):
        encoding.to(dtype)
        expected = encoding.embed(F.embedding(tokens, table), positions)
        with torch.no_grad():
            found = encoding.look_up(table, tokens, positions)
            with native.kernels("torch"):
                plain = encoding.look_up(table, tokens, positions)
        assert torch.equal(found, plain)
        assert torch.equal(found, expected)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("token", [-1, 11])
def test_a_token_that_there_is_not_is_refused_as_ever(token: int, grad: bool) -> None:
    table, tokens, where = noise(11, 6).requires_grad_(), torch.tensor([[0, token]]), contiguous(2).positions
    for encoding in (Add(Learned(9, 6)), Concat(Learned(9, 3))):
        with torch.set_grad_enabled(grad), pytest.raises((IndexError, RuntimeError), match="out of range"):
            encoding.look_up(table, tokens, where)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("learns", ["both", "table", "code"])
def test_gradients_of_look_ups_are_those_of_the_plain_way(rows: int, dtype: torch.dtype, learns: str) -> None:
    tokens = torch.randint(11, (3, 20), generator=torch.Generator().manual_seed(0))
    positions = torch.stack([torch.arange(20) + row for row in range(rows)])
    for made in (lambda: Add(Learned(30, 6), scale=0.5), lambda: Concat(Learned(30, 3))):
        found = []
        for way in native.WAYS:
            table, encoding = noise(11, 6).to(dtype).requires_grad_(learns != "code"), made().to(dtype)
            encoding.code.reset_parameters(torch.Generator().manual_seed(1))
            encoding.requires_grad_(learns != "table")
            with native.kernels(way):
                x = encoding.look_up(table, tokens, positions)
                x.mul_(2)  # as anybody may
                (x * noise(*x.shape, seed=2).to(dtype)).sum().backward()
            assert x.grad_fn is not None
            found.append([x.detach(), *(each.grad for each in (table, *encoding.parameters()) if each.requires_grad)])
        assert len(found[0]) == (3 if learns == "both" else 2)
        for one, other in zip(*found, strict=True):
            assert torch.equal(one, other)


def test_look_ups_have_gradients_of_gradients_and_give_way_to_derivatives_in_forward_mode() -> None:
    tokens, encoding, where = torch.tensor([[0, 1, 1]]), Add(Learned(9, 2)).double(), contiguous(3).positions
    table = noise(4, 2, dtype=torch.float64).requires_grad_()

    def squares(table: torch.Tensor) -> torch.Tensor:
        return encoding.look_up(table, tokens, where).square().sum()

    assert torch.autograd.gradcheck(squares, table)
    assert torch.autograd.gradgradcheck(squares, table)
    with forward_ad.dual_level():
        out = squares(forward_ad.make_dual(table.detach(), torch.ones_like(table)))
        assert forward_ad.unpack_dual(out).tangent is not None
    assert torch.func.grad(squares)(table.detach()).shape == table.shape


def test_look_ups_give_way_to_what_they_cannot_read() -> None:
    table, tokens, code = noise(11, 6), torch.tensor([[0, 1]]), noise(1, 2, 6)
    with torch.no_grad():
        assert functions.looked_up(table, tokens, code, concatenate=False) is not None
        apart = table.mT.contiguous().mT
        for given in (
            (apart, tokens, code),
            (table, tokens[0], code),
            (table, tokens.int(), code),
            (table, tokens, code[:, :1]),
            (table, tokens, code.double()),
            (table, tokens[:, :0], code),
        ):
            assert functions.looked_up(*given, concatenate=False) is None
        whole = table.long()
        assert functions.looked_up(whole, tokens, code.long(), concatenate=False) is None
        assert functions.looked_up(whole, tokens, code.long(), concatenate=True) is not None


def test_a_table_that_remembers_looks_again_where_it_must() -> None:
    """The second call of a form goes the short way; whatever has changed since is seen."""
    cos, sin = waves(noise(1, 1, 3, 2, seed=3))
    table = functions.Table(cos, sin, "half")
    q, k = noise(2, 2, 4, 3, 4)

    def check(q: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        found = table.both(q, k)
        assert found is not None
        for one, x in zip(found, (q, k), strict=True):
            assert torch.equal(one, turn_plainly(x, cos, sin, layout="half"))
        return found

    for _ in range(2):
        check(q, k)
    assert table.form
    trained = q.clone().requires_grad_(), k.clone().requires_grad_()
    for _ in range(2):
        assert all(one.requires_grad for one in check(*trained))
        with torch.no_grad():
            assert not any(one.requires_grad for one in check(*trained))
    check(noise(4, 3, 2, 4).transpose(1, 2)[:2], k)
    check(q, k[:1].expand(2, -1, -1, -1))
    check(q.bfloat16(), k.bfloat16())
    check(q, k)
    negated = torch.complex(q, q).conj().imag
    assert negated.is_neg()
    assert table.both(negated, negated) is None
    assert table.both(Marked(q), k) is None
    assert table.both(q.to("meta"), k.to("meta")) is None
    with native.kernels("torch"):
        assert table.both(q, k) is None
    mapped = torch.func.vmap(lambda each: Rotary(4).qk(each, each, torch.arange(3)[None], torch.arange(3)[None])[0])
    assert mapped(noise(5, 2, 4, 3, 4)).shape == (5, 2, 4, 3, 4)
