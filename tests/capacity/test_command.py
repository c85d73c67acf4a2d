"""`locant capacity` and the call behind it: what is answered, in which form, and that laws and reports agree."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import locant.cli
from locant.capacity import capacity
from locant.capacity.exact import recovery_probability

SMALL = ["--vocab", "300", "--positions", "20", "--width", "48"]


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command in this process; returns exit status, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["locant", "capacity", *map(str, arguments)])
        monkeypatch.setattr(locant.cli, "_default_text", lambda: ("a text", b"so it goes, " * 500))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            locant.cli.main()
        told = capsys.readouterr()
        return end.value.code, told.out, told.err

    return call


@pytest.fixture
def answered(run):
    """The JSON of a command that succeeds."""

    def call(*arguments):
        code, printed, told = run("--json", *arguments)
        assert (code, told) == (0, "")
        assert len(printed.splitlines()) == 1
        return json.loads(printed)

    return call


@pytest.fixture(scope="module")
def gpt2():
    return capacity().to_dict()


def value(number):
    return None if number is None else number["value"]


def row(rows, key):
    [found] = [each for each in rows if each["key"] == key]
    return found


def bare_numbers(item, path=""):
    """Numbers of a document that are not part of an answered number, nor of the question, nor an x."""
    if isinstance(item, dict):
        if {"value", "low", "high", "method"} <= set(item):
            assert item["low"] <= item["value"] <= item["high"], path
            assert item["method"]
            return []
        rest = {key: each for key, each in item.items() if key not in ("x", "x2")}  # where a curve is asked
        return [found for key, each in rest.items() for found in bare_numbers(each, f"{path}.{key}")]
    if isinstance(item, list):
        return [found for each in item for found in bare_numbers(each, path)]
    return [path] if isinstance(item, int | float) and not isinstance(item, bool) else []


class TestTheAnswerForGpt2:
    def test_token_and_position(self, gpt2):
        assert gpt2["verdict"] == "separable"
        assert gpt2["binding"] == "nothing"
        assert [value(width) for width in row(gpt2["ladder"], "dot")["widths"]] == [40, 82]
        assert [value(width) for width in row(gpt2["ladder"], "best")["widths"]] == [3, 4]
        assert [value(width) for width in row(gpt2["ladder"], "any")["widths"]] == [2, 2]
        assert value(gpt2["bits"]["needed"]) == pytest.approx(math.log2(50257 * 1024))
        assert value(gpt2["bits"]["available"]) == pytest.approx(768 * math.log2(65279))

    def test_keep_adding(self, gpt2):
        found = {each["key"]: [value(number) for number in each["members"]] for each in gpt2["adding"]}
        assert found["dot"] == [20, 13]
        assert found["amp"] == [126, 126]
        assert found["any"] == [2035, 2035]
        assert 60 <= found["omp"][0] <= 80
        assert found["dot"][0] < found["omp"][0] < found["amp"][0] < found["best"][0] < found["any"][0]

    def test_number_formats(self, gpt2):
        found = {each["format"]: each for each in gpt2["formats"]}
        assert [value(found[name]["numbers"]) for name in ("fp32", "bf16", "fp16", "e4m3", "int8", "int4", "1bit")] == [
            1, 2, 2, 4, 4, 7, 26]  # fmt: skip
        assert [value(found[name]["random"]) for name in ("fp32", "bf16", "fp16")] == [2, 4, 3]
        [fp32] = [each for each in gpt2["one_number"] if each["way"] == "random tables, one fp32"]
        assert value(fp32["correct"]) == pytest.approx(0.73, abs=0.01)

    def test_three_ways_agree(self, gpt2):
        assert all(each["agree"] for each in gpt2["checks"])
        assert any(each["brute_force"] for each in gpt2["checks"])
        assert all(each["simulation"] for each in gpt2["checks"])

    def test_every_number_has_a_method_and_an_interval(self, gpt2):
        assert {path.split(".")[1] for path in bare_numbers(gpt2)} <= {"question", "curves"}

    def test_what_it_says_in_words(self, gpt2):
        text = " ".join(gpt2["answer"])
        for words in ("Yes, separable.", "82 numbers", "dot product 20", "What would break it", "25.62 of"):
            assert words in text


class TestOutput:
    def test_json_is_reproducible(self, answered):
        assert answered(*SMALL) == answered(*SMALL)

    def test_terminal(self, run):
        code, printed, told = run(*SMALL)
        assert (code, told) == (0, "")
        for words in ("Can a sum of", "dot product", "Number formats", "brute force"):
            assert words in printed
        assert printed.isascii() or all(sign in "─━" for sign in printed if not sign.isascii())

    def test_report(self, run, answered, tmp_path):
        code, printed, _ = run("--vocab", 60, "--positions", 9, "--width", 12, "--out", tmp_path / "out")
        assert code == 0
        assert str(tmp_path / "out" / "report.html") in printed
        document = json.loads((tmp_path / "out" / "capacity.json").read_text())
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert document["question"]["sentence"] in page
        assert set(bare_numbers({**document, "curves": None, "question": None})) <= {".zip.rounds.round", ".zip.saved"}
        ways = {each["way"]: each for each in document["one_number"]}
        assert value(ways["designed fp32 code"]["correct"]) == 1
        assert value(ways["digits in fp32"]["sums"]) == 540
        sizes = [value(each["bytes"]) for each in document["zip"]["rounds"] if each["name"] == "lzma"]
        assert sizes[0] == 6000
        assert sizes[1] < 200
        assert min(sizes[2:]) > sizes[1]

    def test_help_needs_nothing_heavy(self):
        import subprocess

        code = ("import sys; sys.argv = ['locant', 'capacity', '--help']; from locant.cli import main\n"
                "try: main()\nexcept SystemExit: pass\nassert not {'torch', 'scipy'} & set(sys.modules)")  # fmt: skip
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "--brute-force" in done.stdout


class TestQuestions:
    def test_brute_force_at_the_asked_width(self, answered):
        found = answered("--vocab", 6000, "--positions", 0, "--members", 4, "--width", 200, "--brute-force")
        asked = found["checks"][1]
        assert asked["question"] == "4 of 6000, width 200, dot product"
        assert asked["brute_force"]["trials"] == 2048
        assert asked["agree"]

    @pytest.mark.parametrize("goal", ["slot", "membership"])
    def test_goals(self, answered, goal):
        found = answered("--vocab", 200, "--members", 3, "--width", 64, "--goal", goal)
        exact = recovery_probability(64, 200, 3, noise=value(found["formats"][2]["noise"]) * 3, goal=goal)
        assert value(found["ladder"][0]["probability"]) == pytest.approx(exact, abs=1e-4)

    @pytest.mark.parametrize("code", ["sphere", "sign"])
    def test_codes(self, answered, code):
        found = answered("--vocab", 200, "--members", 3, "--width", 40, "--code", code, "--format", "fp32")
        dot = row(found["ladder"], "dot")
        assert value(dot["widths"][0]) < 40
        assert all(each["agree"] and each["formula"] and each["simulation"] for each in found["checks"])
        assert {"sic", "omp", "best", "any"} <= {each["key"] for each in found["ladder"] if each["probability"]}
        gauss = recovery_probability(40, 200, 3)
        assert value(dot["probability"]) > gauss - 0.02  # equal lengths are easier

    def test_noise_and_precision_bind(self, answered):
        quiet = answered("--vocab", 200, "--members", 3, "--width", 64)
        loud = answered("--vocab", 200, "--members", 3, "--width", 64, "--noise", 6)
        assert value(loud["ladder"][0]["probability"]) < value(quiet["ladder"][0]["probability"]) - 0.2
        assert answered("--vocab", 200, "--members", 3, "--width", 5, "--format", "int2")["binding"] == "pigeonhole"
        coarse = answered("--vocab", 200, "--members", 3, "--width", 14, "--format", "1bit")
        assert coarse["binding"] in ("precision", "pigeonhole")
        assert coarse["verdict"] == "not separable"

    def test_hard_sums_are_separable_in_principle_only(self, answered):
        found = answered("--vocab", 1000, "--members", 10, "--width", 30, "--format", "fp32")
        assert (found["verdict"], found["binding"]) == ("in principle", "computation")

    def test_probability_sets_the_target(self, answered):
        found = answered("--vocab", 200, "--members", 3, "--width", 64, "--probability", 0.9)
        [width] = row(found["ladder"], "dot")["widths"]
        assert recovery_probability(int(value(width)), 200, 3) == pytest.approx(0.9, abs=0.02)


class TestSolving:
    BASE = ("--vocab", "200", "--positions", "0", "--format", "fp32", "--probability", "0.9")

    def test_width(self, answered):
        found = answered(*self.BASE, "--members", 3, "--solve", "width")
        width = int(value(found["solved"]["number"]))
        assert found["question"]["width"] == width
        assert recovery_probability(width, 200, 3) >= 0.9 > recovery_probability(width - 1, 200, 3)

    def test_members(self, answered):
        found = answered(*self.BASE, "--width", 64, "--solve", "members")
        members = int(value(found["solved"]["number"]))
        assert found["question"]["members"] == members
        assert recovery_probability(64, 200, members) >= 0.9 > recovery_probability(64, 200, members + 1)

    def test_items(self, answered):
        found = answered("--positions", 0, "--members", 3, "--width", 64, "--probability", 0.9, "--solve", "items",
                         "--format", "fp32")  # fmt: skip
        items = int(value(found["solved"]["number"]))
        assert recovery_probability(64, items, 3) >= 0.9 > recovery_probability(64, items + 1, 3)

    def test_format(self, answered):
        found = answered("--vocab", 200, "--members", 3, "--width", 64, "--probability", 0.8, "--solve", "format")
        assert found["question"]["number_format"] == found["solved"]["format"]
        by_name = {each["format"]: value(each["probability"]) for each in found["formats"]}
        assert by_name[found["solved"]["format"]] >= 0.8
        assert by_name["1bit"] < 0.8

    def test_probability(self, answered):
        found = answered("--vocab", 200, "--members", 3, "--width", 40, "--solve", "probability", "--decoder", "omp")
        assert found["solved"]["number"]["method"] == "simulation"
        assert found["solved"]["number"] == row(found["ladder"], "omp")["probability"]

    def test_by_a_better_decoder_less_is_needed(self, answered):
        widths = [
            value(answered(*self.BASE, "--members", 8, "--solve", "width", "--decoder", name)["solved"]["number"])
            for name in ("dot", "omp", "amp", "best")
        ]
        assert widths == sorted(widths, reverse=True)
        assert len(set(widths)) == 4


class TestRealTables:
    @pytest.fixture
    def model(self, tmp_path):
        generator = torch.Generator().manual_seed(0)
        common = 2 * torch.randn(32, generator=generator)
        tokens = torch.randn(400, 32, generator=generator) * torch.arange(1, 33) ** -0.3 + common
        positions = 0.4 * torch.randn(30, 32, generator=generator)
        folder = tmp_path / "model"
        folder.mkdir()
        save_file({"wte.weight": tokens, "wpe.weight": positions}, folder / "model.safetensors")
        return folder

    def test_model(self, answered, model):
        found = answered("--model", model)
        assert found["question"]["items"] == [400, 30]
        assert found["question"]["tables"] == ["wte.weight", "wpe.weight"]
        by_decoder = {each["decoder"]: value(each["probability"]) for each in found["real"]["decoders"]}
        assert by_decoder["whitened log-likelihood"] > by_decoder["dot product"] + 0.2
        assert by_decoder["maximum likelihood over all pairs"] == 1
        assert found["answer"][0].startswith("The real tables (wte.weight and wpe.weight) are separable: ")
        assert {path.split(".")[1] for path in bare_numbers(found)} <= {"question", "curves"}

    def test_two_tables_of_files(self, answered, model, tmp_path):
        rows = np.random.default_rng(0).normal(size=(50, 32)).astype(np.float32)
        np.save(tmp_path / "rows.npy", rows)
        found = answered("--table", f"{model / 'model.safetensors'}:wte.weight", tmp_path / "rows.npy")
        assert found["question"]["items"] == [400, 50]

    def test_sets_of_one_table(self, answered, model):
        found = answered("--table", f"{model / 'model.safetensors'}:wte.weight", "--members", 2)
        by_decoder = {each["decoder"]: value(each["probability"]) for each in found["real"]["decoders"]}
        assert by_decoder["whitened log-likelihood"] > by_decoder["dot product"]
        assert found["question"]["members"] == 2

    def test_tensors(self):
        generator = torch.Generator().manual_seed(0)
        found = capacity(items=[torch.randn(90, 16, generator=generator), torch.randn(12, 16, generator=generator)])
        assert found.question.width == 16
        assert found.tables == ("table 1", "table 2")
        assert found.real is not None

    def test_rows_left_out_are_noted(self, answered, tmp_path):
        rows = np.random.default_rng(0).normal(size=(50, 32)).astype(np.float32)
        rows[7] = 0
        np.save(tmp_path / "rows.npy", rows)
        found = answered("--table", tmp_path / "rows.npy", "--members", 2, "--drop")
        assert found["question"]["items"] == [49]
        assert "1 of 50 rows were left out" in found["notes"][0]
