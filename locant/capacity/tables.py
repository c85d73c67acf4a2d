"""A real table: one tensor of a file, with its rows checked."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from locant.capacity import files
from locant.capacity.memory import need

SHOWN = 8  # names or rows that an error line lists


@dataclass(frozen=True)
class Table:
    """Rows that are added up: float32 [items, width], with the name and the format that they were stored in."""

    name: str
    rows: Tensor
    stored: str
    notes: tuple[str, ...] = ()


def load(source: str) -> Table:
    """The tensor of ``FILE:NAME`` of safetensors, npz or GGUF; an npy file, or one with a single matrix, needs no name.

    Raises ValueError, in one line, for a file that does not exist, a pickle, another kind of file, a name that is not
    in it, or a tensor that is no matrix.
    """
    path, name = _split(source)
    shapes = files.shapes(path)
    matrices = [key for key, shape in shapes.items() if len(shape) == 2]
    if not name:
        if len(matrices) != 1:
            raise ValueError(f"expected {path.name}:NAME with a matrix of {path.name}, was: {few(matrices)}")
        name = matrices[0]
    if name not in shapes:
        raise ValueError(f"expected a tensor of {path.name} ({few(matrices)}), was: {name}")
    if len(shapes[name]) != 2:
        raise ValueError(f"expected a matrix of items by columns, was: {name} of shape {tuple(shapes[name])}")
    need(8.0 * math.prod(shapes[name]), f"the table {name}", "a smaller table would fit")
    rows, stored = files.read(path, name)
    return Table(path.name if path.suffix == ".npy" else f"{path.name}:{name}", rows, stored)


def usable(table: Table, *, drop: bool = False) -> Table:
    """The table if every row can be told apart; with `drop`, the table without the rows that cannot.

    Raises ValueError, naming the rows, for rows with NaN or infinity, rows of zeros, rows equal to an earlier one, or
    a table of fewer than 2 usable rows.
    """
    rows = table.rows
    broken = ~torch.isfinite(rows).all(1)
    zero = (rows == 0).all(1)
    first = _first_equal(rows)
    twice = (first != torch.arange(len(rows))) & ~broken & ~zero
    faults = [("finite rows", broken, "NaN or infinity in"), ("rows other than zero", zero, "zeros in"),
              ("distinct rows", twice, "a repetition in")]  # fmt: skip
    for expected, bad, found in faults:
        if bad.any() and not drop:
            which = few([str(i) for i in bad.nonzero()[:, 0].tolist()])
            more = f" (equal to row {first[bad][0]})" if bad is twice else ""
            raise ValueError(f"expected {expected} in {table.name}, was: {found} row {which}{more}; "
                             "--drop leaves such rows out")  # fmt: skip
    kept = ~(broken | zero | twice)
    if int(kept.sum()) < 2:
        raise ValueError(f"expected at least 2 usable rows in {table.name}, was: {int(kept.sum())}")
    if kept.all():
        return table
    reasons = (("NaN or infinity", broken), ("zeros only", zero), ("an equal row before", twice))
    counts = [f"{int(bad.sum())} with {reason}" for reason, bad in reasons if bad.any()]
    note = f"{table.name}: {int((~kept).sum())} of {len(rows)} rows were left out ({', '.join(counts)})."
    return Table(table.name, rows[kept], table.stored, (*table.notes, note))


def same_width(tables: tuple[Table, ...]) -> int:
    """The width that all tables share. Raises ValueError if they do not."""
    widths = [table.rows.shape[1] for table in tables]
    if len(set(widths)) > 1:
        named = ", ".join(f"{table.name} {width}" for table, width in zip(tables, widths, strict=True))
        raise ValueError(f"expected tables of one width, was: {named}")
    return widths[0]


def _split(source: str) -> tuple[Path, str]:
    whole = Path(source)
    path, name = (whole, "") if whole.is_file() else (Path(source.rpartition(":")[0]), source.rpartition(":")[2])
    if not path.is_file():
        raise ValueError(f"expected FILE:NAME with a file that exists, was: {source}")
    files.check(path)
    return path, name


def _first_equal(rows: Tensor) -> Tensor:
    """For each row, the index of the first row that equals it."""
    array = np.ascontiguousarray(rows.numpy() + np.float32(0))  # the sum makes one zero of 0 and -0
    whole = array.view(np.dtype((np.void, array.itemsize * array.shape[1])))[:, 0]
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    return torch.from_numpy(first[group])


def few(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    if not names:
        return "no matrix"
    more = "" if len(names) <= SHOWN else f" and {len(names) - SHOWN} more"
    return ", ".join(names[:SHOWN]) + more
