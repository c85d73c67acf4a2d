"""Training on another device: the numbers of the processor, and nothing that makes the processor wait for it.

The device is ``elsewhere``: no GPU, but one that refuses what a GPU refuses, and counts what a GPU would wait for.
"""

import gc
import weakref
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import torch
from elsewhere import DEVICE, NAME, elsewhere
from lab.support_lab import a_run, a_task, in_process, plain, settings, text, timeless
from lab.test_stack import SEEDS, Stop, Undecided, job, trainings

import locant.lab.compare as comparing
from locant.encodings import catalogue, codes
from locant.lab import side_by_side
from locant.lab.graph import Cuda, NotRecorded, replayed
from locant.lab.jobs import perform
from locant.lab.resident import WARM, Resident
from locant.lab.settle import settle
from locant.lab.side_by_side import train_side_by_side
from locant.lab.stack import Stack
from locant.lab.store import RunFolder
from locant.lab.together import train_together
from locant.lab.train import LOG_EVERY, Training, train
from locant.machine import devices

EVERY = sorted({catalogue()[name].example for name in catalogue()})


@pytest.fixture
def there():
    with elsewhere() as waits:
        yield waits


def seeds(encoding="add(learned)", device=NAME, **changes):
    return [a_run(encoding, seed=seed, attention="dense", stacking="stacked", device=device, **changes)
            for seed in SEEDS]  # fmt: skip


def at_home(runs):
    return [replace(run, device="cpu") for run in runs]


def resident(runs, problem, out, record=None):
    stack = Stack(trainings(runs, problem, out), out)
    return Resident(stack, record)


def losses(made, steps):
    made.order(steps)
    made.stack.count(steps, 0.0)
    return made.read()


def again(step):
    """Stands in for a CUDA graph: what is recorded is done again."""
    return step


@pytest.mark.parametrize("encoding", EVERY)
def test_every_encoding_trains_there_as_here_and_its_steps_do_not_wait(tmp_path, monkeypatch, encoding):
    changes = {"steps": 4, "learning_rate": 1e-3, "width": 32, "heads": 4, "columns": 8}
    runs = seeds(encoding, **changes)[:2]
    here = Stack(trainings(at_home(runs), text(), tmp_path / "a"), tmp_path / "a")
    expected = [here.step() for _ in range(4)]
    with elsewhere() as waits:
        made = resident(runs, text(), tmp_path / "b")
        assert made.how == f"step by step: there are no CUDA graphs on {NAME}"
        assert {parameter.device for parameter in made.stack.parameters.values()} == {DEVICE}
        monkeypatch.setattr(codes, "recording", lambda positions: True)

        def watched():
            waits.seen.clear()
            made.step()
            assert waits.seen == []

        made.replay = watched
        assert losses(made, 4) == [pytest.approx(each, rel=1e-5, abs=1e-5) for each in expected]


@pytest.mark.parametrize("encoding", ["none", "add(learned)", "rotary", "beside(learned) + t5", "fire"])
def test_a_run_alone_gives_the_same_there(tmp_path, there, encoding):
    run = a_run(encoding, learning_rate=1e-3)
    one = train(run, text(), tmp_path / "a")
    other = train(replace(run, device=NAME), text(), tmp_path / "b", device=f"{NAME}:0")
    assert other["value"] == pytest.approx(one["value"], rel=1e-5)
    assert other["id"] != one["id"]
    assert other["choices"] == {**one["choices"], "device": NAME}
    assert all(path.suffix == ".npz" or path.is_file() for path in RunFolder(tmp_path / "b", run).path.rglob("*"))


