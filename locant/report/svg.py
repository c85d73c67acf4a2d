"""Charts to inline SVG that several figures can share one page with."""

import re
from collections.abc import Callable
from typing import Any

from markupsafe import Markup, escape

from locant.report.style import DARK, LIGHT, Theme


def both_themes(draw: Callable[[Theme], dict[str, Any]], identifier: str, title: str, description: str) -> Markup:
    """Draw a chart for the light and the dark page; the style sheet shows one of them."""
    drawn = Markup("")
    for theme in (LIGHT, DARK):
        inline = to_svg(draw(theme), f"{identifier}-{theme.name}", title, description)
        drawn += Markup('<div class="{}">').format(theme.name) + inline + Markup("</div>")
    return drawn


def to_svg(specification: dict[str, Any], identifier: str, title: str, description: str) -> Markup:
    """Render without a browser. Vega escapes all text of the data; identifiers get a prefix, as every chart of a page
    would otherwise number its clip paths from 1.
    """
    from vl_convert import vegalite_to_svg

    text = _prefix(vegalite_to_svg(specification), identifier)
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" '
        f'aria-describedby="{identifier}-words" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<desc id="{identifier}-words">{escape(description)}</desc>'
    )
    return Markup(re.sub(r"^<svg[^>]*>", lambda _: opening, text, count=1))


def _prefix(text: str, identifier: str) -> str:
    """Rename every id and every reference to one inside tags; text between tags is left alone."""

    def rename(tag: re.Match[str]) -> str:
        renamed = re.sub(r' id="', f' id="{identifier}-', tag[0])
        return re.sub(r'(url\(#|href="#)', rf"\g<1>{identifier}-", renamed)

    # Vega numbers gradients over all charts of a process, so that a page would depend on what was drawn before.
    numbers: dict[str, str] = {}
    text = re.sub(r"\bgradient_\d+\b", lambda found: numbers.setdefault(found[0], f"gradient_{len(numbers)}"), text)
    return re.sub(r"<[a-zA-Z][^<>]*>", rename, text)
