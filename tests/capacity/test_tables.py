"""Real tables: what is read, what is refused, and that nothing is unpickled."""

import json
import pickle
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from locant.capacity.folders import from_folder
from locant.capacity.tables import Table, load, same_width, usable


def drawn(items, width, seed=0):
    return torch.randn(items, width, generator=torch.Generator().manual_seed(seed))


def refused(call, *arguments, **options):
    with pytest.raises(ValueError, match=r"^expected ") as error:
        call(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def gguf_file(path, tensors, kind="llama"):
    from gguf import GGUFWriter

    writer = GGUFWriter(path, kind)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class TestLoad:
    @pytest.mark.parametrize("stored", ["fp32", "bf16", "fp16"])
    def test_safetensors(self, tmp_path, stored):
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[stored]
        rows = drawn(7, 4).to(dtype)
        save_file({"wte": rows, "norm": drawn(1, 4)[0].clone()}, tmp_path / "m.safetensors")
        for source in (f"{tmp_path / 'm.safetensors'}:wte", str(tmp_path / "m.safetensors")):
            table = load(source)
            assert (table.name, table.stored) == ("m.safetensors:wte", stored)
            assert torch.equal(table.rows, rows.float())

    def test_numpy(self, tmp_path):
        rows = drawn(5, 3).numpy()
        np.save(tmp_path / "t.npy", rows)
        np.savez(tmp_path / "t.npz", a=rows, b=rows[:2].astype(np.float64))
        assert np.array_equal(load(str(tmp_path / "t.npy")).rows.numpy(), rows)
        assert np.array_equal(load(f"{tmp_path / 't.npz'}:a").rows.numpy(), rows)
        assert load(f"{tmp_path / 't.npz'}:b").stored == "fp64"

    def test_gguf(self, tmp_path):
        from gguf import GGMLQuantizationType, quantize

        rows = drawn(6, 64).numpy()
        gguf_file(tmp_path / "m.gguf", {"token_embd.weight": rows, "half.weight": rows.astype(np.float16)})
        table = load(f"{tmp_path / 'm.gguf'}:token_embd.weight")
        assert table.stored == "fp32"
        assert np.array_equal(table.rows.numpy(), rows)
        assert load(f"{tmp_path / 'm.gguf'}:half.weight").stored == "fp16"
        from gguf import GGUFWriter

        writer = GGUFWriter(tmp_path / "q.gguf", "llama")
        writer.add_tensor("w", quantize(rows, GGMLQuantizationType.Q8_0), raw_dtype=GGMLQuantizationType.Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        table = load(f"{tmp_path / 'q.gguf'}:w")
        assert table.stored == "q8_0"
        assert np.abs(table.rows.numpy() - rows).max() < 0.02

    def test_gguf_without_its_package(self, tmp_path, monkeypatch):
        (tmp_path / "m.gguf").write_bytes(b"GGUF")
        monkeypatch.setitem(sys.modules, "gguf", None)
        told = refused(load, f"{tmp_path / 'm.gguf'}:w")
        assert told == "expected the package gguf to read a GGUF file, was: missing; pip install 'locant[xray]'"

    def test_a_pickle_is_refused_and_not_run(self, tmp_path):
        ran = tmp_path / "ran"

        class Trap:
            def __reduce__(self):
                return (ran.touch, ())

        for name in ("model.bin", "model.pt", "model.weights", "array.npy"):
            (tmp_path / name).write_bytes(pickle.dumps(Trap()))
            assert "a pickle, which could run any code" in refused(load, f"{tmp_path / name}:wte")
        np.save(tmp_path / "objects.npy", np.array([Trap()], dtype=object), allow_pickle=True)
        assert "expected an array of numbers" in refused(load, str(tmp_path / "objects.npy"))
        assert not ran.exists()

    def test_refusals(self, tmp_path):
        save_file({"wte": drawn(7, 4), "wpe": drawn(5, 4), "norm": drawn(1, 4)[0].clone()}, tmp_path / "m.safetensors")
        path = tmp_path / "m.safetensors"
        assert refused(load, f"{path}:nope") == "expected a tensor of m.safetensors (wpe, wte), was: nope"
        assert refused(load, str(path)) == "expected m.safetensors:NAME with a matrix of m.safetensors, was: wpe, wte"
        assert refused(load, f"{path}:norm") == "expected a matrix of items by columns, was: norm of shape (4,)"
        assert (
            refused(load, "no.safetensors:wte") == "expected FILE:NAME with a file that exists, was: no.safetensors:wte"
        )
        (tmp_path / "t.txt").write_text("1 2 3")
        assert refused(load, str(tmp_path / "t.txt")) == "expected a .safetensors, .npy, .npz or .gguf file, was: t.txt"
        for name in ("broken.safetensors", "broken.npy", "broken.npz", "broken.gguf"):
            (tmp_path / name).write_bytes(b"not what its name says")
            assert name in refused(load, str(tmp_path / name))
        np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
        assert refused(load, str(tmp_path / "words.npy")).startswith("expected real numbers in words.npy, was: <U1")


class TestUsable:
    def table(self, **rows):
        values = drawn(6, 4)
        for index, row in rows.items():
            values[int(index[1:])] = torch.tensor(row)
        return Table("wte", values, "fp32")

    def test_good_rows_pass_as_they_are(self):
        table = self.table()
        assert usable(table) is table

    @pytest.mark.parametrize(("rows", "message"), [
        ({"r2": [0.0] * 4}, "expected rows other than zero in wte, was: zeros in row 2"),
        ({"r3": [float("nan")] * 4}, "expected finite rows in wte, was: NaN or infinity in row 3"),
        ({"r1": [1, 2, 3, 0.0], "r4": [1, 2, 3, -0.0]},
         "expected distinct rows in wte, was: a repetition in row 4 (equal to row 1)"),
    ])  # fmt: skip
    def test_rows_that_cannot_be_told_apart(self, rows, message):
        table = self.table(**rows)
        assert refused(usable, table) == f"{message}; --drop leaves such rows out"
        kept = usable(table, drop=True)
        assert len(kept.rows) == 5
        assert kept.notes[0].startswith("wte: 1 of 6 rows were left out (1 with ")

    def test_nothing_left(self):
        table = Table("wte", torch.zeros(3, 2), "fp32")
        assert refused(usable, table, drop=True) == "expected at least 2 usable rows in wte, was: 0"

    def test_widths(self):
        tables = Table("wte", drawn(3, 4), "fp32"), Table("wpe", drawn(3, 5), "fp32")
        assert refused(same_width, tables) == "expected tables of one width, was: wte 4, wpe 5"
        assert same_width(tables[:1]) == 4


class TestFolder:
    def save(self, folder, tensors, **config):
        save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(config))

    def test_gpt2(self, tmp_path):
        rows = {"transformer.wte.weight": drawn(9, 4), "transformer.wpe.weight": drawn(5, 4, 1)}
        self.save(tmp_path, {**rows, "lm_head.weight": drawn(9, 4, 2)}, model_type="gpt2")
        tokens, positions = from_folder(tmp_path)
        assert torch.equal(tokens.rows, rows["transformer.wte.weight"])
        assert torch.equal(positions.rows, rows["transformer.wpe.weight"])
        assert tokens.name == "transformer.wte.weight"

    def test_rows_before_position_zero_are_left_out(self, tmp_path):
        rows = {"decoder.embed_tokens.weight": drawn(9, 4), "decoder.embed_positions.weight": drawn(7, 4, 1)}
        self.save(tmp_path, rows, model_type="opt")
        _, positions = from_folder(tmp_path)
        assert torch.equal(positions.rows, rows["decoder.embed_positions.weight"][2:])
        assert "first 2 rows" in positions.notes[0]

    def test_a_rotary_model_has_tokens_only(self, tmp_path):
        self.save(tmp_path, {"model.embed_tokens.weight": drawn(9, 4)}, model_type="llama")
        [tokens] = from_folder(tmp_path)
        assert "no table of positions" in tokens.notes[0]

    def test_of_several_tables_the_configured_size_counts(self, tmp_path):
        self.save(
            tmp_path, {"a.embed_tokens.weight": drawn(3, 4), "text.embed_tokens.weight": drawn(9, 4)}, vocab_size=9
        )
        assert from_folder(tmp_path)[0].name == "text.embed_tokens.weight"

    def test_shards(self, tmp_path):
        save_file({"wte.weight": drawn(9, 4)}, tmp_path / "a.safetensors")
        save_file({"wpe.weight": drawn(5, 4)}, tmp_path / "b.safetensors")
        index = {"weight_map": {"wte.weight": "a.safetensors", "wpe.weight": "b.safetensors"}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        assert [len(table.rows) for table in from_folder(tmp_path)] == [9, 5]
        (tmp_path / "b.safetensors").unlink()
        assert refused(from_folder, tmp_path) == (
            "expected every file that model.safetensors.index.json names, was: no b.safetensors"
        )

    def test_gguf(self, tmp_path):
        gguf_file(tmp_path / "m.gguf", {"token_embd.weight": drawn(6, 32).numpy()})
        assert from_folder(tmp_path)[0].name == "token_embd.weight"

    def test_refusals(self, tmp_path):
        assert refused(from_folder, tmp_path / "no") == f"expected a model's folder, was: {tmp_path / 'no'}"
        assert "was: none" in refused(from_folder, tmp_path)
        (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({}))
        assert "pytorch_model.bin, a pickle" in refused(from_folder, tmp_path)
        self.save(tmp_path, {"something": drawn(3, 4)})
        assert refused(from_folder, tmp_path).endswith("was: something")
        (tmp_path / "config.json").write_text("{")
        assert refused(from_folder, tmp_path).startswith("expected JSON, was: config.json")
