"""A comparison from settings to document, in this process; test_processes has the same with workers."""

import json
import os
import re
from dataclasses import replace

import pytest
from lab.support_lab import in_process, plain, settings, text_file
from lab.test_plan import planned
from support import refusal

import locant.lab.compare as comparing
import locant.report
from locant.lab.compare import choose_rates, compare
from locant.lab.jobs import perform
from locant.lab.plan import TUNING_SEED
from locant.report import table
from locant.report.document import by_seed


@pytest.fixture(autouse=True)
def no_processes(monkeypatch):
    monkeypatch.setattr(comparing, "execute", in_process)


@pytest.fixture
def no_page(monkeypatch):
    """Drawing takes longer than all else here; most tests look at the document."""
    monkeypatch.setattr(locant.report, "write", lambda document, path: path.write_text("a page"))


def but(condition):
    """An executor in which the jobs that fulfil the condition fail."""

    def execute(jobs, workers, listen):
        for job in jobs:
            broken = replace(job, run={**job.run, "encoding": "broken"}) if condition(job.run) else job
            event = perform(broken, listen)
            listen(replace(event, job=job))

    return execute


class TestDocument:
    def test_keys(self, compared):
        made, document = compared
        assert set(document) == {"reference", "encodings", "seeds", "matched", "data", "plan", "versions", "notes",
                                 "rows", "experiments", "runs", "failed"}  # fmt: skip
        wanted = {"encoding", "bits_per_byte", "difference", "interval", "verdict", "parameters", "flops_per_token",
                  "tokens_per_second", "seconds", "per_seed", "steps", "tokens", "by_length"}  # fmt: skip
        assert all(wanted <= set(row) for row in document["rows"])
        assert document["rows"] == document["experiments"][0]["rows"]
        assert document["reference"] == "add(learned)"
        assert document["seeds"] == [0, 1]
        assert document["failed"] == []
        assert json.loads((made.out / "comparison.json").read_text()) == plain(document)

    def test_tuning_runs_are_listed_apart(self, compared):
        _, document = compared
        dev = [run for run in document["runs"] if run["part"] == "dev"]
        assert len(dev) == 2 * 3 * 2
        assert {run["seed"] for run in dev} == {TUNING_SEED}
        assert {run["learning_rate"] for run in dev} == {0.003, 0.01}
        assert len(document["runs"]) == 24
        assert all(run["status"] == "done" for run in document["runs"])
        assert {row["learning_rate"] for row in document["rows"]} <= {0.003, 0.01}

    def test_each_encoding_has_the_rate_that_was_best_on_the_dev_part(self, compared):
        _, document = compared
        for experiment in document["experiments"]:
            for row in experiment["rows"]:
                tried = {run["learning_rate"]: run["final"] for run in document["runs"] if run["part"] == "dev"
                         and (run["experiment"], run["encoding"]) == (experiment["name"], row["encoding"])}  # fmt: skip
                best = min if experiment["better"] == "lower" else max
                assert tried[row["learning_rate"]] == best(tried.values())

    def test_the_page_of_a_tuned_comparison(self, compared):
        made, document = compared
        page = (made.out / "report.html").read_text()
        assert len(re.findall("tried on the dev part", page)) == 12
        assert "learning rate 0.003 tried on the dev part" in page
        assert table(document, 120)
        for row in document["rows"]:
            assert list(by_seed(document, document["experiments"][0], row)) == [0, 1]

    def test_files(self, compared):
        made, document = compared
        assert sorted(os.listdir(made.out)) == [
            ".lock", "choices.json", "comparison.json", "data", "locant.json", "measurements.parquet",
            "records.parquet", "report.html", "report.md", "runs"
        ]  # fmt: skip
        assert sorted(os.listdir(made.out / "runs")) == sorted(run["id"] for run in document["runs"])

    @pytest.mark.usefixtures("no_page")
    def test_the_same_command_trains_nothing_and_says_the_same(self, compared, monkeypatch):
        made, document = compared

        def refuse(*_):
            raise AssertionError("expected nothing to train")

        monkeypatch.setattr(comparing, "execute", refuse)
        assert plain(compare(made)) == plain(document)

    @pytest.mark.usefixtures("no_page")
    def test_more_seeds_keep_those_that_were_there(self, tmp_path, monkeypatch):
        made = settings(tmp_path, seeds=1)
        first, trained = compare(made), []

        def count(jobs, workers, listen):
            trained.extend(jobs)
            in_process(jobs, workers, listen)

        monkeypatch.setattr(comparing, "execute", count)
        second = compare(replace(made, seeds=2))
        assert {job.run["seed"] for job in trained} == {1}
        for one, two in zip(first["rows"], second["rows"], strict=True):
            assert two["per_seed"][0] == one["per_seed"][0]


