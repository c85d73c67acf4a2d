"""One pass over the windows for what hidden states say by layer: M1, M4, the guards of M7, M10, M12 and tier 3."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from locant.xray.additive import TokenSums, additive_fit
from locant.xray.gain import Images, read_gain
from locant.xray.metric import Metric, absent, prefixed
from locant.xray.probe import Probe, probe_metrics
from locant.xray.purity import purity
from locant.xray.reach import Reach
from locant.xray.tier3 import Neurons, Slots, adjacency, positional_neurons, shrinking
from locant.xray.twoway import Sums, variance_shares
from locant.xray.windows import Windows

SPIKE = 20.0  # a token whose norm is so many times the median has a massive activation
CAPTURED = ("raw", "normed", "mlp", "neurons")
MOMENTS = 1024  # widest stream whose matrix of second moments is kept


class Depth:
    """Running sums of everything that one pass measures."""

    def __init__(self, reach: Reach, windows: Windows, layers: Sequence[int], *, thorough: bool) -> None:
        self.reach, self.windows, self.layers, self.thorough = reach, windows, layers, thorough
        self.time = windows.tokens.shape[1] - windows.ends
        contexts = len(windows.tokens)
        self.raw = {layer: Sums(contexts, self.time, moments=MOMENTS if thorough else 0)
                    for layer in [*layers, reach.layers]}  # fmt: skip
        self.images = {(source, layer): self._images(source, layer) for source in ("normed", "mlp") for layer in layers}
        tokens = windows.tokens[:, : self.time]
        self.additive = {("normed", layer): TokenSums(tokens) for layer in layers} | {("raw", 0): TokenSums(tokens)}
        # With fewer texts there is none left to test on.
        self.probes = {layer: Probe(contexts, self.time) for layer in layers if contexts >= 8}
        self.slots = {layer: Slots(contexts) for layer in layers}
        self.neurons = {layer: Neurons() for layer in layers}
        self.norms: dict[int, list[Tensor]] = {layer: [] for layer in self.raw}

    def _images(self, source: str, layer: int) -> Images:
        readers = tuple(reader for reader in self.reach.readers(layer) if reader.source == source)
        return Images(Sums(len(self.windows.tokens), self.time), readers)

    def add(self, capture: str, layer: int, x: Tensor, rows: slice) -> None:
        """Takes in what a pass hands over; special tokens at the end of a window take no part."""
        x = x[:, : self.time].cpu()
        if capture == "raw" and layer in self.raw:
            self.norms[layer].append(x.double().norm(dim=-1))
            self.raw[layer].add(x, rows)
        elif (capture, layer) in self.images:
            self.images[capture, layer].add(x, rows)
            if capture == "normed":
                self.slots[layer].add(x, rows)
                if layer in self.probes:
                    self.probes[layer].add(x, rows)
        elif capture == "neurons" and layer in self.neurons:
            self.neurons[layer].add(x, rows)
        if (capture, layer) in self.additive:
            self.additive[capture, layer].add(x, rows)

    def metrics(self) -> dict[str, Metric]:
        """All of them, once the pass is over."""
        found: dict[str, Metric] = {}
        for layer in self.layers:
            found |= self._layer(layer)
        for layer, sums in self.raw.items():
            found |= prefixed(f"M4.raw.layer.{layer}", variance_shares(sums))
            found |= prefixed(f"M7.layer.{layer}", guards(torch.cat(self.norms[layer])))
        return found | prefixed("M4.raw.layer.0", additive_fit(self.additive["raw", 0]))

    def _layer(self, layer: int) -> dict[str, Metric]:
        found: dict[str, Metric] = {}
        normed = self.images["normed", layer]
        found |= prefixed(f"M4.layer.{layer}", variance_shares(normed.sums))
        found |= prefixed(f"M4.layer.{layer}", additive_fit(self.additive["normed", layer]))
        if layer in self.probes:
            found |= prefixed(f"M12.layer.{layer}", probe_metrics(self.probes[layer]))
        found |= prefixed(f"T3.layer.{layer}", {
            "adjacency": adjacency(self.slots[layer]), "shrinking": shrinking(self.slots[layer]),
            "positional_neurons": positional_neurons(self.neurons[layer]),
        })  # fmt: skip
        for capture, block in self.reach.position_columns.items():
            sums = self.raw[layer] if capture == "raw" else self.images[capture, layer].sums
            found |= prefixed(f"M10.{capture}.layer.{layer}", purity(sums, block))
        for source in ("normed", "mlp"):
            images = self.images[source, layer]
            if images.readers and images.energy:
                gains = read_gain(images)
                found |= {f"M1.layer.{layer}.{_inside(source, name)}": metric for name, metric in gains.items()}
        return found


def _inside(source: str, name: str) -> str:
    """`share_in` of the MLP's input is told apart from that of the attention's."""
    return f"mlp.{name}" if source == "mlp" and name.startswith("share_in") else name


def guards(norms: Tensor) -> dict[str, Metric]:
    """M7: the largest norm of a state over the median one, and the median norm at position 0 over that of the rest.

    norms: ``[contexts, slots]`` of the raw stream.
    """
    middle, count = float(norms.median()), norms.numel()
    if not middle > 0:
        return {name: absent("the stream is 0", n=count) for name in ("largest_norm", "norm_of_position_0")}
    peak = float(norms.max()) / middle
    said = ", a massive activation: the raw stream says little, and what modules read is shown" if peak > SPIKE else ""
    first = float(norms[:, 0].median() / norms[:, 1:].median())
    return {
        "largest_norm": Metric(peak, 1.0, count, None, f"largest norm of a state over the median{said}"),
        "norm_of_position_0": Metric(first, 1.0, len(norms), None, "median norm at position 0 over that of the others"),
    }


def depth(reach: Reach, windows: Windows, layers: Sequence[int], *, thorough: bool,
          tell: Callable[[int, int], None] = lambda done, of: None) -> dict[str, Metric]:  # fmt: skip
    """M1, M4, the guards of M7, M10 and M12 for those layers, in one pass over the windows."""
    sums = Depth(reach, windows, layers, thorough=thorough)
    wanted = [*layers, reach.layers, 0]
    for start in range(0, len(windows.tokens), 8):
        rows = slice(start, min(start + 8, len(windows.tokens)))

        def visit(capture: str, layer: int, x: Tensor, _: slice, rows: slice = rows) -> None:
            sums.add(capture, layer, x, rows)

        reach.run(windows.tokens[rows], visit, capture=CAPTURED, layers=wanted)
        tell(rows.stop, len(windows.tokens))
    return sums.metrics()
