"""What cannot be done as asked: one line that names what was expected and found, and nothing is left behind."""

import os
import re

import pytest
from cli.support_cli import SMALL, lines
from lab.support_lab import words

import locant.lab.compare as comparing
from locant.cli import _unboxed
from locant.lab.run import NUMERICS

ENCODINGS = ["--encodings", "none", "rotary", "--budget", "320"]


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch, locant):
    def refuse(*_):
        raise AssertionError("expected a refusal before anything is trained")

    monkeypatch.setattr(comparing, "execute", refuse)


@pytest.fixture
def refused(locant, tmp_path, data):
    """The one line with which ``locant compare`` on a small plan refuses further options; checks what it leaves."""

    def call(*arguments, out=None, text=data):
        folder = out or tmp_path / "results"
        before = sorted(tmp_path.rglob("*"))
        code, printed, told = locant("compare", *SMALL, *ENCODINGS, "--data", text, "--out", folder, *arguments)
        assert code == 2
        assert printed == ""
        [line] = lines(told)
        assert sorted(tmp_path.rglob("*")) == before, "something was left behind"
        assert line.startswith("locant: ")
        return line.removeprefix("locant: ")

    return call


@pytest.mark.parametrize("arguments", [["train"], ["comapre", "--help"], ["-x"]])
def test_unknown_command(locant, arguments):
    assert locant(*arguments) == (
        2,
        "",
        f"locant: expected a command among compare, capacity, xray, bench, encodings, was: {arguments[0]!r}\n",
    )


@pytest.mark.parametrize(("arguments", "message"), [
    (["--bogus", "3"], "Unrecognized options: --bogus, 3; see locant compare --help"),
    (["--encoding", "rotary"], "Unrecognized options: --encoding, rotary; see locant compare --help"),
    (["--match", "area"], "invalid choice 'area' for argument '--match'. Expected one of ('total', 'token', "
                          "'parameters', 'flops'); see locant compare --help"),
    (["--attention", "quick"], "invalid choice 'quick' for argument '--attention'"),
    (["--gemm", "fast"], "invalid choice 'fast' for argument '--gemm'"),
    (["--precision", "fp16"], "invalid choice 'fp16' for argument '--precision'"),
    (["--allocator", "jemalloc"], "invalid choice 'jemalloc' for argument '--allocator'"),
    (["--seeds", "two"], "Error parsing --seeds: invalid literal for int() with base 10: 'two'"),
    (["--seeds", "0.5"], "Error parsing --seeds"),
    (["--learning-rates", "fast"], "Error parsing --learning-rates"),
    (["--width"], "Missing value for argument '--width'"),
    (["--preset", "slow"], "expected the preset quick or serious, was: 'slow'"),
    (["--preset=slow"], "expected the preset quick or serious, was: 'slow'"),
    (["--preset"], "expected a value after --preset, was: none"),
])  # fmt: skip
def test_unknown_options_and_values(refused, arguments, message):
    assert refused(*arguments).startswith(message)


BOX = """\
\x1b[31m╭─\x1b[0m Invalid choice ─────────────────────╮
│ invalid choice 'foo' for argument '--match'. Expected one of ('total',       │
│ 'token').                                                                    │
│ ──────────────────────────────────────────────────────────────────────────── │
│ For full helptext, run locant compare --help                                 │
╰──────────────────────────────────────────────────────────────────────────────╯
"""
ASCII = """\
 Unrecognized options
 ------------------------------------------------------------------------------
  Unrecognized options: --learning-rate,
  --bogus
  -----------------------------------------------------------------------------
  Perhaps you meant:
"""


@pytest.mark.parametrize(("message", "line"), [
    (BOX, "invalid choice 'foo' for argument '--match'. Expected one of ('total', 'token'); see locant compare --help"),
    (ASCII, "Unrecognized options: --learning-rate, --bogus; see locant compare --help"),
])  # fmt: skip
def test_messages_come_out_of_any_box(message, line):
    assert _unboxed(message) == line


