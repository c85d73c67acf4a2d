"""What a model scores, against sums written as plain loops."""

import math

import pytest
import torch
from lab.support_lab import a_task, text

from locant.lab.evaluate import by_length, measure
from locant.lab.problems import NO_TARGET
from locant.model.decoder import decoder


def a_model(encoding="add(learned)", vocabulary=256, length=128):
    return decoder(encoding, 16, 2, 1, length, vocabulary, seed=3)


def loops(model, problem, length, count):
    """Score of every asked target: a list for each position."""
    scores = [[] for _ in range(length)]
    for tokens, targets in problem.test("test", length, count, 1):
        logits = model(tokens)
        for row in range(len(tokens)):
            for position in range(length):
                wanted = int(targets[row, position])
                if wanted == NO_TARGET:
                    continue
                found = logits[row, position].double()
                if problem.metric == "accuracy":
                    scores[position].append(float(int(found.argmax()) == wanted))
                else:
                    total = math.fsum(math.exp(value) for value in found.tolist())
                    scores[position].append(math.log2(total) - float(found[wanted]) / math.log(2))
    return scores


@pytest.mark.parametrize("length", [8, 16])
@torch.no_grad()
def test_bits_per_byte(length):
    model = a_model()
    scores = loops(model, text(), length, 200)
    found = measure(model, text(), "test", length, 200)
    flat = [score for each in scores for score in each]
    assert found["targets"] == len(flat)
    assert found["value"] == pytest.approx(math.fsum(flat) / len(flat), rel=1e-6)
    assert found["positions"] == list(range(length))
    assert found["by_position"] == pytest.approx([math.fsum(each) / len(each) for each in scores], rel=1e-6)


@pytest.mark.parametrize("name", ["copy", "shift", "parity"])
@torch.no_grad()
def test_accuracy_counts_only_what_is_asked(name):
    problem = a_task(name)
    model = a_model(vocabulary=problem.vocabulary)
    scores = loops(model, problem, 16, 300)
    found = measure(model, Alone(problem), "test", 16, 300)
    flat = [score for each in scores for score in each]
    assert found["targets"] == len(flat) >= 300
    assert found["value"] == pytest.approx(sum(flat) / len(flat), rel=1e-12)
    assert 0 < found["value"] < 1
    for each, value in zip(scores, found["by_position"], strict=True):
        assert value == (pytest.approx(sum(each) / len(each)) if each else None)
    assert (None in found["by_position"]) == (name != "parity")


class Alone:
    """A task that is tested one row at a time, as in the loops: other sizes draw other examples."""

    def __init__(self, problem):
        self.problem, self.metric = problem, problem.metric

    def test(self, part, length, count, size):
        return self.problem.test(part, length, count, 1)


@torch.no_grad()
def test_long_windows_are_reported_in_groups():
    model = a_model("none")
    scores = loops(model, text(), 130, 520)
    found = measure(model, text(), "test", 130, 520)
    assert found["positions"] == list(range(0, 130, 3))
    groups = [[s for each in scores[start : start + 3] for s in each] for start in range(0, 130, 3)]
    assert found["by_position"] == pytest.approx([math.fsum(group) / len(group) for group in groups], rel=1e-6)


def test_a_model_that_knows_nothing_needs_all_bits():
    model = a_model()
    with torch.no_grad():
        model.tokens.weight.zero_()
    assert measure(model, text(), "test", 16, 256)["value"] == pytest.approx(8.0)


@pytest.mark.parametrize(("encoding", "known"), [("add(learned)", [8, 16]), ("add(random)", [8, 16]),
                                                 ("rotary", [8, 16, 32]), ("add(fourier)", [8, 16, 32]),
                                                 ("add(learned) + rotary", [8, 16])])  # fmt: skip
def test_lengths_beyond_a_table_are_not_defined(encoding, known):
    rows = by_length(a_model(encoding, length=16), text(), "test", (8, 16, 32), 128)
    assert [row["length"] for row in rows] == [8, 16, 32]
    assert [row["length"] for row in rows if row["value"] is not None] == known
    for row in rows:
        beyond = "not defined: beyond the table of 16 positions"
        assert row["note"] == (None if row["length"] in known else beyond)


def test_measuring_needs_no_gradient_and_changes_nothing():
    model = a_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure(model, text(), "test", 16, 64)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
