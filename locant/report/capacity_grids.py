"""The tables of a capacity report, for the page and the terminal: every number with its interval and its method."""

from collections.abc import Mapping
from typing import Any

from locant.report import capacity_words as words
from locant.report.figures import Grid

Document = Mapping[str, Any]


def ladder(document: Document) -> Grid:
    """Each decoder's probability, and the width that it needs for the targets."""
    targets = document["question"]["targets"]
    heads = ["decoder", "probability", *(f"width for {target:g}" for target in targets), "method"]
    rows = [
        [row["decoder"], words.probability(row["probability"]), *(words.count(n) for n in row["widths"]),
         words.method(row["probability"] or next((n for n in row["widths"] if n), None))]
        for row in document["ladder"]
    ]  # fmt: skip
    return Grid(heads, rows)


def adding(document: Document) -> Grid:
    """How many members each decoder takes."""
    targets = document["question"]["targets"]
    heads = ["decoder", *(f"vectors for {target:g}" for target in targets), "method"]
    rows = [
        [row["decoder"], *(words.count(n) for n in row["members"]),
         words.method(next((n for n in row["members"] if n), None))]
        for row in document["adding"]
    ]  # fmt: skip
    return Grid(heads, rows)


def solved(document: Document) -> Grid:
    """What was solved for, if anything."""
    row = document["solved"]
    if row is None:
        return Grid(["solved for", "decoder", "target", "found", "method"], [])
    text = words.probability if row["what"] in ("format", "probability") else words.count
    found = f"{row['format']}: {text(row['number'])}" if "format" in row else text(row["number"])
    target = "" if row["target"] is None else f"{row['target']:g}"
    return Grid(["solved for", "decoder", "target", "found", "method"],
                [[row["what"], row["decoder"], target, found, words.method(row["number"])]])  # fmt: skip


def decoders(document: Document) -> Grid:
    """What each decoder does and where its law comes from."""
    known = {row["decoder"]: row for row in [*document["ladder"], *document["adding"]]}
    rows = [[row["decoder"], row["does"], row["source"]] for row in known.values()]
    return Grid(["decoder", "what it does", "source of its law"], rows)


def formats(document: Document) -> Grid:
    """What each number format holds, and what rounding to it costs."""
    columns = {
        "values": "values of one number",
        "bits": "bits in the vector",
        "numbers": "numbers needed by any code",
        "random": "numbers needed by random vectors",
        "noise": "noise of rounding",
        "probability": "dot product",
    }
    texts = {"noise": words.real, "probability": words.probability}
    methods = {key: words.method(next((row[key] for row in document["formats"] if row[key]), None)) for key in columns}
    heads = ["format", *(f"{head} ({methods[key]})" for key, head in columns.items())]
    rows = [[row["format"], *(texts.get(key, words.count)(row[key]) for key in columns)] for row in document["formats"]]
    return Grid(heads, rows)


def one_number(document: Document) -> Grid:
    """Ways of putting several choices into one number."""
    rows = [
        [row["way"], row["what"], words.count(row["sums"]), words.probability(row["correct"]),
         words.method(row["correct"] or row["sums"])]
        for row in document["one_number"]
    ]  # fmt: skip
    return Grid(["way", "what is done", "different sums", "recovered", "method"], rows)


def checks(document: Document) -> Grid:
    """Three answers to one question beside each other."""
    rows = [
        [row["question"], words.probability(row["formula"]), words.probability(row["simulation"]),
         words.probability(row["brute_force"]), "yes" if row["agree"] else "NO", "; ".join(
             words.method(row[key]) for key in ("simulation", "brute_force") if row[key])]
        for row in document["checks"]
    ]  # fmt: skip
    return Grid(["question", "formula", "simulation", "brute force", "agree", "methods"], rows)


def shapes(real: Document) -> Grid:
    """What sets the tables apart from random ones."""
    heads = ["table", "items", "stored as", "mean length", "spread of length", "shared by all rows", "rank",
             "directions with 99 %", "effective directions", "method"]  # fmt: skip
    keys = ("norm", "norm_spread", "common", "rank", "directions", "effective")
    rows = [
        [table["name"], words.count(table["items"]), table["stored"], *(words.real(table[key]) for key in keys),
         words.method(table["norm"])]
        for table in real["tables"]
    ]  # fmt: skip
    return Grid(heads, rows)


def decoded(real: Document) -> Grid:
    """How often each decoder named everything that was added."""
    rows = [[row["decoder"], words.probability(row["probability"]), words.method(row["probability"])]
            for row in real["decoders"]]  # fmt: skip
    return Grid(["decoder", "all recovered", "method"], rows)


def facts(real: Document) -> Grid:
    """Single numbers of a pair of tables, in words."""
    rows = [[row["fact"], words.real(row["number"]), words.method(row["number"])] for row in real["facts"]]
    return Grid(["fact", "value", "method"], rows)


def rivals(real: Document) -> Grid:
    """Sums that are easily taken for another."""
    rows = [[row["sum"], row["rival"], words.real(row["distance"]), words.method(row["distance"])]
            for row in real["rivals"]]  # fmt: skip
    return Grid(["sum", "taken for", "distance", "method"], rows)
