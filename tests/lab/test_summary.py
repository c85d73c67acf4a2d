"""Verdicts, ranks and notes from results that are made up by hand."""

import math

import pytest
from lab.test_plan import planned

from locant.lab.statistics import paired
from locant.lab.summary import summarise
from locant.report import table

ENCODINGS = ("none", "add(learned)", "rotary")
BASE = {0: 3.00, 1: 3.10, 2: 2.95, 3: 3.05}
# Differences to the reference, seed by seed. At a margin of 1 % of about 3.025: none is worse, rotary better.
DIFFERENCES = {"none": (0.20, 0.21, 0.19, 0.20), "add(learned)": (0, 0, 0, 0), "rotary": (-0.11, -0.09, -0.1, -0.1)}


def result(run, value, curve=None):
    metric = "bits_per_byte" if run.problem == "words.txt" else "accuracy"
    points = range(1, run.curve_points + 1)
    steps = [round(run.steps * i / run.curve_points) for i in points]
    made = curve(run) if curve else [value + 1 - i / run.curve_points for i in points]
    lengths = [{"length": length, "note": None, "value": value + 0.1 * index, "positions": [0, 8],
                "by_position": [value + 0.5, None if index else value]}
               for index, length in enumerate(run.eval_lengths)]  # fmt: skip
    if "learned" in run.encoding:
        lengths[1:] = [{"length": row["length"], "note": "not defined: beyond", "value": None} for row in lengths[1:]]
    return {"id": run.id, "run": {"steps": run.steps, "learning_rate": run.learning_rate}, "metric": metric,
            "value": value, "by_length": lengths, "attention": "sdpa", "seconds": 2.0 + run.seed, "torch": "2.13.0",
            "curve": [{"step": s, "value": v} for s, v in zip(steps, made, strict=True)],
            "tokens_per_second": 100.0}  # fmt: skip


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return planned(tmp_path_factory.mktemp("plan"), seeds=4)


def summary(plan, differences=DIFFERENCES, *, lost=(), curve=None, learning_rates=None):
    rates = {key: 0.01 for key in plan.fitted}
    results = {run.id: result(run, BASE[run.seed] + differences[run.encoding][run.seed], curve)
               for run in plan.runs(rates) if (run.encoding, run.seed) not in lost}  # fmt: skip
    return summarise(plan, rates, results, [])


def rows(document, index=0):
    return {row["encoding"]: row for row in document["experiments"][index]["rows"]}


def test_means_and_verdicts(plan):
    found = rows(summary(plan))
    assert [found[e]["verdict"] for e in ENCODINGS] == ["worse", "reference", "better"]
    for encoding in ENCODINGS:
        values = [BASE[seed] + DIFFERENCES[encoding][seed] for seed in range(4)]
        assert found[encoding]["per_seed"] == values
        assert found[encoding]["bits_per_byte"] == pytest.approx(math.fsum(values) / 4, rel=1e-15)
        assert found[encoding]["seconds"] == 3.5
    assert found["add(learned)"]["difference"] == 0.0
    assert found["add(learned)"]["interval"] is None
    assert found["none"]["difference"] == pytest.approx(0.2)


def test_higher_accuracies_are_better(plan):
    found = rows(summary(plan), 1)
    assert [found[e]["verdict"] for e in ENCODINGS] == ["better", "reference", "worse"]
    assert found["none"]["accuracy"] == pytest.approx(3.225)


def test_intervals_are_those_of_two_paired_comparisons(plan):
    found = rows(summary(plan))
    wanted = paired([value - 0 for value in DIFFERENCES["none"]], margin=0.03, better="lower", comparisons=2)
    assert found["none"]["interval"] == pytest.approx(list(wanted.interval))


def test_the_margin_is_a_share_of_the_references_loss_and_an_accuracy_as_it_is(plan):
    document = summary(plan)
    assert document["experiments"][0]["margin"] == pytest.approx(0.01 * 3.025)
    assert document["experiments"][1]["margin"] == 0.01
    near = {**DIFFERENCES, "rotary": (0.001, 0.002, 0.001, 0.002)}
    assert rows(summary(plan, near))["rotary"]["verdict"] == "equivalent"


def test_undecided_says_how_many_more_seeds(plan):
    noisy = {**DIFFERENCES, "rotary": (-0.3, 0.1, -0.2, 0.1)}
    row = rows(summary(plan, noisy))["rotary"]
    assert row["verdict"] == "undecided"
    assert row["more_seeds"] > 0


def test_only_seeds_that_both_finished_are_compared(plan):
    lost = {("none", 0), ("add(learned)", 3)}
    row = rows(summary(plan, lost=lost))["none"]
    assert len(row["per_seed"]) == 3
    assert row["difference"] == pytest.approx((0.21 + 0.19) / 2)
    states = [run["status"] for run in summary(plan, lost=lost)["runs"]]
    assert states.count("failed") == 4


def test_an_encoding_without_results(plan):
    row = rows(summary(plan, lost={("rotary", seed) for seed in range(4)}))["rotary"]
    assert row["verdict"] == "undecided"
    assert row["per_seed"] == []
    for name in ("bits_per_byte", "difference", "interval", "seconds", "tokens_per_second", "learning_rate"):
        assert row[name] is None