class TestFailures:
    @pytest.mark.usefixtures("no_page")
    def test_a_failed_run_leaves_the_others_alone_and_is_tried_again(self, tmp_path, monkeypatch):
        made = settings(tmp_path)
        monkeypatch.setattr(comparing, "execute", but(lambda run: run["encoding"] == "rotary" and run["seed"] == 1))
        document = compare(made)
        assert [(f["encoding"], f["experiment"], f["seed"]) for f in document["failed"]] == [
            ("rotary", "words.txt", 1), ("rotary", "copy", 1)
        ]  # fmt: skip
        assert all("expected one of add, " in failure["error"] for failure in document["failed"])
        states = {(run["encoding"], run["seed"]): run["status"] for run in document["runs"]}
        assert [key for key, state in states.items() if state == "failed"] == [("rotary", 1)]
        row = next(row for row in document["rows"] if row["encoding"] == "rotary")
        assert len(row["per_seed"]) == 1
        assert (row["verdict"], row["interval"]) == ("undecided", None)
        monkeypatch.setattr(comparing, "execute", in_process)
        assert compare(made)["failed"] == []

    def test_a_tuned_comparison_with_a_failed_run_has_a_page(self, tmp_path, monkeypatch):
        made = settings(tmp_path, learning_rates=(0.003, 0.01), task=("none",))
        monkeypatch.setattr(comparing, "execute", but(lambda run: run["encoding"] == "rotary" and run["seed"] == 0))
        document = compare(made)
        row = next(row for row in document["rows"] if row["encoding"] == "rotary")
        assert list(by_seed(document, document["experiments"][0], row)) == [1]
        assert "failed" in (made.out / "report.html").read_text()

    @pytest.mark.parametrize("lost", ["add(learned)", None])
    def test_without_the_reference_or_without_any_run_there_is_still_a_page(self, tmp_path, monkeypatch, lost):
        made = settings(tmp_path)
        monkeypatch.setattr(comparing, "execute", but(lambda run: lost in (None, run["encoding"])))
        document = compare(made)
        assert len(document["failed"]) == (4 if lost else 12)
        assert [row["verdict"] for row in document["rows"]] == ["undecided", "reference", "undecided"]
        assert all(row["difference"] is None for row in document["rows"] if row["encoding"] != "add(learned)")
        assert (made.out / "report.html").exists()
        for width in (40, 120):
            assert table(document, width)

    def test_without_a_text_there_is_a_page(self, tmp_path):
        document = compare(settings(tmp_path, data="none", seeds=1, encodings=("none", "rotary")))
        assert document["data"] == {"name": "none", "description": "synthetic tasks only"}
        assert [row["accuracy"] for row in document["rows"]]
        assert table(document, 120)

    @pytest.mark.usefixtures("no_page")
    def test_one_encoding_alone(self, tmp_path):
        document = compare(settings(tmp_path, encodings=("rotary",), task=("none",)))
        assert document["reference"] == "rotary"
        assert table(document, 120)


