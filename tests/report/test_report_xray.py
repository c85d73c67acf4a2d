"""The page and the terminal summary of an x-ray: made from a document alone, with every drawn number in a table."""

import io
import json
import re
import runpy
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from locant.report.style import LIGHT
from locant.report.xray_charts import _clear, lines
from locant.report.xray_page import bounds, number, prose, render_xray, write_xray
from locant.report.xray_terminal import summary

FIVE = {"value": 0.25, "baseline": 0.5, "n": 12000, "interval": [0.2, 0.3], "note": "a note with <b> in it"}
NONE = {"value": None, "baseline": None, "n": 0, "interval": None, "note": "the reason"}


def point(series, x, value, low=None, high=None, **more):
    return {"series": series, "x": x, "value": value, "low": low, "high": high, **more}


def figure(kind, points, **more):
    return {"id": kind, "kind": kind, "title": f"A figure of {kind}", "caption": "What it <shows>.", "x": "layer",
            "y": "share", "points": points, "chance": 1.0, **more}  # fmt: skip


def document(**changes):
    made = {
        "model": {"name": "org/<model>", "kind": "folder"},
        "summary": "Position is 9 % of `it`.",
        "notes": ["one note"],
        "claims": [
            {
                "id": "C1",
                "claim": "Nothing is lost.",
                "verdict": "does not apply",
                "finding": "No `table`.",
                "metrics": ["M2.overlap", "M2.gone"],
            }
        ],
        "metrics": {
            "M2.overlap": FIVE,
            "M3.kappa": NONE,
            "M4.layer.0.position_share.without_0": FIVE,
            "M4.layer.1.position_share.without_0": FIVE,
        },
        "figures": [
            figure("lines", [point("a", 0, 0.123456, 0.1, 0.2), point("b", 0, 0.4), point("a", 1, 0.777)]),
            figure("bars", [point("a", 0, 0.25), point("b", 0, 0.75)]),
            figure("heat", [point("0", 0, 4.5, y=3), point("1", 1, 0.2, y=3)], y_title="head"),
        ],
        "facts": {"Model": {"name": "org/model", "parameters": 22000000}},
        "hooks": [{"layer": 0, "what": "raw", "lens": "blocks.0.hook_in", "path": "h.0"}],
        "versions": {"locant": "1"},
    }
    return made | changes


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.cells, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open.append(tag)
        self.ids += [value for key, value in attributes if key == "id"]

    def handle_data(self, data):
        if self.open and self.open[-1] in {"td", "th", "code", "small"}:
            self.cells.append(data)


def test_the_page_is_alone_and_safe():
    text = render_xray(document())
    page = Page(text)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "org/&lt;model&gt;" in text
    assert "<model>" not in text
    assert "a note with &lt;b&gt; in it" in text
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 6  # three figures, light and dark
    assert text == render_xray(document())


def test_every_drawn_number_is_in_a_table():
    cells = Page(render_xray(document())).cells
    for shown in ("0.1235 (0.1 to 0.2)", "0.777", "0.25", "0.75", "4.5", "0.2"):
        assert shown in cells, shown


def test_metrics_stand_by_family_with_their_reasons():
    text = render_xray(document())
    assert "the reason" in text
    assert "M3" in text
    assert "12\u202f000" in text
    assert text.index("Overlap of token and position space") < text.index("What the sum loses")


def test_numbers_as_text():
    shown = {0.040743: "0.04074", 12.3456: "12.35", -1.2e-7: "−1.2e−07", None: "–", 100.0: "100"}
    assert {value: number(value) for value in shown} == shown
    assert bounds([0.1, 0.25]) == "[0.1, 0.25]"
    assert bounds(None) == "–"
    assert str(prose("a `b<` c 5 %")) == "a <code>b&lt;</code> c 5\u00a0%"


def test_the_chance_level_is_named_where_no_line_runs():
    flat = [point("a", x, 1.0) for x in range(4)] + [point("a", 4, 9.0), point("a", 5, 9.0)]
    assert _clear(flat, 1.0, False) >= 400
    assert _clear([point("a", 1, 9.0), point("a", 2, 9.0), point("a", 4, 1.0)], 1.0, True) == 0
    assert _clear([point("a", 0, 3.0)], 1.0, False) == 0
    assert _clear(flat, None, False) == 0
    drawn = lines(figure("lines", flat), LIGHT)
    assert '"value": "chance"' in json.dumps(drawn)


def test_long_lists_are_folded():
    short = {"id": "a", "title": "Short", "caption": "Few.", "heads": ["token", "n"], "rows": [["<b>", "1"]],
             "text": False}  # fmt: skip
    long = {**short, "id": "b", "title": "Long", "rows": [[f"w{i}", str(i)] for i in range(30)], "text": True}
    text = render_xray(document(lists=[short, long]))
    page = Page(text)
    assert "All 30" in text
    assert "All 1<" not in text
    assert (page.cells.count("w3"), page.cells.count("w20")) == (2, 1)
    assert "&lt;b&gt;" in text


def test_an_interval_stays_on_one_line():
    assert str(prose("of 5 % [4, 6] x")) == "of 5\u00a0%\u00a0[4,\u00a06] x"


def test_documents_that_do_not_hold_together():
    for missing in ("claims", "metrics"):
        broken = document()
        del broken[missing]
        with pytest.raises(ValueError, match=f"expected an x-ray with {missing}, was: without"):
            render_xray(broken)
    with pytest.raises(ValueError, match="expected a figure of lines, bars, heat, was: pie"):
        render_xray(document(figures=[figure("pie", [])]))


def test_the_section_for_the_documents(tmp_path):
    script = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "xray_result.py"))
    made = document(facts={"Model": {"parameters": 22000000}, "Text": {"contexts": 64, "slots": 128}})
    text = script["section"](made)
    assert "22,000,000 parameters; 64 windows of 128 tokens" in text
    assert "| C1 | does not apply | No `table`. |" in text
    assert "| 0 | 0.25 [0.2, 0.3] | –" in text
    assert "- One note." in text
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results: x -->\nold\n<!-- end of results -->\nafter\n")
    (tmp_path / "xray.json").write_text(json.dumps(made))
    script["main"].__globals__["PAGE"] = page
    script["main"]([tmp_path])
    assert "old" not in page.read_text()
    assert page.read_text().startswith("before\n<!-- results: x -->\n\n### org/<model>")
    assert page.read_text().endswith("<!-- end of results -->\nafter\n")


def test_a_page_is_written_in_one_move(tmp_path):
    write_xray(document(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == render_xray(document())
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_terminal_summary_fits_and_is_plain(width):
    stream = io.StringIO()
    console = Console(file=stream, width=width, no_color=True)
    for each in summary(document()):
        console.print(each)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    joined = re.sub(r"\s+", "", text)
    for word in ("org/<model>", "doesnotapply", "C1", "note:onenote"):
        assert word in joined
    assert "`" not in text


def test_two_layers_are_two_rows():
    table = summary(document())[-2]
    assert table.row_count == 2
