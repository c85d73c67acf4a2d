"""M13: the same measures at several points of a training: revisions on a hub, folders, or the snapshots of our runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from locant.lab.store import snapshots
from locant.xray.depth import depth
from locant.xray.measure import KEPT, small_windows
from locant.xray.metric import Metric
from locant.xray.parts import Part, Parts, plain
from locant.xray.reach import reach_model
from locant.xray.setting import Setting
from locant.xray.sources import Source, load, ours

CONTEXTS = 32  # windows that are enough for a frame
MOST_LAYERS = 6
Shot = tuple[str, Callable[[], Source]]
"""The name of a snapshot, and how to load it."""


def snapshots_of(model: Any, revision: str | None, revisions: tuple[str, ...],
                 tables_only: bool) -> tuple[Source | None, list[Shot]]:  # fmt: skip
    """The last snapshot (None: the model itself is to be loaded as usual) and all of them in order.

    Snapshots are the revisions that are named, the weights that one of our runs kept, or the folders with config.json
    inside of a folder that has none. Raises ValueError if both one and several revisions are named.
    """
    if revisions and revision is not None:
        raise ValueError(f"expected --revision or --revisions, was: both, {revision!r} and {list(revisions)}")
    if revisions:
        shots = [(name, _loader(model, name, tables_only)) for name in revisions]
        return shots[-1][1](), shots
    if not isinstance(model, str | Path):
        return None, []
    path = Path(model).expanduser()
    if ours.is_run(path):
        kept = sorted(snapshots(path))
        if revision is not None or len(kept) < 2:
            return None, []
        return None, [(f"step {step}", _loader(path, str(step), tables_only)) for step in kept]
    if path.is_dir() and not (path / "config.json").exists():
        folders = [folder for folder in path.iterdir() if (folder / "config.json").is_file()]
        if len(folders) > 1:
            ordered = sorted(folders, key=lambda folder: (_number(folder.name), folder.name))
            shots = [(folder.name, _loader(folder, None, tables_only)) for folder in ordered]
            return shots[-1][1](), shots
    return None, []


def _loader(model: Any, revision: str | None, tables_only: bool) -> Callable[[], Source]:
    return lambda: load(model, revision=revision, tables_only=tables_only)


def _number(name: str) -> int:
    digits = "".join(letter if letter.isdigit() else " " for letter in name).split()
    return int(digits[-1]) if digits else -1


def movie(setting: Setting, shots: list[Shot], parts: Parts) -> dict[str, Part]:
    """M2, M3a, M4 and M1 of each snapshot, over fewer windows and layers, with the tokens of the last one."""
    found = {}
    for index, (name, make) in enumerate(shots):
        found[f"movie/{index}"] = parts.get(f"snapshot {name}", lambda name=name, make=make, index=index: (  # type: ignore[misc]
            _frame(setting, name, index, make())))  # fmt: skip
    return found


def _frame(setting: Setting, name: str, index: int, source: Source) -> Part:
    from locant.xray.detect import find_tables
    from locant.xray.setting import _avoided, rows_of
    from locant.xray.tables import frame

    device = next(setting.source.model.parameters()).device
    model = source.model.to(device)
    found: dict[str, Metric] = frame(find_tables(model, rows_of(source), avoid=_avoided(source), seed=setting.seed),
                                     setting)  # fmt: skip
    if setting.reach is not None:
        layers = setting.layers
        if len(layers) > MOST_LAYERS:
            layers = tuple(layers[round(i * (len(layers) - 1) / (MOST_LAYERS - 1))] for i in range(MOST_LAYERS))
        reach = reach_model(model, seed=setting.seed)
        metrics = depth(reach, small_windows(setting.windows, CONTEXTS), layers, thorough=False)
        ends = tuple(f".{kept}" for kept in KEPT)
        found |= {key: metric for key, metric in metrics.items() if key.endswith(ends) and ".head." not in key}
    return plain({f"M13.{index}.{key}": metric for key, metric in found.items()}, name=name, index=index)