@pytest.mark.parametrize(("arguments", "message"), [
    (["--encodings", "rotory"], "expected one of add, alibi, .*rotary.*, was: 'rotory' (did you mean 'rotary'?)"),
    (["--encodings", "add(lerned)"], "expected one of .*learned.*, was: 'lerned' (did you mean 'learned'?)"),
    (
        ["--encodings", "none", "rotary(bass=3)"],
        "expected the options base, fraction, layout, side of rotary, was: 'bass'",
    ),
    (["--encodings", "none", "add("], "expected an encoding such as 'add(learned) + rotary', was: 'add('"),
    (["--encodings", "none", "alibi", "none"], "expected every encoding once, was: none twice"),
    (["--encodings"], "expected every encoding once, was: none at all"),
    (["--encodings", "none", "add(learned(limit=8))"],
     "expected add(learned(limit=8)) to have at least the 16 positions of the context, was: a limit of 8"),
    (["--encodings", "none", "rotary + beside(random(limit=15))"], "16 positions of the context, was: a limit of 15"),
    (["--reference", "alibi"], "expected a reference among none, rotary, was: alibi"),
    (["--width", "15"], "expected a width divisible by the 2 heads, was: 15"),
    (["--encodings", "none", "beside(learned, width=3)"], "expected a stream that divides by the 2 heads"),
    (["--encodings", "none", "concat(learned, width=16)"],
     "expected fewer position columns than the width 16, was: 16"),
    (["--width", "-16"], "expected --width of at least 1, was: -16"),
    (["--seeds", "0"], "expected --seeds of at least 1, was: 0"),
    (["--seeds", "-1"], "expected --seeds of at least 1, was: -1"),
    (["--workers", "-1"], "expected --workers of at least 0, was: -1"),
    (["--margin", "-0.1"], "expected --margin of at least 0, was: -0.1"),
    (["--margin", "nan"], "expected --margin of at least 0, was: nan"),
    (["--weight-decay", "nan"], "expected --weight-decay of at least 0, was: nan"),
    (["--eval-lengths", "0"], "expected evaluated lengths of at least 1, was: [0]"),
    (["--eval-lengths", "16", "1"], "expected a length of at least 2, was: 1, for the task copy"),
    (["--eval-lengths", "5000"], "expected at least 5001 bytes of test text in words.txt, was: 1200"),
    (["--learning-rates", "nan"], "expected learning rates between 0 and 10, was: [nan]"),
    (["--learning-rates", "0"], "expected learning rates between 0 and 10, was: [0.0]"),
    (["--learning-rates", "0.1", "0.1"], "expected every learning rate once, was: [0.1, 0.1]"),
    (["--budget", "soon"], "expected a budget such as 200k, 5M (tokens), 60s or 1e12flops, was: 'soon'"),
    (["--budget", "-5k"], "expected a budget such as 200k, 5M (tokens), 60s or 1e12flops, was: '-5k'"),
    (["--budget", "10"], "expected a budget of at least one step (64 tokens), was: 10"),
    (["--task", "kopy"], "expected a task among copy, reverse, recall, .*, was: 'kopy'"),
    (["--task", "induction"], "expected a length of at least 17, was: 16, for the task induction"),
    (["--data", "none", "--task", "none"], "expected a text or a task to train on, was: --data none --task none"),
    (["--data", "pros"], "expected prose, code, a path or hf:NAME[:SPLIT[:COLUMN]], was: 'pros'"),
])  # fmt: skip
def test_what_cannot_be_trained(refused, arguments, message):
    pattern = re.escape(message).replace(r"\.\*", ".*")
    assert re.search(pattern, refused(*arguments))


