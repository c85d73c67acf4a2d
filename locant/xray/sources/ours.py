"""Our own models: a decoder in memory, or a run that `locant compare` trained, with the weights that it kept."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from locant.encodings import build
from locant.lab.problems import BYTES, keyed, task
from locant.lab.run import Run
from locant.lab.store import snapshots
from locant.model import Decoder
from locant.xray.sources.source import Source, Words, refuse_bad_weights

BYTE_WORDS = Words(lambda text: list(text.encode()), lambda token: bytes([token]).decode("latin-1"))


def is_ours(model: Any) -> bool:
    """Whether an object is a decoder of this library."""
    return isinstance(model, Decoder)


def is_run(path: Path) -> bool:
    """Whether a path is the folder of one run, or a folder of results that has runs in it."""
    return path.is_dir() and ((path / "run.json").is_file() or (path / "locant.json").is_file())


def from_decoder(model: Decoder, words: Words | None = None) -> Source:
    """A decoder in memory. Text is read as bytes if its vocabulary has a token for each of them."""
    refuse_bad_weights(model, "the decoder")
    if words is None and model.tokens.num_embeddings == BYTES:
        words = BYTE_WORDS
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().float().numpy().tobytes())
    facts = {"architecture": "locant decoder", "encoding": type(model.encoding).__name__,
             "tie_word_embeddings": True,
             "parameters": sum(p.numel() for p in model.parameters()), "num_hidden_layers": len(model.blocks),
             "hidden_size": model.width, "vocab_size": model.tokens.num_embeddings}  # fmt: skip
    return Source("locant decoder", "model in memory", model.eval(), words, digest.hexdigest(), facts=facts)


def from_run(folder: Path, revision: str | None = None) -> Source:
    """A run of `locant compare` at its last snapshot, or at the step that `revision` names.

    Raises ValueError if the folder has several runs, a run without weights, or an encoding of a user's own.
    """
    run = _run(folder)
    kept = snapshots(folder)
    if not kept:
        raise ValueError(f"expected weights in {folder / 'snapshots'}, was: none; train with --snapshots 1 or more")
    step = max(kept) if revision is None else _step(revision, kept)
    state = {name: torch.from_numpy(array) for name, array in _arrays(kept[step]).items()}
    model = _decoder(run, len(state["tokens.weight"]))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"expected the weights of {run.encoding}, was: those of another model: {error}") from None
    refuse_bad_weights(model, str(kept[step]))
    facts = {"architecture": "locant decoder", "encoding": run.encoding, "problem": run.problem, "seed": run.seed,
             "step": step, "of steps": run.steps, "tie_word_embeddings": True,
             "parameters": sum(p.numel() for p in model.parameters()),
             "num_hidden_layers": run.layers, "hidden_size": run.width, "context": run.context}  # fmt: skip
    is_text = model.tokens.num_embeddings == BYTES
    return Source(f"{run.encoding} on {run.problem}", "run of locant compare", model.eval(),
                  BYTE_WORDS if is_text else None, f"{run.id}/{step}", _twin(run, model.tokens.num_embeddings),
                  None if is_text else _sample(run), facts=facts)  # fmt: skip


def _run(folder: Path) -> Run:
    if not (folder / "run.json").is_file():
        found = sorted((folder / "runs").glob("*/run.json"))
        listed = "; ".join(f"{path.parent} is {_label(path)}" for path in found[:12]) or "no run at all"
        raise ValueError(f"expected the folder of one run, was: {folder}, where {listed}")
    try:
        fields = json.loads((folder / "run.json").read_text())
        run = Run.from_dict({key: value for key, value in fields.items() if key != "id"})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"expected run.json as locant compare writes it in {folder}, was: {error}") from None
    if run.builders:
        raise ValueError("expected an encoding of the catalogue, was: one from a file of builders; "
                         "give the model itself to locant.xray.xray")  # fmt: skip
    return run


def _label(path: Path) -> str:
    fields = json.loads(path.read_text())
    return f"{fields.get('encoding')} on {fields.get('problem')}, seed {fields.get('seed')}"


def _step(revision: str, kept: dict[int, Path]) -> int:
    if not revision.isdigit() or int(revision) not in kept:
        raise ValueError(f"expected a step among {', '.join(map(str, sorted(kept)))}, was: {revision!r}")
    return int(revision)


def _arrays(path: Path) -> dict[str, numpy.ndarray]:
    try:
        with numpy.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(f"expected weights in {path}, was: {error}") from None


def _decoder(run: Run, vocabulary: int) -> Decoder:
    with torch.random.fork_rng(devices=[]):  # torch's modules draw from the shared state when they are made
        encoding = build(run.encoding, width=run.width, heads=run.heads, layers=run.layers, length=run.context,
                         columns=run.columns)  # fmt: skip
        return Decoder(encoding, width=run.width, heads=run.heads, layers=run.layers, hidden=run.hidden,
                       vocabulary=vocabulary, attention=run.attention)  # fmt: skip


def _twin(run: Run, vocabulary: int) -> Callable[[int], nn.Module]:
    def twin(seed: int) -> nn.Module:
        made = _decoder(run, vocabulary)
        made.reset_parameters(seed)
        return made.eval()

    return twin


def _sample(run: Run) -> Callable[[int, int, int], Tensor]:
    def sample(count: int, length: int, seed: int) -> Tensor:
        return task(run.problem, run.context).batch(count, length, keyed("xray", seed)).tokens

    return sample
