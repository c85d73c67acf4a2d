"""How large may position be next to the token? The same sinusoids, added, concatenated or beside, at five sizes.

Token vectors start with a root mean square of 0.125 at width 64; a sinusoid has 0.71, times `scale`. Run it with
`python experiments/how_large.py [OUT]`; the answer is in docs/log.md.
"""

import sys
from pathlib import Path

from rich.console import Console

from locant.lab.compare import compare
from locant.lab.display import Display
from locant.lab.settings import Settings

SCALES = (0.018, 0.06, 0.18, 0.54, 1.0)


def settings(out: Path) -> Settings:
    """The plan: `beside` normalises its columns, so that their size cannot matter; once is enough."""
    ways = [f"{way}(sinusoidal, scale={scale})" for way in ("add", "concat") for scale in SCALES]
    reference = f"add(sinusoidal, scale={SCALES[2]})"
    return Settings(encodings=("none", *ways, "beside(sinusoidal)"), reference=reference, task=(), budget="300k",
                    batch=16, seeds=5, out=out)  # fmt: skip


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("results/how_large")
    with Display(Console()) as display:
        compare(settings(folder), display)
    print(folder / "report.html")
