"""What is kept between layers and steps: only what follows from unchanged tensors, and never more than is used."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from locant.encodings.once import Memo, once


class Counted:
    """Doubles a tensor and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *sources: Tensor, name: str = "twice") -> Tensor:
        def make() -> Tensor:
            self.calls += 1
            return 2 * sources[0]

        return once(name, make, *sources)


def test_one_computation_for_all_that_ask_for_the_same() -> None:
    double, memo, x = Counted(), Memo(), torch.ones(3)
    for _ in range(3):
        with memo.open():
            assert double(x) is double(x)
    assert double.calls == 1
    with memo.open():
        double(x, name="another")
    assert double.calls == 2


def test_nothing_is_kept_without_a_memo() -> None:
    double, x = Counted(), torch.ones(3)
    assert double(x) is not double(x)
    assert double.calls == 2


def test_a_tensor_changed_in_place_is_another() -> None:
    double, memo, x = Counted(), Memo(), torch.ones(3)
    with memo.open():
        double(x)
        x.add_(1)
        assert double(x).tolist() == [4, 4, 4]


def test_what_the_last_pass_did_not_ask_for_is_dropped() -> None:
    double, memo = Counted(), Memo()
    for size in range(1, 6):
        with memo.open():
            double(torch.ones(size))
        assert len(memo) == 1
    with memo.open():
        pass
    assert len(memo) == 0


def test_what_is_dropped_is_dropped_after_an_error_too() -> None:
    double, memo = Counted(), Memo()
    with memo.open():
        double(torch.ones(2))
    with pytest.raises(ValueError, match="stop"), memo.open():
        raise ValueError("stop")
    assert len(memo) == 0
    assert double(torch.ones(2)) is not double(torch.ones(2))


def test_what_learns_is_made_anew() -> None:
    double, memo, weight = Counted(), Memo(), nn.Parameter(torch.ones(2))
    with memo.open(), torch.no_grad():
        double(weight)
        double(weight)
    assert double.calls == 2
    assert len(memo) == 0


def test_inference_leaves_nothing_for_training() -> None:
    double, memo, x = Counted(), Memo(), torch.ones(3)
    with torch.inference_mode(), memo.open():
        double(x)
        double(torch.ones(2))  # a tensor of inference has no version to tell whether it changed
    with memo.open():
        assert not double(x).is_inference()
    assert double.calls == 3


def test_a_copy_starts_empty() -> None:
    double, memo = Counted(), Memo()
    with memo.open():
        double(torch.ones(2))
    assert len(memo) == 1
    assert len(copy.deepcopy(memo)) == len(pickle.loads(pickle.dumps(memo))) == 0


def test_nothing_is_kept_inside_of_function_transforms() -> None:
    double, memo = Counted(), Memo()
    with memo.open():
        torch.func.vmap(double)(torch.ones(2, 3))
    assert len(memo) == 0


def test_passes_within_passes() -> None:
    double, outer, inner, x = Counted(), Memo(), Memo(), torch.ones(1)
    with outer.open():
        double(x)
        with inner.open():
            double(x)
        double(x)
    assert double.calls == 2
    assert len(outer) == len(inner) == 1


def test_where_torch_does_not_tell_of_its_transforms_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    double, memo, x = Counted(), Memo(), torch.ones(3)
    monkeypatch.setattr("locant.encodings.once.transforms", None)
    with memo.open():
        double(x)
        double(x)
    assert (double.calls, len(memo)) == (2, 0)
