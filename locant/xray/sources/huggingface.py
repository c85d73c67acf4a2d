"""Models of transformers: an id on the hub, a folder, a safetensors or a GGUF file. Nothing is ever unpickled, and no
code that comes with a model is run.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from locant.xray.sources.source import Source, Words, refuse_bad_weights

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+|[\w-]+")
HEADED = re.compile("LMHead|CausalLM|MaskedLM|ConditionalGeneration|PreTraining")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")


def from_hub(name: str, revision: str | None, *, tables_only: bool = False) -> Source:
    """A model by its id on the hub. Raises ValueError if it cannot be had, or has no safetensors."""
    if not HUB_ID.fullmatch(name):
        raise ValueError(f"expected a path that exists or an id on the hub such as org/model, was: {name!r}")
    return _load(name, name, "Hugging Face hub", {"revision": revision or "main"}, tables_only)


def from_folder(folder: Path, name: str, *, tables_only: bool = False) -> Source:
    """A folder as `save_pretrained` writes it. Raises ValueError unless it has config.json and safetensors."""
    if not (folder / "config.json").is_file():
        raise ValueError(f"expected a folder with config.json, was: {folder}")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickled = next((path.name for pattern in PICKLED for path in sorted(folder.glob(pattern))), "none")
        raise ValueError(f"expected weights as safetensors in {folder}, was: {pickled}; pickled files are never opened")
    for path in files:
        _refuse_bad_header(path)
    return _load(str(folder), name, "folder", {}, tables_only, _stamp(files))


def from_safetensors(path: Path, name: str, *, tables_only: bool = False) -> Source:
    """A safetensors file that lies beside its config.json. Raises ValueError if it does not, or is damaged."""
    _refuse_bad_header(path)
    if not (path.parent / "config.json").is_file():
        raise ValueError(f"expected config.json beside {path.name}, was: none in {path.parent}")
    others = [other for other in path.parent.glob("*.safetensors") if other != path]
    if others or path.name != "model.safetensors":
        raise ValueError(
            f"expected model.safetensors alone beside its config.json (or the folder of all shards), was: {path}"
        )
    return _load(str(path.parent), name, "safetensors file", {}, tables_only, _stamp([path]))


def from_gguf(path: Path, name: str) -> Source:
    """A GGUF file; its weights are dequantised to float32. Raises ValueError if it is damaged or not understood.

    transformers does the work, as it knows the names and the layout of every architecture's tensors (llama.cpp
    permutes the rows of rotated projections); for that it asks for the packages gguf and accelerate.
    """
    with path.open("rb") as file:
        if (magic := file.read(4)) != b"GGUF":
            raise ValueError(f"expected a GGUF file, was: {path} that begins with {magic!r}")
    library()
    with _no_bar():
        return _load(str(path.parent), name, "GGUF file", {"gguf_file": path.name}, False, _stamp([path]))


def from_model(model: Any, words: Words | None = None) -> Source:
    """A model in memory, with its own weights; it is put into evaluation mode."""
    refuse_bad_weights(model, type(model).__name__)
    digest = hashlib.sha256()
    for path, tensor in model.state_dict().items():
        digest.update(f"{path}{tuple(tensor.shape)}".encode())
        if tensor.is_floating_point():  # two sums tell models of the same shape apart
            digest.update(f"{float(tensor.double().sum())}{float(tensor.double().square().sum())}".encode())
    facts = _facts(model)
    twin = _twin(model) if hasattr(model, "config") else None
    part = reading_part(model) if hasattr(model, "config") else model
    return Source(type(model).__name__, "model in memory", part.eval(), words, digest.hexdigest(), twin, facts=facts,
                  notes=_notes(model, part))  # fmt: skip


def _load(where: str, name: str, kind: str, options: dict[str, Any], tables_only: bool, stamp: str = "") -> Source:
    transformers = library()
    config_options = dict(options)
    quiet = {"trust_remote_code": False, **options}
    with _quiet(transformers), _one_line(name):
        config = transformers.AutoConfig.from_pretrained(where, trust_remote_code=False, **config_options)
        if tables_only:
            # One layer is enough to see the inputs; tensors that the model has no place for are not read.
            for field in ("num_hidden_layers", "encoder_layers"):
                if hasattr(config, field):
                    setattr(config, field, 1)
        dtype: Any = "auto" if tables_only else torch.float32
        model, told = transformers.AutoModel.from_pretrained(
            where, config=config, dtype=dtype, output_loading_info=True, use_safetensors=True, **quiet
        )
        words = _words(transformers, where, quiet)
    missing = sorted(key for key in told["missing_keys"] if "pooler" not in key)
    wrong = sorted(str(key) for key in told["mismatched_keys"])
    if missing or wrong:
        what = f"{len(missing)} missing, {len(wrong)} of another shape, such as {(missing + wrong)[0]}"
        raise ValueError(f"expected weights for every parameter in {name}, was: {what}")
    refuse_bad_weights(model, name)
    if not tables_only and not hasattr(model, "get_input_embeddings"):
        raise ValueError(f"expected a model that reads tokens, was: {type(model).__name__}")
    identity = hashlib.sha256(repr((where, sorted(options.items()), stamp, tables_only)).encode()).hexdigest()
    part = reading_part(model)
    notes = ("one layer was loaded, as only the tables were asked for",) if tables_only else ()
    return Source(name, kind, part.eval(), words, identity, _twin(model), facts={**options, **_facts(model)},
                  notes=notes + _notes(model, part))  # fmt: skip


def library() -> Any:
    """transformers. Raises ValueError, with the command that installs it, if it is not there."""
    try:
        import transformers
    except ImportError as error:
        told = f"expected transformers for this model, was: {_first(error)}; pip install 'locant[xray]'"
        raise ValueError(told) from None
    return transformers


def reading_part(model: Any) -> Any:
    """The model itself, or the encoder of one that has an encoder and a decoder: the part that reads the text."""
    return model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model


def _words(transformers: Any, where: str, options: dict[str, Any]) -> Words | None:
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, **options)
    except (OSError, ValueError, KeyError):  # a model without a tokeniser is asked with token ids instead
        return None
    # For a folder without its files transformers makes a tokeniser up that has special tokens alone.
    return words_of(tokenizer) if set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens) else None


def words_of(tokenizer: Any) -> Words:
    """The two functions of a transformers tokeniser, and what it puts around a text."""

    def encode(text: str) -> list[int]:
        return [int(i) for i in tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]

    inside = encode("a")
    around = [int(i) for i in tokenizer("a", verbose=False)["input_ids"]]
    at = next((i for i in range(len(around)) if around[i : i + len(inside)] == inside), 0)
    special = frozenset(int(i) for i in tokenizer.all_special_ids)
    return Words(encode, lambda token: str(tokenizer.decode([token])), tuple(around[:at]),
                 tuple(around[at + len(inside) :]), special)  # fmt: skip


def _twin(model: Any) -> Any:
    def twin(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            # transformers draws from the shared state alone; it is put back when this block ends.
            torch.default_generator.manual_seed(seed)
            made = type(model)(model.config)
        return reading_part(made).eval()

    return twin


def _notes(model: Any, part: Any) -> tuple[str, ...]:
    return () if part is model else ("of its encoder and its decoder only the encoder is looked at",)


def _facts(model: Any) -> dict[str, Any]:
    config = getattr(model, "config", None)
    facts = {"architecture": type(model).__name__, "parameters": sum(p.numel() for p in model.parameters())}
    for key in ("model_type", "num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size",
                "max_position_embeddings"):  # fmt: skip
        if (value := getattr(config, key, None)) is not None:
            facts[key] = value
    heads = [name for name in getattr(config, "architectures", None) or () if HEADED.search(name)]
    if heads and isinstance(tied := getattr(config, "tie_word_embeddings", None), bool):
        facts["tie_word_embeddings"] = tied  # of models without an output head it says nothing
    return facts


def _stamp(files: list[Path]) -> str:
    return repr([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files])


def _refuse_bad_header(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        raise ValueError(f"expected a readable safetensors file, was: {path}: {error}") from None


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No bars and no warnings while loading: what matters in them is asked for and checked above."""
    logging = transformers.utils.logging
    from huggingface_hub.utils import logging as hub

    verbosity, bars, told = logging.get_verbosity(), logging.is_progress_bar_enabled(), hub.get_verbosity()
    logging.set_verbosity_error()
    hub.set_verbosity(logging.CRITICAL)  # it speaks of every retry
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub.set_verbosity(told)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _no_bar() -> Iterator[None]:
    """No bar of the tensors that are converted: transformers has no switch for this one."""
    reading: Any = import_module("transformers.modeling_gguf_pytorch_utils")
    bar = reading.tqdm
    reading.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        reading.tqdm = bar


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Whatever the loaders say about a file that they cannot read becomes one clear line."""
    from safetensors import SafetensorError

    try:
        yield
    except ImportError as error:
        raise ValueError(f"expected the packages that {name} needs, was: {_first(error)}; pip install 'locant[xray]'"
                         ) from None  # fmt: skip
    except OSError as error:
        wanted = "minilm, smollm2, an existing path or an id on the hub that can be reached"
        raise ValueError(f"expected {wanted}, was: {name} ({_first(error)})") from None
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, EOFError) as error:
        if "trust_remote_code" in str(error):
            told = f"expected a model whose code is part of transformers, was: {name}, which brings code of its own"
            raise ValueError(f"{told}; that is never run") from None
        raise ValueError(f"expected a model that transformers can read, was: {name}: {_first(error)}") from error


def _first(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
