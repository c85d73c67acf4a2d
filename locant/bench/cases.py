"""What is timed for each encoding, and against what: the same work without an encoding, or a copy of what it moves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from locant.bench.attention import Decoding, Heads, attention, heads
from locant.bench.options import Options
from locant.bench.peers import rotations
from locant.encodings import PositionalEncoding, Rotary, contiguous
from locant.encodings.once import Memo
from locant.model.attend import sdpa
from locant.model.decoder import ATTENTION, choose

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Case:
    """A call, and the tensors that its gradient is taken for; None where it has no gradient (decoding)."""

    call: Callable[[], Any]
    wanted: tuple[Tensor, ...] | None
    ones: list[Tensor] = field(default_factory=list)

    def forward(self) -> None:
        """The call without gradients."""
        with torch.no_grad():
            self.call()

    def both(self) -> None:
        """The call, and the gradients of all that is wanted."""
        assert self.wanted is not None
        out = self.call()
        outs = out if isinstance(out, tuple) else (out,)
        torch.autograd.grad(outs, self.wanted, self.gradients(outs), allow_unused=True)

    def gradients(self, outs: tuple[Tensor, ...]) -> list[Tensor]:
        """Ones, made once: they are not part of what is timed."""
        if not self.ones:
            self.ones.extend(torch.ones_like(out) for out in outs)
        return self.ones


@dataclass(frozen=True)
class Part:
    """One thing that encodings do: its limit, which all of them are compared with, and a case for each that does it."""

    name: str
    limit: str
    cases: dict[str, Case]


class _Copy(Function):
    """Copies tensors, and copies their gradients on the way back."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.clone() for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(gradient.clone() for gradient in gradients)


def parts(encodings: dict[str, PositionalEncoding], options: Options) -> list[Part]:
    """Every part that one of the encodings has to do with."""
    generator = torch.Generator().manual_seed(options.seed)
    dtype, device = DTYPES[options.format], torch.device(options.device)
    given = heads(options.batch, options.heads, options.length, options.head_width, dtype, generator, device)
    for tensor in (given.q, given.k, given.v, given.x):
        tensor.requires_grad_()
    inside = {name: each for name, each in encodings.items() if not each.defines("embed") or _inside(each.layer(0))}
    made = [_inputs(encodings, options, dtype, generator), _rotations(encodings, given), _attention(inside, given),
            _decoding(inside, given)]  # fmt: skip
    return [part for part in made if len(part.cases) > 1]


def _inside(encoding: PositionalEncoding) -> bool:
    """Whether it does anything between the projections of a layer."""
    return any(map(encoding.defines, ("qk", "values", "output", "notes", "score_mod", "read")))


def attention_of(encoding: PositionalEncoding) -> str:
    """The name of the attention that a decoder takes for the encoding."""
    return choose("auto", (encoding,))


def _parameters(encoding: PositionalEncoding) -> tuple[Tensor, ...]:
    return tuple(parameter for parameter in encoding.parameters() if parameter.requires_grad)


def _learned(encoding: PositionalEncoding, *hooks: str) -> tuple[Tensor, ...]:
    """The parameters of the parts that do something in one of these hooks."""
    some = [
        each for each in encoding.modules() if isinstance(each, PositionalEncoding) and any(map(each.defines, hooks))
    ]
    return tuple(dict.fromkeys(parameter for each in some for parameter in _parameters(each)))


def _inputs(encodings: dict[str, PositionalEncoding], options: Options, dtype: torch.dtype,
            generator: torch.Generator) -> Part:  # fmt: skip
    width, device = options.heads * options.head_width, torch.device(options.device)
    tokens = torch.randint(options.vocabulary, (options.batch, options.length), generator=generator).to(device)

    def table(columns: int) -> Tensor:
        return torch.randn(options.vocabulary, columns, generator=generator).to(device, dtype).requires_grad_()

    tables = {width: table(width)}
    positions, limit = contiguous(options.length, device=device).positions, "bare lookup"
    cases = {limit: Case(lambda: F.embedding(tokens, tables[width]), (tables[width],))}
    for name, encoding in encodings.items():
        if encoding.defines("embed"):
            columns = width - encoding.extra_width
            if columns not in tables:
                tables[columns] = table(columns)
            call = partial(_looked_up, encoding, tables[columns], tokens, positions, Memo())
            cases[name] = Case(call, (tables[columns], *_parameters(encoding)))
    return Part("input", limit, cases)


def _looked_up(encoding: PositionalEncoding, table: Tensor, tokens: Tensor, positions: Tensor, memo: Memo) -> Tensor:
    with memo.open():
        return encoding.look_up(table, tokens, positions)


def _rotations(encodings: dict[str, PositionalEncoding], given: Heads) -> Part:
    limit, wanted, positions = "copy of q and k", (given.q, given.k), given.layout.positions
    cases = {limit: Case(partial(_Copy.apply, given.q, given.k), wanted)}

    def rotate(encoding: PositionalEncoding, memo: Memo) -> tuple[Tensor, Tensor]:
        with memo.open():
            return encoding.qk(given.q, given.k, positions, positions)

    for name, encoding in encodings.items():
        own = encoding.layer(0)
        if own.defines("qk"):
            cases[name] = Case(partial(rotate, own, Memo()), (*wanted, *_learned(own, "qk")))
    if any(isinstance(module, Rotary) for each in encodings.values() for module in each.modules()):
        cases |= {name: Case(call, wanted) for name, call in rotations(given).items()}
    return Part("queries and keys", limit, cases)


def _attention(encodings: dict[str, PositionalEncoding], given: Heads) -> Part:
    limit, wanted = "causal attention of PyTorch", (given.q, given.k, given.v)
    cases = {limit: Case(partial(F.scaled_dot_product_attention, given.q, given.k, given.v, is_causal=True), wanted)}
    for name, encoding in encodings.items():
        own = encoding.layer(0)
        call = partial(attention, own, ATTENTION[attention_of(own)], given, Memo())
        cases[name] = Case(call, (*wanted, *_learned(own, "qk", "score_mod")))
    return Part("attention", limit, cases)


def _decoding(encodings: dict[str, PositionalEncoding], given: Heads) -> Part:
    limit, cases = "one token of plain attention", dict[str, Case]()
    for name, encoding in {limit: PositionalEncoding(), **encodings}.items():
        own = encoding.layer(0)
        attend = sdpa if name == limit else ATTENTION[attention_of(own)]
        cases[name] = Case(Decoding(own, attend, given), None)
    return Part("decoding", limit, cases)
