"""Whether two sums of two real tables are the same numbers, once rounded to a format: counted over all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from locant.capacity.formats import number_format

FIRST = 8  # columns that are compared first; equal sums are equal there
Rounding = Callable[[Tensor], np.ndarray]
KEYS = 1 << 24  # sums whose keys are held at once


@dataclass(frozen=True)
class Collisions:
    """Of `sums` rounded sums, `shared` are equal to at least one other; `example` shows two of them, if any."""

    sums: int
    shared: int
    example: tuple[tuple[int, int], tuple[int, int]] | None


def collisions(tokens: Tensor, positions: Tensor, name: str) -> Collisions:
    """Counts the sums t_i + p_j of float32 tables that are not unique in the number format `name`.

    Exact: the columns of largest variance are compared first, by a 64-bit key over all sums, in as many passes as keep
    the keys in memory; sums whose keys agree are compared in full.

    Raises ValueError for an unknown format.
    """
    round_off = _rounding(tokens, positions, name)
    total = len(tokens) * len(positions)
    order = tokens.var(0, correction=0).argsort(descending=True)
    tokens, positions = tokens[:, order], positions[:, order]
    passes = -(-total // KEYS)
    shared, example = 0, None
    for part in range(passes):
        keys, where = _keys(tokens[:, :FIRST], positions[:, :FIRST], round_off, part, passes)
        by_key = np.argsort(keys, kind="stable")
        keys, where = keys[by_key], where[by_key]
        same = keys[1:] == keys[:-1]
        suspects = where[np.r_[same, False] | np.r_[False, same]] if len(keys) else where
        count, found = _confirmed(tokens, positions, round_off, suspects)
        shared, example = shared + count, example or found
    return Collisions(total, shared, example)


def _keys(
    tokens: Tensor, positions: Tensor, round_off: Rounding, part: int, passes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keys of all sums that belong to this pass, with the number ``i * positions + j`` of each."""
    keys, where = [], []
    rows = max(1, (1 << 20) // len(positions))
    for start in range(0, len(tokens), rows):
        sums = (tokens[start : start + rows, None] + positions).flatten(0, 1)
        key = _hash(round_off(sums))
        mine = (key % np.uint64(passes) == part).nonzero()[0]
        keys.append(key[mine])
        where.append(mine + start * len(positions))
    return np.concatenate(keys), np.concatenate(where)


def _rounding(tokens: Tensor, positions: Tensor, name: str) -> Rounding:
    """Rounds sums to the format; one without an exponent has one scale for all, the largest sum over its last code."""
    number = number_format(name)
    high, low = tokens.amax(0) + positions.amax(0), tokens.amin(0) + positions.amin(0)
    scale = None if number.dtype is not None else float(torch.maximum(high, -low).max()) / number.largest
    return lambda sums: (number.round(sums, scale) + 0.0).numpy()  # the addition makes one zero of 0 and -0


def _hash(values: np.ndarray) -> np.ndarray:
    """FNV-like mixing of the bits of each row into 64 bits; equal rows have equal keys."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    key = np.full(len(bits), 0xCBF29CE484222325, dtype=np.uint64)
    for column in range(bits.shape[1]):
        key = (key ^ bits[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def _confirmed(
    tokens: Tensor, positions: Tensor, round_off: Rounding, suspects: np.ndarray
) -> tuple[int, tuple[tuple[int, int], tuple[int, int]] | None]:
    """How many of the suspected sums are equal to another in every column, and the first two that are."""
    if not len(suspects):
        return 0, None
    i, j = (torch.from_numpy(index) for index in np.divmod(suspects, len(positions)))
    blocks = zip(i.split(4096), j.split(4096), strict=True)
    digests = [_digest(round_off(tokens[a] + positions[b])) for a, b in blocks]
    whole = np.concatenate(digests)
    _, group, size = np.unique(whole, return_inverse=True, return_counts=True)
    repeated = size[group] > 1
    if not repeated.any():
        return 0, None
    first = int(repeated.nonzero()[0][0])
    second = int((group == group[first]).nonzero()[0][1])
    pairs = [(int(i[index]), int(j[index])) for index in (first, second)]
    return int(repeated.sum()), (pairs[0], pairs[1])


def _digest(values: np.ndarray) -> np.ndarray:
    """16 bytes that stand for a whole row."""
    rows = np.ascontiguousarray(values)
    return np.array([blake2b(row.tobytes(), digest_size=16).digest() for row in rows], dtype="S16")
