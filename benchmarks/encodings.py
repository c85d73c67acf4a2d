"""What encodings cost, against what cannot be avoided and against peers: python benchmarks/encodings.py [ROUNDS]

`locant bench` at batch 8, 8 heads, time 1024 and head width 64, with goals; see `timing.py` for how a ratio is taken.
"""

import sys

import torch
from benched import measured
from timing import Call, at_least, at_most, ratios, run, show
from torch import Tensor

from locant.bench.options import Options
from locant.bench.timing import ratios as times
from locant.encodings import Rotary, contiguous
from locant.encodings.once import Memo

LAYOUTS = ("half", "interleaved")
NAMES = {"half": "rotary", "interleaved": "rotary(layout=interleaved)"}


def all_of_them(rounds: int) -> bool:
    """Every default of `locant bench`, in float32; the rotation in bfloat16."""
    found = measured(Options(batch=8, rounds=rounds))
    turned, put_in, attention, decoding = (
        found[part] for part in ("queries and keys", "input", "attention", "decoding")
    )
    kept = True
    for layout, name in NAMES.items():
        row = turned[name]
        kept &= at_most(f"rotary, {layout}: forward / copy of q and k", row["forward"]["ratio"], 1.25)
        kept &= at_most(f"rotary, {layout}: forward and backward / copy", row["both"]["ratio"], 1.6)
        for peer in ("rotary_embedding_torch", "x_transformers"):
            faster = turned[peer]["forward"]["ratio"] / row["forward"]["ratio"]
            kept &= at_least(f"rotary, {layout}: times as fast as {peer}", faster, 8)
    for name, most in (("add(learned)", 1.3), ("concat(learned)", 1.05)):
        kept &= at_most(f"{name}: lookup and position / bare lookup", put_in[name]["forward"]["ratio"], most)
        kept &= at_most(f"{name}: the same with its backward pass", put_in[name]["both"]["ratio"], most)
    fixed, learned = ("alibi", "sandwich"), ("t5", "fire", "kerple_log", "diet_rel")
    for name in fixed + learned:
        most = 1.1 if name in fixed else 1.3
        kept &= at_most(f"{name}: training / causal attention", attention[name]["both"]["ratio"], most)
    kept &= at_most("alibi: decoding a token / plain attention", decoding["alibi"]["forward"]["ratio"], 1.1)
    low = measured(Options(batch=8, format="bf16", rounds=rounds, encodings=tuple(NAMES.values())))["queries and keys"]
    for layout, name in NAMES.items():
        kept &= at_most(f"rotary, {layout}, bf16: forward / copy of q and k", low[name]["forward"]["ratio"], 2)
    return kept


def fused(rounds: int) -> bool:
    """Rotating queries and keys that are views of one projection, over copying them; the angles are there already."""
    q, k, _ = torch.randn(8, 1024, 3, 8, 64).permute(2, 0, 3, 1, 4)
    calls: dict[str, Call] = {"copy of q and k": lambda: (q.contiguous(), k.contiguous())}
    calls |= {f"rotary, {layout}": rotation(layout, q, k) for layout in LAYOUTS}
    with torch.no_grad(), Memo().open():
        found = ratios(calls, "copy of q and k", rounds)
    show(found)
    return all([at_most(f"{name} of views: forward / copy", found[name][1], 1.25) for name in list(calls)[1:]])


def one_token(rounds: int) -> bool:
    """Microseconds for the queries and keys of one token, 8 heads of width 64, in a cache of 100 and of 10,000."""
    q, k = torch.randn(2, 1, 8, 1, 64)
    calls = {f"{layout} at {start}": rotation(layout, q, k, start) for layout in LAYOUTS for start in (100, 10_000)}
    with torch.no_grad(), Memo().open():  # once for all layers of a pass
        found = times(calls, next(iter(calls)), rounds)
    print("\n".join(f"  {name:32} {1e6 * each.seconds:7.1f}" for name, each in found.items()))
    return all(
        [at_most(f"rotary, {name}: microseconds for one token", 1e6 * each.seconds, 10) for name, each in found.items()]
    )


def rotation(layout: str, q: Tensor, k: Tensor, start: int = 0) -> Call:
    """What a layer does that is not the first of its pass, without gradients."""
    rotary = Rotary(64, layout=layout)
    positions = contiguous(q.shape[-2], start=start).positions
    return lambda: rotary.qk(q, k, positions, positions)


if __name__ == "__main__":
    sys.exit(run((all_of_them, fused, one_token), 5, "torch"))
