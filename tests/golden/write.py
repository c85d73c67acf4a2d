"""The losses of twenty training steps of tiny models, one for each way of telling position.

``python tests/golden/write.py`` writes them anew, which is right only when a change of numerics is meant.
"""

import json
from pathlib import Path

import torch
from torch.nn import functional as F

import locant

EXPRESSIONS = [
    "none",
    "add(learned)",
    "add(sinusoidal)",
    "concat(learned)",
    "beside(learned)",
    "rotary",
    "alibi",
    "t5",
]
FILE = Path(__file__).with_name("losses.json")
BATCH, TIME, STEPS = 4, 24, 20


def batch(step: int) -> torch.Tensor:
    """Bytes that can be learned: squares of a counter, starting anew in every row. ``[batch, time + 1]``."""
    start = (torch.arange(BATCH) * 17 + step * 5)[:, None]
    index = start + torch.arange(TIME + 1)
    return (index * index // 3 + index) % 61


def losses(expression: str) -> list[float]:
    torch.set_num_threads(1)
    model = locant.decoder(expression, 32, 4, 2, TIME, 61, seed=11)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    found = []
    for step in range(STEPS):
        tokens = batch(step)
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    return found


if __name__ == "__main__":
    golden = {expression: losses(expression) for expression in EXPRESSIONS}
    FILE.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"wrote {FILE}")
