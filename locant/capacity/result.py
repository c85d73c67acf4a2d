"""The answer of `capacity`, and the plain data that it becomes."""

import platform
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy
import torch

from locant._version import __version__
from locant.capacity.estimate import Estimate
from locant.capacity.ladder import Rung
from locant.capacity.law import Law
from locant.capacity.question import Question
from locant.capacity.real import Real
from locant.capacity.sentences import Limits


@dataclass(frozen=True)
class Capacity:
    """The answer: `verdict` is "separable", "in principle" or "not separable", `binding` the limit that is met first.

    `bits` needed, available and used; `ladder` every decoder's probability and the widths for the targets; `adding` how
    many members of one table each decoder takes; `formats` and `one_number` what numbers hold; `checks` formula,
    simulation and brute force; `solved` what was asked for, or None; `real` what was measured on real tables, or None;
    `curves` the points of the figures. `to_dict()` gives what ``--json`` prints.
    """

    question: Question
    tables: tuple[str, ...]
    verdict: str
    binding: str
    answer: tuple[str, ...]
    bits: dict[str, Estimate]
    ladder: list[Rung]
    adding: Limits
    formats: list[dict[str, Any]]
    one_number: list[dict[str, Any]]
    checks: list[dict[str, Any]]
    solved: dict[str, Any] | None
    real: Real | None
    zip: dict[str, Any] | None
    curves: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def probability(self) -> Estimate:
        """The dot product's probability as asked."""
        found = self.ladder[0].probability
        assert found is not None
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and the report; every answered number is {"value", "low", "high", "method"}, and "trials"
        where it comes from random trials. What was asked and the x of a curve are plain numbers.
        """
        question = {"sentence": self.question.sentence, **asdict(self.question), "tables": list(self.tables)}
        ladder = [{**_law(rung.law), "probability": rung.probability, "widths": rung.widths} for rung in self.ladder]
        return {
            "question": _plain(question), "verdict": self.verdict, "binding": self.binding, "answer": list(self.answer),
            "bits": _plain(self.bits), "ladder": _plain(ladder),
            "adding": _plain([{**_law(law), "members": members} for law, members in self.adding]),
            "formats": _plain(self.formats), "one_number": _plain(self.one_number), "checks": _plain(self.checks),
            "solved": _plain(self.solved), "real": _plain(None if self.real is None else vars(self.real)),
            "zip": _plain(self.zip), "curves": _plain(self.curves), "notes": list(self.notes),
            "versions": {"locant": __version__, "torch": torch.__version__, "numpy": np.__version__,
                         "scipy": scipy.__version__, "python": platform.python_version()},
        }  # fmt: skip


def _law(law: Law) -> dict[str, str]:
    return {"decoder": law.decoder, "key": law.key, "does": law.does, "source": law.source}


def _plain(value: Any) -> Any:
    """Estimates as dictionaries, tuples as lists, infinity as None: what JSON can hold."""
    if isinstance(value, Estimate):
        number = {"value": value.value, "low": value.low, "high": value.high, "method": value.method}
        return {**number, "trials": value.trials} if value.trials else number
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
