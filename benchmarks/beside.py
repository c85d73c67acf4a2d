"""Columns beside the stream at the price of a sum, as ratios within one run: python benchmarks/beside.py [ROUNDS]

See `timing.py` for how a ratio is taken.
"""

import sys

import torch
from timing import Call, at_most, ratios, run, show
from torch.nn import functional as F

import locant
from locant.lab.train import CLIP

SIZES = ((32, 64, 64), (16, 128, 128), (32, 128, 128))
"""Batch, time and width of two layers with four heads."""


def candidates(width: int) -> tuple[str, ...]:
    return ("add(learned)", f"beside(learned, width={width // 4})", f"beside(learned, width={width})", "none")


def training(rounds: int) -> bool:
    """A training step over one with `add(learned)`, position columns a quarter as wide as the token and just as wide;
    and, for the price of columns that are written, a concatenation to twice the width."""
    kept = True
    for batch, time, width in SIZES:
        tokens = torch.randint(0, 256, (batch, time + 1))
        calls = {e: step(locant.decoder(e, width, 4, 2, time, 256), tokens) for e in candidates(width)}
        wide = f"concat(learned, width={width})"
        calls[wide] = step(locant.decoder(wide, 2 * width, 4, 2, time, 256), tokens)
        print(f"  batch {batch}, time {time}, width {width}")
        found = ratios(calls, "add(learned)", rounds)
        show(found)
        for share in (4, 1):
            middle = found[f"beside(learned, width={width // share})"][1]
            kept &= at_most(f"training step, {batch} x {time}, {width // share} columns beside {width}", middle, 1.02)
    return kept


def decoding(rounds: int) -> bool:
    """64 cached decoding steps after a prompt of 4 tokens, over those of `add(learned)`."""
    kept = True
    for batch, width in ((1, 64), (1, 256), (8, 256)):
        calls = {e: decode(locant.decoder(e, width, 4, 4, 128, 256), batch) for e in candidates(width)}
        print(f"  batch {batch}, width {width}")
        found = ratios(calls, "add(learned)", rounds)
        show(found)
        middle = found[f"beside(learned, width={width})"][1]
        kept &= at_most(f"decoding, batch {batch}, {width} columns beside {width}", middle, 1.02)
    return kept


def step(model: locant.model.Decoder, tokens: torch.Tensor) -> Call:
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def call() -> None:
        logits = model(tokens[:, :-1]).flatten(0, 1)
        F.cross_entropy(logits, tokens[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        optimiser.zero_grad()

    return call


def decode(model: locant.model.Decoder, batch: int) -> Call:
    tokens = torch.randint(0, 256, (batch, 4))

    @torch.no_grad()
    def call() -> None:
        cache = model.cache()
        model(tokens, cache=cache)
        for _ in range(64):
            model(tokens[:, :1], cache=cache)

    return call


if __name__ == "__main__":
    sys.exit(run((training, decoding), 21, "torch"))
