"""Runs in another arithmetic: what is computed, what is set back, and what the record says."""

import pytest
import torch
from lab.support_lab import a_run, text, timeless

import locant.lab.train as training_loop
from locant.encodings import native
from locant.lab.store import RunFolder
from locant.lab.train import CLIP, LATER, Training, train
from locant.machine.arithmetic import computing


@pytest.mark.parametrize(("name", "value"), [
    ("precision", "bf16"), ("gemm", "medium"), ("attention", "dense"), ("kernels", "native"),
])  # fmt: skip
@pytest.mark.parametrize("encoding", ["rotary", "alibi", "beside(learned)"])
def test_other_arithmetics_give_nearly_the_same(tmp_path, encoding, name, value):
    before = torch.get_float32_matmul_precision()
    plain = train(a_run(encoding), text(), tmp_path)
    other = train(a_run(encoding, **{name: value}), text(), tmp_path)
    assert torch.get_float32_matmul_precision() == before
    assert not torch.is_autocast_enabled("cpu")
    assert other["id"] != plain["id"]
    assert other["value"] == pytest.approx(plain["value"], rel=0.03)
    assert other["choices"][name] == value
    assert plain["choices"] == {**LATER, "attention": plain["attention"]}
    again = train(a_run(encoding, **{name: value}), text(), tmp_path / "again")
    assert timeless(again) == timeless(other)


def test_bf16_is_what_the_model_is_trained_and_tested_in(tmp_path, monkeypatch):
    seen = []
    linear = torch.nn.functional.linear

    def watch(*arguments):
        out = linear(*arguments)
        seen.append(out.dtype)
        return out

    monkeypatch.setattr(torch.nn.functional, "linear", watch)
    result = train(a_run(precision="bf16", steps=2, curve_points=1), text(), tmp_path)
    assert set(seen) == {torch.bfloat16}
    model = Training(a_run(precision="bf16"), text(), RunFolder(tmp_path / "b", a_run())).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert result["run"]["precision"] == "bf16"


def test_a_failed_run_leaves_the_arithmetic_as_it_was(tmp_path):
    before = torch.get_float32_matmul_precision(), native.why()
    with pytest.raises(FloatingPointError):
        train(a_run(learning_rate=1e30, gemm="medium", precision="bf16"), text(), tmp_path)  # and kernels of torch
    assert native.why() == before[1]
    before = before[0]
    assert torch.get_float32_matmul_precision() == before
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(("gemm", "inside"), [("plain", "ieee"), ("medium", "tf32")])
def test_convolutions_are_as_exact_as_products(gemm, inside):
    conv = torch.backends.cudnn.conv
    before = conv.fp32_precision
    with computing(gemm, "torch"):
        assert conv.fp32_precision == inside
    assert conv.fp32_precision == before


def test_the_record_names_the_choices_of_the_machine(tmp_path):
    result = train(a_run(), text(), tmp_path, machine={"allocator": "raised", "workers": 2})
    assert result["choices"] == {**LATER, "attention": result["attention"], "allocator": "raised", "workers": 2}


@pytest.mark.parametrize("size", [1e-3, 0.05, 1.0, 1e3])
def test_gradients_are_clipped_as_torch_does(tmp_path, size):
    training = Training(a_run(), text(), RunFolder(tmp_path, a_run()))
    draw = torch.Generator().manual_seed(0)
    gradients = [size * torch.randn(p.shape, generator=draw) for p in training.parameters]
    for parameter, gradient in zip(training.parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    training._clip()
    clipped = [parameter.grad.clone() for parameter in training.parameters]
    for parameter, gradient in zip(training.parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    norm = torch.nn.utils.clip_grad_norm_(training.parameters, CLIP)
    assert all(torch.equal(p.grad, mine) for p, mine in zip(training.parameters, clipped, strict=True))
    assert torch.stack([mine.norm() for mine in clipped]).norm() == pytest.approx(min(float(norm), CLIP), rel=1e-5)


def test_a_gradient_that_is_not_finite_is_not_passed_over(tmp_path):
    training = Training(a_run(), text(), RunFolder(tmp_path, a_run()))
    for parameter in training.parameters:
        parameter.grad = torch.ones_like(parameter)
    training.parameters[0].grad[0] = torch.nan
    training._clip()
    assert all(parameter.grad.isnan().all() for parameter in training.parameters)


def test_a_loss_that_is_not_finite_is_refused():
    assert training_loop.finite(1.5, 3) == 1.5
    with pytest.raises(FloatingPointError, match="expected a finite loss, was: nan at step 3"):
        training_loop.finite(float("nan"), 3)
