"""The check that stands before FlexAttention tells right from wrong, without a GPU to run it on."""

import pytest
import torch
from torch import Tensor

from locant.encodings import Pairs, ScoreMod
from locant.model.attend import Read, Visibility, dense, sdpa
from locant.model.blocks import _suits_flex, blocks
from locant.model.selfcheck import fails, trusted

CPU = torch.device("cpu")


def test_what_is_right_passes() -> None:
    for attend in (dense, sdpa, blocks):
        assert fails(attend, CPU) is None


def test_whoever_asks_may_want_no_gradient_and_few_digits() -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert fails(sdpa, CPU) is None
    with torch.no_grad():
        assert fails(dense, CPU) is None


def test_flex_is_for_whole_sequences_and_heads_that_its_kernel_takes() -> None:
    whole, narrow, one = torch.empty(1, 2, 9, 16), torch.empty(1, 2, 9, 8), torch.empty(1, 2, 1, 16)
    assert _suits_flex(whole, whole, whole)
    for given in ((one, whole, whole), (narrow, narrow, whole), (whole, whole, narrow)):
        assert not _suits_flex(*given)


def test_flex_has_no_gradient_on_a_cpu() -> None:
    trusted.cache_clear()
    with pytest.warns(UserWarning, match="FlexAttention is not used on cpu: .* FlexAttention has none on CPU"):
        assert not trusted(CPU)
    assert not trusted(CPU)  # asked again, it does not warn again


def test_a_table_without_gradient_is_found() -> None:
    def forgetful(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None, read: Read | None = None) -> Tensor:
        assert mod is not None
        return dense(pairs, v, see, lambda s, b, h, i, j: s + (mod(s, b, h, i, j) - s).detach(), read)

    assert fails(forgetful, CPU) == "no gradient: table"


def test_wrong_gradients_and_values_are_found() -> None:
    def zero(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None, read: Read | None = None) -> Tensor:
        assert mod is not None

        def half(s: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            added = mod(s, b, h, i, j) - s
            return s + added.detach() + 0 * added

        return dense(pairs, v, see, half, read)

    def unmasked(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None, read: Read | None = None) -> Tensor:
        return dense(pairs, v, Visibility(see.mask_mod, None, causal=False), mod, read)

    assert str(fails(zero, CPU)).startswith("table off by")
    assert str(fails(unmasked, CPU)).startswith("values off by")


def test_what_raises_is_told_in_one_line() -> None:
    def missing(*_: object) -> Tensor:
        raise RuntimeError("no kernel\nfor this device")

    assert fails(missing, CPU) == "RuntimeError: no kernel for this device"
