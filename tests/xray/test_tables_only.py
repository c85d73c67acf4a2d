"""--tables-only: what is read of a folder of shards, and weights that mean nothing."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from xray.support_sources import refused, saved, tiny_gpt2, tokeniser

from locant.xray import xray
from locant.xray.sources import load


def sharded(folder, layers=3):
    model = tiny_gpt2(layers=layers)
    model.save_pretrained(folder, max_shard_size="20KB")
    tokeniser(60).save_pretrained(folder)
    assert len(list(folder.glob("*.safetensors"))) > layers
    return folder


def spoil(folder, wanted, number):
    """Writes a number into every tensor whose name is wanted."""
    spoilt = 0
    for path in folder.glob("*.safetensors"):
        tensors = load_file(path)
        for name in filter(wanted, tensors):
            tensors[name].flatten()[:1] = number
            spoilt += 1
        save_file(tensors, path, metadata={"format": "pt"})
    return spoilt


def tokens():
    return torch.randint(3, 60, (12, 16), generator=torch.Generator().manual_seed(2))


def test_other_layers_may_be_spoilt(tmp_path):
    folder = sharded(tmp_path / "m")
    whole = xray(folder, text=tokens(), quick=True, tables_only=True).to_dict()["metrics"]
    assert spoil(folder, lambda name: name.startswith(("h.1.", "h.2.")), torch.nan) == 24
    again = xray(folder, text=tokens(), quick=True, tables_only=True).to_dict()["metrics"]
    assert again == whole
    assert whole["M11.toeplitz"]["value"] is not None
    told = refused(xray, folder, text=tokens(), quick=True)
    assert told.startswith("expected finite weights in ")
    assert "was: nan in the parameter h.1." in told


def test_only_the_input_and_the_first_layer_are_read(tmp_path, monkeypatch):
    import transformers.modeling_utils as loader

    read = set()

    class Slice:
        def __init__(self, name, lazy):
            self.name, self.lazy = name, lazy

        def __getitem__(self, index):
            read.add(self.name)
            return self.lazy[index]

        def __getattr__(self, key):
            return getattr(self.lazy, key)

    class Watched:
        def __init__(self, *given, **options):
            self.file = safe_open(*given, **options)

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *raised):
            return self.file.__exit__(*raised)

        def get_tensor(self, name):
            read.add(name)
            return self.file.get_tensor(name)

        def get_slice(self, name):
            return Slice(name, self.file.get_slice(name))

        def __getattr__(self, key):
            return getattr(self.file, key)

    monkeypatch.setattr(loader, "safe_open", Watched)
    folder = sharded(tmp_path / "m", layers=5)
    source = load(folder, tables_only=True)
    assert {"wte.weight", "wpe.weight"} <= read
    assert {name.partition(".")[0] for name in read} == {"wte", "wpe", "h", "ln_f"}
    assert not [name for name in read if name.startswith("h.") and not name.startswith("h.0.")]
    assert "one layer was loaded" in source.notes[0]


def test_a_table_is_mapped_and_not_copied(tmp_path):
    """The table lies in pages of its file, which the system may drop at any time, and in no memory of the process."""
    folder = tmp_path / "m"
    tiny_gpt2(vocab_size=4096, n_embd=64).bfloat16().save_pretrained(folder)
    table = load(folder, tables_only=True).model.get_input_embeddings().weight
    assert table.dtype == torch.bfloat16
    assert mapped_from(table.data_ptr()) == str(folder / "model.safetensors")


def mapped_from(address):
    """The file whose pages are at an address of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        start, end = (int(number, 16) for number in fields[0].split("-"))
        if start <= address < end:
            return fields[5] if len(fields) > 5 else "no file"
    return "nothing"


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_spoilt_table_is_refused(tmp_path, number):
    folder = sharded(tmp_path / "m")
    assert spoil(folder, lambda name: name == "wpe.weight", number) == 1
    told = refused(xray, folder, text=tokens(), quick=True, tables_only=True)
    assert told == f"expected finite weights in {folder}, was: {float(number)} in the parameter wpe.weight"


def test_positions_that_are_all_0_are_none(tmp_path):
    model = tiny_gpt2()
    with torch.no_grad():
        model.wpe.weight.zero_()
    metrics = xray(saved(tmp_path / "m", model), text=tokens(), quick=True, tables_only=True).to_dict()["metrics"]
    assert metrics["M2.overlap"]["value"] is None
    assert metrics["M11.toeplitz"]["note"].startswith("no position reaches the first layer's input")


def test_a_table_of_another_width_is_refused(tmp_path):
    folder = saved(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_embd": 64}))
    told = refused(xray, folder, text=tokens(), quick=True, tables_only=True)
    assert told.startswith("expected ")
    assert "\n" not in told


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_tables_of_sixteen_bits(tmp_path, dtype):
    """Rows are read as they are and made wider for each block; nothing overflows, nothing is rounded again."""
    model = tiny_gpt2()
    with torch.no_grad():
        model.wte.weight.mul_(2e4).clamp_(-6e4, 6e4)
        model.wpe.weight.mul_(1e4)
    narrow = model.to(dtype)
    found = xray(saved(tmp_path / "a", narrow), text=tokens(), quick=True, tables_only=True).to_dict()["metrics"]
    wide = xray(saved(tmp_path / "b", narrow.float()), text=tokens(), quick=True, tables_only=True)
    for name, metric in wide.to_dict()["metrics"].items():
        if metric["value"] is not None and name.startswith(("M2", "M3", "M11")):
            assert found[name]["value"] == pytest.approx(metric["value"], rel=1e-4, abs=1e-6), name
