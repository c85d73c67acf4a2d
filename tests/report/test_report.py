"""The page and the terminal tables: complete, closed in themselves, and honest about what is missing."""

import copy
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from example import ENCODINGS, REASON, example

import locant.report.page
from locant.report import render, table, write
from locant.report.answer import answer
from locant.report.style import DARK, LIGHT

VOID = {"meta", "wbr", "br", "link", "img", "input", "hr"}
FEW = {name: ENCODINGS[name] for name in ("none", "add(learned)", "rotary")}
HOSTILE = '<script>&"'


class Page(HTMLParser):
    """Checks that tags nest and collects cells, headings, ids and attributes."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.cells, self.ids, self.seen, self.texts = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        self.ids += [value for key, value in attrs if key == "id"]
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self.stack):
            self.cells[-1] += data

    def tags(self, name):
        return [attributes for tag, attributes in self.seen if tag == name]


@pytest.fixture(scope="module")
def comparison():
    return example()


@pytest.fixture(scope="module")
def text(comparison):
    return render(comparison)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def number(value, sign=""):
    return f"{value:{sign}.4f}".replace("-", "−")


def test_page_needs_no_network_and_no_script(text, page):
    assert "http" not in re.sub(r'xmlns(:xlink)?="http://www\.w3\.org/[^"]*"', "", text)
    assert {"script", "link", "img", "iframe"}.isdisjoint(tag for tag, _ in page.seen)
    assert not any(key.startswith("on") for _, attributes in page.seen for key in attributes)
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", text)


def test_ids_are_unique_and_every_reference_has_one(text, page):
    assert len(page.ids) == len(set(page.ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(page.ids)
    assert {svg["aria-describedby"] for svg in page.tags("svg")} <= set(page.ids)


def test_every_value_of_a_row_is_in_a_cell(comparison, page):
    cells = " | ".join(page.cells)
    for experiment in comparison["experiments"]:
        for row in experiment["rows"]:
            expected = [row["encoding"], number(row[experiment["metric"]]), row["verdict"]]
            expected += [number(value) for value in row["per_seed"]]
            expected += [f"{row['parameters']:,}".replace(",", "\u202f"), f"{row['flops_per_token'] / 1000:.0f}k"]
            expected += [f"{row['seconds']:.2f}", f"{row['tokens_per_second'] / 1000:.3g}k", f"{row['learning_rate']}"]
            expected += [f"{row[key]:,}".replace(",", "\u202f") for key in ("steps", "tokens", "width", "hidden")]
            expected += [
                number(value) for item in row["by_length"] for value in [item["value"], *item["per_seed"]] if value
            ]
            if row["verdict"] != "reference":
                expected += [number(row["difference"], "+"), *(number(bound, "+") for bound in row["interval"])]
            if row["more_seeds"]:
                expected.append(f"about {row['more_seeds']} more seed")
            assert [value for value in expected if value not in cells] == []


def test_every_number_of_a_figure_is_in_a_cell(comparison, page):
    cells = " | ".join(page.cells)
    for experiment in comparison["experiments"]:
        for points in experiment["curves"].values():
            values = [point[key] for point in points for key in ("value", "low", "high") if key in point]
            assert [value for value in values if number(value) not in cells] == []
        base = next(row for row in experiment["rows"] if row["verdict"] == "reference")["per_seed"]
        for row in experiment["rows"]:
            if row["verdict"] != "reference":
                shown = [number(mine - other, "+") for mine, other in zip(row["per_seed"], base, strict=True)]
                assert [value for value in shown if value not in cells] == []


def test_figures_come_in_both_themes_with_words(text, page):
    figures = 2 * 4
    assert len(page.tags("figure")) == len(page.tags("figcaption")) == figures
    assert len(page.tags("svg")) == 2 * figures
    assert text.count('<div class="light"><svg') == text.count('<div class="dark"><svg') == figures
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.tags("svg"))
    assert "prefers-color-scheme: dark" in text
    assert LIGHT.muted in text
    assert DARK.muted in text


def test_page_says_what_was_done(comparison, page):
    words = " ".join("".join(page.texts).split())
    assert comparison["data"]["hash"] in words
    assert comparison["notes"][0] in words
    assert comparison["matched"]["not_held"] in words
    assert REASON in words
    assert "all 7 intervals" in words
    assert all(run["id"] in words for run in comparison["runs"])
    order = [words.index(part) for part in ("In this setting", "The rank of alibi", "Does the order hold?", "Plan",
                                            "What was matched", "Data", "Versions", "How to read this")]  # fmt: skip
    assert order == sorted(order)


def test_page_is_small(text):
    assert len(text.encode()) < 1_500_000


def test_names_are_escaped():
    named = {HOSTILE if name == "rotary" else name: value for name, value in FEW.items()}
    comparison = example(encodings=named, experiments=1)
    comparison["notes"] = [HOSTILE]
    comparison["failed"] = [{"encoding": HOSTILE, "experiment": "prose", "seed": 0, "error": HOSTILE}]
    text = render(comparison)
    assert "<script" not in text
    page = Page(text)
    assert HOSTILE in page.cells
    assert page.texts.count(HOSTILE) > 10
    comparison["reference"] = HOSTILE
    for row in comparison["experiments"][0]["rows"]:
        row["verdict"] = "reference" if row["encoding"] == HOSTILE else "undecided"
    assert "<script" not in render(comparison)


def test_one_seed_has_no_interval():
    comparison = example(seeds=1, encodings=FEW, experiments=1)
    words = "".join(Page(render(comparison)).texts)
    assert "one seed gives no interval" in words
    assert "there is no interval without at least two seeds" in words


def test_failed_runs_and_missing_numbers():
    comparison = example(encodings=FEW, experiments=1)
    experiment = comparison["experiments"][0]
    rotary, none = (next(row for row in experiment["rows"] if row["encoding"] == name) for name in ("rotary", "none"))
    base = next(row for row in experiment["rows"] if row["verdict"] == "reference")
    kept, lost = rotary["per_seed"][2], rotary["per_seed"][1]
    del rotary["per_seed"][1]  # seed 1 is gone, so the second value must pair with the reference's third
    none.update(bits_per_byte=None, per_seed=[], difference=None, interval=None, verdict="undecided", more_seeds=None)
    for run in comparison["runs"]:
        if run["encoding"] == "none" or (run["encoding"], run["seed"]) == ("rotary", 1):
            run.update(status="failed", final=None)
    comparison["failed"] = [{"encoding": "rotary", "experiment": "prose", "seed": 1, "error": "the loss is not finite"}]
    cells = " | ".join(Page(render(comparison)).cells)
    assert number(kept - base["per_seed"][2], "+") in cells
    assert number(kept - base["per_seed"][1], "+") not in cells
    assert number(lost) not in cells.replace(number(rotary["by_length"][0]["per_seed"][1]), "")
    assert "the loss is not finite" in cells
    assert "1 run failed" in render(comparison)


def test_unknown_seeds_are_listed_but_not_paired():
    comparison = example(encodings=FEW, experiments=1)
    row = next(row for row in comparison["experiments"][0]["rows"] if row["encoding"] == "rotary")
    row["per_seed"], comparison["runs"] = row["per_seed"][:2], []
    assert ", ".join(number(value) for value in row["per_seed"]) in Page(render(comparison)).cells


def test_page_without_curves_or_ranks():
    comparison = example(encodings=FEW, experiments=1)
    comparison["experiments"][0].update(curves={"step": [], "position": [], "length": []}, ranks=[])
    assert len(Page(render(comparison)).tags("figure")) == 1
    for row in comparison["experiments"][0]["rows"]:
        row.update(difference=None, interval=None)
    assert len(Page(render(comparison)).tags("figure")) == 0


def test_answer_follows_the_verdicts():
    comparison = example(experiments=1)
    rows = comparison["experiments"][0]["rows"]
    verdicts = ["worse", "reference", "undecided", "worse", "equivalent", "better", "better", "undecided"]
    for row, verdict in zip(rows, verdicts, strict=True):
        row.update(verdict=verdict, more_seeds=4 if verdict == "undecided" else None)
    rows[5].update(difference=-0.1), rows[6].update(difference=-0.05)
    sentences = ["".join(sentence) for sentence in answer(comparison)[1]]
    assert (
        sentences[0] == "On prose, rotary and alibi are better than add(learned) (by 0.0500 to 0.1000 bits per byte)."
    )
    assert sentences[1].startswith("concat(learned, width=32) and none are worse than add(learned)")
    assert sentences[2] == "beside(learned, width=64) is equivalent to add(learned) (within ±0.01 bits per byte)."
    names = {"add(sinusoidal)", "add(learned) + rotary(base=5e5)"}
    assert (
        set(sentences[3].removesuffix(" remain undecided (about 4 more seeds may settle them).").split(" and "))
        == names
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "rope"}, "expected a reference among none, .*, was: rope"),
        ({"better": "up"}, "expected better to be lower or higher, was: up"),
        ({"encoding": "rope"}, "expected a row of none, .*, was: rope"),
        ({"verdict": "best"}, "expected a verdict of reference, .*, was: best"),
        ({"verdict": "reference"}, r"expected the verdict reference for add\(learned\) alone, was: reference for none"),
    ],
)
def test_wrong_documents_are_refused(comparison, change, message):
    wrong = copy.deepcopy(comparison)
    key = next(iter(change))
    places = {"reference": wrong, "better": wrong["experiments"][0]}
    places.get(key, wrong["experiments"][0]["rows"][0]).update(change)
    with pytest.raises(ValueError, match=message):
        render(wrong)
    with pytest.raises(ValueError, match=message):
        table(wrong, 100)


def test_write_replaces_in_one_move(tmp_path, monkeypatch):
    comparison, path = example(encodings=FEW, experiments=1), tmp_path / "report.html"
    write(comparison, path)
    before = path.read_text(encoding="utf-8")
    assert before == render(comparison)  # byte for byte, however often
    assert os.listdir(tmp_path) == ["report.html"]

    def broken(*_):
        raise OSError("no room")

    monkeypatch.setattr(locant.report.page, "render", lambda _: "changed")
    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="no room"):
        write(comparison, path)
    assert os.listdir(tmp_path) == ["report.html"]
    assert path.read_text(encoding="utf-8") == before


def test_report_imports_neither_torch_nor_a_model():
    code = "import sys, locant.report; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = run.stdout.split()
    assert "locant.report.page" in loaded
    unwanted = ("torch", "altair", "scipy", "locant.model", "locant.encodings", "locant.lab")
    assert [name for name in loaded if name.startswith(unwanted)] == []
