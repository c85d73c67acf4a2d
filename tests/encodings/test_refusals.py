"""Every constructor and numbering says what it expected and what it was given."""

from collections.abc import Callable

import pytest
import torch

from locant import encodings as e
from locant.encodings import frequencies

CASES: list[tuple[Callable[[], object], str]] = [
    (lambda: e.Learned(0, 4), "expected a table of at least 1 position, was: 0"),
    (lambda: e.Learned(4, 0), "expected a table of at least 1 column, was: 0"),
    (lambda: e.Learned(4, 4, std=-1.0), "expected a standard deviation of at least 0, was: -1.0"),
    (lambda: e.Random(0, 4), "expected a table of at least 1 position, was: 0"),
    (lambda: e.Random(4, 0), "expected a table of at least 1 column, was: 0"),
    (lambda: e.Fourier(1, 4), "expected a scale of at least 2 positions, was: 1"),
    (lambda: e.Fourier(8, 1), "expected at least 1 band, was: 0"),
    (lambda: e.Sinusoidal(5), "expected an even width for sine and cosine pairs, was: 5"),
    (lambda: e.Sinusoidal(4, layout="half"), "expected the layout interleaved or halves, was: half"),
    (lambda: e.Sinusoidal(4, base=1.0), "expected a base above 1, was: 1.0"),
    (lambda: frequencies.geometric(0), "expected at least 1 pair of columns, was: 0"),
    (lambda: e.Rotary(8, fraction=0.0), "expected a fraction of the head in (0, 1], was: 0.0"),
    (lambda: e.Rotary(8, fraction=1.5), "expected a fraction of the head in (0, 1], was: 1.5"),
    (lambda: e.Rotary(8, fraction=0.4), "expected a positive even number of rotated columns, was: 3"),
    (lambda: e.Rotary(7), "expected a positive even number of rotated columns, was: 7"),
    (lambda: e.Rotary(8, layout="halves"), "expected the layout half or interleaved, was: halves"),
    (lambda: e.alibi_slopes(0), "expected at least 1 head, was: 0"),
    (lambda: e.T5(2, buckets=7), "expected at least 2 buckets a direction, and an even number, was: 7"),
    (lambda: e.T5(2, buckets=6, bidirectional=True), "at least 2 buckets a direction, and an even number, was: 6"),
    (lambda: e.T5(2, buckets=0), "expected at least 2 buckets a direction, and an even number, was: 0"),
    (lambda: e.T5(2, max_distance=16), "expected max_distance above the 16 exact distances, was: 16"),
    (lambda: e.Gate(e.Learned(4, 3), 5), "expected a code as wide as the tokens (5), was: 3"),
    (lambda: e.Shape(0, 1), "expected width of at least 1, was: 0"),
    (lambda: e.Shape(8, 0), "expected heads of at least 1, was: 0"),
    (lambda: e.Shape(8, 2, 0), "expected layers of at least 1, was: 0"),
    (lambda: e.Shape(8, 3), "expected a width divisible by the 3 heads, was: 8"),
    (lambda: e.Shape(8, 2, 1, 0), "expected a length of at least 1, was: 0"),
    (lambda: e.packed([[3, 0]]), "expected document lengths of at least 1, was: [[3, 0]]"),
    (
        lambda: e.randomised(5, 4, generator=torch.Generator()),
        "expected a limit of at least the 5 positions to draw, was: 4",
    ),
    (lambda: e.Learned(4, 2)(torch.tensor([[0, 4]])), "expected positions below 4, the rows of the table, was: 4"),
    (lambda: e.Learned(4, 2)(torch.tensor([3.5])), "expected positions below 4, the rows of the table, was: 3.5"),
    (lambda: e.Random(4, 2)(torch.tensor([-2, 1])), "expected positions of at least 0, was: -2"),
    (lambda: e.Random(4, 2)(torch.tensor([1.0, torch.nan])), "expected positions of at least 0, was: nan"),
]


@pytest.mark.parametrize(("call", "message"), CASES, ids=[message[9:50] for _, message in CASES])
def test_refusal(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        call()
    assert message in str(caught.value)


def test_what_is_just_allowed() -> None:
    assert e.Learned(1, 1)(torch.tensor([0])).shape == (1, 1)
    assert e.Learned(4, 2)(torch.tensor([], dtype=torch.long)).shape == (0, 2)
    assert e.Learned(4, 2)(torch.tensor([3.0, 2.5])).shape == (2, 2)
    assert e.Rotary(100, fraction=0.58).frequencies().shape == (29,)
    assert e.T5(2, buckets=2, max_distance=2).weight.shape == (2, 2)
    assert e.randomised(4, 4, generator=torch.Generator()).positions.tolist() == [[0, 1, 2, 3]]
