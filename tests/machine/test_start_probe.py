"""The measuring: what it leaves behind, what it keeps, and that it can be trusted with a known difference."""

import json
from dataclasses import asdict

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from locant.encodings import native
from locant.machine import allocator, timing
from locant.machine import probe as probing
from locant.machine.allocator import available, keep_freed_memory
from locant.machine.arithmetic import narrowed, products
from locant.machine.choices import Measured, decide
from locant.machine.cores import cores
from locant.machine.probe import Shape, measure, probe
from locant.machine.steps import (
    KINDS,
    MOST_ROWS,
    PRECISIONS,
    PRODUCT,
    SMALL_STEP,
    product_errors,
    projection,
    shortened,
    step,
)
from locant.machine.timing import relative_times
from locant.model import compiled, tiles

TINY = Shape(16, 2, 16, 2, 32)
ALL = {"attention": "fused", "gemm": "plain", "allocator": "plain", "kernels": "torch"}


@pytest.fixture
def counted(monkeypatch):
    """How often the machine was measured; the clock stands still."""
    calls = []

    def measure(shape, kernels):
        calls.append(shape)
        return Measured({"fused/fp32": {"causal": 1.0, "biased": 1.0}}, 1.0, {"plain": 1e-7, "medium": 1e-7}, 0.5)

    monkeypatch.setattr(probing, "measure", measure)
    return calls


def test_a_measurement(monkeypatch):
    monkeypatch.setattr(probing, "STEP_SECONDS", 0.0)
    before = torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.random.get_rng_state()
    found = measure(TINY)
    assert before[:2] == (torch.get_num_threads(), torch.get_float32_matmul_precision())
    assert torch.equal(before[2], torch.random.get_rng_state())
    assert found.times.keys() == {f"{a}/{n}" for a in ("fused", "dense") for n in PRECISIONS}
    assert all(times.keys() == KINDS.keys() for times in found.times.values())
    assert set(found.times["fused/fp32"].values()) == {1.0}
    assert (found.allocator is not None) == available()
    assert (found.native is not None) == native.available()
    assert found.machine["shape"] == asdict(TINY)
    assert json.loads(json.dumps(asdict(found), allow_nan=False)) == asdict(found)


def test_it_is_measured_once_and_kept(tmp_path, counted):
    first = probe(TINY, cache=tmp_path)
    assert probe(TINY, cache=tmp_path).to_dict() == first.to_dict()
    assert counted == [TINY]
    probe(Shape(32, 2, 16, 2, 32), cache=tmp_path)
    probe(TINY, cache=tmp_path, fresh=True)
    assert len(counted) == 3


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", '{"times": 3}', '{"unknown": 1}', '{"times": {"fused/fp32": 1}}', '{"allocator": "x"}',
    '{"errors": {"medium": "x"}}'
])  # fmt: skip
def test_a_damaged_cache_is_measured_again(tmp_path, counted, text):
    probe(TINY, cache=tmp_path)
    [path] = tmp_path.iterdir()
    good = path.read_text()
    path.write_text(text)
    assert probe(TINY, cache=tmp_path).allocator == "raised"
    assert path.read_text() == good
    assert len(counted) == 2


def test_a_cache_that_cannot_be_written_is_none(tmp_path, counted):
    (tmp_path / "file").write_text("")
    assert probe(TINY, cache=tmp_path / "file").allocator == "raised"
    assert len(counted) == 1


def test_nothing_is_measured_if_everything_is_forced(tmp_path, counted):
    choices = probe(TINY, forced=ALL, cache=tmp_path)
    assert {name: getattr(choices, name) for name in ALL} == ALL
    assert not counted
    assert not list(tmp_path.iterdir())


def test_kernels_that_are_forced_are_measured_apart(tmp_path, counted):
    probe(TINY, forced={"kernels": "torch"}, cache=tmp_path)
    probe(TINY, forced={"kernels": "native"}, cache=tmp_path)
    probe(TINY, cache=tmp_path)
    assert len(counted) == len(list(tmp_path.iterdir())) == 3


def test_forced_kernels_compute_in_the_measurement(monkeypatch):
    monkeypatch.setattr(probing, "STEP_SECONDS", 0.0)
    seen = []
    made = probing.step

    def step(*given):
        call = made(*given)
        return lambda: (seen.append(native.why()), call())[1]

    monkeypatch.setattr(probing, "step", step)
    assert measure(TINY, "torch").native is None
    assert set(seen) == {"torch: asked for"}
    seen.clear()
    assert measure(TINY, "native").native is None
    assert set(seen) == {"native: compiled here"}
    assert measure(TINY).machine["kernels"] == "compiled here"


