"""Start-up, memory and large reports: python benchmarks/startup.py [ROUNDS]

Processes are timed in CPU time, so that a busy machine does not count, and once they have left their bytecode, as an
installed package has it; memory is the largest sum of proportional set sizes of the command and its workers (Linux).
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from timing import at_most, run

KEEPS_BYTECODE = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def cpu(*arguments: str) -> float:
    """Seconds of CPU time of one Python process."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=KEEPS_BYTECODE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start(rounds: int) -> bool:
    """Seconds until help is there, and the import of the library over that of torch, taken in turns."""
    kept = True
    for each in (("-m", "locant", "--help"), ("-c", "import locant.encodings")):
        cpu(*each)
    for command in ((), ("compare",), ("capacity",), ("xray",)):
        taken = statistics.median(cpu("-m", "locant", *command, "--help") for _ in range(rounds))
        kept &= at_most(f"locant {' '.join(command)} --help, seconds".replace("  ", " "), taken, 0.5)
    pairs = [(cpu("-c", "import locant.encodings"), cpu("-c", "import torch")) for _ in range(rounds)]
    return (
        at_most("import locant.encodings over import torch", statistics.median(a / b for a, b in pairs), 1.05) and kept
    )


def memory(_: int) -> bool:
    """The default comparison at a hundredth of its budget: the same models, text and workers. Gigabytes."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "locant", "compare", "--budget", "2k", "--out", out]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        most = 0.0
        while process.poll() is None:
            most = max(most, sum(proportional(pid) for pid in family(process.pid)))
            time.sleep(0.05)
    return at_most("peak memory of the default comparison, GB", most / 1e6, 1.5)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def proportional(pid: int) -> float:
    """Kilobytes of memory of a process, shared pages divided among those that share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return float(next((line.split()[1] for line in lines if line.startswith("Pss:")), 0))


def report(_: int) -> bool:
    """Seconds from the results of 1,008 made-up runs (63 encodings, 8 seeds, text and a task) to page and records."""
    from locant.encodings import catalogue
    from locant.lab.compare import choose_rates
    from locant.lab.plan import make
    from locant.lab.records import export
    from locant.lab.settings import Settings
    from locant.lab.summary import summarise
    from locant.report import write

    examples = dict.fromkeys(entry.example for entry in catalogue().values())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        settings = Settings(
            encodings=tuple(examples)[:63], reference="none", task=("copy",), seeds=8, out=out
        ).checked()
        plan = make(settings)
        rates = choose_rates(plan, {})
        draw = random.Random(0)
        results = {run.id: made_up(run, draw) for run in plan.runs(rates)}
        started = time.process_time()
        document = summarise(plan, rates, results, [])
        export(out, results)
        write(document, out / "report.html")
        taken = time.process_time() - started
    return at_most(f"report over {len(results)} runs, seconds", taken, 10)


def made_up(run: Any, draw: random.Random) -> dict[str, Any]:
    """A result like those of training, with losses out of a hat."""
    value = 2 + draw.random()
    lengths = [
        {"length": length, "note": None, "value": value + draw.random(), "targets": 4096,
         "positions": list(range(length)), "by_position": [value + draw.random() for _ in range(length)]}
        for length in run.eval_lengths
    ]  # fmt: skip
    curve = [{"step": (i + 1) * run.steps // run.curve_points, "value": value} for i in range(run.curve_points)]
    metric = "bits_per_byte" if run.problem in ("prose", "code") else "accuracy"
    return {"id": run.id, "run": asdict(run), "metric": metric, "value": value, "by_length": lengths, "curve": curve,
            "parameters": 1, "attention": "sdpa", "seconds": 1.0, "tokens_per_second": 1.0,
            "torch": "made up"}  # fmt: skip


if __name__ == "__main__":
    sys.exit(run((start, memory, report), 7))
