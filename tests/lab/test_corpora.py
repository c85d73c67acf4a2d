"""The corpora: what they hold, how they are cut, kept and refused."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.lab import corpora
from locant.lab.corpora import Corpus, load


def text_of(corpus: Corpus) -> bytes:
    return bytes(torch.cat([corpus.train, corpus.test]).tolist())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpora") / "made" / "when needed"


@pytest.fixture(scope="module")
def code(cache: Path) -> Corpus:
    return load("code", cache=cache)


@pytest.fixture(scope="module")
def prose(cache: Path) -> Corpus:
    return load("prose", cache=cache)


@pytest.fixture
def counting(tmp_path: Path) -> Corpus:
    path = tmp_path / "notes.txt"
    path.write_bytes(bytes(range(1, 101)) + b"the end")
    return load(str(path))


def test_prose_holds_docstrings_and_help_topics_once(prose: Corpus) -> None:
    from pydoc_data.topics import topics

    text, held_out = text_of(prose).decode(), bytes(prose.test.tolist()).decode(errors="replace")
    assert 1_000_000 < len(text) < 4_000_000
    assert text.count(topics["lambda"].strip()) == 1
    assert text.count((json.loads.__doc__ or "").strip().splitlines()[0]) == 1
    assert "def __init__(self, *, skipkeys=False" not in text
    assert not any(topic.strip() in held_out for topic in topics.values())


def test_code_holds_whole_files_up_to_its_limit(code: Corpus) -> None:
    text = text_of(code)
    sources = [source.encode() for _, source in corpora._library_files()]
    kept = [source for source in sources if len(source) > 500 and source in text]
    assert abs(len(text) - corpora.CODE_BYTES) < 300_000
    assert abs(sum(map(len, kept)) - len(text)) < 10_000
    share = corpora.CODE_BYTES / sum(map(len, sources))
    for part in range(4):
        quarter = sources[part * len(sources) // 4 : (part + 1) * len(sources) // 4]
        taken = sum(len(source) for source in quarter if source in kept)
        assert abs(taken - share * sum(map(len, quarter))) < 300_000


def test_the_library_is_listed_in_order_and_without_what_is_not_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.py", "a/z.py", "a/test/x.py", "site-packages/y.py", "encodings/c.py", "config-3/d.py", "n.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"# \xc3\xa9\n")
    (tmp_path / "_sysconfigdata_linux.py").touch()
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\n# \xe9")
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    listed = [("a/z.py", "# é\n"), ("b.py", "# é\n"), ("latin.py", "# coding: latin-1\n# é")]
    assert list(corpora._library_files()) == listed
    assert text_of(load("code")) == "\n".join(source for _, source in listed).encode()


def test_named_corpora_say_what_they_are_and_stay_the_same(code: Corpus, prose: Corpus) -> None:
    for name, corpus in (("code", code), ("prose", prose)):
        assert (corpus.name, corpus.python) == (name, platform.python_version())
        assert corpus.description.endswith(f"of Python {platform.python_version()}")
        assert corpus.train.dtype == corpus.test.dtype == torch.uint8
    assert load("code").summary() == code.summary()


@pytest.mark.slow
def test_another_process_yields_the_same_prose(prose: Corpus) -> None:
    program = "from locant.lab.corpora import load; print(load('prose').hash)"
    answer = subprocess.run([sys.executable, "-OO", "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == prose.hash


def test_the_last_tenth_is_to_test_on(counting: Corpus) -> None:
    assert bytes(counting.train.tolist()) == bytes(range(1, 98))
    assert bytes(counting.test.tolist()) == bytes(range(98, 101)) + b"the end"
    assert counting.hash == hashlib.sha256(text_of(counting) + (97).to_bytes(8, "big")).hexdigest()
    assert list(counting.summary()) == ["name", "description", "hash", "bytes", "train_bytes", "test_bytes", "python"]
    kept = ["notes.txt", "the file notes.txt", counting.hash, 107, 97, 10, None]
    assert list(json.loads(json.dumps(counting.summary())).values()) == kept


def test_both_parts_must_hold_a_window(counting: Corpus) -> None:
    counting.require(9)
    with pytest.raises(ValueError, match=r"expected at least 11 bytes of test text in notes\.txt, was: 10"):
        counting.require(10)
    with pytest.raises(ValueError, match=r"expected at least 101 bytes of training text in notes\.txt, was: 97"):
        counting.require(100)


def test_the_cache_is_read_back_and_rebuilt_when_damaged(
    tmp_path: Path, code: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(corpora._BUILDERS, "code", lambda: b"built once")
    assert text_of(load("code", cache=tmp_path)) == b"built once"
    monkeypatch.setitem(corpora._BUILDERS, "code", lambda: b"built again")
    assert text_of(load("code", cache=tmp_path)) == b"built once"
    (stored,) = tmp_path.iterdir()
    assert stored.name.startswith("code-")
    whole = stored.read_bytes()
    for damaged in (whole[:-1], b"", whole.replace(b"once", b"0nce"), b"no newline"):
        stored.write_bytes(damaged)
        with pytest.warns(UserWarning, match=rf"the cached corpus {stored.name} is damaged and was built anew"):
            assert text_of(load("code", cache=tmp_path)) == b"built again"
        assert text_of(load("code", cache=tmp_path)) == b"built again"
    assert list(tmp_path.iterdir()) == [stored]
    monkeypatch.setattr(platform, "python_build", lambda: ("another", "build"))
    load("code", cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setitem(corpora._BUILDERS, "code", lambda: b"text")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        load("code", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interpreter_without_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(ValueError, match="expected the source of the standard library, was: an interpreter without it"):
        load("prose")


def test_a_folder_is_its_text_files_in_sorted_order(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "b").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "c.txt").write_text("last")
    (folder / "b" / "x.md").write_text("middle\n")
    (folder / "a.txt").write_text("first")
    (folder / "picture").write_bytes(b"\x89PNG\0")
    (folder / "latin").write_bytes("é".encode("latin-1") + b" ")
    (folder / ".git" / "config").write_text("hidden")
    (folder / ".hidden").write_text("hidden")
    corpus = load(str(folder))
    assert text_of(corpus) == b"first\nmiddle\n\nlast"
    assert corpus.description == "3 text files of the folder texts (left out: 2 binary, 2 hidden)"
    assert (corpus.name, corpus.python) == ("texts", None)


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "binary").write_bytes(b"\0")
    message = r"expected a folder with text files that are not empty, was: .* \(left out: 1 binary, 0 hidden\)"
    with pytest.raises(ValueError, match=message):
        load(str(tmp_path))


def test_a_file_may_end_inside_a_character(tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes("naïve €".encode()[:-1])
    assert text_of(load(str(path))) == "naïve €".encode()[:-1]


@pytest.mark.parametrize("data", [b"text\0text", b"\xff\xfe", b"\xc3 in the middle", "é".encode("utf-16")])
def test_a_binary_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "blob"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="expected a text file in UTF-8, was: a binary file, blob"):
        load(str(path))


def test_what_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected an existing file or folder, was: .*missing\.txt"):
        load(str(tmp_path / "missing.txt"))
    with pytest.raises(ValueError, match=r"expected prose, code, a path or hf:NAME\[:SPLIT\[:COLUMN\]\], was: 'prosa'"):
        load("prosa")
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="expected a text that is not empty, was: 0 bytes in empty"):
        load(str(tmp_path / "empty"))


@pytest.mark.slow
def test_data_sets_are_read_by_split_and_column(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "one é", "number": 1}\n{"text": "two", "number": 2}\n', "utf-8")
    (folder / "test.jsonl").write_text('{"text": "three", "number": 3}\n')
    program = """
