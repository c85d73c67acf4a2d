"""Models that an x-ray sees in part or not at all: what is measured is right, the rest has a reason or is refused."""

import json
import os
import subprocess
import sys
import warnings

import pytest
import torch
from xray.architectures import SMALL
from xray.support_sources import refused, saved, tiny_gpt2

from locant.xray import xray
from locant.xray.reach import PROBE
from locant.xray.sources import load

TOKENS = torch.randint(3, 60, (9, 12), generator=torch.Generator().manual_seed(2))
WITHOUT_ATTENTION = {
    "mamba": ({"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}, None),
    "fnet": (SMALL, 48),
    "yoso": (SMALL, 48),  # attention that is never a matrix
    "longformer": (SMALL | {"attention_window": 4, "max_position_embeddings": 50}, 48),  # in bands
}


def made(name, options):
    from transformers import AutoConfig, AutoModel

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return AutoModel.from_config(AutoConfig.for_model(name, **options)).eval()


@pytest.mark.parametrize("name", WITHOUT_ATTENTION)
def test_attention_that_is_not_there_leaves_the_tables(name):
    options, rows = WITHOUT_ATTENTION[name]
    document = xray(made(name, options), text=TOKENS, quick=True).to_dict()
    json.dumps(document, allow_nan=False)
    assert document["facts"]["Input and attention"]["position rows"] == rows
    assert document["notes"][-1].startswith("only the tables are measured: expected a model whose attention can be ")
    assert not [metric for metric in document["metrics"] if metric.startswith(("M1.", "M4.", "M5.", "M6."))]
    assert (document["metrics"]["M2.overlap"]["value"] is None) == (rows is None)
    said = {claim["id"]: (claim["verdict"], claim["finding"]) for claim in document["claims"]}
    assert said["C5"] == ("undecided", "Hidden states were not looked at.")
    assert said["C1"][0] == ("does not apply" if rows is None else said["C1"][0])


@pytest.mark.parametrize(("name", "options", "message"), [
    ("xlnet", {"vocab_size": 60, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
     "expected XLNetModel to hand its first layer states [texts, slots, width], was: nothing of that shape"),
    ("vit", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
     "expected a model with a table of tokens, was: ViTModel"),
    ("clip", {}, "expected a model with a table of tokens, was: CLIPModel"),
])  # fmt: skip
def test_models_that_are_read_otherwise_are_refused(name, options, message):
    assert refused(xray, made(name, options), text=TOKENS, quick=True) == message


def test_sixteen_bits_that_overflow_leave_the_tables():
    model = tiny_gpt2()
    with torch.no_grad():
        model.h[0].mlp.c_fc.weight *= 2000
        model.h[0].mlp.c_proj.weight *= 2000
    assert xray(tiny_gpt2().half(), text=TOKENS, quick=True).to_dict()["metrics"]["M4.layer.1.position_share"]["value"]
    document = xray(model.half(), text=TOKENS, quick=True).to_dict()
    told = "expected finite hidden states, was: NaN or infinity in the output of GPT2Model in torch.float16"
    assert document["notes"][-1] == f"only the tables are measured: {told}"
    assert document["metrics"]["M2.overlap"]["value"] is not None
    assert "M4.layer.0.position_share" not in document["metrics"]


def test_an_overflow_that_only_some_texts_have_is_refused():
    model = tiny_gpt2()
    tried = torch.randint(59, PROBE, generator=torch.Generator().manual_seed(0))  # what the model is understood by
    token = next(each for each in TOKENS.flatten().tolist() if each not in tried)
    with torch.no_grad():
        model.wte.weight[token] = 3e38  # finite, but its mean over the columns is not
    told = refused(xray, model, text=TOKENS, quick=True)
    assert told == "expected finite hidden states, was: NaN or infinity in normed of layer 0"


def test_infinite_weights_on_disk_are_refused(tmp_path):
    model = tiny_gpt2().half()
    model.wpe.weight.data[2, 3] = torch.inf
    assert "was: inf in the parameter wpe.weight" in refused(load, saved(tmp_path / "m", model))


def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    folder, trace = saved(tmp_path / "m"), tmp_path / "ran"
    config = json.loads((folder / "config.json").read_text())
    code = {"AutoConfig": "mine.Mine", "AutoModel": "mine.Model"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "mine", "auto_map": code}))
    (folder / "mine.py").write_text(f"open({str(trace)!r}, 'w')\nclass Mine: pass\nclass Model: pass\n")
    told = f"expected a model whose code is part of transformers, was: {folder}, which brings code of its own"
    assert refused(load, folder) == f"{told}; that is never run"
    assert not trace.exists()


def test_a_folder_without_weights_is_refused(tmp_path):
    folder = saved(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    told = refused(load, folder)
    assert told.startswith(f"expected weights as safetensors in {folder}, was: none")
    (folder / "config.json").write_text("{")
    (folder / "model.safetensors").write_bytes(b"")
    assert refused(load, folder).startswith("expected a readable safetensors file, was: ")


def test_a_config_that_is_no_json_is_refused(tmp_path):
    folder = saved(tmp_path / "m")
    (folder / "config.json").write_text("{")
    told = refused(load, folder)
    assert told.startswith("expected ")
    assert str(folder) in told


@pytest.mark.slow
def test_an_id_that_cannot_be_looked_up_is_one_line(tmp_path):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run([sys.executable, "-m", "locant", "xray", "no-such-org/no-such-model", "--quick"],
                          capture_output=True, text=True, env=environment, cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("locant: expected minilm, smollm2, an existing path or an id on ")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("xray-*"))
