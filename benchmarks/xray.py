"""Tables of growing size, measured from memory-mapped files: python benchmarks/xray.py [largest]

Every size is measured by itself in a process of one thread: CPU time of each group of measures, the peak of memory
that is the process's own (pages of the mapped file can be dropped at any time and are not counted), and the time of the
brute-force way, the product of all token rows with all position rows in float32, of which 1/64 is run. The ratio of
both times, in one run, is what can be compared between machines. Last, by operation counts and not measured, what
256k x 8192 against 128k positions would take. `largest` is how many of the sizes are run.
"""

import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from locant.xray.anatomy import anatomy
from locant.xray.coherence import coherence
from locant.xray.fourier import index_regression, waves
from locant.xray.moments import moments
from locant.xray.noise import noise_curve
from locant.xray.overlap import overlap, principal_overlap
from locant.xray.readers import readers
from locant.xray.separation import separation
from locant.xray.sums import loss_of_sum
from locant.xray.tables import QUICK, within_work

SIZES = ((8_192, 512, 2_048), (32_768, 1_024, 8_192), (65_536, 2_048, 16_384))  # tokens, width, positions
GOAL = 256 * 1024, 8192, 128 * 1024
SLICE = 64  # of the brute-force product, one part in so many is run
GIB = 1 << 30


def written(tokens: int, width: int, positions: int, folder: Path) -> Path:
    """Two tables in bfloat16 with the proportions of a trained BERT (all-MiniLM-L6): tokens with a falling spectrum;
    positions of 0.42 times their length, 24 slow waves with noise of a tenth of that in all columns."""
    generator = torch.Generator().manual_seed(0)
    spectrum = (1 + torch.arange(width) / 16) ** -0.5
    parts = [torch.randn(min(4096, tokens - i), width, generator=generator) * spectrum for i in range(0, tokens, 4096)]
    w = torch.cat([part.bfloat16() for part in parts])
    length = 0.42 * float(spectrum.norm())
    rates = torch.logspace(math.log10(2 * math.pi / positions), math.log10(0.6), 12)
    angles = torch.arange(positions)[:, None] * rates
    directions = torch.linalg.qr(torch.randn(width, 24, generator=generator))[0]
    smooth = torch.cat([angles.sin(), angles.cos()], dim=1) @ directions.T / 12**0.5
    noise = 0.1 * torch.randn(positions, width, generator=generator) / width**0.5
    save_file({"w": w, "p": (length * (smooth + noise)).bfloat16()}, folder / "tables.safetensors")
    return folder / "tables.safetensors"


class Peak:
    """The peak of a process's own memory while it is watched, by looking every 5 ms."""

    def __init__(self) -> None:
        self.highest, self.done = 0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self) -> None:
        while not self.done.wait(0.005):
            self.highest = max(self.highest, own())

    def stop(self) -> int:
        self.done.set()
        self.thread.join()
        return self.highest


def own() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("expected RssAnon in /proc/self/status, was: none")


def measured(path: Path) -> None:
    """Measures one file and prints a line for each group."""
    torch.set_num_threads(1)
    with safe_open(path, "pt") as file:
        w, p = file.get_tensor("w"), file.get_tensor("p")
    (tokens, width), positions = w.shape, len(p)
    before, peak = own(), Peak()
    seconds: dict[str, float] = {}

    def timed(name: str, call: Callable[[], object]) -> object:
        started = time.process_time()
        found = call()
        seconds[name] = time.process_time() - started
        print(f"    {name:44}{seconds[name]:8.2f} s", flush=True)
        return found

    samples = within_work(QUICK, w, p)
    of_w = timed("covariances of tokens", lambda: moments(w))
    of_p = timed("covariances of positions", lambda: moments(p))
    timed("overlap, principal angles (M2)", lambda: (overlap(of_w, of_p), principal_overlap(of_w, of_p)))
    timed("linear recovery against chance (M3a)", lambda: loss_of_sum(of_w, of_p))
    timed("coherence (M2)", lambda: coherence(w, p, of_w, of_p, pairs=samples.coherence,
                                              limit=2 * samples.work // width))  # fmt: skip
    apart = timed("certified separation, kappa (M3b)", lambda: separation(w, p, of_w, of_p, work=2 * samples.work))
    timed("readers, exact nearest pairs (M3c)", lambda: readers(w, p, samples=samples.positions,
                                                                token_samples=samples.tokens, pairs=samples.pairs,
                                                                of_tokens=of_w, of_positions=of_p))  # fmt: skip
    step = apart["separation_position"].value
    timed("noise, cost of summing (M3d)", lambda: noise_curve(w, p, step, pairs=samples.noisy, of_positions=of_p))
    timed("anatomy (M11)", lambda: (anatomy(p, of_p), waves(p, of_p), index_regression(p)))
    highest = peak.stop() - before
    whole, brute = sum(seconds.values()), brute_force(w, p)
    kappa = apart["kappa"]
    ends = kappa.note if kappa.interval is None else "certainly in [{:.4g}, {:.4g}]".format(*kappa.interval)
    print(f"    kappa {kappa.value}, {ends}")
    print(f"  all of it {whole:.1f} s; product of all pairs {brute:.1f} s (1/{SLICE} of it run); ratio "
          f"{whole / brute:.2f}")  # fmt: skip
    print(f"  own memory at most {highest / GIB:.2f} GiB, {highest / (8 * width**2):.1f} matrices of width x width; "
          f"tables {2 * (tokens + positions) * width / GIB:.2f} GiB on disk, all pairs "
          f"{4 * tokens * positions / GIB:.1f} GiB")  # fmt: skip
    extrapolated(tokens, width, positions, seconds, brute)


def brute_force(w: Tensor, p: Tensor) -> float:
    """Seconds of W P' in float32, from one part in 64 of its rows."""
    rows, candidates = w[: len(w) // SLICE].float(), p.float()
    started = time.process_time()
    for block in rows.split(256):
        (block @ candidates.T).amax()
    return SLICE * (time.process_time() - started)


def extrapolated(tokens: int, width: int, positions: int, seconds: dict[str, float], brute: float) -> None:
    """The goal by operation counts: covariances by rows x width^2, recovery by width^3, separation by pairs of rows,
    all else, whose work is bounded, by one pass over the rows, and the product by all three numbers."""
    many, wide, far = GOAL
    rows = (many + far) / (tokens + positions)
    by = {"covariances": rows * (wide / width) ** 2, "overlap,": (wide / width) ** 3, "linear": (wide / width) ** 3,
          "certified": rows**2}  # fmt: skip
    total = sum(each * by.get(name.split()[0], rows * wide / width) for name, each in seconds.items())
    product = brute * many * wide * far / (tokens * width * positions)
    print(f"  by operation counts, not measured: {many} x {wide} against {far} in {total / 3600:.2f} h on one thread; "
          f"the product alone {product / 3600:.2f} h, {4 * many * far / GIB:.0f} GiB")  # fmt: skip


def main() -> int:
    if len(sys.argv) > 1 and Path(sys.argv[1]).is_file():
        measured(Path(sys.argv[1]))
        return 0
    for tokens, width, positions in SIZES[: int(sys.argv[1]) if len(sys.argv) > 1 else len(SIZES)]:
        print(f"{tokens} x {width} against {positions} positions", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            path = written(tokens, width, positions, Path(folder))
            subprocess.run([sys.executable, __file__, str(path)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
