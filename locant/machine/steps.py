"""The small training steps that the probe times: our own decoder at the run's shape, made short."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from locant.machine.arithmetic import narrowed, products
from locant.model.decoder import decoder

KINDS = {"causal": "none", "biased": "alibi"}
"""Scores as they are, and scores with a bias: fused attention has a path of its own for each."""
PRECISIONS = ("fp32", "bf16")
SMALL_STEP = 3e8  # FLOPs; a few milliseconds
MOST_ROWS = 2048  # of a product, from which its speed does not depend on their number
PRODUCT = 2.5e8  # FLOPs of a product at most
LARGEST_GRID = 64 << 20  # bytes of one layer's scores beyond which attention is not written out


@dataclass(frozen=True)
class Shape:
    """What is going to be trained: the defaults are those of ``locant compare``."""

    width: int = 64
    heads: int = 4
    context: int = 64
    batch: int = 8
    vocabulary: int = 256

    @property
    def grid(self) -> int:
        """Bytes of the scores of one layer."""
        return 4 * self.batch * self.heads * self.context**2

    @property
    def flops(self) -> float:
        """Of a training step of one layer and the head."""
        weights = 12 * self.width**2 + 2 * self.width * self.context + self.width * self.vocabulary
        return 6.0 * weights * self.batch * self.context

    @property
    def block(self) -> int:
        """Bytes of the largest activation: the hidden layer of the MLP, or the logits."""
        return 4 * self.batch * self.context * max(4 * self.width, self.vocabulary)


def shortened(shape: Shape) -> Shape:
    """The shape with fewer windows per batch, and then fewer heads, so that one layer's step is small."""
    head_width = shape.width // shape.heads
    one = replace(shape, batch=1)
    short = replace(shape, batch=max(1, min(shape.batch, int(SMALL_STEP / one.flops))))
    while short.heads > 1 and short.flops > 3 * SMALL_STEP:
        heads = (short.heads + 1) // 2
        short = replace(short, heads=heads, width=heads * head_width)
    return short


def step(shape: Shape, kind: str, attention: str, precision: str) -> Callable[[], float]:
    """Forward, backward and no update: what an optimiser does is the same in all of them. The call returns the loss."""
    model = decoder(KINDS[kind], shape.width, shape.heads, 1, shape.context, shape.vocabulary,
                    attention="auto" if attention == "fused" else attention)  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(shape.vocabulary, (shape.batch, shape.context), generator=draw)

    def call() -> float:
        with narrowed(precision):
            logits = model(tokens).float()
        loss = F.cross_entropy(logits.flatten(0, 1), tokens.flatten())
        loss.backward()
        model.zero_grad(set_to_none=True)
        return loss.item()

    return call


def projection(shape: Shape, gemm: str) -> Callable[[], object]:
    """A projection of a step's tokens, and the gradient of its weight, in an arithmetic of float32 products."""
    rows = min(shape.batch * shape.context, MOST_ROWS)
    out = max(16, min(4 * shape.width, int(PRODUCT / (2 * rows * shape.width))))
    draw = torch.Generator().manual_seed(0)
    x, weight = torch.randn(rows, shape.width, generator=draw), torch.randn(out, shape.width, generator=draw)

    def call() -> Tensor:
        with products(gemm):
            return F.linear(x, weight).mT @ x

    return call


def product_errors() -> dict[str, float]:
    """Largest error of a float32 product of both arithmetics, relative to its largest element."""
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 192, 192, generator=draw)
    exact, found = a.double() @ b.double(), {}
    for gemm in ("plain", "medium"):
        with products(gemm):
            found[gemm] = float(((a @ b).double() - exact).abs().max() / exact.abs().max())
    return found