@pytest.mark.parametrize("make", [text, a_task], ids=["text", "task"])
def test_all_encodings_at_once_give_what_each_gives(tmp_path, there, make):
    names, told = ("rotary", "concat(learned)"), []
    runs = [run for name in names for run in seeds(name, learning_rate=1e-3, steps=15)]
    ends = list(
        train_side_by_side(
            runs,
            make(),
            tmp_path / "a",
            device=NAME,
            record=again,
            progress=lambda run, done, loss: told.append((run.encoding, run.seed, done)),
        )
    )
    assert [some[0].encoding for some, _ in ends] == list(names)
    assert {done for *_, done in told} >= {10, 15}
    assert len({(name, seed) for name, seed, _ in told}) == 6
    for some, results in ends:
        home = train_together(at_home(some), make(), tmp_path / "b")
        for run, result, expected in zip(some, results, home, strict=True):
            assert result["value"] == pytest.approx(expected["value"], rel=1e-4)
            assert result["choices"] == {**expected["choices"], "device": NAME, "steps": "replayed"}
            assert [p["step"] for p in result["curve"]] == [p["step"] for p in expected["curve"]]
            folder, other = RunFolder(tmp_path / "a", run), RunFolder(tmp_path / "b", replace(run, device="cpu"))
            assert folder.result() == plain(result)
            mine, theirs = (each.metrics.read_text().count("training_loss") for each in (folder, other))
            assert mine >= theirs == 2


@pytest.mark.parametrize("stop", [10, 12, 18])
def test_what_was_stopped_there_ends_as_if_undisturbed(tmp_path, there, stop):
    def end(run, done, loss):
        if done >= stop:
            raise Stop

    runs = [run for name in ("none", "rotary") for run in seeds(name, steps=18)[:2]]
    whole = [found for _, found in train_side_by_side(runs, text(), tmp_path / "whole", device=NAME)]
    cut = train_side_by_side(runs, text(), tmp_path / "cut", device=NAME, progress=end, checkpoint_seconds=0.0)
    assert [type(found) for _, found in cut] == [Stop, Stop]
    ends = train_side_by_side(runs, text(), tmp_path / "cut", device=NAME, checkpoint_seconds=0.0)
    assert timeless([found for _, found in ends]) == timeless(whole)


def test_the_time_of_a_run_is_that_of_ordering_and_waiting(tmp_path, there, monkeypatch):
    """By a clock that goes on where steps are ordered, where they are waited for, and where a model is tested."""
    now = [0.0]

    def takes(seconds, kind, name):
        call = getattr(kind, name)

        def spend(*given):
            now[0] += seconds
            return call(*given)

        monkeypatch.setattr(kind, name, spend)

    takes(0.25, Resident, "order")
    takes(0.5, Resident, "read")
    takes(100.0, Training, "point")
    monkeypatch.setattr(side_by_side, "time", SimpleNamespace(perf_counter=lambda: now[0], monotonic=lambda: 0.0))
    runs = [run for name in ("none", "rotary") for run in seeds(name, steps=20, curve_points=2)]
    for _, results in train_side_by_side(runs, text(), tmp_path, device=NAME):
        assert [result["seconds"] for result in results] == [2 * 0.75 / 3] * 3


def test_more_stacks_than_streams_wait_for_each_other(tmp_path, there, monkeypatch):
    monkeypatch.setattr(side_by_side, "AT_ONCE", 2)
    runs, told = [run for name in ("none", "rotary", "alibi", "t5") for run in seeds(name)[:1]], []
    ends = list(train_side_by_side(runs, text(), tmp_path, device=NAME,
                                   progress=lambda run, done, loss: told.append((run.encoding, done))))  # fmt: skip
    assert [some[0].encoding for some, _ in ends] == ["none", "rotary", "alibi", "t5"]
    assert told.index(("alibi", 10)) > told.index(("none", 12))


def test_one_that_fails_leaves_the_others_alone(tmp_path, there):
    runs = [*seeds("undecided"), *seeds("none"), *seeds("rotary", learning_rate=1e30)]
    extra = {"undecided": lambda shape: Undecided()}
    ends = {
        some[0].encoding: found for some, found in train_side_by_side(runs, text(), tmp_path, device=NAME, extra=extra)
    }
    assert "expected an encoding that can be stacked" in str(ends["undecided"])
    assert "expected a finite loss" in str(ends["rotary"])
    assert [result["run"]["seed"] for result in ends["none"]] == list(SEEDS)
    assert not list((tmp_path / "stacks").iterdir())


