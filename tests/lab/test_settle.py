"""The arithmetic of a folder of results: forced, chosen, kept, and never mixed."""

import json
from dataclasses import replace

import pytest
from lab.support_lab import settings

from locant.lab.compare import longest_first
from locant.lab.plan import make
from locant.lab.settle import FILE, settle
from locant.machine import probe as probing
from locant.machine.choices import Measured

AUTO = {"attention": "auto", "gemm": "auto", "allocator": "auto", "precision": "auto", "kernels": "auto"}


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Stands in for the clock: dense attention, medium products and compiled kernels are fast on this machine."""

    def measure(shape, kernels=None):
        times = {"fused/fp32": 1.0, "dense/fp32": 0.8}
        return Measured({way: {"causal": t, "biased": t} for way, t in times.items()}, 0.5,
                        {"plain": 4e-7, "medium": 6e-7}, 0.8, 0.7 if kernels is None else None)  # fmt: skip

    monkeypatch.setattr(probing, "measure", measure)
    return tmp_path / "cache"


def test_what_is_fast_is_taken_and_kept(tmp_path, measured):
    made = settings(tmp_path, **AUTO)
    settled = settle(made, cache=measured)
    assert settled.numerics() == {"precision": "fp32", "attention": "dense", "gemm": "medium", "kernels": "native",
                                  "threads": 1, "stacking": "alone", "device": "cpu"}  # fmt: skip
    assert json.loads((made.out / FILE).read_text())["gemm"] == "medium"
    again = settle(replace(made, gemm="medium", workers=3), cache=measured)
    assert again.numerics() == settled.numerics()
    assert again.choices.why["gemm"] == "as these results were begun"
    assert again.choices.workers == 3


@pytest.mark.parametrize(("name", "value"), [
    ("precision", "bf16"), ("attention", "fused"), ("gemm", "plain"), ("kernels", "torch"), ("threads", 2),
    ("stack", "yes"),
])  # fmt: skip
def test_another_arithmetic_is_refused(tmp_path, measured, name, value):
    made = settings(tmp_path, **AUTO)
    settle(made, cache=measured)
    with pytest.raises(ValueError, match=r"expected \w+ \w+ as the results in .*out have, was: .*; use another --out"):
        settle(replace(made, **{name: value}), cache=measured)


def test_results_from_before_there_was_a_choice_are_plain(tmp_path, measured):
    made = settings(tmp_path, **AUTO)
    (made.out / "runs" / "0").mkdir(parents=True)
    assert settle(made, cache=measured).choices.attention == "fused"
    with pytest.raises(ValueError, match="expected attention fused as the results"):
        settle(replace(made, attention="dense"), cache=measured)


def test_a_file_from_before_there_were_devices_is_of_the_processor(tmp_path, measured):
    made = settings(tmp_path, **AUTO)
    settle(made, cache=measured)
    told = json.loads((made.out / FILE).read_text())
    del told["device"]
    (made.out / FILE).write_text(json.dumps(told))
    assert settle(made, cache=measured).numerics()["device"] == "cpu"


def test_a_damaged_file_is_not_guessed_at(tmp_path, measured):
    made = settings(tmp_path, **AUTO)
    made.out.mkdir()
    (made.out / FILE).write_text("{")
    with pytest.raises(ValueError, match=r"expected .* to name the arithmetic of the results .*, was: unreadable"):
        settle(made, cache=measured)


def test_stacks_are_dense(tmp_path, measured):
    made = settings(tmp_path, **{**AUTO, "stack": "yes"})
    with pytest.raises(ValueError, match="expected --attention dense or auto with --stack, was: sdpa"):
        settle(replace(made, attention="sdpa"), cache=measured)
    assert settle(made, cache=measured).numerics()["stacking"] == "stacked"
    assert settle(replace(made, stack="auto"), cache=measured).choices.attention == "dense"


def test_the_runs_say_how_they_are_computed(tmp_path):
    made = settings(tmp_path, precision="bf16", gemm="medium", threads=2, attention="dense",
                    kernels="native").checked()  # fmt: skip
    plan = make(made)
    [run, *_] = plan.runs({(e.problem.name, x): 0.01 for e in plan.experiments for x in made.encodings})
    assert (run.precision, run.gemm, run.threads, run.attention) == ("bf16", "medium", 2, "dense")
    assert run.kernels == "native"


def test_the_longest_runs_of_a_seed_come_first(tmp_path):
    made = settings(tmp_path, encodings=("none", "concat(learned, width=8)", "rotary"), match="token").checked()
    plan = make(made)
    runs = plan.runs({(e.problem.name, x): 0.01 for e in plan.experiments for x in made.encodings})
    ordered = longest_first(plan, runs)
    assert sorted(run.id for run in ordered) == sorted(run.id for run in runs)
    flops = [plan.fitted[run.problem, run.encoding].cost.flops_per_token for run in ordered]
    half = len(runs) // 2
    assert [run.seed for run in ordered] == [0] * half + [1] * half
    assert flops[:half] == sorted(flops[:half], reverse=True) == flops[half:]
    assert ordered[0].encoding == "concat(learned, width=8)"
