"""Token windows that a model is shown: taken evenly from a text, or drawn from the task that it was trained on."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from locant.lab import corpora
from locant.xray.sources.packages import cache
from locant.xray.sources.source import Source, Words

LETTERS = 16  # letters of text per token that are tokenised, before it is found to be too few


@dataclass(frozen=True, eq=False)
class Windows:
    """tokens: long (contexts, slots), with what the tokeniser puts around a text. ends: how many slots at the end
    hold such special tokens. starts: the same at the beginning. seen: the ids of text that occur. name: of the text.
    """

    tokens: Tensor
    starts: int
    ends: int
    seen: Tensor
    name: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.tokens.numpy().tobytes()).hexdigest()[:20]

    def summary(self) -> dict[str, str | int]:
        contexts, slots = self.tokens.shape
        return {"text": self.name, "contexts": contexts, "slots": slots, "tokens": contexts * slots,
                "different tokens": len(self.seen), "special at the start": self.starts,
                "special at the end": self.ends, "hash": self.digest}  # fmt: skip

    def shuffled(self, seed: int) -> "Windows":
        """The same tokens in another order over all windows and slots: no order of words is left. Special tokens stay
        where they are.
        """
        inner = self.tokens[:, self.starts : self.tokens.shape[1] - self.ends]
        order = torch.randperm(inner.numel(), generator=torch.Generator().manual_seed(seed))
        tokens = self.tokens.clone()
        tokens[:, self.starts : self.tokens.shape[1] - self.ends] = inner.flatten()[order].view(inner.shape)
        return Windows(tokens, self.starts, self.ends, self.seen, f"{self.name}, shuffled")


def windows_of(source: Source, text: str | Path | Tensor | None, contexts: int, slots: int, seed: int) -> Windows:
    """Windows (contexts, slots) for a model.

    text: a file, a folder, `prose` or `code` (as in `locant compare`), a text itself (anything with a space or a line
    break in it), or token ids: `[contexts, slots]` as they are, or one long row to cut. None: what the model was
    trained on if that was a task, else `prose`.
    Raises ValueError if there is no tokeniser for a text, or if it is shorter than the windows.
    """
    if contexts < 2 or slots < 4:
        raise ValueError(f"expected at least 2 windows of 4 tokens, was: {contexts} of {slots}")
    if isinstance(text, Tensor):
        return _given(text, contexts, slots)
    if text is None and source.sample is not None:
        tokens = source.sample(contexts, slots, seed)
        return Windows(tokens, 0, 0, tokens.unique(), "examples of its task")
    if source.words is None:
        raise ValueError(f"expected token ids, as {source.name} comes without a tokeniser, was: "
                         + ("a text" if text is not None else "none"))  # fmt: skip
    name, body = _text(text)
    return _cut(source.words, body, name, contexts, slots)


def _given(tokens: Tensor, contexts: int, slots: int) -> Windows:
    if tokens.is_floating_point() or tokens.ndim not in (1, 2):
        raise ValueError(f"expected whole token ids [contexts, slots] or [tokens], was: {tuple(tokens.shape)}")
    if tokens.ndim == 1:
        if len(tokens) < contexts * slots:
            raise ValueError(f"expected at least {contexts} x {slots} tokens, was: {len(tokens)}")
        tokens = tokens[: contexts * slots].view(contexts, slots)
    if tokens.shape[0] < 2 or tokens.shape[1] < 4:
        raise ValueError(f"expected at least 2 windows of 4 tokens, was: {tuple(tokens.shape)}")
    return Windows(tokens.long().cpu(), 0, 0, tokens.unique().cpu(), "token ids")


def _text(text: str | Path | None) -> tuple[str, str]:
    if isinstance(text, str) and (" " in text or "\n" in text) and not Path(text[:200]).exists():
        return "given text", text
    corpus = corpora.load("prose" if text is None else str(text), cache=cache() / "text")
    data = torch.cat([corpus.train, corpus.test]).numpy().tobytes()
    return f"{corpus.name}: {corpus.description}", data.decode("utf-8", errors="replace")


def _cut(words: Words, body: str, name: str, contexts: int, slots: int) -> Windows:
    content = slots - len(words.prefix) - len(words.suffix)
    if content < 2:
        raise ValueError(f"expected windows longer than the special tokens around a text, was: {slots}")
    rows, stretch = [], len(body) // contexts
    for index in range(contexts):
        piece = body[index * stretch : (index + 1) * stretch]
        ids = words.encode(piece[: LETTERS * content])
        if len(ids) < content:
            ids = words.encode(piece)
        if len(ids) < content:
            raise ValueError(f"expected a text of at least {contexts} stretches of {content} tokens, was: {name} with "
                             f"about {len(words.encode(body[:1_000_000]))}")  # fmt: skip
        rows.append([*words.prefix, *ids[:content], *words.suffix])
    tokens = torch.tensor(rows)
    text = tokens[:, len(words.prefix) : slots - len(words.suffix)].unique()
    return Windows(tokens, len(words.prefix), len(words.suffix), text, name)
