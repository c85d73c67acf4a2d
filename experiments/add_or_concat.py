"""Add or concatenate? Does it matter whether token and position share their columns, and what is held equal meanwhile?

The same learned and sinusoidal codes are added, concatenated, projected, gated, and kept beside the stream, under each
of the four ways of matching. Run it with `python experiments/add_or_concat.py [OUT]`; the answer is in docs/log.md.
"""

import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from locant.lab.compare import compare
from locant.lab.display import Display
from locant.lab.settings import Settings

WAYS = ("add", "concat", "concat_project", "gate", "beside")


def settings(match: str, out: Path) -> Settings:
    """The plan for one way of matching."""
    encodings = tuple(f"{way}({code})" for code in ("learned", "sinusoidal") for way in WAYS)
    plan = Settings(encodings=("none", *encodings), task=("what_at_index",), budget="300k", batch=16, seeds=5,
                    out=out / match)  # fmt: skip
    return replace(plan, match=match)  # type: ignore[arg-type]


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("results/add_or_concat")
    for mode in ("total", "token", "parameters", "flops"):
        with Display(Console()) as display:
            compare(settings(mode, folder), display)
        print(f"{mode}: {folder / mode / 'report.html'}")