import sys
from locant.lab.corpora import load
for name in sys.argv[1:]:
    try:
        corpus = load(name)
        print([bytes(corpus.train.tolist() + corpus.test.tolist()), corpus.description])
    except ValueError as error:
        print(error)
"""
    # The library reads these variables once, when it is imported: hence a process of its own.
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    rest = ["", ":test", ":train[1:]:text", ":train:words", ":train:number", ":validation"]
    command = [sys.executable, "-c", program, *(f"hf:{folder}{part}" for part in rest), "hf:nobody/nothing"]
    answer = subprocess.run(command, env=os.environ | offline, capture_output=True, text=True, check=True)
    lines = answer.stdout.splitlines()
    for line, text, split in zip(lines, ("one é\ntwo", "three", "two"), ("train", "test", "train[1:]"), strict=False):
        assert line == str([text.encode(), f"column text of the split {split} of the data set {folder}"])
    assert lines[3] == "expected a column among text, number, was: words"
    assert lines[4] == "expected text in column number, was: int in row 0"
    refused = "expected a data set within reach, was: load_dataset({!r}, split={!r}) raised "
    assert lines[5].startswith(refused.format(str(folder), "validation"))
    assert lines[6].startswith(refused.format("nobody/nothing", "train"))
    assert len(lines) == 7


def test_data_sets_need_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        ValueError, match=r"expected datasets installed \(pip install 'locant\[hf\]'\) for hf:a/b, was: "
    ):
        load("hf:a/b")


@pytest.mark.parametrize("name", ["hf:", "hf::train", "hf:a:b:c:d", "hf:a:"])
def test_malformed_names_of_data_sets_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected hf:NAME\[:SPLIT\[:COLUMN\]\], was: hf:"):
        load(name)


@given(size=st.integers(2, 5000), length=st.integers(1, 80), tokens=st.integers(1, 6000), seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_windows_are_pieces_and_ask_for_no_target_twice(size: int, length: int, tokens: int, seed: int) -> None:
    text = torch.randint(256, (size,), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    if size <= length:
        with pytest.raises(ValueError, match=f"expected a text of at least {length + 1} bytes, was: {size}"):
            corpora.test_windows(text, length, tokens)
        return
    pieces = text.unfold(0, length + 1, 1)
    random = corpora.windows(text, length, 5, torch.Generator().manual_seed(seed))
    assert random.shape == (5, length + 1)
    assert all((pieces == window).all(dim=1).any() for window in random)

    fixed = corpora.test_windows(torch.arange(size), length, tokens)
    assert fixed.dtype == random.dtype == torch.long
    assert torch.equal(fixed, fixed[:, :1] + torch.arange(length + 1))
    targets = fixed[:, 1:].flatten()
    assert torch.equal(targets, targets.sort().values)
    assert len(targets.unique()) == len(targets)
    asked = min(tokens, size - 1)
    assert len(targets) == length or asked - max(length, asked // 16) < len(targets) <= asked


@pytest.mark.parametrize("length", [3, 16, 25, 64])
def test_longer_windows_ask_for_the_same_targets(length: int) -> None:
    text = torch.arange(30_000)
    single, double, fourfold = (corpora.test_windows(text, length * times, 4096) for times in (1, 2, 4))
    assert torch.equal(single[:, 1:].flatten(), double[:, 1:].flatten())
    assert torch.equal(single[:, 1:].flatten(), fourfold[:, 1:].flatten())
    assert len(single) == 4 * len(fourfold)
    gaps = single[1:, 0] - single[:-1, -1]
    assert (gaps > 0).sum() >= 15
    assert gaps[gaps > 0].unique().diff().tolist() in ([], [1])
    assert abs(int(single[0, 0]) - (29_999 - int(single[-1, -1]))) <= 1


def test_random_windows_reach_both_ends_and_follow_the_generator() -> None:
    text = torch.arange(10, dtype=torch.uint8)
    drawn = corpora.windows(text, 4, 500, torch.Generator().manual_seed(1))
    assert drawn[:, 0].unique().tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.equal(drawn, corpora.windows(text, 4, 500, torch.Generator().manual_seed(1)))


def test_windows_of_no_length_are_refused() -> None:
    text = torch.arange(10, dtype=torch.uint8)
    with pytest.raises(ValueError, match="expected a window length of at least 1, was: 0"):
        corpora.windows(text, 0, 1, torch.Generator())
    with pytest.raises(ValueError, match="expected a text of at least 11 bytes, was: 10"):
        corpora.windows(text, 10, 1, torch.Generator())
    with pytest.raises(ValueError, match="expected at least 1 token to test on, was: 0"):
        corpora.test_windows(text, 4, 0)
