"""Results on disk: a failure or a kill at any moment leaves the old file or the new one, whole."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from lab.support_lab import a_run
from support import refusal

from locant.lab.run import NUMERICS
from locant.lab.store import (
    MARKER,
    RunFolder,
    clear_partials,
    open_results,
    write_atomically,
    write_json,
    write_tensors,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    write_atomically(path, lambda partial: partial.write_text("old"))

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["a.txt"]


def test_json_that_cannot_be_read_again_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert os.listdir(tmp_path) == []


def test_tensors(tmp_path):
    write_tensors(tmp_path / "a.pt", {"x": torch.arange(3)})
    assert torch.load(tmp_path / "a.pt", weights_only=True)["x"].tolist() == [0, 1, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="sets a limit of Unix")
@pytest.mark.parametrize("limit", [0, 500, 3000])
def test_tensors_that_find_no_room_say_why(tmp_path, limit):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_tensors(tmp_path / "a.pt", {"x": torch.arange(3000), "y": torch.arange(9)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


def test_what_killed_processes_left_is_cleared(tmp_path):
    open_results(tmp_path / "out")
    left = [".locant.json.7.partial", "runs/a/.checkpoint.pt.7.partial", ".records.parquet.7.partial.jsonl",
            ".report.html.0f.part"]  # fmt: skip
    kept = ["runs/a/checkpoint.pt", "runs/a/result.json", "report.html", "data/parts.pt"]
    for name in left + kept:
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    clear_partials(tmp_path / "out")
    assert not [name for name in left if (tmp_path / "out" / name).exists()]
    assert all((tmp_path / "out" / name).exists() for name in [*kept, MARKER])


class TestOpening:
    def test_a_new_folder(self, tmp_path):
        assert open_results(tmp_path / "a" / "b") is True
        assert json.loads((tmp_path / "a" / "b" / MARKER).read_text()) == {"numerics": NUMERICS}
        assert open_results(tmp_path / "a" / "b") is False

    def test_an_empty_folder(self, tmp_path):
        assert open_results(tmp_path) is False
        assert (tmp_path / MARKER).exists()

    def test_a_folder_whose_very_first_write_was_killed(self, tmp_path):
        (tmp_path / f".{MARKER}.7.partial").touch()
        open_results(tmp_path)
        assert (tmp_path / MARKER).exists()

    def test_a_file(self, tmp_path):
        (tmp_path / "out").write_text("mine")
        message = refusal(lambda: open_results(tmp_path / "out"))
        assert message == f"expected a folder for the results, was a file: {tmp_path / 'out'}"
        assert (tmp_path / "out").read_text() == "mine"

    def test_a_folder_with_other_files(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("mine")
        assert "was: " + str(tmp_path) + " with other files" in refusal(lambda: open_results(tmp_path))
        assert os.listdir(tmp_path) == ["thesis.tex"]

    @pytest.mark.parametrize(("content", "found"), [('{"numerics": 0}', "0"), ('{"numerics": 99}', "99"),
                                                    ("", "unreadable"), ("{}", "unreadable"),
                                                    ("[1]", "unreadable")])  # fmt: skip
    def test_results_of_another_numerics_version(self, tmp_path, content, found):
        (tmp_path / MARKER).write_text(content)
        message = refusal(lambda: open_results(tmp_path))
        wanted = f"expected results of numerics version {NUMERICS} in {tmp_path}, was: {found}; use another --out"
        assert message == wanted
        assert (tmp_path / MARKER).read_text() == content


class TestRunFolder:
    def test_a_result(self, tmp_path):
        folder = RunFolder(tmp_path, a_run())
        assert folder.result() is None
        folder.path.mkdir(parents=True)
        folder.checkpoint.write_text("x")
        folder.finish({"id": a_run().id, "value": 0.1})
        assert folder.result() == {"id": a_run().id, "value": 0.1}
        assert not folder.checkpoint.exists()

    @pytest.mark.parametrize("content", ["", "{", '{"id": "of another run"}', "[]", "null"])
    def test_a_damaged_result_counts_as_none(self, tmp_path, content):
        folder = RunFolder(tmp_path, a_run())
        folder.path.mkdir(parents=True)
        (folder.path / "result.json").write_text(content)
        assert folder.result() is None

    def test_rewinding(self, tmp_path):
        folder = RunFolder(tmp_path, a_run())
        folder.rewind(3)
        assert not folder.metrics.exists()
        folder.path.mkdir(parents=True)
        lines = ['{"step": 1, "value": 2.0}', '{"step": 3, "value": 1.0}', '{"value": 1.0}', '{"step": 4}', '{"st']
        folder.metrics.write_text("\n".join(lines))
        folder.rewind(3)
        assert folder.metrics.read_text().splitlines() == lines[:2]
        folder.rewind(0)
        assert folder.metrics.read_text() == ""
