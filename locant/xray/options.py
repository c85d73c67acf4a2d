"""What an x-ray is asked for: the options of ``locant xray``."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Options:
    """Measures what a trained model does with position: five claims, each with a chance baseline and an interval.

    Running the same command again continues: only what is missing from --out is measured.
    """

    model: Annotated[str, tyro.conf.Positional] = "minilm"
    """minilm or smollm2 (`make models` fetches both), an id on the Hugging Face hub, a folder, a .safetensors or .gguf
    file, or the folder of one run of `locant compare`. A folder of such folders is a training, snapshot by snapshot."""
    revision: str | None = None
    """A revision of a model on the hub, or a step at which a run kept its weights."""
    revisions: tuple[str, ...] = ()
    """Several of them, in the order of training: shown side by side."""
    text: str | None = None
    """A file or a folder to read, prose or code (both from the running Python). Default: prose, or the run's task."""
    windows: str = ""
    """Windows and tokens in each. Default: 128x128, with --quick 64x64; shorter where the model's positions end
    before, or where it was trained on shorter ones."""
    layers: str = "all"
    """Layers to look at: all, or numbers such as 0,1,5."""
    words: tuple[str, ...] = ()
    """Words to compare in different places, such as cat,dog; each must be one token."""
    vocabulary: Literal["seen", "all"] = "seen"
    """Token rows that count: those seen in the text, or all of the table."""
    space: Literal["normed", "raw"] = "normed"
    """Hidden states that the sentences and figures speak of: what attention reads after its norm, or the raw stream."""
    tables_only: bool = False
    """Only the two input tables; of a folder of safetensors no other tensors are read."""
    quick: bool = False
    """64 windows of 64, at most 6 layers, fewer samples: under a minute for minilm on two cores."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda, cuda:1."""
    seed: int = 0
    """Of everything that is drawn: samples, rotations, the untrained twin."""
    out: Path | None = None
    """Folder of the results: report.html and xray.json. Default: xray-MODEL."""


def sizes(windows: str) -> tuple[int, int] | None:
    """``128x64`` as (128, 64), nothing as None. Raises ValueError for anything else."""
    if not windows:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)", windows)
    if not match:
        raise ValueError(f"expected --windows such as 128x128, was: {windows!r}")
    return int(match[1]), int(match[2])


def chosen(layers: str) -> tuple[int, ...] | None:
    """``0,1,5`` as (0, 1, 5), ``all`` as None. Raises ValueError for anything else."""
    if layers == "all":
        return None
    if not re.fullmatch(r"\d+(,\d+)*", layers):
        raise ValueError(f"expected --layers all or numbers such as 0,1,5, was: {layers!r}")
    return tuple(dict.fromkeys(map(int, layers.split(","))))


def split_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words, with or without commas between them, each once."""
    return tuple(dict.fromkeys(word for each in words for word in each.split(",") if word))


def folder_of(options: Options) -> Path:
    """The folder of the results, named after the model unless it was given."""
    if options.out is not None:
        return options.out
    name = re.sub(r"[^\w.-]+", "-", options.model.rstrip("/").removesuffix(".gguf")).strip("-.")
    return Path(f"xray-{name[-60:] or 'model'}")
