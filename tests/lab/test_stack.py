"""Seeds of one encoding as one program: the numbers of each alone, a record for each, and the same after a kill."""

from dataclasses import asdict, replace

import pytest
import torch
from lab.support_lab import a_run, a_task, in_process, plain, settings, text, timeless

import locant.lab.compare as comparing
from locant.encodings import PositionalEncoding, catalogue
from locant.lab.jobs import Job, perform
from locant.lab.stack import LARGEST, Stack, checkpoint
from locant.lab.store import RunFolder, write_tensors
from locant.lab.together import groups, train_together
from locant.lab.train import Training, train

SEEDS = (0, 1, 2)
SOURCE = {"kind": "text", "name": "words", "file": "words.pt"}


class Stop(Exception):
    """Stands in for a kill."""


def seeds(encoding="add(learned)", **changes):
    return [a_run(encoding, seed=seed, attention="dense", stacking="stacked", **changes) for seed in SEEDS]


def trainings(runs, problem, out, extra=None):
    return [Training(run, problem, RunFolder(out, run), extra) for run in runs]


class Undecided(PositionalEncoding):
    """Looks at numbers to decide what to do, which nothing that runs several models at once can follow."""

    def embed(self, tokens, positions):
        return tokens if tokens.is_meta or tokens.sum() > -1e9 else 2 * tokens


@pytest.mark.parametrize("name", catalogue())
def test_every_encoding_of_the_catalogue_trains_in_a_stack_as_alone(tmp_path, name):
    runs = seeds(catalogue()[name].example, steps=4, learning_rate=1e-3, width=32, heads=4, columns=8)
    problem, alone = text(), trainings(runs, text(), tmp_path)
    stack = Stack(trainings(runs, problem, tmp_path), tmp_path)
    for _ in range(runs[0].steps):
        assert stack.step() == pytest.approx([training.step() for training in alone], rel=1e-5, abs=1e-5)
    for one, other in zip(stack.members, alone, strict=True):
        for (key, stacked), single in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
            assert stacked.shape == single.shape, key
    assert len({float(member.model.tokens.weight[0, 0].detach()) for member in stack.members}) == len(SEEDS)


def test_an_encoding_that_decides_by_numbers_is_refused(tmp_path):
    members = trainings(seeds("undecided"), text(), tmp_path, {"undecided": lambda shape: Undecided()})
    with pytest.raises(ValueError, match="expected an encoding that can be stacked, was: vmap: It looks like"):
        Stack(members, tmp_path)


@pytest.mark.parametrize("make", [text, a_task], ids=["text", "task"])
@pytest.mark.parametrize("encoding", ["concat(learned)", "rotary", "beside(learned) + alibi"])
def test_records_are_those_of_runs_alone(tmp_path, encoding, make):
    runs, seen = seeds(encoding, learning_rate=1e-3), []
    together = train_together(
        runs, make(), tmp_path / "a", progress=lambda done, losses: seen.append((done, len(losses)))
    )
    assert seen == [(step + 1, len(SEEDS)) for step in range(runs[0].steps)]
    for run, result in zip(runs, together, strict=True):
        alone = train(run, make(), tmp_path / "b")
        assert RunFolder(tmp_path / "a", run).result() == plain(result)
        assert result["choices"] == {**alone["choices"], "stacked": len(SEEDS)}
        assert result.keys() == alone.keys()
        assert result["value"] == pytest.approx(alone["value"], rel=1e-4)
        assert [p["step"] for p in result["curve"]] == [p["step"] for p in alone["curve"]]
        names = [sorted(p.name for p in RunFolder(tmp_path / out, run).path.iterdir()) for out in ("a", "b")]
        assert names[0] == names[1]
    assert not list((tmp_path / "a" / "stacks").iterdir())


def test_clipping_is_for_each_model(tmp_path):
    runs = seeds(learning_rate=1e-3)
    stack, alone = Stack(trainings(runs, text(), tmp_path), tmp_path), trainings(runs, text(), tmp_path)
    factors = torch.tensor([1e-3, 1.0, 50.0])
    for parameter in stack.parameters.values():
        parameter.grad = factors.view(-1, *[1] * (parameter.ndim - 1)).expand_as(parameter).clone()
    stack._clip()
    for index, training in enumerate(alone):
        for parameter in training.parameters:
            parameter.grad = torch.full_like(parameter, float(factors[index]))
        torch.nn.utils.clip_grad_norm_(training.parameters, 1.0)
        for (name, _), parameter in zip(training.model.named_parameters(), training.parameters, strict=True):
            torch.testing.assert_close(stack.parameters[name].grad[index], parameter.grad)


