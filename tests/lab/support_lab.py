"""Small comparisons that train within a second, in this process unless a test is about processes."""

import json
import random
from dataclasses import replace
from pathlib import Path

import torch

from locant.lab.jobs import perform
from locant.lab.problems import Synthetic, Text, task
from locant.lab.run import Run
from locant.lab.settings import Settings
from locant.machine.choices import PLAIN  # forced, so that a test gives the same numbers on every machine

SMALL = {"width": 16, "heads": 2, "layers": 1, "context": 16, "batch": 4, "eval_tokens": 256, "curve_points": 4}
TIMINGS = ("seconds", "tokens_per_second")


def words(size: int = 12_000, seed: int = 0) -> str:
    """Text with something to learn: a few made-up words over and over."""
    draw = random.Random(seed)
    lexicon = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 7))) for _ in range(40)]
    return " ".join(draw.choices(lexicon, k=size // 4))[:size]


def text_file(folder: Path) -> Path:
    path = folder / "words.txt"
    path.write_text(words())
    return path


def settings(folder: Path, **changes) -> Settings:
    """A comparison on a small text and a small task, into ``folder / "out"``."""
    made = Settings(
        encodings=("none", "add(learned)", "rotary"), data=str(text_file(folder)), task=("copy",), budget="1k",
        seeds=2, out=folder / "out", workers=1, **SMALL, **PLAIN
    )  # fmt: skip
    return replace(made, **changes)


def in_process(jobs, workers, listen) -> None:
    """Stands in for ``execute``: the same jobs, one after the other, without other processes."""
    for job in jobs:
        listen(perform(job, listen))


def text(size: int = 12_000) -> Text:
    data = torch.tensor(list(words(size).encode()), dtype=torch.uint8)
    return Text("words", data[: size * 9 // 10], data[size * 9 // 10 :])


def a_task(name: str = "copy", context: int = 16) -> Synthetic:
    return Synthetic(task(name, context))


def a_run(encoding: str = "add(learned)", **changes) -> Run:
    made = Run(
        encoding=encoding, problem="words", data="hash", seed=0, width=16, heads=2, layers=1, hidden=32, columns=4,
        context=16, batch=4, steps=12, learning_rate=0.01, weight_decay=0.1, eval_lengths=(16, 32), eval_tokens=256,
        curve_points=4
    )  # fmt: skip
    return replace(made, **changes)


def timeless(value):
    """A document or a result without its timings."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMINGS}
    return [timeless(item) for item in value] if isinstance(value, list | tuple) else value


def plain(value):
    """As it comes back from a file."""
    return json.loads(json.dumps(value))
