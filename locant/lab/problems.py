"""What is trained on: text or a synthetic task behind one face, with batches that depend on seed and step alone."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from locant.lab import corpora, tasks
from locant.lab.tasks.base import NO_TARGET

BYTES = 256
DEV_SHARE = 20  # one part in 20 of the training text is kept to choose learning rates on


class Problem(Protocol):
    """Batches ``(tokens, targets)``, both ``[batch, time]``; targets are -100 where nothing is asked.

    metric: ``"bits_per_byte"`` (lower is better) or ``"accuracy"`` (higher is better).
    """

    @property
    def name(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def vocabulary(self) -> int: ...

    def batch(self, seed: int, step: int, size: int, length: int) -> tuple[Tensor, Tensor]:
        """The training batch of a step: equal for every encoding, as seeds are blocks."""

    def test(self, part: str, length: int, count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """About ``count`` targets of the ``"test"`` or ``"dev"`` part in windows of ``length``, in batches."""


def keyed(*key: object) -> torch.Generator:
    """A generator of its own for a purpose: equal key, equal numbers, whatever was drawn before."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@dataclass(frozen=True, eq=False)
class Text:
    """Predict the next byte of a text. Training, dev and test parts follow one another and do not overlap."""

    name: str
    train: Tensor
    held_out: Tensor
    metric: str = "bits_per_byte"
    vocabulary: int = BYTES

    @property
    def trained_on(self) -> Tensor:
        return self.train[: len(self.train) - len(self.train) // DEV_SHARE]

    @property
    def dev(self) -> Tensor:
        return self.train[len(self.trained_on) :]

    def batch(self, seed: int, step: int, size: int, length: int) -> tuple[Tensor, Tensor]:
        window = corpora.windows(self.trained_on, length, size, keyed("batch", seed, step))
        return window[:, :-1], window[:, 1:]

    def test(self, part: str, length: int, count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        text = self.dev if part == "dev" else self.held_out
        for window in corpora.test_windows(text, length, count).split(size):
            yield window[:, :-1], window[:, 1:]


@dataclass(frozen=True, eq=False)
class Synthetic:
    """A task whose examples are drawn without end; test and dev examples come from generators of their own."""

    task: tasks.Task
    metric: str = "accuracy"

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def vocabulary(self) -> int:
        return self.task.vocabulary

    def batch(self, seed: int, step: int, size: int, length: int) -> tuple[Tensor, Tensor]:
        batch = self.task.batch(size, length, keyed("batch", seed, step))
        return batch.tokens, batch.targets

    def test(self, part: str, length: int, count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = keyed(part, self.name, length)
        asked = 0
        while asked < count:
            batch = self.task.batch(size, length, generator)
            asked += int((batch.targets != NO_TARGET).sum())
            yield batch.tokens, batch.targets


class Kept:
    """A problem that keeps its last batches, for several models that are to see the same ones."""

    def __init__(self, problem: Problem, batches: int) -> None:
        self.name, self.metric, self.vocabulary = problem.name, problem.metric, problem.vocabulary
        self.batch, self.test = lru_cache(batches)(problem.batch), problem.test


def task(name: str, context: int, *lengths: int) -> tasks.Task:
    """The task of that name for a training length. Raises ValueError if there is none, or if that length or another of
    ``lengths`` is too short for it.

    ``what_at_index`` asks for indices that exist, and were asked for, at the training length.
    """
    made = tasks.build(name, indices=max(1, context // 2)) if name == "what_at_index" else tasks.build(name)
    for length in (context, *lengths):
        try:
            made.batch(1, length, keyed("check"))
        except ValueError as error:
            raise ValueError(f"{error}, for the task {name}") from None
    return made
