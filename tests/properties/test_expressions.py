"""Expressions: one spelling for each, and nothing but ValueError for what is none."""

import warnings
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from locant.encodings import PositionalEncoding, build, canonical, catalogue

codes = st.sampled_from(
    ["learned", "sinusoidal", "random", "fourier", "learned(limit=20)", "sinusoidal(layout=halves)", "random(seed = 3)"]
)
inside = st.one_of(
    st.sampled_from(["none", "rotary", "alibi", "t5", "rotary(base=5e5)", "rotary( layout='half' )", "t5(buckets=8)"]),
    st.builds("beside({}, width=4)".format, codes),
)
at_input = st.builds("{}({})".format, st.sampled_from(["add", "scaled_add", "concat_project", "gate"]), codes)
scheduled = st.builds(lambda parts: f"per_layer({','.join(parts)})", st.lists(inside, min_size=1, max_size=3))
expressions = st.lists(st.one_of(inside, at_input, scheduled), min_size=1, max_size=3).map("  + ".join)


def complaint(read: Callable[[str], object], text: str) -> str | None:
    try:
        read(text)
    except ValueError as error:
        return str(error)
    return None


few = settings(max_examples=60, deadline=None)


def built(expression: str) -> PositionalEncoding:
    return build(expression, width=16, heads=2, layers=2, length=12)


@few
@given(expressions)
def test_canonical_is_idempotent_and_builds_the_same(expression: str) -> None:
    name = canonical(expression)
    assert canonical(name) == name
    assert repr(built(name)) == repr(built(expression))


@few
@given(expressions)
def test_spaces_do_not_matter(expression: str) -> None:
    assert canonical(f"  {expression.replace(',', ' , ')} ") == canonical(expression)


words = [*catalogue(), "base", "limit", "layout", "half", "width", "None", "True", "lambda", "x", "1", "-1", "0", "2.5"]
soup = st.lists(
    st.sampled_from([*words, "(", ")", ",", "=", "+", "*", "**", "[", "]", "{", "}", ":", "'", ".", " ", "1e999"])
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=30), soup.map("".join), soup.map(" ".join)))
@example("rotary(base={[]: 1})")
@example("rotary(**{})")
@example("add(*learned)")
@example("none + " * 3000 + "none")
@example("-" * 900 + "1")
@example("(" * 300)
@example("9" * 5000)
@example("rotary(base=1" + "0" * 400 + ")")
@example("add(learned(limit=0))")
@example("concat_project(learned, width=0)")
@example("concat_project(learned, width=-3)")
@example("add(learned(std=-1))")
@example("add(learned(std=0))")
@example("add(random(seed=" + "9" * 40 + "))")
@example("rotary(base=True)")
@example("f'{x}'")
@example("none if none else none")
@example("\x00")
@example("\ud800")
def test_whatever_is_written_only_value_errors_arise(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's own remarks about the syntax of nonsense
        for read in (canonical, built):
            said = complaint(read, text)
            assert said is None or ("expected" in said and "was: " in said)


@pytest.mark.parametrize(
    ("expression", "bad"),
    [
        ("", "''"),
        ("rotery", "'rotery' (did you mean 'rotary'?)"),
        ("nope", "'nope'"),
        ("learned", "the code 'learned'"),
        ("add", "add(code), one argument, was: add with 0"),
        ("add(learned, learned)", "add with 2"),
        ("rotary(none)", "rotary, no arguments, was: rotary with 1"),
        ("add(rotary)", "a code here, was: the encoding 'rotary'"),
        ("add(lerned)", "'lerned' (did you mean 'learned'?)"),
        ("add(learned(12))", "learned(12)"),
        ("rotary(bass=3.0)", "'bass'"),
        ("rotary(base='x')", "base of rotary to be of type float, was: 'x'"),
        ("t5(buckets=8.0)", "buckets of t5 to be of type int, was: 8.0"),
        ("rotary(base=2.0, base=3.0)", "'base' twice"),
        ("rotary(base=1e999)", "a number below 2 ** 63, was: '1e309'"),
        ("rotary(base=[1])", "'[1]'"),
        ("rotary(**x)", "rotary(**x)"),
        ("rotary * alibi", "'rotary * alibi'"),
        ("rotary.x", "'rotary.x'"),
        ("rotary(layout=third)", "third"),
        ("rotary(fraction=0.0)", "0.0"),
        ("rotary(fraction=0.2)", "rotated columns, was: 1"),
        ("rotary(base=1.0)", "a base above 1, was: 1.0"),
        ("concat(learned, width=16)", "fewer position columns than the width 16, was: 16"),
        ("concat(learned, width=8) + concat(learned, width=8)", "fewer position columns than the width 16, was: 16"),
        ("concat(learned, width=0)", "at least 1 position column, was: 0"),
        ("per_layer()", "at least one encoding in the cycle"),
        ("per_layer(add(learned))", "was: Add"),
        ("per_layer(rotary + add(learned))", "was: Chain"),
        ("add(sinusoidal(layout=x))", "interleaved or halves, was: x"),
        ("concat(sinusoidal, width=3)", "an even width for sine and cosine pairs, was: 3"),
        ("x" * 2000, "at most 1000 characters, was: 2000"),
    ],
)
def test_the_message_names_the_bad_part(expression: str, bad: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is checked below
        built(expression)
    assert str(caught.value).startswith("expected ")
    assert bad in str(caught.value)


def test_a_table_needs_a_size() -> None:
    with pytest.raises(ValueError, match=r"expected limit=... in the expression or a length"):
        build("add(learned)", width=16, heads=2)
    assert build("add(learned(limit=5))", width=16, heads=2).limit == 5
