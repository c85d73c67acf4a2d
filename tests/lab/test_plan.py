"""From settings to runs."""

import itertools
import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from lab.support_lab import settings, words
from support import refusal

import locant.lab.plan as planning
from locant.lab.plan import TUNING_SEED, load_builders, make, problem
from locant.lab.store import open_results

BUILDERS = """
from locant.encodings import PositionalEncoding

OFFSET = 1.0

class Louder(PositionalEncoding):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def embed(self, tokens, positions):
        return tokens * (1 + self.by * (positions[..., None] + OFFSET))

def louder(shape, *, by: float = 0.1):
    return Louder(by)

def _helper(shape):
    raise AssertionError

def not_a_builder(x):
    raise AssertionError
"""


def planned(folder, **changes):
    made = settings(folder, **changes).checked()
    open_results(made.out)
    return make(made)


def rates(plan):
    return {key: 0.01 for key in plan.fitted}


def test_runs_come_seed_by_seed(tmp_path):
    plan = planned(tmp_path)
    runs = plan.runs(rates(plan))
    expected = itertools.product((0, 1), ("words.txt", "copy"), ("none", "add(learned)", "rotary"))
    assert [(run.seed, run.problem, run.encoding) for run in runs] == list(expected)
    assert len({run.id for run in runs}) == len(runs)
    assert plan.tuning() == []


def test_learning_rates_are_chosen_on_a_seed_and_a_part_of_their_own(tmp_path):
    plan = planned(tmp_path, learning_rates=(0.001, 0.01))
    runs = plan.tuning()
    assert len(runs) == 2 * 3 * 2
    assert {(run.seed, run.part, run.eval_lengths) for run in runs} == {(TUNING_SEED, "dev", (16,))}
    assert TUNING_SEED not in {run.seed for run in plan.runs(rates(plan))}


def test_equal_settings_make_equal_plans_in_any_folder(tmp_path):
    plans = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        plans.append(planned(tmp_path / name))
    assert [run.id for run in plans[0].runs(rates(plans[0]))] == [run.id for run in plans[1].runs(rates(plans[1]))]


def test_other_data_other_runs(tmp_path):
    first = planned(tmp_path)
    other = tmp_path / "words.md"
    other.write_text(words(seed=1))
    second = planned(tmp_path, data=str(other))
    assert not {run.id for run in first.runs(rates(first)) if run.problem != "copy"} & {
        run.id for run in second.runs(rates(second))
    }


def test_another_process_makes_the_same_problems(tmp_path):
    plan = planned(tmp_path)
    for experiment in plan.experiments:
        again = problem(experiment.source, plan.settings.out)
        for one, other in zip(experiment.problem.batch(1, 2, 4, 16), again.batch(1, 2, 4, 16), strict=True):
            assert torch.equal(one, other)
        assert (again.name, again.metric, again.vocabulary) == (
            experiment.problem.name,
            experiment.problem.metric,
            experiment.problem.vocabulary,
        )


@given(steps=st.integers(1, 400))
@rules(max_examples=5, deadline=None)
def test_a_budget_of_tokens(tmp_path_factory, steps):
    plan = planned(tmp_path_factory.mktemp("plan"), budget=f"{steps * 64}", task=("none",))
    assert set(plan.steps.values()) == {steps}


def test_a_budget_of_flops_gives_costlier_models_fewer_steps(tmp_path):
    plan = planned(tmp_path, encodings=("none", "concat(learned)"), budget="1e9flops", match="token")
    for key, model in plan.fitted.items():
        assert abs(plan.steps[key] * 64 * model.cost.flops_per_token - 1e9) <= 32 * model.cost.flops_per_token
    assert plan.steps["copy", "none"] > plan.steps["copy", "concat(learned)"]


