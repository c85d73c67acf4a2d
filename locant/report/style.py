"""One look for every figure: two themes, and a colour, dash and shape for each encoding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

# Six hues that stay apart under the common colour deficiencies, each in a shade for paper and one for the dark page.
HUES = (
    ("#0068b3", "#5fb4f2"),
    ("#c24a00", "#ff9459"),
    ("#007d5c", "#43c59e"),
    ("#a3307e", "#e78cc5"),
    ("#937100", "#e3c04f"),
    ("#5b54b8", "#aaa4ff"),
)
# Cycles of lengths 6, 4 and 5: the first twelve encodings differ in colour or dash, and in colour or shape.
DASHES: tuple[list[float], ...] = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3])
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down")


@dataclass(frozen=True)
class Theme:
    """Colours of one figure's paper, named by their use."""

    name: Literal["light", "dark"]
    ink: str
    muted: str
    grid: str
    band: str


LIGHT = Theme("light", ink="#1d2127", muted="#626a75", grid="#e6e8eb", band="#e9ecf1")
DARK = Theme("dark", ink="#e8eaed", muted="#a0a8b4", grid="#2c323a", band="#29303a")


@dataclass(frozen=True)
class Styles:
    """Parallel lists over the encodings, as the scales of a chart want them."""

    names: list[str]
    colours: list[str]
    dashes: list[list[float]]
    shapes: list[str]


def styles(encodings: Sequence[str], reference: str, theme: Theme) -> Styles:
    """The same look for one encoding in every figure; the reference is drawn solid in the colour of the text."""
    others = [name for name in encodings if name != reference]
    hue = 0 if theme.name == "light" else 1
    return Styles(
        names=[reference, *others],
        colours=[theme.ink, *(HUES[index % len(HUES)][hue] for index in range(len(others)))],
        dashes=[[1, 0], *(DASHES[index % len(DASHES)] for index in range(len(others)))],
        shapes=["circle", *(SHAPES[(index + 1) % len(SHAPES)] for index in range(len(others)))],
    )


def config(theme: Theme, right: int) -> dict[str, Any]:
    """A chart configuration without frame, fill or foreign fonts.

    The text at the right is `right` letters long; a reader's font may be wider than the one it was measured in.
    """
    axis = {
        "labelColor": theme.muted,
        "titleColor": theme.muted,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12.5,
        "titlePadding": 10,
        "labelLimit": 0,
        "gridColor": theme.grid,
        "domainColor": theme.grid,
        "tickColor": theme.grid,
    }
    return {
        "aria": False,  # the figure is named as a whole; its numbers are in a table
        "background": "transparent",
        "font": "sans-serif",
        "padding": {"left": 4, "top": 8, "bottom": 8, "right": 8 + 1.7 * right},
        "view": {"stroke": None},
        "axis": axis,
    }
