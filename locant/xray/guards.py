"""M7's guards as notes of the document: what would make a reader of its numbers go wrong."""

import re
from collections.abc import Mapping
from typing import Any

from locant.xray.depth import SPIKE

FEWEST = 64  # windows below which intervals are wide
UNLIKE = 3.0  # ratio of norms from which position 0 is called unlike the others
Metrics = Mapping[str, Mapping[str, Any]]


def guard_notes(contexts: int, metrics: Metrics) -> list[str]:
    """Few windows, massive activations, and a position 0 unlike the others, each with its numbers; [] if none is there.

    contexts: how many windows were looked at.
    """
    found = []
    if contexts < FEWEST:
        found.append(f"{contexts} windows are few: intervals are wide below {FEWEST}, and shares of noise are about "
                     f"1/{contexts} before they are corrected")  # fmt: skip
    spikes = {layer: ratio for layer, ratio in _by_layer(metrics, "largest_norm").items() if ratio > SPIKE}
    if spikes:
        most = max(spikes, key=lambda layer: spikes[layer])
        found.append(f"massive activations in {_layers(spikes)}: norms of the raw stream of up to {spikes[most]:.0f} "
                     f"times the median, in layer {most}; what modules read after their norm is shown instead"
                     )  # fmt: skip
    first = {layer: ratio for layer, ratio in _by_layer(metrics, "norm_of_position_0").items()
             if max(ratio, 1 / ratio if ratio > 0 else UNLIKE) >= UNLIKE}  # fmt: skip
    if first:
        most = max(first, key=lambda layer: max(first[layer], 1 / max(first[layer], 1e-9)))
        found.append(f"position 0 is unlike the others in {_layers(first)}: in layer {most} its norm is "
                     f"{first[most]:.3g} times theirs; read the numbers named .without_0")  # fmt: skip
    return found


def _by_layer(metrics: Metrics, name: str) -> dict[int, float]:
    rule = re.compile(rf"M7\.layer\.(\d+)\.{name}")
    return {int(match[1]): metric["value"] for key, metric in metrics.items()
            if (match := rule.fullmatch(key)) and metric["value"] is not None}  # fmt: skip


def _layers(found: Mapping[int, float]) -> str:
    """``layer 3``, ``layers 3 to 7``, ``layers 3, 5 and 9``, ``9 layers from 3 to 29``."""
    numbers = sorted(found)
    if len(numbers) == 1:
        return f"layer {numbers[0]}"
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"layers {numbers[0]} to {numbers[-1]}"
    if len(numbers) <= 4:
        return f"layers {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    return f"{len(numbers)} layers from {numbers[0]} to {numbers[-1]}"
