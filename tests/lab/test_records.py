"""The tables in parquet, as SQL sees them."""

import duckdb
import pytest

import locant.lab.records as recording
from locant.lab.records import export


def ask(out, question):
    with duckdb.connect() as database:
        return database.sql(
            question.format(runs=f"'{out}/records.parquet'", points=f"'{out}/measurements.parquet'")
        ).fetchall()


def test_a_row_for_every_run(compared):
    made, document = compared
    rows = ask(made.out, "select id, encoding, problem, seed, learning_rate, value from {runs}")
    final = {run["id"]: (run["encoding"], run["experiment"], run["seed"], run["learning_rate"], run["final"])
             for run in document["runs"]}  # fmt: skip
    assert {row[0]: row[1:] for row in rows} == final
    assert len(rows) == 24


def test_a_row_for_every_measurement(compared):
    made, _ = compared
    # 24 runs; 4 points of the curve; 1 length (16) for 12 tuning runs. The others have 16, 32 and 64, of which the
    # learned table defines the first alone.
    assert dict(ask(made.out, "select kind, count(*) from {points} group by kind")) == {
        "step": 24 * 4,
        "length": 12 + 12 * 3,
        "position": 12 * 16 + 8 * (16 + 32 + 64) + 4 * 16,
    }
    assert ask(made.out, "select count(*) from {points} where kind = 'length' and value is null") == [(4 * 2,)]


def test_the_tables_belong_together(compared):
    made, document = compared
    question = (
        "select encoding, avg(p.value) from {runs} r join {points} p using (id) "
        "where kind = 'length' and length = 16 and part = 'test' and metric = 'bits_per_byte' group by encoding"
    )
    rows = ask(made.out, question)
    assert dict(rows) == pytest.approx({row["encoding"]: row["bits_per_byte"] for row in document["rows"]})


def test_an_export_that_fails_leaves_the_old_files(compared, tmp_path, monkeypatch):
    def fail(rows, path):
        path.write_text("half")
        raise OSError("full")

    (tmp_path / "records.parquet").write_text("old")
    monkeypatch.setattr(recording, "_parquet", fail)
    fields = ("metric", "value", "parameters", "attention", "seconds", "tokens_per_second", "torch")
    run = {"context": 4, "steps": 2, "eval_lengths": []}
    result = {"id": "a", "run": run, "curve": [], "by_length": [], **dict.fromkeys(fields)}
    with pytest.raises(OSError, match="full"):
        export(tmp_path, {"a": result})
    assert [path.name for path in tmp_path.iterdir()] == ["records.parquet"]
    assert (tmp_path / "records.parquet").read_text() == "old"


def test_nothing_to_export(tmp_path):
    export(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
