"""The training loop: the same numbers however often a run is stopped, and a clear end where there is none."""

import json
import math
import random

import pytest
import torch
from lab.support_lab import a_run, a_task, text, timeless

from locant.lab.store import RunFolder
from locant.lab.train import Training, rate, train

ENCODINGS = ("none", "add(learned)", "concat(sinusoidal)", "beside(learned)", "rotary", "alibi", "add(learned) + t5")
PROBLEMS = {"text": text, "task": a_task}


class Stop(Exception):
    """Stands in for a kill."""


def trained(run, problem, out, *, stop=None, checkpoint_seconds=0.0):
    """The result, or None if the run was stopped after so many steps; and the loss of every step that was done."""
    losses = {}

    def progress(done, loss):
        losses[done] = loss
        if done == stop:
            raise Stop

    try:
        result = train(run, problem, out, progress=progress, checkpoint_seconds=checkpoint_seconds)
    except Stop:
        return None, losses
    return result, losses


def same_end(run, problem, tmp_path, stops, checkpoint_seconds=0.0):
    """Asserts that a run which is stopped at each of ``stops`` ends as one that is left alone."""
    whole, losses = trained(run, problem, tmp_path / "whole")
    seen = {}
    for stop in stops:
        result, some = trained(run, problem, tmp_path / "stopped", stop=stop, checkpoint_seconds=checkpoint_seconds)
        assert result is None
        assert seen.items() <= {**seen, **some}.items(), "a step that was done again gave another loss"
        seen |= some
    result, some = trained(run, problem, tmp_path / "stopped", checkpoint_seconds=checkpoint_seconds)
    assert min(some) <= max(seen, default=0) + 1
    assert {**seen, **some} == losses
    assert timeless(result) == timeless(whole)
    assert len(whole["curve"]) == run.curve_points
    folders = [RunFolder(tmp_path / name, run) for name in ("whole", "stopped")]
    assert folders[0].metrics.read_text() == folders[1].metrics.read_text()
    assert timeless(folders[0].result()) == timeless(folders[1].result())
    assert [path.name for path in sorted(folders[1].path.iterdir())] == ["metrics.jsonl", "result.json", "run.json"]


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_resumed_run_ends_as_an_undisturbed_one(tmp_path, encoding, kind):
    run = a_run(encoding, problem=kind)
    stops = sorted(random.Random(f"{encoding}, {kind}").sample(range(2, run.steps + 1), 3))
    same_end(run, PROBLEMS[kind](), tmp_path, stops)


@pytest.mark.parametrize("stop", range(1, 13))
def test_any_step_may_be_the_last_before_a_stop(tmp_path, stop):
    same_end(a_run(), text(), tmp_path, [stop])


def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_again(tmp_path):
    same_end(a_run(), text(), tmp_path, [10], checkpoint_seconds=1e9)


def test_a_checkpoint_says_where_to_go_on(tmp_path):
    run = a_run()
    trained(run, text(), tmp_path, stop=8)
    _, losses = trained(run, text(), tmp_path)
    assert sorted(losses) == list(range(8, 13))  # the stop came after step 8 and before its checkpoint


def test_half_a_line_of_a_killed_process_is_dropped(tmp_path):
    run, folder = a_run(), RunFolder(tmp_path / "stopped", a_run())
    trained(run, text(), tmp_path / "stopped", stop=11)
    with folder.metrics.open("a") as metrics:
        metrics.write('{"step": 12, "val')
    trained(run, text(), tmp_path / "stopped")
    trained(run, text(), tmp_path / "whole")
    lines = folder.metrics.read_text().splitlines()
    assert lines == RunFolder(tmp_path / "whole", run).metrics.read_text().splitlines()
    assert all(json.loads(line) for line in lines)


def test_a_finished_run_is_not_trained_again(tmp_path):
    run = a_run()
    result, _ = trained(run, text(), tmp_path)
    again, losses = trained(run, text(), tmp_path)
    assert losses == {}
    assert timeless(again) == timeless(json.loads(json.dumps(result)))


def test_the_global_random_state_decides_nothing(tmp_path):
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results.append(timeless(train(a_run(), text(), tmp_path / str(seed))))
    assert results[0] == results[1]


def test_a_run_learns(tmp_path):
    result = train(a_run(steps=60), text(), tmp_path)
    values = [point["value"] for point in result["curve"]]
    assert values == sorted(values, reverse=True)
    assert result["value"] < 4 < math.log2(256)


def test_result_holds_what_was_trained(tmp_path):
    run = a_run("concat(learned)")
    result = train(run, text(), tmp_path)
    model = Training(run, text(), RunFolder(tmp_path, run)).model
    assert result["id"] == run.id
    assert result["parameters"] == sum(tensor.numel() for tensor in model.state_dict().values())
    assert [row["length"] for row in result["by_length"]] == [16, 32]
    assert result["value"] == result["by_length"][0]["value"]
    assert [point["step"] for point in result["curve"]] == [3, 6, 9, 12]
    assert result["tokens_per_second"] == run.tokens / result["seconds"]


def test_value_is_measured_at_the_context_even_if_no_length_asks_for_it(tmp_path):
    with_it = train(a_run(), text(), tmp_path)
    without = train(a_run(eval_lengths=(32,)), text(), tmp_path)
    assert without["value"] == with_it["value"]


def test_equal_seeds_start_with_equal_values_where_names_are_equal(tmp_path):
    models = [Training(a_run(e, seed=3), text(), RunFolder(tmp_path, a_run(e))).model for e in ("none", "rotary")]
    for (name, one), (_, other) in zip(*[model.named_parameters() for model in models], strict=True):
        assert torch.equal(one, other), name


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match=r"expected a finite loss, was: (nan|inf) at step \d+"):
        train(a_run(learning_rate=1e30), text(), tmp_path)


def test_matrices_decay_and_vectors_do_not(tmp_path):
    training = Training(a_run("scaled_add(sinusoidal)"), text(), RunFolder(tmp_path, a_run()))
    decay = {p: decay for parameters, decay in training.optimiser.groups for p in parameters}
    assert decay.keys() == set(training.model.parameters())
    assert {(parameter.ndim > 1, value) for parameter, value in decay.items()} == {(True, 0.1), (False, 0.0)}


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_rate_rises_for_a_tenth_and_then_falls(steps):
    rates = [rate(step, steps) for step in range(steps)]
    assert min(rates) > 0
    assert max(rates) <= 1
    peak = rates.index(max(rates))
    assert peak <= 0.1 * steps + 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    if steps == 100:
        assert rates[4] == pytest.approx(0.5)
        assert rates[50] == pytest.approx(0.5)
        assert rates[-1] < 0.001
