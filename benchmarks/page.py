"""Runs the benchmarks and writes what they print to docs/performance.md: python benchmarks/page.py [SCRIPT ...]

A page is written only if every script ran to its end; goals that were missed stand there like those that were met.
With SCRIPTs, their parts of the page are made anew and the others stay, which the same machine must have written.
"""

import platform
import re
import subprocess
import sys
from pathlib import Path

import torch

from locant.machine.cores import cores
from locant.machine.probe import processor

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
SCRIPTS = ("startup.py", "beside.py", "encodings.py", "training.py", "training.py --size middle --busy", "capacity.py",
           "xray.py 1")  # fmt: skip
GOAL = re.compile(r"^  (met|MISSED): (.+): ([^:]+), goal (at (?:least|most) \S+)$", re.MULTILINE)
INTRODUCTION = """# Speed

Written by `make bench`. A figure is a ratio to a named peer or to a physical limit (a copy, a matrix product, a bare
lookup), taken in the same run: every round times all candidates in rotated order, in CPU time of one thread unless said
otherwise, and the figure is the median over the rounds with its quartiles. Such ratios hold on a machine that others
use too, where seconds do not; those of what is bound by memory still move by a fifth from run to run.

"""


def output_of(script: str) -> str:
    """What a benchmark prints, shown as it comes. Raises RuntimeError if it does not end well."""
    print(f"== {script}", flush=True)
    name, *options = script.split()
    lines = []
    with subprocess.Popen([sys.executable, HERE / name, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    text = "".join(lines)
    missed = any(match[1] == "MISSED" for match in GOAL.finditer(text))
    if process.returncode != int(missed):
        raise RuntimeError(f"expected {script} to end with {int(missed)}, was: {process.returncode}")
    return text


def machine() -> str:
    """The processor, its cores, and the versions."""
    return f"{processor()}, {cores()} cores; Python {platform.python_version()}, torch {torch.__version__}"


def goals(outputs: dict[str, str]) -> list[str]:
    """A table of all goals."""
    rows = ["| goal | wanted | found | |", "|---|---|---:|---|"]
    for text in outputs.values():
        rows += [f"| {match[2]} | {match[4]} | {match[3]} | {match[1].lower()} |" for match in GOAL.finditer(text)]
    return rows


def page(outputs: dict[str, str]) -> str:
    parts = [INTRODUCTION, f"Machine: {machine()}.\n\n## Goals\n\n", "\n".join(goals(outputs)), "\n"]
    for script, text in outputs.items():
        parts.append(f"\n## `python benchmarks/{script}`\n\n```text\n{text.strip()}\n```\n")
    return "".join(parts)


def kept(text: str) -> dict[str, str]:
    """What the scripts printed, from a page. Raises ValueError if another machine wrote it."""
    if f"Machine: {machine()}.\n" not in text:
        raise ValueError(f"expected a page of this machine ({machine()}), was: another one's; run all scripts")
    return dict(re.findall(r"^## `python benchmarks/(.+?)`\n\n```text\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL))


if __name__ == "__main__":
    chosen = tuple(sys.argv[1:])
    before = kept(PAGE.read_text(encoding="utf-8")) if chosen else {}
    made = before | {script: output_of(script) for script in chosen or SCRIPTS}
    if made.keys() != set(SCRIPTS):
        raise ValueError(f"expected {', '.join(SCRIPTS)}, was: {', '.join(made)}")
    PAGE.write_text(page({script: made[script] for script in SCRIPTS}), encoding="utf-8")
    print(PAGE)
