"""Each way of matching holds equal what it says."""

from functools import cache

import pytest
from support import refusal

from locant.lab.budget import cost
from locant.lab.match import MODES, Size, fit
from locant.lab.settings import DEFAULT_ENCODINGS
from locant.model.decoder import Decoder, build

SIZE = Size(width=32, heads=2, layers=1, columns=8, context=16, batch=4)
VOCABULARY = 50


@cache
def target():
    return fit("add(learned)", "token", SIZE, VOCABULARY).cost


def priced(encoding, model, hidden):
    return cost(encoding, width=model.width, heads=SIZE.heads, layers=SIZE.layers, hidden=hidden, columns=SIZE.columns,
                context=SIZE.context, batch=SIZE.batch, vocabulary=VOCABULARY)  # fmt: skip


@pytest.mark.parametrize("encoding", DEFAULT_ENCODINGS)
def test_total_width(encoding):
    model = fit(encoding, "total", SIZE, VOCABULARY, target())
    assert model.token_width + model.position_width == SIZE.width
    assert model.position_width == (8 if encoding.startswith(("concat", "beside")) else 0)
    assert model.hidden == 4 * SIZE.width


@pytest.mark.parametrize("encoding", DEFAULT_ENCODINGS)
@pytest.mark.parametrize("mode", ["token", "parameters", "flops"])
def test_token_width(encoding, mode):
    model = fit(encoding, mode, SIZE, VOCABULARY, target())
    assert model.token_width == SIZE.width
    assert model.width == SIZE.width + (8 if encoding.startswith("concat") else 0)
    if mode == "token":
        assert model.hidden == 4 * model.width


@pytest.mark.parametrize("encoding", DEFAULT_ENCODINGS)
@pytest.mark.parametrize(("mode", "name"), [("parameters", "parameters"), ("flops", "flops_per_token")])
def test_parameters_and_flops_agree_within_one_hidden_unit(encoding, mode, name):
    goal = getattr(target(), name)
    model = fit(encoding, mode, SIZE, VOCABULARY, target())
    here = getattr(model.cost, name)
    more, less = (getattr(priced(encoding, model, model.hidden + i), name) for i in (1, -1))
    assert abs(here - goal) <= (more - here) / 2 + 1e-6
    assert abs(here - goal) <= min(abs(more - goal), abs(less - goal)) + 1e-6


def test_the_reference_keeps_its_usual_hidden_width():
    for mode in MODES:
        assert fit("add(learned)", mode, SIZE, VOCABULARY).hidden == 4 * SIZE.width


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("encoding", DEFAULT_ENCODINGS)
def test_what_is_fitted_can_be_built(encoding, mode):
    model = fit(encoding, mode, SIZE, VOCABULARY, target())
    made = build(encoding, width=model.width, heads=SIZE.heads, layers=SIZE.layers, length=SIZE.context,
                 columns=SIZE.columns)  # fmt: skip
    assert model.cost == priced(encoding, model, model.hidden)
    real = Decoder(made, width=model.width, heads=SIZE.heads, layers=SIZE.layers, hidden=model.hidden,
                   vocabulary=VOCABULARY)  # fmt: skip
    assert sum(tensor.numel() for tensor in real.state_dict().values()) == model.cost.parameters
    assert real.token_width == model.token_width


def test_refusals():
    def refused(encoding, mode="total", goal=None, **changes):
        return refusal(lambda: fit(encoding, mode, Size(**{**vars(SIZE), **changes}), VOCABULARY, goal))

    assert refused("none", "area") == "expected to match total, token, parameters, flops, was: 'area'"
    assert refused("beside(learned, width=5)") == (
        "expected a stream that divides by the 2 heads for beside(learned, width=5), "
        "was: 27 columns (32 by total width, 0 appended, 5 beside)"
    )
    assert "was: -8 columns" in refused("beside(learned, width=40)")
    assert "expected a width divisible by the 3 heads, was: 32" in refused("none", heads=3)
    assert refused("add(learned(limit=8))") == (
        "expected add(learned(limit=8)) to have at least the 16 positions of the context, was: a limit of 8"
    )
    assert "a limit of 15" in refused("rotary + beside(random(limit=15))", "token")
    small = cost("none", width=32, heads=2, layers=1, hidden=1, columns=8, context=16, batch=4, vocabulary=VOCABULARY)
    assert "expected concat(learned) to need at most" in refused("concat(learned)", "parameters", small)
    assert "flops_per_token without any hidden width" in refused("concat(learned)", "flops", small)
