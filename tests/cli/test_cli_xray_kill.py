"""An x-ray that is killed in the middle goes on with the same command, to the numbers that it would have given."""

import json
import os
import signal

import pytest
from cli.support_cli import finish, lines, start, wait_until
from xray.support_sources import saved

pytestmark = pytest.mark.slow
BODY = " ".join(f"w{3 + i * i % 50}" for i in range(3000))


def test_a_killed_xray_continues_to_the_same_numbers(tmp_path):
    (tmp_path / "body.txt").write_text(BODY)
    common = ["xray", saved(tmp_path / "m"), "--windows", "10x12", "--quick", "--text", tmp_path / "body.txt", "--json"]
    parts = tmp_path / "killed" / "parts"
    for stage in ("tables.json", "depth of layers 0 to 1.json", "shift.json"):
        process = start([*common, "--out", tmp_path / "killed"])
        if wait_until(lambda stage=stage: (parts / stage).exists(), process):
            os.killpg(process.pid, signal.SIGKILL)
        finish(process)
    assert (parts / "shift.json").exists()
    code, printed, told = finish(start([*common, "--out", tmp_path / "killed"]))
    assert code == 0, told
    assert [line for line in lines(told) if "depth of layers 0 to 1: recorded already" in line]
    code, whole, told = finish(start([*common, "--out", tmp_path / "whole"]))
    assert code == 0, told
    assert json.loads(printed)["metrics"] == json.loads(whole)["metrics"]
    assert not list((tmp_path / "killed").rglob("*.part"))
