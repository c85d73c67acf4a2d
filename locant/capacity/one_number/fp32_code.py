"""One fp32 number for a token and a position: a code in which every sum is exact, different, and decoded in one line.

Position p is the number p. Tokens sit where the exponent leaves room: in the binade from ``2^e`` to ``2^(e+1)`` the
spacing of fp32 is ``2^(e-23)``, so between two multiples of the number of positions there is room for ``2^(23-e)``
tokens that differ in the fraction alone. Adding p moves the whole part and stays in the binade: the sum is exact.
"""

import numpy as np

from locant.capacity.check import check_one_of_each

SIGNIFICAND = 23  # stored bits of an fp32 number


def token_values(tokens: int, positions: int) -> np.ndarray:
    """The fp32 code values of `tokens` tokens: ``base + f 2^(e-23)``, ``f = 0 .. 2^(23-e) - 1``, binade by binade.

    `base` runs over ``2^e + n P``, ``n P + P - 1 < 2^e``, with P the next power of two of `positions`; e starts where
    ``2^e`` holds at least two of these. Position p has the value p.
    Raises ValueError if there are more tokens than one sign of fp32 has room for (98,304 at 1,024 positions).
    """
    check_one_of_each((tokens, positions), 1)
    block = 1 << max(0, (positions - 1).bit_length())
    made: list[np.ndarray] = []
    room = 0
    for exponent in range(block.bit_length(), SIGNIFICAND):
        bases = np.arange(1 << exponent, (1 << (exponent + 1)) - block + 1, block, dtype=np.float64)
        fractions = np.arange(1 << (SIGNIFICAND - exponent), dtype=np.float64) * 2.0 ** (exponent - SIGNIFICAND)
        made.append((bases[:, None] + fractions).ravel())
        room += made[-1].size
        if room >= tokens:
            return np.concatenate(made)[:tokens].astype(np.float32)
    raise ValueError(f"expected at most {room} tokens for {positions} positions in one fp32 number, was: {tokens}")


def decode(sums: np.ndarray, positions: int) -> tuple[np.ndarray, np.ndarray]:
    """``(value of the token, position)`` of fp32 sums: ``p = floor(y) mod P``, and the token's value is the rest.

    P is the next power of two of `positions`, which divides both 2^e and every base. No table is searched. The index of
    a token is that of its value in `token_values`, which ascend.
    Raises ValueError for anything but fp32.
    """
    if sums.dtype != np.float32:
        raise ValueError(f"expected fp32 sums, was: {sums.dtype}")
    block = 1 << max(0, (positions - 1).bit_length())
    position = np.floor(sums).astype(np.int64) & (block - 1)
    return sums - position.astype(np.float32), position


def errors(tokens: int, positions: int, chunk: int = 512) -> tuple[int, int]:
    """``(sums, wrong ones)``: adds every position to every token in fp32 and decodes; all 51,463,168 for GPT-2.

    As decoding is a function of the sum, no wrong ones means that all sums are different.
    """
    values = token_values(tokens, positions)
    where = np.arange(positions, dtype=np.float32)
    wrong = 0
    for start in range(0, tokens, chunk):
        part = values[start : start + chunk]
        token, position = decode((part[:, None] + where).ravel(), positions)
        index = np.searchsorted(values, token)
        expected = np.repeat(np.arange(start, start + len(part)), positions)
        wrong += int(((index != expected) | (position != np.tile(np.arange(positions), len(part)))).sum())
    return tokens * positions, wrong
