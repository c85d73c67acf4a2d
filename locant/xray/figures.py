"""The figures of an x-ray as data: points, axes and captions. Drawing is the report's."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from locant.xray.captions import CAPTIONS
from locant.xray.setting import Setting

Metrics = Mapping[str, Mapping[str, Any]]
Figure = dict[str, Any]
Point = dict[str, Any]


def figures(setting: Setting, metrics: Metrics, parts: Mapping[str, Any]) -> list[Figure]:
    """Every figure that the metrics have numbers for."""
    made = [
        depth_profile(metrics),
        baselines(metrics),
        gains(metrics),
        *head_maps(metrics),
        logit_bars(metrics),
        shift_lines(metrics),
        probe_lines(metrics),
        *parts.get("tables", {}).get("figures", []),
        *movie_lines(setting, metrics, parts),
    ]
    return [figure for figure in made if figure["points"]]


def by_layer(metrics: Metrics, pattern: str, series: str) -> list[Point]:
    """Points of the metrics whose name fits ``pattern``, in which ``#`` is the layer."""
    rule = re.compile(re.escape(pattern).replace(r"\#", r"(\d+)"))
    found = []
    for name, metric in metrics.items():
        if (match := rule.fullmatch(name)) and metric["value"] is not None:
            found.append(point(series, int(match[1]), metric))
    return sorted(found, key=lambda each: each["x"])


def point(series: str, x: Any, metric: Mapping[str, Any]) -> Point:
    low, high = metric["interval"] or (None, None)
    return {"series": series, "x": x, "value": metric["value"], "low": low, "high": high}


def depth_profile(metrics: Metrics) -> Figure:
    """M4 over layers: what modules read, with and without position 0, and the raw stream."""
    points = [
        *by_layer(metrics, "M4.layer.#.position_share.without_0", "what attention reads"),
        *by_layer(metrics, "M4.layer.#.position_share", "with position 0"),
        *by_layer(metrics, "M4.raw.layer.#.position_share.without_0", "raw stream"),
    ]
    caption = CAPTIONS["depth_profile"]
    return lines("depth", "How much of the hidden states is position", caption, "layer",
                 "share of variance that is position", points, chance=0.0)  # fmt: skip


def baselines(metrics: Metrics) -> Figure:
    """M4 over layers against M7: fresh weights, and words without order."""
    points = [
        *by_layer(metrics, "M4.layer.#.position_share.without_0", "trained, text"),
        *by_layer(metrics, "M7.untrained.M4.layer.#.position_share.without_0", "untrained twin, text"),
        *by_layer(metrics, "M7.shuffled.M4.layer.#.position_share.without_0", "trained, shuffled text"),
    ]
    caption = CAPTIONS["baselines"]
    return lines("baselines", "Against an untrained twin and shuffled text", caption, "layer",
                 "share of variance that is position", points if len({p["series"] for p in points}) > 1 else [],
                 chance=0.0)  # fmt: skip


def gains(metrics: Metrics) -> Figure:
    """M1 over layers, one line for each kind of module."""
    points = []
    for reader, name in (("q", "queries"), ("k", "keys"), ("v", "values")):
        points += by_layer(metrics, f"M1.layer.#.{reader}.gain.without_0", name)
    fused = re.compile(r"M1\.layer\.\d+\.(mlp\.[^.]+|c_attn|.*qkv.*)\.gain\.without_0")
    others = sorted({match[1] for name in metrics if (match := fused.fullmatch(name))})
    for reader in others:
        points += by_layer(metrics, f"M1.layer.#.{reader}.gain.without_0", reader.replace("mlp.", "MLP "))
    caption = CAPTIONS["gains"]
    return lines("gain", "Which modules read position", caption, "layer", "read gain for position", points, chance=1.0)


def head_maps(metrics: Metrics) -> Iterator[Figure]:
    """M1 by layer and head, one map for queries and one for keys."""
    for reader, name in (("q", "queries"), ("k", "keys")):
        rule = re.compile(rf"M1\.layer\.(\d+)\.{reader}\.head\.(\d+)\.gain\.without_0")
        found = [(int(m[1]), int(m[2]), metric["value"]) for key, metric in metrics.items()
                 if (m := rule.fullmatch(key)) and metric["value"] is not None]  # fmt: skip
        caption = (f"Down: layer. Across: head. The read gain of the {name} of each head, on a scale of factors; 1 is "
                   "grey (M1, without position 0).")  # fmt: skip
        yield {"id": f"heads-{reader}", "kind": "heat", "title": f"Read gain of the {name} by head", "caption": caption,
               "x": "head", "y_title": "layer", "y": "gain", "chance": 1.0,
               "points": [{"x": head, "y": layer, "value": value, "series": str(head)}
                          for layer, head, value in sorted(found)]}  # fmt: skip


