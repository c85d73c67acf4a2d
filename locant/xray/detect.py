"""The tables of a model's input, found by what the model does rather than by what its parts are called.

A few tokens are put into every slot of a window and the model is run as far as its first layer. The first tensor there
that depends on both token v and slot t is taken. If ``h(v,t) - h(v',t) - h(v,t') + h(v',t')`` vanishes, the two are
added, and ``h(v,t) = W_v + P_t + c`` gives the tables as the model uses them: after any scale, offset or projection.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from locant.xray.stage import Seen, before_first_layer

PROBES, SLOTS = 6, 12  # tokens and slots with which dependence is looked for
LONGEST = 4096  # slots of a table that is a formula and no tensor of the model


@dataclass(frozen=True, eq=False)
class Tables:
    """What enters the first layer.

    tokens: W (vocabulary, width) at `scale` 1; rows of the model's own tensor where that is possible. positions:
    P (slots, width), row t for slot t; None if no position is added. constant: what is added to every sum, such as a
    token type, (width,). kind: `"sum"`, `"none"` or `"mixed"`. interaction: energy of the mixed difference over that
    of the smaller pure one: 0 for a sum. where: the tensor in which both are first found.
    """

    kind: str
    where: str
    tokens: Tensor | None
    scale: float
    positions: Tensor | None
    constant: Tensor
    interaction: float
    width: int
    notes: tuple[str, ...] = field(default=())

    def scaled_tokens(self) -> Tensor:
        """W with its scale: a copy only if there is one. Raises ValueError if there is no token table."""
        if self.tokens is None:
            raise ValueError("expected a model with a token table, was: none found")
        return self.tokens if self.scale == 1 else self.tokens * self.scale


def find_tables(model: nn.Module, vocabulary: int, *, avoid: frozenset[int] = frozenset(), seed: int = 0) -> Tables:
    """The tables of a model with token ids below `vocabulary`; ids to avoid are special ones such as padding.

    Raises ValueError if the first layer cannot be reached from token ids.
    """
    probes = _probes(vocabulary, avoid, seed)
    slots = min(SLOTS, _most_slots(model))
    seen = before_first_layer(model, probes[:, None].expand(-1, slots).contiguous())
    tolerance = 1e-6 if seen[-1].value.dtype in (torch.float32, torch.float64) else 1e-3
    both = next((s for s in seen if min(_by_token(s), _by_slot(s)) > tolerance), None)
    if both is None:
        return _without_positions(model, seen, probes, vocabulary, tolerance)
    mixed = _interaction(both.value)
    if mixed > tolerance:
        note = (
            f"token and position meet in {both.name}, not by a sum: the interaction is {mixed:.2g} of the smaller part"
        )
        return Tables("mixed", both.name, None, 1.0, None, torch.zeros(both.value.shape[-1]), mixed,
                      both.value.shape[-1], (note,))  # fmt: skip
    return _sum(model, seen, both, probes, vocabulary, avoid, mixed, tolerance)


def _sum(model: nn.Module, seen: list[Seen], both: Seen, probes: Tensor, vocabulary: int, avoid: frozenset[int],
         mixed: float, tolerance: float) -> Tables:  # fmt: skip
    earlier, h, notes = seen[: _index(seen, both)], both.value.double(), []
    rows, scale = _token_rows(model, h[:, 0], probes, vocabulary, tolerance)
    position = _position_rows(model, earlier, h, tolerance)
    if position is None:
        slots = min(LONGEST, _most_slots(model))
        long = _find(before_first_layer(model, probes[:1, None].expand(-1, slots).contiguous()), both)
        rest = long[0].mean(0) if rows is None else scale * rows[probes[0]]
        position = (long[0] - rest).float()
        notes.append(f"the position rows are no tensor of the model; {slots} of them were made by running it"
                     + (", without their mean" if rows is None else ""))  # fmt: skip
    constant = (h[0] - position[: h.shape[1]].double()).mean(0)
    if rows is None:
        made = _run_tokens(model, both, position, vocabulary, avoid)
        rows, constant = made, torch.zeros_like(constant)
        notes.append("the token rows are no tensor of the model; they were made by running it")
    else:
        constant = constant - scale * rows[probes[0]].double()
    if (lifted := _projection(model, seen, both)) is not None:
        rows, position, constant = lifted(rows.float() * scale), lifted(position.float()), lifted(constant.float())
        scale = 1.0
        notes.append(f"the sum is made in {both.value.shape[-1]} columns; the tables are shown as they are projected, "
                     "up to the norm's factor for each sum")  # fmt: skip
    return Tables("sum", both.name, rows, scale, position, constant.float(), mixed, rows.shape[1], tuple(notes))


def _without_positions(model: nn.Module, seen: list[Seen], probes: Tensor, vocabulary: int, tolerance: float) -> Tables:
    last = seen[-1]
    rows, scale = _token_rows(model, last.value[:, 0].double(), probes, vocabulary, tolerance)
    if rows is None:  # a norm or a projection may follow; the table itself is what is looked for
        for earlier in seen:
            if earlier.value.shape[0] > 1:
                rows, scale = _token_rows(model, earlier.value[:, 0].double(), probes, vocabulary, tolerance)
            if rows is not None:
                break
    note = "no position reaches the first layer's input; it enters inside of attention, or not at all"
    if getattr(getattr(model, "encoding", None), "beside_width", 0):
        note = "no position is put into the stream: it stands beside, in columns of its own"
    return Tables("none", last.name, rows, scale, None, torch.zeros(last.value.shape[-1]), 0.0, last.value.shape[-1],
                  (note,))  # fmt: skip


def _probes(vocabulary: int, avoid: frozenset[int], seed: int) -> Tensor:
    order = torch.randperm(vocabulary, generator=torch.Generator().manual_seed(seed))
    allowed = [int(token) for token in order if int(token) not in avoid and int(token) > 3]
    if len(allowed) < 2:
        raise ValueError(f"expected at least 2 tokens that are no special ones, was: a vocabulary of {vocabulary}")
    return torch.tensor(allowed[:PROBES])


def _energy(x: Tensor) -> float:
    return float(x.double().square().mean())


def _by_token(seen: Seen) -> float:
    """How much a tensor changes with the token, relative to its own size."""
    value = seen.value
    return 0.0 if value.shape[0] == 1 else _energy(value[1:] - value[:-1]) / max(_energy(value), 1e-30)


def _by_slot(seen: Seen) -> float:
    value = seen.value
    return _energy(value[:, 1:] - value[:, :-1]) / max(_energy(value), 1e-30)


def _interaction(h: Tensor) -> float:
    h = h.double()
    tokens, slots = h[1:, :1] - h[:1, :1], h[:1, 1:] - h[:1, :1]
    mixed = h[1:, 1:] - h[:1, 1:] - h[1:, :1] + h[:1, :1]
    return _energy(mixed) / max(min(_energy(tokens), _energy(slots)), 1e-30)


def _tables_of(model: nn.Module, rows: int) -> list[tuple[str, Tensor]]:
    """All matrices of the model, parameters or not, with so many rows at least; the small ones first."""
    found = [*model.named_parameters(), *model.named_buffers()]
    return sorted(((n, t.detach()) for n, t in found if t.ndim == 2 and len(t) >= rows and t.is_floating_point()),
                  key=lambda pair: pair[1].numel())  # fmt: skip


def _token_rows(model: nn.Module, h: Tensor, probes: Tensor, vocabulary: int,
                tolerance: float) -> tuple[Tensor | None, float]:  # fmt: skip
    """The model's own table whose differences, times one number, are those of h (probes, width); and that number."""
    wanted = h[1:] - h[:1]
    for _, table in _tables_of(model, vocabulary):
        if table.shape[1] != h.shape[1]:
            continue
        got = table[probes].double()
        got = got[1:] - got[:1]
        scale = float((wanted * got).sum() / got.square().sum().clamp(min=1e-300))
        if scale and _energy(wanted - scale * got) <= tolerance * _energy(wanted):
            return table[:vocabulary], 1.0 if abs(scale - 1) < 10 * tolerance else scale  # but for rounding
    return None, 1.0


