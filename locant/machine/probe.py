"""Measures this machine once per shape, keeps the figures in the cache folder, and decides from them."""

import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from locant.machine.allocator import available, keep_freed_memory
from locant.machine.choices import Choices, Measured, decide, describe
from locant.machine.cores import cores
from locant.machine.steps import ARITHMETICS, KINDS, LARGEST_GRID, Shape, product_errors, shortened, step
from locant.machine.timing import clock, relative_times

__all__ = ["Choices", "Shape", "describe", "probe"]

VERSION = 1  # part of the cache key: raise it when the same machine would be measured otherwise
STEP_SECONDS = 0.3
BLOCKS = 3  # of the largest activation, alive at once, that the allocator is timed with


def probe(shape: Shape | None = None, *, forced: Mapping[str, Any] | None = None, cache: Path | None = None,
          fresh: bool = False) -> Choices:  # fmt: skip
    """The choices for a shape on this machine, measured in about half a second unless the cache has the figures.

    shape: of what is to be trained; that of ``locant compare`` unless given. forced: choices that are not to be made.
    cache: the folder of the figures, ``~/.cache/locant`` unless given; a damaged file is measured anew. fresh: measure
    in any case. Measuring raises the allocator's thresholds in this process, if there are any.
    Raises ValueError for a forced choice that does not exist.
    """
    shape, forced = shape or Shape(), dict(forced or {})
    decide(Measured(), 1, forced)  # refuses before anything is measured
    if {"attention", "gemm", "allocator"} <= forced.keys():
        return decide(Measured(machine=machine(shape)), cores(), forced)
    path = (cache or _cache_folder()) / f"probe-{_key(shape)}.json"
    measured = None if fresh else _read(path)
    if measured is None:
        measured = measure(shape)
        _write(path, measured)
    return decide(measured, cores(), forced)


def machine(shape: Shape) -> dict[str, Any]:
    """What the figures depend on."""
    return {"cpu": _cpu(), "cores": cores(), "torch": torch.__version__, "version": VERSION, "shape": asdict(shape)}


def measure(shape: Shape) -> Measured:
    """Times everything, on one thread."""
    started, threads, told = time.perf_counter(), torch.get_num_threads(), machine(shape)
    torch.set_num_threads(1)
    try:
        attentions = ("fused", "dense") if shape.grid <= LARGEST_GRID else ("fused",)
        if len(attentions) == 1:
            told["left_out"] = f"dense would hold {shape.grid >> 20} MiB of scores per layer"
        times = _step_times(shortened(shape), attentions)
        errors = product_errors()
        ratio = _allocator_ratio(shape)
    finally:
        torch.set_num_threads(threads)
    return Measured(times, errors, ratio, told, time.perf_counter() - started)


def _step_times(shape: Shape, attentions: tuple[str, ...]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        calls = {f"{a}/{n}": step(shape, kind, a, n) for a in attentions for n in ARITHMETICS}
        for way, ratio in relative_times(calls, "fused/plain", STEP_SECONDS / len(KINDS)).items():
            found.setdefault(way, {})[kind] = ratio
    return found


def _allocator_ratio(shape: Shape) -> float | None:
    """Time of elementwise work on blocks of the run's largest size with raised thresholds, over without.

    There is no way back, so the two cannot alternate; the best of some turns each is compared.
    """
    if not available():
        return None
    x = torch.zeros(min(shape.block, 64 << 20) // 4)

    def turn() -> float:
        at = clock()
        for _ in range(1 + (2 << 20) // shape.block):
            blocks = [x.exp()]
            for _ in range(BLOCKS - 1):
                blocks.append(blocks[-1] + x)
            del blocks
        return clock() - at

    turns = 5 if shape.block < 8 << 20 else 2
    turn()
    plain = min(turn() for _ in range(turns))
    keep_freed_memory()
    turn()
    return min(turn() for _ in range(turns)) / max(plain, 1e-9)


def _cpu() -> str:
    """The processor by name and number: virtual machines like to leave out half of either."""
    try:
        text = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return platform.processor() or platform.machine()
    fields = ("model name", "cpu family", "model", "stepping")
    named = [re.search(rf"^{name}\s*:\s*(.+)$", text, re.M) for name in fields]
    return " ".join(found[1] for found in named if found) or platform.machine()


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "locant"


def _key(shape: Shape) -> str:
    return hashlib.sha256(json.dumps(machine(shape), sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> Measured | None:
    """What was measured before; None if there is nothing, or nothing that can be used."""
    try:
        found = Measured(**json.loads(path.read_text()))
        decide(found, 1)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None
    return found


def _write(path: Path, measured: Measured) -> None:
    """Where the cache cannot be written, every process measures for itself."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(asdict(measured), allow_nan=False))
        os.replace(partial, path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
