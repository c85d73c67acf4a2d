"""Results on disk: one folder per run, written so that a kill at any moment loses nothing that was recorded."""

import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch

from locant.lab.run import NUMERICS, Run

MARKER = "locant.json"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Lets ``write`` fill a file beside ``path``, then puts it in place at once. On failure nothing is left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, atomically."""
    text = json.dumps(value, indent=1, allow_nan=False)
    write_atomically(path, lambda partial: partial.write_text(text + "\n", encoding="utf-8"))


def write_tensors(path: Path, value: Any) -> None:
    """Writes what ``torch.save`` takes, atomically; tensors as those of the processor, so that they can be read
    anywhere. Raises OSError if the disk is full.
    """
    memory = io.BytesIO()  # writing to the disk by itself, torch hides the system's reason in a RuntimeError
    torch.save(_at_home(value), memory)
    write_atomically(path, lambda partial: partial.write_bytes(memory.getbuffer()))


def _at_home(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {key: _at_home(item) for key, item in value.items()}
    return type(value)(_at_home(item) for item in value) if isinstance(value, list | tuple) else value


def write_arrays(path: Path, state: dict[str, torch.Tensor]) -> None:
    """Writes named tensors in numpy's own format, which takes no pickle to read, atomically."""

    def write(partial: Path) -> None:
        with partial.open("wb") as file:  # given a name, numpy would append another ending to it
            arrays: Any = {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}
            numpy.savez(file, **arrays)

    write_atomically(path, write)


def snapshots(folder: Path) -> dict[int, Path]:
    """The weights that a run kept, by step."""
    return {int(path.stem): path for path in sorted((folder / "snapshots").glob("*.npz")) if path.stem.isdigit()}


def clear_partials(out: Path) -> None:
    """Removes what killed processes left half written, anywhere in a folder of results that nobody else writes to."""
    for path in out.rglob(".*.part*"):
        path.unlink(missing_ok=True)


def open_results(out: Path) -> bool:
    """Makes ``out`` a folder of results, or checks that it is one of this numerics version.

    Returns whether the folder is new. Raises ValueError if it is something else: a file, a folder with other things in
    it, or results whose numbers would not be comparable.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"expected a folder for the results, was a file: {out}")
    marker, new = out / MARKER, not out.exists()
    if marker.exists():
        try:
            found = json.loads(marker.read_text())["numerics"]
        except (ValueError, KeyError, TypeError):
            found = "unreadable"
        if found != NUMERICS:
            raise ValueError(
                f"expected results of numerics version {NUMERICS} in {out}, was: {found}; use another --out"
            )
    elif not new and any(not path.name.startswith(f".{MARKER}.") for path in out.iterdir()):
        raise ValueError(f"expected an empty folder or one with results of locant, was: {out} with other files")
    else:
        write_json(marker, {"numerics": NUMERICS})
    return new


class RunFolder:
    """The files of a run: ``run.json``, ``metrics.jsonl``, ``checkpoint.pt`` while it trains, ``result.json`` after,
    and the weights that were to be kept as ``snapshots/STEP.npz``.
    """

    def __init__(self, out: Path, run: Run) -> None:
        self.path = out / "runs" / run.id
        self.run = run
        self.checkpoint = self.path / "checkpoint.pt"
        self.metrics = self.path / "metrics.jsonl"

    def result(self) -> dict[str, Any] | None:
        """The result if the run is finished. A damaged file counts as none, and the run is done again."""
        try:
            found = json.loads((self.path / "result.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("id") == self.run.id else None

    def finish(self, result: dict[str, Any]) -> None:
        """Records the result; the checkpoint is not needed any more."""
        write_json(self.path / "result.json", result)
        self.checkpoint.unlink(missing_ok=True)

    def keep(self, step: int, state: dict[str, torch.Tensor]) -> None:
        """Keeps the weights of a step."""
        write_arrays(self.path / "snapshots" / f"{step}.npz", state)

    def log(self, lines: Sequence[dict[str, float]]) -> None:
        """Adds lines to ``metrics.jsonl``."""
        with self.metrics.open("a", encoding="utf-8") as metrics:
            metrics.write("".join(json.dumps(line) + "\n" for line in lines))

    def rewind(self, step: int) -> None:
        """Drops what ``metrics.jsonl`` says of steps after ``step``, which a resumed run will do again."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text().splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError):
                continue  # the last line of a killed process may be half a line
        text = "".join(f"{line}\n" for line in kept)
        write_atomically(self.metrics, lambda partial: partial.write_text(text))
