"""Every kind of source gives a model; whatever is damaged, pickled or missing is refused in one line."""

import json

import pytest
import torch
from lab.support_lab import a_run, a_task, text
from xray.support_sources import refused, saved, tiny_gpt2

import locant
from locant.lab.run import Run
from locant.lab.store import RunFolder, write_arrays
from locant.lab.train import train
from locant.xray.sources import load


def test_a_folder(tmp_path):
    model = tiny_gpt2()
    source = load(saved(tmp_path / "m", model))
    torch.testing.assert_close(dict(source.model.named_parameters())["wte.weight"], model.wte.weight)
    assert source.kind == "folder"
    assert source.words.encode("w3 w4") == [3, 4]
    assert source.words.single("w7") == 7
    assert not source.model.training


def test_a_folder_without_a_tokeniser_gets_none_made_up(tmp_path):
    tiny_gpt2().save_pretrained(tmp_path / "m")
    assert load(tmp_path / "m").words is None


def test_a_safetensors_file_beside_its_config(tmp_path):
    folder = saved(tmp_path / "m")
    assert load(folder / "model.safetensors").kind == "safetensors file"
    (folder / "config.json").unlink()
    assert refused(load, folder / "model.safetensors").startswith("expected config.json beside model.safetensors")


def test_the_untrained_twin_has_the_shapes_and_not_the_weights(tmp_path):
    source, state = load(saved(tmp_path / "m")), torch.get_rng_state()
    one, same, other = source.twin(1), source.twin(1), source.twin(2)
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in source.model.named_parameters():
        twin = dict(one.named_parameters())[name]
        assert twin.shape == tensor.shape
        assert torch.equal(twin, dict(same.named_parameters())[name])
    assert not torch.equal(one.wte.weight, other.wte.weight)
    assert not torch.equal(one.wte.weight, source.model.wte.weight)


def test_tables_only_reads_one_layer(tmp_path):
    source = load(saved(tmp_path / "m", tiny_gpt2(layers=3)), tables_only=True)
    assert len(source.model.h) == 1
    assert "one layer" in source.notes[0]


def test_tables_only_does_not_read_other_layers_of_a_sharded_folder(tmp_path):
    model = tiny_gpt2(layers=3)
    model.h[2].mlp.c_fc.weight.data[:] = torch.nan
    folder = tmp_path / "m"
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    assert "expected finite weights" in refused(load, folder)
    torch.testing.assert_close(load(folder, tables_only=True).model.wpe.weight, model.wpe.weight)


