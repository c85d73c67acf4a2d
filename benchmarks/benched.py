"""The rows of `locant bench` for the benchmarks that set goals for them."""

from typing import Any

from timing import show

from locant.bench.command import run
from locant.bench.options import Options

Rows = dict[str, dict[str, Any]]


def measured(options: Options) -> dict[str, Rows]:
    """By part and name: the rows of `locant bench`, which are also printed."""
    found = {}
    for part in run(options, lambda text: None)["parts"]:
        print(f"  {options.format}, {part['part']}: time / {part['limit']}")
        for way in ("forward", "both"):
            rows = {row["name"]: row[way] for row in part["rows"] if row[way] is not None}
            if rows:
                print(f"   {'forward' if way == 'forward' else 'forward and backward'}")
                show({name: (row["quartiles"][0], row["ratio"], row["quartiles"][1]) for name, row in rows.items()})
        found[part["part"]] = {row["name"]: row for row in part["rows"]}
    return found
