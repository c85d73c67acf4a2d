"""Where a trained model comes from: a hub, a folder, a file, a package, or one of our runs."""

from pathlib import Path
from typing import Any

from locant.xray.sources import huggingface, ours, packages
from locant.xray.sources.source import Source, Words

__all__ = ["Source", "Words", "load"]


def load(model: Any, *, revision: str | None = None, tables_only: bool = False) -> Source:
    """The model that a name, a path or an object means.

    A name among `minilm` and `smollm2` is a packaged model; a folder with run.json one of our runs; a folder with
    config.json, a .safetensors or a .gguf file what transformers reads; anything else an id on the Hugging Face hub.
    Raises ValueError if there is no such model, or if its files are damaged, pickled, incomplete or not finite.
    """
    if isinstance(model, Source):
        return model
    if not isinstance(model, str | Path):
        if revision is not None:
            raise ValueError(f"expected no revision with a model in memory, was: {revision!r}")
        return ours.from_decoder(model) if ours.is_ours(model) else huggingface.from_model(model)
    name, path = str(model), Path(model).expanduser()
    if name in packages.PACKAGES and not path.exists():
        path = packages.model_path(name)
    if not path.exists():
        return huggingface.from_hub(name, revision, tables_only=tables_only)
    if ours.is_run(path):
        return ours.from_run(path, revision)
    if revision is not None:
        raise ValueError(f"expected no --revision with a path, was: {revision!r}")
    if path.is_dir():
        return huggingface.from_folder(path, name, tables_only=tables_only)
    if path.suffix == ".gguf":
        if tables_only:
            raise ValueError("expected --tables-only with safetensors, was: a GGUF file, which is read as a whole")
        return huggingface.from_gguf(path, name)
    if path.suffix == ".safetensors":
        return huggingface.from_safetensors(path, name, tables_only=tables_only)
    raise ValueError(f"expected a folder, a .safetensors or a .gguf file, was: {path}; pickled files are never opened")
