"""Tensors by name out of safetensors, npy, npz and GGUF files. Nothing is ever unpickled."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

STORED = {torch.float64: "fp64", torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}


def check(path: Path) -> None:
    """Raises ValueError for a file that does not exist or is a pickle."""
    if not path.is_file():
        raise ValueError(f"expected a file that exists, was: {path}")
    with path.open("rb") as file:
        start = file.read(2)
    if path.suffix.lower() in PICKLES or start in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise ValueError(
            f"expected safetensors, npy, npz or GGUF, was: {path.name}, a pickle, which could run any code"
        )


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Every tensor of a file with its shape, rows first. Raises ValueError for another kind of file or a broken one."""
    kind = path.suffix.lower()
    if kind == ".safetensors":
        with _safetensors(path) as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    if kind == ".npy":
        return {"array": _array(path, None).shape}
    if kind == ".npz":
        with _npz(path) as file:
            return {key: _array(path, key).shape for key in file.files}
    if kind == ".gguf":
        return {tensor.name: tuple(int(n) for n in reversed(tensor.shape)) for tensor in _gguf(path)}
    raise ValueError(f"expected a .safetensors, .npy, .npz or .gguf file, was: {path.name}")


def read(path: Path, name: str) -> tuple[Tensor, str]:
    """One tensor in float32 and the format it was stored in. `name` is one of `shapes(path)`."""
    kind = path.suffix.lower()
    if kind == ".safetensors":
        with _safetensors(path) as file:
            tensor = file.get_tensor(name)
    elif kind == ".gguf":
        from gguf import dequantize

        [found] = [tensor for tensor in _gguf(path) if tensor.name == name]
        rows = torch.from_numpy(np.array(dequantize(found.data, found.tensor_type), dtype=np.float32))
        return rows, {"F32": "fp32", "F16": "fp16"}.get(found.tensor_type.name, found.tensor_type.name.lower())
    else:
        array = _array(path, None if kind == ".npy" else name)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"expected real numbers in {path.name}, was: {array.dtype}")
        tensor = torch.from_numpy(np.array(array))
    return tensor.float(), STORED.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise ValueError(f"expected a safetensors file, was: {path.name} ({error})") from error


def _npz(path: Path) -> Any:
    from zipfile import BadZipFile

    try:
        return np.load(path, allow_pickle=False)
    except (BadZipFile, ValueError) as error:
        raise ValueError(f"expected an npz file, was: {path.name} ({error})") from error


def _array(path: Path, key: str | None) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        return loaded if key is None else loaded[key]
    except (ValueError, EOFError) as error:  # objects, which would be unpickled, or no array at all
        raise ValueError(f"expected an array of numbers, was: {path.name} ({error})") from error


def _gguf(path: Path) -> list[Any]:
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise ValueError(
            "expected the package gguf to read a GGUF file, was: missing; pip install 'locant[xray]'"
        ) from error
    try:
        return list(GGUFReader(path).tensors)
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"expected a GGUF file, was: {path.name} ({error})") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ValueError for a file that holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"expected JSON, was: {path.name} ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, was: {path.name}")
    return value