def _position_rows(model: nn.Module, earlier: list[Seen], h: Tensor, tolerance: float) -> Tensor | None:
    """The model's own table whose differences are those of the sum over slots, from the row of slot 0 on."""
    slots, wanted = h.shape[1], h[0, 1:] - h[0, :1]
    for _, table in _tables_of(model, slots):
        if table.shape[1] != h.shape[2]:
            continue
        for offset in range(min(8, len(table) - slots + 1)):
            got = table[offset : offset + slots].double()
            if _energy(wanted - (got[1:] - got[:1])) <= tolerance * _energy(wanted):
                return table[offset : offset + _most_slots(model)]
    for seen in earlier:  # a formula with a factor, or a sum of several tables
        value = seen.value.double()
        if value.shape[0] == 1 and value.shape[2] == h.shape[2]:
            got = value[0, 1:] - value[0, :1]
            if _energy(wanted - got) <= tolerance * _energy(wanted):
                return _long_run(model, seen)
    return None


def _long_run(model: nn.Module, seen: Seen) -> Tensor:
    slots = min(LONGEST, _most_slots(model))
    tokens = torch.full((1, slots), 5)
    return _find(before_first_layer(model, tokens), seen)[0].float()


def _run_tokens(model: nn.Module, both: Seen, position: Tensor, vocabulary: int, avoid: frozenset[int]) -> Tensor:
    rows = []
    for ids in torch.arange(vocabulary).split(4096):
        rows.append(_find(before_first_layer(model, ids[:, None]), both)[:, 0].float() - position[0].float())
    return torch.cat(rows)


