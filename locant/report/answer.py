"""The plain answer: sentences that follow from the verdicts alone."""

from collections.abc import Sequence

from locant.report import words
from locant.report.document import Document, amount, finite, margin_of, ranked


class Name(str):
    """An encoding's name inside a sentence, which the page sets apart."""


Sentence = list[str]  # text and Names in turn; joined they are the plain sentence


def answer(comparison: Document) -> list[list[Sentence]]:
    """What was found: the opening, then for each experiment what is better, worse, equivalent and undecided."""
    return [[_opening(comparison)], *(_findings(comparison, item) for item in comparison["experiments"])]


def _opening(comparison: Document) -> Sentence:
    others, seeds = len(comparison["encodings"]) - 1, len(comparison["seeds"])
    budget = comparison["plan"].get("budget")
    setting = [f"matched by {comparison['matched']['by']}", f"data {comparison['data']['name']}"]
    setting += [] if budget is None else [f"budget {words.plain(budget)}"]
    setting.append(f"{seeds} seed{'' if seeds == 1 else 's'}")
    return [
        f"In this setting ({', '.join(setting)}) {others} encoding{' was' if others == 1 else 's were'} compared with ",
        Name(comparison["reference"]),
        ". Better or worse is said only where the paired interval over seeds leaves out zero.",
    ]


def _findings(comparison: Document, experiment: Document) -> list[Sentence]:
    groups: dict[str, list[Document]] = {}
    for row in ranked(experiment):
        groups.setdefault(row["verdict"], []).append(row)
    reference = Name(comparison["reference"])
    sentences: list[Sentence] = []
    for verdict in ("better", "worse"):
        if rows := groups.get(verdict):
            start = f" {_verb(rows, 'is', 'are')} {verdict} than "
            sentences.append([*_names(rows), start, reference, f" (by {amount(experiment, _range(rows))})."])
    if not sentences:
        sentences.append(["no encoding is shown to be better or worse than ", reference, "."])
    if rows := groups.get("equivalent"):
        margin = margin_of(comparison, experiment)
        within = "" if margin is None else f" (within {amount(experiment, f'±{margin:g}')})"
        sentences.append([*_names(rows), f" {_verb(rows, 'is', 'are')} equivalent to ", reference, f"{within}."])
    if rows := groups.get("undecided"):
        sentences.append([*_names(rows), f" {_verb(rows, 'remains', 'remain')} undecided{_needed(rows)}."])
    sentences[0] = [f"On {experiment['name']}, ", *sentences[0]]
    return sentences


def _verb(rows: Sequence[Document], one: str, many: str) -> str:
    return one if len(rows) == 1 else many


def _names(rows: Sequence[Document]) -> Sentence:
    parts: Sentence = []
    for index, row in enumerate(rows):
        if index:
            parts.append(" and " if index == len(rows) - 1 else ", ")
        parts.append(Name(row["encoding"]))
    return parts


def _range(rows: Sequence[Document]) -> str:
    sizes = sorted(abs(row["difference"]) for row in rows if finite(row["difference"]))
    texts = list(dict.fromkeys(words.metric(size) for size in sizes))
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}" if texts else "an unknown amount of"


def _needed(rows: Sequence[Document]) -> str:
    if all(row["interval"] is None for row in rows):
        return ": there is no interval without at least two seeds"
    counts = sorted(row["more_seeds"] for row in rows if row["more_seeds"] is not None)
    if not counts:
        return ""
    if len(counts) == len(rows) and counts[0] == counts[-1]:
        return f" (about {words.more(counts[0])} may settle {_verb(rows, 'it', 'them')})"
    if len(counts) < len(rows):
        return f" (about {words.more(counts[0])} may settle the nearest of them)"
    return f" (about {counts[0]} to {words.more(counts[-1])} may settle them)"
