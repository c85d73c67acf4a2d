"""Terminal tables at several widths, and the look of the lines in the figures."""

import io
import itertools

import pytest
from example import ENCODINGS, REASON, example
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from locant.report import table
from locant.report.layout import spread
from locant.report.style import DARK, LIGHT, styles

FEW = {name: ENCODINGS[name] for name in ("none", "add(learned)", "rotary")}


@pytest.fixture(scope="module")
def comparison():
    return example()


def printed(comparison, width, **options):
    out = io.StringIO()
    console = Console(file=out, width=width, **options)
    for each in table(comparison, width):
        console.print(each)
    return out.getvalue()


@pytest.mark.parametrize("width", [66, 100, 120, 250])
def test_tables_fit_and_keep_names_whole(comparison, width):
    lines = printed(comparison, width, no_color=True, force_terminal=False)
    assert "\x1b" not in lines
    assert "…" not in lines
    assert max(map(len, lines.splitlines())) <= width
    assert all(f"{row['bits_per_byte']:.4f}" in lines for row in comparison["experiments"][0]["rows"])
    assert REASON in " ".join(lines.split())
    if width >= 120:
        assert all(name in lines for name in ENCODINGS)
    assert {66: 6, 100: 4, 120: 4, 250: 2}[width] == len(table(comparison, width))


def test_tables_survive_a_terminal_of_ascii(comparison):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    for each in table(comparison, 120):
        Console(file=out, width=120).print(each)


def test_brackets_in_a_name_are_no_markup():
    named = {"[red]x[/red]" if name == "rotary" else name: value for name, value in ENCODINGS.items()}
    assert "[red]x[/red]" in printed(example(encodings=named, experiments=1), 200)


def test_what_is_missing_is_said():
    comparison = example(seeds=1, encodings=FEW, experiments=1)
    assert "more seed" not in printed(comparison, 200)
    comparison["failed"] = [{"encoding": "none", "experiment": "prose", "seed": 0, "error": "the loss is not finite"}]
    assert "1 run failed" in printed(comparison, 120)


def test_width_of_nothing_is_refused(comparison):
    with pytest.raises(ValueError, match="expected a console width of at least 1, was: 0"):
        table(comparison, 0)


def test_twelve_encodings_look_different_and_the_same_everywhere():
    names = [f"encoding {index}" for index in range(12)]
    for theme in (LIGHT, DARK):
        look = styles(names, names[3], theme)
        drawn = list(zip(look.colours, map(tuple, look.dashes), look.shapes, strict=True))
        for (colour, dash, shape), (other, dashes, shapes) in itertools.combinations(drawn, 2):
            assert colour != other or (dash != dashes and shape != shapes)
    assert styles(names, names[3], LIGHT).dashes == styles(names, names[3], DARK).dashes


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8), st.floats(0.5, 12))
@settings(max_examples=60, deadline=None)
def test_labels_keep_their_distance(wanted, gap):
    placed = spread(sorted(wanted), gap, 100)
    assert all(-1e-9 <= value <= 100 + 1e-9 for value in placed)
    assert all(above - below >= gap - 1e-9 for below, above in itertools.pairwise(placed))


def test_labels_by_hand():
    assert spread([10, 50, 90], 10, 100) == [10, 50, 90]
    assert spread([50, 50, 50], 10, 100) == pytest.approx([40, 50, 60])
    assert spread([0, 0], 10, 100) == [0, 10]
    assert spread([50, 50, 50], 90, 100) == [0, 50, 100]