def logit_bars(metrics: Metrics) -> Figure:
    """M6 over layers as stacked shares."""
    points = []
    for name in ("relative", "absolute", "content"):
        found = by_layer(metrics, f"M6.layer.#.{name}.without_0", name)
        points += [{**each, "low": None, "high": None} for each in found]
    caption = CAPTIONS["logit_bars"]
    return {"id": "logits", "kind": "bars", "title": "What attention logits are made of", "caption": caption,
            "x": "layer", "y": "share of the variance of logits", "points": points}  # fmt: skip


def shift_lines(metrics: Metrics) -> Figure:
    """M5 over layers."""
    points = [
        *by_layer(metrics, "M5.layer.#.bias", "all tokens moved"),
        *by_layer(metrics, "M5.held.layer.#.bias", "first token held"),
    ]
    caption = CAPTIONS["shift_lines"]
    return lines("shift", "Is position a fixed push?", caption, "layer", "share common to all texts", points)


def probe_lines(metrics: Metrics) -> Figure:
    """M12 over layers."""
    points = by_layer(metrics, "M12.layer.#.accuracy", "slot found exactly")
    points += by_layer(metrics, "M12.layer.#.ridge_r2", "R² of a ridge regression")
    chance = next((metric["baseline"] for name, metric in metrics.items()
                   if re.fullmatch(r"M12\.layer\.\d+\.accuracy", name)), None)  # fmt: skip
    caption = CAPTIONS["probe_lines"]
    return lines("probe", "How well position can be read out", caption, "layer", "on texts not fitted on", points,
                 chance=chance)  # fmt: skip


def movie_lines(setting: Setting, metrics: Metrics, parts: Mapping[str, Any]) -> Iterator[Figure]:
    """M13: measures over snapshots, x being the number of the snapshot or its step."""
    frames = sorted((part for name, part in parts.items() if name.startswith("movie/")), key=lambda part: part["index"])
    if len(frames) < 2:
        return
    named = {part["index"]: part["name"] for part in frames}
    steps = [re.findall(r"\d+", name) for name in named.values()]
    at: Callable[[int], float] = lambda index: index  # noqa: E731
    x = "snapshot"
    if all(steps) and len({int(step[-1]) for step in steps}) == len(steps):
        at, x = (lambda index: int(re.findall(r"\d+", named[index])[-1])), "step"
    layers = sorted({int(m[1]) for name in metrics if (m := re.match(r"M13\.\d+\.M4\.layer\.(\d+)\.", name))})
    wanted = [(f"M4.layer.{layer}.position_share", f"layer {layer}") for layer in layers]
    told = "" if x == "step" else " Snapshots: " + ", ".join(named.values()) + "."
    yield _film(metrics, named, at, x, wanted, "movie-depth", "Position in the hidden states over training",
                "share of variance that is position", 0.0, f"{CAPTIONS['movie_depth']}{told}")  # fmt: skip
    pair = [("M2.overlap_ratio", "overlap over chance"), ("M3.wiener_token", "recovered of tokens"),
            ("M3.wiener_position", "recovered of positions")]  # fmt: skip
    yield _film(metrics, named, at, x, pair, "movie-tables", "The two tables over training",
                "overlap as a ratio, shares", 1.0, f"{CAPTIONS['movie_tables']}{told}")  # fmt: skip
    order = [("M11.slow_waves", "slow waves"), ("M11.toeplitz", "function of the distance"),
             ("M11.helix_fit", "helix")]  # fmt: skip
    yield _film(metrics, named, at, x, order, "movie-anatomy", "Order in the position table over training",
                "share of the table", None, told)  # fmt: skip
    reads = [(f"M1.layer.{layers[0]}.{reader}.gain", name)
             for reader, name in (("q", "queries"), ("k", "keys"), ("v", "values"))] if layers else []  # fmt: skip
    yield _film(metrics, named, at, x, reads, "movie-gain", "Read gain of the first layer over training",
                "read gain for position", 1.0, f"{CAPTIONS['movie_gain']}{told}")  # fmt: skip


def _film(metrics: Metrics, named: Mapping[int, str], at: Callable[[int], float], x: str,
          wanted: list[tuple[str, str]], identifier: str, title: str, y: str, chance: float | None,
          told: str) -> Figure:  # fmt: skip
    points = [point(series, at(index), metrics[name]) for key, series in wanted for index in named
              if (name := f"M13.{index}.{key}") in metrics and metrics[name]["value"] is not None]  # fmt: skip
    return lines(identifier, title, f"Across: {x} of the training (M13). {told}", x, y, points, chance=chance)


def lines(identifier: str, title: str, caption: str, x: str, y: str, points: list[Point],
          chance: float | None = None, x_scale: str = "linear") -> Figure:  # fmt: skip
    """A figure of lines."""
    return {"id": identifier, "kind": "lines", "title": title, "caption": caption, "x": x, "y": y, "points": points,
            "chance": chance, "x_scale": x_scale}  # fmt: skip
