"""What is trained in `benchmarks/training.py`: our runs and the peers' models, each as a function of one step."""

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

VOCABULARY = 256


@dataclass(frozen=True)
class Size:
    """A model and its batch, for every candidate the same."""

    layers: int
    width: int
    heads: int
    context: int
    batch: int

    @property
    def tokens(self) -> int:
        return self.batch * self.context

    @property
    def flops(self) -> float:
        """Per token, forward and backward: six per weight of a matrix product, and the causal half of attention."""
        weights = self.layers * 12 * self.width**2 + VOCABULARY * self.width
        return 6 * weights + 6 * self.layers * self.context * self.width


SIZES = {"small": Size(2, 64, 4, 64, 32), "middle": Size(4, 128, 4, 256, 16), "large": Size(6, 256, 8, 256, 16)}


class PlainBlock(nn.Module):
    """Pre-norm attention and MLP, as in the small GPTs that people copy."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width, self.heads = size.width, size.heads
        self.one, self.two = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, time, width = x.shape
        q, k, v = (
            part.view(batch, time, self.heads, -1).transpose(1, 2) for part in self.qkv(self.one(x)).chunk(3, -1)
        )
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, time, width))
        return x + self.down(F.gelu(self.up(self.two(x))))


class Plain(nn.Module):
    """A learned table of positions, blocks, a tied head."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, size.width), nn.Embedding(size.context, size.width)
        self.blocks = nn.Sequential(*[PlainBlock(size) for _ in range(size.layers)])
        self.norm = nn.LayerNorm(size.width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.blocks(self.tokens(tokens) + self.positions.weight[: tokens.shape[1]])
        return F.linear(self.norm(x), self.tokens.weight)


def x_transformers(size: Size, *, rotary: bool) -> nn.Module:
    from x_transformers import Decoder, TransformerWrapper

    layers = Decoder(dim=size.width, depth=size.layers, heads=size.heads, attn_dim_head=size.width // size.heads,
                     attn_flash=True, rotary_pos_emb=rotary)  # fmt: skip
    wrapper: nn.Module = TransformerWrapper(num_tokens=VOCABULARY, max_seq_len=size.context, attn_layers=layers,
                                            use_abs_pos_emb=not rotary, tie_embedding=True)  # fmt: skip
    return wrapper


class Logits(nn.Module):
    """A causal model of transformers by its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Any:
        return self.model(tokens, use_cache=False).logits


def gpt2(size: Size) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=VOCABULARY, n_positions=size.context, n_embd=size.width, n_layer=size.layers,
                        n_head=size.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)  # fmt: skip
    return Logits(GPT2LMHeadModel(config))


def llama(size: Size) -> nn.Module:
    """With the gated MLP of the usual eight thirds: as many weights as one without a gate of four times the width."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=size.width, intermediate_size=round(size.width * 8 / 3),
                         num_hidden_layers=size.layers, num_attention_heads=size.heads,
                         max_position_embeddings=size.context, tie_word_embeddings=True)  # fmt: skip
    return Logits(LlamaForCausalLM(config))


PEERS: dict[str, Callable[[Size], nn.Module]] = {
    "plain GPT": Plain,
    "x-transformers rotary": lambda size: x_transformers(size, rotary=True),
    "x-transformers learned": lambda size: x_transformers(size, rotary=False),
    "HF GPT-2": gpt2,
    "HF Llama": llama,
}


def peer_step(name: str, size: Size, precision: str) -> Callable[[], object]:
    """A step as their trainers make it: fused AdamW, gradients clipped at norm 1."""
    model = PEERS[name](size).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.1, fused=True)
    tokens = torch.randint(0, VOCABULARY, (size.batch, size.context + 1))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext():
            logits = model(tokens[:, :-1])
        loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step


def our_step(encoding: str, size: Size, precision: str) -> tuple[Callable[[], object], dict[str, str]]:
    """A step of a run of `locant compare`, drawing its batch included, and the choices of the probe for it."""
    from locant.lab.problems import Text
    from locant.lab.run import Run
    from locant.lab.store import RunFolder
    from locant.lab.train import Training
    from locant.machine.allocator import keep_freed_memory
    from locant.machine.arithmetic import computing
    from locant.machine.probe import Shape, probe

    shape = Shape(size.width, size.heads, size.context, size.batch, VOCABULARY)
    choices = probe(shape, forced={"precision": precision})
    if choices.allocator == "raised":
        keep_freed_memory()
    attention = "auto" if choices.attention == "fused" else choices.attention
    run = Run(encoding=encoding, problem="text", data="", seed=0, width=size.width, heads=size.heads,
              layers=size.layers, hidden=4 * size.width, columns=size.width // 4, context=size.context,
              batch=size.batch, steps=1_000_000, learning_rate=1e-3, weight_decay=0.1, eval_lengths=(), eval_tokens=1,
              curve_points=1, attention=attention, precision=precision, gemm=choices.gemm,
              kernels=choices.kernels)  # fmt: skip
    data = torch.randint(0, VOCABULARY, (1_000_000,), dtype=torch.uint8)
    training = Training(run, Text("noise", data, data), RunFolder(Path(tempfile.gettempdir()), run))

    def step() -> None:
        with computing(run.gemm, run.kernels):
            training.step()

    return step, {name: getattr(choices, name) for name in ("attention", "gemm", "kernels", "allocator", "precision")}


def product_step(gemm: str) -> tuple[Callable[[], object], float]:
    """A product of square matrices, out of the cache's reach of a copy, and its FLOPs."""
    from locant.machine.arithmetic import products

    n = 768
    a, b, out = torch.randn(n, n), torch.randn(n, n), torch.empty(n, n)
    if gemm == "bf16":
        a, b, out = a.bfloat16(), b.bfloat16(), out.bfloat16()

    def step() -> None:
        with products("medium" if gemm == "medium" else "plain"):
            torch.mm(a, b, out=out)

    return step, 2.0 * n**3
