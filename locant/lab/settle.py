"""How the runs of a folder are computed: settled when the folder is begun, and the same for all that follow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from locant.lab.settings import Settings
from locant.lab.store import write_json
from locant.machine.choices import NUMERIC, PLAIN, Choices
from locant.machine.probe import Shape, probe

FILE = "choices.json"
VOCABULARY = 256  # of bytes; tasks have fewer tokens, and their models are timed as if they had as many


@dataclass(frozen=True)
class Settled:
    """The machine's choices, and whether the seeds of an encoding train ``"alone"`` or ``"stacked"``."""

    choices: Choices
    stacking: str

    def numerics(self) -> dict[str, Any]:
        """What the last digits of results depend on."""
        return {name: getattr(self.choices, name) for name in NUMERIC} | {"stacking": self.stacking}

    def fields(self) -> dict[str, Any]:
        """The same as fields of a ``Run``, whose model calls what is fused where it can be ``auto``."""
        attention = "auto" if self.choices.attention == "fused" else self.choices.attention
        return {**self.numerics(), "attention": attention}


def settle(settings: Settings, *, cache: Path | None = None) -> Settled:
    """What the folder's first plan was computed with, or what is forced and else best here if there is none yet.

    Only ways that leave the numbers alone are chosen anew for a folder that has been begun. cache: of the probe.
    Raises ValueError if another arithmetic is forced than the folder has, or two choices exclude each other.
    """
    forced = _forced(settings)
    stacking = forced.pop("stacking", None)
    begun = _begun(settings.out)
    if begun is not None:
        _agree({**forced, **({"stacking": stacking} if stacking else {})}, begun, settings.out)
        stacking = begun["stacking"]
        forced |= {name: begun[name] for name in NUMERIC}
    elif stacking == "stacked":
        if forced.get("attention", "dense") != "dense":
            raise ValueError(f"expected --attention dense or auto with --stack, was: {forced['attention']}")
        forced["attention"] = "dense"
    shape = Shape(settings.width, settings.heads, settings.context, settings.batch, VOCABULARY)
    choices = probe(shape, forced=forced, cache=cache)
    if begun is not None:
        told = dict.fromkeys(NUMERIC, "as these results were begun")
        return Settled(replace(choices, why={**choices.why, **told}), str(stacking))
    settled = Settled(choices, stacking or "alone")
    told = choices.to_dict()
    write_json(settings.out / FILE, {**settled.numerics(), "why": told["why"], "measured": told["measured"]})
    return settled


def _forced(settings: Settings) -> dict[str, Any]:
    named = {name: getattr(settings, name) for name in PLAIN if getattr(settings, name) != "auto"}
    counted = {name: getattr(settings, name) for name in ("workers", "threads") if getattr(settings, name)}
    return {**named, **counted, **({"stacking": "stacked"} if settings.stack else {})}


def _begun(out: Path) -> dict[str, Any] | None:
    """The arithmetic of the folder's results; the plain one if they are from before there was a choice."""
    path = out / FILE
    if not path.exists():
        return _plain() if any((out / "runs").glob("*")) else None
    try:
        found = json.loads(path.read_text())
        return {name: found[name] for name in _plain()}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"expected {path} to name the arithmetic of the results beside it, was: unreadable") from None


def _plain() -> dict[str, Any]:
    return {name: PLAIN.get(name, 1) for name in NUMERIC} | {"stacking": "alone"}


def _agree(forced: Mapping[str, Any], begun: Mapping[str, Any], out: Path) -> None:
    for name, value in forced.items():
        if name in begun and begun[name] != value:
            wanted = f"expected {name} {begun[name]} as the results in {out} have"
            raise ValueError(f"{wanted}, was: {value}; use another --out")
