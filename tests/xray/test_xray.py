"""The whole x-ray on tiny models: what comes out, that it can be stopped and go on, and what is refused."""

import json

import pytest
import torch
from lab.support_lab import a_run, text
from xray.architectures import ARCHITECTURES, tiny
from xray.support_sources import refused, saved, tiny_gpt2

import locant
from locant.lab.store import RunFolder
from locant.lab.train import train
from locant.xray import XRay, xray
from locant.xray.measure import groups
from locant.xray.metric import Metric
from locant.xray.parts import open_parts

FAMILIES = {"M1", "M2", "M3", "M4", "M5", "M6", "M7", "M9", "M12", "T3"}


def tokens(vocabulary: int = 60, contexts: int = 12, slots: int = 16, first: int = 3):
    return torch.randint(first, vocabulary, (contexts, slots), generator=torch.Generator().manual_seed(2))


def check(document) -> None:
    """The promises about every document: JSON, five fields per metric, no number that means nothing."""
    json.dumps(document, allow_nan=False)
    assert [claim["id"] for claim in document["claims"]] == ["C1", "C2", "C3", "C4", "C5"]
    for name, metric in document["metrics"].items():
        assert list(metric) == ["value", "baseline", "n", "interval", "note"], name
        assert metric["value"] is not None or metric["note"], name
    for claim in document["claims"]:
        assert claim["finding"]
        assert set(claim["metrics"]) <= set(document["metrics"]), claim["id"]


@pytest.fixture(scope="module")
def gpt2():
    return xray(tiny_gpt2(), text=tokens(), quick=True)


def test_an_xray_of_added_positions(gpt2):
    document = gpt2.to_dict()
    check(document)
    assert {name.partition(".")[0] for name in document["metrics"]} >= FAMILIES
    value = {name: metric["value"] for name, metric in document["metrics"].items()}
    assert value["M4.raw.layer.0.additive_r2"] == pytest.approx(1, abs=1e-6)
    assert value["M5.layer.0.size"] > 0
    assert {"M6.layer.1.position.without_0", "M6.layer.1.head.3.absolute.without_0"} <= set(value)
    assert document["facts"]["Input and attention"]["position rows"] == 48
    assert {"layer": 0, "what": "normed", "lens": "blocks.0.ln1.hook_out", "path": "h.0.attn"} in document["hooks"]


def test_the_page_is_whole_and_alone(gpt2):
    page = gpt2.to_html()
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page
    assert not [part for part in ('src="http', "url(http", "@import") if part in page]
    for claim in gpt2.to_dict()["claims"]:
        assert f'id="{claim["id"]}"' in page
    assert gpt2.to_html() == page
    assert gpt2._repr_html_().startswith("<iframe")
    assert repr(gpt2).startswith("XRay('GPT2Model', ")


def test_equal_arguments_equal_numbers(gpt2):
    state = torch.get_rng_state()
    again = locant.xray(tiny_gpt2(), text=tokens(), quick=True)
    assert again.to_dict()["metrics"] == gpt2.to_dict()["metrics"]
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(again, XRay)


def test_the_package_is_callable_and_has_the_function():
    assert callable(locant.xray)
    assert locant.xray.xray is xray
    assert locant.xray.Metric is Metric
    assert "has no attribute 'nothing'" in refused_attribute()


def refused_attribute() -> str:
    with pytest.raises(AttributeError) as told:
        locant.xray.nothing  # noqa: B018
    return str(told.value)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture(name):
    document = xray(tiny(name), text=tokens(contexts=9, slots=12), quick=True).to_dict()
    check(document)
    reached = document["facts"]["Input and attention"]
    assert reached["layers reached"] == "2 of 2"
    assert reached["attention reached by"] in {"transformers' attention interface", "eager attention and hooks"}
    rows = ARCHITECTURES[name][1]
    assert reached["position rows"] == rows
    assert document["metrics"]["M6.layer.1.position"]["value"] is not None
    if rows is None:
        assert document["metrics"]["M2.overlap"]["value"] is None
        assert "no position reaches" in document["metrics"]["M2.overlap"]["note"]


@pytest.mark.parametrize("encoding", ["none", "rotary", "alibi", "t5", "add(learned)", "concat(learned, width=8)",
                                      "beside(learned, width=8)", "gate(learned)"])  # fmt: skip