def test_lengths_keep_their_reason(plan):
    found = rows(summary(plan))
    assert [(r["length"], r["times"], r["note"]) for r in found["add(learned)"]["by_length"]] == [
        (16, 1.0, None), (32, 2.0, "not defined: beyond"), (64, 4.0, "not defined: beyond")
    ]  # fmt: skip
    assert [r["value"] for r in found["add(learned)"]["by_length"]][1:] == [None, None]
    assert found["rotary"]["by_length"][2]["value"] == pytest.approx(found["rotary"]["bits_per_byte"] + 0.2)


def test_curves(plan):
    curves = summary(plan)["experiments"][0]["curves"]
    steps = [point for point in curves["step"] if point["encoding"] == "none"]
    assert [(point["step"], point["tokens"]) for point in steps] == [(4, 256), (8, 512), (12, 768), (16, 1024)]
    assert steps[-1]["low"] == pytest.approx(2.95 + 0.19)
    assert steps[-1]["high"] == pytest.approx(3.1 + 0.21)
    assert [p["length"] for p in curves["length"] if p["encoding"] == "add(learned)"] == [16]
    # The second group of positions has no value at the longer lengths.
    assert [(p["length"], p["position"]) for p in curves["position"] if p["encoding"] == "rotary"] == [
        (16, 0), (16, 8), (32, 0), (64, 0)
    ]  # fmt: skip


def crossing(run):
    """none leads at a quarter, rotary from the half on."""
    return {"none": [1.0, 3.0, 3.0, 3.0], "add(learned)": [2.0, 2.5, 2.5, 2.5], "rotary": [3.0, 2.0, 2.0, 2.0]}[
        run.encoding
    ]


def test_ranks_along_the_training(plan):
    document = summary(plan, curve=crossing)
    assert document["experiments"][0]["ranks"] == [
        {"at": "1/4 of the training", "order": ["none", "add(learned)", "rotary"]},
        {"at": "1/2 of the training", "order": ["rotary", "add(learned)", "none"]},
        {"at": "the end of the training", "order": ["rotary", "add(learned)", "none"]},
    ]
    assert document["notes"][0].startswith(
        "On words.txt the order of the encodings is another at 1/4 of the training than at the end:"
    )


@pytest.mark.parametrize(("points", "budget", "shares"), [
    (2, "1k", ["1/2"]), (3, "1k", []), (4, "1k", ["1/4", "1/2"]), (8, "320", ["1/4", "1/2"])
])  # fmt: skip
def test_ranks_are_given_only_where_the_training_was_measured(tmp_path, points, budget, shares):
    """A curve of 3 points has neither a quarter nor a half; 8 points of 5 steps are 5 points, which have both."""
    plan = planned(tmp_path, curve_points=points, budget=budget, seeds=1)
    rates = {key: 0.01 for key in plan.fitted}
    results = {}
    for run in plan.runs(rates):
        results[run.id] = result(run, 3.0)
        marks = {round(run.steps * (i + 1) / points) for i in range(points)}
        results[run.id]["curve"] = [{"step": step, "value": 3.0} for step in sorted(marks - {0})]
    found = [rank["at"] for rank in summarise(plan, rates, results, [])["experiments"][0]["ranks"]]
    assert found == [*(f"{share} of the training" for share in shares), "the end of the training"]


def test_no_note_where_the_order_stays(plan):
    notes = summary(plan)["notes"]
    assert notes == [
        "The learning rate was not tuned: 0.01 for every encoding. The order depends on it.",
        "4 seeds explore; take 8 or more (--seeds 8) before you claim.",
    ]


def test_notes_on_tuning_and_versions(tmp_path):
    plan = planned(tmp_path, seeds=5, learning_rates=(0.003, 0.01), task=("none",))
    rates = {key: 0.01 for key in plan.fitted}
    results = {run.id: result(run, 3.0) for run in plan.runs(rates)}
    next(iter(results.values()))["torch"] = "2.14.0"
    for run in plan.tuning():
        results[run.id] = result(run, {"none": 2.0, "rotary": 1.0, "add(learned)": 3.0}[run.encoding])
    document = summarise(plan, rates, results, [])
    assert document["notes"] == [
        "On words.txt the order of the encodings is another at learning rate 0.003 (one seed, dev part) and learning "
        "rate 0.01 (one seed, dev part) than at the end: a longer or shorter training, or another learning rate, may "
        "change who wins.",
        "Each encoding has the best of the learning rates 0.003, 0.01, chosen on seed 1000000 and on text that is "
        "neither trained nor tested on.",
        "The runs were made with different versions of torch; their last digits may differ for that.",
    ]
    assert document["versions"]["torch"] == "2.13.0, 2.14.0"
    assert document["experiments"][0]["ranks"][-1]["order"] == ["rotary", "none", "add(learned)"]


def test_the_plan_says_what_was_matched(plan):
    document = summary(plan)
    assert document["matched"]["by"] == "total"
    assert document["plan"]["steps"] == "16"
    assert document["plan"]["correction"] == "Bonferroni over 2 comparisons"
    assert document["data"]["hash"] == plan.experiments[0].data
    assert table(document, 100)
