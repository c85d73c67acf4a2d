"""M1: how much more of position a module reads than stands in its input."""

import math

from torch import Tensor

from locant.xray.metric import Metric, absent
from locant.xray.site import Reader
from locant.xray.twoway import SPANS, Left, Sums, jackknife, leave, shares, with_interval

SMALLEST = 0.002  # below this share of position in the input, a ratio to it means nothing
SHARE = "variance share of position, bias-corrected"
RATIO = "share of position in the output over that in the input"


class Images:
    """Sums of squares of what linear maps make of states that ``Sums`` takes in: ``[2, group, out]`` for each map."""

    def __init__(self, sums: Sums, readers: tuple[Reader, ...]) -> None:
        self.sums, self.readers = sums, readers
        self.weights = [reader.weight() for reader in readers]
        self.energy: list[Tensor] = []

    def add(self, x: Tensor, rows: slice) -> None:
        """Takes in the states of the contexts ``rows``, in the maps and in the sums."""
        x = self.sums.add(x, rows)
        if not self.energy:
            self.energy = [x.new_zeros(2, self.sums.groups, len(weight)) for weight in self.weights]
        group = self.sums.group[rows].to(x.device)
        for energy, weight in zip(self.energy, self.weights, strict=True):
            squares = (x.float() @ weight.float().T).double().square()
            energy[0].index_add_(0, group, squares[:, 0])
            energy[1].index_add_(0, group, squares[:, 1:].sum(1))


def read_gain(images: Images) -> dict[str, Metric]:
    """M1 for the maps of one layer: ``NAME.gain``, ``NAME.share_out`` and ``NAME.head.H.gain``, and ``share_in``.

    With the variances of M4, ``share_in = tr S_pos / tr(S_pos + S_ctx + S_rest)`` of the input, ``share_out`` the same
    of ``A S A'`` and ``gain = share_out / share_in``; all twice, over all slots and ``.without_0``. Baseline 1, what a
    map that does not know of position has (the untrained twin measures it). None where the input's share of position
    is below 0.002 or below three of its standard errors.
    """
    found: dict[str, Metric] = {}
    sums = images.sums
    outputs = [sums.image(weight.float(), energy) for weight, energy in zip(images.weights, images.energy, strict=True)]
    for suffix, start in SPANS.items():
        n = sums.contexts * (sums.time - start)
        inside: Left = {group: float(shares(sums.parts(start, group).variances())[0]) for group in leave(sums.groups)}
        found[f"share_in{suffix}"] = with_interval(inside, n=n, baseline=0.0, note=SHARE, bounds=(0.0, 1.0))
        reason = _too_small(inside)
        for reader, output in zip(images.readers, outputs, strict=True):
            split = {group: output.parts(start, group).variances() for group in leave(sums.groups)}
            for piece, rows in _pieces(reader):
                name = f"{reader.name}{piece}"
                outside: Left = {group: float(shares(each[:, rows])[0]) for group, each in split.items()}
                ratio: Left = {g: outside[g] / inside[g] if inside[g] > 0 else math.nan for g in outside}
                found[f"{name}.share_out{suffix}"] = with_interval(outside, n=n, baseline=0.0, note=SHARE,
                                                                   bounds=(0.0, 1.0))  # fmt: skip
                found[f"{name}.gain{suffix}"] = (
                    absent(reason, n=n)
                    if reason
                    else with_interval(ratio, n=n, baseline=1.0, note=RATIO, bounds=(0.0, math.inf))
                )
    return found


def _pieces(reader: Reader) -> list[tuple[str, Tensor | slice]]:
    """The whole map, then each of its heads: a suffix of the name, and rows of the weight."""
    heads = () if reader.heads is None else reader.heads
    return [("", slice(None)), *((f".head.{head}", rows) for head, rows in enumerate(heads))]


def _too_small(inside: Left) -> str:
    """Why no ratio to the input's share may be taken; empty if it may."""
    value, spread = inside[None], jackknife(inside)
    if not math.isfinite(value):
        return "nothing varies in the input"
    if value < SMALLEST or (spread is not None and value < 3 * spread[0]):
        return f"the input's share of position, {max(0.0, value):.2g}, is too small for a ratio"
    return ""
