"""What `locant capacity` refuses: one line that names what was expected and found."""

import sys

import numpy as np
import pytest
import torch

import locant.cli
from locant.capacity import capacity
from locant.capacity.memory import available, need


@pytest.fixture
def refused(monkeypatch, capsys):
    """The one line with which a command is refused."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["locant", "capacity", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            locant.cli.main()
        told = capsys.readouterr()
        assert (end.value.code, told.out) == (2, "")
        [line] = told.err.splitlines()
        assert line.startswith("locant: ")
        return line.removeprefix("locant: ")

    return call


@pytest.mark.parametrize(("arguments", "message"), [
    (["--width", "0"], "expected a width of at least 1, was: 0"),
    (["--vocab", "1"], "expected at least 2 items in each table, was: 1, 1024"),
    (["--members", "0"], "expected members of at least 1, was: 0"),
    (["--vocab", "9", "--members", "10"], "expected members between 1 and the 9 items, was: 10"),
    (["--format", "fp7"],
     "expected a number format of fp64, fp32, bf16, fp16, e4m3, e5m2, int8, int4, int3, int2, 1bit, was: fp7"),
    (["--code", "turbo"], "expected a code of gauss, sphere, sign, was: turbo"),
    (["--goal", "all", "--members", "2"], "expected a goal of set, slot, membership, was: all"),
    (["--noise", "-1"], "expected a noise variance of at least 0, was: -1.0"),
    (["--noise", "1e9"], "expected a noise variance of at most 1000, was: 1000000000.0"),
    (["--width", "99999999"], "expected a width of at most 1048576, was: 99999999"),
    (["--seed", "-1"], "expected a seed of at least 0, was: -1"),
    (["--noise", "nan"], "expected a noise variance of at least 0, was: nan"),
    (["--probability", "1"], "expected a probability between 0 and 1, was: 1.0"),
    (["--width", "1", "--format", "int8", "--vocab", "300", "--members", "1"],
     "expected at most 256 items in 1 number of int8, was: 300, of which two are the same"),
    (["--goal", "membership"], "expected --members with --goal membership, was: none"),
    (["--goal", "slot", "--positions", "0"], "expected --members or --positions with --goal slot, was: neither"),
    (["--members", "3", "--positions", "7"], "expected --members or --positions, was: 3 and 7"),
    (["--positions", "-4"], "expected --positions of at least 0, was: -4"),
    (["--solve", "width", "--width", "7"], "expected --solve width without a width, was: --width too"),
    (["--solve", "members", "--members", "7"], "expected --solve members without --members, was: both"),
    (["--solve", "items", "--vocab", "7"], "expected --solve items without --vocab, was: both"),
    (["--decoder", "amp"], "expected --solve with --decoder amp, was: no --solve"),
    (["--solve", "width", "--decoder", "amp"],
     "expected a decoder of dot, first, best, any for this question, was: amp"),
    (["--solve", "items", "--members", "3", "--decoder", "amp"],
     "expected at least 4 members for the law of amp, was: 3"),
    (["--solve", "members", "--width", "2"], "expected members that give probability 0.99 by dot, was: none"),
    (["--solve", "format", "--width", "20"], "expected a format that gives probability 0.99 by dot, was: none"),
    (["--drop"], "expected --table or --model with --drop, was: neither"),
    (["--table", "no.safetensors:wte"], "expected FILE:NAME with a file that exists, was: no.safetensors:wte"),
    (["--table", "a", "--model", "b"], "expected --table or --model, was: both"),
    (["--table", "a", "b", "c"], "expected one or two tables, was: 3"),
    (["--table", "a", "--vocab", "7"], "expected the sizes of --table, was: --vocab too"),
    (["--model", "b", "--width", "7"], "expected the sizes of --model, was: --width too"),
    (["--model", "no-such-folder"], "expected a model's folder, was: no-such-folder"),
    (["--bogus"], "Unrecognized options: --bogus; see locant capacity --help"),
])  # fmt: skip
def test_options(refused, arguments, message):
    assert refused(*arguments) == message


@pytest.fixture
def saved(tmp_path):
    """Saves rows and returns the path."""

    def call(name, rows):
        np.save(tmp_path / name, np.asarray(rows, dtype=np.float32))
        return tmp_path / name

    return call


def drawn(items, width):
    return np.random.default_rng(0).normal(size=(items, width))


def test_tables(refused, saved):
    good, wide = saved("good.npy", drawn(20, 8)), saved("wide.npy", drawn(20, 9))
    assert refused("--table", good, wide) == "expected tables of one width, was: good.npy 8, wide.npy 9"
    assert refused("--table", good, "--members", 21) == "expected members between 1 and the 20 items, was: 21"
    assert refused("--table", good, good, "--members", 2) == "expected one table with --members, was: 2"
    broken = drawn(20, 8)
    broken[3, 2] = np.nan
    broken[5] = 0
    broken[9] = broken[11] = broken[2]
    path = saved("broken.npy", broken)
    assert refused("--table", path) == (
        "expected finite rows in broken.npy, was: NaN or infinity in row 3; --drop leaves such rows out"
    )
    broken[3, 2] = 1
    path = saved("broken.npy", broken)
    assert "was: zeros in row 5" in refused("--table", path)
    broken[5] = 1
    path = saved("broken.npy", broken)
    assert "was: a repetition in row 9, 11 (equal to row 2)" in refused("--table", path)


def test_a_table_that_does_not_fit_is_refused_before_it_is_read(refused, saved, monkeypatch):
    path = saved("good.npy", drawn(2000, 80))
    monkeypatch.setattr("locant.capacity.memory.available", lambda: 1 << 20)
    assert refused("--table", path) == (
        "expected at most 0.0 GiB for the table array, was: 0.0 GiB; a smaller table would fit"
    )


def test_memory_is_estimated():
    assert available() > 0
    need(1, "a byte")
    with pytest.raises(ValueError, match=r"^expected at most .* GiB for everything, was: 1000000.0 GiB; chunks$"):
        need(2**30 * 1e6, "everything", "chunks")


@pytest.mark.parametrize(("options", "message"), [
    ({"items": (5, 6), "members": 3}, "expected one member of each table, or one table, was: 3 of 2 tables"),
    ({"items": (5, 6), "goal": "membership"}, "expected one table for the goal membership, was: 5, 6"),
    ({"items": 9, "solve": "colour"}, "expected to solve for width, items, members, format, probability, was: colour"),
    ({"items": (5, 6), "solve": "members"}, "expected one table to solve for members, was: 2 tables"),
    ({"items": torch.zeros(4, 3), "width": 2}, "expected the width 3 of the tables, was: 2"),
    ({"items": ()}, "expected at least 2 items in each table, was: none"),
])  # fmt: skip
def test_the_call(options, message):
    with pytest.raises(ValueError, match=r"^expected ") as error:
        capacity(**options)
    assert str(error.value) == message
