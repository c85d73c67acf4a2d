"""Everything that one x-ray works with, put together and checked before anything is measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from locant.xray.detect import Tables, find_tables
from locant.xray.reach import Reach, reach_model
from locant.xray.sources import Source
from locant.xray.windows import Windows, windows_of

FEW = 6  # layers of a quick x-ray
ROOM = 8  # positions that are kept free in a table, so that a text can be moved by them
Tell = Callable[..., None]


@dataclass(frozen=True, eq=False)
class Setting:
    """A model, its tables, the windows that it is shown, and how much is measured."""

    source: Source
    tables: Tables
    windows: Windows
    reach: Reach | None
    layers: tuple[int, ...]
    words: tuple[str, ...]
    vocabulary: Literal["seen", "all"]
    space: Literal["normed", "raw"]
    tables_only: bool
    quick: bool
    seed: int
    notes: tuple[str, ...]

    @property
    def longest(self) -> int | None:
        """How many positions the model has; None if they do not end."""
        return _longest(self.source, self.tables)

    @property
    def beside(self) -> int:
        """How many columns hold position beside the stream: 0 for all models but those that declare it."""
        columns = None if self.reach is None else self.reach.position_columns.get("normed")
        return 0 if columns is None or self.tables.kind != "none" else columns.stop - columns.start

    @property
    def key(self) -> list[Any]:
        """All that decides the numbers."""
        return [self.source.identity, self.windows.digest, self.layers, self.words, self.vocabulary, self.space,
                self.tables_only, self.quick, self.seed, torch.__version__]  # fmt: skip


def prepare(source: Source, *, text: str | Path | Tensor | None, windows: tuple[int, int] | None,
            layers: Sequence[int] | Literal["all"], words: Sequence[str], vocabulary: Literal["seen", "all"],
            space: Literal["normed", "raw"], tables_only: bool, quick: bool, device: str,
            seed: int) -> Setting:  # fmt: skip
    """Raises ValueError for whatever cannot be done as asked: windows longer than the table or the text, layers or
    words that do not exist. A model whose attention cannot be reached is still asked for its tables, with a note.
    """
    for name, value, allowed in (("vocabulary", vocabulary, ("seen", "all")), ("space", space, ("normed", "raw"))):
        if value not in allowed:
            raise ValueError(f"expected a {name} of {' or '.join(allowed)}, was: {value!r}")
    model = source.model.to(_device(device))
    tables = find_tables(model, rows_of(source), avoid=_avoided(source), seed=seed)
    shown = windows_of(source, text, *_sizes(source, tables, windows, quick), seed)
    _check_fit(source, tables, shown)
    if source.words is not None:
        for word in words:
            source.words.single(word)
    elif words:
        raise ValueError(f"expected no words, as {source.name} comes without a tokeniser, was: {', '.join(words)}")
    reach, notes = None, [*source.notes, *tables.notes]
    if not tables_only:
        try:
            reach = reach_model(model, seed=seed)
        except ValueError as error:
            notes.append(f"only the tables are measured: {error}")
    return Setting(source, tables, shown, reach, _layers(reach, layers, quick), tuple(words), vocabulary, space,
                   tables_only, quick, seed, tuple(notes))  # fmt: skip


def rows_of(source: Source) -> int:
    """Token ids that a model knows. Raises ValueError if it has no table of tokens."""
    model: Any = source.model
    try:
        asked = hasattr(model, "get_input_embeddings")
        table = model.get_input_embeddings() if asked else getattr(model, "tokens", None)
    except NotImplementedError:  # what transformers has for models of pictures and sound
        table = None
    count = getattr(table, "num_embeddings", None)
    if count is None:
        raise ValueError(f"expected a model with a table of tokens, was: {type(source.model).__name__}")
    return int(count)


def _device(device: str) -> torch.device:
    try:
        made = torch.device(device)
        torch.empty(1, device=made)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"expected a device that is there, was: {device!r} ({str(error).splitlines()[0]})") from None
    return made


def _avoided(source: Source) -> frozenset[int]:
    special = frozenset() if source.words is None else source.words.special
    config = getattr(source.model, "config", None)
    ids = (getattr(config, name, None) for name in ("pad_token_id", "bos_token_id", "eos_token_id"))
    return special | frozenset(each for each in ids if isinstance(each, int))


def _longest(source: Source, tables: Tables) -> int | None:
    limits = [] if tables.positions is None else [len(tables.positions)]
    encoding = getattr(source.model, "encoding", None)
    if isinstance(limit := getattr(encoding, "limit", None), int):
        limits.append(limit)
    if isinstance(trained := getattr(getattr(source.model, "config", None), "max_position_embeddings", None), int):
        limits.append(trained)
    return min((limit for limit in limits if limit > 0), default=None)


def _sizes(source: Source, tables: Tables, windows: tuple[int, int] | None, quick: bool) -> tuple[int, int]:
    """The windows as asked for, or the usual ones: shorter where the model's positions end before, with room to move a
    text, and no longer than what one of our runs was trained on.
    """
    if windows is not None:
        return windows
    count, slots = (64, 64) if quick else (128, 128)
    if (longest := _longest(source, tables)) is not None:
        slots = min(slots, max(longest - ROOM, longest // 2, 4))
    return count, min(slots, source.facts.get("context", slots))


def _check_fit(source: Source, tables: Tables, windows: Windows) -> None:
    longest, slots = _longest(source, tables), windows.tokens.shape[1]
    if longest is not None and slots > longest:
        raise ValueError(f"expected windows of at most {longest} tokens, as the model has positions, was: {slots}")
    high = int(windows.tokens.max())
    if high >= rows_of(source):
        raise ValueError(f"expected token ids below {rows_of(source)}, was: {high}")


def _layers(reach: Reach | None, layers: Sequence[int] | Literal["all"], quick: bool) -> tuple[int, ...]:
    if reach is None:
        return ()
    if isinstance(layers, str):
        if layers != "all":
            raise ValueError(f"expected layers as numbers or all, was: {layers!r}")
        everything = range(reach.layers)
        if not quick or reach.layers <= FEW:
            return tuple(everything)
        return tuple(round(i * (reach.layers - 1) / (FEW - 1)) for i in range(FEW))
    wrong = [layer for layer in layers if not 0 <= layer < reach.layers]
    if wrong or not layers:
        raise ValueError(f"expected layers from 0 to {reach.layers - 1}, was: {wrong[0] if wrong else 'none'}")
    return tuple(sorted(set(layers)))
