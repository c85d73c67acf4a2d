"""The command line as a function."""

import sys

import pytest
from lab.support_lab import in_process, text_file

import locant.lab.compare as comparing
from locant.cli import main


@pytest.fixture
def data(tmp_path):
    return text_file(tmp_path)


@pytest.fixture
def locant(monkeypatch, capsys):
    """Runs a command in this process; returns exit status, stdout and stderr."""
    monkeypatch.setattr(comparing, "execute", in_process)
    monkeypatch.setattr("locant.lab.train.CURVE_TOKENS", 256)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["locant", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return end.value.code, told.out, told.err

    return call
