"""The capacity page and its terminal tables: complete, closed in themselves, every number with its method."""

import copy
import io
import re
import subprocess
import sys

import pytest
from capacity_example import example, number
from report.test_report import Page
from rich.console import Console

from locant.report import capacity_words as words
from locant.report.capacity_page import render, write
from locant.report.capacity_terminal import plain, sentences, tables


@pytest.fixture(scope="module")
def document():
    return example()


@pytest.fixture(scope="module")
def text(document):
    return render(document)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_page_needs_no_network_and_no_script(text, page):
    assert "http" not in re.sub(r'xmlns(:xlink)?="http://www\.w3\.org/[^"]*"', "", text)
    assert {"script", "link", "img", "iframe"}.isdisjoint(tag for tag, _ in page.seen)
    assert not any(key.startswith("on") for _, attributes in page.seen for key in attributes)
    assert "@import" not in text


def test_ids_are_unique_and_both_themes_are_drawn(page):
    assert len(page.ids) == len(set(page.ids))
    for name in ("ladder", "capacity", "precision", "phase", "scores", "zip", "angles", "gaps"):
        assert {f"{name}-light-words", f"{name}-dark-words"} <= set(page.ids)


def test_the_answer_stands_first_and_escaped(text):
    assert "Yes &amp; no: &lt;i&gt;mostly&lt;/i&gt;." in text
    assert text.index("Yes &amp;") < text.index("<table")
    assert "<i>" not in text
    assert "a <b>" not in text


def everything(value):
    """All answered numbers of a document."""
    if isinstance(value, dict):
        if {"value", "low", "high", "method"} <= set(value):
            return [value]
        return [found for item in value.values() for found in everything(item)]
    return [found for item in value for found in everything(item)] if isinstance(value, list) else []


def test_every_number_stands_in_a_table_with_its_method(document, page):
    cells = " ".join(page.cells)
    kinds = (words.probability, words.count, words.real)
    sections = {key: document[key] for key in ("ladder", "adding", "formats", "one_number", "checks", "real", "curves")}
    for found in everything(sections):
        assert any(kind(found) in cells for kind in kinds), found
        assert found["method"] in cells


def test_what_was_solved_for_stands_first(document):
    found = {"what": "format", "decoder": "dot product", "key": "dot", "target": 0.9, "number": number(0.91),
             "format": "int4"}  # fmt: skip
    asked = {**document, "solved": found}
    page = render(asked)
    assert page.index("What was solved for") < page.index("The ladder of decoders")
    assert "int4: 0.91" in page
    assert tables(asked)[0].title.plain == "Solved"
    assert "What was solved for" not in render(document)


def test_disagreement_is_flagged(document, text):
    assert "disagree</strong> on 1 question:" in text
    assert ">NO<" in text
    fine = copy.deepcopy(document)
    fine["checks"][1]["agree"] = True
    assert "disagree</strong>" not in render(fine)


def test_sections_without_numbers_are_left_out(document):
    bare = copy.deepcopy(document)
    bare.update(real=None, zip=None, one_number=[], adding=[])
    bare["curves"] = {
        "ladder": [],
        "capacity": [],
        "precision": [],
        "phase": [],
        "scores": None,
        "level": 0.5,
        "items": 0,
    }
    seen = Page(render(bare))
    assert "real" not in seen.ids
    assert "adding" not in seen.ids
    assert not seen.tags("figure")


def test_equal_documents_give_equal_pages(document, text, tmp_path):
    assert render(document) == text
    write(document, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("width", [60, 100, 200])
def test_terminal_shows_every_table_in_any_width_and_in_ascii(document, width):
    console = Console(width=width, record=True, file=io.StringIO())
    for table in tables(document):
        console.print(table)
    shown = console.export_text()
    assert all(len(line.rstrip()) <= width for line in shown.splitlines())
    joined = re.sub(r"\s+", "", shown)
    for wanted in ("matchingpursuit", "0.9876", "whitened", "17+3", "lattice", "int4"):
        assert wanted in joined
    assert all(line.isascii() for line in sentences(document))


def test_page_is_made_without_torch():
    code = "import sys; import locant.report.capacity_page; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(("value", "shown"), [
    (0, "0"), (1, "1"), (0.5, "0.5000"), (0.98182, "0.9818"), (1 - 3e-5, "1 − 3·10⁻⁵"), (1 - 1e-13, "1"),
    (0.00004, "4·10⁻⁵"), (1e-12, "10⁻¹²"),
])  # fmt: skip
def test_probabilities_near_the_ends_keep_their_distance(value, shown):
    assert words.share(value) == shown


def test_numbers_show_their_interval_where_they_have_one():
    assert words.probability(number(0.5, 0.4, 0.6)) == "0.5000 [0.4000, 0.6000]"
    assert words.count(number(51463168)) == "51.5M"
    assert words.count(number(2035)) == "2\u202f035"
    assert words.real(number(2.76e-6)) == "2.8·10⁻⁶"
    assert words.count(number(float("inf"))) == "no limit"
    assert words.probability(None) == words.method(None) == "–"
    assert plain("10⁻⁶ × 2\u202f035 − 1") == "10^-6 x 2 035 - 1"