def _index(seen: list[Seen], wanted: Seen) -> int:
    return next(i for i, s in enumerate(seen) if s is wanted)


def _find(seen: list[Seen], wanted: Seen) -> Tensor:
    """The tensor of the same module and side in another run. Raises ValueError if it is not there."""
    for s in seen:
        if (s.module, s.side) == (wanted.module, wanted.side) and s.value.shape[-1] == wanted.value.shape[-1]:
            return s.value
    raise ValueError(f"expected {wanted.name} in every run, was: not there")


def _projection(model: nn.Module, seen: list[Seen], both: Seen) -> Callable[[Tensor], Tensor] | None:
    """If the layers are wider or narrower than the sum: the linear map from one to the other, else None."""
    width, target = both.value.shape[-1], seen[-1].value.shape[-1]
    if width == target:
        return None
    modules = dict(model.named_modules())
    after = [modules[s.module] for s in seen[_index(seen, both) :]]
    linear = next((m for m in after if isinstance(m, nn.Linear) and m.in_features == width), None)
    norm = next((m for m in after if isinstance(m, nn.LayerNorm) and m.normalized_shape == (width,)), None)
    if linear is None:
        raise ValueError(f"expected a projection from {width} to {target} columns, was: none found")
    weight, gain = linear.weight.detach().float(), None if norm is None else norm.weight.detach().float()

    def lifted(x: Tensor) -> Tensor:
        return (x if gain is None else (x - x.mean(-1, keepdim=True)) * gain) @ weight.T

    return lifted


def _most_slots(model: nn.Module) -> int:
    """Slots that a window may have at most, by the model's configuration; its tables may end earlier or later."""
    config = getattr(model, "config", None)
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length"):
        if isinstance(value := getattr(config, key, None), int) and value > 0:
            return value
    limit = getattr(getattr(model, "encoding", None), "limit", None)
    return limit if isinstance(limit, int) else LONGEST
