"""Settings: what is asked for is checked where it is read."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from support import refusal

from locant.encodings import build
from locant.lab.budget import Budget
from locant.lab.corpora import load
from locant.lab.problems import task
from locant.lab.settings import DEFAULT_ENCODINGS, PRESETS, Settings


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid(preset):
    settings = PRESETS[preset].checked()
    assert settings.reference == "add(learned)"
    assert settings.eval_lengths == (settings.context, 2 * settings.context, 4 * settings.context)
    assert settings.checked() == settings
    assert Budget.parse(settings.budget).unit == "tokens"
    for encoding in settings.encodings:
        build(encoding, width=settings.width, heads=settings.heads, layers=settings.layers, length=settings.context)
    for name in settings.task:
        task(name, settings.context, *settings.eval_lengths)


def test_presets_differ_in_where_they_write():
    assert len({settings.out for settings in PRESETS.values()}) == len(PRESETS)


def test_the_eight_encodings():
    assert DEFAULT_ENCODINGS == (
        "none", "add(learned)", "add(sinusoidal)", "concat(learned)", "concat(sinusoidal)", "beside(learned)", "rotary",
        "alibi",
    )  # fmt: skip


def test_every_option_is_explained():
    text = Path(load.__code__.co_filename).with_name("settings.py").read_text()
    for field in fields(Settings):
        assert '\n    """' in text.split(f"\n    {field.name}: ")[1].split("\n    def ")[0][:400], field.name


def test_encodings_get_their_one_spelling():
    settings = Settings(encodings=("rotary( base = 5e5 )", "none"), reference="rotary(base=500000.0)").checked()
    assert settings.encodings == ("rotary(base=500000.0)", "none")
    assert settings.reference == "rotary(base=500000.0)"


def test_the_first_encoding_is_the_reference_without_learned_addition():
    assert Settings(encodings=("rotary", "none")).checked().reference == "rotary"


def test_lengths_are_in_order_and_hold_the_context():
    assert Settings(eval_lengths=(200, 50, 50)).checked().eval_lengths == (50, 64, 200)


def test_no_text_or_no_task():
    assert Settings(task=("none",)).checked().task == ()
    assert Settings(data="none").checked().task == ("what_at_index",)


@pytest.mark.parametrize(("changes", "message"), [
    *(({name: 0}, f"expected --{name.replace('_', '-')} of at least 1, was: 0")
      for name in ("seeds", "width", "heads", "layers", "context", "batch", "eval_tokens", "curve_points", "columns")),
    ({"workers": -1}, "expected --workers of at least 0, was: -1"),
    ({"margin": -0.1}, "expected --margin of at least 0, was: -0.1"),
    ({"margin": float("nan")}, "expected --margin of at least 0, was: nan"),
    ({"margin": float("inf")}, "expected --margin of at least 0, was: inf"),
    ({"weight_decay": float("nan")}, "expected --weight-decay of at least 0, was: nan"),
    ({"learning_rates": ()}, "expected learning rates between 0 and 10, was: []"),
    ({"learning_rates": (0.01, 0.0)}, "expected learning rates between 0 and 10, was: [0.01, 0.0]"),
    ({"learning_rates": (float("nan"),)}, "expected learning rates between 0 and 10, was: [nan]"),
    ({"learning_rates": (10.0,)}, "expected learning rates between 0 and 10, was: [10.0]"),
    ({"learning_rates": (0.01, 0.01)}, "expected every learning rate once, was: [0.01, 0.01]"),
    ({"eval_lengths": (64, 0)}, "expected evaluated lengths of at least 1, was: [64, 0]"),
    ({"encodings": ()}, "expected every encoding once, was: none at all"),
    ({"encodings": ("alibi", "alibi ")}, "expected every encoding once, was: alibi twice"),
    ({"encodings": ("add(",)}, "expected an encoding such as 'add(learned) + rotary', was: 'add('"),
    ({"reference": "rotary(base=2)"}, "expected a reference among none, add(learned)"),
    ({"data": "none", "task": ("none",)}, "expected a text or a task to train on, was: --data none --task none"),
    ({"task": ("copy", "copy")}, "expected every task once, was: ['copy', 'copy']"),
    ({"task": ("copy", "none")}, "expected tasks, or none alone, was: ['copy', 'none']"),
])  # fmt: skip
def test_refusals(changes, message):
    assert refusal(replace(Settings(), **changes).checked).startswith(message)
