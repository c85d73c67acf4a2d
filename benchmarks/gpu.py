"""What a GPU makes of a plan and of each encoding: python benchmarks/gpu.py [--device cuda] [--rounds N] [--length N]

Twenty-one models, seven encodings with three seeds each, train one step in three ways that take turns: one after the
other, as stacks of seeds on streams of their own, and as such stacks whose step is a CUDA graph. Then `locant bench` in
bfloat16, at a length where neither caches nor launches decide. Ends with 2 where there is no such device.

On a processor (`--device cpu`) there are no graphs and no streams: it runs there to show that it runs.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from benched import measured
from timing import at_least, at_most, show

from locant.bench.options import Options
from locant.bench.timing import Call, Clock, clock_of
from locant.bench.timing import ratios as times
from locant.lab.problems import Kept, Text
from locant.lab.resident import WARM, Resident
from locant.lab.run import Run
from locant.lab.side_by_side import Lane
from locant.lab.stack import Stack
from locant.lab.store import RunFolder
from locant.lab.train import LOG_EVERY, Training
from locant.machine import devices

ENCODINGS = ("none", "add(learned)", "add(sinusoidal)", "concat(learned)", "concat(sinusoidal)", "rotary", "alibi")
SEEDS = 3
CHUNK = LOG_EVERY  # steps that are ordered at a time, in every way


def runs(device: str) -> list[list[Run]]:
    """The models of `locant compare` by default, at a batch of 32."""
    return [[Run(encoding=encoding, problem="text", data="", seed=seed, width=64, heads=4, layers=2, hidden=256,
                 columns=16, context=64, batch=32, steps=1_000_000, learning_rate=1e-3, weight_decay=0.1,
                 eval_lengths=(), eval_tokens=1, curve_points=1, attention="dense", device=devices.kind(device),
                 stacking="stacked") for seed in range(SEEDS)] for encoding in ENCODINGS]  # fmt: skip


def lanes(device: str, text: Text, out: Path, *, recorded: bool) -> list[Lane]:
    """Every encoding's stack on its way; its first steps are made, and the graph recorded if there is to be one."""
    shared, made = Kept(text, SEEDS * CHUNK), []
    for each in runs(device):
        lane = Lane(each, torch.device(device), lambda run, done, loss: None, 0)
        with lane.here():
            lane.stack = Stack([Training(run, shared, RunFolder(out, run), device=device) for run in each], out)
            lane.resident = Resident(lane.stack)
            if not recorded:
                lane.resident.record = None
            lane.resident.order(WARM + 1)
            lane.resident.read()
        print(f"  {each[0].encoding}: {lane.resident.how if recorded else 'step by step'}")
        made.append(lane)
    return made


def together(made: list[Lane]) -> Call:
    """A chunk of steps of all stacks: ordered for each, then read from each."""

    def call() -> None:
        for lane in made:
            with lane.here():
                lane.resident.order(CHUNK)
        for lane in made:
            with lane.here():
                lane.resident.read()

    return call


def plan(device: str, rounds: int, clock: Clock) -> bool:
    """21 models, ten steps of each."""
    data = torch.randint(0, 256, (1_000_000,), dtype=torch.uint8)
    text = Text("noise", data, data)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        alone = [Training(run, text, RunFolder(out, run), device=device) for each in runs(device) for run in each]

        def one_by_one() -> None:
            for training in alone:
                for _ in range(CHUNK):
                    training.step()

        calls = {"one after the other": one_by_one}
        calls["stacks"] = together(lanes(device, text, out, recorded=False))
        calls["stacks, recorded"] = together(lanes(device, text, out, recorded=True))
        found = times(calls, "one after the other", rounds, clock)
    show({name: (each.low, each.middle, each.high) for name, each in found.items()})
    best = found["stacks, recorded"]
    kept = at_least("21 models at once, times as fast as one after the other", 1 / best.middle, 20)
    return at_most("21 models at once, milliseconds a step", 1e3 * best.seconds / CHUNK, 1) and kept


def encodings(device: str, rounds: int, length: int) -> bool:
    """`locant bench` in bfloat16."""
    rows = measured(Options(batch=8, length=length, format="bf16", device=device, rounds=rounds))
    kept = at_most("rotary: forward / copy of q and k", rows["queries and keys"]["rotary"]["forward"]["ratio"], 1.15)
    kept &= at_most("alibi: training / causal attention", rows["attention"]["alibi"]["both"]["ratio"], 1.08)
    for name in ("t5", "fire", "kerple_log", "diet_rel"):
        kept &= at_most(f"{name}: training / causal attention", rows["attention"][name]["both"]["ratio"], 1.3)
    for name in ("add(learned)", "concat(learned)"):
        kept &= at_most(f"{name}: lookup and position / lookup", rows["input"][name]["forward"]["ratio"], 1.15)
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--length", type=int, default=8192)
    asked = parser.parse_args()
    try:
        device = devices.find(asked.device)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{devices.describe(device)}, torch {torch.__version__}, {asked.rounds} rounds; ratio: median [quartiles]")
    kept = plan(asked.device, asked.rounds, clock_of(device))
    return 0 if encodings(asked.device, asked.rounds, asked.length) and kept else 1


if __name__ == "__main__":
    sys.exit(main())