def test_a_job_of_all_encodings_tells_of_each_and_tries_alone_what_failed(tmp_path, there):
    events, runs = [], [*seeds("none"), *seeds("rotary", learning_rate=1e30)]
    made = replace(job(tmp_path, runs), device=NAME, machine={"device_name": "a test"})
    events.append(perform(made, events.append))
    ends = [(e.job.run["encoding"], e.job.run["seed"], e.kind, e.last) for e in events if e.kind != "step"]
    assert ends == [*(("none", seed, "done", False) for seed in SEEDS),
                    *(("rotary", seed, "failed", seed == 2) for seed in SEEDS)]  # fmt: skip
    done = next(event for event in events if event.kind == "done").result
    assert done["choices"]["device_name"] == "a test"
    assert done["choices"]["stacked"] == 3


def test_what_was_recorded_is_replayed_after_it_has_shown_that_it_does_the_same(tmp_path, there):
    runs, replays = seeds("rotary", steps=20), []

    def counting(step):
        def replay():
            replays.append(1)
            step()

        return replay

    made, plainly = (resident(runs, text(), tmp_path / str(i), record) for i, record in enumerate((counting, None)))
    assert losses(made, LOG_EVERY) == losses(plainly, LOG_EVERY)
    assert made.how == "replayed"
    assert len(replays) == LOG_EVERY - WARM
    assert losses(made, LOG_EVERY) == losses(plainly, LOG_EVERY)
    assert len(replays) == 2 * LOG_EVERY - WARM


def cannot(step):
    raise RuntimeError("operation not permitted\nwhen stream is capturing")


def nothing(step):
    return lambda: None


@pytest.mark.parametrize(("record", "why"), [
    (cannot, "step by step: operation not permitted when stream is capturing"),
    (nothing, "step by step: replayed, a loss was off by "),
])  # fmt: skip
def test_what_cannot_be_recorded_is_done_step_by_step_and_says_so(tmp_path, there, record, why):
    runs = seeds("rotary", steps=20)
    made, plainly = (resident(runs, text(), tmp_path / str(i), each) for i, each in enumerate((record, None)))
    for _ in range(2):
        assert losses(made, LOG_EVERY) == losses(plainly, LOG_EVERY)
    assert made.how.startswith(why)


@pytest.mark.parametrize("wrong", [1e-2, float("nan")])
def test_a_replay_that_is_a_little_off_is_refused(wrong):
    state, other = torch.ones(5), torch.zeros(3)

    def step():
        state.add_(1.0)

    def record(step):
        return lambda: state.add_(1.0 + wrong)

    with pytest.raises(NotRecorded, match="replayed, a weight was off") as refused:
        replayed(step, {"count": [other], "weight": [state, other]}, record)
    assert refused.value.taken
    assert torch.equal(state, torch.full((5,), 2.0))


def test_what_is_rounding_only_may_differ_beside_what_is_not():
    state, noise = torch.ones(5), torch.zeros(1)

    def record(step):
        return lambda: (state.add_(1.0), noise.add_(1e-4))

    replay = replayed(lambda: state.add_(1.0), {"mean": [state, noise]}, record)
    replay()
    assert torch.equal(state, torch.full((5,), 3.0))


def test_after_one_recording_that_failed_nothing_is_recorded():
    cuda, steps = Cuda(), []
    for _ in range(2):
        with pytest.raises(RuntimeError, match="CUDA"):
            cuda(lambda: steps.append(1))
        assert cuda.failed
    assert not steps


def test_what_reads_numbers_is_not_recorded(tmp_path, there):
    runs = seeds("liere", width=32, heads=4, steps=20)
    made = resident(runs, text(), tmp_path, again)
    assert made.how == "step by step: Liere reads numbers from the device"
    losses(made, LOG_EVERY)
    assert made.replay is None


