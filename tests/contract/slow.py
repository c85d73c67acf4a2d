"""The checks that compile: fullgraph, export, and FlexAttention."""

import torch
from support import Subject, decode, part, refusal, same, some_tokens

from locant.encodings import Layout, contiguous, packed, shifted

TIME = 12


def layers(subject: Subject) -> int:
    return 3 if "per" in subject.name else 1


def check_compiles_once(subject: Subject) -> None:
    """One graph, forward and backward, that serves other positions and offsets without being made again."""
    torch._dynamo.reset()
    model, tokens = subject.model(layers=layers(subject)), some_tokens(2, TIME)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=False)
    offsets = torch.tensor([[0], [3]])
    compiled(tokens, shifted(contiguous(TIME), offsets)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with torch.compiler.set_stance("fail_on_recompile"):
        for offset in (1, 17, 40):
            layout = shifted(contiguous(TIME), offsets + offset)
            same(compiled(tokens, layout), model(tokens, layout), f"offset {offset}")
    torch._dynamo.reset()


def check_compiled_table_refuses(subject: Subject) -> None:
    """A compiled graph cannot raise ValueError, but it does not go on with a wrong position either."""
    torch._dynamo.reset()
    model, tokens = subject.model(layers=1), some_tokens(2, TIME)
    assert model.encoding.limit == 64
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=False)
    with torch.no_grad():
        same(compiled(tokens, contiguous(TIME, start=64 - TIME)), model(tokens, contiguous(TIME, start=64 - TIME)))
        for start in (60, -1):
            outside = contiguous(TIME, start=start)
            message = refusal(lambda outside=outside: compiled(tokens, outside), RuntimeError)
            assert "expected positions in 0 .. 63" in message
    torch._dynamo.reset()


@torch.no_grad()
def check_exports(subject: Subject) -> None:
    model, tokens = subject.model(layers=layers(subject)), some_tokens(2, TIME)
    layout = Layout(contiguous(TIME).positions.expand(2, -1).contiguous())
    exported = torch.export.export(model, (tokens, layout)).module()
    for offset in (0, 9):
        moved = shifted(layout, torch.tensor([[0], [offset]]))
        same(exported(tokens, moved), model(tokens, moved), f"offset {offset}")


@torch.no_grad()
def check_flex_is_dense(subject: Subject) -> None:
    if subject.make(64).reads_weights:
        return
    tokens = some_tokens(2, TIME)
    dense, flex = (subject.model(layers=layers(subject), attention=attention) for attention in ("dense", "flex"))
    rows = shifted(contiguous(TIME), torch.tensor([[0], [9]]))
    for layout in (contiguous(TIME), packed([[5, 7], [9, 3]]), rows):
        same(flex(tokens, layout), dense(tokens, layout))
    same(decode(flex, tokens, part(rows, 0, TIME), [9, 3]), dense(tokens, rows), "in chunks")


CHECKS = [check_compiles_once, check_exports, check_flex_is_dense]