def test_kernels_that_cannot_be_had_are_refused_before_anything_is_measured(tmp_path, counted, monkeypatch):
    monkeypatch.setattr(native, "_loaded", lambda: (None, "no C compiler was found"))
    with pytest.raises(ValueError, match=r"expected the kernels torch \(no C compiler was found\), was: native"):
        probe(TINY, forced={"kernels": "native"}, cache=tmp_path)
    assert not counted
    assert measure(TINY).native is None
    assert decide(measure(TINY), 1).why["kernels"] == "no C compiler was found"


def test_who_does_without_kernels_in_general_does_so_here(monkeypatch):
    monkeypatch.setattr(probing, "STEP_SECONDS", 0.0)
    with native.kernels("torch"):
        found = measure(TINY)
    assert found.native is None
    assert (decide(found, 1).kernels, decide(found, 1).why["kernels"]) == ("torch", "asked for")


def test_a_bad_choice_is_refused_before_anything_is_measured(tmp_path, counted):
    with pytest.raises(ValueError, match="expected attention fused or dense or sdpa or blocks, was: 'flash'"):
        probe(TINY, forced={"attention": "flash"}, cache=tmp_path)
    assert not counted


def test_scores_that_would_not_fit_are_not_written_out(monkeypatch):
    monkeypatch.setattr(probing, "STEP_SECONDS", 0.0)
    monkeypatch.setattr(probing, "LARGEST_GRID", 1 << 10)
    found = measure(TINY)
    assert {way.partition("/")[0] for way in found.times} == {"fused"}
    assert found.machine["left_out"] == "dense would hold 0 MiB of scores per layer"


def test_tiles_are_not_measured_against_what_computes_more(monkeypatch):
    monkeypatch.setattr(probing, "STEP_SECONDS", 0.0)
    for least, kernels in ((tiles.LEAST, "torch"), (compiled.LEAST, "native")):
        found = measure(Shape(16, 2, least, 2, 32), kernels)
        assert {way.partition("/")[0] for way in found.times} == {"fused"}
        told = f"from {least} tokens fused does what dense would, for half of the pairs"
        assert decide(found, 1).why["attention"] == told


@pytest.mark.parametrize("shape", [Shape(), Shape(512, 8, 1024, 64, 50_000), Shape(1024, 16, 256, 4), TINY])
def test_steps_are_made_short(shape):
    short = shortened(shape)
    assert short.context == shape.context
    assert short.width * shape.heads == shape.width * short.heads
    assert 1 <= short.batch <= shape.batch
    per_token = 6 * (12 * short.width**2 + 2 * short.width * short.context + short.width * short.vocabulary)
    assert per_token * short.batch * short.context <= 3 * SMALL_STEP or short.heads == 1


@pytest.mark.parametrize("shape", [Shape(), Shape(4096, 8, 4096, 64, 50_000), TINY])
def test_products_are_made_short(shape):
    with FlopCounterMode(display=False) as counted:
        plain, medium = (projection(shape, gemm)() for gemm in ("plain", "medium"))
    assert counted.get_total_flops() / 4 <= max(PRODUCT, 2 * MOST_ROWS * shape.width * 16)
    torch.testing.assert_close(plain, medium, rtol=2e-2, atol=2e-2 * float(plain.abs().max()))


@pytest.mark.parametrize("kind", KINDS)
def test_all_steps_compute_the_same(kind):
    losses = {}
    for attention in ("fused", "dense"):
        for precision in PRECISIONS:
            losses[attention, precision] = step(TINY, kind, attention, precision)()
    plain = losses["fused", "fp32"]
    assert losses["dense", "fp32"] == pytest.approx(plain, rel=1e-6)
    assert all(loss == pytest.approx(plain, rel=2e-2) for loss in losses.values())
    assert losses["fused", "bf16"] != plain


def test_a_known_difference_is_found(monkeypatch):
    """By a clock that goes on only where something is called, so that nothing else on the machine counts."""
    now = [0.0]

    def wait(seconds):
        def call():
            now[0] += seconds

        return call

    monkeypatch.setattr(timing, "clock", lambda: now[0])
    found = relative_times({"one": wait(0.001), "two": wait(0.002), "ten": wait(0.01)}, "one", 0.1)
    assert found["one"] == 1.0
    assert found["two"] == pytest.approx(2.0)
    assert found["ten"] == pytest.approx(10.0)