def test_our_decoder(encoding):
    model = locant.decoder(encoding, 32, 4, 2, 40, 60)
    document = xray(model, text=tokens(), quick=True).to_dict()
    check(document)
    value = {name: metric["value"] for name, metric in document["metrics"].items()}
    if encoding in {"none", "rotary", "alibi", "t5"}:
        assert value["M5.layer.1.size"] < 1e-8
        assert value["M5.layer.1.bias"] is None
        assert document["claims"][1]["verdict"] == "does not apply"
    if encoding.startswith("concat"):
        assert value["M10.raw.layer.0.inside"] == pytest.approx(1, abs=1e-6)
        assert value["M10.raw.layer.0.outside"] < 0.02  # an estimate: noise of 12 texts
    if encoding.startswith("beside"):
        assert value["M10.normed.layer.0.inside"] == pytest.approx(1, abs=1e-6)


def test_a_stopped_xray_goes_on(tmp_path, gpt2):
    told, folder = [], tmp_path / "x"

    def stop(what: str, done: int = 0, of: int = 0) -> None:
        told.append(what)
        if what == "shift":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        xray(tiny_gpt2(), text=tokens(), quick=True, out=folder, tell=stop)
    again = []
    found = xray(tiny_gpt2(), text=tokens(), quick=True, out=folder, tell=lambda what, *_: again.append(what))
    assert "tables: recorded already" in again
    assert "depth of layers 0 to 1: recorded already" in again
    assert "shift" in again
    assert found.to_dict()["metrics"] == gpt2.to_dict()["metrics"]
    assert json.loads((folder / "xray.json").read_text()) == found.to_dict()
    assert (folder / "report.html").read_text() == found.to_html()
    again.clear()
    xray(tiny_gpt2(), text=tokens(), out=folder, seed=1, tables_only=True, tell=lambda what, *_: again.append(what))
    assert "tables" in again  # another question is not answered with old parts


def test_damaged_parts_count_as_none(tmp_path):
    parts = open_parts(tmp_path / "x", ["key"], lambda what: None)
    parts.get("a", lambda: {"metrics": {}, "n": 1})
    path = tmp_path / "x" / "parts" / "a.json"
    path.write_text(path.read_text()[:20])
    assert parts.get("a", lambda: {"metrics": {}, "n": 2})["n"] == 2


def test_tables_only(tmp_path):
    document = xray(saved(tmp_path / "m"), text=tokens(), quick=True, tables_only=True).to_dict()
    check(document)
    assert not [name for name in document["metrics"] if name.startswith(("M1.", "M4.", "M5.", "M6."))]
    assert document["metrics"]["M2.overlap"]["value"] is not None
    whole = xray(saved(tmp_path / "n"), text=tokens(), quick=True).to_dict()["metrics"]
    assert document["metrics"]["M2.overlap"]["value"] == whole["M2.overlap"]["value"]


def test_attention_that_cannot_be_reached_leaves_the_tables(monkeypatch):
    def refuse(*_, **__):
        raise ValueError("expected a model whose attention can be reached, was: another")

    monkeypatch.setattr("locant.xray.setting.reach_model", refuse)
    document = xray(tiny_gpt2(), text=tokens(), quick=True).to_dict()
    check(document)
    assert document["notes"][-1] == (
        "only the tables are measured: expected a model whose attention can be reached, was: another"
    )
    assert document["metrics"]["M2.overlap"]["value"] is not None


def test_a_run_and_its_movie(tmp_path):
    run = a_run(steps=20)
    train(run, text(), tmp_path, snapshots=3)
    folder = RunFolder(tmp_path, run).path
    document = xray(folder, text="a text of some length, and more of it. " * 60, windows=(12, 12), quick=True).to_dict()
    check(document)
    assert {"M13.0.M2.overlap", "M13.2.M4.layer.0.position_share"} <= set(document["metrics"])
    film = next(figure for figure in document["figures"] if figure["id"] == "movie-depth")
    assert sorted({point["x"] for point in film["points"]}) == [0, 10, 20]
    one = xray(folder, revision="10", text="a text of some length, and more. " * 60, windows=(12, 12), quick=True)
    assert not [name for name in one.to_dict()["metrics"] if name.startswith("M13")]


def test_a_folder_of_snapshots(tmp_path):
    for step in (2, 10, 1):
        saved(tmp_path / f"checkpoint-{step}")
    document = xray(tmp_path, text=tokens(), quick=True).to_dict()
    film = next(figure for figure in document["figures"] if figure["id"] == "movie-depth")
    assert sorted({point["x"] for point in film["points"]}) == [1, 2, 10]
    assert document["metrics"]["M13.0.M2.overlap"]["value"] == document["metrics"]["M13.2.M2.overlap"]["value"]