@pytest.mark.parametrize("stop", [1, 5, 11, 12])
def test_a_stack_that_was_stopped_ends_as_an_undisturbed_one(tmp_path, stop):
    def end(done, losses):
        if done == stop:
            raise Stop

    runs = seeds("rotary")
    whole = train_together(runs, text(), tmp_path / "whole")
    with pytest.raises(Stop):
        train_together(runs, text(), tmp_path / "stopped", progress=end, checkpoint_seconds=0.0)
    assert groups(tmp_path / "stopped", runs) == [runs]
    again = train_together(runs, text(), tmp_path / "stopped", checkpoint_seconds=0.0)
    assert timeless(again) == timeless(whole)
    for run in runs:
        folders = [RunFolder(tmp_path / name, run) for name in ("whole", "stopped")]
        assert folders[0].metrics.read_text() == folders[1].metrics.read_text()


def test_a_kill_between_two_records_keeps_the_stack_together(tmp_path, monkeypatch):
    runs = seeds()
    whole = train_together(runs, text(), tmp_path / "whole")
    finish, finished = RunFolder.finish, []

    def once(folder, result):
        if finished:
            raise Stop
        finished.append(result["id"])
        finish(folder, result)

    monkeypatch.setattr(RunFolder, "finish", once)
    with pytest.raises(Stop):
        train_together(runs, text(), tmp_path / "killed")
    monkeypatch.undo()
    assert groups(tmp_path / "killed", runs) == [runs]
    assert timeless(plain(train_together(runs, text(), tmp_path / "killed"))) == timeless(plain(whole))
    assert groups(tmp_path / "killed", runs) == []


def test_groups_differ_in_the_seed_only_and_are_not_too_large(tmp_path):
    one = [a_run(seed=seed) for seed in range(LARGEST + 2)]
    other = [replace(run, encoding="none") for run in one[:1]]
    assert groups(tmp_path, [*one, *other]) == [one[:LARGEST], one[LARGEST:], other]
    assert checkpoint(tmp_path, one) != checkpoint(tmp_path, one[:-1])
    with pytest.raises(ValueError, match="expected runs that differ in their seed only, was: other differences"):
        Stack(trainings([one[0], other[0]], text(), tmp_path), tmp_path)


def job(out, runs):
    problem = text()
    write_tensors(out / "data" / "words.pt", {"train": problem.train, "test": problem.held_out})
    return Job(asdict(runs[0]), SOURCE, str(out), more=tuple(asdict(run) for run in runs[1:]))


def test_a_job_of_several_tells_of_each(tmp_path):
    events, runs = [], seeds()
    events.append(perform(job(tmp_path, runs), events.append))
    told = [(event.job.run["seed"], event.kind, event.step, event.last) for event in events]
    assert told == [*((s, "step", 10, True) for s in SEEDS), (0, "done", 12, False), (1, "done", 12, False),
                    (2, "done", 12, True)]  # fmt: skip
    assert [event.result["choices"]["stacked"] for event in events[3:]] == [3, 3, 3]


def test_what_cannot_be_stacked_trains_alone_and_says_so(tmp_path, monkeypatch):
    def refuse(self):
        raise ValueError("expected an encoding that can be stacked, was: another")

    monkeypatch.setattr(Stack, "_check", refuse)
    events, runs = [], seeds()
    events.append(perform(job(tmp_path / "a", runs), events.append))
    ends = [event for event in events if event.kind == "done"]
    assert [event.last for event in ends] == [False, False, True]
    for run, event in zip(runs, ends, strict=True):
        choices = event.result["choices"]
        assert choices["stacked"] == 1
        assert choices["alone"] == "ValueError: expected an encoding that can be stacked, was: another"
        assert event.result["value"] == train(run, text(), tmp_path / "b")["value"]


def test_runs_that_diverge_fail_one_by_one(tmp_path):
    events = []
    events.append(perform(job(tmp_path, seeds(learning_rate=1e30)), events.append))
    ends = [event for event in events if event.kind == "failed"]
    assert [(event.job.run["seed"], event.last) for event in ends] == [(0, False), (1, False), (2, True)]
    assert all("expected a finite loss" in event.error for event in ends)
    assert not list(tmp_path.glob("stacks/*"))


@pytest.mark.slow
def test_a_comparison_of_stacks(tmp_path, monkeypatch):
    monkeypatch.setattr(comparing, "execute", in_process)
    made = settings(tmp_path, stack="yes", attention="auto", encodings=("none", "rotary"))
    document = comparing.compare(made)
    assert not document["failed"]
    assert document["plan"]["choices"]["stacking"] == "stacked"
    alone = comparing.compare(replace(made, stack="no", attention="dense", out=tmp_path / "alone"))
    for one, other in zip(document["rows"], alone["rows"], strict=True):
        assert one["per_seed"] == pytest.approx(other["per_seed"], rel=1e-3)
