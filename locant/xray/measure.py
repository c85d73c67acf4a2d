"""All measures of one setting, part by part; every finished part is on disk before the next begins."""

from collections.abc import Callable, Iterator
from typing import Any

from locant.xray.attended import logits, ranking, repeated_words, shifts
from locant.xray.depth import depth
from locant.xray.metric import Metric, absent
from locant.xray.parts import Part, Parts, plain
from locant.xray.reach import Reach, reach_model
from locant.xray.setting import Setting, Tell
from locant.xray.windows import Windows

PER_PASS = 20_000  # columns of layers whose sums are held at once, about 1 GB; a stopped x-ray goes on from there
FEWER = 32  # windows of a quick x-ray for what takes several passes
KEPT = ("position_share", "q.gain", "k.gain", "v.gain", "additive_r2")  # what the baselines are asked for
LARGEST_TWIN = 2_000_000_000  # parameters of a model of which a second one is made


def measure(setting: Setting, parts: Parts, tell: Tell) -> dict[str, Part]:
    """Every part by its name, each with ``metrics`` (as plain dictionaries) and what figures need beyond them."""
    from locant.xray.tables import tables

    found = {"tables": parts.get("tables", lambda: tables(setting))}
    reach = setting.reach
    if reach is None:
        return found
    for index, layers in enumerate(groups(setting.layers, reach.width)):
        for name, run in (("depth", _depth), ("logits", _logits)):
            key = f"{name} of layers {layers[0]} to {layers[-1]}"

            def make(run: Any = run, layers: tuple[int, ...] = layers, key: str = key) -> Part:
                return plain(run(reach, setting, layers, lambda done, of: tell(key, done, of)))

            found[f"{name}/{index}"] = parts.get(key, make)
    some = small_windows(setting.windows, FEWER) if setting.quick else setting.windows
    found["shift"] = parts.get("shift", lambda: plain(_shifts(reach, setting, some)))
    found["ranking"] = parts.get("ranking", lambda: _ranking(reach, setting))
    found["repeated"] = parts.get(
        "repeated words", lambda: plain(repeated_words(reach, setting.windows, setting.layers))
    )
    found["shuffled"] = parts.get("shuffled text", lambda: _shuffled(reach, setting, some))
    found["untrained"] = parts.get("untrained twin", lambda: _untrained(setting, some))
    return found


def groups(layers: tuple[int, ...], width: int) -> Iterator[tuple[int, ...]]:
    """The layers in portions whose sums fit into memory together: fewer, the wider they are."""
    count = max(1, PER_PASS // width)
    for start in range(0, len(layers), count):
        yield layers[start : start + count]


def _depth(reach: Reach, setting: Setting, layers: tuple[int, ...], tell: Callable[[int, int], None]) -> Any:
    return depth(reach, setting.windows, layers, thorough=not setting.quick, tell=tell)


def _logits(reach: Reach, setting: Setting, layers: tuple[int, ...], tell: Callable[[int, int], None]) -> Any:
    return logits(reach, setting.windows, layers, tell)


def _shifts(reach: Reach, setting: Setting, windows: Windows) -> dict[str, Metric]:
    """M5; of the raw stream also at the end of the last layer."""
    layers = setting.layers if setting.space == "normed" else (*setting.layers, reach.layers)
    found: dict[str, Metric] = {}
    for some in groups(layers, reach.width):
        found |= shifts(reach, windows, some, setting.space, setting.longest)
    return found


def _ranking(reach: Reach, setting: Setting) -> Part:
    """M9: the words that change most with their place, at the last layer that is looked at."""
    layer = setting.layers[-1]
    found = ranking(reach, setting.windows, layer, setting.space, setting.longest, 20)
    words = setting.source.words
    rows = [
        {"token": str(token) if words is None else words.piece(token), "id": token, "energy": energy, "count": count}
        for token, energy, count in zip(found.tokens, found.energies, found.counts, strict=True)
    ]
    return plain({f"M9.layer.{layer}.reliability": found.reliability}, ranking=rows)


def _shuffled(reach: Reach, setting: Setting, windows: Windows) -> Part:
    """The same tokens without the order of a text: what is position then was no meaning."""
    windows = windows.shuffled(setting.seed)
    return plain(_kept(_briefly(reach, windows, setting.layers), "M7.shuffled"))


def _untrained(setting: Setting, windows: Windows) -> Part:
    """The same configuration with fresh weights: what the architecture does by itself."""
    twin, parameters = setting.source.twin, setting.source.facts.get("parameters", 0)
    if twin is None:
        return plain({"M7.untrained": absent("nobody knows how to make this model untrained")})
    if parameters > LARGEST_TWIN:
        return plain({"M7.untrained": absent(f"a second model of {parameters} parameters is too large")})
    device = next(setting.source.model.parameters()).device
    reach = reach_model(twin(setting.seed + 1).to(device), seed=setting.seed)
    return plain(_kept(_briefly(reach, windows, setting.layers), "M7.untrained"))


def _briefly(reach: Reach, windows: Windows, layers: tuple[int, ...]) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for some in groups(layers, reach.width):
        found |= depth(reach, windows, some, thorough=False)
    return found


def _kept(metrics: dict[str, Metric], prefix: str) -> dict[str, Metric]:
    ends = tuple(f".{name}{suffix}" for name in KEPT for suffix in ("", ".without_0"))
    return {f"{prefix}.{name}": metric for name, metric in metrics.items()
            if name.endswith(ends) and ".head." not in name}  # fmt: skip


def small_windows(windows: Windows, contexts: int) -> Windows:
    """The first windows only, for what is measured many times."""
    return Windows(windows.tokens[:contexts], windows.starts, windows.ends, windows.seen, windows.name)
