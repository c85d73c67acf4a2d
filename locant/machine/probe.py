"""Measures this machine once per shape, keeps the figures in the cache folder, and decides from them."""

import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from locant.encodings import native
from locant.encodings.native.build import cache_folder
from locant.machine import allocator
from locant.machine.choices import Choices, Measured, decide, describe, use_native
from locant.machine.cores import cores
from locant.machine.steps import KINDS, LARGEST_GRID, PRECISIONS, Shape, product_errors, projection, shortened, step
from locant.machine.timing import Call, clock, relative_times
from locant.model import compiled, tiles

__all__ = ["Choices", "Shape", "describe", "probe"]

VERSION = 4  # part of the cache key: raise it when the same machine would be measured otherwise
STEP_SECONDS = 0.15
PRODUCT_SECONDS = 0.02
KERNEL_SECONDS = 0.03  # for each kind of scores
STEPS = 4  # whose page faults are counted


def probe(shape: Shape | None = None, *, forced: Mapping[str, Any] | None = None, cache: Path | None = None,
          fresh: bool = False) -> Choices:  # fmt: skip
    """The choices for a shape on this machine, measured in about half a second unless the cache has the figures.

    shape: of what is to be trained; that of ``locant compare`` unless given. forced: choices that are not to be made.
    cache: the folder of the figures, ``~/.cache/locant`` unless given; a damaged file is measured anew. fresh: measure
    in any case.
    Raises ValueError for a forced choice that does not exist, or not on this machine.
    """
    shape, forced = shape or Shape(), dict(forced or {})
    decide(Measured(), 1, forced)  # refuses before anything is measured
    if forced.get("allocator") == "raised" and not allocator.available():
        raise ValueError("expected the allocator plain where the C library is not glibc, was: raised")
    if forced.get("kernels") == "native" and not native.available():
        raise ValueError(f"expected the kernels torch ({native.reason()}), was: native")
    if {"attention", "gemm", "allocator", "kernels"} <= forced.keys():
        return decide(Measured(machine=machine(shape)), cores(), forced)
    wanted = forced.get("kernels")
    path = (cache or cache_folder()) / f"probe-{_key(shape, wanted)}.json"
    measured = None if fresh else _read(path)
    if measured is None:
        measured = measure(shape, wanted)
        _write(path, measured)
    return decide(measured, cores(), forced)


def machine(shape: Shape) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpu": processor(),
        "cores": cores(),
        "torch": torch.__version__,
        "version": VERSION,
        "shape": asdict(shape),
    }


def measure(shape: Shape, kernels: str | None = None) -> Measured:
    """Times everything, on one thread.  kernels: that will compute, if it is not to be found out."""
    started, threads, told = time.perf_counter(), torch.get_num_threads(), machine(shape)
    torch.set_num_threads(1)
    try:
        attentions: tuple[str, ...] = ("fused",)
        ratio = _native(shape) if kernels is None and native.library() is not None else None
        told["kernels"] = native.reason()
        used = kernels or ("native" if use_native(ratio) else "torch")
        least = compiled.LEAST if used == "native" else tiles.LEAST
        if shape.context >= least:
            told["left_out"] = f"from {least} tokens fused does what dense would, for half of the pairs"
        elif shape.grid > LARGEST_GRID:
            told["left_out"] = f"dense would hold {shape.grid >> 20} MiB of scores per layer"
        else:
            attentions = ("fused", "dense")
        with native.kernels(used):
            calls = {kind: _calls(shortened(shape), kind, attentions) for kind in KINDS}
            times = _confirmed(_step_times(calls, calls["causal"]), calls)
            medium = _medium(shape)
            raised = _allocator_ratio(shape, calls["causal"]["fused/fp32"])
    finally:
        torch.set_num_threads(threads)
    return Measured(times, medium, product_errors(), raised, ratio, told, time.perf_counter() - started)


