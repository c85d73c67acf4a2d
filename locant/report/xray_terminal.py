"""An x-ray for a terminal of any width, with or without colour."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from locant.report import words
from locant.report.document import Document
from locant.report.xray_page import bounds, number

STYLES = {"holds": "green", "fails": "red", "partly": "blue", "undecided": "yellow", "does not apply": "dim"}


def summary(document: Document) -> list[Text | Table]:
    """The model, the five claims with their findings, and position by layer."""
    model = document["model"]
    head = [Text(f"{model['name']} ({model['kind']})", style="bold"), _text(document["summary"])]
    table = Table(box=SIMPLE_HEAD, show_lines=False)
    table.add_column("claim")
    table.add_column("verdict", no_wrap=True)
    table.add_column("what was found")
    for claim in document["claims"]:
        table.add_row(claim["id"], Text(claim["verdict"], style=STYLES[claim["verdict"]]), _text(claim["finding"]))
    layers = _layers(document)
    notes = [Text(f"note: {words.ascii_only(note)}") for note in document["notes"]]
    return [*head, table, *([layers] if layers.row_count else []), *notes]


def _layers(document: Document) -> Table:
    """Position share, read gains and logit shares, one row for each layer."""
    metrics = document["metrics"]
    columns = {
        "share of position": "M4.layer.{}.position_share.without_0",
        "interval": "",
        "gain q": "M1.layer.{}.q.gain.without_0",
        "gain k": "M1.layer.{}.k.gain.without_0",
        "gain v": "M1.layer.{}.v.gain.without_0",
        "logits: relative": "M6.layer.{}.relative.without_0",
        "absolute": "M6.layer.{}.absolute.without_0",
        "shift: bias": "M5.layer.{}.bias",
        "probe": "M12.layer.{}.accuracy",
    }
    table = Table(box=SIMPLE_HEAD, title=Text("By layer, position 0 left out"), title_justify="left")
    table.add_column("layer")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=name == "interval")
    for layer in _numbers(metrics):
        cells = []
        for name, pattern in columns.items():
            found = metrics.get((pattern or columns["share of position"]).format(layer))
            cells.append("" if found is None else bounds(found["interval"]) if name == "interval"
                         else number(found["value"]))  # fmt: skip
        table.add_row(str(layer), *map(words.ascii_only, cells))
    return table


def _numbers(metrics: Document) -> Iterator[int]:
    found = {int(name.split(".")[2]) for name in metrics if name.startswith("M4.layer.")}
    return iter(sorted(found))


def _text(text: str) -> Text:
    return Text(words.ascii_only(text.replace("`", "").replace(" %", "%")))
