"""Attention in tiles: derivatives, what it keeps, and when it gives way."""

import pytest
import torch
from support import noise
from torch import Tensor
from torch.nn import functional as F

import locant
from locant.machine.arithmetic import narrowed, products
from locant.machine.choices import FP32_ERROR
from locant.machine.steps import product_errors
from locant.model import bands, fused, tiles

pytestmark = pytest.mark.usefixtures("torch_kernels")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LEAST", 1), ("BLOCK", 3), ("NUMBERS", 30)):
        monkeypatch.setattr(tiles, name, value)


def inputs(*sizes: int) -> list[Tensor]:
    return [x.double().requires_grad_() for x in noise(3, *sizes)]


@pytest.mark.usefixtures("small")
class TestDerivatives:
    def test_of_fixed_scores(self) -> None:
        q, k, v = inputs(2, 2, 7, 4)
        masks = bands.of_band(torch.zeros(1, 7, dtype=torch.float64))
        for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
            assert check(lambda *x: tiles.tiled(*x, masks, 0.5), (q, k, v))

    def test_of_a_learned_row(self) -> None:
        q, k, v = inputs(2, 3, 7, 4)
        row = noise(3, 7, seed=1).double().requires_grad_()

        def call(q: Tensor, k: Tensor, v: Tensor, row: Tensor) -> Tensor:
            return tiles.tiled(q, k, v, bands.of_band(row.detach()), 0.5, row)

        for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
            assert check(call, (q, k, v, row))

    def test_values_of_another_width(self) -> None:
        q, k, _ = inputs(2, 2, 7, 4)
        v = noise(2, 2, 7, 9).double().requires_grad_()
        assert torch.autograd.gradcheck(
            lambda *x: tiles.tiled(*x, bands.of_band(torch.zeros(1, 7, dtype=torch.float64)), 0.5), (q, k, v)
        )

    def test_only_what_needs_a_gradient_gets_one(self) -> None:
        q, k, v = inputs(1, 2, 7, 4)
        masks = bands.of_band(torch.zeros(1, 7, dtype=torch.float64))
        tiles.tiled(q, k.detach(), v.detach(), masks, 0.5).sum().backward()
        assert q.grad is not None
        assert k.grad is None


class TestWhenItPays:
    def test_not_for_short_sequences_nor_without_training(self) -> None:
        short, long = (torch.zeros(1, 1, time, 4, requires_grad=True) for time in (tiles.LEAST - 1, tiles.LEAST))
        assert not tiles.pays(short, short)
        assert tiles.pays(long, long)
        assert not tiles.pays(long.detach(), long.detach())
        with torch.no_grad():
            assert not tiles.pays(long, long)

    def test_in_bfloat16_without_training_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fused, "AMX", False)
        x = torch.zeros(1, 1, tiles.LEAST, 4, dtype=torch.bfloat16)
        assert tiles.pays(x, x)
        monkeypatch.setattr(fused, "AMX", True)  # whose units serve PyTorch's kernel better
        assert not tiles.pays(x, x)

    def test_not_where_much_would_be_kept(self) -> None:
        x = torch.zeros(1, 1, 1, 1, requires_grad=True)
        much = x.expand(64, 16, 1024, 1)
        assert tiles.kept(much) > tiles.MOST
        assert not tiles.pays(much, much)

    def test_what_it_keeps(self) -> None:
        """Bytes of what is saved beside queries, keys, values and the result."""
        q, k, v = (x.float().detach().requires_grad_() for x in inputs(2, 2, 192, 4))
        sizes: dict[int, int] = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x: sizes.__setitem__(x.data_ptr(), x.numel() * x.element_size()) or x, lambda x: x
        ):
            tiles.tiled(q, k, v, bands.of_band(torch.zeros(1, 192)), 0.5)
        assert sum(sizes.values()) - 4 * q.numel() * 4 == tiles.kept(q)


class TestKernel:
    """PyTorch's kernel, in another arithmetic than the rest of the model."""

    @pytest.fixture
    def seen(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, torch.dtype]]:
        found: list[tuple[str, torch.dtype]] = []
        kernel = fused._kernel

        def spy(q: Tensor, *rest: object) -> Tensor:
            found.append((torch.get_float32_matmul_precision(), q.dtype))
            return kernel(q, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(fused, "_kernel", spy)
        return found

    def test_it_multiplies_plainly_forward_and_backward(self, seen: list[tuple[str, torch.dtype]]) -> None:
        q, k, v = (x.float().detach().requires_grad_() for x in inputs(2, 2, 7, 4))
        within: list[str] = []
        with products("medium"):
            out = fused.attention(q, k, v, causal=True)
            assert out.grad_fn is not None
            out.grad_fn.register_prehook(lambda _: within.append(torch.get_float32_matmul_precision()))
            assert torch.get_float32_matmul_precision() == "medium"
            out.sum().backward()
            assert torch.get_float32_matmul_precision() == "medium"
        assert seen == [("highest", torch.float32)]
        assert within == ["highest"]

    def test_no_hook_where_nothing_is_to_be_changed(self) -> None:
        q, k, v = (x.float().detach().requires_grad_() for x in inputs(2, 2, 7, 4))
        out = fused.attention(q, k, v, causal=True)
        torch.testing.assert_close(out, F.scaled_dot_product_attention(q, k, v, is_causal=True), rtol=0, atol=0)

    @pytest.mark.parametrize("autocast", [False, True])
    def test_short_sequences_of_bfloat16_are_widened(self, seen: list[tuple[str, torch.dtype]], autocast: bool) -> None:
        narrow = [x.detach().bfloat16() for x in inputs(2, 2, 7, 4)]
        with narrowed("bf16" if autocast else "fp32"):
            out = fused.attention(*narrow, causal=True)
        exact = F.scaled_dot_product_attention(*[x.double() for x in narrow], is_causal=True)
        assert seen == [("highest", torch.float32)]
        assert out.dtype == torch.bfloat16
        torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=0)

    def test_a_token_of_decoding_is_not(self, seen: list[tuple[str, torch.dtype]]) -> None:
        q, k, v = (x.detach().bfloat16() for x in inputs(2, 2, 7, 4))
        fused.attention(q[:, :, -1:], k, v)
        assert seen == [("highest", torch.bfloat16)]


@pytest.mark.parametrize("expression", ["rotary", "alibi", "t5", "fire"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_decoders_agree(expression: str, precision: str) -> None:
    """As tuned: long enough for tiles, with several of them and a block that is not whole."""
    tokens = torch.randint(50, (3, tiles.LEAST + 41), generator=torch.Generator().manual_seed(0))
    grads = []
    for attention in ("blocks", "dense"):
        model = locant.decoder(expression, 32, 4, 2, 256, 50, attention=attention)
        with products("medium"), narrowed(precision):
            loss = F.cross_entropy(model(tokens).float().flatten(0, 1), tokens.roll(-1, 1).flatten())
            loss.backward()
        grads.append([loss, *(p.grad for p in model.parameters() if p.grad is not None)])
    assert len(grads[0]) == len(grads[1])
    # PyTorch's medium products are as exact as plain ones on some processors, and of bfloat16 on others.
    exact = precision == "fp32" and product_errors()["medium"] < FP32_ERROR
    share, least = (1e-4, 1e-6) if exact else (0.06, 1e-4)  # what is 0 in truth is not quite
    for one, other in zip(*grads, strict=True):
        assert (one - other).abs().max() <= share * other.abs().max() + least
