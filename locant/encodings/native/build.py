"""Compiles the kernels with the C compiler of this machine, once, keeps them in the cache folder, and loads them.

A library is kept under a name made of the source, the compiler, its flags and the processor, so that a folder which
several machines share never gives one of them instructions that it does not have.
"""

import ctypes
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
FLAGS = ("-O3", "-shared", "-fPIC")
SOURCES = {"rotations.c": "-ffp-contract=off", "attention.c": "-ffp-contract=fast"}
"""Rotations round a product before it is added to another, as PyTorch's operations do; sums of products need not."""
HEADER = "numbers.h"  # of all of them
WANTED = (
    ("-march=native", "-fopenmp", "-mprefer-vector-width=512"),
    ("-march=native", "-fopenmp"),
    ("-march=native",),
    ("-mcpu=native",),
    (),
)
"""More flags, of which the first that the compiler takes are used: all that the processor can do, threads, and its
widest registers."""
SECONDS = 60.0  # until a compiler is given up

Pointer, Number, Small, Real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_float
SIGNATURES = {
    "rotate": (None, (Pointer, Pointer, Pointer, Pointer, Pointer, Pointer, Pointer, Small)),
    "look_up_beside": (Number, (Pointer, Number, Number, Pointer, Number, Pointer, Number, Number, Pointer)),
    "look_up_added": (Number, (Pointer, Number, Number, Pointer, Number, Pointer, Number, Pointer, Small)),
    "attention_forward": (Small, (*[Pointer] * 7, Real)),
    "attention_backward": (Small, (*[Pointer] * 11, Number, Real)),
}


class Library(NamedTuple):
    """The functions of the C files, by the names that they have there."""

    rotate: Callable[..., None]
    look_up_beside: Callable[..., int]
    look_up_added: Callable[..., int]
    attention_forward: Callable[..., int]
    attention_backward: Callable[..., int]


def load() -> Library:
    """The kernels, compiled if they were not before. Raises OSError with the reason if they cannot be had."""
    compiler = _compiler()
    with ThreadPoolExecutor() as pool:  # one compiler for each file, side by side
        files = list(pool.map(lambda name: _opened(compiler, name), SOURCES))
    found = {}
    for name, (result, arguments) in SIGNATURES.items():
        function = next(getattr(each, name) for each in files if hasattr(each, name))
        function.restype, function.argtypes = result, arguments
        found[name] = function
    return Library(**found)


def _opened(compiler: list[str], source: str) -> ctypes.CDLL:
    path = cache_folder() / f"{source.removesuffix('.c')}-{_key(compiler, source)}.so"
    with suppress(OSError):  # not there, or damaged
        return ctypes.CDLL(str(path))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        made = _compiled(compiler, source, Path(folder) / path.name)
        try:
            partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, partial)
            os.replace(partial, path)
        except OSError:  # nowhere to keep it: every process compiles for itself
            return ctypes.CDLL(str(made))
    return ctypes.CDLL(str(path))


def _compiler() -> list[str]:
    """The command in ``CC``, or what is called cc, gcc or clang. Raises OSError if there is none."""
    given = shlex.split(os.environ.get("CC", ""))
    for name in given[:1] or ("cc", "gcc", "clang"):
        if (found := shutil.which(name)) is not None:
            return [found, *given[1:]]
    raise OSError("no C compiler was found" + (f" as {given[0]}" if given else ""))


def _key(compiler: list[str], source: str) -> str:
    digest = hashlib.sha256((HERE / source).read_bytes() + (HERE / HEADER).read_bytes())
    digest.update(repr((compiler, FLAGS, SOURCES[source], WANTED, platform.machine(), _abilities())).encode())
    return digest.hexdigest()[:20]


def _abilities() -> str:
    """What the processor can do, or its name where nothing more is told."""
    try:
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def cache_folder() -> Path:
    """Where what is made for this machine is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "locant"


def _compiled(compiler: list[str], source: str, path: Path) -> Path:
    said = ""
    for more in WANTED:
        command = [*compiler, *FLAGS, SOURCES[source], *more, str(HERE / source), "-o", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise OSError(f"{compiler[0]} did not end within {SECONDS:g} s") from error
        if done.returncode == 0:
            return path
        said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[0]
    raise OSError(f"{compiler[0]} failed: {said[:200]}")
