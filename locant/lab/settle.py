"""How the runs of a folder are computed: settled when the folder is begun, and the same for all that follow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from locant.lab.settings import Settings
from locant.lab.store import write_json
from locant.machine import devices
from locant.machine.choices import NUMERIC, PLAIN, Choices, Measured, decide
from locant.machine.probe import Shape, probe

FILE = "choices.json"
VOCABULARY = 256  # of bytes; tasks have fewer tokens, and their models are timed as if they had as many
STACKING = {"auto": None, "yes": "stacked", "no": "alone"}
LARGEST_SCORES = 8 << 30  # bytes of everything of the size of scores, up to which a GPU is to write them out
PER_LAYER = 3  # tensors of that size that a layer keeps for its gradient: scores, weights, what is added


@dataclass(frozen=True)
class Settled:
    """The machine's choices, whether the seeds of an encoding train ``"alone"`` or ``"stacked"``, and on what."""

    choices: Choices
    stacking: str
    device: str = devices.PROCESSOR

    def numerics(self) -> dict[str, Any]:
        """What the last digits of results depend on."""
        named = {name: getattr(self.choices, name) for name in NUMERIC}
        return {**named, "stacking": self.stacking, "device": devices.kind(self.device)}

    def machine(self) -> dict[str, Any]:
        """What records name besides: the very device, where it is not the processor."""
        device = torch.device(self.device)
        return {} if device.type == devices.PROCESSOR else {"device_name": devices.describe(device)}

    def fields(self) -> dict[str, Any]:
        """The same as fields of a ``Run``, whose model calls what is fused where it can be ``auto``."""
        attention = "auto" if self.choices.attention == "fused" else self.choices.attention
        return {**self.numerics(), "attention": attention}


def settle(settings: Settings, *, cache: Path | None = None) -> Settled:
    """What the folder's first plan was computed with, or what is forced and else best here if there is none yet.

    Only ways that leave the numbers alone are chosen anew for a folder that has been begun. cache: of the probe.
    Raises ValueError if another arithmetic is forced than the folder has, or two choices exclude each other.
    """
    forced, device = _forced(settings), devices.find(settings.device)
    stacking = STACKING[settings.stack]
    shape = Shape(settings.width, settings.heads, settings.context, settings.batch, VOCABULARY)
    begun = _begun(settings.out)
    if begun is not None:
        named = {"stacking": stacking} if stacking else {}
        _agree({**forced, **named, "device": device.type}, begun, settings.out)
        stacking = begun["stacking"]
        forced |= {name: begun[name] for name in NUMERIC}
    else:
        if stacking is None:
            grids = settings.seeds * settings.layers * len(settings.encodings) * PER_LAYER
            stacking = _stacking(forced, device, grids * shape.grid)
        if stacking == "stacked":
            if forced.get("attention", "dense") != "dense":
                raise ValueError(f"expected --attention dense or auto with --stack, was: {forced['attention']}")
            forced["attention"] = "dense"
    here = device.type == devices.PROCESSOR
    choices = probe(shape, forced=forced, cache=cache) if here else _elsewhere(device, forced)
    if begun is not None:
        told = dict.fromkeys(NUMERIC, "as these results were begun")
        return Settled(replace(choices, why={**choices.why, **told}), str(stacking), str(device))
    settled = Settled(choices, str(stacking), str(device))
    told = choices.to_dict()
    write_json(settings.out / FILE, {**settled.numerics(), "why": told["why"], "measured": told["measured"]})
    return settled


def _stacking(forced: Mapping[str, Any], device: torch.device, scores: int) -> str:
    """What is best where nobody asked. scores: bytes of those of all models together."""
    if device.type == devices.PROCESSOR or forced.get("attention", "dense") != "dense" or scores > LARGEST_SCORES:
        return "alone"
    return "stacked"


def _elsewhere(device: torch.device, forced: dict[str, Any]) -> Choices:
    """The choices on another device than the processor, of which the probe knows nothing: the plain ones.

    Raises ValueError for compiled kernels, which are the processor's.
    """
    if forced.get("kernels") == "native":
        wanted = f"expected the kernels torch on {device.type}, as compiled ones are the processor's"
        raise ValueError(f"{wanted}, was: native")
    name = devices.describe(device)
    choices = decide(Measured(machine={"device": name, "torch": torch.__version__}), 1, forced)
    told = {**dict.fromkeys(choices.why, f"plain on {name}"), "workers": f"one process keeps {name} busy"}
    return replace(choices, why={**told, **dict.fromkeys(forced, "forced")})


def _forced(settings: Settings) -> dict[str, Any]:
    named = {name: getattr(settings, name) for name in PLAIN if getattr(settings, name) != "auto"}
    counted = {name: getattr(settings, name) for name in ("workers", "threads") if getattr(settings, name)}
    return {**named, **counted}


def _begun(out: Path) -> dict[str, Any] | None:
    """The arithmetic of the folder's results; the plain one if they are from before there was a choice."""
    path = out / FILE
    if not path.exists():
        return _plain() if any((out / "runs").glob("*")) else None
    try:
        found = json.loads(path.read_text())
        found.setdefault("device", devices.PROCESSOR)  # from before there was a choice
        return {name: found[name] for name in _plain()}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"expected {path} to name the arithmetic of the results beside it, was: unreadable") from None


def _plain() -> dict[str, Any]:
    plain = {name: PLAIN.get(name, 1) for name in NUMERIC}
    return {**plain, "stacking": "alone", "device": devices.PROCESSOR}


def _agree(forced: Mapping[str, Any], begun: Mapping[str, Any], out: Path) -> None:
    for name, value in forced.items():
        if name in begun and begun[name] != value:
            wanted = f"expected {name} {begun[name]} as the results in {out} have"
            raise ValueError(f"{wanted}, was: {value}; use another --out")
