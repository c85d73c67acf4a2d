"""What is taken, from figures made up for machines of every kind."""

import pytest

from locant.machine.choices import NUMERIC, PLAIN, Measured, decide, describe

EXACT, COARSE = {"plain": 4e-7, "medium": 6e-7}, {"plain": 4e-7, "medium": 4e-3}


def figures(errors=EXACT, allocator=1.0, medium=1.0, native=None, **times):
    """Names such as `dense_bf16`; a number for both kinds of scores, or one for each."""
    pairs = {name: value if isinstance(value, tuple) else (value, value) for name, value in times.items()}
    kinds = {name.replace("_", "/"): dict(zip(("causal", "biased"), pair, strict=True)) for name, pair in pairs.items()}
    return Measured(kinds, medium, errors, allocator, native)


MACHINES = {
    "nothing is faster": (figures(fused_fp32=1, dense_fp32=1), "fused", "plain"),
    "dense a little": (figures(fused_fp32=1, dense_fp32=0.97), "fused", "plain"),
    "dense": (figures(fused_fp32=1, dense_fp32=0.9), "dense", "plain"),
    "dense for one kind only": (figures(fused_fp32=1, dense_fp32=(0.7, 1.1)), "fused", "plain"),
    "medium a little": (figures(medium=0.97, fused_fp32=1, dense_fp32=1), "fused", "plain"),
    "medium": (figures(medium=0.88, fused_fp32=1, dense_fp32=1), "fused", "medium"),
    "both": (figures(medium=0.5, fused_fp32=1, dense_fp32=0.6), "dense", "medium"),
    "medium is no float32": (figures(COARSE, medium=0.3, fused_fp32=1, dense_fp32=1), "fused", "plain"),
    "products were not timed": (figures(medium=None, fused_fp32=1), "fused", "plain"),
    "not measured": (Measured(), "fused", "plain"),
    "no dense": (figures(medium=0.5, fused_fp32=1), "fused", "medium"),
}


@pytest.mark.parametrize("name", MACHINES)
def test_products_and_attention(name):
    measured, attention, gemm = MACHINES[name]
    choices = decide(measured, 4)
    assert (choices.attention, choices.gemm, choices.precision) == (attention, gemm, "fp32")
    assert (choices.workers, choices.threads) == (4, 1)


@pytest.mark.parametrize("name", MACHINES)
def test_nothing_slower_than_plain_is_ever_taken(name):
    measured, *_ = MACHINES[name]
    choices = decide(measured, 4)
    taken = measured.times.get(f"{choices.attention}/fp32", {})
    for kind, time in taken.items():
        assert time <= 1.05 * measured.times["fused/fp32"][kind]
    assert choices.gemm == "plain" or measured.medium < 1


@pytest.mark.parametrize(("ratio", "taken"), [(None, "plain"), (1.3, "plain"), (0.97, "plain"), (0.9, "raised")])
def test_allocator(ratio, taken):
    assert decide(figures(allocator=ratio), 1).allocator == taken


@pytest.mark.parametrize(
    ("ratio", "taken"), [(None, "torch"), (1.3, "torch"), (1.04, "torch"), (1.02, "native"), (0.7, "native")]
)
def test_kernels(ratio, taken):
    choices = decide(figures(native=ratio), 1)
    assert choices.kernels == taken
    if ratio:
        assert choices.why["kernels"] == f"native takes {ratio:.2f} of the time of torch in a step"
    told = decide(Measured(machine={"kernels": "no C compiler was found"}), 1)
    assert (told.kernels, told.why["kernels"]) == ("torch", "no C compiler was found")


def test_precision_is_asked_for():
    fast = figures(medium=0.5, fused_fp32=1, dense_fp32=1.2, fused_bf16=1.5, dense_bf16=0.4)
    assert decide(fast, 1).precision == "fp32"
    assert "bf16 would take 0.40 of the time" in decide(fast, 1).why["precision"]
    asked = decide(fast, 1, {"precision": "bf16"})
    assert (asked.precision, asked.attention, asked.gemm) == ("bf16", "dense", "plain")


@pytest.mark.parametrize(("name", "value"), [
    ("precision", "bf16"), ("attention", "dense"), ("attention", "sdpa"), ("gemm", "medium"), ("allocator", "raised"),
    ("kernels", "native"), ("workers", 7), ("threads", 3),
])  # fmt: skip
def test_everything_can_be_forced(name, value):
    slow = figures(COARSE, 2.0, 3.0, fused_fp32=1, dense_fp32=3)
    choices = decide(slow, 6, {name: value})
    assert getattr(choices, name) == value
    assert choices.why[name] == "forced"
    assert choices.workers == {"workers": 7, "threads": 2}.get(name, 6)


def test_attention_is_chosen_for_the_precision():
    measured = figures(fused_fp32=1, dense_fp32=2, fused_bf16=2, dense_bf16=1)
    assert decide(measured, 1).attention == "fused"
    assert decide(measured, 1, {"precision": "bf16"}).attention == "dense"


@pytest.mark.parametrize(("forced", "message"), [
    ({"gemm": "fast"}, "expected gemm plain or medium, was: 'fast'"),
    ({"precision": "fp16"}, "expected precision fp32 or bf16, was: 'fp16'"),
    ({"workers": 0}, "expected workers of at least 1, was: 0"),
    ({"threads": -1}, "expected threads of at least 1, was: -1"),
    ({"kernels": "c"}, "expected kernels torch or native, was: 'c'"),
    ({"cores": 1}, "expected a choice among precision, attention, gemm, allocator, kernels, workers, threads, was: 'c"),
])  # fmt: skip
def test_refusals(forced, message):
    with pytest.raises(ValueError, match=message):
        decide(Measured(), 1, forced)


def test_every_choice_is_described():
    for measured, *_ in MACHINES.values():
        rows = describe(decide(measured, 2))
        assert [name for name, _, _ in rows] == [*PLAIN, "workers", "threads"]
        assert all(taken and why for _, taken, why in rows)
    assert set(NUMERIC) <= {name for name, _, _ in rows}