def test_the_words_of_a_folder(tmp_path):
    body = " ".join(f"w{3 + i * i % 50}" for i in range(2000))
    document = xray(saved(tmp_path / "m"), text=body, windows=(10, 12), quick=True).to_dict()
    check(document)
    assert document["facts"]["Text"]["tokens"] == 120


@pytest.mark.parametrize(("options", "message"), [
    ({"windows": (4, 60)}, "expected at least 4 x 60 tokens"),
    ({"text": tokens(slots=60)}, "expected windows of at most 48 tokens, as the model has positions, was: 60"),
    ({"text": tokens(vocabulary=99)}, "expected token ids below 60, was: "),
    ({"text": "some text"}, "expected token ids, as GPT2Model comes without a tokeniser, was: a text"),
    ({"text": None}, "expected token ids, as GPT2Model comes without a tokeniser, was: none"),
    ({"layers": (5,)}, "expected layers from 0 to 1, was: 5"),
    ({"layers": ()}, "expected layers from 0 to 1, was: none"),
    ({"words": ("cat",)}, "expected no words, as GPT2Model comes without a tokeniser, was: cat"),
    ({"space": "half"}, "expected a space of normed or raw, was: 'half'"),
    ({"vocabulary": "some"}, "expected a vocabulary of seen or all, was: 'some'"),
    ({"device": "nowhere"}, "expected a device that is there, was: 'nowhere'"),
    ({"revision": "a", "revisions": ("b",)}, "expected --revision or --revisions, was: both"),
])  # fmt: skip
def test_what_cannot_be_done_as_asked(options, message):
    given = {"text": tokens().flatten() if "windows" in options else tokens()} | options
    assert refused(xray, tiny_gpt2(), **given).startswith(message)


def test_a_text_that_is_too_short(tmp_path):
    told = refused(xray, saved(tmp_path / "m"), text="w1 w2 w3 " * 9, windows=(10, 12))
    assert told == "expected a text of at least 10 stretches of 12 tokens, was: given text with about 27"
    assert refused(xray, saved(tmp_path / "n"), text="w1 w2", windows=(1, 2)).startswith("expected at least 2 windows")


def test_a_folder_with_other_things_is_not_written_to(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    assert "was: " in refused(xray, tiny_gpt2(), text=tokens(), out=tmp_path)
    assert refused(xray, tiny_gpt2(), text=tokens(), out=tmp_path / "mine.txt").startswith("expected a folder for")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_massive_activation_is_flagged():
    model = tiny_gpt2()
    with torch.no_grad():
        model.wpe.weight[0] *= 300
    metrics = xray(model, text=tokens(), quick=True).to_dict()["metrics"]
    assert metrics["M7.layer.0.largest_norm"]["value"] > 20
    assert "a massive activation" in metrics["M7.layer.0.largest_norm"]["note"]
    assert metrics["M4.raw.layer.0.position_share"]["value"] > 0.9
    assert metrics["M4.raw.layer.0.position_share.without_0"]["value"] < 0.9


def test_bias_only_models_have_a_fixed_push_at_their_input(gpt2):
    metrics = gpt2.to_dict()["metrics"]
    assert metrics["M5.layer.0.bias"]["value"] > metrics["M5.layer.1.bias"]["value"]


def test_more_seeds_change_only_what_is_drawn(gpt2):
    other = xray(tiny_gpt2(), text=tokens(), quick=True, seed=5).to_dict()["metrics"]
    assert other["M4.layer.0.position_share"] == gpt2.to_dict()["metrics"]["M4.layer.0.position_share"]


def test_layers_are_taken_in_portions_that_fit_into_memory(gpt2, monkeypatch):
    assert list(groups((0, 1, 2, 5), 8192)) == [(0, 1), (2, 5)]
    assert list(groups((0, 1, 2), 1 << 20)) == [(0,), (1,), (2,)]
    monkeypatch.setattr("locant.xray.measure.PER_PASS", 32)  # one layer at a time
    told = []
    found = xray(tiny_gpt2(), text=tokens(), quick=True, tell=lambda what, *_: told.append(what))
    assert "depth of layers 1 to 1" in told
    assert found.to_dict()["metrics"] == gpt2.to_dict()["metrics"]


def test_the_raw_stream_is_moved_to_its_end():
    metrics = xray(tiny_gpt2(), text=tokens(), quick=True, space="raw").to_dict()["metrics"]
    assert {"M5.layer.0.size", "M5.layer.2.size"} <= set(metrics)
