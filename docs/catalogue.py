"""Writes docs/encodings.md, the catalogue as a page: python docs/catalogue.py"""

import json
import runpy
from pathlib import Path
from typing import Any

from locant.encodings import LEFT_OUT, catalogue
from locant.encodings.entries.entry import Entry
from locant.encodings.expression import canonical

HERE = Path(__file__).parent
PAGE = HERE / "encodings.md"
OPENING = """# Encodings

Made by `python docs/catalogue.py` from the catalogue; `locant encodings` prints the same. An *example* is an expression
as `locant compare` and `locant.encodings.build` take it; codes stand in `add(...)`, `concat(...)`, `beside(...)` and
the like. *Shift-invariant*: attention stays the same when all positions move by one amount. The docstrings have shapes,
errors, and how each differs from its source.

*FLOPs* are those of a training step's matrix products per token, over those without any position, and *extrapolates*
is what our own length test found (`python experiments/length.py`: bytes of prose, 2 layers, width 64, trained on
windows of 64 for 200k tokens, 3 seeds): the loss at 4 times the training length less the loss at that length, in bits
per byte, with its paired 95 % interval. *yes*: at most 2 % worse; *no*: more; *undecided*: the interval reaches over
that margin; *not defined*: the table ends. Trained longer, or on more lengths, an encoding may do otherwise. *Peers*
are the packages that `tests/peers` runs ours against; a number leads to a defect found there.
"""
HEAD = (
    "| example | formula | acts on | parameters | FLOPs | limit | shift-invariant | extrapolates | peers | source |\n"
    + "|---" * 10
    + "|\n"
)


def page() -> str:
    """The page: one table of encodings, one of codes, the peers' defects, and what is left out."""
    measured = json.loads((HERE / "lengths.json").read_text(encoding="utf-8"))
    known = runpy.run_path(str(HERE / "peers.py"))
    tables = {"Encodings": "", "Codes": ""}
    defects: list[str] = []
    for entry in catalogue().values():
        found = known["DEFECTS"].get(entry.name, ())
        numbers = [str(len(defects) + 1 + index) for index in range(len(found))]
        defects += [f"`{entry.name}`: {told} (`{test}`)." for told, test in found]
        peers = known["PEERS"].get(entry.name, "")
        marks = f" ({', '.join(numbers)})" if numbers else ""
        cells = [*_cells(entry, measured.get(canonical(entry.example)), measured["none"]), peers + marks, entry.source]
        line = " | ".join(cell.replace("|", "\\|") for cell in cells)
        tables["Codes" if entry.acts_on == "code" else "Encodings"] += f"| {line} |\n"
    sections = "".join(f"\n## {title}\n\n{HEAD}{rows}" for title, rows in tables.items())
    listed = "".join(f"{number}. {defect}\n" for number, defect in enumerate(defects, 1))
    left_out = "".join(f"| {name} | {source} | {reason} |\n" for name, source, reason in LEFT_OUT)
    left_out = "\n## Left out\n\n| method | source | why |\n" + "|---" * 3 + "|\n" + left_out
    return f"{OPENING}{sections}\n## Defects found in peers\n\n{listed}{left_out}"


def _cells(entry: Entry, measured: dict[str, Any] | None, none: dict[str, Any]) -> list[str]:
    invariant = {True: "yes", False: "no", None: "as its parts"}[entry.shift_invariant]
    flops, extrapolates = "", "not measured yet"
    if measured is not None:
        flops = f"{measured['flops_per_token'] / none['flops_per_token']:.2f}"
        extrapolates = measured["extrapolates"]
    if measured is not None and measured["difference"] is not None:
        low, high = measured["interval"]
        extrapolates += f", {measured['difference']:+.2f} [{low:+.2f}, {high:+.2f}]"
    return [f"`{entry.example}`", f"`{entry.formula}`", entry.acts_on, entry.parameters, flops, entry.limit, invariant,
            extrapolates]  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
