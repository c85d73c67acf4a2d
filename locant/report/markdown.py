"""The comparison's tables as Markdown, to paste into a paper's draft, an issue or a README."""

from typing import Any

from locant.report import words
from locant.report.document import Document, at_length, check, footnotes, lengths, metric_name, ranked


def markdown(comparison: Document) -> str:
    """One table per experiment, best row first: metric, difference and verdict, cost, and value by length.

    Raises:
        ValueError: for a document that does not hold together.
    """
    check(comparison)
    matched = comparison["matched"]
    closing = (
        f"Matched by {matched['by']}: the same {matched['held']}; not matched: {matched['not_held']}. "
        f"{len(comparison['seeds'])} seeds; intervals are paired t against `{comparison['reference']}`."
    )
    return "\n\n".join([*(_section(experiment) for experiment in comparison["experiments"]), closing]) + "\n"


def _section(experiment: Document) -> str:
    shown = lengths(experiment)
    head = ["encoding", metric_name(experiment), "difference", "interval", "verdict", "parameters", "FLOPs/token",
            "seconds", "tokens/s", *(f"{times:g}× ({length})" for length, times in shown)]  # fmt: skip
    lines = [_line(head), _line(["---"] + ["---:"] * 3 + ["---"] + ["---:"] * (len(head) - 5))]
    for row in ranked(experiment):
        cells = [f"`{row['encoding']}`", words.metric(row[experiment["metric"]]), words.signed(row["difference"]),
                 words.interval(row["interval"]), words.verdict(row), words.compact(row["parameters"]),
                 words.compact(row["flops_per_token"]), words.seconds(row["seconds"]),
                 words.compact(row["tokens_per_second"])]  # fmt: skip
        lines.append(_line([*cells, *(_length(row, length) for length, _ in shown)]))
    notes = "".join(f"\n{note[:1].upper()}{note[1:]}." for note in footnotes(experiment))
    return f"**{experiment['name']}**\n\n" + "\n".join(lines) + (f"\n{notes}" if notes else "")


def _length(row: Document, length: int) -> str:
    found: Any = at_length(row, length)
    return words.MISSING if found is None or found["value"] is None else words.metric(found["value"])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
