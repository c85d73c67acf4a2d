"""The answer to `how much can be added` as one self-contained HTML page: no network, no scripts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from locant.report import capacity_figures as figures
from locant.report import capacity_grids as grids
from locant.report import words
from locant.report.figures import Figure, Grid
from locant.report.template import environment, replace_file

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """A heading, plain words, tables with captions, and figures."""

    identifier: str
    title: str
    text: str
    tables: Sequence[tuple[str, Grid]] = ()
    figures: Sequence[Figure] = ()
    items: Sequence[str] = field(default_factory=tuple)


def write(document: Document, path: Path) -> None:
    """Write the page to `path` in one move: a reader sees the old page or the new one, never a part.

    Raises:
        OSError: where the folder cannot be written to.
    """
    replace_file(Path(path), render(document))


def render(document: Document) -> str:
    """The page as text. The same document gives the same page, byte for byte."""
    sections = [section for make in SECTIONS for section in [make(document)] if section is not None]
    made = environment(words=words)
    return made.get_template("capacity.html.j2").render(
        document=document, sections=sections, disagree=[item for item in document["checks"] if not item["agree"]]
    )


def _solved(document: Document) -> Section | None:
    if document["solved"] is None:
        return None
    return Section(
        "solved",
        "What was solved for",
        "The quantity that was not given, found from the others for one decoder; everything below is asked with it.",
        [("", grids.solved(document))],
    )


def _ladder(document: Document) -> Section:
    return Section(
        "ladder",
        "The ladder of decoders",
        "All decoders see the same sum. The cheap ones look at one vector at a time and take the others for noise; the "
        "dear ones explain the whole sum at once. The last lines are limits that no decoder passes.",
        [
            ("At the width that was asked about, and the width that each needs.", grids.ladder(document)),
            ("What they do.", grids.decoders(document)),
        ],
        _some(figures.ladder(document)),
    )


def _adding(document: Document) -> Section | None:
    if not document["adding"]:
        return None
    return Section(
        "adding",
        "Keep adding",
        _how_many(document),
        [
            (
                f"The largest number of {'slots' if _slots(document) else 'vectors, all of which are recovered'}.",
                grids.adding(document),
            )
        ],
        _some(figures.capacity(document), figures.phase(document), figures.scores(document)),
    )


def _slots(document: Document) -> bool:
    return document["question"]["goal"] == "slot" and len(document["question"]["items"]) == 1


def _how_many(document: Document) -> str:
    items = words.plain(document["question"]["items"][0])
    if _slots(document):
        return f"How many slots, each filled from {items} vectors, can be added so that each can still be read out."
    known = "" if document["question"]["goal"] != "membership" else ", and nobody knows how many they are"
    return (f"How many different vectors of one table of {items} can be added into one vector of the width that was "
            f"asked about, when the order does not count{known}.")  # fmt: skip


def _formats(document: Document) -> Section:
    needed = document["bits"]["needed"]["value"]
    return Section(
        "formats",
        "What the numbers can hold",
        f"Naming what was added takes {needed:.1f} bits. A format with n values for each number holds at most log2 n "
        "bits for each; with fewer values than possible sums, two sums must be the same (the pigeonhole principle).",
        [("By format, from the widest to one bit.", grids.formats(document))],
        _some(figures.precision(document)),
    )


def _one_number(document: Document) -> Section | None:
    if not document["one_number"]:
        return None
    return Section(
        "one-number",
        "Down to one single number",
        "In real arithmetic one number always suffices: digits can be stacked, or weights chosen of which no two sums "
        "agree. What is paid is length: the number must have as many bits as there are to keep apart.",
        [("Ways to put everything into one number.", grids.one_number(document))],
        _some(figures.rounds(document)),
    )


def _real(document: Document) -> Section | None:
    real = document["real"]
    if not real:
        return None
    tables = [
        ("The tables that were read.", grids.shapes(real)),
        ("Decoders on sums of real rows.", grids.decoded(real)),
    ]
    if real["facts"]:
        tables.append(("What separates the sums.", grids.facts(real)))
    if real["rivals"]:
        tables.append(("The sampled sums that are nearest to another.", grids.rivals(real)))
    return Section(
        "real",
        "The real tables",
        "The laws below hold for random vectors. Rows of trained tables share a mean, differ in length and crowd into "
        "few directions, which is measured here; the decoders are tried on sums of the rows themselves.",
        tables,
        _some(figures.gaps(document), figures.angles(document)),
    )


def _checks(document: Document) -> Section:
    return Section(
        "checks",
        "Formula, simulation and brute force",
        "The same question answered in three independent ways. The formula integrates; the simulation draws the added "
        "vectors and integrates the others; brute force draws whole tables, adds and decodes. Disagreement would be "
        "an error in one of them, except in a row of rounded sums: there the formula takes rounding for Gaussian "
        "noise, and disagreement says how far that is off.",
        [
            (
                "Each with its 95 % interval; a formula that approximates, with how far it was off at most. "
                "Disagreement is flagged where intervals are apart even if made wider by three quarters, by chance "
                "once in a thousand.",
                grids.checks(document),
            )
        ],
    )


SECTIONS: tuple[Callable[[Document], Section | None], ...] = (
    _solved, _real, _ladder, _adding, _formats, _one_number, _checks,
)  # fmt: skip


def _some(*drawn: Figure | None) -> list[Figure]:
    return [figure for figure in drawn if figure is not None]
