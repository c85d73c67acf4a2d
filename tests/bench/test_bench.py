"""Ratios and bytes are what they say they are, and a bench of small sizes has a row for everything that it promises."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from elsewhere import NAME, elsewhere

from locant.bench import command, peers
from locant.bench.attention import Decoding, attention, heads
from locant.bench.cases import DTYPES, parts
from locant.bench.memory import peak
from locant.bench.options import DEFAULT, Options
from locant.bench.timing import ratios
from locant.encodings import build
from locant.encodings.once import Memo
from locant.model.attend import dense, sdpa
from locant.model.decoder import ATTENTION

SMALL = {"batch": 2, "heads": 2, "length": 12, "head_width": 8, "vocabulary": 30, "rounds": 2}


def test_ratios_are_those_of_the_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on only where something is called, so that nothing else on the machine counts."""
    now = [0.0]

    def spin(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("locant.bench.timing.time", SimpleNamespace(thread_time=lambda: now[0]))
    found = ratios({"short": lambda: spin(0.006), "long": lambda: spin(0.024)}, "short", 3)
    assert found["short"].middle == found["short"].low == found["short"].high == 1
    assert found["long"].low <= found["long"].middle <= found["long"].high
    assert found["long"].middle == pytest.approx(4)
    assert found["long"].seconds == pytest.approx(0.024)


def test_ratios_refuse_what_has_no_answer() -> None:
    with pytest.raises(ValueError, match="expected at least 2 rounds, was: 1"):
        ratios({"a": lambda: None}, "a", 1)
    with pytest.raises(ValueError, match="expected a baseline among a, was: b"):
        ratios({"a": lambda: None}, "b", 2)


def test_bytes_are_counted_at_the_highest_point() -> None:
    x, inputs = torch.zeros(1000), torch.zeros(250, requires_grad=True)
    assert peak(lambda: x * 2) == 4000
    assert peak(lambda: x.view(10, 100)) == 0
    assert peak(lambda: x.add_(1)) == 0
    assert peak(lambda: (x * 2) * 2) == 8000
    assert peak(lambda: [(x * 2).sum() for _ in range(9)]) == 4000 + 9 * 4
    assert peak(lambda: torch.autograd.grad(inputs.exp().sum(), inputs)) >= 2000


def test_the_attention_that_is_timed_is_that_of_a_decoder() -> None:
    given = heads(2, 2, 12, 8, torch.float32, torch.Generator().manual_seed(0))
    for expression in DEFAULT:
        encoding = build(expression, width=16, heads=2, length=12).layer(0)
        whole = attention(encoding, dense, given, Memo())
        assert whole.shape == given.v.shape
        for name in ("blocks", "sdpa"):
            torch.testing.assert_close(attention(encoding, ATTENTION[name], given, Memo()), whole, rtol=1e-4, atol=1e-4)
        last = Decoding(encoding, sdpa, given)
        for _ in range(2):
            torch.testing.assert_close(last(), whole[:, :, -1:], rtol=1e-4, atol=1e-4)


def test_a_bench_has_a_row_for_each_encoding_and_part() -> None:
    said: list[str] = []
    expressions = ("none", "add(learned)", "rotary", "t5", "forgetting")
    before = torch.get_rng_state()
    document = command.run(Options(encodings=expressions, **SMALL), said.append)
    assert torch.equal(torch.get_rng_state(), before)
    rows = {part["part"]: [row["name"] for row in part["rows"]] for part in document["parts"]}
    assert rows == {
        "input": ["bare lookup", "add(learned)"],
        "queries and keys": ["copy of q and k", "rotary", *peers.installed()],
        "attention": ["causal attention of PyTorch", "none", "rotary", "t5", "forgetting"],
        "decoding": ["one token of plain attention", "none", "rotary", "t5", "forgetting"],
    }
    assert [line.split(":")[0] for line in said] == list(rows)
    for part in document["parts"]:
        assert part["rows"][0]["forward"]["ratio"] == 1
        for row in part["rows"]:
            low, high = row["forward"]["quartiles"]
            assert 0 < low <= row["forward"]["ratio"] <= high
            assert (row["both"] is None) == (part["part"] == "decoding")
    assert document["attention"]["t5"] == "blocks"
    assert document["options"]["length"] == 12
    assert len(command.tables(document)) == 4
    assert any("attention blocks: none" in note for note in command.notes(document))
    assert "kernels: native: compiled here" in command.notes(document)


def test_who_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    document = command.run(Options(encodings=("rotary",), **SMALL), lambda line: None)
    assert [row["name"] for row in document["parts"][0]["rows"]] == ["copy of q and k", "rotary"]
    assert "not installed, so not compared with: rotary_embedding_torch, x_transformers, transformers" in command.notes(
        document
    )


def test_bfloat16() -> None:
    options = Options(encodings=("concat(sinusoidal)", "rotary"), format="bf16", **SMALL)
    made = {name: build(name, width=16, heads=2, length=12) for name in options.encodings}
    for part in parts(made, options):
        for case in part.cases.values():
            out = case.call()
            assert (out[0] if isinstance(out, tuple) else out).dtype == DTYPES["bf16"]


@pytest.mark.parametrize(("options", "message"), [
    ({"batch": 0}, "expected --batch of at least 1, was: 0"),
    ({"head_width": -3}, "expected --head-width of at least 1, was: -3"),
    ({"length": 1}, "expected --length of at least 2, was: 1"),
    ({"rounds": 1}, "expected --rounds of at least 2, was: 1"),
    ({"encodings": ()}, "expected at least one encoding, was: none"),
    ({"encodings": ("t5", "t5")}, "expected every encoding once, was: t5, t5"),
    ({"probe": True, "rounds": 9}, "expected --probe without options of what is timed, was: both"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options(**options).checked()


def test_a_misspelt_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match="rotery"):
        command.run(Options(encodings=("rotery",)), lambda line: None)


def test_what_is_chosen_for_the_machine_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = SimpleNamespace(to_dict=lambda: {"gemm": "mkl"})
    module = ModuleType("locant.machine.probe")
    module.probe, module.describe = lambda: chosen, lambda choices: [("gemm", "mkl", f"of {choices.to_dict()}")]
    monkeypatch.setitem(sys.modules, "locant.machine.probe", module)
    monkeypatch.setitem(sys.modules, "locant.machine", ModuleType("locant.machine"))
    assert command.probed() == ({"gemm": "mkl"}, [("gemm", "mkl", "of {'gemm': 'mkl'}")])


def test_another_device_is_timed_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    with elsewhere():
        monkeypatch.setattr(torch.elsewhere, "synchronize", waited.append)
        document = command.run(Options(**SMALL, device=NAME), lambda _: None)
    assert [part["part"] for part in document["parts"]] == ["input", "queries and keys", "attention", "decoding"]
    assert len(waited) > 4 * len(DEFAULT)
    assert set(waited) == {torch.device(NAME)}
    assert command.notes(document)[-2] == (
        f"ratios are medians over the rounds, in time until {NAME} is done; a copy copies gradients, too"
    )


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a device that PyTorch has here \(cpu.*\), was: cuda"):
        command.run(Options(**SMALL, device="cuda"), lambda _: None)
