"""The answer to `how much can be added` as tables for a terminal of any width."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from locant.report import capacity_grids as grids
from locant.report.figures import Grid
from locant.report.words import ascii_only

Document = Mapping[str, Any]
# Signs of the numbers and the formulas in ASCII, for a terminal of any encoding.
SIGNS = {"·": "x", "⁻": "-", **{raised: str(digit) for digit, raised in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}}


def tables(document: Document) -> list[Table]:
    """The ladder, what is added, real tables, number formats, one number and the checks, each with its methods."""
    found = [("Solved", grids.solved(document)), ("Decoders", grids.ladder(document)),
             ("What the decoders do", grids.decoders(document)),
             ("How many vectors of the first table can be added", grids.adding(document)),
             ("Number formats", grids.formats(document)), ("One number", grids.one_number(document)),
             ("Formula, simulation, brute force", grids.checks(document))]  # fmt: skip
    if real := document["real"]:
        found[2:2] = [("Real tables", grids.shapes(real)), ("Decoders on real sums", grids.decoded(real)),
                      ("What separates the sums", grids.facts(real)), ("Nearest sums", grids.rivals(real))]  # fmt: skip
    return [_table(title, grid) for title, grid in found if grid.rows]


def sentences(document: Document) -> list[str]:
    """The answer in plain words, in ASCII."""
    return [plain(sentence) for sentence in [document["question"]["sentence"], *document["answer"]]]


def plain(text: str) -> str:
    """A text in ASCII: 10⁻⁶ becomes 10^-6."""
    found, raised = "", False
    for sign in ascii_only(text):
        is_raised = sign in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
        found += "^" if is_raised and not raised else ""
        found += SIGNS.get(sign, sign)
        raised = is_raised
    return found


def _table(title: str, grid: Grid) -> Table:
    table = Table(title=Text(title), box=SIMPLE_HEAD, title_justify="left")
    for head in grid.heads:
        table.add_column(Text(plain(head)), overflow="fold")
    for row in grid.rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table
