"""Finds by two small passes where a transformers model reads its hidden states, and listens there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from locant.xray.attention import eager, recorded
from locant.xray.heads import Call, Layer, outline
from locant.xray.site import Deliver, Site


@dataclass(frozen=True)
class Trace:
    """What listening needs: by which route attention is reached, and for each layer its site and modules.

    blocks: the layer's module. attentions: its attention module. listened: for ``normed``, ``mlp`` and ``neurons``
    the module whose input it is. Layers that share their weights share modules.
    """

    route: str
    sites: tuple[Site, ...]
    blocks: tuple[nn.Module, ...]
    attentions: tuple[nn.Module, ...]
    listened: tuple[dict[str, nn.Module], ...]


@dataclass
class _Hooks:
    """Handles of hooks, removed together."""

    handles: list[Any] = field(default_factory=list)

    def before(self, module: nn.Module, call: Callable[[Any, dict[str, Any]], None]) -> None:
        self.handles.append(module.register_forward_pre_hook(lambda _, a, k: call(a, k), with_kwargs=True))

    def after(self, module: nn.Module, call: Callable[[Any, dict[str, Any], Any], None]) -> None:
        self.handles.append(module.register_forward_hook(lambda _, a, k, out: call(a, k, out), with_kwargs=True))

    def __enter__(self) -> "_Hooks":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()


def hidden_states(args: Any, kwargs: dict[str, Any]) -> Tensor | None:
    """The hidden states among a module's arguments: by name, or the first tensor of three axes."""
    by_name = kwargs.get("hidden_states")
    if isinstance(by_name, Tensor):
        return by_name
    return next((each for each in [*args, *kwargs.values()] if isinstance(each, Tensor) and each.ndim == 3), None)


def weights_in(output: Any, batch: int, time: int) -> Tensor | None:
    """Attention weights ``[batch, head, time, time]`` among what a module returns, if any."""
    for each in output if isinstance(output, tuple | list) else ():
        if isinstance(each, Tensor) and each.ndim == 4 and (each.shape[0], *each.shape[2:]) == (batch, time, time):
            sums = each.detach().float().sum(-1)
            if bool((each >= 0).all()) and bool((sums < 1.01).all()) and bool((sums > 0).any()):
                return each.detach()
    return None


def look(base: Any, inputs: dict[str, Any], layers: int, route: str) -> Trace:
    """The layers, attention modules and readers of ``base`` that a pass over ``inputs`` meets by ``route``.

    Raises ValueError if attention is not reached exactly once in every layer.
    """
    found = _find_attention(base, inputs, route)
    if len(found) != layers:
        kind = "the attention interface" if route == "interface" else "eager attention"
        raise ValueError(f"expected {kind} to be reached once in each of {layers} layers, was: {len(found)} times")
    modules = dict(base.named_modules())
    paths = {id(module): path for path, module in modules.items()}
    attentions = [module for module, _ in found]
    blocks = [modules[_outermost(modules, paths[id(module)])] for module in attentions]
    met = _meet(base, inputs, blocks, attentions)
    width = met[0].normed_width
    sites, listened = [], []
    for index, (layer, (attention, weights)) in enumerate(zip(met, found, strict=True)):
        where = (paths[id(blocks[index])], paths[id(attention)])
        site, sources = outline(index, where, layer, weights, width)
        sites.append(site)
        listened.append(sources)
    return Trace(route, tuple(sites), tuple(blocks), tuple(attentions), tuple(listened))


def _find_attention(base: Any, inputs: dict[str, Any], route: str) -> list[tuple[nn.Module, Tensor]]:
    """Attention modules with their weights in the small pass, in the order of calls."""
    batch, time = inputs["input_ids"].shape
    found: list[tuple[nn.Module, Tensor]] = []
    if route == "interface":
        with recorded(base, lambda module, logits: found.append((module, logits.softmax(-1)))), torch.no_grad():
            base(**inputs)
        return found

    def keep(module: nn.Module) -> Callable[[Any, dict[str, Any], Any], None]:
        def after(_: Any, __: dict[str, Any], output: Any) -> None:
            weights = weights_in(output, batch, time)
            # The innermost module comes first; those around it hand the same tensor on.
            if weights is not None and all(weights.data_ptr() != old.data_ptr() for _, old in found):
                found.append((module, weights))

        return after

    with _Hooks() as hooks, eager(base), torch.no_grad():
        for module in base.modules():
            if module is not base and not any(isinstance(each, nn.ModuleList) for each in module.children()):
                hooks.after(module, keep(module))
        base(**inputs, output_attentions=True)
    return found


def _outermost(modules: dict[str, nn.Module], path: str) -> str:
    """The outermost member of a module list that holds the module at ``path``."""
    parts = path.split(".")
    for end in range(1, len(parts)):
        if isinstance(modules[".".join(parts[:end])], nn.ModuleList):
            return ".".join(parts[: end + 1])
    raise ValueError(f"expected attention inside of a list of layers, was: {path}")


