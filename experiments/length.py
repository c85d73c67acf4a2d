"""Which encodings extrapolate? Every entry of the catalogue, trained at length 64 and tested at 2 and 4 times that.

A model that extrapolates predicts a long window at least as well per byte as a short one: it has more to go by. Judged
is the paired difference over seeds, loss at 4 times the training length minus loss at that length, at a margin of 2 %
of the latter: `yes` if it is at most the margin, `no` if it is more, `undecided` if its interval reaches over the
margin. Run it with `python experiments/length.py [OUT]`; docs/encodings.md shows what it writes to docs/lengths.json.
"""

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from locant.encodings import catalogue
from locant.lab.compare import compare
from locant.lab.display import Display
from locant.lab.settings import Settings
from locant.lab.statistics import interval

ANSWERS = Path(__file__).parent.parent / "docs" / "lengths.json"
MARGIN = 0.02


def settings(out: Path) -> Settings:
    """The plan: every example of the catalogue, its codes added."""
    encodings = tuple(dict.fromkeys(entry.example for entry in catalogue().values()))
    return Settings(encodings=encodings, reference="none", task=(), budget="200k", batch=16,
                    eval_lengths=(64, 128, 256), out=out)  # fmt: skip


def answers(comparison: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By expression: the losses by length, the difference with its interval, and the word for it."""
    found = {}
    for row in comparison["rows"]:
        at = {length["times"]: length for length in row["by_length"]}
        short, long = at[1.0]["per_seed"], at[4.0]["per_seed"]
        judged: dict[str, Any] = {"difference": None, "interval": None, "extrapolates": "not defined"}
        if long:
            differences = [b - a for a, b in zip(short, long, strict=True)]
            low, high = interval(differences)
            margin = MARGIN * at[1.0]["value"]
            word = "yes" if high <= margin else "no" if low > margin else "undecided"
            mean = sum(differences) / len(differences)
            judged = {"difference": mean, "interval": [low, high], "extrapolates": word}
        losses = {f"{times:g}x": length["value"] for times, length in at.items()}
        costs = {name: row[name] for name in ("parameters", "flops_per_token")}
        found[row["encoding"]] = {"bits_per_byte": losses, **judged, **costs}
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("results/length")
    with Display(Console()) as display:
        made = compare(settings(folder), display)
    if made["failed"]:
        sys.exit(f"expected every run to end, was: {made['failed'][0]}")
    ANSWERS.write_text(json.dumps(answers(made), indent=1) + "\n", encoding="utf-8")
    print(ANSWERS)
