"""Names of runs: equal name, equal experiment, on any day and in any process."""

import json
import subprocess
import sys
from dataclasses import asdict, fields, replace

import pytest
from lab.support_lab import a_run

import locant.lab.run as running
from locant.lab.run import Run, canonical_json


@pytest.mark.parametrize("name", [field.name for field in fields(Run)])
def test_the_id_changes_with_every_field(name):
    run = a_run()
    value = getattr(run, name)
    other = {str: lambda: f"{value}x", int: lambda: value + 1, float: lambda: value * 1.0000001,
             tuple: lambda: (*value, 64)}[type(value)]()  # fmt: skip
    assert replace(run, **{name: other}).id != run.id


def test_the_id_changes_with_the_numerics(monkeypatch):
    before = a_run().id
    monkeypatch.setattr(running, "NUMERICS", running.NUMERICS + 1)
    assert a_run().id != before


def test_the_id_is_this_one():
    """Whoever changes it makes every recorded run be trained again: do so only together with NUMERICS."""
    assert running.NUMERICS == 4
    assert a_run().id == "ab90cb7e38ded0b2cf6c"


def test_the_order_of_fields_does_not_matter():
    run = a_run()
    backwards = dict(reversed(asdict(run).items()))
    assert Run.from_dict(backwards) == run
    assert Run.from_dict(json.loads(json.dumps(backwards))).id == run.id


@pytest.mark.slow
def test_equal_runs_of_other_processes_have_equal_ids():
    code = f"from locant.lab.run import Run; print(Run.from_dict({asdict(a_run())!r}).id)"
    found = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True,
                       check=True).stdout.strip() for seed in ("0", "1")
    }  # fmt: skip
    assert found == {a_run().id}


def test_canonical_json():
    assert canonical_json({"b": (1, 2), "a": 0.1}) == '{"a":0.1,"b":[1,2]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_tokens():
    assert a_run(steps=7, batch=3, context=11).tokens == 231
