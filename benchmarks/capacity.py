"""Sums and how fast they are taken apart, as ratios within one run: python benchmarks/capacity.py [ROUNDS]

See `timing.py` for how a ratio is taken. The goals stand beside what was found; a missed one is printed as missed, and
the exit status is 1.
"""

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from sklearn.linear_model import orthogonal_mp
from threadpoolctl import threadpool_limits
from timing import Call, at_least, ratios, run, show
from torch import Tensor

from locant.capacity.books import supports
from locant.capacity.brute import brute_force
from locant.capacity.decoders import amp, beam_search, decode, pursuit, successive, vamp
from locant.capacity.estimate import Estimate
from locant.capacity.exact import recovery_probability
from locant.capacity.simulate import law_sample
from locant.capacity.solve import members_for


def sums_of(items: int, width: int, members: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """A Gaussian table with rows of mean length 1, random sets and their sums."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(items, width, generator=generator) / width**0.5
    sets = supports(batch, items, members, generator).sort(dim=1).values
    return table, sets, table[sets].sum(1)


def share(found: Tensor, sets: Tensor) -> float:
    return (found == sets).all(1).double().mean().item()


def peer_pursuit(columns: np.ndarray, targets: np.ndarray, members: int) -> Tensor:
    amplitudes = orthogonal_mp(columns, targets, n_nonzero_coefs=members)
    return torch.from_numpy(np.sort(np.argsort(-np.abs(amplitudes), axis=0)[:members].T, axis=1))


def decoders(rounds: int) -> bool:
    """Decoders at width 256, 4096 items and 20 members, 64 sums; time over that of scikit-learn's OMP."""
    table, sets, sums = sums_of(4096, 256, 20, 64)
    columns, targets = table.T.double().numpy().copy(order="F"), sums.T.double().numpy()
    single, floats = columns.astype(np.float32, order="F"), targets.astype(np.float32)
    calls: dict[str, Callable[[], Tensor]] = {
        "scikit-learn OMP, float64": partial(peer_pursuit, columns, targets, 20),
        "scikit-learn OMP, float32": partial(peer_pursuit, single, floats, 20),
    }
    calls |= {
        "OMP": lambda: pursuit(sums, table, 20),
        "OMP, positive": lambda: pursuit(sums, table, 20, positive=True),
        "successive": lambda: successive(sums, table, 20),
        "beam of 4": lambda: beam_search(sums, table, 20, beam=4),
        "AMP": lambda: amp(sums, table, 20),
        "AMP, whitened": lambda: decode(sums, table, 20, "amp", whitened=True),
        "VAMP": lambda: vamp(sums, table, 20),
        "dot": lambda: decode(sums, table, 20, "dot"),
        "whitened": lambda: decode(sums, table, 20),
    }
    right = {name: share(call(), sets) for name, call in calls.items()}
    peer = "scikit-learn OMP, float32"  # the faster of the two
    found = ratios(calls, peer, rounds)
    for name, (low, middle, high) in found.items():
        print(f"  {name:28} {middle:7.3f}  [{low:.3f}, {high:.3f}]  sets recovered {right[name]:.3f}")
    best = min(figures[1] for name, figures in found.items() if "scikit" in name)
    better = right["AMP"] >= max(value for name, value in right.items() if "scikit" in name)
    return at_least("AMP times faster than scikit-learn's faster OMP", best / found["AMP"][1], 5, better)


def brute(rounds: int) -> bool:
    """Brute force at width 1024, 4096 items and 24 members, 1024 trials, over drawing, GEMM, topk and comparing."""
    table, _, _ = sums_of(4096, 1024, 24, 1)
    generator = torch.Generator().manual_seed(1)

    def plain() -> float:
        sets = supports(1024, 4096, 24, generator)
        found = (table[sets].sum(1) @ table.T).topk(24, dim=1).indices
        return share(found.sort(dim=1).values, sets.sort(dim=1).values)

    def sample() -> Estimate:
        return law_sample(1024, 4096, 24, 0.0, 204_800, np.random.default_rng(0))

    calls: dict[str, Call] = {
        "GEMM + topk, 1024 trials": plain,
        "brute force, 1024 trials": lambda: brute_force(table, members=24, trials=1024),
        "law sampler, 204,800 trials": sample,
    }
    found = ratios(calls, "GEMM + topk, 1024 trials", rounds)
    show(found)
    by_force = brute_force(table, members=24, trials=1024)
    print(f"  sets recovered: {plain():.3f} and {by_force.value:.3f} of this table, {sample().value:.4f} by law")
    kept = at_least("brute force, GEMM + topk times as fast", 1 / found["brute force, 1024 trials"][1], 1)
    return at_least("law sampler, times the trials", 200 / found["law sampler, 204,800 trials"][1], 100) and kept


def clean_up(rounds: int) -> bool:
    """Clean-up of 128 noisy vectors at width 1024 against 4096 items, over Torchhd's, which takes one at a time."""
    import torchhd

    generator = torch.Generator().manual_seed(0)
    table = torchhd.MAPTensor(torch.randn(4096, 1024, generator=generator).sign())
    picked = torch.randint(4096, (128,), generator=generator)
    noisy = table[picked] + 2 * torch.randn(128, 1024, generator=generator)
    rows, sums = table.as_subclass(Tensor), noisy.as_subclass(Tensor)
    calls: dict[str, Call] = {
        "Torchhd, one by one": lambda: [torchhd.cleanup(query, table) for query in noisy],
        "Torchhd, all similarities": lambda: torchhd.cosine_similarity(noisy, table).argmax(1),
        "clean-up by cosine": lambda: decode(sums, rows, 1, "cosine"),
        "clean-up by likelihood": lambda: decode(sums, rows, 1),
    }
    peer = torch.cat([torchhd.cleanup(query, table) for query in noisy[:8]]).as_subclass(Tensor)
    assert torch.equal(peer, rows[decode(sums[:8], rows, 1, "cosine")[:, 0]])
    found = ratios(calls, "Torchhd, one by one", rounds)
    show(found)
    return at_least("clean-up times faster than Torchhd's", 1 / found["clean-up by cosine"][1], 20)


def limits(_: int) -> bool:
    """50 % and 99 % limits of 9 widths up to 8192 and 5 numbers of items up to 10^6, by the exact law, once."""
    started = time.thread_time()
    cells = {}
    for width in [2**power for power in range(5, 14)]:
        for items in (10**2, 10**3, 10**4, 10**5, 10**6):
            cells[width, items] = [members_for(width, items, p, recovery_probability) for p in (0.5, 0.99)]
    taken = time.thread_time() - started
    print(f"  {len(cells)} cells in {taken:.1f} s; members at width 8192 and 10^6 items: {cells[8192, 10**6]}")
    return at_least("cells a second", len(cells) / taken, 1)


if __name__ == "__main__":
    threadpool_limits(1)  # threads of scikit-learn's BLAS would escape the clock
    sys.exit(run((decoders, brute, clean_up, limits), 9, "torch", "scikit-learn", "torch-hd"))
