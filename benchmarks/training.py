"""Tokens per second of a whole machine: python benchmarks/training.py [--size small|middle|large] [--rounds N] [--busy]

A plan of ours is one process of one thread per core. A peer is one process, with one thread and with as many as there
are cores; the better of the two is its best. All candidates take turns within every round, in rotated order and on the
wall clock; a figure is the median over the rounds, a ratio the median of the ratios within a round, with quartiles.
The products of large matrices in the same rounds are the physical limit. Foreign load disturbs: look at the quartiles.

--cpu: one thread each, in CPU time, which holds on a machine that others use; says nothing of processes and threads.
--busy: one more process keeps a core busy in every second turn; what remains of one thread of a quiet machine?
"""

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from timing import at_least
from training_models import PEERS, SIZES, Size, our_step, peer_step, product_step

from locant.machine.choices import FP32_ERROR
from locant.machine.steps import product_errors

ENCODINGS = ("rotary", "add(learned)")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Candidate:
    """kind: ``"ours"``, ``"peer"`` or ``"products"``; processes of so many threads each."""

    kind: str
    name: str
    precision: str
    processes: int
    threads: int

    @property
    def label(self) -> str:
        return f"{self.name}, {self.precision}, {self.processes}x{self.threads}"


@dataclass
class Member:
    process: BaseProcess
    pipe: Connection


def serve(pipe: Connection, size: Size) -> None:
    """What a process does: make the step of each candidate that it is told of, and run one for some seconds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    made: dict[Candidate, tuple[Callable[[], object], float]] = {}
    while True:
        try:
            candidate, seconds, cpu = pipe.recv()
        except EOFError:
            return
        torch.set_num_threads(candidate.threads)
        if candidate not in made:
            step, amount, told = prepare(candidate, size)
            made[candidate] = step, amount
            step()
            pipe.send(told)
            continue
        step, amount = made[candidate]
        clock = time.process_time if cpu else time.perf_counter
        done, began = 0, clock()
        while done == 0 or clock() - began < seconds:
            step()
            done += 1
        pipe.send(done * amount / (clock() - began))


def prepare(candidate: Candidate, size: Size) -> tuple[Callable[[], object], float, dict[str, str]]:
    """A candidate's step, what one does in tokens or FLOPs, and the choices that were made for it."""
    if candidate.kind == "ours":
        step, told = our_step(candidate.name, size, candidate.precision)
        return step, float(size.tokens), told
    if candidate.kind == "peer":
        return peer_step(candidate.name, size, candidate.precision), float(size.tokens), {}
    return *product_step(candidate.precision), {}


class Pool:
    """Our processes, one per core, and the peers' process, which our allocator has no part in."""

    def __init__(self, size: Size, cpu: bool = False) -> None:
        self.cpu = cpu
        self.ours = [_start(size, 1) for _ in range(CORES)]
        self.peers = [_start(size, CORES)]

    def members(self, candidate: Candidate) -> list[Member]:
        return (self.peers if candidate.kind == "peer" else self.ours)[: candidate.processes]

    def prepare(self, candidate: Candidate) -> dict[str, str]:
        told: dict[str, str] = {}
        for member in self.members(candidate):
            member.pipe.send((candidate, 0.0, self.cpu))
            told = member.pipe.recv()  # one after the other, so that the probe of the first is in the next one's cache
        return told

    def turn(self, candidate: Candidate, seconds: float) -> float:
        """Tokens or FLOPs per second of all processes of a candidate at once."""
        members = self.members(candidate)
        for member in members:
            member.pipe.send((candidate, seconds, self.cpu))
        return float(sum(member.pipe.recv() for member in members))

    def close(self) -> None:
        for member in [*self.ours, *self.peers]:
            member.pipe.close()
            member.process.join(5)


def _start(size: Size, threads: int) -> Member:
    context = multiprocessing.get_context("spawn")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, size), daemon=True)
    process.start()
    theirs.close()
    return Member(process, ours)


def candidates(bf16: bool, cpu: bool) -> list[Candidate]:
    """Everything that takes a turn. cpu: in one process of one thread only."""
    precisions = ("fp32", "bf16") if bf16 else ("fp32",)
    processes = 1 if cpu else CORES
    found = [Candidate("ours", each, precision, processes, 1) for precision in precisions for each in ENCODINGS]
    for threads in sorted({1, processes}):
        found += [Candidate("peer", name, "fp32", 1, threads) for name in PEERS]
    if bf16:
        found.append(Candidate("peer", "plain GPT", "bf16", 1, processes))
    products = ("plain", "medium", "bf16") if bf16 else ("plain", "medium")
    return found + [Candidate("products", "products", gemm, processes, 1) for gemm in products]


def speeds(size: Size, rounds: int, seconds: float, tried: Sequence[Candidate],
           cpu: bool) -> dict[Candidate, list[float]]:  # fmt: skip
    """Tokens (of products: FLOPs) per second of every candidate in every round."""
    pool = Pool(size, cpu)
    found: dict[Candidate, list[float]] = {candidate: [] for candidate in tried}
    for candidate in tried:
        if told := pool.prepare(candidate):
            print(f"  {candidate.label}: {', '.join(f'{key} {value}' for key, value in told.items())}")
    for index in range(rounds):
        first = index % len(tried)
        for candidate in [*tried[first:], *tried[:first]]:
            found[candidate].append(pool.turn(candidate, seconds))
    pool.close()
    return found


