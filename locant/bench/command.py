"""``locant bench`` from its options to a document, and to tables for the terminal."""

import os
import platform
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from locant.bench import peers
from locant.bench.cases import Case, Part, attention_of, parts
from locant.bench.memory import peak
from locant.bench.options import Options
from locant.bench.timing import Timing, clock_of, ratios
from locant.encodings import Code, PositionalEncoding, build, native
from locant.machine import devices

Document = dict[str, Any]


def run(options: Options, tell: Callable[[str], None]) -> Document:
    """Times every part of every encoding on one thread; `tell` hears what is being timed.

    Raises ValueError for options that make no sense, and for an expression that names no encoding.
    """
    options, device = options.checked(), devices.find(options.device)
    width = options.heads * options.head_width
    encodings = {expression: _drawn(expression, width, options) for expression in options.encodings}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        made = [_timed(part, options, tell) for part in parts(encodings, options)]
    finally:
        torch.set_num_threads(threads)
    return {"machine": _machine(device), "options": _told(options), "parts": made,
            "attention": {name: _name(encoding) for name, encoding in encodings.items()},
            "peers": {name: name in peers.installed() for name in peers.ROTATIONS}}  # fmt: skip


def _drawn(expression: str, width: int, options: Options) -> PositionalEncoding:
    """The encoding with parameters from the seed; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        encoding = build(expression, width=width, heads=options.heads, length=options.length)
    generator = torch.Generator().manual_seed(options.seed)
    for module in encoding.modules():
        if isinstance(module, PositionalEncoding | Code):
            module.reset_parameters(generator)
    return encoding.to(options.device)


def _name(encoding: PositionalEncoding) -> str:
    return attention_of(encoding.layer(0))


def _machine(device: torch.device) -> Document:
    processor = platform.processor() or platform.machine()
    return {"processor": processor, "cores": os.cpu_count(), "torch": torch.__version__, "threads": 1,
            "kernels": native.why(), "device": devices.describe(device)}  # fmt: skip


def _told(options: Options) -> Document:
    names = ("batch", "heads", "length", "head_width", "vocabulary", "format", "device", "rounds", "seed")
    return {name: getattr(options, name) for name in names}


def _timed(part: Part, options: Options, tell: Callable[[str], None]) -> Document:
    tell(f"{part.name}: {', '.join(part.cases)}")
    device = torch.device(options.device)
    clock = clock_of(device)
    forward = ratios({name: case.forward for name, case in part.cases.items()}, part.limit, options.rounds, clock)
    trained = {name: case.both for name, case in part.cases.items() if case.wanted is not None}
    both = ratios(trained, part.limit, options.rounds, clock) if trained else {}
    rows = [{"name": name, "forward": _numbers(forward[name]), "both": _numbers(both[name]) if name in both else None,
             "memory": _memory(case, device)} for name, case in part.cases.items()]  # fmt: skip
    return {"part": part.name, "limit": part.limit, "rows": rows}


def _memory(case: Case, device: torch.device) -> int:
    return peak(case.forward if case.wanted is None else case.both, device)


def _numbers(timing: Timing) -> Document:
    return {"ratio": timing.middle, "quartiles": [timing.low, timing.high], "seconds": timing.seconds}


def tables(document: Document) -> list[Table]:
    """One table for each part."""
    return [_table(part) for part in document["parts"]]


def _table(part: Document) -> Table:
    trains = part["rows"][0]["both"] is not None
    table = Table(title=Text(f"{part['part']}: time / {part['limit']}"), box=SIMPLE_HEAD, title_justify="left")
    heads = ["", "forward", "quartiles", "ms"]
    heads += ["forward + backward", "quartiles", "ms"] if trains else []
    for head in [*heads, "MiB"]:
        table.add_column(head, justify="left" if not head else "right")
    for row in part["rows"]:
        cells = _cells(row["forward"]) + (_cells(row["both"]) if trains else [])
        table.add_row(Text(row["name"]), *cells, f"{row['memory'] / 2**20:.2f}")
    return table


def _cells(numbers: Document) -> list[str]:
    low, high = numbers["quartiles"]
    return [f"{numbers['ratio']:.2f}", f"{low:.2f} .. {high:.2f}", f"{1e3 * numbers['seconds']:.3g}"]


def notes(document: Document) -> list[str]:
    """What must be known to read the tables."""
    by_name: dict[str, list[str]] = {}
    for encoding, name in document["attention"].items():
        by_name.setdefault(name, []).append(encoding)
    found = [f"attention {name}: {', '.join(encodings)}" for name, encodings in by_name.items()]
    missing = [name for name, there in document["peers"].items() if not there]
    if missing:
        found.append(f"not installed, so not compared with: {', '.join(missing)}")
    here = document["options"]["device"] == "cpu"
    clock = "in CPU time of one thread" if here else f"in time until {document['machine']['device']} is done"
    return [
        *found,
        *([f"kernels: {document['machine']['kernels']}"] if here else []),
        f"ratios are medians over the rounds, {clock}; a copy copies gradients, too",
        "MiB is what a call holds at most, with its gradients, and without what is inside of one operation",
    ]


def probed() -> tuple[Document, list[tuple[str, str, str]]]:
    """What is chosen for this machine, and each choice with what it is and why."""
    probe = import_module("locant.machine.probe")
    choices = probe.probe()
    return choices.to_dict(), probe.describe(choices)
