"""Speed as ratios within one run: python benchmarks/run.py [ROUNDS]

See `timing.py` for how a ratio is taken.
"""

import sys

import torch
from timing import Call, ratios, show, title

import locant
from locant.encodings import PositionalEncoding, Rotary, build, contiguous


def rotation() -> tuple[dict[str, Call], str]:
    """Rotating queries and keys, against copying them: batch 8, 8 heads, time 1024, head width 64, float32."""
    q, k = torch.randn(2, 8, 8, 1024, 64)
    positions = contiguous(1024).positions
    calls: dict[str, Call] = {"copy of q and k": lambda: (q.clone(), k.clone())}
    for layout in ("half", "interleaved"):
        rotary = Rotary(64, layout=layout)
        calls[f"rotary, {layout}"] = lambda rotary=rotary: rotary.qk(q, k, positions, positions)
    return calls, "copy of q and k"


def embedding() -> tuple[dict[str, Call], str]:
    """Input encodings at width 512, batch 8, time 1024, against the bare lookup of the tokens, float32."""
    tokens = torch.randint(0, 32_000, (8, 1024))
    table = torch.nn.Embedding(32_000, 512).requires_grad_(False)
    narrow = torch.nn.Embedding(32_000, 384).requires_grad_(False)
    positions = contiguous(1024).positions
    calls: dict[str, Call] = {"lookup": lambda: table(tokens)}
    for expression in ("add(learned)", "concat(learned)", "add(sinusoidal)"):
        encoding = build(expression, width=512, heads=8, length=1024).requires_grad_(False)
        source = narrow if encoding.extra_width else table
        calls[expression] = lambda e=encoding, s=source: _looked_up(e, s.weight, tokens, positions)
    return calls, "lookup"


@torch.no_grad()
def _looked_up(encoding: PositionalEncoding, *given: torch.Tensor) -> torch.Tensor:
    return encoding.look_up(*given)


def training() -> tuple[dict[str, Call], str]:
    """A training step at token width 64 (2 layers, 4 heads, batch 16, time 64), against that of `add(learned)`."""
    tokens = torch.randint(0, 256, (16, 65))
    calls: dict[str, Call] = {}
    widths = {"concat(learned, width=16)": 80, "concat(learned, width=64)": 128}
    for expression in ("none", "add(learned)", "concat(learned, width=16)", "concat(learned, width=64)",
                       "beside(learned, width=16)", "beside(learned, width=64)", "rotary", "alibi", "t5"):  # fmt: skip
        model = locant.decoder(expression, widths.get(expression, 64), 4, 2, 64, 256)
        calls[expression] = _step(model, tokens)
    return calls, "add(learned)"


def _step(model: torch.nn.Module, tokens: torch.Tensor) -> Call:
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        logits = model(tokens[:, :-1]).flatten(0, 1)
        torch.nn.functional.cross_entropy(logits, tokens[:, 1:].flatten()).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, one thread, {rounds} rounds; ratio: median [quartiles]")
    for group in (rotation, embedding, training):
        candidates, baseline = group()
        title(group)
        show(ratios(candidates, baseline, rounds))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
