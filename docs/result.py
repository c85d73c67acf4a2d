"""Puts the tables and the picture of a comparison into the README: python docs/result.py RESULTS"""

import json
import re
import sys
from pathlib import Path

from locant.report import markdown
from locant.report.charts import forest
from locant.report.style import DARK, LIGHT
from locant.report.svg import to_svg

ROOT = Path(__file__).parent.parent
PICTURE = """<picture>
  <source media="(prefers-color-scheme: dark)" srcset="docs/images/differences-dark.svg">
  <img alt="{title}" src="docs/images/differences-light.svg">
</picture>
"""


def main(results: Path) -> None:
    """Draws the first experiment's differences in both themes and writes the tables between the README's marks."""
    comparison = json.loads((results / "comparison.json").read_text())
    experiment = comparison["experiments"][0]
    title = f"Difference from {comparison['reference']} on {experiment['name']}"
    images = ROOT / "docs" / "images"
    images.mkdir(exist_ok=True)
    for theme in (LIGHT, DARK):
        drawn = to_svg(forest(comparison, experiment, theme), theme.name, title, title)
        (images / f"differences-{theme.name}.svg").write_text(drawn)
    notes = "\n".join(f"- {note}" for note in comparison["notes"])
    text = f"\n{PICTURE.format(title=title)}\n{markdown(comparison)}\n{notes}\n\n"
    readme = ROOT / "README.md"
    marked = re.compile(r"(<!-- result:.*?-->).*?(<!-- end of result -->)", re.DOTALL)
    readme.write_text(marked.sub(lambda m: f"{m[1]}\n{text}{m[2]}", readme.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