class TestData:
    def test_missing(self, refused, tmp_path):
        path = tmp_path / "no.txt"
        assert refused(text=path) == f"expected an existing file or folder, was: {path}"

    def test_empty(self, refused, tmp_path):
        (tmp_path / "empty.txt").touch()
        assert refused(text=tmp_path / "empty.txt") == "expected a text that is not empty, was: 0 bytes in empty.txt"

    def test_binary(self, refused, tmp_path):
        (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 20)
        assert refused(text=tmp_path / "a.bin") == "expected a text file in UTF-8, was: a binary file, a.bin"

    def test_too_short(self, refused, tmp_path):
        (tmp_path / "short.txt").write_text(words(300))
        assert refused(text=tmp_path / "short.txt") == "expected at least 65 bytes of test text in short.txt, was: 30"

    def test_a_folder_without_text(self, refused, tmp_path):
        (tmp_path / "folder").mkdir()
        assert refused(text=tmp_path / "folder").startswith("expected a folder with text files that are not empty")

    def test_too_short_to_choose_learning_rates_on(self, refused, tmp_path):
        (tmp_path / "short.txt").write_text(words(200))
        message = refused("--eval-lengths", 16, "--learning-rates", 0.1, 0.01, text=tmp_path / "short.txt")
        assert message == "expected at least 17 bytes to choose learning rates on in short.txt, was: 9"


class TestOut:
    def test_a_file(self, refused, tmp_path):
        path = tmp_path / "thesis.tex"
        path.write_text("mine")
        assert refused(out=path) == f"expected a folder for the results, was a file: {path}"
        assert path.read_text() == "mine"

    def test_a_folder_with_other_files(self, refused, tmp_path, data):
        assert refused(out=tmp_path) == (
            f"expected an empty folder or one with results of locant, was: {tmp_path} with other files"
        )

    def test_another_numerics_version(self, refused, tmp_path):
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "locant.json").write_text('{"numerics": 0}')
        assert refused(out=tmp_path / "old") == (
            f"expected results of numerics version {NUMERICS} in {tmp_path / 'old'}, was: 0; use another --out"
        )

    def test_below_a_file(self, refused, tmp_path):
        (tmp_path / "file").touch()
        assert "Not a directory" in refused(out=tmp_path / "file" / "out")

    def test_two_at_once(self, refused, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "locant.json").write_text(f'{{"numerics": {NUMERICS}}}')
        with comparing._alone(tmp_path / "out"):
            message = refused(out=tmp_path / "out")
        assert message == f"expected a folder that no other comparison writes to, was: {tmp_path / 'out'}, in use"


class TestBuilders:
    @pytest.mark.parametrize(("text", "message"), [
        ("def f(:\n", "expected a Python file that runs, was: .*mine.py, SyntaxError: "),
        ("import nothing_of_the_kind\n", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("x = 1\n", "expected functions whose first argument is `shape` in .*mine.py, was: none"),
        ("def alibi(shape): ...\n", "expected a name that is still free, was: 'alibi'"),
    ])  # fmt: skip
    def test_broken(self, refused, tmp_path, text, message):
        (tmp_path / "mine.py").write_text(text)
        assert re.search(message, refused("--builders", tmp_path / "mine.py"))

    def test_missing(self, refused, tmp_path):
        path = tmp_path / "no.py"
        assert refused("--builders", path) == f"expected a Python file of builders, was: {path}"


def test_errors_of_the_system_are_one_line_too(locant, monkeypatch, tmp_path, data):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(comparing, "make", full)
    code, printed, told = locant("compare", *SMALL, "--data", data, "--out", tmp_path / "out")
    assert (code, printed, told) == (2, "", "locant: [Errno 28] No space left on device\n")
    assert not os.path.exists(tmp_path / "out")


def test_unknown_options_of_encodings(locant):
    code, printed, told = locant("encodings", "--jsno")
    assert (code, printed) == (2, "")
    assert told == "locant: expected locant encodings [--json], was: '--jsno'\n"


def test_ctrl_c(locant, monkeypatch, tmp_path, data):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(comparing, "execute", interrupt)
    code, _, told = locant("compare", *SMALL, *ENCODINGS, "--data", data, "--out", tmp_path / "out")
    assert code == 130
    assert lines(told) == ["locant: interrupted; what was finished is recorded, and the same command continues"]
