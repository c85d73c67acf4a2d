"""Byte-level text to train and test on: two corpora that every CPython carries, files, folders and data sets."""

import codecs
import hashlib
import os
import platform
import re
import sys
import sysconfig
import tempfile
import tokenize
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from locant.lab.docstrings import docstrings, no_collector

CODE_BYTES = 4_000_000
RECIPE = 1  # part of the cache key: raise it when the same interpreter would yield other bytes
TESTS_AND_PROGRAMS = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "ensurepip"}
NOT_THE_LIBRARY = {"site-packages", "dist-packages", "__pycache__"}
TABLES = {"encodings", "pydoc_data"}  # character tables, and the help topics as one literal
LEFT_OUT = TESTS_AND_PROGRAMS | NOT_THE_LIBRARY | TABLES
DATA_SET = re.compile(r"hf:(?P<name>[^:]+)(?::(?P<split>[^:\[]+(?:\[[^\]]*\])?))?(?::(?P<column>[^:]+))?")


@dataclass(frozen=True, eq=False)
class Corpus:
    """Text as bytes, uint8 `[byte]`: the last 10 % (rounded down) to test on, wherever that cuts, the rest to train on.

    `hash` is the sha256 of all bytes and the place of the cut: equal hash, equal data. `python` is the version of the
    interpreter that the text was taken from, or None.
    """

    name: str
    description: str
    train: Tensor
    test: Tensor
    hash: str
    python: str | None

    def summary(self) -> dict[str, str | int | None]:
        """Returns what a record of an experiment keeps of its data."""
        return {
            "name": self.name,
            "description": self.description,
            "hash": self.hash,
            "bytes": len(self.train) + len(self.test),
            "train_bytes": len(self.train),
            "test_bytes": len(self.test),
            "python": self.python,
        }

    def require(self, window: int) -> None:
        """Checks that a window of so many input bytes, and the target after the last, fits both parts.

        Raises: ValueError if the training or the test part is shorter than window + 1 bytes.
        """
        for part, text in (("training", self.train), ("test", self.test)):
            if len(text) <= window:
                raise ValueError(
                    f"expected at least {window + 1} bytes of {part} text in {self.name}, was: {len(text)}"
                )


def load(name: str, *, cache: Path | None = None) -> Corpus:
    """Loads a corpus: `prose`, `code`, a file, a folder, or `hf:NAME[:SPLIT[:COLUMN]]`.

    prose: docstrings of the running interpreter's standard library, each distinct one once, and its help topics.
    code: source files of the standard library, whole and spread evenly over it, about 4 MB.
    Both leave out tests, bundled programs, generated build settings and the character tables of `encodings`; a folder
    `cache` keeps their bytes, and is not used for other texts.
    A file or folder called prose or code is read as `./prose`. Folder: every text file below it in sorted order, joined
    by newlines; hidden and binary files are left out and counted in the description.
    hf: the rows of a text column (default `text`) of a split (default `train`, slices such as `train[:1%]` are
    understood) as `datasets.load_dataset` finds NAME, joined by newlines.

    Raises: ValueError if nothing goes by that name, or if it is empty, binary, or a data set that cannot be read.
    """
    if name in _BUILDERS:
        version = platform.python_version()
        data = _BUILDERS[name]() if cache is None else _cached(name, cache)
        return _corpus(name, f"{_DESCRIPTIONS[name]} of Python {version}", data, version)
    if name.startswith("hf:"):
        return _corpus(name, *_read_data_set(name), None)
    path = Path(name)
    if path.is_dir():
        return _corpus(path.resolve().name, *_read_folder(path), None)
    if path.is_file():
        return _corpus(path.name, f"the file {path.name}", _read_file(path), None)
    if path.suffix or len(path.parts) > 1:
        raise ValueError(f"expected an existing file or folder, was: {name}")
    raise ValueError(f"expected {', '.join(_BUILDERS)}, a path or hf:NAME[:SPLIT[:COLUMN]], was: {name!r}")


def windows(text: Tensor, length: int, count: int, generator: torch.Generator) -> Tensor:
    """Draws windows of `length` inputs and one more target at uniformly random places.

    Shape: long `[count, length + 1]`.

    Raises: ValueError if the length is below 1 or the text is shorter than length + 1 bytes.
    """
    _check_window(text, length)
    starts = torch.randint(len(text) - length, (count,), generator=generator)
    return text[starts[:, None] + torch.arange(length + 1)].long()


