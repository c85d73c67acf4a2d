"""Tiny models of transformers, in memory and on disk, with random weights."""

from pathlib import Path

import torch
from support import refusal


def tiny_gpt2(layers: int = 2, width: int = 32, **changes):
    from transformers import GPT2Config, GPT2Model

    options = {"vocab_size": 60, "n_positions": 48, "n_embd": width, "n_head": 4, "n_layer": layers,
               "bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.2} | changes  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GPT2Model(GPT2Config(**options)).eval()


def saved(folder: Path, model=None) -> Path:
    """A folder with config.json and model.safetensors, and a tokeniser of single words."""
    model = tiny_gpt2() if model is None else model
    model.save_pretrained(folder)
    tokeniser(model.config.vocab_size).save_pretrained(folder)
    return folder


def tokeniser(size: int):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"[UNK]": 0} | {f"w{i}": i for i in range(1, size)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]")


def refused(call, *arguments, **options) -> str:
    """The one line with which a call is refused."""
    return refusal(lambda: call(*arguments, **options))
