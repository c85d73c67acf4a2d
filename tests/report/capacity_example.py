"""A capacity document as the command writes it, with made-up numbers: real tables, every figure, a disagreement."""

from typing import Any

FORMATS = ("fp32", "bf16", "int4", "1bit")


def number(value: float, low: float | None = None, high: float | None = None, method: str = "formula", trials: int = 0):
    """An answered number, as JSON has it."""
    found = {
        "value": value,
        "low": value if low is None else low,
        "high": value if high is None else high,
        "method": method,
    }
    return {**found, "trials": trials} if trials else found


def example() -> dict[str, Any]:
    """A document with every section."""
    return {
        "question": {
            "sentence": "Can a sum of one vector from each of 2 tables be taken apart, in 64 numbers in bf16?",
            "width": 64, "items": [300, 40], "members": 2, "code": "gauss", "number_format": "bf16", "noise": 0.0,
            "goal": "set", "targets": [0.5, 0.99], "seed": 0, "tables": ["a <b>", "c"],
        },
        "verdict": "separable", "binding": "nothing",
        "answer": ["Yes & no: <i>mostly</i>.", "Nothing binds yet."],
        "bits": {"needed": number(13.55), "available": number(1023.6), "used": number(0.0132)},
        "ladder": [
            {"decoder": "dot product", "key": "dot", "does": "scores every vector", "source": "exact law",
             "probability": number(0.98765, 0.98764, 0.98766), "widths": [number(21), number(61)]},
            {"decoder": "message passing (AMP)", "key": "amp", "does": "weighs all", "source": "state evolution",
             "probability": None, "widths": [None, None]},
        ],
        "adding": [{"decoder": "matching pursuit (OMP)", "key": "omp", "does": "fits", "source": "a law",
                    "members": [number(14, 13, 15, "simulation", 72), None]}],
        "formats": [
            {"format": name, "values": number(2.0**bits), "bits": number(64.0 * bits), "numbers": number(index + 1),
             "random": None if name == "1bit" else number(index + 2, method="random-coding argument"),
             "noise": number(10.0 ** (index - 6), method="measured", trials=1000), "probability": number(1 - 3e-5)}
            for index, (name, bits) in enumerate(zip(FORMATS, (32, 16, 4, 1), strict=True))
        ],
        "one_number": [{"way": "digits", "what": "stacked", "sums": number(12000), "correct": number(1.0)},
                       {"way": "lattice", "what": "not tried", "sums": None, "correct": None}],
        "checks": [
            {"question": "width 21", "formula": number(0.5), "simulation": number(0.51, 0.49, 0.53, "simulation", 2000),
             "brute_force": number(0.48, 0.45, 0.52, "brute force", 800), "agree": True},
            {"question": "width 64", "formula": number(0.98), "simulation": number(0.9, 0.88, 0.92, "simulation", 2000),
             "brute_force": None, "agree": False},
        ],
        "solved": None,
        "real": _real(),
        "zip": {"text": "a <text>", "saved": 8, "bound": number(0.0078125), "rounds": [
            {"name": "lzma", "round": index, "bytes": number(size)} for index, size in enumerate((9000, 2500, 2560))]},
        "curves": _curves(),
        "notes": ["one row was left out"],
        "versions": {"locant": "0.0", "python": "3"},
    }  # fmt: skip


def _real() -> dict[str, Any]:
    shape = {key: number(value) for key, value in (
        ("items", 300), ("norm", 7.9), ("norm_spread", 0.5), ("common", 0.79), ("rank", 64), ("directions", 60),
        ("effective", 47.6))}  # fmt: skip
    return {
        "tables": [{"name": "a <b>", "stored": "bf16", **shape}, {"name": "c", "stored": "fp32", **shape}],
        "decoders": [
            {"decoder": "whitened log-likelihood", "probability": number(0.94, 0.91, 0.96, "brute force", 512)}
        ],
        "facts": [{"fact": "least distance", "number": number(0.8557, 0.0, 0.8557, "certificate and search")}],
        "rivals": [{"sum": "17 + 3", "rival": "17 + 2", "distance": number(0.856, method="measured")}],
        "gaps": [{"name": "sampled sums", "x": index, "x2": index + 1, "y": number(index)} for index in range(5)],
        "angles": [{"name": "the two tables", "x": index + 1, "y": number(index / 9)} for index in range(9)],
        "notes": [],
    }


def _curves() -> dict[str, Any]:
    widths = (1, 4, 16, 64, 256)
    ladder = [{"name": name, "x": width, "y": number(min(1.0, width / scale), method="formula")}
              for name, scale in (("dot product", 64), ("best decoder", 4)) for width in widths]  # fmt: skip
    capacity = [{"name": name, "x": width, "y": number(width * factor), "wall": factor == 3}
                for name, factor in (("dot product", 1), ("any code", 3)) for width in widths]  # fmt: skip
    scores = {"members": 5, "items": 300, "width": 64, "law": [], "bars": []}
    for name, middle in (("added", 5), ("not added", 0)):
        for step in range(-3, 4):
            height = number(0.4 / (1 + step * step), method="simulation", trials=900)
            scores["bars"].append({"name": name, "x": middle + step, "x2": middle + step + 1, "y": height})
            scores["law"].append({"name": name, "x": middle + step, "y": number(0.4 / (1 + step * step))})
    return {
        "ladder": ladder, "capacity": capacity, "scores": scores, "level": 0.5, "items": 300,
        "precision": [{"name": name, "x": width, "y": number(width / 9)} for name in FORMATS for width in (1, 2, 9)],
        "phase": [{"name": "dot product", "x": share, "y": number(share / 9)} for share in (0.1, 0.5, 1.0)],
    }  # fmt: skip
