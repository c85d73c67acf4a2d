"""All results of a folder as two tables in parquet, for SQL and data frames: one row per run, one per measurement."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from locant.lab.store import write_atomically


def export(out: Path, results: dict[str, dict[str, Any]]) -> None:
    """Writes ``records.parquet`` (a row per run, its fields and result) and ``measurements.parquet``.

    The latter has a row per run and step of the curve, and per run, length and position. Made by duckdb from JSON
    lines; an interrupted export leaves the old files.
    """
    runs, measurements = [], []
    for result in results.values():
        run = {key: value for key, value in result["run"].items() if key != "eval_lengths"}
        finals = {key: result[key] for key in ("metric", "value", "parameters", "attention", "seconds",
                                               "tokens_per_second", "torch")}  # fmt: skip
        runs.append({"id": result["id"], **run, **finals})
        for point in result["curve"]:
            measurements.append({"id": result["id"], "kind": "step", "step": point["step"], "length": run["context"],
                                 "position": None, "value": point["value"]})  # fmt: skip
        for row in result["by_length"]:
            measurements.append({"id": result["id"], "kind": "length", "step": run["steps"], "length": row["length"],
                                 "position": None, "value": row["value"]})  # fmt: skip
            for position, value in zip(row.get("positions", []), row.get("by_position", []), strict=True):
                measurements.append({"id": result["id"], "kind": "position", "step": run["steps"],
                                     "length": row["length"], "position": position, "value": value})  # fmt: skip
    for name, rows in (("records", runs), ("measurements", measurements)):
        if rows:
            write_atomically(out / f"{name}.parquet", partial(_parquet, rows))


def _parquet(rows: list[dict[str, Any]], path: Path) -> None:
    import duckdb

    lines = path.with_name(f"{path.name}.jsonl")
    try:
        lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        with duckdb.connect() as database:
            source = database.read_json(str(lines), format="newline_delimited", sample_size=-1)
            source.write_parquet(str(path), compression="zstd")
    finally:
        lines.unlink(missing_ok=True)
