"""What the commands print."""

import json
import subprocess
import sys

import pytest
from cli.support_cli import SMALL, lines
from lab.support_lab import timeless
from lab.test_plan import BUILDERS

import locant.lab.compare as comparing
from locant import __version__
from locant.encodings import LEFT_OUT, catalogue

KEYS = {"rows", "reference", "data", "plan", "encodings", "seeds", "matched", "versions", "notes", "experiments",
        "runs", "failed"}  # fmt: skip
ROW = {"encoding", "bits_per_byte", "difference", "interval", "verdict", "parameters", "flops_per_token",
       "tokens_per_second"}  # fmt: skip


@pytest.fixture
def compare(locant, data, tmp_path, monkeypatch):
    """``locant compare`` on a small plan; without the page, which takes longer to draw than all else."""
    monkeypatch.setattr("locant.report.write", lambda document, path: None)

    def call(*arguments, out="out"):
        return locant("compare", *SMALL, "--encodings", "none", "rotary", "--budget", "1k", "--data", data, "--out",
                      tmp_path / out, *arguments)  # fmt: skip

    return call


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help(locant, arguments):
    code, printed, told = locant(*arguments)
    assert (code, told) == (0, "")
    assert printed.startswith(f"locant {__version__}: ")
    assert "locant compare" in printed
    assert "locant encodings" in printed


def test_version(locant):
    assert locant("--version") == (0, f"{__version__}\n", "")


def test_help_of_commands(locant):
    code, printed, told = locant("compare", "--help")
    assert (code, told) == (0, "")
    for option in ("--encodings", "--budget", "--seeds", "--data", "--task", "--width", "--layers", "--context",
                   "--match", "--eval-lengths", "--reference", "--out", "--builders", "--preset",
                   "--json"):  # fmt: skip
        assert option in printed
    assert "2M" in locant("compare", "--preset", "serious", "--help")[1]
    assert locant("encodings", "--help")[0] == 0


def test_encodings_as_json(locant):
    code, printed, told = locant("encodings", "--json")
    assert (code, told) == (0, "")
    rows, left_out = (json.loads(printed)[key] for key in ("encodings", "left_out"))
    assert [tuple(each.values()) for each in left_out] == list(LEFT_OUT)
    assert all(set(each) == {"name", "source", "reason"} for each in left_out)
    assert [row["name"] for row in rows] == list(catalogue())
    for row in rows:
        assert {"name", "formula", "source", "acts_on", "parameters", "limit"} <= set(row)
        assert all(isinstance(row[key], str) and row[key] for key in ("name", "formula", "source", "acts_on", "limit"))


def test_encodings_as_a_table(locant):
    code, printed, told = locant("encodings")
    assert (code, told) == (0, "")
    flat = "".join(printed.split())
    for entry in catalogue().values():
        assert entry.example.split("(")[0] in printed
    for name, _, _ in LEFT_OUT:
        assert name.split()[0] in printed
    # Brackets are a part of the formulas.
    assert "h=[x;sp]" in flat
    assert "W[x;z]=W_xx+W_zz" in flat
    assert "…" not in printed


def test_json(compare, tmp_path):
    code, printed, told = compare("--json")
    assert code == 0
    document = json.loads(printed)
    assert len(printed.splitlines()) == 1
    assert set(document) >= KEYS
    assert all(set(row) >= ROW for row in document["rows"])
    assert [row["encoding"] for row in document["rows"]] == ["none", "rotary"]
    assert document == json.loads((tmp_path / "out" / "comparison.json").read_text())
    shown = lines(told)
    assert shown[0].startswith("training: 8 runs; results in ")
    assert len(shown) == 1 + 8
    assert str(tmp_path) not in printed


def test_two_folders_give_equal_json(compare):
    first, second = (json.loads(compare("--json", out=out)[1]) for out in ("a", "b"))
    assert first != second, "expected other timings"
    assert timeless(first) == timeless(second)


def test_tables(compare, tmp_path):
    code, printed, told = compare()
    assert (code, told) == (0, "")
    assert "verdict" in printed
    assert "reference" in printed
    assert "note: The learning rate was not tuned" in printed
    assert printed.splitlines()[-1] == f"report: {tmp_path / 'out' / 'report.html'}"
    code, printed, _ = compare()
    assert "training: 8 runs, 8 of them recorded already" in printed


def test_failed_runs_give_status_1(compare, monkeypatch):
    def execute(jobs, workers, listen):
        for job in jobs:
            listen(comparing.Event(job, "failed", error="the worker process 7 was killed by signal 9 (SIGKILL)"))

    monkeypatch.setattr(comparing, "execute", execute)
    code, printed, told = compare("--json", "--seeds", "1", "--task", "none")
    assert code == 1
    assert len(json.loads(printed)["failed"]) == 2
    assert lines(told)[-1] == "locant: 2 runs failed; the same command tries again"
    assert sum("SIGKILL" in line for line in lines(told)) == 2


def test_an_encoding_of_ones_own(compare, tmp_path):
    (tmp_path / "mine.py").write_text(BUILDERS)
    code, printed, _ = compare("--json", "--builders", tmp_path / "mine.py", "--encodings", "none", "louder(by=0.2)")
    assert code == 0
    rows = json.loads(printed)["rows"]
    assert [row["encoding"] for row in rows] == ["none", "louder(by=0.2)"]
    assert rows[0]["bits_per_byte"] != rows[1]["bits_per_byte"]


def test_names_with_brackets_are_printed_as_they_are(compare, tmp_path, data):
    path = tmp_path / "[bold]a [x].txt"
    path.write_text(data.read_text())
    _, printed, told = compare("--data", path, "--task", "none", "--seeds", "1", "--json")
    assert json.loads(printed)["data"]["name"] == path.name
    assert f"1/2 {path.name}, none, seed 0: " in told


@pytest.mark.slow
def test_help_imports_nothing_heavy():
    code = (
        "import sys; from locant.cli import run; run(['--help']); "
        "print([name for name in ('torch', 'scipy', 'altair', 'duckdb', 'numpy', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
