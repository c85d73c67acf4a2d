"""Batches depend on seed and step alone, and what is tested on was never trained on."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from lab.support_lab import a_task, text
from support import refusal

from locant.lab.problems import NO_TARGET, Text, keyed, task
from locant.lab.tasks import catalogue

PROBLEMS = {"text": text, "copy": a_task, "what_at_index": lambda: a_task("what_at_index")}


def equal(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", PROBLEMS)
def test_batches_depend_on_seed_and_step_alone(kind):
    problem = PROBLEMS[kind]()
    wanted = {(seed, step): problem.batch(seed, step, 4, 16) for seed in range(3) for step in range(3)}
    state = torch.random.get_rng_state()
    again = PROBLEMS[kind]()
    for (seed, step), batch in reversed(wanted.items()):
        torch.manual_seed(seed + step)
        list(again.test("test", 16, 64, 4))
        assert equal(again.batch(seed, step, 4, 16), batch)
    torch.random.set_rng_state(state)
    assert not any(torch.equal(a[0], b[0]) for a, b in itertools.combinations(wanted.values(), 2))


@pytest.mark.parametrize("kind", PROBLEMS)
def test_the_global_random_state_is_left_alone(kind):
    state = torch.random.get_rng_state()
    problem = PROBLEMS[kind]()
    problem.batch(0, 0, 4, 16)
    list(problem.test("test", 16, 64, 4))
    assert torch.equal(torch.random.get_rng_state(), state)


@given(length=st.integers(40, 400), held=st.integers(10, 50), window=st.integers(1, 5), seed=st.integers(0, 99))
@rules(max_examples=30, deadline=None)
def test_trained_dev_and_test_text_never_overlap(length, held, window, seed):
    """Every byte says which part it is of: 1 to train on, 2 to choose on, 3 to test on."""
    train, cut = torch.ones(length, dtype=torch.uint8), length - length // 20
    train[cut:] = 2
    problem = Text("parts", train, torch.full((held,), 3, dtype=torch.uint8))
    assert len(problem.trained_on) + len(problem.dev) == length
    for part, mark in (("test", 3), ("dev", 2)):
        if part == "test" or len(problem.dev) > window:
            for tokens, targets in problem.test(part, window, 1000, 7):
                assert set(tokens.unique().tolist()) | set(targets.unique().tolist()) == {mark}
    tokens, targets = problem.batch(seed, 0, 50, window)
    assert set(tokens.unique().tolist()) | set(targets.unique().tolist()) == {1}


def test_a_target_is_the_next_byte():
    problem = text()
    for tokens, targets in [problem.batch(0, 0, 4, 16), *problem.test("test", 16, 256, 4)]:
        assert torch.equal(tokens[:, 1:], targets[:, :-1])
        assert targets.min() >= 0


def test_all_lengths_ask_for_the_same_targets():
    asked = [torch.cat([targets.flatten() for _, targets in text().test("test", length, 1024, 5)])
             for length in (8, 16, 32)]  # fmt: skip
    assert len(asked[0]) == 1024
    assert torch.equal(asked[0], asked[1])
    assert torch.equal(asked[0], asked[2])


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_batch_size_does_not_change_what_a_text_is_tested_on(size):
    whole = torch.cat([targets for _, targets in text().test("test", 16, 512, 3)])
    assert torch.equal(torch.cat([targets for _, targets in text().test("test", 16, 512, size)]), whole)


@pytest.mark.parametrize("name", catalogue())
def test_a_task_asks_for_as_many_targets_as_wanted(name):
    problem = a_task(name, 20)
    asked = [int((targets != NO_TARGET).sum()) for _, targets in problem.test("test", 20, 100, 2)]
    assert sum(asked) >= 100 > sum(asked[:-1])
    assert problem.vocabulary > max(int(tokens.max()) for tokens, _ in problem.test("test", 20, 100, 2))


def test_test_dev_and_training_examples_of_a_task_differ():
    problem = a_task()
    drawn = [next(problem.test("test", 16, 9, 9))[0], next(problem.test("dev", 16, 9, 9))[0],
             problem.batch(0, 0, 9, 16)[0]]  # fmt: skip
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(drawn, 2))
    assert torch.equal(drawn[0], next(a_task().test("test", 16, 9, 9))[0])


def test_keyed_generators():
    def draw(*key):
        return torch.rand(4, generator=keyed(*key)).tolist()

    assert draw("batch", 1, 2) == draw("batch", 1, 2)
    assert len({tuple(draw(*key)) for key in [("a", 1), ("a", 2), ("b", 1), ("a", 1, 2)]}) == 4


def test_what_at_index_asks_for_indices_of_the_training_length():
    assert task("what_at_index", 24).vocabulary == 16 + 12
    assert task("copy", 24).vocabulary == 18


def test_refusals():
    assert "expected a task among copy, reverse" in refusal(lambda: task("kopy", 16))
    assert refusal(lambda: task("shift", 7)) == "expected a length of at least 8, was: 7, for the task shift"
    assert refusal(lambda: task("shift", 16, 32, 4)) == "expected a length of at least 8, was: 4, for the task shift"
