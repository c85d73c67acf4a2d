"""Generated text is what the whole model would have said."""

import pytest
import torch
from support import named, some_tokens
from torch import Tensor

import locant
from locant.encodings import left_padded

EXPRESSIONS = [
    "none",
    "add(learned)",
    "concat(sinusoidal)",
    "beside(learned)",
    "rotary + t5",
    "per_layer(alibi, rotary)",
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_greedy_is_the_most_likely_token_of_the_whole_model(expression: str) -> None:
    model, text = named(expression).model(), some_tokens(3, 5)
    made = locant.generate(model, text, 9)
    assert made.shape == (3, 9)
    for step in range(9):
        with torch.no_grad():
            assert torch.equal(made[:, step], model(text)[:, -1].argmax(-1))
        text = torch.cat([text, made[:, step : step + 1]], dim=1)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_left_padded_batch_is_its_rows_alone(expression: str) -> None:
    model, tokens, lengths = named(expression).model(), some_tokens(3, 8), [8, 3, 1]
    together = locant.generate(model, tokens, 6, layout=left_padded(lengths))
    for row, length in enumerate(lengths):
        assert torch.equal(together[row], locant.generate(model, tokens[row : row + 1, -length:], 6)[0])


def test_samples_repeat_with_the_generator_and_differ_without() -> None:
    model, prompt = named("rotary").model(), some_tokens(4, 5)

    def sample(seed: int) -> Tensor:
        return locant.generate(model, prompt, 12, temperature=1.0, generator=generator(seed))

    assert torch.equal(sample(0), sample(0))
    assert not torch.equal(sample(0), sample(1))


def test_samples_follow_the_tempered_distribution() -> None:
    model, prompt, many = named("alibi").model(), some_tokens(1, 5), 20_000
    for temperature, top in ((1.0, None), (2.5, None), (1.5, 4)):
        made = locant.generate(
            model, prompt.expand(many, -1), 1, temperature=temperature, top=top, generator=generator()
        )
        logits = model(prompt)[0, -1].detach() / temperature
        if top is not None:
            logits[logits.argsort(descending=True)[top:]] = -torch.inf
        expected = logits.softmax(-1)
        found = made.flatten().bincount(minlength=len(expected)) / many
        spread = (expected * (1 - expected) / many).sqrt()
        assert ((found - expected).abs() <= 5 * spread).all()


def test_the_top_token_alone_is_greedy() -> None:
    model, prompt = named("rotary").model(), some_tokens(2, 4)
    sampled = locant.generate(model, prompt, 7, temperature=0.7, top=1, generator=generator())
    assert torch.equal(sampled, locant.generate(model, prompt, 7))


def test_it_goes_on_up_to_the_last_row_of_a_table_and_no_further() -> None:
    model, prompt = named("add(learned)").model(length=10), some_tokens(2, 6)
    assert locant.generate(model, prompt, 5).shape == (2, 5)  # the last token is not read any more
    with pytest.raises(ValueError, match="expected positions below 10, the rows of the table, was: 10"):
        locant.generate(model, prompt, 6)


def test_nothing_is_asked_for_and_nothing_is_made() -> None:
    assert locant.generate(named("none").model(), some_tokens(2, 3), 0).shape == (2, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": torch.zeros(1, 0, dtype=torch.long)}, "a prompt of at least 1 token and steps >= 0, was: 0 and 3"),
        ({"steps": -1}, "a prompt of at least 1 token and steps >= 0, was: 2 and -1"),
        ({"temperature": -0.5}, "was: temperature -0.5, no generator, top None"),
        ({"temperature": 1.0}, "was: temperature 1.0, no generator, top None"),
        ({"generator": generator()}, "was: temperature 0.0, a generator, top None"),
        ({"top": 3}, "was: temperature 0.0, no generator, top 3"),
        ({"temperature": 1.0, "generator": generator(), "top": 0}, "expected top in 1 .. 23, was: 0"),
        ({"temperature": 1.0, "generator": generator(), "top": 24}, "expected top in 1 .. 23, was: 24"),
    ],
)
def test_what_it_refuses(options: dict[str, object], message: str) -> None:
    given = {"prompt": some_tokens(1, 2), "steps": 3, **options}
    with pytest.raises(ValueError, match="expected") as caught:
        locant.generate(named("none").model(), **given)  # type: ignore[arg-type]
    assert message in str(caught.value)
