"""The decoder: its head, its initial values, its choice of attention, and what it refuses."""

import pytest
import torch
from support import HEADS, LAYERS, VOCABULARY, WIDTH, differs, named, same, some_tokens
from torch import Tensor, nn

import locant
from locant.encodings import Add, Alibi, Learned, PositionalEncoding, build
from locant.model import Decoder


class Linear(PositionalEncoding):
    """An encoding with one of torch's own modules inside."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, HEADS)


class Kept(PositionalEncoding):
    """An encoding that starts its parameter itself."""

    def __init__(self) -> None:
        super().__init__()
        self.decay = nn.Parameter(torch.arange(6.0).view(2, 3))


class Widened(PositionalEncoding):
    """Queries and keys with columns of zeros at their right."""

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return nn.functional.pad(q, (0, 5)), nn.functional.pad(k, (0, 5))


class Multiplying(PositionalEncoding):
    """Scores that are not only added to."""

    additive = False


def decoder(encoding: PositionalEncoding, *, width: int = WIDTH, attention: str = "auto", seed: int = 0) -> Decoder:
    return locant.decoder(encoding, width, HEADS, LAYERS, 16, VOCABULARY, attention=attention, seed=seed)


@torch.no_grad()
def test_the_tied_head_reads_token_columns_only() -> None:
    model, tokens = named("concat(learned, width=6)").model(), some_tokens(2, 9)
    assert model.token_width == model.tokens.weight.shape[1] == WIDTH - 6
    expected = model(tokens)
    added: list[torch.Tensor] = [torch.zeros(WIDTH)]
    model.blocks[-1].register_forward_hook(lambda _, given, out: out + added[0])
    added[0][-6:] = 100.0
    assert torch.equal(model(tokens), expected)
    added[0][0] = 1.0
    differs(model(tokens), expected)


@torch.no_grad()
def test_the_head_is_the_embedding() -> None:
    model, tokens = named("none").model(), some_tokens(1, 4)
    expected = model(tokens)
    unused = next(token for token in range(VOCABULARY) if token not in tokens)
    model.tokens.weight[unused] *= 3
    changed = model(tokens)
    same(changed[..., unused], 3 * expected[..., unused])
    changed[..., unused] = expected[..., unused]
    same(changed, expected)


def test_equal_seed_name_and_shape_give_equal_values_across_encodings() -> None:
    expressions = ["none", "add(learned)", "rotary", "t5", "beside(learned, width=8)", "concat(learned, width=8)"]
    plain, *others = [locant.decoder(e, WIDTH, HEADS, LAYERS, 16, VOCABULARY, seed=4) for e in expressions]
    values = dict(plain.named_parameters())
    for other in others:
        shared = 0
        for name, parameter in other.named_parameters():
            if name in values and parameter.shape == values[name].shape and "project" not in name and "up" not in name:
                assert torch.equal(parameter, values[name]), name
                shared += 1
        assert shared >= 1 + 4 * LAYERS - 1
    assert torch.equal(
        others[0].encoding.code.weight, decoder(Add(Learned(16, WIDTH, std=WIDTH**-0.5)), seed=4).encoding.code.weight
    )
    for name, parameter in others[0].named_parameters():
        other = dict(others[1].named_parameters()).get(name)
        assert other is None or torch.equal(parameter, other)


def test_other_seeds_and_names_give_other_values() -> None:
    one, other = decoder(PositionalEncoding(), seed=0), decoder(PositionalEncoding(), seed=1)
    matrices = [p for p in one.parameters() if p.ndim > 1]
    for first, second in zip(matrices, [p for p in other.parameters() if p.ndim > 1], strict=True):
        assert not torch.equal(first, second)
    assert not torch.equal(one.blocks[0].down.weight, one.blocks[1].down.weight)


def test_it_starts_as_documented() -> None:
    model = locant.decoder("beside(learned, width=64)", 256, 4, 3, 16, 500)
    spreads = {
        "tokens.weight": 256**-0.5,
        "blocks.1.attention.project.weight": 320**-0.5,
        "blocks.1.attention.project.beside": 320**-0.5,
        "blocks.1.attention.out.weight": 256**-0.5 / 6**0.5,
        "blocks.1.up.weight": 320**-0.5,
        "blocks.1.down.weight": 1024**-0.5 / 6**0.5,
    }
    parameters = dict(model.named_parameters())
    for name, spread in spreads.items():
        assert float(parameters[name].detach().std()) == pytest.approx(spread, rel=0.05), name
        assert abs(float(parameters[name].detach().mean())) < 0.05 * spread, name
    for name, parameter in parameters.items():
        if parameter.ndim == 1:
            assert torch.equal(parameter, torch.ones_like(parameter)), name


def test_logits_start_small_and_the_loss_near_that_of_guessing() -> None:
    model, tokens = locant.decoder("rotary", 128, 4, 4, 32, 200), some_tokens(8, 33, vocabulary=200)
    loss = nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    guessing = torch.log(torch.tensor(200.0))
    assert 0.95 * guessing < loss < 1.2 * guessing


def test_torch_modules_inside_of_an_encoding_are_drawn_by_name() -> None:
    torch.manual_seed(0)
    one = decoder(Linear(), seed=2)
    torch.manual_seed(1)
    other = decoder(Linear(), seed=2)
    assert torch.equal(one.encoding.gate.weight, other.encoding.gate.weight)
    assert torch.equal(one.encoding.gate.bias, torch.zeros(HEADS))
    assert not torch.equal(one.encoding.gate.weight, decoder(Linear(), seed=3).encoding.gate.weight)


def test_parameters_that_an_encoding_starts_itself_are_left_alone() -> None:
    assert torch.equal(decoder(Kept()).encoding.decay, torch.arange(6.0).view(2, 3))


def test_parameters_agree_in_all_formats_up_to_rounding() -> None:
    low = decoder(Alibi(HEADS)).bfloat16()
    low.reset_parameters(0)
    for one, other in zip(low.parameters(), decoder(Alibi(HEADS)).parameters(), strict=True):
        assert torch.equal(one, other.bfloat16())


def test_the_attention_is_chosen_by_what_the_scores_allow() -> None:
    assert decoder(Alibi(HEADS)).attention == "blocks"
    assert decoder(Multiplying()).attention == "dense"
    assert decoder(Alibi(HEADS), attention="flex").attention == "flex"
    part = build("per_layer(rotary, none)", width=WIDTH, heads=HEADS)
    part.cycle[1] = Multiplying()
    assert decoder(part).attention == "dense"
    with pytest.raises(ValueError, match=r"expected the attention dense or flex .* only added to, was: sdpa"):
        decoder(Multiplying(), attention="sdpa")
    with pytest.raises(ValueError, match=r"expected the attention dense or flex .* only added to, was: blocks"):
        decoder(Multiplying(), attention="blocks")
    with pytest.raises(ValueError, match="expected the attention auto, blocks, dense, sdpa, flex, was: fast"):
        decoder(Alibi(HEADS), attention="fast")


def test_flex_refuses_gradients_on_a_cpu() -> None:
    model = decoder(Alibi(HEADS), attention="flex")
    with pytest.raises(ValueError, match="expected no gradient, as FlexAttention has none on CPU"):
        model(some_tokens(1, 4))


def test_widths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a width divisible by the 4 heads, was: 30"):
        decoder(PositionalEncoding(), width=30)
    with pytest.raises(ValueError, match="expected fewer position columns than the width 8, was: 8"):
        decoder(build("concat(learned, width=8)", width=16, heads=4, length=9), width=8)


@pytest.mark.parametrize("attention", ["dense", "sdpa"])
@torch.no_grad()
def test_wider_queries_keep_the_scale_of_the_head(attention: str) -> None:
    """Columns of zeros in q and k change nothing, so the scale cannot have followed the width."""
    plain, wide = decoder(PositionalEncoding(), attention=attention), decoder(Widened(), attention=attention)
    same(wide(some_tokens(2, 6)), plain(some_tokens(2, 6)))


@torch.no_grad()
def test_the_batch_shape_of_positions_is_kept_small() -> None:
    """Positions that all rows share are worked on once, not once for each row."""
    model = named("beside(learned) + alibi").model()
    seen: list[torch.Size] = []
    model.blocks[0].up.register_forward_pre_hook(lambda _, given: seen.append(given[1].shape))
    model(some_tokens(5, 7))
    assert seen == [torch.Size([1, 7, 8])]


def test_hidden_is_the_width_of_the_mlp() -> None:
    model = locant.decoder("none", 32, 4, 2, 8, 11, hidden=5)
    assert model.blocks[0].up.weight.shape == (5, 32)
    assert model(some_tokens(1, 3, vocabulary=11)).shape == (1, 3, 11)
