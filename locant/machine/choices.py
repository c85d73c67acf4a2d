"""Which of the measured ways is taken: a pure function of measurements and of what was forced."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

VALUES = {
    "precision": ("fp32", "bf16"),
    "attention": ("fused", "dense", "sdpa", "blocks"),
    "gemm": ("plain", "medium"),
    "allocator": ("plain", "raised"),
    "kernels": ("torch", "native"),
}
NUMERIC = ("precision", "attention", "gemm", "kernels", "threads")
"""The choices that change the last digits of results."""
PLAIN = {"precision": "fp32", "attention": "fused", "gemm": "plain", "allocator": "plain", "kernels": "torch"}
"""What PyTorch does when nobody interferes."""

ATTENTION_MARGIN = 1.05
GEMM_MARGIN = 1.05
ALLOCATOR_MARGIN = 1.05
WORST = 1.05  # no kind of encoding may become slower than that
NATIVE_MARGIN = 1.03  # kernels that save time in decoding and evaluation, too, are taken up to there
FP32_ERROR = 5e-6  # relative to the largest element; bf16 has some 4e-3


@dataclass(frozen=True)
class Measured:
    """What was measured, each as a time over that of what PyTorch does by itself.

    times: CPU time of a small training step by ``attention/precision``, for scores without and with a bias; empty if
    nothing was timed. medium: of a projection's products where ``medium`` is allowed, with as many tokens as a step
    has; None if not timed. errors: of a product, by arithmetic, relative to its largest element. allocator: with
    raised thresholds, or None where there are none to raise. native: of a step with compiled kernels; None if there are
    none. machine: what it was measured on. seconds: that it took.
    """

    times: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    medium: float | None = None
    errors: Mapping[str, float] = field(default_factory=dict)
    allocator: float | None = None
    native: float | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Choices:
    """What is taken, and why: ``why`` has a sentence for each choice.

    attention: ``"fused"`` where the encoding allows it, ``"dense"``; ``"sdpa"`` or ``"blocks"``, that one or nothing.
    gemm: ``"medium"`` is PyTorch's name for leave to compute float32 products another way.
    allocator: ``"raised"`` keeps freed memory. kernels: ``"native"`` are compiled here (``encodings.native``).
    workers: processes of ``threads`` threads each.
    """

    precision: str
    attention: str
    gemm: str
    allocator: str
    kernels: str
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
    if "attention" not in forced:
        taken["attention"] = _faster_attention(measured, taken["precision"])
    if "gemm" not in forced and taken["precision"] == "fp32" and _medium_pays(measured):
        taken["gemm"] = "medium"
    raised = measured.allocator
    if "allocator" not in forced and raised is not None and raised <= 1 / ALLOCATOR_MARGIN:
        taken["allocator"] = "raised"
    if "kernels" not in forced and use_native(measured.native):
        taken["kernels"] = "native"
    threads = forced.get("threads", 1)
    workers = forced.get("workers", max(1, cores // threads))
    told = {
        "precision": _precision(measured),
        "attention": _attention(measured, taken["precision"]),
        "gemm": _gemm(measured),
        "allocator": "not measured" if raised is None else f"raised takes {raised:.2f} of the time of plain",
        "kernels": _kernels(measured),
        "threads": "processes of one thread train more than one process of several",
        "workers": f"{cores} cores of {threads} thread{'s' if threads > 1 else ''} a process",
    }  # fmt: skip
    return Choices(**taken | {"workers": workers, "threads": threads}, why=told | why, measured=measured)


def use_native(ratio: float | None) -> bool:
    """Whether compiled kernels are taken where a training step with them takes ``ratio`` of the time."""
    return ratio is not None and ratio < NATIVE_MARGIN


def _check(forced: Mapping[str, Any]) -> None:
    for name, value in forced.items():
        if name in ("workers", "threads"):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"expected {name} of at least 1, was: {value}")
        elif name not in VALUES:
            raise ValueError(f"expected a choice among {', '.join([*VALUES, 'workers', 'threads'])}, was: {name!r}")
        elif value not in VALUES[name]:
            raise ValueError(f"expected {name} {' or '.join(VALUES[name])}, was: {value!r}")


def _medium_pays(measured: Measured) -> bool:
    """Fused attention multiplies plainly in any case, so it is the products of projections that decide."""
    exact = measured.errors.get("medium", 1.0) <= FP32_ERROR
    return exact and measured.medium is not None and measured.medium <= 1 / GEMM_MARGIN


def _faster_attention(measured: Measured, precision: str) -> str:
    fused, dense = (_times(measured, way, precision) for way in ("fused", "dense"))
    if not fused or not dense:
        return "fused"
    nowhere_slower = all(time <= WORST * fused[kind] for kind, time in dense.items())
    return "dense" if nowhere_slower and _mean(dense) <= _mean(fused) / ATTENTION_MARGIN else "fused"


def _times(measured: Measured, attention: str, precision: str) -> Mapping[str, float]:
    return measured.times.get(f"{attention}/{precision}", {})


def _mean(times: Mapping[str, float]) -> float:
    return sum(times.values()) / len(times)


def _precision(measured: Measured) -> str:
    both = [[_mean(t) for way in ("fused", "dense") if (t := _times(measured, way, precision))]
            for precision in ("bf16", "fp32")]  # fmt: skip
    if not all(both):
        return "not measured; bf16 only if asked for"
    ratio = min(both[0]) / min(both[1])
    return f"bf16 would take {ratio:.2f} of the time; it changes numbers, so only if asked for"


def _attention(measured: Measured, precision: str) -> str:
    fused, dense = (_times(measured, way, precision) for way in ("fused", "dense"))
    if not fused or not dense:
        return measured.machine.get("left_out", "not measured")
    return f"dense takes {_mean(dense) / _mean(fused):.2f} of the time of fused in a step"


def _gemm(measured: Measured) -> str:
    if "medium" not in measured.errors:
        return "not measured"
    error = f"error {measured.errors['medium']:.1e}, plain {measured.errors['plain']:.1e}"
    if measured.medium is None:
        return error
    return f"medium takes {measured.medium:.2f} of the time of plain in projections; {error}"


def _kernels(measured: Measured) -> str:
    if measured.native is None:
        return measured.machine.get("kernels", "not measured")
    return f"native takes {measured.native:.2f} of the time of torch in a step"


def describe(choices: Choices) -> list[tuple[str, str, str]]:
    """A row per choice: its name, what is taken, and why."""
    names = (*VALUES, "workers", "threads")
    return [(name, str(getattr(choices, name)), choices.why[name]) for name in names]