def _meet(base: Any, inputs: dict[str, Any], blocks: list[nn.Module], attentions: list[nn.Module]) -> list[Layer]:
    """Every linear map that each layer calls, with its input and output, and what its attention returns."""
    batch, time = inputs["input_ids"].shape
    met: list[Layer] = []

    def linear(path: str, module: nn.Module) -> Callable[[Any, dict[str, Any], Any], None]:
        def after(args: Any, kwargs: dict[str, Any], output: Any) -> None:
            x = args[0] if args else hidden_states(args, kwargs)
            if met and isinstance(x, Tensor) and isinstance(output, Tensor) and x.numel() == batch * time * x.shape[-1]:
                shape = (batch, time, -1)
                met[-1].calls.append(Call(path, module, x.detach().view(shape), output.detach().view(shape)))

        return after

    def attended(args: Any, kwargs: dict[str, Any], output: Any) -> None:
        out = output[0] if isinstance(output, tuple | list) else output
        met[-1].out = out.detach() if isinstance(out, Tensor) else None

    with _Hooks() as hooks, torch.no_grad():
        for block in dict.fromkeys(blocks):
            hooks.before(block, lambda args, kwargs: met.append(Layer(hidden_states(args, kwargs))))
        for attention in dict.fromkeys(attentions):
            hooks.after(attention, attended)
        for path, module in base.named_modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, Tensor) and weight.ndim == 2 and not isinstance(module, nn.Embedding):
                hooks.after(module, linear(path, module))
        base(**inputs)
    if len(met) != len(attentions):
        raise ValueError(f"expected one layer module for each of {len(attentions)} attentions, was: {len(met)}")
    return met


@contextmanager
def listening(base: Any, trace: Trace, captures: frozenset[str], deliver: Deliver) -> Iterator[None]:
    """Within it, a pass of ``base`` delivers the captures of every layer.

    Raises ValueError at its end if a capture did not come exactly once from every layer that has it.
    """
    state, came = _State(), {name: 0 for name in captures}

    def give(name: str, x: Tensor) -> None:
        came[name] += 1
        deliver(name, state.layer, x.detach())

    def enter(args: Any, kwargs: dict[str, Any]) -> None:
        state.layer += 1
        state.armed = set(captures)
        x = hidden_states(args, kwargs)
        if "raw" in captures and x is not None:
            give("raw", x)

    def leave(args: Any, kwargs: dict[str, Any], output: Any) -> None:
        out = output[0] if isinstance(output, tuple | list) else output
        if "raw" in captures and state.layer == len(trace.sites) - 1:
            came["raw"] += 1
            deliver("raw", state.layer + 1, out.detach())

    def read(name: str, module: nn.Module) -> Callable[[Any, dict[str, Any]], None]:
        def before(args: Any, kwargs: dict[str, Any]) -> None:
            # A map that is called twice in a layer reads hidden states at the first call.
            if name in state.armed and trace.listened[state.layer].get(name) is module:
                state.armed.discard(name)
                x = args[0] if args else hidden_states(args, kwargs)
                assert isinstance(x, Tensor)
                give(name, x if x.ndim == 3 else x.view(*state.shape, -1))

        return before

    with _Hooks() as hooks:
        hooks.before(base, lambda args, kwargs: setattr(state, "shape", kwargs["input_ids"].shape))
        for block in dict.fromkeys(trace.blocks):
            hooks.before(block, enter)
            hooks.after(block, leave)
        for name in captures & {"normed", "mlp", "neurons"}:
            for module in dict.fromkeys(each[name] for each in trace.listened if name in each):
                hooks.before(module, read(name, module))
        yield
    for name in captures - {"logits"}:
        due = len(trace.sites) + 1 if name == "raw" else sum(name in each for each in trace.listened)
        if came[name] != due:
            raise ValueError(f"expected {name} from {due} layers, was: {came[name]}")


@dataclass
class _State:
    """Which layer a pass is in, which captures it still owes, and the shape of the tokens."""

    layer: int = -1
    armed: set[str] = field(default_factory=set)
    shape: tuple[int, ...] = ()


@contextmanager
def logits_heard(base: Any, trace: Trace, deliver: Deliver) -> Iterator[dict[str, Any]]:
    """Within it, a pass of ``base`` with the yielded arguments delivers the attention logits of every layer.

    By the route ``eager`` they are logarithms of the weights, which differ from logits by a number for each row.
    Raises ValueError if they do not come once from every layer.
    """
    heard = 0

    def record(module: nn.Module, logits: Tensor) -> None:
        nonlocal heard
        if module is not trace.attentions[heard]:
            raise ValueError(f"expected the attention of layer {heard}, was: that of another")
        deliver("logits", heard, logits.detach())
        heard += 1

    def written(module: nn.Module) -> Callable[[Any, dict[str, Any], Any], None]:
        return lambda args, kwargs, output: record(module, _logarithm(output))

    if trace.route == "interface":
        with recorded(base, record):
            yield {}
    else:
        with _Hooks() as hooks, eager(base):
            for module in dict.fromkeys(trace.attentions):
                hooks.after(module, written(module))
            yield {"output_attentions": True}
    if heard != len(trace.sites):
        raise ValueError(f"expected attention logits from {len(trace.sites)} layers, was: {heard}")


def _logarithm(output: Any) -> Tensor:
    """Logarithms of the weights among an attention module's output; a pair hidden in all rows and heads is hidden.

    Weights too small for the number format count as its smallest number where another row or head sees the pair.
    """
    weights = next(each for each in output if isinstance(each, Tensor) and each.ndim == 4)
    visible = (weights > 0).flatten(0, 1).any(0)
    logs = weights.float().clamp_min(torch.finfo(torch.float32).tiny).log()
    return logs.masked_fill(~visible, -torch.inf)