def test_products_and_precision_are_set_and_set_back():
    before = torch.get_float32_matmul_precision()
    with products("medium"):
        assert torch.get_float32_matmul_precision() == "medium"
    assert torch.get_float32_matmul_precision() == before
    a = torch.ones(4, 4)
    with narrowed("bf16"):
        assert (a @ a).dtype == torch.bfloat16
    with narrowed("fp32"):
        assert (a @ a).dtype == torch.float32


def test_errors_of_products_are_those_of_float32_or_worse():
    found = product_errors()
    assert 0 < found["plain"] < 5e-6
    assert found["medium"] < 2e-2


@pytest.mark.parametrize("block", [1 << 16, 40 << 20])
def test_the_allocator_is_measured_in_another_process(block):
    found = allocator.measure(block)
    assert (found is None) == (not available())
    if found is not None:
        assert found.raised > 0 < found.plain
        if block > allocator.ALWAYS_MAPPED:  # what is mapped anew is faulted in page by page, and what is kept is not
            assert found.faults > 0


@pytest.mark.parametrize(
    ("faults", "batch", "ratio"), [(0, 1, 1.0), (100, 1, 0.5), (1000, 1, 0.0), (0, 64, 1 - 3 / 6.4), (0, 9_000, 0.25)]
)
def test_page_faults_are_weighed_against_the_step(monkeypatch, faults, batch, ratio):
    """A second per step and a two-hundredth per fault; steps that were made short; and blocks so large that every use
    faults them in."""
    seen = iter([0, 4 * faults])
    now = iter([0.0, 4.0])
    monkeypatch.setattr(allocator, "measure", lambda block: allocator.Filling(4.0, 1.0, 600))
    monkeypatch.setattr(allocator, "page_faults", lambda: next(seen))
    monkeypatch.setattr(probing, "clock", lambda: next(now))
    assert probing._allocator_ratio(Shape(batch=batch), lambda: None) == pytest.approx(ratio)


def test_without_glibc_there_is_nothing_to_raise(monkeypatch):
    monkeypatch.setattr("locant.machine.allocator.platform.libc_ver", lambda: ("", ""))
    assert allocator.measure(1 << 20) is None
    with pytest.raises(ValueError, match="expected the allocator plain where the C library is not glibc, was: raised"):
        probe(TINY, forced={"allocator": "raised"})
    with pytest.raises(OSError, match="expected glibc to set its allocator, was: another C library"):
        keep_freed_memory()


def test_a_way_that_is_fast_by_chance_is_not_taken(monkeypatch):
    """The first look is wrong for dense attention in bfloat16, and for the products; the second is right."""
    seen = {}

    def relative_times(calls, baseline, seconds):
        found = {
            "fused/fp32": 1.0,
            "fused/bf16": 0.9,
            "plain": 1.0,
            "dense/fp32": 0.8,
            "dense/bf16": 0.6,
            "medium": 0.8,
            "torch": 1.0,
            "native": 1.2,
        }
        truth = found | {"dense/fp32": 0.93, "dense/bf16": 1.3, "medium": 0.97}
        looks = {name: seen.setdefault(name, []) for name in calls}
        for look in looks.values():
            look.append(baseline)
        first = len(KINDS) if baseline == "fused/fp32" else 1
        return {name: (found if len(look) <= first else truth)[name] for name, look in looks.items()}

    monkeypatch.setattr(probing, "relative_times", relative_times)
    found = measure(TINY)
    choices = decide(found, 1)
    assert (choices.attention, choices.gemm) == ("dense", "plain")
    assert (found.medium, choices.kernels) == (0.97, "torch")
    assert found.times["dense/fp32"]["causal"] == 0.93


@pytest.mark.parametrize(
    ("text", "most"), [("100000 100000\n", 1), ("150000 100000", 2), ("max 100000", 999), ("x", 999)]
)
def test_cores_of_a_container(tmp_path, text, most):
    (tmp_path / "cpu.max").write_text(text)
    assert 1 <= cores(tmp_path / "cpu.max") <= most
    assert cores(tmp_path / "cpu.max") <= cores(tmp_path / "none")