def test_what_has_ended_or_failed_is_let_go(tmp_path, there, monkeypatch):
    """At once, and not when Python looks for cycles: it does not know how full a GPU is."""
    made, kept = [], []
    begin = side_by_side.begin

    def noted(*given):
        stack = begin(*given)
        made.append(weakref.ref(stack))
        return stack

    monkeypatch.setattr(side_by_side, "begin", noted)
    runs = [*seeds("none"), *seeds("rotary", learning_rate=1e30)]
    gc.collect()
    gc.disable()
    try:
        kept += [found for _, found in train_side_by_side(runs, text(), tmp_path, device=NAME)]
        assert [each() for each in made] == [None, None]
    finally:
        gc.enable()
    assert isinstance(kept[0], FloatingPointError)


def test_pauses_are_where_something_is_due(tmp_path):
    made = Training(a_run(steps=34, curve_points=4), text(), RunFolder(tmp_path, a_run()))
    seen = []
    while made.done < 34:
        made.done = made.pause(snapshots=3)
        seen.append(made.done)
    assert seen == [8, 10, 17, 20, 26, 30, 34]


def test_a_folder_keeps_its_device(tmp_path, there):
    made = settings(tmp_path, device=NAME, attention="auto")
    settled = settle(made)
    assert settled.numerics() == {"precision": "fp32", "attention": "dense", "gemm": "plain", "kernels": "torch",
                                  "threads": 1, "stacking": "stacked", "device": NAME}  # fmt: skip
    assert (settled.choices.workers, settled.choices.why["workers"]) == (1, "forced")
    assert settle(made).numerics() == settled.numerics()
    with pytest.raises(ValueError, match=f"expected device {NAME} as the results in .*out have, was: cpu"):
        settle(replace(made, device="cpu"))


@pytest.mark.parametrize(("changes", "stacking"), [
    ({}, "stacked"), ({"stack": "no"}, "alone"), ({"attention": "sdpa"}, "alone"), ({"context": 16384}, "alone"),
])  # fmt: skip
def test_stacking_is_chosen_there(tmp_path, there, changes, stacking):
    made = settings(tmp_path, **{"device": NAME, "attention": "auto", **changes})
    assert settle(made).stacking == stacking


def test_devices_and_kernels_that_are_not_there_are_refused(tmp_path, there):
    with pytest.raises(ValueError, match=r"expected a device that PyTorch has here \(cpu.*\), was: cuda:7"):
        settle(settings(tmp_path, device="cuda:7"))
    with pytest.raises(ValueError, match=r"expected the kernels torch on elsewhere, .*, was: native"):
        settle(settings(tmp_path, device=NAME, kernels="native"))
    assert devices.find("cpu:0") == torch.device("cpu")
    with pytest.raises(ValueError, match="was: meta"):
        devices.find("meta")


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["auto", "no"])
def test_a_comparison_there_is_that_of_here(tmp_path, there, monkeypatch, stack):
    monkeypatch.setattr(comparing, "execute", in_process)
    made = settings(tmp_path, stack=stack, attention="auto", encodings=("rotary", "beside(learned)"),
                    learning_rates=(0.01, 0.02), device=NAME)  # fmt: skip
    document = comparing.compare(made)
    assert not document["failed"]
    assert document["plan"]["choices"]["device"] == NAME
    home = comparing.compare(replace(made, device="cpu", attention="dense", out=tmp_path / "home"))
    for one, other in zip(document["rows"], home["rows"], strict=True):
        assert one["per_seed"] == pytest.approx(other["per_seed"], rel=1e-2)
    assert comparing.compare(made)["rows"] == document["rows"]


def test_a_run_of_before_keeps_its_name():
    assert a_run().id == replace(a_run(), device="cpu").id != a_run(device="cuda").id
    assert asdict(a_run())["device"] == "cpu"