def against(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Quartiles of the ratios within the rounds."""
    ratios = [a / b for a, b in zip(one, other, strict=True)]
    return statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3


def arithmetic(precision: str) -> tuple[str, ...]:
    """The products that are the limit of a precision: PyTorch's `medium` is one of float32 where it is as exact."""
    if precision == "bf16":
        return ("bf16",)
    exact = product_errors()["medium"] <= FP32_ERROR
    return ("plain", "medium") if exact else ("plain",)


def report(size: Size, found: dict[Candidate, list[float]]) -> dict[str, Any]:
    middle = {candidate: statistics.median(values) for candidate, values in found.items()}
    peers = [c for c in found if c.kind == "peer" and c.precision == "fp32"]
    best = max(peers, key=lambda candidate: middle[candidate])
    limits = [c for c in found if c.kind == "products"]
    rows = []
    print(f"  the fastest peer in fp32: {best.label}, {middle[best]:,.0f} tokens/s")
    for candidate in found:
        if candidate.kind == "products":
            print(f"  {candidate.label:34} {middle[candidate] / 1e9:9.0f} GFLOP/s")
            continue
        low, mid, high = against(found[candidate], found[best])
        alike = [c for c in limits if c.precision in arithmetic(candidate.precision)]
        limit = max(alike, key=lambda c: middle[c])
        share = statistics.median(against([v * size.flops for v in found[candidate]], found[limit]))
        rows.append({"candidate": candidate.label, "tokens_per_second": middle[candidate], "ratio": [low, mid, high],
                     "share_of_products": share})  # fmt: skip
        words = f"{middle[candidate]:9,.0f} tokens/s  {mid:5.2f} [{low:.2f}, {high:.2f}]"
        print(f"  {candidate.label:34} {words}  {share:4.0%} of the speed of products")
    return {"fastest": best.label, "rows": rows, "products": {c.precision: middle[c] for c in limits}}


def burn() -> None:
    while True:
        pass


def neighbour(size: Size, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Throughput beside a busy process, over that of one thread of ours with nobody beside it."""
    tried = [Candidate("ours", "rotary", "fp32", CORES, 1), Candidate("peer", "plain GPT", "fp32", 1, CORES),
             Candidate("peer", "x-transformers rotary", "fp32", 1, CORES)]  # fmt: skip
    quiet = Candidate("ours", "rotary", "fp32", 1, 1)
    pool = Pool(size)
    for candidate in [*tried, quiet]:
        pool.prepare(candidate)
    process = multiprocessing.get_context("spawn").Process(target=burn, daemon=True)
    process.start()
    assert process.pid is not None
    ratios: dict[str, list[float]] = {candidate.label: [] for candidate in tried}
    for _ in range(rounds):
        os.kill(process.pid, signal.SIGSTOP)
        alone = pool.turn(quiet, seconds)
        os.kill(process.pid, signal.SIGCONT)
        for candidate in tried:
            ratios[candidate.label].append(pool.turn(candidate, seconds) / alone)
    process.kill()
    pool.close()
    found = {label: statistics.quantiles(values, n=4) for label, values in ratios.items()}
    for label, (low, mid, high) in found.items():
        print(f"  {label:34} {mid:5.2f} [{low:.2f}, {high:.2f}] of one thread of ours on the quiet machine")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[*SIZES, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a turn; at least one step is made")
    parser.add_argument("--busy", action="store_true", help="a busy process beside, instead of the peers")
    parser.add_argument("--no-bf16", action="store_true")
    parser.add_argument("--cpu", action="store_true", help="one thread each, in CPU time")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    asked = parser.parse_args()
    if asked.rounds < 2 or asked.seconds <= 0:
        parser.error(f"expected at least 2 rounds and some seconds, was: {asked.rounds} and {asked.seconds}")
    document: dict[str, Any] = {}
    kept = True
    for name in SIZES if asked.size == "all" else [asked.size]:
        size = SIZES[name]
        print(f"{name}: {size.layers} layers, width {size.width}, context {size.context}, batch {size.batch}; "
              f"{asked.rounds} rounds of {asked.seconds} s, {CORES} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
        if asked.busy:
            document[name] = neighbour(size, asked.rounds, asked.seconds)
            kept &= at_least(
                f"{name}: two processes beside a busy one, times one thread", ours(document[name])[0], 1.25
            )
            continue
        tried = candidates(not asked.no_bf16, asked.cpu)
        document[name] = report(size, speeds(size, asked.rounds, asked.seconds, tried, asked.cpu))
        if not asked.cpu:
            kept &= goals(name, document[name]["rows"])
    if asked.json:
        print(json.dumps(document))
    return 0 if kept else 1


def ours(found: dict[str, list[float]]) -> list[float]:
    """The medians of what is ours: their names are encodings, followed by precision and processes."""
    return [middle for label, (_, middle, _) in found.items() if label.split(", ")[0] in ENCODINGS]


def goals(name: str, rows: list[dict[str, Any]]) -> bool:
    """What a plan's throughput is to reach against the fastest peer, in float32, and against the products."""
    mine = {row["candidate"]: row for row in rows if row["candidate"].split(", ")[0] in ENCODINGS}
    kept = True
    for precision, least in (("fp32", 1.75), ("bf16", 2.4)):
        these = [row for label, row in mine.items() if f", {precision}, " in label]
        if not these:
            continue
        most = max(row["ratio"][1] for row in these)
        kept &= at_least(f"{name}, {precision}: a plan's tokens/s over the fastest peer's in fp32", most, least)
        if name == "large" and precision == "fp32":
            share = max(row["share_of_products"] for row in these)
            kept &= at_least(f"{name}, {precision}: share of the speed of products", share, 0.55)
    return kept


if __name__ == "__main__":
    sys.exit(main())
