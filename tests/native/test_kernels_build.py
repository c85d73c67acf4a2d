"""The kernels are compiled once, kept, and left alone where they cannot be had or would be wrong; one line says why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from locant.encodings import Rotary, contiguous, native
from locant.encodings.native import build, check


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "locant"


def in_a_process(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                          env={**os.environ, **variables})  # fmt: skip


WHY = "from locant.encodings import native; print(native.why())"


def test_they_are_compiled_once_and_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check.wrong(build.load()) is None
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(name.partition("-")[0] for name in files) == ["attention", "rotations"]
    monkeypatch.setattr(build, "_compiled", lambda *given: pytest.fail("compiled again"))
    build.load()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


@pytest.mark.parametrize("text", [b"", b"no library"])
def test_a_damaged_file_is_compiled_again(folder: Path, text: bytes) -> None:
    """In processes of their own, as a loader remembers what it has opened."""
    program = "from locant.encodings.native import build, check; print(check.wrong(build.load()))"
    assert in_a_process(program).stdout == "None\n"
    for path in folder.iterdir():
        path.write_bytes(text)
    assert in_a_process(program).stdout == "None\n"
    assert all(len(path.read_bytes()) > 1000 for path in folder.iterdir())


def test_without_a_folder_they_serve_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert in_a_process(WHY, XDG_CACHE_HOME=str(tmp_path / "file")).stdout == "native: compiled here\n"


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [("no-such-compiler", "no C compiler was found as no-such-compiler"), ("false", "failed: status 1")],
)
def test_without_a_compiler_there_is_a_reason(tmp_path: Path, compiler: str, reason: str) -> None:
    done = in_a_process(WHY, XDG_CACHE_HOME=str(tmp_path), CC=compiler)
    assert done.stdout.startswith("torch: ")
    assert done.stdout.endswith(f"{reason}\n")


def test_without_a_home_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(build.Path, "home", home)
    native._loaded.cache_clear()
    try:
        assert native.why() == "torch: Could not determine home directory."
    finally:
        native._loaded.cache_clear()


def test_what_a_compiler_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "HERE", tmp_path)
    for name in (*build.SOURCES, build.HEADER):
        (tmp_path / name).write_text("#error no such thing here\n")
    with pytest.raises(OSError, match=r"failed: .*no such thing here"):
        build.load()


def test_a_compiler_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("CC", str(slow))
    monkeypatch.setattr(build, "SECONDS", 0.1)
    with pytest.raises(OSError, match=r"slow did not end within 0\.1 s"):
        build.load()


def test_the_compiler_may_have_words_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "gcc -O1")
    assert check.wrong(build.load()) is None
    assert len(list(folder.iterdir())) == len(build.SOURCES)


def test_kernels_that_are_wrong_are_found_out() -> None:
    """Each of them, with one number off."""
    library = native.compiled()

    def off(name: str) -> build.Library:
        def wrong(*given: object) -> object:
            return 0 if "attention" in name else -1

        return library._replace(**{name: wrong})

    assert check.wrong(library) is None
    for name, word in (("rotate", "rotation"), ("look_up_beside", "looking up"), ("look_up_added", "looking up"),
                       ("attention_forward", "attention"), ("attention_backward", "attention")):  # fmt: skip
        assert word in (check.wrong(off(name)) or ""), name


def test_defaults_of_the_caller_do_not_matter(tmp_path: Path) -> None:
    program = (
        "import torch\ntorch.set_default_dtype(torch.float64)\nwith torch.device('meta'):\n"
        "    from locant.encodings import native\n    print(native.why(), torch.get_default_dtype())"
    )
    assert in_a_process(program).stdout == "native: compiled here torch.float64\n"


class TestTheChoice:
    def test_of_a_process_by_its_variable(self) -> None:
        assert in_a_process(WHY, LOCANT_KERNELS="torch").stdout == "torch: asked for\n"
        assert in_a_process(WHY, LOCANT_KERNELS="native").stdout == "native: compiled here\n"
        done = in_a_process(WHY, LOCANT_KERNELS="fast")
        assert done.returncode
        assert done.stderr.endswith("ValueError: expected LOCANT_KERNELS native or torch, was: fast\n")

    def test_of_a_region(self) -> None:
        with native.kernels("torch"):
            assert native.library() is None
            assert native.why() == "torch: asked for"
            with native.kernels("native"):
                assert native.library() is native.compiled()
            assert native.library() is None
        assert native.library() is not None
        with pytest.raises(ValueError, match="expected the kernels native or torch, was: fast"), native.kernels("fast"):
            pass

    def test_native_where_there_is_none_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(native, "_loaded", lambda: (None, "no C compiler was found"))
        assert not native.available()
        assert native.library() is None
        with (
            pytest.raises(ValueError, match="expected the kernels torch, as no C compiler was found, was: native"),
            native.kernels("native"),
        ):
            pass
        with pytest.raises(RuntimeError, match="expected compiled kernels, was: none, as no C compiler was found"):
            native.compiled()

    def test_an_encoding_rotates_without_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rotary, where = Rotary(8), contiguous(5).positions
        q, k = torch.randn(2, 1, 2, 5, 8, generator=torch.Generator().manual_seed(0))
        expected = rotary.qk(q, k, where, where)
        monkeypatch.setattr(native, "_loaded", lambda: (None, "no C compiler was found"))
        for one, other in zip(rotary.qk(q, k, where, where), expected, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.skipif(not native.available(), reason="there is no compiler")
def test_whoever_asks_first_may_be_in_the_middle_of_something():
    def asked(x):
        native._loaded.cache_clear()
        assert native.why() == "native: compiled here"
        return x

    with FakeTensorMode():
        asked(None)
    with torch.inference_mode(), torch.device("meta"):
        asked(None)
    torch.func.vmap(asked)(torch.zeros(2))
    torch.func.grad(lambda x: asked(x).sum())(torch.zeros(2))