class TestRates:
    def results(self, plan, value):
        """Made-up results of the tuning runs."""
        metric = {"words.txt": "bits_per_byte", "copy": "accuracy"}
        return {run.id: {"metric": metric[run.problem], "value": value(run)} for run in plan.tuning()
                if value(run) is not None}  # fmt: skip

    def plan(self, tmp_path):
        return planned(tmp_path, learning_rates=(0.1, 0.01, 0.001), encodings=("none", "rotary"))

    def test_lower_loss_and_higher_accuracy_are_better(self, tmp_path):
        plan = self.plan(tmp_path)
        rates = choose_rates(plan, self.results(plan, lambda run: run.learning_rate))
        assert rates == {("words.txt", "none"): 0.001, ("words.txt", "rotary"): 0.001, ("copy", "none"): 0.1,
                         ("copy", "rotary"): 0.1}  # fmt: skip

    def test_each_encoding_chooses_for_itself(self, tmp_path):
        plan = self.plan(tmp_path)
        wanted = {"none": 0.01, "rotary": 0.1}
        rates = choose_rates(plan, self.results(plan, lambda run: abs(run.learning_rate - wanted[run.encoding])))
        assert {encoding: rates["words.txt", encoding] for encoding in wanted} == wanted

    def test_a_rate_that_failed_is_not_taken(self, tmp_path):
        plan = self.plan(tmp_path)
        found = self.results(plan, lambda run: None if run.learning_rate == 0.001 else run.learning_rate)
        assert choose_rates(plan, found)["words.txt", "none"] == 0.01

    def test_if_all_failed_the_first_is_taken(self, tmp_path):
        assert set(choose_rates(self.plan(tmp_path), {}).values()) == {0.1}

    def test_a_single_rate_needs_no_choice(self, tmp_path):
        plan = planned(tmp_path)
        assert set(choose_rates(plan, {}).values()) == {0.01}


@pytest.mark.usefixtures("no_page")
class TestFolder:
    def test_a_refused_comparison_leaves_no_folder(self, tmp_path):
        made = settings(tmp_path, width=15)
        assert "expected a width divisible" in refusal(lambda: compare(made))
        assert not made.out.exists()

    def test_a_refused_comparison_leaves_a_folder_of_results_as_it_was(self, tmp_path):
        made = settings(tmp_path, encodings=("none",), task=("none",), seeds=1)
        document = compare(made)
        before = sorted(path.relative_to(made.out) for path in made.out.rglob("*"))
        refusal(lambda: compare(replace(made, width=15)))
        refusal(lambda: compare(replace(made, data=str(tmp_path / "no.txt"))))
        assert sorted(path.relative_to(made.out) for path in made.out.rglob("*")) == before
        assert plain(compare(made)) == plain(document)

    def test_two_at_once(self, tmp_path):
        made = settings(tmp_path, encodings=("none",), task=("none",), seeds=1)
        compare(made)
        with comparing._alone(made.out):
            message = refusal(lambda: compare(made))
        assert message == f"expected a folder that no other comparison writes to, was: {made.out}, in use"
        assert compare(made)["failed"] == []

    def test_what_a_kill_left_is_cleared(self, tmp_path):
        made = settings(tmp_path, encodings=("none",), task=("none",), seeds=1)
        compare(made)
        left = made.out / "runs" / ".checkpoint.pt.7.partial"
        left.touch()
        compare(made)
        assert not left.exists()


@pytest.mark.usefixtures("no_page")
def test_an_encoding_of_ones_own(tmp_path):
    from lab.test_plan import BUILDERS

    path = tmp_path / "mine.py"
    path.write_text(BUILDERS)
    made = settings(tmp_path, encodings=("none", "louder(by=0.2) + rotary"), builders=path, seeds=1, task=("none",))
    document = compare(made)
    values = [row["bits_per_byte"] for row in document["rows"]]
    assert document["failed"] == []
    assert values[0] != values[1]


def test_names_of_files_are_shown_as_they_are(tmp_path):
    path = tmp_path / "[red]a <b> | $x$.txt"
    path.write_text(text_file(tmp_path).read_text())
    made = settings(tmp_path, encodings=("none",), task=("none",), seeds=1)
    document = compare(replace(made, data=str(path)))
    assert document["data"]["name"] == path.name
    assert "<b>" not in (made.out / "report.html").read_text()
