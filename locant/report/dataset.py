"""The values of a chart, beside it."""

from collections.abc import Mapping, Sequence
from typing import Any


class Data:
    """Values kept aside by name: Altair copies all inside a chart at every step, which takes longer than drawing."""

    def __init__(self) -> None:
        self.sets: dict[str, list[dict[str, Any]]] = {}

    def __call__(self, values: Sequence[Mapping[str, Any]]) -> Any:
        import altair as alt

        name = f"set{len(self.sets)}"
        self.sets[name] = [dict(value) for value in values]
        return alt.NamedData(name)

    def specification(self, chart: Any) -> dict[str, Any]:
        return {**chart.to_dict(validate=False), "datasets": self.sets}