def test_pickles_are_refused(tmp_path):
    folder = saved(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    torch.save(tiny_gpt2().state_dict(), folder / "pytorch_model.bin")
    told = refused(load, folder)
    assert told.startswith("expected weights as safetensors")
    assert told.endswith("was: pytorch_model.bin; pickled files are never opened")
    assert "pickled files are never opened" in refused(load, folder / "pytorch_model.bin")


def test_damaged_files_are_refused(tmp_path):
    folder = saved(tmp_path / "m")
    weights = (folder / "model.safetensors").read_bytes()
    for bad in (b"", weights[:100], b"\xff" * 64, weights[: len(weights) // 2]):
        (folder / "model.safetensors").write_bytes(bad)
        assert refused(load, folder).startswith("expected a readable safetensors file, was: ")
    gguf = tmp_path / "a.gguf"
    gguf.write_bytes(b"PK\x03\x04")
    assert "that begins with b'PK" in refused(load, gguf)
    gguf.write_bytes(b"GGUF" + b"\x00" * 40)
    assert refused(load, gguf).startswith("expected a ")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = tiny_gpt2()
    model.h[1].mlp.c_fc.weight.data[3, 4] = torch.nan
    told = refused(load, saved(tmp_path / "m", model))
    assert "expected finite weights" in told
    assert "nan in the parameter h.1.mlp.c_fc.weight" in told
    assert "expected finite weights" in refused(load, model)


def test_weights_that_are_missing_are_refused(tmp_path):
    folder = saved(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_layer": 3}))
    assert "was: 12 missing, 0 of another shape, such as h.2." in refused(load, folder)


def test_what_does_not_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCANT_CACHE", str(tmp_path))
    assert "was: not fetched; make models" in refused(load, "minilm")
    assert refused(load, "no such thing").startswith("expected a path that exists or an id on the hub")
    (tmp_path / "a.txt").write_text("x")
    assert refused(load, tmp_path / "a.txt").startswith("expected a folder, a .safetensors or a .gguf file")
    (tmp_path / "empty").mkdir()
    assert refused(load, tmp_path / "empty").startswith("expected a folder with config.json")


def test_a_hub_that_cannot_be_reached(monkeypatch):
    from transformers import AutoConfig

    def offline(*_, **__):
        raise OSError("We couldn't connect\nto the hub")

    monkeypatch.setattr(AutoConfig, "from_pretrained", offline)
    told = refused(load, "org/model")
    assert told.endswith("can be reached, was: org/model (OSError: We couldn't connect to the hub)")


def test_a_word_of_several_tokens_is_refused(tmp_path):
    words = load(saved(tmp_path / "m")).words
    assert refused(words.single, "w1 w2").startswith("expected a word of one token, was: 'w1 w2', which is 2")


@pytest.fixture
def run(tmp_path):
    run = a_run()
    train(run, text(), tmp_path, snapshots=3)
    return RunFolder(tmp_path, run).path


def test_a_run_keeps_its_weights_and_is_loaded_at_any_of_them(run):
    last, first = load(run), load(run, revision="0")
    assert last.facts["step"] == 12
    assert not torch.equal(last.model.tokens.weight, first.model.tokens.weight)
    assert torch.equal(first.model.tokens.weight, first.twin(0).tokens.weight)  # step 0 of seed 0 is its start
    assert last.words.encode("ab") == [97, 98]
    assert refused(load, run, revision="5") == "expected a step among 0, 6, 12, was: '5'"


def test_the_kept_weights_are_those_of_the_trained_model(run):
    import torch.nn.functional as F

    problem, model = text(), load(run).model
    total = count = 0.0
    for tokens, targets in problem.test("test", 16, 256, 16):
        with torch.no_grad():
            total += float(F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten(), reduction="sum"))
        count += targets.numel()
    value = total / count / torch.log(torch.tensor(2.0))
    assert float(value) == pytest.approx(json.loads((run / "result.json").read_text())["value"], rel=1e-5)


def test_snapshots_do_not_change_the_run(run, tmp_path):
    train(a_run(), text(), tmp_path / "without")
    without = json.loads((RunFolder(tmp_path / "without", a_run()).path / "result.json").read_text())
    assert without["value"] == json.loads((run / "result.json").read_text())["value"]
    assert not (RunFolder(tmp_path / "without", a_run()).path / "snapshots").exists()


def test_runs_that_cannot_be_read(run, tmp_path):
    (tmp_path / "locant.json").write_text("{}")
    told = refused(load, tmp_path)
    assert told.startswith("expected the folder of one run, was: ")
    assert "is add(learned) on words, seed 0" in told
    (run / "snapshots" / "12.npz").write_bytes(b"nothing")
    assert refused(load, run).startswith("expected weights in ")
    for path in (run / "snapshots").glob("*"):
        path.unlink()
    assert "train with --snapshots 1 or more" in refused(load, run)
    write_arrays(run / "snapshots" / "12.npz", {"tokens.weight": torch.zeros(4, 16)})
    assert refused(load, run).startswith("expected the weights of ")
    assert "another" in refused(load, run)


def test_a_run_of_a_task_is_asked_with_the_task(tmp_path):
    run = Run.from_dict({**vars(a_run(problem="copy"))})
    train(run, a_task(), tmp_path, snapshots=1)
    source = load(RunFolder(tmp_path, run).path)
    assert source.words is None
    tokens = source.sample(5, 16, 0)
    assert tokens.shape == (5, 16)
    assert torch.equal(tokens, source.sample(5, 16, 0))
    assert not torch.equal(tokens, source.sample(5, 16, 1))


def test_a_model_in_memory():
    source = load(locant.decoder("rotary", 16, 2, 1, 8, 256))
    assert source.words.encode("a") == [97]
    assert load(locant.decoder("rotary", 16, 2, 1, 8, 9)).words is None
    assert load(tiny_gpt2()).facts["num_hidden_layers"] == 2
    assert refused(load, tiny_gpt2(), revision="x").startswith("expected no revision")
