"""The call behind ``locant xray`` and ``locant.xray``: a model in, an x-ray out."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from locant._version import __version__
from locant.xray.claims import sentences, summary
from locant.xray.figures import figures
from locant.xray.guards import guard_notes
from locant.xray.measure import measure
from locant.xray.movie import movie, snapshots_of
from locant.xray.parts import open_parts
from locant.xray.result import XRay
from locant.xray.setting import Setting, Tell, prepare
from locant.xray.sources import load


def silent(what: str, done: int = 0, of: int = 0) -> None:
    """Tells nobody."""


def xray(model: Any, *, text: str | Path | Tensor | None = None, windows: tuple[int, int] | None = None,
         layers: Sequence[int] | Literal["all"] = "all", words: Sequence[str] = (),
         vocabulary: Literal["seen", "all"] = "seen", space: Literal["normed", "raw"] = "normed",
         tables_only: bool = False, quick: bool = False, revision: str | None = None, revisions: Sequence[str] = (),
         device: str = "cpu", seed: int = 0, out: Path | str | None = None, tell: Tell = silent) -> XRay:  # fmt: skip
    """Measures what a trained model does with position.

    model: ``"minilm"`` or ``"smollm2"``, an id on the Hugging Face hub, a folder, a .safetensors or .gguf file, the
        folder of a run of ``locant compare``, or a model in memory (transformers' or ours).
    text: a file, a folder, ``"prose"``, ``"code"``, a text itself, or token ids ``[contexts, slots]``.
    windows: how many windows of how many tokens; 128 of 128 unless given, 64 of 64 if quick, shorter where the
        model's positions end before.
    words: for the card of C2; each must be one token. vocabulary: the token rows that count. space: the hidden states
        that sentences and figures speak of. revisions: snapshots of a training, for the movie.
    out: a folder for the page and for finished parts, from which a stopped x-ray goes on. None: nothing is written.
    tell: is called with the name of each part, and with how many of its windows are done.

    Equal arguments give equal numbers on the same machine. Raises ValueError, in one line, for whatever cannot be
    measured as asked; what a model does not have is None in the document, with the reason.
    """
    tell("loading the model")
    source, shots = snapshots_of(model, revision, tuple(revisions), tables_only)
    if source is None:
        source = load(model, revision=revision, tables_only=tables_only)
    tell("finding its tables and its attention")
    setting = prepare(source, text=text, windows=windows, layers=layers, words=words, vocabulary=vocabulary,
                      space=space, tables_only=tables_only, quick=quick, device=device, seed=seed)  # fmt: skip
    folder = None if out is None else Path(out)
    parts = open_parts(folder, setting.key, tell)
    found = measure(setting, parts, tell)
    if shots:
        found |= movie(setting, shots, parts)
    result = XRay(_document(setting, found))
    if folder is not None:
        result.save(folder)
    return result


def _document(setting: Setting, found: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: metric for part in found.values() for name, metric in part["metrics"].items()}
    said = sentences(setting, metrics, found)
    warned = [] if setting.reach is None else guard_notes(len(setting.windows.tokens), metrics)
    return {
        "model": {"name": setting.source.name, "kind": setting.source.kind},
        "summary": summary(setting, metrics),
        "notes": [*setting.notes, *warned],
        "claims": said,
        "metrics": metrics,
        "figures": figures(setting, metrics, found),
        "lists": lists(found),
        "ranking": found.get("ranking", {}).get("ranking", []),
        "facts": _facts(setting),
        "hooks": _hooks(setting),
        "seconds": {name: part["seconds"] for name, part in found.items()},
        "versions": _versions(),
    }


def lists(parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tables of words for the page: those that parts made, and the words that change most with their place (M9)."""
    found = [each for part in parts.values() for each in part.get("lists", [])]
    rows = [[row["token"], f"{row['energy']:.4g}", str(row["count"])]
            for row in parts.get("ranking", {}).get("ranking", [])]  # fmt: skip
    if rows:
        caption = ("Tokens whose states change the most when a text is moved, apart from what moving changes for all "
                   "(M9): the energy of that interaction, and how often the token was seen.")  # fmt: skip
        heads = ["token", "energy", "seen"]
        found.append({"id": "ranking", "title": "Tokens that change most with their place", "caption": caption,
                      "heads": heads, "rows": rows, "text": False})  # fmt: skip
    return found


def _facts(setting: Setting) -> dict[str, dict[str, Any]]:
    tables, reach = setting.tables, setting.reach
    places = {"sum": "added at the input", "none": "not at the input", "mixed": "at the input, not by a sum"}
    how: dict[str, Any] = {
        "position enters": f"in {setting.beside} columns beside the stream" if setting.beside else places[tables.kind],
        "found in": tables.where,
        "token rows": None if tables.tokens is None else len(tables.tokens),
        "position rows": None if tables.positions is None else len(tables.positions),
        "scale of token rows": tables.scale,
        "interaction": tables.interaction,
    }
    if reach is not None:
        routes = {"interface": "transformers' attention interface", "eager": "eager attention and hooks",
                  "ours": "our decoder"}  # fmt: skip
        how |= {"attention reached by": routes[reach.route], "layers reached": f"{reach.layers} of {reach.layers}",
                "heads": reach.heads, "causal": reach.causal,
                "can be told positions": reach.takes_positions}  # fmt: skip
    asked = {"layers": list(setting.layers), "vocabulary": setting.vocabulary, "space": setting.space,
             "quick": setting.quick, "tables only": setting.tables_only, "seed": setting.seed}  # fmt: skip
    model = {"name": setting.source.name, "from": setting.source.kind, **setting.source.facts}
    return {"Model": model, "Input and attention": how, "Text": setting.windows.summary(), "Asked for": asked}


def _hooks(setting: Setting) -> list[dict[str, Any]]:
    """Where each thing was measured, in TransformerLens' words and as a module path of this model."""
    if setting.reach is None:
        return []
    rows = []
    for layer in setting.layers:
        site = setting.reach.sites[layer]
        for what, names in site.hooks().items():
            lens, _, path = names.partition(" | ")
            rows.append({"layer": layer, "what": what, "lens": lens, "path": path})
        rows += [{"layer": layer, "what": r.name, "lens": r.hook, "path": r.path} for r in site.readers]
    return rows


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"locant": __version__, "torch": torch.__version__, "python": platform.python_version()}
    for name in ("transformers", "gguf", "safetensors"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # not needed for our own models
    return found
