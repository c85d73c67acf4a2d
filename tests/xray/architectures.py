"""Tiny random models of many architectures, as transformers makes them from a configuration."""

import warnings

import torch

SMALL = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 64, "max_position_embeddings": 48, "pad_token_id": 1, "bos_token_id": 0,
         "eos_token_id": 2}  # fmt: skip
PAIR = {"vocab_size": 60, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 48,
        "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}  # fmt: skip
GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
GPT = {"vocab_size": 60, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 48, "bos_token_id": 0,
       "eos_token_id": 2}  # fmt: skip

# The options of each configuration, and how many position rows are added at the input (None: none are).
ARCHITECTURES = {
    "bert": (SMALL, 48),
    "roberta": (SMALL | {"max_position_embeddings": 50}, 48),
    "camembert": (SMALL | {"max_position_embeddings": 50}, 48),
    "xlm-roberta": (SMALL | {"max_position_embeddings": 50}, 48),
    "electra": (SMALL | {"embedding_size": 16}, 48),
    "distilbert": ({"vocab_size": 60, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64,
                    "max_position_embeddings": 48}, 48),
    "albert": (SMALL | {"embedding_size": 16}, 48),
    "mpnet": (SMALL | {"max_position_embeddings": 50}, 48),
    "deberta-v2": (SMALL | {"position_biased_input": False, "relative_attention": True,
                            "pos_att_type": ["p2c", "c2p"]}, None),
    "gpt2": (GPT, 48),
    "gpt_neo": ({"vocab_size": 60, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "intermediate_size": 64,
                 "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 48, "bos_token_id": 0,
                 "eos_token_id": 2}, 48),
    "gptj": (GPT | {"rotary_dim": 4}, None),
    "gpt_neox": (SMALL, None),
    "gpt_bigcode": (GPT, 48),
    "opt": ({"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64,
             "max_position_embeddings": 48, "word_embed_proj_dim": 32, "pad_token_id": 1, "bos_token_id": 0,
             "eos_token_id": 2}, 48),
    "bloom": ({"vocab_size": 60, "hidden_size": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 0, "eos_token_id": 2},
              None),
    "falcon": (SMALL | {"alibi": False}, None),
    "mpt": ({"vocab_size": 60, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 48}, None),
    "llama": (SMALL | GROUPED, None),
    "mistral": (SMALL | GROUPED, None),
    "qwen2": (SMALL | {"num_key_value_heads": 2}, None),
    "qwen3": (SMALL | GROUPED, None),
    "gemma": (SMALL | GROUPED, None),
    "gemma2": (SMALL | GROUPED, None),
    "phi": (SMALL, None),
    "stablelm": (SMALL | {"num_key_value_heads": 2}, None),
    "olmo2": (SMALL | {"num_key_value_heads": 2}, None),
    "bart": (PAIR, 48),
    "marian": (PAIR, 48),
    "t5": ({"vocab_size": 60, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4,
            "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}, None),
    "xglm": ({"vocab_size": 60, "d_model": 32, "ffn_dim": 64, "num_layers": 2, "attention_heads": 4,
              "max_position_embeddings": 48, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}, 48),
}  # fmt: skip


def tiny(name: str, *, seed: int = 0, spread: float = 0.2):
    """A model of that type in evaluation mode; its matrices have a larger spread than usual, so that all matters."""
    from transformers import AutoConfig, AutoModel

    options, _ = ARCHITECTURES[name]
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        model = AutoModel.from_config(AutoConfig.for_model(name, **options))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, spread)
    return model.eval()
