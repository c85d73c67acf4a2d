"""Budgets against arithmetic, costs against formulas written by hand and against real models."""

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from support import refusal

from locant.lab.budget import Budget, cost
from locant.model.decoder import decoder

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
KINDS = {"": "tokens", "tokens": "tokens", "flops": "flops", "s": "seconds"}
WIDTH, HEADS, LAYERS, CONTEXT, BATCH, VOCABULARY, COLUMNS = 24, 2, 3, 10, 5, 31, 8


@given(
    number=st.one_of(st.integers(1, 10**9), st.decimals("0.001", "1e6", places=3)),
    unit=st.sampled_from(sorted(UNITS)),
    kind=st.sampled_from(sorted(KINDS)),
    spaces=st.sampled_from(["", " "]),
)
@rules(max_examples=80, deadline=None)
def test_budgets_are_read(number, unit, kind, spaces):
    budget = Budget.parse(f"{spaces}{number}{unit}{kind}{spaces}")
    assert budget.amount == pytest.approx(float(number) * UNITS[unit], rel=1e-12)
    assert budget.unit == KINDS[kind]


@pytest.mark.parametrize(("text", "amount", "unit"), [
    ("200k", 200_000, "tokens"), ("5M", 5e6, "tokens"), ("60s", 60, "seconds"), ("1e12flops", 1e12, "flops"),
    ("1.5e+3", 1500, "tokens"), ("2.5Gflops", 2.5e9, "flops"), ("1e-1s", 0.1, "seconds"),
])  # fmt: skip
def test_documented_budgets(text, amount, unit):
    assert Budget.parse(text) == Budget(amount, unit)


@given(st.text(max_size=8))
@rules(max_examples=150, deadline=None)
def test_any_text_is_a_positive_budget_or_refused(text):
    found: list[Budget] = []
    try:
        found.append(Budget.parse(text))
    except ValueError:
        message = refusal(lambda: Budget.parse(text))
        assert message == f"expected a budget such as 200k, 5M (tokens), 60s or 1e12flops, was: {text!r}"
    assert all(0 < budget.amount < float("inf") and budget.unit in KINDS.values() for budget in found)


@pytest.mark.parametrize("text", ["", "0", "0k", "-5k", "nan", "inf", "1e999", "1.2.3", "5K", "ten", "5 M", "5minutes",
                                  "12 flops", "e5", "."])  # fmt: skip
def test_what_is_no_budget_is_refused(text):
    assert refusal(lambda: Budget.parse(text)).endswith(f"was: {text!r}")


@given(steps=st.integers(1, 10**6), batch=st.integers(1, 64), price=st.integers(1, 10**6))
@rules(max_examples=60, deadline=None)
def test_a_budget_buys_the_steps_that_it_pays_for(steps, batch, price):
    def bought(amount, unit):
        return Budget(amount, unit).steps(
            tokens_per_step=batch * CONTEXT, flops_per_token=price, seconds_per_step=price / 1000
        )

    assert bought(steps * batch * CONTEXT, "tokens") == steps
    assert bought(steps * batch * CONTEXT * price, "flops") == steps
    assert bought(steps * price / 1000, "seconds") == steps
    assert abs(bought(steps * batch * CONTEXT * 1.3, "tokens") - 1.3 * steps) <= 0.5


def test_too_small_a_budget_is_refused():
    few = {"tokens_per_step": 1024, "flops_per_token": 10.0, "seconds_per_step": 0.5}
    assert Budget(600, "tokens").steps(**few) == 1
    assert refusal(lambda: Budget(500, "tokens").steps(**few)) == (
        "expected a budget of at least one step (1024 tokens), was: 500"
    )
    assert "at least one step (1.024e+04 flops), was: 10" in refusal(lambda: Budget(10, "flops").steps(**few))
    assert "expected a measured time per step" in refusal(
        lambda: Budget(5, "seconds").steps(**{**few, "seconds_per_step": None})
    )


def costs(encoding, hidden=40, **changes):
    shape = {"width": WIDTH, "heads": HEADS, "layers": LAYERS, "context": CONTEXT, "batch": BATCH,
             "columns": COLUMNS, "vocabulary": VOCABULARY, **changes}  # fmt: skip
    return cost(encoding, hidden=hidden, **shape)


def by_hand(hidden=40, *, tokens=WIDTH, beside=0, learned=False):
    """FLOPs of a training step per token. Two per multiplication and addition; three products for each matrix: the
    value, the gradient of the input, the gradient of the weights. All inputs but fixed codes need their gradient."""
    weights = WIDTH * 3 * WIDTH + WIDTH * WIDTH + 2 * WIDTH * hidden
    attention = 2 * CONTEXT * WIDTH  # every query with every key, then every weight with every value
    head = tokens * VOCABULARY
    columns = beside * (3 * WIDTH + hidden) / BATCH  # once per position, shared by the batch
    return 2 * (3 * (LAYERS * (weights + attention) + head) + (3 if learned else 2) * LAYERS * columns)


@pytest.mark.parametrize(("encoding", "expected"), [
    ("none", by_hand()),
    ("add(learned)", by_hand()),
    ("add(sinusoidal)", by_hand()),
    ("rotary", by_hand()),
    ("alibi", by_hand()),
    ("concat(learned)", by_hand(tokens=WIDTH - COLUMNS)),
    ("concat(sinusoidal, width=6)", by_hand(tokens=WIDTH - 6)),
    ("beside(learned)", by_hand(beside=COLUMNS, learned=True)),
    ("beside(sinusoidal, width=12)", by_hand(beside=12)),
    ("concat(learned) + rotary", by_hand(tokens=WIDTH - COLUMNS)),
])  # fmt: skip
def test_flops_against_the_formula(encoding, expected):
    assert costs(encoding).flops_per_token == pytest.approx(expected, rel=1e-12)


def test_flops_follow_the_hidden_width():
    assert costs("none", hidden=80).flops_per_token == pytest.approx(by_hand(80), rel=1e-12)


@pytest.mark.parametrize("encoding", ["none", "add(learned)", "concat(learned)", "beside(learned)", "rotary", "alibi",
                                      "gate(learned)", "scaled_add(sinusoidal)", "t5",
                                      "concat_project(random)"])  # fmt: skip
def test_parameters_against_a_real_model(encoding):
    model = decoder(encoding, WIDTH, HEADS, LAYERS, CONTEXT, VOCABULARY, hidden=40)
    counted = costs(encoding, columns=None).parameters
    assert counted == sum(parameter.numel() for parameter in model.parameters())
    # A tied head is there once, and what can be derived is not stored.
    assert counted == sum(tensor.numel() for tensor in model.state_dict().values())


@pytest.mark.parametrize("encoding", ["none", "rotary"])
def test_parameters_against_the_formula(encoding):
    block = 2 * WIDTH + 4 * WIDTH * WIDTH + 2 * WIDTH * 40
    assert costs(encoding).parameters == VOCABULARY * WIDTH + LAYERS * block + WIDTH