def test_windows(text: Tensor, length: int, tokens: int) -> Tensor:
    """Returns fixed windows that ask for about `tokens` targets, evenly spread. Shape: long `[window, length + 1]`.

    The windows fill stretches of s = length * 2^k bytes, with the largest k that leaves s <= tokens / 16, so that there
    are at least 16 stretches, with equal gaps between them. Lengths L, 2L and 4L share s, hence ask for exactly the
    same targets, as long as 4L <= tokens / 16; a longer window is a stretch of its own. No target is asked for twice:
    neighbours share one byte, the last target of one window and the first input of the next. A text of fewer than
    `tokens` targets is covered as far as whole stretches go.

    Raises: ValueError if length or tokens is below 1, or the text is shorter than length + 1 bytes.
    """
    _check_window(text, length)
    if tokens < 1:
        raise ValueError(f"expected at least 1 token to test on, was: {tokens}")
    targets = min(tokens, len(text) - 1)
    stretch = length
    while 2 * stretch <= targets // 16:
        stretch *= 2
    count = max(1, targets // stretch)
    gap = len(text) - 1 - count * stretch
    starts = torch.tensor([i * stretch + gap * (2 * i + 1) // (2 * count) for i in range(count)])
    inside = torch.arange(0, stretch, length)
    return text[(starts[:, None] + inside).reshape(-1, 1) + torch.arange(length + 1)].long()


def _check_window(text: Tensor, length: int) -> None:
    if length < 1:
        raise ValueError(f"expected a window length of at least 1, was: {length}")
    if len(text) <= length:
        raise ValueError(f"expected a text of at least {length + 1} bytes, was: {len(text)}")


def _corpus(name: str, description: str, data: bytes, python: str | None) -> Corpus:
    if not data:
        raise ValueError(f"expected a text that is not empty, was: 0 bytes in {name}")
    split = len(data) - len(data) // 10
    digest = hashlib.sha256(data)
    digest.update(split.to_bytes(8, "big"))
    text = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return Corpus(name, description, text[:split], text[split:], digest.hexdigest(), python)


def _is_text(data: bytes) -> bool:
    """Says whether bytes are UTF-8 without NUL, cut off possibly in the middle of the last character."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=False)
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _read_file(path: Path) -> bytes:
    data = path.read_bytes()
    if not _is_text(data):
        raise ValueError(f"expected a text file in UTF-8, was: a binary file, {path.name}")
    return data


def _read_folder(folder: Path) -> tuple[str, bytes]:
    texts, binary, hidden = [], 0, 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            hidden += 1
            continue
        data = path.read_bytes()
        if _is_text(data):
            texts.append(data)
        else:
            binary += 1
    left_out = f"left out: {binary} binary, {hidden} hidden"
    if not any(texts):
        raise ValueError(f"expected a folder with text files that are not empty, was: {folder.name} ({left_out})")
    return f"{len(texts)} text files of the folder {folder.resolve().name} ({left_out})", b"\n".join(texts)


def _read_data_set(name: str) -> tuple[str, bytes]:
    parts = DATA_SET.fullmatch(name)
    if parts is None:
        raise ValueError(f"expected hf:NAME[:SPLIT[:COLUMN]], was: {name}")
    source, split, column = parts["name"], parts["split"] or "train", parts["column"] or "text"
    try:
        import datasets
    except ImportError as error:
        raise ValueError(f"expected datasets installed (pip install 'locant[hf]') for {name}, was: {error}") from error
    try:
        rows = datasets.load_dataset(source, split=split)
    except Exception as error:  # the library raises some dozen types of its own, of requests' and of pyarrow's
        reason = " ".join(str(error).split())[:200]
        tried = f"load_dataset({source!r}, split={split!r}) raised {type(error).__name__}: {reason}"
        raise ValueError(f"expected a data set within reach, was: {tried}") from error
    if column not in rows.column_names:
        raise ValueError(f"expected a column among {', '.join(rows.column_names)}, was: {column}")
    texts = rows[column]
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"expected text in column {column}, was: {type(text).__name__} in row {row}")
    return f"column {column} of the split {split} of the data set {source}", "\n".join(texts).encode()


def _library_files() -> Iterator[tuple[str, str]]:
    """Yields the path and the source of each file of the standard library, in sorted order of paths.

    Raises: ValueError if the interpreter does not carry the source of its library.
    """
    root = Path(sysconfig.get_path("stdlib"))
    found: list[Path] = []
    for folder, inside, files in os.walk(root):
        inside[:] = [name for name in inside if name not in LEFT_OUT and not name.startswith("config-")]
        found += [
            Path(folder, name) for name in files if name.endswith(".py") and not name.startswith("_sysconfigdata")
        ]
    if not found:
        raise ValueError("expected the source of the standard library, was: an interpreter without it")
    for path in sorted(found, key=lambda path: path.relative_to(root).parts):
        with tokenize.open(path) as source:  # follows the file's own declaration of its encoding
            yield path.relative_to(root).as_posix(), source.read()


def _prose() -> bytes:
    from pydoc_data.topics import topics

    texts: dict[str, None] = {}
    help_topics = [topics[key] for key in sorted(topics)]
    with no_collector():
        for path, source in _library_files():
            # Help topics stand at their file's place, so that the test text is not made of them alone.
            if path > "pydoc_data" and help_topics:
                texts.update(dict.fromkeys(help_topics))
                help_topics = []
            texts.update(dict.fromkeys(docstrings(source)))
    texts.update(dict.fromkeys(help_topics))
    return "\n\n".join(text.strip() for text in texts).encode()


def _code() -> bytes:
    files = [source.encode() for _, source in _library_files()]
    share = min(1.0, CODE_BYTES / sum(map(len, files)))
    kept: list[bytes] = []
    seen = used = 0
    for data in files:
        seen += len(data)
        if used < share * seen:
            kept.append(data)
            used += len(data)
    return b"\n".join(kept)


_BUILDERS: dict[str, Callable[[], bytes]] = {"prose": _prose, "code": _code}
_DESCRIPTIONS = {
    "prose": "docstrings of the standard library and help topics",
    "code": "source files spread evenly over the standard library",
}


def _cached(name: str, folder: Path) -> bytes:
    """Reads a corpus from the cache, where a file is the sha256 of the bytes, a newline and the bytes, or builds it."""
    build = (RECIPE, sys.implementation.name, platform.python_version(), platform.python_build())
    path = folder / f"{name}-{hashlib.sha256(repr(build).encode()).hexdigest()[:16]}.corpus"
    if path.is_file():
        stored, _, data = path.read_bytes().partition(b"\n")
        if hashlib.sha256(data).hexdigest().encode() == stored:
            return data
        warnings.warn(f"the cached corpus {path.name} is damaged and was built anew", stacklevel=3)
    data = _BUILDERS[name]()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=path.stem) as workplace:
        whole = Path(workplace, path.name)
        whole.write_bytes(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
        os.replace(whole, path)  # one step: whoever reads at the same moment sees the old file or the new one, whole
    return data
