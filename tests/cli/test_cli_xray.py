"""`locant xray` as it is typed: options, refusals in one line, JSON, files."""

import json

import pytest
from cli.support_cli import lines
from lab.support_lab import a_run, text
from xray.support_sources import saved

from locant.lab.store import RunFolder
from locant.lab.train import train

BODY = " ".join(f"w{3 + i * i % 50}" for i in range(3000))
SMALL = ["--windows", "10x12", "--quick"]


@pytest.fixture
def model(tmp_path):
    (tmp_path / "body.txt").write_text(BODY)
    return saved(tmp_path / "m")


def test_an_xray_is_written_and_told(locant, model, tmp_path):
    out = tmp_path / "out"
    code, printed, told = locant("xray", model, *SMALL, "--text", tmp_path / "body.txt", "--out", out)
    assert code == 0
    assert "By layer, position 0 left out" in printed
    assert printed.rstrip().endswith(f"report: {out / 'report.html'}")
    assert "depth of layers 0 to 1" in told
    assert sorted(path.name for path in out.iterdir()) == ["parts", "report.html", "xray.json"]
    code, again, told = locant("xray", model, *SMALL, "--text", tmp_path / "body.txt", "--out", out, "--json")
    assert code == 0
    assert json.loads(again) == json.loads((out / "xray.json").read_text())
    assert "tables: recorded already" in told
    first = json.loads(again)["metrics"]["M4.layer.0.position_share"]
    assert list(first) == ["value", "baseline", "n", "interval", "note"]


def test_the_folder_is_named_after_the_model(locant, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, _ = locant("xray", "m", *SMALL, "--text", "body.txt", "--tables-only", "--words", "w5,w6", "w7")
    assert code == 0
    assert (tmp_path / "xray-m" / "report.html").is_file()


@pytest.mark.parametrize(("arguments", "message"), [
    (["--bogus"], "Unrecognized options: --bogus; see locant xray --help"),
    (["--windows", "many"], "expected --windows such as 128x128, was: 'many'"),
    (["--layers", "first"], "expected --layers all or numbers such as 0,1,5, was: 'first'"),
    (["--layers", "0,9"], "expected layers from 0 to 1, was: 9"),
    (["--words", "w1,nothing at all"], "expected a word of one token, was: 'nothing at all', which is 3"),
    (["--space", "half"], "invalid choice 'half' for argument '--space'"),
    (["--text", "missing.txt"], "expected an existing file or folder, was: missing.txt"),
    (["--windows", "4x60"], "expected windows of at most 48 tokens"),
    (["--revision", "main"], "expected no --revision with a path, was: 'main'"),
])  # fmt: skip
def test_refusals(locant, model, tmp_path, arguments, message):
    out = tmp_path / "out"
    given = [] if "--text" in arguments else ["--text", tmp_path / "body.txt"]
    base = [] if "--windows" in arguments else SMALL
    code, printed, told = locant("xray", model, *base, *given, "--out", out, *arguments)
    assert (code, printed) == (2, "")
    assert lines(told)[-1].startswith(f"locant: {message}"), told
    assert not out.exists()


@pytest.mark.parametrize(("encoding", "slots"), [("add(learned)", 8), ("rotary", 16)])
def test_a_run_needs_no_options(locant, tmp_path, encoding, slots):
    """Windows fit the table of its positions with room to move them, and are not longer than it was trained on."""
    run = a_run(encoding=encoding)
    train(run, text(), tmp_path, snapshots=2)
    (tmp_path / "body.txt").write_text("a text of some length, and more of it. " * 400)
    folder = RunFolder(tmp_path, run).path
    code, printed, told = locant("xray", folder, "--text", tmp_path / "body.txt", "--quick", "--json",
                                 "--out", tmp_path / "out")  # fmt: skip
    assert code == 0, told
    document = json.loads(printed)
    assert document["facts"]["Text"]["slots"] == slots
    assert [name for name in document["metrics"] if name.startswith("M13.1.")]


def test_no_model_was_fetched(locant, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCANT_CACHE", str(tmp_path))
    code, _, told = locant("xray", "--out", tmp_path / "out")
    assert code == 2
    assert "was: not fetched; make models" in lines(told)[-1]


def test_help(locant):
    code, printed, _ = locant("xray", "--help")
    assert code == 0
    for name in ("--revision", "--windows", "--words", "--tables-only", "--quick", "--json"):
        assert name in printed
