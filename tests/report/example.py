"""A comparison document as a real run would leave it: plausible numbers, made up from a seed."""

import math
import random
import zlib
from typing import Any

from scipy import stats

ENCODINGS = {
    # final loss against the reference, spread of the paired difference, loss at twice and four times the length
    "none": (0.075, 0.008, (0.06, 0.16)),
    "add(learned)": (0.0, 0.0, None),
    "add(sinusoidal)": (-0.004, 0.009, (0.24, 0.55)),
    "concat(learned, width=32)": (0.019, 0.006, None),
    "beside(learned, width=64)": (-0.0005, 0.0012, None),
    "rotary": (-0.112, 0.007, (0.31, 0.72)),
    "alibi": (-0.083, 0.005, (-0.03, -0.05)),
    "add(learned) + rotary(base=5e5)": (-0.101, 0.013, None),
}
REASON = "beyond the learned table of 64 positions"
MARGIN = 0.01


def example(seeds: int = 3, encodings: dict[str, Any] | None = None, experiments: int = 2) -> dict[str, Any]:
    """A document with that many seeds and experiments; the reference is the second encoding."""
    chosen = encodings or ENCODINGS
    names = list(chosen)
    kinds = [("prose", "text"), ("induction", "task"), ("code", "text")][:experiments]
    made = [_experiment(name, kind, chosen, seeds) for name, kind in kinds]
    return {
        "reference": names[1],
        "encodings": names,
        "seeds": list(range(seeds)),
        "matched": {"by": "total", "held": "total width 64", "not_held": "token width, parameters, FLOPs"},
        "data": {
            "name": "prose",
            "description": "the docstrings of the running interpreter's standard library",
            "hash": "9b1f6c0de35a77c2481fb0b6f0a1d2c3e4f5061728394a5b6c7d8e9fa0b1c2d3",
            "bytes": 1_700_000,
            "train_bytes": 1_530_000,
            "test_bytes": 170_000,
            "python": "3.11.7",
        },
        "plan": {
            "width": 64,
            "heads": 4,
            "layers": 2,
            "context": 64,
            "batch": 32,
            "budget": "600k tokens",
            "steps": "300",
            "learning_rates": [0.002, 0.005],
            "margin": MARGIN,
            "confidence": 0.95,
        },
        "versions": {"locant": "0.1.0", "numerics": 1, "torch": "2.13.0+cpu", "platform": "Linux-x86_64"},
        "notes": ["The rank of alibi differs between 1/4 of the budget and the end."],
        "experiments": made,
        "runs": [
            {
                "id": f"{zlib.crc32(repr((experiment['name'], row['encoding'], seed)).encode()):08x}",
                "encoding": row["encoding"],
                "experiment": experiment["name"],
                "seed": seed,
                "status": "done",
                "final": value,
            }
            for experiment in made
            for row in experiment["rows"]
            for seed, value in enumerate(row["per_seed"])
        ],
        "failed": [],
    }


