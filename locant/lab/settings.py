"""What a comparison is asked for: the options of ``locant compare``, with their presets."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

DEFAULT_ENCODINGS = (
    "none",
    "add(learned)",
    "add(sinusoidal)",
    "concat(learned)",
    "concat(sinusoidal)",
    "beside(learned)",
    "rotary",
    "alibi",
)


@dataclass(frozen=True)
class Settings:
    """Trains the same small transformer under several positional encodings and says which is better, and how surely.

    Running the same command again continues: only what is missing from --out is trained.
    """

    encodings: tuple[str, ...] = DEFAULT_ENCODINGS
    """Expressions such as 'add(learned)' or 'add(learned) + rotary(base=5e5)'; `locant encodings` lists the names."""
    reference: str | None = None
    """The encoding that all are compared with, named before any result is seen. Default: add(learned), or the first."""
    data: str = "prose"
    """Text: prose, code (both from the running Python), a file, a folder, hf:NAME, or none."""
    task: tuple[str, ...] = ("what_at_index",)
    """Synthetic tasks: copy, reverse, recall, induction, sort, parity, shift, what_at_index; or none."""
    budget: str = "160k"
    """What each training may spend: 200k or 5M (tokens), 60s, or 1e12flops."""
    seeds: int = 3
    """Trainings per encoding, with seeds 0, 1, ... that all encodings share."""
    width: int = 64
    """Columns of the model; --match says whether position columns are among them."""
    heads: int = 4
    """Attention heads."""
    layers: int = 2
    """Blocks of attention and MLP."""
    context: int = 64
    """Tokens per training window."""
    batch: int = 8
    """Windows per step."""
    columns: int | None = None
    """Position columns of concat and beside, where the expression does not say. Default: a quarter of the width."""
    match: Literal["total", "token", "parameters", "flops"] = "total"
    """What is held equal over the encodings: total width, token width, parameters or FLOPs."""
    eval_lengths: tuple[int, ...] = ()
    """Window lengths to test on; the context is always among them. Default: 1, 2 and 4 times the context."""
    eval_tokens: int = 16384
    """Test targets per length."""
    learning_rates: tuple[float, ...] = (0.01,)
    """Peak learning rates. Of several, each encoding takes the one that is best on seeds and text set apart."""
    weight_decay: float = 0.1
    """AdamW's decay of matrices."""
    margin: float = 0.01
    """Smaller differences are equivalent: a share of the reference's bits per byte; for accuracies, as it is."""
    curve_points: int = 8
    """Times at which the test value is measured during training."""
    snapshots: int = 1
    """How often each run keeps its weights for `locant xray`: 0 never, 1 at the end, more: also on the way."""
    attention: Literal["auto", "fused", "dense", "sdpa", "blocks"] = "auto"
    """How attention is computed. fused: where the encoding allows it; auto: fused, or dense where that was measured to
    be faster. This and the next four are kept for a folder of results once it has been begun."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of matrix products. auto: fp32; `locant bench --probe` says whether bf16 would pay."""
    gemm: Literal["auto", "plain", "medium"] = "auto"
    """How fp32 products are computed. auto: medium where that was measured to be faster and as exact."""
    kernels: Literal["auto", "native", "torch"] = "auto"
    """What computes rotations and attention. native: compiled here. auto: native unless it is slower."""
    threads: int = 0
    """Of each process that trains. Default: one."""
    stack: Literal["auto", "yes", "no"] = "auto"
    """Trains the seeds of an encoding as one program with dense attention; those that cannot be train alone. auto: not
    on a processor; elsewhere unless the scores of a layer are too large to be written out."""
    allocator: Literal["auto", "plain", "raised"] = "auto"
    """Whether processes keep the memory that they free: raised. auto: where that was measured to be faster."""
    device: str = "cpu"
    """Where models are trained: cpu, cuda, cuda:1. What a folder was begun on is kept like the choices above."""
    builders: Path | None = None
    """A Python file with encodings of your own: functions `name(shape, *, option=...)`."""
    workers: int = 0
    """Processes that train. Default: the number of cores, divided by --threads."""
    out: Path = Path("results")
    """Folder of the results: report.html, comparison.json, records.parquet, and a folder per run."""

    def checked(self) -> "Settings":
        """The settings in their one spelling, with defaults filled in.

        Raises ValueError for numbers out of range, encodings named twice, or a reference that is not compared.
        """
        for name in ("seeds", "width", "heads", "layers", "context", "batch", "eval_tokens", "curve_points"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected --{name.replace('_', '-')} of at least 1, was: {getattr(self, name)}")
        for name in ("workers", "threads", "margin", "weight_decay", "snapshots"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"expected --{name.replace('_', '-')} of at least 0, was: {getattr(self, name)}")
        if self.columns is not None and self.columns < 1:
            raise ValueError(f"expected --columns of at least 1, was: {self.columns}")
        if not self.learning_rates or any(not 0 < rate < 10 for rate in self.learning_rates):
            raise ValueError(f"expected learning rates between 0 and 10, was: {list(self.learning_rates)}")
        if len(set(self.learning_rates)) < len(self.learning_rates):
            raise ValueError(f"expected every learning rate once, was: {list(self.learning_rates)}")
        from locant.encodings.expression import canonical  # here, as it takes torch with it

        if any(length < 1 for length in self.eval_lengths):
            raise ValueError(f"expected evaluated lengths of at least 1, was: {list(self.eval_lengths)}")
        encodings = tuple(canonical(encoding) for encoding in self.encodings)
        twice = [encoding for encoding in encodings if encodings.count(encoding) > 1]
        if not encodings or twice:
            raise ValueError(f"expected every encoding once, was: {twice[0] + ' twice' if twice else 'none at all'}")
        if "none" in self.task and len(self.task) > 1:
            raise ValueError(f"expected tasks, or none alone, was: {list(self.task)}")
        tasks = tuple(name for name in self.task if name != "none")
        if self.data == "none" and not tasks:
            raise ValueError("expected a text or a task to train on, was: --data none --task none")
        if len(set(tasks)) < len(tasks):
            raise ValueError(f"expected every task once, was: {list(tasks)}")
        lengths = self.eval_lengths or (self.context, 2 * self.context, 4 * self.context)
        return replace(self, encodings=encodings, reference=self._reference(encodings), task=tasks,
                       eval_lengths=tuple(sorted(set(lengths) | {self.context})))  # fmt: skip

    def _reference(self, encodings: tuple[str, ...]) -> str:
        from locant.encodings.expression import canonical

        if self.reference is None:
            return "add(learned)" if "add(learned)" in encodings else encodings[0]
        reference = canonical(self.reference)
        if reference not in encodings:
            raise ValueError(f"expected a reference among {', '.join(encodings)}, was: {reference}")
        return reference


PRESETS = {
    "quick": Settings(),
    "serious": Settings(
        budget="1.2M", seeds=5, learning_rates=(0.004, 0.008, 0.016), eval_tokens=32768, curve_points=12,
        out=Path("results-serious")
    ),
}  # fmt: skip
"""quick: one to two minutes on two cores. serious: 10 to 30 minutes, with the learning rate chosen per encoding."""
