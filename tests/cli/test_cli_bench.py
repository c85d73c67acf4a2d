"""`locant bench` on the command line."""

import json

from cli.support_cli import lines

SMALL = ["--batch", "1", "--heads", "2", "--length", "8", "--head-width", "4", "--vocabulary", "9", "--rounds", "2",
         "--encodings", "add(learned)", "alibi"]  # fmt: skip


def test_tables(locant):
    code, printed, told = locant("bench", *SMALL)
    assert code == 0
    for words in ("input: time / bare lookup", "attention: time / causal attention of PyTorch", "alibi", "quartiles",
                  "note: attention blocks: add(learned), alibi"):  # fmt: skip
        assert words in printed
    assert [line.split(":")[0] for line in lines(told)] == ["timing input", "timing attention", "timing decoding"]


def test_json(locant):
    code, printed, _ = locant("bench", *SMALL, "--json")
    assert code == 0
    document = json.loads(printed)
    assert [part["part"] for part in document["parts"]] == ["input", "attention", "decoding"]
    assert document["options"]["heads"] == 2


def test_bad_options_are_one_line(locant):
    for arguments, message in (
        (["--rounds", "1"], "locant: expected --rounds of at least 2, was: 1"),
        (["--encodings", "rotery"], "locant: expected one of add, alibi, "),
        (["--fast"], "locant: Unrecognized options: --fast; see locant bench --help"),
        (["--format", "fp8"], "locant: invalid choice 'fp8' for argument '--format'"),
        (["--probe", "--rounds", "3"], "locant: expected --probe without options of what is timed, was: both"),
    ):
        code, printed, told = locant("bench", *arguments)
        assert (code, printed) == (2, "")
        [line] = lines(told)
        assert line.startswith(message), line