def _experiment(name: str, kind: str, chosen: dict[str, Any], seeds: int) -> dict[str, Any]:
    draw = random.Random(name)
    text = kind == "text"
    base = [(2.98 if text else 0.62) + draw.gauss(0, 0.02) for _ in range(seeds)]
    metric, sign = ("bits_per_byte", 1) if text else ("accuracy", -2.2)
    rows, step, position, length = [], [], [], []
    for index, (encoding, (shift, spread, longer)) in enumerate(chosen.items()):
        values = [value + sign * (shift + draw.gauss(0, spread)) for value in base]
        mean = sum(values) / seeds
        bounds, verdict, more = _judge([a - b for a, b in zip(values, base, strict=True)], sign, len(chosen) - 1)
        if index == 1:
            bounds, verdict, more = (0.0, 0.0), "reference", None
        at = [_length(64, 1, values, 0.0, sign)]
        at += [_length(64 * t, t, values, longer and longer[t // 4], sign) for t in (2, 4)]
        rows.append(
            {
                "encoding": encoding,
                metric: mean,
                "per_seed": values,
                "difference": mean - sum(base) / seeds,
                "interval": bounds,
                "verdict": verdict,
                "more_seeds": more,
                "parameters": 106_304 + 2048 * index,
                "flops_per_token": 641_000.0 + 8200 * index,
                "seconds": 5.9 + 0.37 * index,
                "tokens_per_second": 104_000.0 / (1 + 0.06 * index),
                "steps": 300,
                "tokens": 614_400,
                "width": 64,
                "token_width": 64,
                "position_width": 0,
                "hidden": 256,
                "learning_rate": 0.005,
                "by_length": at,
            }
        )
        step += _steps(encoding, mean, sign, draw)
        longest = next(item for item in reversed(at) if item["value"] is not None)
        position += _positions(encoding, mean, sign, longest["length"], longest["value"], draw)
        length += [
            {"encoding": encoding, "length": item["length"], "value": item["value"], "low": min(item["per_seed"]),
             "high": max(item["per_seed"])}
            for item in at
            if item["value"] is not None
        ]  # fmt: skip
    order = sorted(rows, key=lambda row: sign * row[metric])
    names = [row["encoding"] for row in order]
    return {
        "name": name,
        "kind": kind,
        "metric": metric,
        "better": "lower" if text else "higher",
        "chance": None if text else 0.0625,
        "description": "next byte of held-out text" if text else "repeat what followed the last time",
        "rows": rows,
        "curves": {"step": step, "position": position, "length": length},
        "ranks": [
            {"at": "1/4 of the budget", "order": [*names[1::-1], *names[2:]]},
            {"at": "1/2 of the budget", "order": names},
            {"at": "the end", "order": names},
            {"at": "learning rate 0.002", "order": [*names[:2], *reversed(names[2:4]), *names[4:]]},
        ],
    }


def _judge(differences: list[float], sign: float, comparisons: int) -> tuple[Any, str, int | None]:
    count = len(differences)
    if count == 1:
        return None, "undecided", None
    mean = sum(differences) / count
    error = math.sqrt(sum((value - mean) ** 2 for value in differences) / (count - 1) / count)
    half, near = (error * stats.t.ppf(1 - 0.05 / comparisons / tails, count - 1) for tails in (2, 1))
    if abs(mean) + near <= MARGIN:
        return (mean - half, mean + half), "equivalent", None
    if abs(mean) > half:
        return (mean - half, mean + half), "better" if mean * sign < 0 else "worse", None
    return (mean - half, mean + half), "undecided", 2 + int(error * 400)


def _length(length: int, times: int, values: list[float], shift: float | None, sign: float) -> dict[str, Any]:
    if shift is None:
        return {"length": length, "times": times, "value": None, "per_seed": [], "note": REASON}
    moved = [_possible(value + sign * shift * 0.5, sign) for value in values]
    value = sum(moved) / len(moved)
    return {"length": length, "times": times, "value": value, "per_seed": moved, "note": None}


def _possible(value: float, sign: float) -> float:
    return value if sign > 0 else min(1.0, max(0.0, value))


def _steps(encoding: str, final: float, sign: float, draw: random.Random) -> list[dict[str, Any]]:
    points = []
    for step in range(10, 301, 10):
        above = (step / 300) ** -0.45 - 1
        value = final + sign * (0.5 if sign > 0 else 0.06) * above + draw.gauss(0, 0.008)
        points.append(
            {"encoding": encoding, "step": step, "tokens": 2048 * step, "value": value, "low": value - 0.03,
             "high": value + 0.03}
        )  # fmt: skip
    return points


def _positions(
    encoding: str, mean: float, sign: float, length: int, longest: float, draw: random.Random
) -> list[dict[str, Any]]:
    points = []
    for size in dict.fromkeys((64, length)):
        for position in range(0, size, max(1, size // 64)):
            beyond = 2 * (longest - mean) * max(0.0, position - 64) / 192
            early = (2.0 if sign > 0 else 0.2) / (1 + position) ** 0.7
            value = _possible(mean - early * (sign < 0) + early * (sign > 0) + beyond + draw.gauss(0, 0.012), sign)
            points.append({"encoding": encoding, "length": size, "position": position, "value": value})
    return points
