"""What is shown while a comparison trains."""

import io
import os
import re
from dataclasses import replace

import pytest
from lab.support_lab import in_process
from lab.test_plan import planned
from rich.console import Console

import locant.lab.compare as comparing
from locant.lab.display import Display
from locant.lab.jobs import Event, Job


def shown(plan, *, terminal, events=None, found=None):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, markup=False)
    runs = plan.runs({key: 0.01 for key in plan.fitted})
    with Display(console) as display:
        display.planned(plan, runs, found or {})
        for run in runs if events is None else events:
            job = Job({**vars(run)}, {}, "out")
            display.happened(Event(job, "step", step=10, loss=2.5))
            if run.encoding == "rotary":
                display.happened(Event(job, "failed", error="OSError: [Errno 28] No [space] left [/on] device"))
            else:
                display.happened(
                    Event(job, "done", step=16, result={"metric": "accuracy", "value": 0.5, "seconds": 1.25})
                )
        display.planned(plan, [], {})
    return file.getvalue()


def planned_again(plan, seed):
    return [replace(run, seed=seed) for run in plan.runs({key: 0.01 for key in plan.fitted})]


@pytest.fixture
def plan(tmp_path):
    return planned(tmp_path, seeds=1)


def test_elsewhere_a_line_for_every_finished_run(plan):
    lines = shown(plan, terminal=False).splitlines()
    assert lines == [
        f"training: 6 runs; results in {plan.settings.out}",
        "1/6 words.txt, none, seed 0: 0.5000 accuracy, 1.2 s",
        "2/6 words.txt, add(learned), seed 0: 0.5000 accuracy, 1.2 s",
        "3/6 words.txt, rotary, seed 0: failed. OSError: [Errno 28] No [space] left [/on] device",
        "4/6 copy, none, seed 0: 0.5000 accuracy, 1.2 s",
        "5/6 copy, add(learned), seed 0: 0.5000 accuracy, 1.2 s",
        "6/6 copy, rotary, seed 0: failed. OSError: [Errno 28] No [space] left [/on] device",
    ]


def test_on_a_terminal_a_table_that_grows(plan, monkeypatch):
    monkeypatch.setattr("locant.lab.display.REDRAW_SECONDS", 0.0)
    text = shown(plan, terminal=True)
    assert "mean so far" in text
    assert "0.500 (1)" in text
    assert "rotary, seed 0: step 10 of 16, training loss 2.500" in text
    assert "No [space] left [/on] device" in text
    assert "steps" in text
    # The cursor is shown again at the end.
    assert text.rstrip("\n").rfind("\x1b[?25h") > text.rfind("\x1b[?25l")


def test_of_many_runs_in_progress_some_are_shown(plan):
    file = io.StringIO()
    runs = [run for seed in range(2) for run in planned_again(plan, seed)]
    with Display(Console(file=file, force_terminal=True, width=100, height=60, markup=False)) as display:
        display.planned(plan, runs, {})
        for run in runs:
            display.happened(Event(Job({**vars(run)}, {}, "out"), "step", step=10, loss=2.5))
        display.happened(Event(Job({**vars(runs[0])}, {}, "out"), "failed", error="OSError: full"))
    last = file.getvalue().rpartition("mean so far")[2]
    assert "and 3 more" in re.sub(r"\x1b\[[0-9;]*m", "", last)


@pytest.mark.parametrize("terminal", [False, True])
def test_recorded_runs_are_counted(plan, terminal):
    runs = plan.runs({key: 0.01 for key in plan.fitted})
    found = {run.id: {"run": vars(run), "value": 0.25} for run in runs[:2]}
    text = shown(plan, terminal=terminal, events=runs[3:4], found=found)
    assert "6 runs, 2 of them recorded already" in " ".join(text.split())
    assert ("0.250 (1)" in text) == terminal


@pytest.mark.parametrize("terminal", [False, True])
def test_a_real_comparison(tmp_path, monkeypatch, terminal):
    monkeypatch.setattr(comparing, "execute", in_process)
    monkeypatch.setattr("locant.report.write", lambda document, path: None)
    plan, file = planned(tmp_path, seeds=1, learning_rates=(0.003, 0.01), task=("none",)), io.StringIO()
    with Display(Console(file=file, force_terminal=terminal, width=100)) as display:
        comparing.compare(plan.settings, display)
    assert "learning rates: 6 runs" in file.getvalue()
    assert "training: 3 runs" in file.getvalue()
    if not terminal:
        assert len(file.getvalue().splitlines()) == 2 + 6 + 3
    assert os.path.exists(plan.settings.out / "comparison.json")
