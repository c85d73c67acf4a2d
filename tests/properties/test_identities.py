"""Facts about adding, concatenating and keeping apart that people argue about, each as a test."""

import torch
from support import differs, noise, perturbed, same, some_tokens
from torch.nn import functional as F

from locant.encodings import (
    Add,
    Beside,
    Code,
    Concat,
    ConcatProject,
    Layout,
    Learned,
    PositionalEncoding,
    contiguous,
)
from locant.model import Decoder

TIME = 10


class Padded(Code):
    """A code with columns of zeros to its left."""

    def __init__(self, code: Code, width: int) -> None:
        super().__init__()
        self.code, self.width, self.limit = code, width, code.limit

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        return F.pad(self.code(positions), (self.width - self.code.width, 0))


class Wide(PositionalEncoding):
    """Tokens with columns of zeros to their right."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra_width = extra

    def embed(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        return F.pad(tokens, (0, self.extra_width))


def decoder(encoding: PositionalEncoding, *, width: int = 16, layers: int = 1) -> Decoder:
    return perturbed(Decoder(encoding, width=width, heads=2, layers=layers, vocabulary=11))


def test_concatenate_and_project_is_an_add_of_projected_tables() -> None:
    """``W [x ; p] = W_x x + W_p p``."""
    code = Learned(TIME, 5, std=1.0)
    encoding = ConcatProject(code, 8)
    encoding.weight.data = noise(8, 13)
    x, positions = noise(2, TIME, 8, seed=1), torch.arange(TIME)[None]
    expected = x @ encoding.weight[:, :8].T + (code.weight @ encoding.weight[:, 8:].T)
    same(encoding.embed(x, positions), expected)
    table = Learned(TIME, 8)  # learned p: the same function is an Add behind a linear map of the tokens
    table.weight.data = code.weight @ encoding.weight[:, 8:].T
    same(encoding.embed(x, positions), Add(table).embed(x @ encoding.weight[:, :8].T, positions))


@torch.no_grad()
def test_a_wide_concatenation_is_an_add_of_zero_padded_tables() -> None:
    from locant.encodings import Chain

    code = Learned(TIME, 4, std=1.0)
    tokens = some_tokens(2, TIME, vocabulary=11)
    wide = decoder(Concat(code))
    padded = Decoder(Chain(Wide(4), Add(Padded(code, 16))), width=16, heads=2, layers=1, vocabulary=11)
    values = wide.state_dict()
    code.weight.copy_(noise(TIME, 4))
    padded.load_state_dict(
        {**{k: v for k, v in values.items() if "code" not in k}, "encoding.parts.1.code.code.weight": code.weight}
    )
    same(padded(tokens), wide(tokens))


def test_a_common_norm_mixes_the_columns_and_separate_norms_do_not() -> None:
    """Scaling the token part changes what is read of the position part after concat, and not after beside."""
    x, z = noise(1, TIME, 12), noise(1, TIME, 4, seed=1)
    common = F.rms_norm(torch.cat([x, z], dim=-1), (16,))
    scaled = F.rms_norm(torch.cat([9 * x, z], dim=-1), (16,))
    differs(scaled[..., 12:], common[..., 12:])
    seen: list[torch.Tensor] = []
    model = decoder(Beside(Learned(TIME, 4, std=1.0)), layers=2)
    model.blocks[0].attention.project.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    tokens = some_tokens(1, TIME, vocabulary=11)
    model(tokens)
    model.tokens.weight.data *= 9
    model(tokens)
    assert torch.equal(seen[0], seen[1])


def test_beside_columns_are_the_same_in_every_layer_and_no_token_writes_them() -> None:
    seen: list[torch.Tensor] = []
    model = decoder(Beside(Learned(TIME, 4, std=1.0)), layers=4)
    for block in model.blocks:
        for reading in (block.attention.project, block.up):
            reading.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    for seed in (0, 1):
        model(some_tokens(3, TIME, seed=seed, vocabulary=11))
    assert len(seen) == 16
    assert all(torch.equal(z, seen[0]) for z in seen)
    assert seen[0].shape == (1, TIME, 4), "computed once for the whole batch"
    assert model.blocks[0].down.weight.shape[0] == model.token_width == 16, "nothing has outputs for them"


@torch.no_grad()
def test_beside_is_a_low_rank_bias_per_position_and_projection() -> None:
    """``W [x ; z] = W_x x + B_i`` with ``B = Z W_z'``, whose rank is at most the number of columns."""
    model = decoder(Beside(Learned(TIME, 3, std=1.0)), layers=1)
    tokens = some_tokens(2, TIME, vocabulary=11)
    expected = model(tokens)
    z = F.rms_norm(model.encoding.code.weight, (3,))
    for reading in (model.blocks[0].attention.project, model.blocks[0].up):
        bias = z @ reading.beside.T
        assert torch.linalg.matrix_rank(bias) == 3
        reading.register_forward_hook(
            lambda module, given, out, bias=bias: F.linear(given[0], module.weight) + bias, always_call=True
        )
    for reading in (model.blocks[0].attention.project, model.blocks[0].up):
        reading.beside.zero_()  # from here on only the biases tell the position
    same(model(tokens), expected)


def position_logits(encoding: PositionalEncoding, time: int) -> tuple[torch.Tensor, int]:
    """``p_i' W_q' W_k p_j`` of the first head, the part of the logit that knows positions only."""
    model = Decoder(encoding, width=16, heads=4, layers=1, vocabulary=11).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.normal_(generator=generator)
    nothing = torch.zeros(1, time, model.token_width, dtype=torch.float64)
    x = model.encoding.embed(nothing, torch.arange(time)[None])
    q, k, _ = (x @ model.blocks[0].attention.project.weight.T).view(time, 3, 4, 4).permute(1, 2, 0, 3)
    q, k = model.encoding.qk(q[None], k[None], torch.arange(time)[None], torch.arange(time)[None])
    return q[0, 0] @ k[0, 0].T, 4


class Decoupled(PositionalEncoding):
    """``q = [q_c ; q_p]`` with learned columns for position in the head."""

    def __init__(self, limit: int, extra: int) -> None:
        super().__init__()
        self.q, self.k = Learned(limit, extra), Learned(limit, extra)

    def qk(self, q, k, q_positions, k_positions):  # type: ignore[no-untyped-def]
        columns = [code(positions)[:, None].expand(*x.shape[:-1], -1)
                   for code, positions, x in ((self.q, q_positions, q), (self.k, k_positions, k))]  # fmt: skip
        return torch.cat([q, columns[0]], dim=-1), torch.cat([k, columns[1]], dim=-1)


def test_the_rank_of_the_position_part_is_at_most_the_head_width_unless_decoupled() -> None:
    time = 14
    for encoding in (Add(Learned(time, 16)), Concat(Learned(time, 12))):
        logits, head_width = position_logits(encoding, time)
        assert torch.linalg.matrix_rank(logits) == head_width
    logits, head_width = position_logits(Decoupled(time, 9), time)
    assert torch.linalg.matrix_rank(logits) == 9 > head_width


def test_concatenated_columns_may_be_overwritten_by_a_layer() -> None:
    """What ``beside`` guarantees and ``concat`` does not."""
    model = decoder(Concat(Learned(TIME, 4, std=1.0)))
    seen: list[torch.Tensor] = []
    model.blocks[0].register_forward_hook(lambda _, given, out: seen.extend([given[0][..., 12:], out[..., 12:]]))
    model(some_tokens(1, TIME, vocabulary=11), Layout(contiguous(TIME).positions))
    differs(seen[0], seen[1])
