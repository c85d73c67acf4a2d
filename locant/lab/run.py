"""One training, named by everything that decides its result."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

NUMERICS = 1
"""Raised, with a line in the changelog, whenever the same run would give another number."""


@dataclass(frozen=True)
class Run:
    """Everything that decides a result. Equal ``id``, equal experiment, bit for bit on the same machine.

    encoding: a canonical expression. problem: ``"text"`` or a task's name, and ``data`` the hash of the text or the
    task with its options. width: of the residual stream; columns: of position, where the expression leaves it open.
    part: ``"test"``, or ``"dev"`` for runs that choose a learning rate.
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

    @property
    def id(self) -> str:
        """Hash of the canonical JSON of the run and the numerics version."""
        return hashlib.sha256(canonical_json({"numerics": NUMERICS, **asdict(self)}).encode()).hexdigest()[:20]

    @property
    def tokens(self) -> int:
        return self.steps * self.batch * self.context

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Run":
        return cls(**{**fields, "eval_lengths": tuple(fields["eval_lengths"])})


def canonical_json(value: Any) -> str:
    """JSON in its one spelling: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
