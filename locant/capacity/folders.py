"""The token and position tables of a Hugging Face folder, found by their names."""

from pathlib import Path

from locant.capacity.files import read, read_json, shapes
from locant.capacity.tables import Table, few

# Endings of parameter names in Hugging Face models and, last, in GGUF; a prefix such as `transformer.` may precede.
TOKENS = ("wte.weight", "embed_tokens.weight", "word_embeddings.weight", "tok_embeddings.weight", "embed_in.weight",
          "shared.weight", "tokens.weight", "token_embd.weight")  # fmt: skip
POSITIONS = ("wpe.weight", "embed_positions.weight", "position_embeddings.weight", "position_embedding.weight",
             "position_embd.weight")  # fmt: skip
# Rows that stand before position 0: these models look up position + 2.
OFFSETS = {"opt": 2, "bart": 2, "mbart": 2, "roberta": 2, "xlm-roberta": 2, "camembert": 2, "longformer": 2}


def from_folder(folder: Path) -> tuple[Table, ...]:
    """The token table and, if the model adds one, the position table.

    Raises ValueError, in one line, for a folder without safetensors or GGUF, an index that names a missing file, or a
    model whose token table has none of the known names.
    """
    homes = _homes(folder)
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    tokens = _find(homes, TOKENS, config.get("vocab_size"))
    if tokens is None:
        raise ValueError(f"expected a token table ({', '.join(TOKENS)}) in {folder.name}, was: {few(sorted(homes))}")
    token_table = _named(homes, tokens, "tokens")
    positions = _find(homes, POSITIONS, config.get("max_position_embeddings", config.get("n_positions")))
    if positions is None:
        note = (
            "The model has no table of positions: it adds no position vector, so only sums of tokens are asked about."
        )
        return (Table(token_table.name, token_table.rows, token_table.stored, (note,)),)
    position_table = _named(homes, positions, "positions")
    skipped = OFFSETS.get(str(config.get("model_type")), 0)
    if skipped:
        note = f"The first {skipped} rows of the position table stand before position 0 in this model and are left out."
        position_table = Table(position_table.name, position_table.rows[skipped:], position_table.stored, (note,))
    return token_table, position_table


def _homes(folder: Path) -> dict[str, Path]:
    """Every tensor's name with the file that holds it."""
    if not folder.is_dir():
        raise ValueError(f"expected a model's folder, was: {folder}")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards: dict[str, str] | None = read_json(index).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise ValueError(f"expected a weight_map in {index.name}, was: none")
        missing = sorted({shard for shard in shards.values() if not (folder / shard).is_file()})
        if missing:
            raise ValueError(f"expected every file that {index.name} names, was: no {missing[0]}")
        return {name: folder / shard for name, shard in shards.items()}
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.gguf"))
    if not files:
        pickles = sorted(path.name for path in folder.glob("*.bin"))
        found = f"{pickles[0]}, a pickle, which could run any code" if pickles else "none"
        raise ValueError(f"expected .safetensors or .gguf files in {folder.name}, was: {found}")
    return {name: file for file in files for name in shapes(file)}


def _find(homes: dict[str, Path], endings: tuple[str, ...], rows: object) -> str | None:
    """The name with the first fitting ending; of several the one with as many rows as the configuration says, and of
    those the shortest.
    """
    for ending in endings:
        names = sorted((n for n in homes if n == ending or n.endswith(f".{ending}")), key=lambda n: (len(n), n))
        if len(names) > 1 and isinstance(rows, int):
            names = [name for name in names if shapes(homes[name])[name][0] == rows] or names
        if names:
            return names[0]
    return None


def _named(homes: dict[str, Path], name: str, kind: str) -> Table:
    rows, stored = read(homes[name], name)
    if rows.ndim != 2:
        raise ValueError(f"expected a matrix of {kind}, was: {name} of shape {tuple(rows.shape)}")
    return Table(name, rows, stored)
