"""Puts what x-rays found into docs/xray.md: python docs/xray_result.py xray-minilm xray-smollm2"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from locant.report.xray_page import bounds, number

PAGE = Path(__file__).parent / "xray.md"
MOST = 6  # layers of a table
COLUMNS = {
    "share of position": "M4.layer.{}.position_share.without_0",
    "untrained": "M7.untrained.M4.layer.{}.position_share.without_0",
    "gain q": "M1.layer.{}.q.gain.without_0",
    "gain k": "M1.layer.{}.k.gain.without_0",
    "gain v": "M1.layer.{}.v.gain.without_0",
    "logits: relative": "M6.layer.{}.relative.without_0",
    "absolute": "M6.layer.{}.absolute.without_0",
    "shift: common": "M5.layer.{}.bias",
    "slot found": "M12.layer.{}.accuracy",
}


def main(folders: list[Path]) -> None:
    """Writes one section per x-ray between the page's marks."""
    text = "\n".join(section(json.loads((folder / "xray.json").read_text())) for folder in folders)
    marked = re.compile(r"(<!-- results:.*?-->).*?(<!-- end of results -->)", re.DOTALL)
    PAGE.write_text(marked.sub(lambda m: f"{m[1]}\n\n{text}\n{m[2]}", PAGE.read_text()))


def section(document: Mapping[str, Any]) -> str:
    """The summary, the claims with their findings, and a table over layers, as Markdown."""
    facts = document["facts"]
    model, text = facts["Model"], facts["Text"]
    size = f"{model['parameters']:,} parameters; {text['contexts']} windows of {text['slots']} tokens"
    head = f"### {document['model']['name']}\n\n{document['summary']} ({size}.)\n\n"
    head += "| claim | verdict | found |\n|---|---|---|\n"
    rows = [f"| {claim['id']} | {claim['verdict']} | {escaped(claim['finding'])} |" for claim in document["claims"]]
    notes = "".join(f"- {note[0].upper()}{note[1:]}.\n" for note in document["notes"])
    return head + "\n".join(rows) + "\n\n" + by_layer(document["metrics"]) + (f"\n{notes}" if notes else "")


def by_layer(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Some of the layers, first and last among them; intervals for what claims rest on."""
    first = re.compile(re.escape(COLUMNS["share of position"]).replace(r"\{\}", r"(\d+)"))
    layers = sorted(int(match[1]) for name in metrics if (match := first.fullmatch(name)))
    step = (len(layers) - 1) / (MOST - 1)
    shown = layers if len(layers) <= MOST else [layers[round(i * step)] for i in range(MOST)]
    lines = [f"| layer | {' | '.join(COLUMNS)} |", "|---:|" + "---:|" * len(COLUMNS)]
    for layer in shown:
        cells = []
        for name, pattern in COLUMNS.items():
            metric = metrics.get(pattern.format(layer), {"value": None, "interval": None})
            sure = name in ("share of position", "shift: common") and metric["interval"]
            cells.append(number(metric["value"]) + (f" {bounds(metric['interval'])}" if sure else ""))
        lines.append(f"| {layer} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text that stays in its cell; words that hold a bar or an asterisk are set in code already."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]])