def test_seconds_are_measured_once_and_kept(tmp_path, monkeypatch):
    measured = iter([0.01, 0.02, 0.04, 0.01, 0.02, 0.04])
    monkeypatch.setattr(planning, "_time", lambda *_: next(measured))
    plan = planned(tmp_path, budget="2s")
    assert list(plan.steps.values()) == [200, 100, 50] * 2

    def refuse(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(planning, "_time", refuse)
    again = planned(tmp_path, budget="2s")
    assert [run.id for run in again.runs(rates(again))] == [run.id for run in plan.runs(rates(plan))]
    assert list(planned(tmp_path, budget="4s").steps.values()) == [400, 200, 100] * 2


def test_a_step_is_timed_as_the_workers_train(tmp_path):
    threads = torch.get_num_threads()
    plan = planned(tmp_path, budget="10s", encodings=("none",), task=("none",))
    assert torch.get_num_threads() == threads
    [path] = (plan.settings.out / "timings").iterdir()
    seconds = json.loads(path.read_text())["seconds_per_step"]
    assert 1e-5 < seconds < 10
    assert plan.steps["words.txt", "none"] == round(10 / seconds)
    assert not (plan.settings.out / "runs").exists()


class TestBuilders:
    def write(self, tmp_path, text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return path

    def test_functions_of_a_shape_are_found(self, tmp_path):
        found, digest = load_builders(self.write(tmp_path, BUILDERS))
        assert set(found) == {"louder"}
        other = load_builders(self.write(tmp_path, BUILDERS.replace("1.0", "2.0")))[1]
        assert digest != other

    def test_the_file_is_a_part_of_the_run(self, tmp_path):
        made = {"builders": self.write(tmp_path, BUILDERS), "encodings": ("louder(by=0.2)", "none")}
        plan = planned(tmp_path, **made)
        self.write(tmp_path, BUILDERS.replace("1.0", "2.0"))
        other = planned(tmp_path, **made)
        assert not {run.id for run in plan.runs(rates(plan))} & {run.id for run in other.runs(rates(other))}

    def test_none(self):
        assert load_builders(None) == ({}, "")

    @pytest.mark.parametrize(("text", "message"), [
        ("def f(:\n", "expected a Python file that runs, was: .*mine.py, SyntaxError: "),
        ("import nothing_of_the_kind", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(x): ...", "expected functions whose first argument is `shape` in .*mine.py, was: none"),
        ("", "was: none"),
    ])  # fmt: skip
    def test_broken_files(self, tmp_path, text, message):
        path = self.write(tmp_path, text)
        with pytest.raises(ValueError, match=message):
            load_builders(path)

    def test_a_missing_file(self, tmp_path):
        assert refusal(lambda: load_builders(tmp_path / "no.py")) == (
            f"expected a Python file of builders, was: {tmp_path / 'no.py'}"
        )

    def test_a_name_that_is_taken(self, tmp_path):
        path = self.write(tmp_path, "def rotary(shape): ...")
        assert "expected a name that is still free, was: 'rotary'" in refusal(lambda: planned(tmp_path, builders=path))


@pytest.mark.parametrize(("changes", "message"), [
    ({"budget": "soon"}, "expected a budget such as 200k"),
    ({"budget": "31"}, "expected a budget of at least one step (64 tokens), was: 31"),
    ({"width": 15}, "expected a width divisible by the 2 heads, was: 15"),
    ({"encodings": ("rotory",)}, "expected one of add, alibi,"),
    ({"encodings": ("none", "add(learned(limit=8))")}, "was: a limit of 8"),
    ({"task": ("kopy",)}, "expected a task among copy, reverse"),
    ({"task": ("shift",), "context": 4}, "expected a length of at least 8, was: 4, for the task shift"),
    ({"task": ("shift",), "eval_lengths": (4,)}, "expected a length of at least 8, was: 4, for the task shift"),
    ({"eval_lengths": (4000,)}, "expected at least 4001 bytes of test text in words.txt, was: 1200"),
    ({"match": "area"}, "expected to match total"),
])  # fmt: skip
def test_refusals(tmp_path, changes, message):
    assert message in refusal(lambda: planned(tmp_path, **changes))


def test_too_little_text_to_choose_learning_rates_on(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text(words(200))
    made = {"data": str(path), "eval_lengths": (16,), "task": ("none",)}
    planned(tmp_path, **made)
    message = refusal(lambda: planned(tmp_path, **made, learning_rates=(0.1, 0.01)))
    assert message == "expected at least 17 bytes to choose learning rates on in short.txt, was: 9"


def test_columns_default_to_a_quarter_of_the_width(tmp_path):
    plan = planned(tmp_path, encodings=("concat(learned)",))
    assert plan.fitted["copy", "concat(learned)"].position_width == 4
    assert (
        planned(tmp_path, encodings=("concat(learned)",), columns=6).fitted["copy", "concat(learned)"].position_width
        == 6
    )
    assert replace(plan.settings, columns=2).checked().columns == 2