def _native(shape: Shape) -> float:
    """Time of a step with compiled kernels over one without: the mean of the kinds."""
    found = []
    for kind in KINDS:
        call = step(shortened(shape), kind, "fused", "fp32")
        calls = {way: partial(_with, way, call) for way in native.WAYS}
        found.append(relative_times(calls, "torch", KERNEL_SECONDS)["native"])
    return sum(found) / len(found)


def _with(way: str, call: Call) -> object:
    with native.kernels(way):
        return call()


def _allocator_ratio(shape: Shape, call: Call) -> float | None:
    """Time of a step with raised thresholds over time without. call: the short step.

    There is no way back from raised thresholds, so another process tells what is lost without: the time to fault in
    the blocks that a layer holds at once. How many of them a step faults in depends on what else there is in the heap;
    it was found between two and five blocks a layer in large steps, so those of one layer are charged to it. A step
    that need not be made short is asked for its page faults itself. Of blocks too large for glibc to adapt to every
    use is faulted in, and it is the time to fill them.
    """
    filling, short = allocator.measure(shape.block), shortened(shape)
    if filling is None:
        return None
    if shape.block > allocator.ALWAYS_MAPPED:
        return filling.raised / max(filling.plain, 1e-9)
    began, before = clock(), allocator.page_faults()
    for _ in range(STEPS):
        call()
    spent, faults = max(clock() - began, 1e-9) / STEPS, (allocator.page_faults() - before) / STEPS
    if short == shape:
        return max(0.0, 1 - faults * filling.seconds_per_fault / spent)
    return max(0.0, 1 - (filling.plain - filling.raised) / (spent * shape.flops / short.flops))


def _calls(shape: Shape, kind: str, attentions: tuple[str, ...]) -> dict[str, Call]:
    return {
        f"{attention}/{name}": step(shape, kind, attention, name) for attention in attentions for name in PRECISIONS
    }


def _step_times(calls: Mapping[str, Mapping[str, Call]], ways: Iterable[str]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {way: {} for way in ways}
    for kind, each in calls.items():
        timed = {way: each[way] for way in found}
        for way, ratio in relative_times(timed, "fused/fp32", STEP_SECONDS / len(KINDS)).items():
            found[way][kind] = ratio
    return found


def _medium(shape: Shape) -> float:
    """Time of a projection's products with PyTorch's ``medium`` over plain; the worse of two, if it looks faster."""
    calls = {gemm: projection(shape, gemm) for gemm in ("plain", "medium")}
    ratio = relative_times(calls, "plain", PRODUCT_SECONDS)["medium"]
    return ratio if ratio >= 1 else max(ratio, relative_times(calls, "plain", PRODUCT_SECONDS)["medium"])


def _confirmed(times: dict[str, dict[str, float]],
               calls: Mapping[str, Mapping[str, Call]]) -> dict[str, dict[str, float]]:  # fmt: skip
    """The times, with dense attention measured once more where it would be taken, and the worse of both kept.

    Of several ways one looks fast by chance.
    """
    for precision in PRECISIONS:
        if decide(Measured(times), 1, {"precision": precision}).attention == "dense":
            dense, fused = f"dense/{precision}", f"fused/{precision}"
            again = _step_times(calls, dict.fromkeys(("fused/fp32", fused, dense)))
            for kind in KINDS:
                times[dense][kind] = max(times[dense][kind], again[dense][kind])
                times[fused][kind] = min(times[fused][kind], again[fused][kind])
    return times


def processor() -> str:
    """The processor by name and number: virtual machines like to leave out half of either."""
    try:
        text = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return platform.processor() or platform.machine()
    fields = ("model name", "cpu family", "model", "stepping")
    named = [re.search(rf"^{name}\s*:\s*(.+)$", text, re.M) for name in fields]
    return " ".join(found[1] for found in named if found) or platform.machine()


def _key(shape: Shape, kernels: str | None) -> str:
    """Of the file of the figures. Where kernels are compiled anew, or a compiler has come, they are measured anew."""
    told = {**machine(shape), "kernels": kernels, "native": native.why()}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


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
