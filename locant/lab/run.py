"""One training, named by everything that decides its result."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

NUMERICS = 4
"""Raised, with a line in the changelog, whenever the same run would give another number."""


LATER: dict[str, Any] = {"precision": "fp32", "gemm": "plain", "threads": 1, "stacking": "alone",
                         "kernels": "torch", "device": "cpu"}  # fmt: skip
"""Fields that the first version of ``Run`` did not have, and what it did."""


@dataclass(frozen=True)
class Run:
    """Everything that decides a result. Equal ``id``, equal experiment, bit for bit on the same processor.

    encoding: a canonical expression. problem: ``"text"`` or a task's name, and ``data`` the hash of the text or the
    task with its options. width: of the residual stream; columns: of position, where the expression leaves it open.
    part: ``"test"``, or ``"dev"`` for runs that choose a learning rate. attention, precision, gemm, threads: the
    arithmetic, whose last digits differ. stacking: ``"alone"``, or ``"stacked"`` with the other seeds in one program.
    kernels: ``"torch"``, or ``"native"`` for those that are compiled here. device: the kind of device that computes,
    ``"cpu"`` or ``"cuda"``; only the first gives the same bits again, as a GPU adds in whatever order comes.
    """

    encoding: str
    problem: str
    data: str
    seed: int
    width: int
    heads: int
    layers: int
    hidden: int
    columns: int
    context: int
    batch: int
    steps: int
    learning_rate: float
    weight_decay: float
    eval_lengths: tuple[int, ...]
    eval_tokens: int
    curve_points: int
    part: str = "test"
    attention: str = "auto"
    builders: str = ""
    precision: str = "fp32"
    gemm: str = "plain"
    threads: int = 1
    stacking: str = "alone"
    kernels: str = "torch"
    device: str = "cpu"

    @property
    def id(self) -> str:
        """Hash of the canonical JSON of the run and the numerics version.

        Fields that came later are left out at their plain value, so that runs of before keep their names.
        """
        named = {name: value for name, value in asdict(self).items() if LATER.get(name) != value}
        return hashlib.sha256(canonical_json({"numerics": NUMERICS, **named}).encode()).hexdigest()[:20]

    @property
    def tokens(self) -> int:
        return self.steps * self.batch * self.context

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Run":
        return cls(**{**fields, "eval_lengths": tuple(fields["eval_lengths"])})


def canonical_json(value: Any) -> str:
    """JSON in its one spelling: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
