"""Which of the measured ways is taken: a pure function of measurements and of what was forced."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

VALUES = {
    "precision": ("fp32", "bf16"),
    "attention": ("fused", "dense", "sdpa", "blocks"),
    "gemm": ("plain", "medium"),
    "allocator": ("plain", "raised"),
}
NUMERIC = ("precision", "attention", "gemm", "threads")
"""The choices that change the last digits of results."""
PLAIN = {"precision": "fp32", "attention": "fused", "gemm": "plain", "allocator": "plain"}
"""What PyTorch does when nobody interferes."""

ATTENTION_MARGIN = 1.05
GEMM_MARGIN = 1.10
ALLOCATOR_MARGIN = 1.05
WORST = 1.05  # no kind of encoding may become slower than that
FP32_ERROR = 5e-6  # relative to the largest element; bf16 has some 4e-3


@dataclass(frozen=True)
class Measured:
    """times: CPU time of a small training step by ``attention/arithmetic``, for scores without and with a bias, over
    that of ``fused/plain``; empty if nothing was timed. errors: of a product, by arithmetic, relative to its largest
    element. allocator: time with raised thresholds over time without, or None where there are none to raise. machine:
    what it was measured on. seconds: that it took.
    """

    times: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    allocator: float | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Choices:
    """What is taken, and why: ``why`` has a sentence for each choice.

    attention: ``"fused"`` where the encoding allows it, ``"dense"``; ``"sdpa"`` or ``"blocks"``, that one or nothing.
    gemm: ``"medium"`` is PyTorch's name for leave to compute float32 products another way.
    allocator: ``"raised"`` keeps freed memory.
    workers: processes of ``threads`` threads each.
    """

    precision: str
    attention: str
    gemm: str
    allocator: str
    workers: int
    threads: int
    why: Mapping[str, str]
    measured: Measured

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def decide(measured: Measured, cores: int, forced: Mapping[str, Any] | None = None) -> Choices:
    """What to take. ``forced`` names choices and their values; the others are made.

    A way that is not plain is taken only if it was measured to be faster by a margin, and precision only if asked for.
    Raises ValueError for a choice or a value that does not exist.
    """
    forced = dict(forced or {})
    _check(forced)
    why = {name: "forced" for name in forced}
    taken = {**PLAIN, **forced}
    ways = _ways(measured, forced)
    taken["attention"], taken["gemm"] = ways["attention"], ways["gemm"]
    raised = measured.allocator
    if "allocator" not in forced and raised is not None and raised <= 1 / ALLOCATOR_MARGIN:
        taken["allocator"] = "raised"
    threads = forced.get("threads", 1)
    workers = forced.get("workers", max(1, cores // threads))
    told = {
        "precision": _precision(measured, taken["attention"]),
        "attention": _attention(measured, taken),
        "gemm": _gemm(measured, taken),
        "allocator": "not measured" if raised is None else f"raised takes {raised:.2f} of the time of plain",
        "threads": "processes of one thread train more than one process of several",
        "workers": f"{cores} cores of {threads} thread{'s' if threads > 1 else ''} a process",
    }  # fmt: skip
    return Choices(**taken | {"workers": workers, "threads": threads}, why=told | why, measured=measured)


def _check(forced: Mapping[str, Any]) -> None:
    for name, value in forced.items():
        if name in ("workers", "threads"):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"expected {name} of at least 1, was: {value}")
        elif name not in VALUES:
            raise ValueError(f"expected a choice among {', '.join([*VALUES, 'workers', 'threads'])}, was: {name!r}")
        elif value not in VALUES[name]:
            raise ValueError(f"expected {name} {' or '.join(VALUES[name])}, was: {value!r}")


def _ways(measured: Measured, forced: Mapping[str, Any]) -> dict[str, str]:
    """Attention and matrix products belong together: what is fast for one may be a trap for the other."""
    if forced.get("precision") == "bf16":  # the products are no longer float32, whatever way those go
        arithmetics = {forced.get("gemm", "plain"): "bf16"}
    else:
        allowed = [forced["gemm"]] if "gemm" in forced else ["plain", *(["medium"] if _exact(measured) else [])]
        arithmetics = {gemm: gemm for gemm in allowed}
    best = {gemm: _attention_for(measured, arithmetic, forced) for gemm, arithmetic in arithmetics.items()}
    gemm = next(iter(best))
    if "medium" in best and gemm == "plain":
        plain, medium = (_times(measured, best[name], name) for name in ("plain", "medium"))
        if plain and medium and _mean(medium) <= _mean(plain) / GEMM_MARGIN and _nowhere_slower(medium, plain):
            gemm = "medium"
    return {"attention": best[gemm], "gemm": gemm}


def _exact(measured: Measured) -> bool:
    """Whether ``medium`` is as exact as float32 on this machine."""
    return measured.errors.get("medium", 1.0) <= FP32_ERROR


def _attention_for(measured: Measured, arithmetic: str, forced: Mapping[str, Any]) -> str:
    if "attention" in forced:
        return str(forced["attention"])
    fused, dense = (measured.times.get(f"{way}/{arithmetic}", {}) for way in ("fused", "dense"))
    if not fused or not dense:
        return "fused"
    faster = _mean(dense) <= _mean(fused) / ATTENTION_MARGIN
    return "dense" if faster and _nowhere_slower(dense, fused) else "fused"


def _nowhere_slower(times: Mapping[str, float], others: Mapping[str, float]) -> bool:
    return all(time <= WORST * others[kind] for kind, time in times.items())


def _times(measured: Measured, attention: str, arithmetic: str) -> Mapping[str, float]:
    return measured.times.get(f"{'dense' if attention == 'dense' else 'fused'}/{arithmetic}", {})


def _time(measured: Measured, attention: str, arithmetic: str) -> float | None:
    found = _times(measured, attention, arithmetic)
    return _mean(found) if found else None


def _mean(times: Mapping[str, float]) -> float:
    return sum(times.values()) / len(times)


def _precision(measured: Measured, attention: str) -> str:
    bf16 = [t for way in ("fused", "dense") if (t := _time(measured, way, "bf16")) is not None]
    fp32 = [t for way in ("fused", "dense") if (t := _time(measured, way, "plain")) is not None]
    if not bf16 or not fp32:
        return "not measured; bf16 only if asked for"
    return f"bf16 would take {min(bf16) / min(fp32):.2f} of the time; it changes numbers, so only if asked for"


def _attention(measured: Measured, taken: Mapping[str, Any]) -> str:
    arithmetic = "bf16" if taken["precision"] == "bf16" else taken["gemm"]
    fused, dense = _time(measured, "fused", arithmetic), _time(measured, "dense", arithmetic)
    if fused is None or dense is None:
        return measured.machine.get("left_out", "not measured")
    return f"dense takes {dense / fused:.2f} of the time of fused in a step"


def _gemm(measured: Measured, taken: Mapping[str, Any]) -> str:
    if "medium" not in measured.errors:
        return "not measured"
    plain, medium = (_time(measured, taken["attention"], name) for name in ("plain", "medium"))
    error = f"error {measured.errors['medium']:.1e}, plain {measured.errors['plain']:.1e}"
    if plain is None or medium is None:
        return error
    return f"medium takes {medium / plain:.2f} of the time of plain in a step; {error}"


def describe(choices: Choices) -> list[tuple[str, str, str]]:
    """A row per choice: its name, what is taken, and why."""
    names = (*VALUES, "workers", "threads")
    return [(name, str(getattr(choices, name)), choices.why[name]) for name in names]
